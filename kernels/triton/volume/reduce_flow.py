"""Stars and squares as `reduce` looks at them: which square an edge is matched with, and what edges a square has.

All numbers are scalars, the same in all threads of a program. A direction is a bit of `cells.DIRECTIONS3`.
"""

from __future__ import annotations

import triton
import triton.language as tl

from ...cells import EDGES3, NO_X3, NO_Y3, NO_Z3
from .reduce_chain import highest

_EDGES = tl.constexpr(EDGES3)
_NO_X, _NO_Y, _NO_Z = tl.constexpr(NO_X3), tl.constexpr(NO_Y3), tl.constexpr(NO_Z3)


@triton.jit
def match(star):
    """Match the cells of a star along +x, -x, +y, -y, +z, -z in turn.

    Returns the cells that are matched with the next higher dimension, for each of the six, and the critical edges.
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
    """The two directions of a square, the first of a matched edge and the second of the edge across."""
    first = highest(edges)
    edge = 1 << first
    second = tl.where((edge & above) != 0, 22, 4)
    second = tl.where((edge & north) != 0, 10, second)
    second = tl.where((edge & south) != 0, 16, second)
    second = tl.where((edge & west) != 0, 12, second)
    second = tl.where((edge & east) != 0, 14, second)
    return first, second


@triton.jit
def directions_of(square):
    """The two directions of a square that is a number among those of squares, in order of their bits."""
    bit = 2 * square + tl.where(square < 6, 1, 3)
    dx, dy, dz = bit % 3 - 1, bit // 3 % 3 - 1, bit // 9 - 1
    first = tl.where(dx == 0, 13 + 3 * dy, 13 + dx)
    second = tl.where(dz == 0, 13 + 3 * dy, 13 + 9 * dz)
    return first, second


@triton.jit
def outwards(v, depth, height, width):
    """The edges of v that lead out of the window."""
    row = v // width
    x, y, z = v - row * width, row % height, row // height
    edges = tl.where(x == 0, 1 << 12, 0) | tl.where(x == width - 1, 1 << 14, 0)
    edges |= tl.where(y == 0, 1 << 10, 0) | tl.where(y == height - 1, 1 << 16, 0)
    return edges | tl.where(z == 0, 1 << 4, 0) | tl.where(z == depth - 1, 1 << 22, 0)


@triton.jit
def far_edges(values, star, v, p, q, out, height, width, TOP: tl.constexpr):
    """The two edges that do not touch v of the square that v spans with its edges in directions p and q.

    Returns owner, order key and mask of both. The mask is 0 where the edge does not count: where it is matched with its
    owner, which ends what it leads to, or in the ring, which is a ball, where every loop ends.
    """
    step_p, step_q = _step(p, height, width), _step(q, height, width)
    a, b, c = v + step_p, v + step_q, v + step_p + step_q
    p_out, q_out = (out >> p & 1) != 0, (out >> q & 1) != 0
    key_a, key_b = key_of(values, a, p_out == 0, TOP), key_of(values, b, q_out == 0, TOP)
    key_c = key_of(values, c, (p_out | q_out) == 0, TOP)
    a_later = q_out | (key_a > key_c) | ((key_a == key_c) & (q < 13))
    b_later = p_out | (key_b > key_c) | ((key_b == key_c) & (p < 13))
    owner_a, owner_b = tl.where(a_later, a, c), tl.where(b_later, b, c)
    edge_a = _beyond_vertex(star, owner_a, tl.where(a_later, q, 26 - q), p_out == 0)
    edge_b = _beyond_vertex(star, owner_b, tl.where(b_later, p, 26 - p), q_out == 0)
    return owner_a, tl.where(a_later, key_a, key_c), edge_a, owner_b, tl.where(b_later, key_b, key_c), edge_b


@triton.jit
def _beyond_vertex(star, v, direction, there):
    """The mask of an edge of v, or 0 if v is matched with it: with the first of E, W, S, N, above, below in the star.

    What comes first has a bit nearer to the vertex's, 13, or as near and higher.
    """
    nearer = (1 << tl.maximum(direction, 27 - direction)) - (2 << tl.minimum(direction, 26 - direction))
    cells = tl.load(star + v, mask=there, other=0)
    return tl.where((cells & nearer & _EDGES) != 0, 1 << direction, 0)


@triton.jit
def _step(direction, height, width):
    """How far an edge leads, in the flat index."""
    away = direction - 13
    size = tl.abs(away)
    cells = tl.where(size == 1, 1, tl.where(size == 3, width, height * width))
    return tl.where(away < 0, -cells, cells)


@triton.jit
def key_of(values, i, there, TOP: tl.constexpr):
    """The order key of a voxel: an integer of the same order as its value, or as its negative. Zeros are equal."""
    value = tl.load(values + i, mask=there, other=0.0)
    bits = value.to(tl.int32 if value.dtype == tl.float32 else tl.int64, bitcast=True)
    size = bits & ((1 << (bits.dtype.primitive_bitwidth - 1)) - 1)
    return tl.where((bits < 0) != TOP, -size, size)
