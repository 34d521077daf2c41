"""The pairs of one volume, stage by stage; of a large one, with several threads at each stage."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...status import Status
from ..merge import merge
from ..order import as_integers, order_keys
from ..records import MergeTree, Saddles, Task
from ..runtime.interrupt import number_of_threads
from ..runtime.jit import allocating, device, kernel
from ..runtime.primitives import halted, with_room
from ..runtime.sort import argsort, radix_buckets
from ..runtime.threads import over_windows
from ..runtime.views import flat, largest, view
from .critical import CriticalCells, critical_cells
from .emit import PairedCells, sorted_codes
from .gradient import gradient
from .reduce import reduce
from .trace import mark_maxima, mark_minima, trace_above, trace_below

Array = NDArray[Any]
LARGE = 1 << 17  # voxels: several threads share the stages of a window of this size or larger


class VolumeWorkspace(NamedTuple):
    """Memory for the stages of one volume, in a grid with a ring of one vertex around the voxels."""

    key: Array  # (D + 2, H + 2, W + 2) order keys
    star: Array  # likewise, uint32
    known: Array  # (cells,) int32: ends of walks, and later where the edges of an owner begin
    chain: Array  # (cells,) uint8: all 0, before and after


def allocate_workspace(window: Sequence[int], key: Any) -> VolumeWorkspace:
    """Return a workspace for windows of that size whose keys have that dtype.

    NumPy allocates it, because it asks for large pages. With small ones, the first access takes as long as the rest.
    """
    shape = tuple([size + 2 for size in window])
    cells = math.prod(shape)
    return VolumeWorkspace(
        np.empty(shape, key), np.empty(shape, np.uint32), np.empty(cells, np.int32), np.zeros(cells, np.uint8)
    )


@allocating
def append_pairs(window, task, workspace, codes, used, counts):
    """Append the pairs of a window (D, H, W) to a list of codes after the first `used` entries.

    Written: counts, the number of pairs in each dimension of V. Returns the list, the number of new codes, and the
    status of the window.
    """
    counts[:], begin = 0, used
    key, star, known, halt = workspace.key, workspace.star, workspace.known, task.halt
    depth = len(key)
    if start(window, task.top, workspace, 0, depth):
        return codes, 0, Status.NAN
    owners, masks = gradient(key, star, 1, depth - 1, halt)
    cells = critical_cells(owners, masks)
    below, above = np.empty((2, cells.edges.size), np.int32), np.empty((2, cells.squares.size), np.int32)
    mark_minima(cells, known)
    trace_below(cells, star, known, below, 0, below.shape[1], halt)
    mark_maxima(cells, star, known)
    trace_above(cells, star, known, above, 0, above.shape[1], halt)
    if halted(halt):
        return codes, 0, Status.OK
    trees = merge_minima(cells, key, below, task.top, halt), merge_maxima(cells, key, above, task.top, halt)
    for dim, found in enumerate(pair(cells, trees, workspace, window, task)):
        codes = with_room(codes, used, found.size)
        for i in range(found.size):  # Numba takes two seconds to compile the assignment of a slice
            codes[used + i] = found[i]
        counts[dim] = found.size
        used += found.size
    return codes, used - begin, Status.OK


def is_large(n: int, window: Sequence[int]) -> bool:
    """Return whether several threads should share the stages of each of n windows."""
    return 0 < n < number_of_threads() and math.prod(window) >= LARGE


def find_pairs_on_threads(window: Array, task: Task) -> tuple[list[Array], Status]:
    """Return the codes of a window (D, H, W) in each dimension of V, and its status, using all threads."""
    workspace = allocate_workspace(window.shape, as_integers(window).dtype)
    key, star, known, _ = workspace
    top, wanted, _, halt = task
    if any(over_windows(len(key), lambda i, j: start(window, top, workspace, i, j))):
        return [np.empty(0, np.int64)] * 3, Status.NAN
    parts = over_windows(len(key) - 2, lambda i, j: gradient(key, star, i + 1, j + 1, halt))
    cells: CriticalCells = critical_cells(*map(np.concatenate, zip(*parts, strict=True)))
    below, above = np.empty((2, cells.edges.size), np.int32), np.empty((2, cells.squares.size), np.int32)
    mark_minima(cells, known)
    over_windows(below.shape[1], lambda i, j: trace_below(cells, star, known, below, i, j, halt), least=64)
    mark_maxima(cells, star, known)
    over_windows(above.shape[1], lambda i, j: trace_above(cells, star, known, above, i, j, halt), least=64)
    trees = tuple(
        _at_once(lambda: merge_minima(cells, key, below, top, halt), lambda: merge_maxima(cells, key, above, top, halt))
    )

    def find(*some: bool) -> Any:
        return pair(cells, trees, workspace, window, task._replace(wanted=some))

    # Dimension 1 takes longest.
    loops, others = _at_once(lambda: find(False, wanted[1], False), lambda: find(wanted[0], False, wanted[2]))
    return [others[0], loops[1], others[2]], Status.OK


def _at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Make calls at the same time, each on a thread, and return their results."""
    parts = over_windows(len(calls), lambda i, j: [call() for call in calls[i:j]])
    return [result for part in parts for result in part]


