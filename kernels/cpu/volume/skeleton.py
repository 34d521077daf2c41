"""Skeleton: the separatrices of critical edges, as for images, and the surfaces below critical squares.

The gradient is the steepest one, and critical cells of one vertex are in the order of their far corners. A surface
continues from each edge of its squares to the square that the edge is matched with, as far as the gradient leads. At a
critical edge whose pair with a critical square is cancelled, it continues with that square.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...cells import EDGES3, VERTEX_BIT
from ..image.skeleton import separatrices
from ..order import as_integers
from ..runtime.interrupt import halt_word, interruptible
from ..runtime.jit import allocating, device, kernel
from ..runtime.jit import unsigned as _i
from ..runtime.primitives import halted, twice
from ..runtime.threads import over_windows
from ..runtime.views import flat
from .chain import edges_of_square
from .persistence import allocate_workspace, merge_maxima, merge_minima, start
from .reduce import reduce
from .steepest import (
    first_edge_bit,
    mark_cubes,
    matched_along,
    matched_upward,
    place_among,
    sorted_critical_cells,
    steepest_gradient,
    steps_of,
    trace_above,
    trace_below,
)
from .trace import mark_minima, offsets_of

Array = NDArray[Any]
_u = np.uint32


class _Grid(NamedTuple):
    """The grid with its ring, as flat arrays."""

    key: Array
    word: Array  # see `steepest`
    value: Array  # the volume; +inf on the ring
    marked: Array  # bool
    offsets: Array  # see `trace.offsets_of`


class _Pairs(NamedTuple):
    """The pairs of the critical edges and squares, and whether they last."""

    killed: Array  # for each edge, the minimum whose class it ends, or -1
    square_of: Array  # for each edge, the square that ends its loop, or -1
    edge_lasts: Array  # whether the pair of an edge is not cancelled
    square_lasts: Array  # likewise for squares


@interruptible(lambda x, *_: x.size >= 1 << 18)
def skeleton(x: Array, min_persistence: float, manifolds: Sequence[int]) -> Array:
    """Mark the separatrices (1) and surfaces (2) of N volumes; see `gpuph.ops.skeleton`."""
    mask = np.zeros(x.shape, bool)
    wanted, halt = (1 in manifolds, 2 in manifolds), halt_word()

    def run(start: int, stop: int) -> None:
        rows = slice(start, stop)
        workspace = allocate_workspace(x.shape[1:], as_integers(x).dtype)
        workspace = workspace._replace(star=np.empty(workspace.key.shape, np.int64))  # words
        _skeletons(x[rows], min_persistence, wanted, workspace, mask[rows], halt)

    over_windows(len(x), run)
    return mask


@kernel
def _skeletons(x, min_persistence, wanted, workspace, mask, halt):
    """Mark the skeletons of the volumes of a slice.

    x, mask : (N, D, H, W). wanted : curves and surfaces. halt : see `halted`. The mask of a volume with a NaN is not
    written.
    """
    key, word, known = workspace.key, workspace.star, workspace.known
    value, marked = np.full(key.shape, np.inf, x.dtype), np.empty(key.shape, np.bool_)
    offsets = offsets_of(key.shape[2], key[0].size)
    down = steps_of(offsets)
    grid = _Grid(flat(key), flat(word), flat(value), flat(marked), offsets)
    for i in range(len(x)):
        if start(x[i], False, workspace, 0, len(key)):
            continue
        value[1:-1, 1:-1, 1:-1] = x[i]
        owners, masks = steepest_gradient(key, word, 1, len(key) - 1)
        if halted(halt):
            return
        cells, cube_bits = sorted_critical_cells(owners, masks, grid.key, offsets)
        edges = cells.edges
        below, above = np.empty((2, edges.size), np.int32), np.empty((2, cells.squares.size), np.int32)
        mark_minima(cells, known)
        trace_below(cells, grid.word, down, offsets, known, below)
        mark_cubes(cells, cube_bits, offsets, known)
        trace_above(cells, grid.word, offsets, known, above)
        if halted(halt):
            return
        killed = merge_minima(cells, key, below, False, halt).partner
        opened = merge_maxima(cells, key, above, False, halt).partner
        square_of, edge_of = reduce(cells, killed, opened, workspace, halt)
        if halted(halt):
            return
        edge_lasts, square_lasts = np.empty(edges.size, np.bool_), np.empty(cells.squares.size, np.bool_)
        pairs = _Pairs(killed, square_of, edge_lasts, square_lasts)
        _find_lasting(cells, pairs, opened, edge_of, grid.value, min_persistence)

        marked[:] = False
        if wanted[0]:
            on_separatrix = separatrices(below, killed, edge_lasts, cells.minima.size)
            for e in range(edges.size):
                if on_separatrix[e]:
                    _mark_path(edges[e], grid, down)
                    _mark_path(edges[e] + offsets[cells.edge_bits[e], 0], grid, down)
            mask[i] = marked[1:-1, 1:-1, 1:-1]
        if wanted[1]:
            _mark_surfaces(cells, pairs, known, grid, halt)
            mask[i] |= marked[1:-1, 1:-1, 1:-1]


@device
def _find_lasting(cells, pairs, opened, edge_of, value, min_persistence):
    """Write which edges and squares have pairs that last longer than a minimum.

    Every edge ends a component or has a square, and every square has an edge or opens a void.
    """
    minima, maxima, edges, squares = cells.minima, cells.maxima, cells.edges, cells.squares
    killed, square_of = pairs.killed, pairs.square_of
    for e in range(edges.size):
        born, died = (minima[killed[e]], edges[e]) if killed[e] >= 0 else (edges[e], squares[square_of[e]])
        pairs.edge_lasts[e] = value[died] - value[born] > min_persistence  # False for two infinities
    for s in range(squares.size):
        born, died = (squares[s], maxima[opened[s]]) if opened[s] >= 0 else (edges[edge_of[s]], squares[s])
        pairs.square_lasts[s] = value[died] - value[born] > min_persistence


@device
def _mark_path(v, grid, down):
    """Mark the path from a vertex down to a minimum, or to a vertex that is marked already."""
    marked = grid.marked
    while not marked[_i(v)]:
        marked[_i(v)] = True
        v += down[first_edge_bit(grid.word[_i(v)])]


@allocating
def _mark_surfaces(cells, pairs, first_edge, grid, halt):
    """Mark the vertices of all squares that the gradient leads to from the critical squares that last.

    first_edge : (cells,), see `reduce.Matrix`.
    """
    key, word, marked, offsets = grid.key, grid.word, grid.marked, grid.offsets
    squares, square_bits = cells.squares, cells.square_bits
    seen = np.zeros(key.size, np.uint32)  # for each vertex, the squares of its star
    stack, size = np.empty(1024, np.int64), 0
    for s in range(squares.size):
        if pairs.square_lasts[s]:
            stack, size = _push(squares[s], square_bits[s], seen, stack, size)
    while size > 0 and not halted(halt):
        size -= 1
        v, bit = stack[size] >> 5, stack[size] & 31
        p, q = edges_of_square(bit)
        a, b = v + offsets[p, 0], v + offsets[q, 0]
        c = a + offsets[q, 0]
        marked[v] = marked[a] = marked[b] = marked[c] = True
        for u, w, edge in ((v, a, p), (v, b, q), (a, c, q), (b, c, p)):
            # The later end of an edge owns it.
            if not (key[u] > key[w] or (key[u] == key[w] and edge < VERTEX_BIT)):
                u, edge = w, 26 - edge
            along = matched_along(word[u], edge)
            if along == 0:
                critical = _u(matched_upward(word[u])[6] & _u(EDGES3))
                e = first_edge[u] + place_among(word[u], critical, _u(1 << edge))
                if pairs.killed[e] < 0 and not pairs.edge_lasts[e]:
                    s = pairs.square_of[e]
                    stack, size = _push(squares[s], square_bits[s], seen, stack, size)
            elif along != edge:  # matched with a square, not with the vertex
                stack, size = _push(u, edge + along - VERTEX_BIT, seen, stack, size)


@allocating
def _push(v, bit, seen, stack, size):
    """Push a square that has not been on the stack before. Return the stack and its size."""
    if seen[v] >> bit & 1:
        return stack, size
    seen[v] |= _u(1 << bit)
    if size == stack.size:
        stack = twice(stack)
    stack[size] = np.int64(v) << 5 | bit
    return stack, size + 1
