"""Columns: the pairs that threads have listed, written to the columns of the result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..records import Pairs
from .records import Part, Windows
from .runtime.jit import device, kernel
from .runtime.threads import on_threads
from .windows import fill

Array = NDArray[Any]

_COLUMNS_PER_THREAD = 32_768  # of the result; fewer are not worth a thread
_NO_PAIRS = {  # the pairs of a dimension that is not wanted, by dtype
    np.dtype(dtype): Pairs[Array](np.empty((0, 2, 0), np.int64), np.empty((0, 2, 0), dtype), np.empty(0, np.int64))
    for dtype in (np.float32, np.float64)
}


def in_order_of_result(x: Array) -> Array:
    """Return values of the windows (N, K) in the order of the result: all windows of the prediction come first."""
    return x[:, 0] if x.shape[1] == 1 else x.T.ravel()


def fill_columns(
    windows: Windows, parts: Sequence[Part], counts: Array, dims: Sequence[int], capacity: int | None
) -> list[Pairs[Array]]:
    """Write the pairs in some dimensions of V to the columns of the result.

    counts : see `records.Results`. Without a capacity, there are as many columns as the largest count.
    """
    fields, dtype, unwanted = tuple(windows), windows.pred.dtype, _NO_PAIRS[windows.pred.dtype]
    pairs = [unwanted] * len(counts)
    for dim in dims:
        count = in_order_of_result(counts[dim])
        columns = int(count.max(initial=0)) if capacity is None else capacity
        shape = len(count), 2, columns
        pairs[dim] = Pairs(np.empty(shape, np.int64), np.empty(shape, dtype), count)
    index, value = tuple([x.index for x in pairs]), tuple([x.value for x in pairs])
    todo = iter(parts)

    def run() -> None:
        for part in todo:
            _fill(fields, tuple(part), counts, index, value)

    on_threads(min(len(parts), sum([x.size for x in index]) // _COLUMNS_PER_THREAD), run)
    return [pairs[dim] for dim in dims]


@kernel
def _fill(windows, part, counts, index, value):
    """Write the pairs of a part into the rows of its windows.

    part : the fields of a `Part`, since Numba recognizes the types of plain tuples faster than those of records.
    index, value : for each dimension of V, (K N, 2, columns), without rows if it is not wanted.
    """
    _fill_rows(Windows(*windows), part, counts, index, value)


@device
def _fill_rows(windows, part, counts, index, value):
    numbers, codes, levels = part
    dims, n, n_images = counts.shape
    used = 0
    for i in numbers:
        for k in range(n_images):
            row = k * n + i
            for dim in range(dims):
                if len(index[dim]) > 0:
                    stop = used + counts[dim, i, k]
                    some, their_levels = codes[used:stop], levels[2 * used : 2 * stop]
                    fill(windows, i, some, their_levels, index[dim][row], value[dim][row])
                    used = stop
