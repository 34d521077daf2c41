"""Volumes from floats to pairs, stage by stage: windows over threads, or the stages of a large window over threads."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...records import Found, Query
from ..image.gradient import order_keys
from ..image.persistence import Part, as_integers, columns_of
from ..merge import merge
from ..runtime.interrupt import halt_word, interruptible, number_of_threads
from ..runtime.jit import allocating, device, kernel
from ..runtime.primitives import appended, halted
from ..runtime.sort import argsort, no_places
from ..runtime.threads import by_turns, over_windows, take
from .emit import lasting
from .gradient import gradient_rows
from .reduce import reduce
from .trace import critical_cells, maxima_beside, minima_beside

Array = NDArray[Any]
LARGE = 1 << 17  # voxels of a window at whose stages several threads are worth the trouble
_LONG = 1 << 18  # voxels, which take from a few ms to half a second; see `interruptible`


@interruptible(lambda x, query: x.size >= _LONG)
def persistence(x: Array, query: Query) -> Found[Array]:
    """Compute the persistence pairs of N volumes (N, D, H, W); see `gpuph.ops.persistence`."""
    dims, top, min_persistence, capacity = query
    bits = as_integers(x)
    # By duality the dimensions of T are those of V(-f) from behind.
    sides = [2 - dim if top else dim for dim in dims]
    wanted = 0 in sides, 1 in sides, 2 in sides
    status, counts = np.empty(len(x), np.int32), np.empty((3, len(x)), np.int64)
    rest, halt = (top, wanted, min_persistence), halt_word()

    def run(taken: Array, stop: int) -> Part:
        part: Part = _windows(x, bits, *rest, room_of(bits), status, counts, halt, taken, stop)
        return part

    if large(len(x), x.shape[1:]):
        parts = [large_window(x[i], bits[i], *rest, i, status, counts) for i in range(len(x))]
    else:
        parts = by_turns(len(x), run)
    return Found(status, columns_of(parts, counts, sides, x, capacity))


def large(n: int, window: Sequence[int]) -> bool:
    """Whether the threads had better share the stages of each of n windows."""
    return 0 < n < number_of_threads() and math.prod(window) >= LARGE


def room_of(bits: Array) -> tuple[Array, Array, Array, Array]:
    """Memory that a window (..., D, H, W) takes: keys and stars in its grid with a ring, what is known, and a chain.

    It is NumPy's, which asks for large pages; with small ones, the first touch takes as long as the rest.
    """
    shape = tuple(size + 2 for size in bits.shape[-3:])
    cells = math.prod(shape)
    return np.empty(shape, bits.dtype), np.empty(shape, np.uint32), np.empty(cells, np.int32), np.zeros(cells, np.uint8)


@kernel
def _windows(x, bits, top, wanted, min_persistence, room, status, counts, halt, taken, stop):
    """Pairs of the windows that this thread takes; see `take`.

    x : (N, D, H, W); bits : the same as integers. wanted : for each dimension of V. halt : see `halted`.
    Written: status (N,), counts (3, N). Returns the windows, and for each dimension of V their sorted codes in a row.
    """
    n, n_mine = len(x), 0
    mine, used = np.empty(n, np.int64), np.zeros(3, np.int64)
    codes_0, codes_1, codes_2 = np.empty(64, np.int64), np.empty(64, np.int64), np.empty(64, np.int64)
    first, last = take(taken, n, stop)
    while first < n and not halted(halt):
        for i in range(first, last):
            found_0, found_1, found_2, status[i] = window_pairs(x[i], bits[i], top, wanted, min_persistence, room, halt)
            codes_0, codes_1 = appended(codes_0, used[0], found_0), appended(codes_1, used[1], found_1)
            codes_2 = appended(codes_2, used[2], found_2)
            counts[0, i], counts[1, i], counts[2, i] = found_0.size, found_1.size, found_2.size
            used += counts[:, i]
            mine[n_mine] = i
            n_mine += 1
        first, last = take(taken, n, stop)
    return mine[:n_mine], codes_0[: used[0]], codes_1[: used[1]], codes_2[: used[2]]


@allocating
def window_pairs(x, bits, top, wanted, min_persistence, room, halt):
    """Sorted codes of a window x (D, H, W) for each dimension of V, none for those unwanted, and the window's status.

    bits : x as integers. room : of `room_of`. halt : see `halted`.
    """
    key, star, known, chain = room
    depth = len(key)
    if keys_of(x, bits, top, key, star, known, 0, depth):
        none = np.empty(0, np.int64)
        return none, none, none, 1
    cells = cells_of(*gradient_of(key, star, 0, depth - 2, halt))
    below, above = np.empty((2, cells[1].size), np.int32), np.empty((2, cells[3].size), np.int32)
    mark_minima(cells, known)
    trace_below(cells, star, known, below, 0, below.shape[1], halt)
    mark_maxima(cells, star, known)
    trace_above(cells, star, known, above, 0, above.shape[1], halt)
    if halted(halt):
        none = np.empty(0, np.int64)
        return none, none, none, 0
    components, voids = components_of(cells, key, below, top, halt), voids_of(cells, key, above, top, halt)
    codes = _pairs(cells, components, voids, key, star, known, chain, x, top, wanted, min_persistence, halt)
    return codes[0], codes[1], codes[2], 0


def large_window(
    x: Array,
    bits: Array,
    top: bool,
    wanted: tuple[bool, ...],
    min_persistence: float,
    i: int,
    status: Array,
    counts: Array,
) -> Part:
    """What `_windows` finds in window i, x (D, H, W), with the threads at each stage that they can share."""
    (key, star, known, chain), halt = room_of(bits), halt_word()
    depth = len(key)
    status[i] = any(over_windows(depth, lambda i, j: keys_of(x, bits, top, key, star, known, i, j)))
    codes = [np.empty(0, np.int64)] * 3
    if not status[i]:
        cells = _cells_of(key, star)
        partners = _partners_of(cells, key, star, known, top)

        def find(*some: bool) -> Any:
            return _pairs(cells, *partners, key, star, known, chain, x, top, some, min_persistence, halt)

        # Dimension 1 takes longest.
        loops, others = _at_once(lambda: find(False, wanted[1], False), lambda: find(wanted[0], False, wanted[2]))
        codes = [others[0], loops[1], others[2]]
    counts[:, i] = [len(found) for found in codes]
    return np.array([i]), *codes


def _cells_of(key: Array, star: Array) -> tuple[Array, ...]:
    """The gradient, and the critical cells, by slices on all threads."""
    halt = halt_word()
    parts = over_windows(len(key) - 2, lambda i, j: gradient_of(key, star, i, j, halt))
    cells: tuple[Array, ...] = cells_of(*map(np.concatenate, zip(*parts, strict=True)))
    return cells


def _partners_of(cells: tuple[Array, ...], key: Array, star: Array, known: Array, top: bool) -> list[Any]:
    """Trace and merge on all threads: what `components_of` and `voids_of` return."""
    below, above = np.empty((2, cells[1].size), np.int32), np.empty((2, cells[3].size), np.int32)
    halt = halt_word()
    mark_minima(cells, known)
    over_windows(below.shape[1], lambda i, j: trace_below(cells, star, known, below, i, j, halt), least=64)
    mark_maxima(cells, star, known)
    over_windows(above.shape[1], lambda i, j: trace_above(cells, star, known, above, i, j, halt), least=64)
    return _at_once(lambda: components_of(cells, key, below, top, halt), lambda: voids_of(cells, key, above, top, halt))


def _at_once(*tasks: Callable[[], Any]) -> list[Any]:
    """What the tasks return, each on a thread."""
    parts = over_windows(len(tasks), lambda i, j: [task() for task in tasks[i:j]])
    return [found for part in parts for found in part]


@kernel
def keys_of(x, bits, top, key, star, known, first, last):
    """Write the slices first, ..., last - 1 of the keys (D + 2, H + 2, W + 2), ring and all; is there a NaN?

    Where the ring is, there are no stars (D + 2, H + 2, W + 2), and nothing is known (cells,) of any cell yet.
    """
    most, depth, area = key.dtype.type(np.iinfo(key.dtype).max), len(key), key[0].size
    nan = False
    for z in range(first, last):
        known[z * area : (z + 1) * area] = 0
        inside = 0 < z < depth - 1
        _write_ring(key[z], inside, ~most if top else most)
        _write_ring(star[z], inside, np.uint32(0))
        if inside:
            nan |= order_keys(x[z - 1], bits[z - 1], most, top, key[z])
    return nan


@device
def _write_ring(grid, inside, value):
    """Write a value where a slice (H + 2, W + 2) is in the ring: at its border if it is inside, else all over."""
    for y in range(len(grid)):
        row = grid[y]
        if inside and 0 < y < len(grid) - 1:
            row[0] = row[row.size - 1] = value
        else:
            row[:] = value


@kernel
def gradient_of(key, star, first, last, halt):
    """The gradient of slices of voxels; see `gradient_rows`."""
    return gradient_rows(key, star, first + 1, last + 1, halt)


@kernel
def cells_of(owners, masks):
    """List the critical cells; see `critical_cells`."""
    return critical_cells(owners, masks)


@kernel
def mark_minima(cells, known):
    """Write 1 + its number in known (cells,) where a minimum is."""
    minima = cells[0]
    for i in range(1, minima.size):
        known[minima[i]] = i + 1


@kernel
def mark_maxima(cells, star, known):
    """Write -1 - its number in known (cells,) where a maximum is: at its cube's first corner; the last owns it."""
    maxima, corner = cells[5], star[0].size + star.shape[2] + 1
    for i in range(1, maxima.size):
        known[maxima[i] - corner] = -1 - i


