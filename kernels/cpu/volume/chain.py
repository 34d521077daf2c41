"""Chain: the edges modulo 2 by which `reduce` replaces the boundary of a square, step by step.

A chain stores its edges as one byte for each vertex that owns some, and these vertices in a heap. All edges of a star
are therefore available at its turn: those that lead on inside the star are replaced before a critical one is taken, and
edges that meet cancel. An edge that is matched with its vertex is left out at once.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...cells import (
    ABOVE_BIT,
    BELOW_BIT,
    EAST_BIT,
    EDGES3,
    MATCHING_EDGE_BITS,
    NORTH_BIT,
    SOUTH_BIT,
    VERTEX_BIT,
    WEST_BIT,
)
from ..runtime.heap import push
from ..runtime.jit import inlined
from ..runtime.jit import unsigned as _i
from ..runtime.primitives import trailing_zeros
from .stars import matched_upward, matched_with_vertex

Array = NDArray[Any]
_u = np.uint32
_0, _1 = _u(0), _u(1)
_EDGES = _u(EDGES3)

# The edges of a vertex in a chain are a byte, one bit each. Another bit marks vertices in the heap or, in what is left
# of a chain, that more vertices follow.
EDGE_BYTE, BYTE_MASK = np.zeros(27, np.uint8), np.zeros(64, np.uint32)
for _place, _bit in enumerate(MATCHING_EDGE_BITS):
    EDGE_BYTE[_bit] = 1 << _place
    BYTE_MASK[np.arange(64) >> _place & 1 > 0] |= 1 << _bit
ALL, QUEUED, MORE = 63, 64, 64


class Grid(NamedTuple):
    """The grid with its ring, as flat arrays."""

    key: Array  # (cells,)
    star: Array  # (cells,) uint32, or words, int64; see `stars`
    offsets: Array  # (27, 3), see `trace.offsets_of`


class Heap(NamedTuple):
    """The vertices of a chain; see `runtime.heap`."""

    key: Array
    vertex: Array  # int32


class Chain(NamedTuple):
    """A chain: the edges of each vertex as a byte, and the vertices in a heap, of which the caller knows the size."""

    edges: Array  # (cells,) uint8, all 0 in an empty chain
    heap: Heap


@inlined
def flow(v, edges, grid, chain, size):
    """Replace edges that v owns by the edges they lead to, as long as they are matched.

    Returns the critical ones among them and among the edges of v that they lead to, all critical edges of v, and the
    size of the heap.
    """
    offsets = grid.offsets
    x, minus_x, y, minus_y, z, minus_z, s = matched_upward(grid.star[_i(v)])
    matched = _u(_u(_u(x | minus_x) | _u(y | minus_y)) | _u(_u(z | minus_z)))
    while True:
        some = _u(edges & matched)
        if some == _0:
            break
        edge = _u(some & _u(-some))
        if edge & _u(x | minus_x):
            across = EAST_BIT if edge & x else WEST_BIT
        elif edge & _u(y | minus_y):
            across = SOUTH_BIT if edge & y else NORTH_BIT
        else:
            across = ABOVE_BIT if edge & z else BELOW_BIT
        bit = np.int64(trailing_zeros(edge))
        # The edge is one of the four of a square; another one is also owned by v, and two are opposite to these.
        edges ^= _u(edge | _u(_1 << _u(across)))
        a, b = v + offsets[_i(bit), 0], v + offsets[_i(across), 0]
        c = a + offsets[_i(across), 0]
        size = _add_edge(a, c, across, grid, chain, size)
        size = _add_edge(b, c, bit, grid, chain, size)
    critical = _u(s & _EDGES)
    return _u(edges & critical), critical, size


@inlined
def add_square(v, bit, grid, chain):
    """Begin a chain with the four edges of the square of v with that bit, and return the size of the heap."""
    key, offsets = grid.key, grid.offsets
    p, q = edges_of_square(bit)
    a, b = v + offsets[_i(p), 0], v + offsets[_i(q), 0]
    c = a + offsets[_i(q), 0]
    size = toggle(v, EDGE_BYTE[_i(p)] | EDGE_BYTE[_i(q)], key[_i(v)], chain, 0)
    size = _add_edge(a, c, q, grid, chain, size)
    return _add_edge(b, c, p, grid, chain, size)


@inlined
def edges_of_square(bit):
    """Return the bits of the two edges at the owner of a square with that bit."""
    x, y, z = bit % 3 - 1, bit // 3 % 3 - 1, bit // 9 - 1
    if x == 0:
        p, q = 13 + 3 * y, 13 + 9 * z
    elif y == 0:
        p, q = 13 + x, 13 + 9 * z
    else:
        p, q = 13 + x, 13 + 3 * y
    return p, q


@inlined
def _add_edge(a, b, bit, grid, chain, size):
    """Toggle the edge from a, in the direction of a bit, to b, unless it is matched with the later end, its owner.

    Edges in the ring do not count either, because the ring is a ball: its stars are empty.
    """
    v, k, bit = owned(a, b, bit, grid.key)
    if matched_with_vertex(grid.star[_i(v)], bit):
        return size
    return toggle(v, EDGE_BYTE[_i(bit)], k, chain, size)


@inlined
def owned(a, b, bit, key):
    """Return the owner of the edge from a, in the direction of a bit, to b, its key, and the bit there."""
    key_a, key_b = key[_i(a)], key[_i(b)]
    v, k = b, key_b
    if (key_a > key_b) | ((key_a == key_b) & (bit < VERTEX_BIT)):
        v, k = a, key_a
    else:
        bit = 26 - bit
    return v, k, bit


@inlined
def toggle(v, edges, k, chain, size):
    """Toggle edges of v in the chain; a vertex that is new to the chain is pushed onto the heap. Returns its size."""
    had = chain.edges[_i(v)]
    chain.edges[_i(v)] = had ^ edges | QUEUED
    if had != 0:
        return size
    return push(chain.heap, size, k, v)
