"""The cells of a volume and their pairs, for the reduction that finds surfaces."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..runtime.jit import allocating, device
from ..runtime.jit import unsigned as _i
from ..volume.chain import Heap
from ..volume.critical import CriticalCells, critical_cells
from ..volume.gradient import gradient
from ..volume.persistence import merge_maxima, merge_minima, start
from ..volume.reduce import reduce
from ..volume.trace import mark_maxima, mark_minima, offsets_of, trace_above, trace_below

Array = NDArray[Any]


class Complex(NamedTuple):
    """The cells of a window in the construction V, and their pairs."""

    key: Array  # (cells,)
    star: Array  # (cells,) uint32
    offsets: Array  # (27, 3), see `volume.trace.offsets_of`
    cells: CriticalCells
    first_edge: Array  # (cells,) int32, at an owner of critical edges: the number of its first one
    first_square: Array  # (cells,) int32, likewise
    killed: Array  # for each edge, the minimum whose class it ends, or -1
    opened: Array  # for each square, the maximum that fills the void that it opens, or -1
    square_of: Array  # for each edge, the square that ends its loop, or -1
    edge_of: Array  # the inverse
    chain: Array  # (cells,) uint32: a boundary or coboundary; all 0, before and after
    members: Array  # (cells,) uint32: the cells of a surface, likewise
    touched: Array  # (cells,) int32: the vertices that own members, or once did
    is_touched: Array  # (cells,) bool, all False, before and after
    heap: Heap  # of the vertices of the chain
    queued: Array  # (cells,) bool: whether they are in the heap; all False, before and after
    halt: int  # see `primitives.halted`


@allocating
def complex_of(window, top, workspace, halt):
    """Return the cells of a volume (D, H, W), which has no NaN, and their pairs; see `volume.persistence`."""
    key, star, known = workspace.key, workspace.star, workspace.known
    start(window, top, workspace, 0, len(key))
    owners, masks = gradient(key, star, 1, len(key) - 1, halt)
    cells = critical_cells(owners, masks)
    below, above = np.empty((2, cells.edges.size), np.int32), np.empty((2, cells.squares.size), np.int32)
    mark_minima(cells, known)
    trace_below(cells, star, known, below, 0, below.shape[1], halt)
    mark_maxima(cells, star, known)
    trace_above(cells, star, known, above, 0, above.shape[1], halt)
    killed = merge_minima(cells, key, below, top, halt).partner
    opened = merge_maxima(cells, key, above, top, halt).partner
    square_of, edge_of = reduce(cells, killed, opened, workspace, halt)
    size = key.size
    first_square = np.zeros(size, np.int32)
    for s in range(cells.squares.size - 1, -1, -1):
        first_square[cells.squares[s]] = s
    masks, numbers = np.zeros((2, size), np.uint32), np.empty((2, size), np.int32)
    flags = np.zeros((2, size), np.bool_)
    return Complex(
        key.reshape(-1),
        star.reshape(-1),
        offsets_of(key.shape[2], key[0].size),
        cells,
        known,
        first_square,
        killed,
        opened,
        square_of,
        edge_of,
        masks[0],
        masks[1],
        numbers[0],
        flags[1],
        Heap(np.empty(size, key.dtype), numbers[1]),
        flags[0],
        halt,
    )


@device
def square_at(field, of, v, other):
    """Return the number of the critical square of v that is paired with a cell of another vertex, or -1.

    A negative vertex stands for one on the frame, where the window is least.
    """
    cells, s = of.cells, np.int64(of.first_square[_i(v)])
    while s < cells.squares.size and cells.squares[s] == v:
        at = cells.maxima[of.opened[s]] if of.opened[s] >= 0 else cells.edges[of.edge_of[s]]
        if at == other or (other < 0 and field.value[_i(at)] == field.value[_i(field.order[0])]):
            return s
        s += 1
    return np.int64(-1)


@device
def edge_at(field, of, v, other):
    """Return the number of the critical edge of v that is paired with a cell of another vertex, or -1.

    A negative vertex stands for one on the frame, where the window is least.
    """
    cells, e = of.cells, np.int64(of.first_edge[_i(v)])
    while e < cells.edges.size and cells.edges[e] == v:
        at = cells.minima[of.killed[e]] if of.killed[e] >= 0 else cells.squares[of.square_of[e]]
        if at == other or (other < 0 and field.value[_i(at)] == field.value[_i(field.order[0])]):
            return e
        e += 1
    return np.int64(-1)


@device
def is_before(key, owners, a, b):
    """Return whether critical cell a comes before b, a different one, in their list or by their owners."""
    first, second = key[_i(owners[_i(a)])], key[_i(owners[_i(b)])]
    return first < second or (first == second and a < b)
