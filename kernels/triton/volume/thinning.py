"""Thinning of volumes: the cells that a step removes; see `..thinning`.

The 26 cells around a cube or a vertex are bits of a word, by their places. Of the faces of a cube, those beside it are
its squares, those at an edge of the 3 x 3 x 3 its edges, and those at a corner its vertices. The cofaces of a vertex
are in the same places, with the dimensions reversed, and two of them are comparable if and only if the faces are.
"""

from __future__ import annotations

import triton
import triton.language as tl

from ...cells import CUBES3, EDGES3, SQUARES3
from ..cell_words import (
    PRESENT,
    RING_U,
    RING_V,
    along,
    is_kept,
    is_run,
    is_single,
    is_sparse,
    load_removable,
    pair_around,
    ring_around,
    settle,
)
from .bits import NO_X, NO_Y, NO_Z

_BESIDE, _AT_EDGES, _AT_CORNERS = tl.constexpr(EDGES3), tl.constexpr(SQUARES3), tl.constexpr(CUBES3)
# The bits beside the middle along each axis, and those at edges of the 3 x 3 x 3 that run along it.
_BESIDE_X, _BESIDE_Y, _BESIDE_Z = (tl.constexpr(1 << 13 - step | 1 << 13 + step) for step in (1, 3, 9))
_ALONG_X, _ALONG_Y, _ALONG_Z = (tl.constexpr(SQUARES3 & no.value) for no in (NO_X, NO_Y, NO_Z))


@triton.jit
def peel_sides(words, corner, inside, row, layer, patience, step, BY_RING: tl.constexpr):
    """Remove the squares beside some vertices of the grid by their cubes, in odd steps, and in even ones edges by their
    vertices. If BY_RING, remove edges by their cubes and squares, and squares by their edges and vertices.

    Returns whether a removal concerns cells that may be removed in the next step, and whether cells were removed.
    """
    more, removed = inside & False, inside & False
    for axis in tl.static_range(3):  # along which there are two cells of one relation; those of the other are in a ring
        by, _ = along(axis, row, layer)
        is_along = (step & 1) != 0 if BY_RING else (step & 1) == 0  # the only axis along which the cell extends
        cell = corner + tl.where(is_along, by, layer + row + 1 - by)
        word, looks = load_removable(words, cell, inside, patience, step)
        count, place_of_pair, loose_pair = pair_around(words, cell, looks, axis, row, layer, patience, step)
        ring, place_in_ring, loose_ring = ring_around(
            words, cell, looks, (axis + 1) % 3, (axis + 2) % 3, row, layer, patience, step
        )
        if BY_RING:
            gone, place, loose = looks & is_run(ring), place_in_ring, loose_ring
            ends = is_single(ring) & (count == 0)
        else:
            gone, place, loose = looks & (count == 1), place_of_pair, loose_pair
            ends = ring == 0
        isolated = looks & (gone == 0) & tl.where(count != 0, ring == 0, (ring != 0) & is_sparse(ring))
        settle(words, cell, word, gone, ends, place, isolated, step)
        more |= gone & loose
        removed |= gone
    return more, removed


