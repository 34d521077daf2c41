"""Skeleton in 3D: separatrices of critical edges, as in 2D, and surfaces below critical squares.

The gradient is the steepest one, and critical cells of one vertex are in the order of their far corners. A surface goes
on from each edge of its squares to the square that the edge is matched with, as far as the gradient leads. Where it
comes to a critical edge that is paired with a critical square, and the pair is cancelled, it goes on with that square.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...cells import EDGES3
from ..image.persistence import as_integers
from ..image.skeleton import kept
from ..runtime.interrupt import halt_word, interruptible
from ..runtime.jit import allocating, device, kernel
from ..runtime.jit import unsigned as _i
from ..runtime.primitives import halted, twice
from ..runtime.threads import over_windows
from .persistence import (
    components_of,
    keys_of,
    mark_minima,
    room_of,
    voids_of,
)
from .reduce import reduce
from .steepest import (
    critical_cells,
    first_direction,
    gradient_rows,
    mark_maxima,
    matched_along,
    matched_upward,
    place_among,
    steps_of,
    trace_above,
    trace_below,
)
from .trace import offsets_of

Array = NDArray[Any]
_u = np.uint32


@interruptible(lambda x, *_: x.size >= 1 << 18)
def skeleton(x: Array, min_persistence: float, manifolds: Sequence[int]) -> Array:
    """Voxels of the separatrices (1) and surfaces (2) of N volumes; see `gpuph.ops.skeleton`."""
    mask = np.zeros(x.shape, bool)
    bits = as_integers(x)
    wanted, halt = (1 in manifolds, 2 in manifolds), halt_word()

    def run(start: int, stop: int) -> None:
        rows = slice(start, stop)
        key, _, known, chain = room_of(bits)
        word = np.empty(key.shape, np.int64)
        _skeletons(x[rows], bits[rows], min_persistence, *wanted, key, word, known, chain, mask[rows], halt)

    over_windows(len(x), run)
    return mask


@kernel
def _skeletons(x, bits, min_persistence, curves, surfaces, key, word, known, chain, mask, halt):
    """Skeletons of the volumes of a slice.

    x, mask : (N, D, H, W); bits : x as integers. key, known, chain : of `room_of`. word : as key, int64, scratch. mask
    stays False where there is a NaN. halt : see `halted`.
    """
    depth, height, width = key.shape
    area = height * width
    offsets = offsets_of(width, area)
    down = steps_of(offsets)
    value, marked = np.full(key.shape, np.inf, x.dtype), np.empty(key.shape, np.bool_)
    flat_key, flat_word, flat_value, flat_marked = (
        key.reshape(-1),
        word.reshape(-1),
        value.reshape(-1),
        marked.reshape(-1),
    )
    for i in range(len(x)):
        if keys_of(x[i], bits[i], False, key, word, known, 0, depth):
            continue
        value[1:-1, 1:-1, 1:-1] = x[i]
        owners, masks = gradient_rows(key, word, 1, depth - 1)
        if halted(halt):
            return
        cells = critical_cells(owners, masks, flat_key, offsets)
        minima, edges, edge_directions, squares, directions, maxima, cubes = cells
        below, above = np.empty((2, edges.size), np.int32), np.empty((2, squares.size), np.int32)
        mark_minima(cells[:6], known)
        trace_below(edges, edge_directions, flat_word, down, offsets, known, below)
        mark_maxima(maxima, cubes, offsets, known)
        trace_above(squares, directions, flat_word, width, area, offsets, known, above)
        if halted(halt):
            return
        killed = components_of(cells[:6], key, below, False, halt)[1]
        opened = voids_of(cells[:6], key, above, False, halt)[1]
        matrix = edges, killed, squares, directions, opened
        square_of, edge_of = reduce(flat_key, flat_word, width, area, *matrix, known, chain, halt)
        if halted(halt):
            return

        # Every edge ends a component or has a square, every square has an edge or opens a void.
        edge_lasts, square_lasts = np.empty(edges.size, np.bool_), np.empty(squares.size, np.bool_)
        for e in range(edges.size):
            born, died = (minima[killed[e]], edges[e]) if killed[e] >= 0 else (edges[e], squares[square_of[e]])
            edge_lasts[e] = flat_value[died] - flat_value[born] > min_persistence  # not so for two infinities
        for s in range(squares.size):
            born, died = (squares[s], maxima[opened[s]]) if opened[s] >= 0 else (edges[edge_of[s]], squares[s])
            square_lasts[s] = flat_value[died] - flat_value[born] > min_persistence

        marked[:] = False
        if curves:
            ways = kept(below, killed, edge_lasts, minima.size)
            for e in range(edges.size):
                if ways[e]:
                    _mark_down(edges[e], flat_word, down, flat_marked)
                    _mark_down(edges[e] + offsets[edge_directions[e], 0], flat_word, down, flat_marked)
            mask[i] = marked[1:-1, 1:-1, 1:-1]
        if surfaces:
            pairs = killed, edge_lasts, square_of, known
            _mark_surfaces(squares, directions, square_lasts, pairs, flat_key, flat_word, offsets, flat_marked, halt)
            mask[i] |= marked[1:-1, 1:-1, 1:-1]


@device
def _mark_down(v, word, down, marked):
    """Mark the way from a vertex down to a minimum, or to where another way has been."""
    while not marked[_i(v)]:
        marked[_i(v)] = True
        v += down[first_direction(word[_i(v)])]


@allocating
def _mark_surfaces(squares, directions, lasts, pairs, key, word, offsets, marked, halt):
    """Mark the vertices of all squares that the gradient leads to from the critical squares that last."""
    killed, edge_lasts, square_of, first_edge = pairs
    seen = np.zeros(key.size, np.uint32)  # for each vertex, the squares of its star
    stack, size = np.empty(1024, np.int64), 0
    for s in range(squares.size):
        if lasts[s]:
            stack, size = _push(squares[s], directions[s], seen, stack, size)
    while size > 0 and not halted(halt):
        size -= 1
        v, bit = stack[size] >> 5, stack[size] & 31
        p, q = _sides(bit)
        a, b = v + offsets[p, 0], v + offsets[q, 0]
        c = a + offsets[q, 0]
        marked[v] = marked[a] = marked[b] = marked[c] = True
        for u, w, direction in ((v, a, p), (v, b, q), (a, c, q), (b, c, p)):
            # The later end of an edge owns it.
            if not (key[u] > key[w] or (key[u] == key[w] and direction < 13)):
                u, direction = w, 26 - direction
            along = matched_along(word[u], direction)
            if along == 0:
                critical = _u(matched_upward(word[u])[6] & _u(EDGES3))
                e = first_edge[u] + place_among(word[u], critical, _u(1 << direction))
                if killed[e] < 0 and not edge_lasts[e]:
                    stack, size = _push(squares[square_of[e]], directions[square_of[e]], seen, stack, size)
            elif along != direction:  # not with the vertex
                stack, size = _push(u, direction + along - 13, seen, stack, size)


@allocating
def _push(v, bit, seen, stack, size):
    """Put a square on the stack, unless it has been there. Returns the stack and how much of it is used."""
    if seen[v] >> bit & 1:
        return stack, size
    seen[v] |= _u(1 << bit)
    if size == stack.size:
        stack = twice(stack)
    stack[size] = np.int64(v) << 5 | bit
    return stack, size + 1


@device
def _sides(bit):
    """The directions of the two edges at its owner of a square in a direction."""
    x, y, z = bit % 3 - 1, bit // 3 % 3 - 1, bit // 9 - 1
    if x == 0:
        return 13 + 3 * y, 13 + 9 * z
    return 13 + x, 13 + (9 * z if y == 0 else 3 * y)
