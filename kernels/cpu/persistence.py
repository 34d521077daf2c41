"""One window from floats to pairs, stage by stage, and the windows of a batch over threads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .emit import fill, pairs, sort_pairs
from .gradient import lower_stars, match_stars, order_keys
from .jit import device, kernel, over_windows
from .merge import merge
from .sort import argsort
from .trace import critical_cells, maxima_above, minima_below, squares_beside, steps_of

Array = NDArray[Any]

_COLUMNS_A_SLICE = 16_384  # fewer are not worth a thread


def persistence(
    x: Array, dims: Sequence[int], top: bool, min_persistence: float, capacity: int | None
) -> tuple[Array, list[Array], list[Array], list[Array]]:
    """Pairs of critical pixels of N windows; see `gpuph.ops.persistence`."""
    n = len(x)
    bits = x.view(np.int32 if x.dtype == np.float32 else np.int64)
    limits = np.array([np.inf], x.dtype).view(bits.dtype)[0], bits.dtype.type(np.iinfo(bits.dtype).max)
    with np.errstate(over="ignore"):  # a larger number than the dtype has is infinite
        threshold = x.dtype.type(min_persistence)
    # Minima and saddles pair in dimension 0 of V; turned round by duality, they are loops in T.
    of_minima = 1 if top else 0
    wanted = of_minima in dims, 1 - of_minima in dims

    def find(start: int, stop: int) -> tuple[Array, Array, Array, Array]:
        found: tuple[Array, Array, Array, Array] = _windows(
            x[start:stop], bits[start:stop], *limits, top, *wanted, threshold
        )
        return found

    parts = over_windows(n, find, 4)
    columns = zip(*parts, strict=True)
    status, counts, *codes = parts[0] if len(parts) == 1 else (np.concatenate(part, axis=-1) for part in columns)
    sides = [0 if dim == of_minima else 1 for dim in dims]
    pairs = [spread(codes[side], counts[side], x, capacity) for side in sides]
    return status, [index for index, _ in pairs], [values for _, values in pairs], [counts[side] for side in sides]


def spread(codes: Array, counts: Array, x: Array, capacity: int | None) -> tuple[Array, Array]:
    """Index and values (N, 2, K) of windows x from the sorted codes of all of them in a row."""
    k = int(counts.max(initial=0)) if capacity is None else capacity
    index, values = np.empty((len(x), 2, k), np.int64), np.empty((len(x), 2, k), x.dtype)
    ends = counts.cumsum()

    def write(start: int, stop: int) -> None:
        rows = slice(start, stop)
        _fill(codes, ends[rows], counts[rows], x[rows], index[rows], values[rows])

    over_windows(len(x), write, 1 + _COLUMNS_A_SLICE // (1 + k))
    return index, values


@kernel
def _windows(x, bits, infinity, most, top, want_minima, want_maxima, min_persistence):
    """Pairs of the windows of a slice.

    x : (N, H, W); bits : the same as integers; infinity, most : the bits of +inf, the largest integer.
    Returns status (N,); counts (2, N); and for minima and for maxima the sorted codes of all windows in a row.
    """
    n, height, width = x.shape[0], x.shape[1] + 2, x.shape[2] + 2
    cells = height * width
    size = (cells + 3) // 4 * 4
    # A window's grid stands in a ring that is below every pixel (T) or above (V), and so is the outside: vertex 0 or
    # the last.
    key = np.full(size, ~most if top else most, bits.dtype)
    star, critical = np.zeros(size, np.uint16), np.zeros(size, np.uint16)
    key_rows, star_rows = key[:cells].reshape(height, width), star[:cells].reshape(height, width)
    steps = steps_of(width)
    minima, maxima = np.empty(size, np.int32), np.empty(size, np.int32)
    edges, ends = np.empty((2, size), np.int32), np.empty((2, size), np.int32)
    known = np.empty(size, np.int32)
    tree = np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size, np.int32)
    order, place = np.empty(size, np.int32), np.empty(size, np.int32)
    spare_keys = np.empty(size, bits.dtype), np.empty(size, bits.dtype)
    spare_order = np.empty(size, np.int32), np.empty(size, np.int32)
    spare = np.empty(size, x.dtype), *spare_keys, *spare_order, np.empty(size, np.int64)

    status, counts = np.zeros(n, np.int32), np.zeros((2, n), np.int64)
    codes_0, codes_1 = np.empty(size, np.int64), np.empty(size, np.int64)
    used_0 = used_1 = 0
    for i in range(n):
        if order_keys(bits[i], infinity, most, top, key_rows):
            status[i] = 1
            continue
        values = x[i].ravel()
        lower_stars(key_rows, star_rows)
        match_stars(star, critical)
        minima[0] = 0
        n_minima, n_edges, n_maxima = critical_cells(critical, width, minima[1:], edges, maxima)

        known[:] = 0
        for e in range(n_edges):
            ends[0, e], ends[1, e] = minima_below(edges[0, e], edges[1, e], star, steps, known)
            spare_keys[0][e] = key[edges[0, e]]
        argsort(spare_keys[0][:n_edges], order[:n_edges], spare_keys[1], spare_order[1])
        extrema = minima[0 if top else 1 : 1 + n_minima]
        merge(key, extrema, order[:n_edges], ends, False, *tree)
        if want_minima:
            codes_0 = _with_room(codes_0, used_0, size)
            counts[0, i] = _emit(
                not top, extrema, edges[0, :n_edges], tree, values, width, min_persistence, spare, codes_0[used_0:]
            )
            used_0 += counts[0, i]
        if not want_maxima:
            continue

        # An edge that joins no two minima closes a loop around a maximum: from the greatest down it joins two maxima.
        rest = 0
        for e in range(n_edges):
            edges[0, rest], edges[1, rest], place[e] = edges[0, e], edges[1, e], rest
            rest += tree[2][e] < 0
        rest = 0
        for e in order[:n_edges]:
            order[rest] = place[e]
            rest += tree[2][e] < 0
        known[:] = 0
        for e in range(rest):
            first, second = squares_beside(edges[0, e], edges[1, e], width)
            ends[0, e], ends[1, e] = maxima_above(first, second, star, steps, width, known)
        maxima[n_maxima] = size - 1
        extrema = maxima[: n_maxima + (0 if top else 1)]
        merge(key, extrema, order[:rest], ends, True, *tree)
        codes_1 = _with_room(codes_1, used_1, size)
        counts[1, i] = _emit(
            top, extrema, edges[0, :rest], tree, values, width, min_persistence, spare, codes_1[used_1:]
        )
        used_1 += counts[1, i]
    return status, counts, codes_0[:used_0], codes_1[:used_1]


@device
def _with_room(codes, used, more):
    if used + more <= codes.size:
        return codes
    larger = np.empty(2 * codes.size + more, codes.dtype)
    larger[:used] = codes[:used]
    return larger


@device
def _emit(extrema_give_birth, extrema, saddles, tree, values, width, min_persistence, spare, codes):
    """Write the sorted codes of one side; returns how many."""
    saddle_of, _, partner = tree
    n = pairs(extrema_give_birth, extrema, saddles, saddle_of, partner, values, width, min_persistence, spare[0], codes)
    sort_pairs(spare[0][:n], codes[:n], *spare[1:])
    return n


@kernel
def _fill(codes, ends, counts, x, index, values):
    """Spread codes over index and values (N, 2, K) of windows x (N, *window); each one's end at ends (N,)."""
    for i in range(counts.size):
        fill(codes[ends[i] - counts[i] : ends[i]], x[i].ravel(), index[i], values[i])
