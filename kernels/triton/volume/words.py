"""Words: lower stars with the order of their lower neighbours, for the steepest gradient of skeletons.

A word, int64, is that of the CPU (`kernels/cpu/volume/steepest.py`): a star in its 27 lower bits, and above it five
bits for each lower neighbour of the vertex, the bits of the edges to them in a star, the lowest neighbour first. The
cells of the star are matched along these edges in turn, and the vertex is led along the first. A minimum has none.

The stages that follow the gradient take stars, int32, or words. Triton chooses the matching by this type when it
compiles a kernel. The same holds for critical cells. In the fixed order, the number of a cell is an int32 made of its
owner and its direction. Beside words, it is an int64 that also holds a rank, because the critical cells of one owner
come in the order of their far corners.
"""

from __future__ import annotations

import triton
import triton.language as tl

from ...cells import EDGES3
from .bits import ABOVE, BELOW, EAST, NO_X, NO_Y, NO_Z, NORTH, SOUTH, VERTEX, WEST

_EDGES = tl.constexpr(EDGES3)
_STAR = tl.constexpr((1 << 27) - 1)
_STAR_BITS, _DIRECTION = tl.constexpr(27), tl.constexpr(31)


@triton.jit
def word_of_star(star, order):
    """Return the words of stars and of the edges to their lower neighbours, five bits each, both int32."""
    return star.to(tl.int64) | order.to(tl.int64) << _STAR_BITS


@triton.jit
def star_and_order(word):
    """Return the stars of words, and the edges to their lower neighbours, five bits each, both int32."""
    return word.to(tl.int32) & _STAR, (word >> _STAR_BITS).to(tl.int32)


@triton.jit
def match_in_order(star, order):
    """Match the cells of stars along their edges in the given order.

    Returns, for +x, -x, +y, -y, +z and -z, the cells that are matched with a cell of the next higher dimension, and
    those that stay critical.
    """
    left = star
    east = tl.zeros_like(star)
    west, south, north, above, below = east, east, east, east, east
    for turn in tl.static_range(6):
        direction = order >> 5 * turn & _DIRECTION
        low = _matched(left, direction)
        left ^= low | _moved(low, direction)
        east |= tl.where(direction == EAST, low, 0)
        west |= tl.where(direction == WEST, low, 0)
        south |= tl.where(direction == SOUTH, low, 0)
        north |= tl.where(direction == NORTH, low, 0)
        above |= tl.where(direction == ABOVE, low, 0)
        below |= tl.where(direction == BELOW, low, 0)
    return east, west, south, north, above, below, left


@triton.jit
def match_word(word):
    """Match the cells of words; see `reduce_flow.match`. The critical edges come as words, with their order."""
    star, order = star_and_order(word)
    east, west, south, north, above, below, left = match_in_order(star, order)
    return east, west, south, north, above, below, word_of_star(left & _EDGES, order)


@triton.jit
def matched_along(word, cell):
    """Return the bits of the edges along which cells, given by their bits, are matched, or 0."""
    left, order = star_and_order(word)
    found = tl.zeros_like(left)
    for turn in tl.static_range(6):
        direction = order >> 5 * turn & _DIRECTION
        low = _matched(left, direction)
        both = low | _moved(low, direction)
        left ^= both
        found = tl.where((both >> cell & 1) != 0, direction, found)
    return found


@triton.jit
def _matched(left, direction):
    """Return the cells of a star that are matched upwards along an edge; none along 0, which stands for no edge."""
    size = tl.abs(direction - VERTEX)
    without = tl.where(size == 1, NO_X, tl.where(size == 3, NO_Y, tl.where(size == 9, NO_Z, 0)))
    return left & without & _moved(left, 2 * VERTEX - direction)


@triton.jit
def _moved(cells, direction):
    """Return cells that are moved by one step along an edge."""
    away = direction - VERTEX
    return cells << tl.maximum(away, 0) >> tl.maximum(-away, 0)


@triton.jit
def first_edge_bit(word):
    """Return the bits of the edges along which the vertices of words are led, or 0."""
    return (word >> _STAR_BITS).to(tl.int32) & _DIRECTION


@triton.jit
def leads_to_square(word, direction):
    """Return whether an edge is not matched with the vertex of its word; no edge of an empty word counts."""
    first = first_edge_bit(word)
    return (first != direction) & (first != 0)


@triton.jit
def rank_among(critical, direction):
    """Return how many critical edges of a vertex, given as a word, come before the one in a direction."""
    edges, order = star_and_order(critical)
    rank = tl.zeros_like(edges)
    ahead = rank == 0
    for turn in tl.static_range(6):
        bit = order >> 5 * turn & _DIRECTION
        ahead &= bit != direction
        rank += tl.where(ahead, edges >> bit & 1, 0)
    return rank


@triton.jit
def last_edge_bit(edges, critical):
    """Return the bit of the last of some critical edges, a mask, of a vertex with these critical edges, a word."""
    _, order = star_and_order(critical)
    last = tl.zeros_like(order)
    for turn in tl.static_range(6):
        bit = order >> 5 * turn & _DIRECTION
        last = tl.where((edges >> bit & 1) != 0, bit, last)
    return last


@triton.jit
def packed_cell(owner, rank, direction):
    """Return the numbers of critical cells with ranks."""
    return owner.to(tl.int64) << 8 | rank.to(tl.int64) << 4 | direction.to(tl.int64)


@triton.jit
def unpacked_cell(cell, EACH: tl.constexpr):
    """Return the owners, ranks and directions of critical cells, of which a voxel has EACH numbers.

    In the fixed order, directions are ranks.
    """
    if cell.dtype == tl.int64:
        owner, direction = (cell >> 8).to(tl.int32), (cell & 15).to(tl.int32)
        rank = (cell >> 4 & 15).to(tl.int32)
    else:
        owner, direction = cell // EACH, cell % EACH
        rank = direction
    return owner, rank, direction
