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
from .runtime.views import reshaped
from .windows import fill_copied, fill_partners, fill_whole

Array = NDArray[Any]

_COLUMNS_PER_THREAD = 32_768  # of the result; fewer are not worth a thread
_NO_PARTNERS = np.empty((0, 0), np.int64)
_NO_PAIRS = {  # the pairs of a dimension that is not wanted, by dtype
    np.dtype(dtype): Pairs[Array](np.empty((0, 2, 0), np.int64), np.empty((0, 2, 0), dtype), np.empty(0, np.int64))
    for dtype in (np.float32, np.float64)
}


def in_order_of_result(x: Array) -> Array:
    """Return values of the windows (N, K) in the order of the result: all windows of the prediction come first."""
    return x[:, 0] if x.shape[1] == 1 else x.T.ravel()


def fill_columns(
    windows: Windows, parts: Sequence[Part], counts: Array, dims: Sequence[int], capacity: int | None, *, compared: bool
) -> tuple[list[Pairs[Array]], list[Array]]:
    """Write the pairs in some dimensions of V to the columns of the result, and their partners if they were compared.

    counts : see `records.Results`. Without a capacity, there are as many columns as the largest count.
    """
    fields, dtype, unwanted = tuple(windows), windows.pred.dtype, _NO_PAIRS[windows.pred.dtype]
    n_dims, n, k = counts.shape
    pairs, partners = [unwanted] * n_dims, [_NO_PARTNERS] * n_dims
    # `ndarray.max` takes longer than this, and a call for each dimension longer still.
    columns = (
        [capacity] * n_dims if capacity is not None else np.maximum.reduce(counts, axis=(1, 2), initial=0).tolist()
    )
    for dim in dims:
        shape = n * k, 2, columns[dim]
        pairs[dim] = Pairs(np.empty(shape, np.int64), np.empty(shape, dtype), in_order_of_result(counts[dim]))
        if compared:
            partners[dim] = np.empty((n * k, columns[dim]), np.int64)
    index, value, of_pairs = tuple([x.index for x in pairs]), tuple([x.value for x in pairs]), tuple(partners)
    todo = iter(parts)

    def run() -> None:
        for part in todo:
            _fill(fields, tuple(part), counts, index, value, of_pairs)

    on_threads(min(len(parts), sum([x.size for x in index]) // _COLUMNS_PER_THREAD), run)
    return [pairs[dim] for dim in dims], [partners[dim] for dim in dims]


@kernel
def _fill(windows, part, counts, index, value, partner):
    """Write the pairs of a part into the rows of its windows.

    part : the fields of a `Part`, since Numba recognizes the types of plain tuples faster than those of records.
    index, value, partner : for each dimension of V, (K N, 2, columns), and (K N, columns) for partners, without rows if
    they are not wanted.
    """
    for dim in range(len(counts)):
        if len(index[dim]) > 0:
            _fill_rows(Windows(*windows), part, counts, dim, index[dim], value[dim], partner[dim])


@device
def _fill_rows(windows, part, counts, dim, index, value, partner):
    """Write the pairs of one dimension of V into index and value, (K N, 2, columns), and partner, (K N, columns)."""
    numbers, codes, levels, partners = part
    n_dims, n, n_images = counts.shape
    images, depth, height, width = windows.pred.shape
    pixels = reshaped(windows.pred, (images, depth * height * width))
    others = reshaped(windows.target, (len(windows.target), depth * height * width))
    used = 0
    for i in numbers:
        for k in range(n_images):
            for other in range(n_dims):
                start = used
                used += counts[other, i, k]
                if other == dim:
                    row, some = k * n + i, codes[start:used]
                    if windows.copied:
                        fill_copied(windows, i, some, levels[2 * start : 2 * used], index[row], value[row])
                    else:
                        fill_whole(pixels[i] if k == 0 else others[i], some, index[row], value[row])
                    if len(partner) > 0:
                        fill_partners(partners[start:used], partner[row])
