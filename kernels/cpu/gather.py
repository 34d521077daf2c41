"""Gather and scatter, each of which is the gradient of the other. A negative index stands for no value.

The slopes of births and deaths are scattered to the pixels that these were read from.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..records import Tiling
from .runtime.jit import kernel
from .runtime.threads import over_windows

Array = NDArray[Any]


def gather(values: Array, index: Array) -> Array:
    """Read values (N, P) at index (N, K), row by row; 0 where the index is negative."""
    if len(values) != len(index):
        raise ValueError(f"index must have as many rows as values, {len(values)}, got {len(index)}")
    out = np.empty(index.shape, values.dtype)
    within = over_windows(
        len(index), lambda i, j: _gather(values[i:j], index[i:j], out[i:j]), _least_rows(index.shape[1])
    )
    _check(within, index, values.shape[1])
    return out


def scatter(values: Array, index: Array, size: int) -> Array:
    """Add values (N, K) to rows of zeros (N, size) at index (N, K), in order of K; negative indices are skipped."""
    if values.shape != index.shape:
        raise ValueError(f"index must have the shape of values, {values.shape}, got {index.shape}")
    out = np.zeros((len(index), size), values.dtype)
    within = over_windows(
        len(index), lambda i, j: _scatter(values[i:j], index[i:j], out[i:j]), _least_rows(index.shape[1])
    )
    _check(within, index, size)
    return out


def scatter_slopes(slopes: Array, index: Array, count: Array, grad: Array, tiling: Tiling) -> Array:
    """Add up the gradients of images from the slopes of their windows; see `gpuph.ops.scatter_slopes`."""
    if slopes.shape != index.shape:
        raise ValueError(f"index must have the shape of slopes, {slopes.shape}, got {index.shape}")
    if count.shape != index.shape[:1] or grad.shape != index.shape[:1]:
        raise ValueError(f"count and grad must have shape ({len(index)},), got {count.shape} and {grad.shape}")
    each, size = tiling.windows(), math.prod(tiling.image)
    if len(index) % each:
        raise ValueError(f"slopes must be those of all {each} windows of each image, got {len(index)} windows")
    images = len(index) // each
    out = np.zeros((images, size), slopes.dtype)

    def run(i: int, j: int) -> bool:
        rows = slice(i * each, j * each)
        within: bool = _scatter_slopes(slopes[rows], index[rows], count[rows], grad[rows], each, out[i:j])
        return within

    within = over_windows(images, run, _least_rows(each * 2 * index.shape[2]))
    _check(within, index, size)
    return out


def _check(within: list[bool], index: Array, size: int) -> None:
    """Raise if a kernel has found an index that is not within a row of that size."""
    if not all(within):
        raise IndexError(f"index must be less than the number of values in a row, {size}, got {index.max()}")


def _least_rows(columns: int) -> int:
    """Return how many rows of indices are worth a thread."""
    return max(1, 65536 // max(1, columns))


@kernel
def _gather(values, index, out):
    """Gather rows. Return whether all indices are below the size of a row; others read 0."""
    size, within = values.shape[1], True
    for row in range(index.shape[0]):
        for k in range(index.shape[1]):
            i = index[row, k]
            out[row, k] = values[row, i] if 0 <= i < size else 0
            within &= i < size
    return within


@kernel
def _scatter(values, index, out):
    """Scatter rows. Return whether all indices are below the size of a row; others are skipped."""
    size, within = out.shape[1], True
    for row in range(index.shape[0]):
        for k in range(index.shape[1]):
            i = index[row, k]
            if 0 <= i < size:
                out[row, i] += values[row, k]
            within &= i < size
    return within


@kernel
def _scatter_slopes(slopes, index, count, grad, each, out):
    """Scatter the slopes of windows, `each` per image. Return whether all indices are below the size of an image."""
    size, within = out.shape[1], True
    for w in range(len(index)):
        for end in range(2):
            for k in range(min(count[w], index.shape[2])):
                i = index[w, end, k]
                if 0 <= i < size:
                    out[w // each, i] += grad[w] * slopes[w, end, k]
                within &= i < size
    return within
