"""Gather and scatter: values at indices, where a negative one means none. Each is the other's gradient.

Slopes, of births and deaths, are scattered to the pixels that they came from.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .jit import kernel
from .threads import over_windows

Array = NDArray[Any]


def gather(values: Array, index: Array) -> Array:
    """Read values (N, P) at index (N, K), row by row; 0 where the index is negative."""
    out = np.empty(index.shape, values.dtype)
    over_windows(len(index), lambda i, j: _gather(values[i:j], index[i:j], out[i:j]), _least(index))
    return out


def scatter(values: Array, index: Array, size: int) -> Array:
    """Add values (N, K) up at index (N, K) of rows of zeros (N, size), in order of K; a negative index is skipped."""
    out = np.zeros((len(index), size), values.dtype)
    over_windows(len(index), lambda i, j: _scatter(values[i:j], index[i:j], out[i:j]), _least(index))
    return out


def scatter_slopes(slopes: Array, index: Array, count: Array, grad: Array, images: int, size: int) -> Array:
    """Add up what births and deaths of windows say about pixels; see `gpuph.ops.scatter_slopes`."""
    out = np.zeros((images, size), slopes.dtype)
    each = len(index) // max(images, 1)

    def run(i: int, j: int) -> None:
        _scatter_slopes(*(x[i * each : j * each] for x in (slopes, index, count, grad)), each, out[i:j])

    over_windows(images, run, max(1, 65536 // max(1, each * 2 * index.shape[2])))
    return out


def _least(index: Array) -> int:
    """Rows that are worth a thread."""
    return max(1, 65536 // max(1, index.shape[1]))


@kernel
def _gather(values, index, out):
    for row in range(index.shape[0]):
        for k in range(index.shape[1]):
            i = index[row, k]
            out[row, k] = values[row, i] if i >= 0 else 0


@kernel
def _scatter(values, index, out):
    for row in range(index.shape[0]):
        for k in range(index.shape[1]):
            i = index[row, k]
            if i >= 0:
                out[row, i] += values[row, k]


@kernel
def _scatter_slopes(slopes, index, count, grad, each, out):
    for w in range(len(index)):
        for end in range(2):
            for k in range(min(count[w], index.shape[2])):
                i = index[w, end, k]
                if i >= 0:
                    out[w // each, i] += grad[w] * slopes[w, end, k]
