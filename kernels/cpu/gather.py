"""Gather and scatter: values at indices, where a negative one means none. Each is the other's gradient."""

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