@kernel
def trace_below(cells, star, known, ends, first, last, halt):
    """Follow critical edges first, ..., last - 1 to the minima below; see `minima_beside`."""
    minima_beside(cells[1], cells[2], star.reshape(-1), star.shape[2], star[0].size, known, ends, first, last, halt)


@kernel
def trace_above(cells, star, known, ends, first, last, halt):
    """Follow critical squares first, ..., last - 1 to the maxima above; see `maxima_beside`."""
    maxima_beside(cells[3], cells[4], star.reshape(-1), star.shape[2], star[0].size, known, ends, first, last, halt)


@kernel
def components_of(cells, key, ends, top, halt):
    """Minima and critical edges, by the elder rule; with the ring, which is below all, in T."""
    return _elder_rule(key.reshape(-1), cells[0], 0 if top else 1, cells[1], ends, False, halt)


@kernel
def voids_of(cells, key, ends, top, halt):
    """Maxima and critical squares, by the elder rule from the greatest down; with the outside, above all, in V."""
    return _elder_rule(key.reshape(-1), cells[5], 1 if top else 0, cells[3], ends, True, halt)


@allocating
def _elder_rule(key, extrema, first, saddles, ends, reverse, halt):
    """Merge the classes of extrema, from number `first` on.

    Returns for each extremum the saddle that ends its class, and for each saddle the extremum whose class it ends, or
    -1.
    """
    n, m = extrema.size, saddles.size
    order, spare_order = np.empty(m, np.int32), np.empty(m, np.int32)
    argsort(key[saddles], order, np.empty(m, key.dtype), spare_order, no_places())
    saddle_of, elder_of, partner = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(m, np.int32)
    # The ring's key, at position 0, is the outside's as well: it is the last in V as it is the first in T.
    merge(key[extrema], np.arange(first, n), order, ends, reverse, saddle_of, elder_of, partner, halt)
    return saddle_of, partner