@kernel
def start(window, top, workspace, first, last):
    """Prepare slices first, ..., last - 1 of the workspace for a window, and return whether they have a NaN.

    The keys are written, with their ring, which is below every voxel (T) or above (V). The stars of the ring are empty,
    and no end of a walk is known.
    """
    key, star, known = workspace.key, workspace.star, workspace.known
    most, depth, area = largest(key.dtype), len(key), key[0].size
    bits = view(window, key.dtype)
    nan = False
    for z in range(first, last):
        known[z * area : (z + 1) * area] = 0
        inside = 0 < z < depth - 1
        _write_ring(key[z], inside, ~most if top else most)
        _write_ring(star[z], inside, star.dtype.type(0))
        if inside:
            nan |= order_keys(window[z - 1], bits[z - 1], most, top, key[z])
    return nan


@device
def _write_ring(grid, inside, value):
    """Write a value on the ring of a slice (H + 2, W + 2), or in the whole slice if that is not inside."""
    for y in range(len(grid)):
        row = grid[y]
        if inside and 0 < y < len(grid) - 1:
            row[0] = row[row.size - 1] = value
        else:
            row[:] = value


@kernel
def merge_minima(cells, key, ends, top, halt):
    """Merge minima at the critical edges, by the elder rule; in T with the ring, which is below all.

    ends : (2, m), see `trace_below`. Returns a MergeTree.
    """
    return _elder_rule(flat(key), cells.minima, 0 if top else 1, cells.edges, ends, False, halt)


@kernel
def merge_maxima(cells, key, ends, top, halt):
    """Merge maxima at the critical squares, from the greatest down; in V with the outside, which is above all.

    ends : (2, m), see `trace_above`. Returns a MergeTree.
    """
    return _elder_rule(flat(key), cells.maxima, 1 if top else 0, cells.squares, ends, True, halt)


@allocating
def _elder_rule(key, extrema, first, owners, ends, descending, halt):
    """Merge the classes of extrema, from number `first` on, at saddles with these owners."""
    n, m = extrema.size, owners.size
    order = sorted_saddles(key, owners)
    tree = MergeTree(np.empty(n, np.int32), np.empty(n, np.int32), np.empty(m, np.int32))
    # The key of the ring, at position 0, is also that of the outside: the first of all in T, the last in V.
    merge(key[extrema], np.arange(first, n), Saddles(order, ends), tree, descending, halt)
    return tree


@allocating
def sorted_saddles(key, owners):
    """Return the order of saddles with these owners (m,), the least first: int32."""
    m = owners.size
    order, spare_order = np.empty(m, np.int32), np.empty(m, np.int32)
    argsort(key[owners], order, np.empty(m, key.dtype), spare_order, radix_buckets())
    return order


@kernel
def pair(cells, trees, workspace, window, task):
    """Return the sorted codes of a window in each dimension of V, none in those unwanted.

    trees : of the minima and of the maxima. `workspace.known` is overwritten.
    """
    of_minima, of_maxima = trees
    minima, maxima, edges, squares = cells.minima, cells.maxima, cells.edges, cells.squares
    key, values, least = workspace.key, flat(window), task.min_persistence
    codes_0, codes_1, codes_2 = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64)
    if halted(task.halt):
        return codes_0, codes_1, codes_2
    # In T, births and deaths are exchanged. Dimension 1 is first, because it takes most memory.
    if task.wanted[1]:
        square_of, edge_of = reduce(cells, of_minima.partner, of_maxima.partner, workspace, task.halt)
        paired = PairedCells(squares, edges, edge_of) if task.top else PairedCells(edges, squares, square_of)
        codes_1 = sorted_codes(paired, key, values, least)
    if task.wanted[0]:
        ends = of_minima.saddle_of[1:]
        paired = PairedCells(edges, minima, of_minima.partner) if task.top else PairedCells(minima[1:], edges, ends)
        codes_0 = sorted_codes(paired, key, values, least)
    if task.wanted[2]:
        ends = of_maxima.saddle_of[1:]
        paired = PairedCells(maxima[1:], squares, ends) if task.top else PairedCells(squares, maxima, of_maxima.partner)
        codes_2 = sorted_codes(paired, key, values, least)
    return codes_0, codes_1, codes_2
