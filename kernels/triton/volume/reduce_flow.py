"""Stars and squares as `reduce` needs them: the square that an edge is matched with, and the edges of a square.

All numbers are scalars, the same in all threads of a program. A direction is a bit of `cells.DIRECTIONS3`.
"""

from __future__ import annotations

import triton
import triton.language as tl

from ...cells import (
    ABOVE_BIT,
    BELOW_BIT,
    EAST_BIT,
    EDGES3,
    NO_X3,
    NO_Y3,
    NO_Z3,
    NORTH_BIT,
    SOUTH_BIT,
    VERTEX_BIT,
    WEST_BIT,
)
from .reduce_chain import highest

_EDGES = tl.constexpr(EDGES3)
_SIDES = BELOW_BIT, NORTH_BIT, WEST_BIT, EAST_BIT, SOUTH_BIT, ABOVE_BIT
_BELOW, _NORTH, _WEST, _EAST, _SOUTH, _ABOVE = (tl.constexpr(bit) for bit in _SIDES)
_TO_BELOW, _TO_NORTH, _TO_WEST, _TO_EAST, _TO_SOUTH, _TO_ABOVE = (tl.constexpr(1 << bit) for bit in _SIDES)
_VERTEX = tl.constexpr(VERTEX_BIT)
_NO_X, _NO_Y, _NO_Z = tl.constexpr(NO_X3), tl.constexpr(NO_Y3), tl.constexpr(NO_Z3)


@triton.jit
def match(star):
    """Match the cells of a star in the order of `cells`, along +x, -x, +y, -y, +z and -z in turn.

    Returns, for each of the six, the cells that are matched with a cell of the next higher dimension, and the critical
    edges.
    """
    s = star
    east = s & _NO_X & (s >> 1)
    s &= ~(east | east << 1)
    west = s & _NO_X & (s << 1)
    s &= ~(west | west >> 1)
    south = s & _NO_Y & (s >> 3)
    s &= ~(south | south << 3)
    north = s & _NO_Y & (s << 3)
    s &= ~(north | north >> 3)
    above = s & _NO_Z & (s >> 9)
    s &= ~(above | above << 9)
    below = s & _NO_Z & (s << 9)
    s &= ~(below | below >> 9)
    return east, west, south, north, above, below, s & _EDGES


@triton.jit
def square_of(edges, east, west, south, north, above):
    """Return the two directions of the square that an edge is matched with: of the edge, and along which it is matched.

    The edge is the latest one in `edges`. The other arguments are those that `match` returns.
    """
    first = highest(edges)
    edge = 1 << first
    second = tl.where((edge & above) != 0, _ABOVE, _BELOW)
    second = tl.where((edge & north) != 0, _NORTH, second)
    second = tl.where((edge & south) != 0, _SOUTH, second)
    second = tl.where((edge & west) != 0, _WEST, second)
    second = tl.where((edge & east) != 0, _EAST, second)
    return first, second


@triton.jit
def directions_of(square):
    """Return the two directions of a square from its number among the squares, in order of their bits."""
    bit = 2 * square + tl.where(square < 6, 1, 3)
    dx, dy, dz = bit % 3 - 1, bit // 3 % 3 - 1, bit // 9 - 1
    first = tl.where(dx == 0, 3 * dy + _VERTEX, dx + _VERTEX)
    second = tl.where(dz == 0, 3 * dy + _VERTEX, 9 * dz + _VERTEX)
    return first, second


@triton.jit
def outwards(v, depth, height, width):
    """Return the edges of v that lead out of the window."""
    row = v // width
    x, y, z = v - row * width, row % height, row // height
    edges = tl.where(x == 0, _TO_WEST, 0) | tl.where(x == width - 1, _TO_EAST, 0)
    edges |= tl.where(y == 0, _TO_NORTH, 0) | tl.where(y == height - 1, _TO_SOUTH, 0)
    return edges | tl.where(z == 0, _TO_BELOW, 0) | tl.where(z == depth - 1, _TO_ABOVE, 0)


@triton.jit
def far_edges(values, star, v, p, q, out, height, width, TOP: tl.constexpr):
    """Return the two far edges of the square that v spans with its edges in directions p and q: those not at v.

    Returns owner, order key and mask of both. The mask is 0 where the edge does not count: where it is matched with its
    owner, and so leads nowhere, or where it is outside, where every loop can be contracted.
    """
    step_p, step_q = _step(p, height, width), _step(q, height, width)
    a, b, c = v + step_p, v + step_q, v + step_p + step_q
    p_out, q_out = (out >> p & 1) != 0, (out >> q & 1) != 0
    key_a, key_b = key_of(values, a, p_out == 0, TOP), key_of(values, b, q_out == 0, TOP)
    key_c = key_of(values, c, (p_out | q_out) == 0, TOP)
    a_later = q_out | (key_a > key_c) | ((key_a == key_c) & (q < _VERTEX))
    b_later = p_out | (key_b > key_c) | ((key_b == key_c) & (p < _VERTEX))
    owner_a, owner_b = tl.where(a_later, a, c), tl.where(b_later, b, c)
    edge_a = _beyond_vertex(star, owner_a, tl.where(a_later, q, 26 - q), p_out == 0)
    edge_b = _beyond_vertex(star, owner_b, tl.where(b_later, p, 26 - p), q_out == 0)
    return owner_a, tl.where(a_later, key_a, key_c), edge_a, owner_b, tl.where(b_later, key_b, key_c), edge_b


@triton.jit
def _beyond_vertex(star, v, direction, there):
    """Return the mask of an edge of v, or 0 if v is matched with it, the first of E, W, S, N, above and below.

    An edge comes before another in this order if its bit is nearer to the vertex's, 13, or as near and higher.
    """
    nearer = (1 << tl.maximum(direction, 27 - direction)) - (2 << tl.minimum(direction, 26 - direction))
    cells = tl.load(star + v, mask=there, other=0)
    return tl.where((cells & nearer & _EDGES) != 0, 1 << direction, 0)


@triton.jit
def _step(direction, height, width):
    """Return how far an edge leads, as a difference of flat indices."""
    away = direction - _VERTEX
    size = tl.abs(away)
    cells = tl.where(size == 1, 1, tl.where(size == 3, width, height * width))
    return tl.where(away < 0, -cells, cells)


@triton.jit
def key_of(values, i, there, TOP: tl.constexpr):
    """Return the order keys of voxels: integers in the order of their values, or in T of the negatives; -0 equals 0."""
    value = tl.load(values + i, mask=there, other=0.0)
    bits = value.to(tl.int32 if value.dtype == tl.float32 else tl.int64, bitcast=True)
    size = bits & ((1 << (bits.dtype.primitive_bitwidth - 1)) - 1)
    return tl.where((bits < 0) != TOP, -size, size)