@triton.jit
def peel_ends(words, corner, inside, row, layer, patience, step):
    """Remove vertices of the grid by their cofaces, in odd steps, and in even ones cubes, by their faces.

    Returns the same as `peel_sides`.
    """
    cell = corner + tl.where((step & 1) == 0, layer + row + 1, 0)
    word, looks = load_removable(words, cell, inside, patience, step)
    bits, single, loose = tl.zeros_like(cell), tl.zeros_like(cell), inside & False
    for place in tl.static_range(27):
        if place != 13:
            other = cell + (place // 9 - 1) * layer + (place // 3 % 3 - 1) * row + place % 3 - 1
            near = tl.load(words + other, mask=looks, other=0)
            has = (near & PRESENT) != 0
            bits |= tl.where(has, 1 << place, 0)
            single |= tl.where(has, place, 0)  # its place, if it is the only one
            loose |= has & (is_kept(near, patience, step) == 0)
    gone = looks & _is_contractible(bits)
    isolated = looks & (gone == 0) & (bits != 0) & _is_antichain(bits)
    settle(words, cell, word, gone, is_single(bits), single, isolated, step)
    return gone & loose, gone


@triton.jit
def _is_contractible(bits):
    """Return whether sets of the 26 faces of a cube are contractible.

    They are parts of a sphere, so a set is contractible if it is connected and its Euler characteristic is 1. The
    characteristic is a sum over the faces, of 1 minus the characteristic of the smaller faces in the set: the number of
    vertices of an edge, or the number of runs around a square.
    """
    corners = bits & _AT_CORNERS
    characteristic = _count(bits) - _count(_beside_edges(bits, corners, 1)) - _count(_beside_edges(bits, corners, -1))
    first = _ring_bits(bits, 0)
    before = first
    for i in tl.static_range(1, 9):
        now = _ring_bits(bits, i) if i < 8 else first
        characteristic -= _count(bits & now & ~before)
        before = now
    reached = tl.where(characteristic == 1, bits & -bits, 0)
    grows = tl.max(reached, 0) != 0
    while grows:
        more = bits & (_closure(reached) | _star(reached))
        grows = tl.max((more != reached).to(tl.int32), 0) != 0
        reached = more
    return (bits != 0) & (reached == bits)


@triton.jit
def _beside_edges(bits, corners, SIGN: tl.constexpr):
    """Return the bits at edges, along each of which the next bit, or the one before, is that of a corner in the set."""
    if SIGN > 0:
        x, y, z = corners >> 1, corners >> 3, corners >> 9
    else:
        x, y, z = corners << 1, corners << 3, corners << 9
    return bits & ((_ALONG_X & x) | (_ALONG_Y & y) | (_ALONG_Z & z))


@triton.jit
def _ring_bits(bits, i: tl.constexpr):
    """Return, at the bits beside the middle, whether the i-th bit around them is set."""
    u, v = (RING_U >> 2 * i & 3) - 1, (RING_V >> 2 * i & 3) - 1
    x, y, z = _moved(bits, 3 * u + 9 * v), _moved(bits, u + 9 * v), _moved(bits, u + 3 * v)
    return (_BESIDE_X & x) | (_BESIDE_Y & y) | (_BESIDE_Z & z)


@triton.jit
def _moved(bits, by):
    return tl.where(by > 0, bits >> tl.maximum(by, 0), bits << tl.maximum(-by, 0))


@triton.jit
def _closure(bits):
    """Add the smaller faces in the closures of faces."""
    x = bits & NO_X
    bits |= x << 1 | x >> 1
    y = bits & NO_Y
    bits |= y << 3 | y >> 3
    z = bits & NO_Z
    return bits | z << 9 | z >> 9


@triton.jit
def _star(bits):
    """Add the larger faces around faces, and the cell in the middle."""
    bits |= (bits >> 1 | bits << 1) & NO_X
    bits |= (bits >> 3 | bits << 3) & NO_Y
    return bits | ((bits >> 9 | bits << 9) & NO_Z)


@triton.jit
def _is_antichain(bits):
    """Return whether no two faces are comparable."""
    below = _closure(bits & _BESIDE) & (_AT_EDGES | _AT_CORNERS)
    return (bits & (below | (_closure(bits & _AT_EDGES) & _AT_CORNERS))) == 0


@triton.jit
def _count(bits):
    """Return how many of 27 bits are set."""
    bits = bits - ((bits >> 1) & 0x55555555)
    bits = (bits & 0x33333333) + ((bits >> 2) & 0x33333333)
    bits = (bits + (bits >> 4)) & 0x0F0F0F0F
    bits += bits >> 8
    return (bits + (bits >> 16)) & 63
