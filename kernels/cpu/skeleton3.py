"""Skeleton in 3D: separatrices of critical edges, as in 2D, and surfaces below critical squares.

A surface goes on from each edge of its squares to the square that the edge is matched with, as far as the gradient
leads. Where it comes to a critical edge that is paired with a critical square, and the pair is cancelled, it goes on
with that square.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..cells import EDGES3, NO_X3, NO_Y3, NO_Z3
from .jit import allocating, device, kernel
from .jit import unsigned as _i
from .persistence import as_integers
from .persistence3 import (
    cells_of,
    components_of,
    gradient_of,
    keys_of,
    mark_maxima,
    mark_minima,
    room_of,
    trace_above,
    trace_below,
    voids_of,
)
from .primitives import bits_set, twice
from .reduce import reduce
from .skeleton import kept
from .threads import over_windows
from .trace3 import edges_hash, offsets_of, steps_of

Array = NDArray[Any]
_u = np.uint32


def skeleton3(x: Array, min_persistence: float, manifolds: Sequence[int]) -> Array:
    """Voxels of the separatrices (1) and surfaces (2) of N volumes; see `gpuph.ops.skeleton`."""
    mask = np.zeros(x.shape, bool)
    bits = as_integers(x)
    wanted = 1 in manifolds, 2 in manifolds

    def run(start: int, stop: int) -> None:
        rows = slice(start, stop)
        _skeletons(x[rows], bits[rows], min_persistence, *wanted, *room_of(bits), mask[rows])

    over_windows(len(x), run)
    return mask


@kernel
def _skeletons(x, bits, min_persistence, curves, surfaces, key, star, known, chain, mask):
    """Skeletons of the volumes of a slice.

    x, mask : (N, D, H, W); bits : x as integers. key, star, known, chain : of `room_of`. Stays False where there is a
    NaN.
    """
    depth, height, width = key.shape
    area = height * width
    value, marked = np.full(key.shape, np.inf, x.dtype), np.empty(key.shape, np.bool_)
    flat_key, flat_star, flat_value, flat_marked = (
        key.reshape(-1),
        star.reshape(-1),
        value.reshape(-1),
        marked.reshape(-1),
    )
    for i in range(len(x)):
        if keys_of(x[i], bits[i], False, key, star, known, 0, depth):
            continue
        value[1:-1, 1:-1, 1:-1] = x[i]
        cells = cells_of(*gradient_of(key, star, 0, depth - 2))
        minima, edges, edge_directions, squares, directions, maxima = cells
        below, above = np.empty((2, edges.size), np.int32), np.empty((2, squares.size), np.int32)
        mark_minima(cells, known)
        trace_below(cells, star, known, below, 0, edges.size)
        mark_maxima(cells, star, known)
        trace_above(cells, star, known, above, 0, squares.size)
        killed, opened = components_of(cells, key, below, False)[1], voids_of(cells, key, above, False)[1]
        square_of, edge_of = reduce(
            flat_key, flat_star, width, area, edges, killed, squares, directions, opened, known, chain
        )

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
            down, _ = steps_of(width, area)
            offsets = offsets_of(width, area)
            ways = kept(below, killed, edge_lasts, minima.size)
            for e in range(edges.size):
                if ways[e]:
                    _mark_down(edges[e], flat_star, down, flat_marked)
                    _mark_down(edges[e] + offsets[edge_directions[e], 0], flat_star, down, flat_marked)
            mask[i] = marked[1:-1, 1:-1, 1:-1]
        if surfaces:
            matrix = killed, edge_lasts, square_of, known
            _mark_surfaces(squares, directions, square_lasts, matrix, flat_key, flat_star, width, area, flat_marked)
            mask[i] |= marked[1:-1, 1:-1, 1:-1]


@device
def _mark_down(v, star, down, marked):
    """Mark the way from a vertex down to a minimum, or to where another way has been."""
    while not marked[_i(v)]:
        marked[_i(v)] = True
        v += down[edges_hash(star[_i(v)])]


@allocating
def _mark_surfaces(squares, directions, lasts, matrix, key, star, width, area, marked):
    """Mark the vertices of all squares that the gradient leads to from the critical squares that last."""
    killed, edge_lasts, square_of, first_edge = matrix
    offsets = offsets_of(width, area)
    seen = np.zeros(key.size, np.uint32)  # for each vertex, the squares of its star
    stack, size = np.empty(1024, np.int64), 0
    for s in range(squares.size):
        if lasts[s]:
            stack, size = _push(squares[s], directions[s], seen, stack, size)
    while size > 0:
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
            partner, critical = _matched_above(star[u], direction)
            if partner >= 0:
                stack, size = _push(u, partner, seen, stack, size)
            elif critical >> direction & 1:
                before = critical & EDGES3 & ((1 << direction) - 1)
                e = first_edge[u] + bits_set(_u(before))
                if killed[e] < 0 and not edge_lasts[e]:
                    stack, size = _push(squares[square_of[e]], directions[square_of[e]], seen, stack, size)


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


@device
def _matched_above(star, bit):
    """Replay the matching of a star: the cell of one more dimension that a cell is matched with, or -1.

    Returns it, and the cells that were not matched before the cell was, which are the critical ones where it is one.
    """
    s = np.int64(star)
    for without, shift in ((NO_X3, 1), (NO_Y3, 3), (NO_Z3, 9)):
        low = s & without & (s >> shift)
        if low >> bit & 1:
            return bit + shift, s
        if low << shift >> bit & 1:
            return -1, 0
        s &= ~(low | low << shift)
        low = s & without & (s << shift)
        if low >> bit & 1:
            return bit - shift, s
        if low >> shift >> bit & 1:
            return -1, 0
        s &= ~(low | low >> shift)
    return -1, s