@kernel
def _pairs(cells, components, voids, key, star, known, chain, x, top, wanted, min_persistence, halt):
    """Sorted codes of the dimensions of V that are wanted; the others' are none. Uses `known` up."""
    minima, edges, _, squares, directions, maxima = cells
    (minima_end, killed), (maxima_end, opened) = components, voids
    key, star, values = key.reshape(-1), star.reshape(-1), x.reshape(-1)
    width, area = x.shape[2] + 2, (x.shape[1] + 2) * (x.shape[2] + 2)
    codes_0, codes_1, codes_2 = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64)
    grid = key, values, width, area, min_persistence
    if halted(halt):
        return codes_0, codes_1, codes_2
    # In T, births and deaths change places. Dimension 1, which takes most memory, is first.
    if wanted[1]:
        matrix = edges, killed, squares, directions, opened
        square_of, edge_of = reduce(key, star, width, area, *matrix, known, chain, halt)
        births, deaths, death_of = (squares, edges, edge_of) if top else (edges, squares, square_of)
        codes_1 = lasting(births, deaths, death_of, *grid)
    if wanted[0]:
        births, deaths, death_of = (edges, minima, killed) if top else (minima[1:], edges, minima_end[1:])
        codes_0 = lasting(births, deaths, death_of, *grid)
    if wanted[2]:
        births, deaths, death_of = (maxima[1:], squares, maxima_end[1:]) if top else (squares, maxima, opened)
        codes_2 = lasting(births, deaths, death_of, *grid)
    return codes_0, codes_1, codes_2
