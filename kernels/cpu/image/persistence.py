"""One window from floats to pairs, stage by stage, and the windows of a batch over threads."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...records import Found, Pairs, Query
from ..merge import merge
from ..runtime.interrupt import halt_word, interruptible
from ..runtime.jit import allocating, device, kernel
from ..runtime.primitives import halted
from ..runtime.sort import argsort, no_places
from ..runtime.threads import by_turns, on_threads, take
from .emit import fill, pairs, sort_pairs
from .gradient import lower_stars, match_stars, order_keys
from .trace import critical_cells, maxima_above, minima_below, squares_beside, steps_of

Array = NDArray[Any]
Part = tuple[Any, ...]  # what a thread found: numbers of windows, and for each dimension of V their codes in a row

_COLUMNS_A_THREAD = 32_768  # fewer are not worth one
SPARE = 8_192  # pixels, which take 3 to 120 us; see `by_turns`
_LONG = 1 << 22  # pixels, which take about 0.1 s; see `interruptible`


@interruptible(lambda x, query: x.size >= _LONG)
def persistence(x: Array, query: Query) -> Found[Array]:
    """Compute the persistence pairs of N images; see `gpuph.ops.persistence`."""
    dims, top, min_persistence, capacity = query
    # Minima and saddles pair in dimension 0 of V; turned round by duality, they are loops in T.
    sides = [1 - dim if top else dim for dim in dims]
    wanted = 0 in sides, 1 in sides
    status, counts = np.empty(len(x), np.int32), np.empty((2, len(x)), np.int64)

    run = partial(_windows, x, as_integers(x), top, wanted, min_persistence, status, counts, halt_word())
    parts = by_turns(len(x), run, least=4, spare=SPARE // math.prod(x.shape[1:]))
    return Found(status, columns_of(parts, counts, sides, x, capacity))


def as_integers(x: Array) -> Array:
    """The bits of floats."""
    return x.view(np.int32 if x.dtype == np.float32 else np.int64)


def columns_of(
    parts: Sequence[Part], counts: Array, sides: Sequence[int], x: Array, capacity: int | None
) -> list[Pairs[Array]]:
    """Return the pairs of each of the sides, from windows x and what was found in them.

    counts : for each side, (N,).
    """
    pixels = x.reshape(len(x), math.prod(x.shape[1:]))
    return [
        spread(parts, side, counts[side], x.dtype, capacity, partial(_fill, counts[side], pixels)) for side in sides
    ]


def spread(
    parts: Sequence[Part],
    side: int,
    counts: Array,
    dtype: Any,
    capacity: int | None,
    write: Callable[[Array, Any, Array, Array], None],
) -> Pairs[Array]:
    """Return the pairs of one side of windows with so many pairs.

    write : what fills them, from the windows of a part and what it has of that side.
    """
    k = int(counts.max(initial=0)) if capacity is None else capacity
    index, values = np.empty((len(counts), 2, k), np.int64), np.empty((len(counts), 2, k), dtype)
    todo = iter(parts)

    def run() -> None:
        for windows, *found in todo:
            write(windows, found[side], index, values)

    on_threads(min(len(parts), index.size // _COLUMNS_A_THREAD), run)
    return Pairs(index, values, counts)


@kernel
def _windows(x, bits, top, wanted, min_persistence, status, counts, halt, taken, stop):
    """Pairs of the windows that this thread takes; see `take`.

    x : (N, H, W); bits : the same as integers. wanted : minima, maxima. Written: status (N,), counts (2, N).
    halt : see `halted`.
    Returns the windows, and for minima and for maxima their sorted codes in a row.
    """
    n, used_0, used_1, n_mine = len(x), 0, 0, 0
    mine, room = np.empty(n, np.int64), room_of(x, bits, top)
    size_0, size_1 = room_for_codes(x, wanted)
    codes_0, codes_1 = np.empty(size_0, np.int64), np.empty(size_1, np.int64)
    first, last = take(taken, n, stop)
    while first < n and not halted(halt):
        for i in range(first, last):
            codes_0, codes_1 = with_room(codes_0, used_0, size_0), with_room(codes_1, used_1, size_1)
            counts[0, i], counts[1, i], status[i] = window_pairs(
                x[i], bits[i], top, wanted, min_persistence, room, codes_0[used_0:], codes_1[used_1:], halt
            )
            mine[n_mine] = i
            n_mine += 1
            used_0 += counts[0, i]
            used_1 += counts[1, i]
        first, last = take(taken, n, stop)
    return mine[:n_mine], codes_0[:used_0], codes_1[:used_1]


@device
def room_for_codes(x, wanted):
    """How many codes of minima, and of maxima, a window of x (N, H, W) takes while it is worked on."""
    size = (x.shape[1] + 2) * (x.shape[2] + 2)
    return size if wanted[0] else 0, size if wanted[1] else 0


@allocating
def with_room(codes, used, more):
    """A list of codes, or of levels, of which so many are used, with room for more."""
    if used + more <= codes.size:
        return codes
    larger = np.empty(2 * codes.size + more, codes.dtype)
    larger[:used] = codes[:used]
    return larger


@allocating
def room_of(x, bits, top):
    """Memory for the stages of a window of x (N, H, W): keys, stars, critical cells, what is found along their edges.

    The window's grid stands in a ring that is below every pixel (T) or above (V), and so is the outside: vertex 0 or
    the last.
    """
    size = ((x.shape[1] + 2) * (x.shape[2] + 2) + 15) // 16 * 16
    most = np.iinfo(bits.dtype).max
    key = np.full(size, ~most if top else most, bits.dtype)
    star, critical = np.zeros(size, np.uint16), np.zeros(size, np.uint16)
    spare = np.empty(size, x.dtype), np.empty((2, size), bits.dtype), no_places(), np.empty(size, np.int64)
    return (
        key,
        star,
        critical,
        steps_of(x.shape[2] + 2),
        np.empty((11, size), np.int32),
        np.empty((2, 2 * size), np.int32),
        spare,
    )


@device
def window_pairs(x, bits, top, wanted, min_persistence, room, codes_0, codes_1, halt):
    """Write the sorted codes of a window x (H, W), of minima and of maxima, as far as they are wanted.

    bits : x as integers. room : of `room_of`. halt : see `halted`.
    Returns how many there are of each, and the window's status.
    """
    key, star, critical, steps, numbers, walks, (lengths, keys, counts, spare_codes) = room
    minima, maxima, edges, known, order = numbers[0], numbers[1], numbers[2:4], numbers[4], numbers[5]
    place, spare_order, tree = numbers[6], numbers[7], (numbers[8], numbers[9], numbers[10])
    at, walking = walks[0], walks[1]
    spare = lengths, keys[0], keys[1], place, spare_order, counts, spare_codes
    height, width = x.shape[0] + 2, x.shape[1] + 2
    key_rows = key[: height * width].reshape(height, width)
    if order_keys(x, bits, key.dtype.type(np.iinfo(key.dtype).max), top, key_rows):
        return 0, 0, 1
    values = x.reshape(x.size)
    lower_stars(key, height, width, star, critical)
    match_stars(star, critical)
    if halted(halt):
        return 0, 0, 0
    minima[0] = 0
    n_minima, n_edges, n_maxima = critical_cells(critical, width, minima[1:], edges, maxima)

    ends = at[: 2 * n_edges].reshape(2, n_edges)
    for e in range(n_edges):
        ends[0, e], ends[1, e] = edges[0, e], edges[1, e]
        keys[0, e] = key[edges[0, e]]
    minima_below(at[: 2 * n_edges], star, steps, walking, known, halt)
    argsort(keys[0, :n_edges], order[:n_edges], keys[1], spare_order, counts)
    if halted(halt):
        return 0, 0, 0
    extrema = minima[0 if top else 1 : 1 + n_minima]
    merge(key, extrema, order[:n_edges], ends, False, *tree, halt)
    if halted(halt):
        return 0, 0, 0
    n_0 = n_1 = 0
    if wanted[0]:
        n_0 = _emit(not top, extrema, edges[0, :n_edges], tree, values, width, min_persistence, spare, codes_0)
    if not wanted[1]:
        return n_0, n_1, 0

    # An edge that joins no two minima closes a loop around a maximum: from the greatest down it joins two maxima.
    rest = 0
    for e in range(n_edges):
        edges[0, rest], edges[1, rest], place[e] = edges[0, e], edges[1, e], rest
        rest += tree[2][e] < 0
    rest = 0
    for e in order[:n_edges]:
        order[rest] = place[e]
        rest += tree[2][e] < 0
    ends = at[: 2 * rest].reshape(2, rest)
    for e in range(rest):
        ends[0, e], ends[1, e] = squares_beside(edges[0, e], edges[1, e], width)
    maxima_above(at[: 2 * rest], star, steps, width, walking, known, halt)
    if halted(halt):
        return 0, 0, 0
    maxima[n_maxima] = star.size - 1
    extrema = maxima[: n_maxima + (0 if top else 1)]
    merge(key, extrema, order[:rest], ends, True, *tree, halt)
    if halted(halt):
        return 0, 0, 0
    n_1 = _emit(top, extrema, edges[0, :rest], tree, values, width, min_persistence, spare, codes_1)
    return n_0, n_1, 0


@device
def _emit(extrema_give_birth, extrema, saddles, tree, values, width, min_persistence, spare, codes):
    """Write the sorted codes of one side; returns how many."""
    saddle_of, _, partner = tree
    n = pairs(extrema_give_birth, extrema, saddles, saddle_of, partner, values, width, min_persistence, spare[0], codes)
    sort_pairs(spare[0][:n], codes[:n], *spare[1:])
    return n


@kernel
def _fill(counts, x, windows, codes, index, values):
    """Spread codes over the rows of some windows in index and values (N, 2, K), from pixels x (N, P)."""
    _fill_rows(counts, x, windows, codes, index, values)


@device
def _fill_rows(counts, x, windows, codes, index, values):
    used = 0
    for i in windows:
        fill(codes[used : used + counts[i]], x[i], index[i], values[i])
        used += counts[i]
