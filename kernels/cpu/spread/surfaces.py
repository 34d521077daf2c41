"""Surfaces in volumes: a disc that closes a void or ends a loop, and a wall that breaks a loop or parts two components.

Both are found by the matrix reduction, see `volume.reduce`. A disc begins with a critical square. As long as its
boundary, modulo 2, has edges, the square that the latest of them is paired with is added, until that is the first
square itself. A wall begins with a critical edge. As long as its coboundary has squares, the edge that the first one is
paired with is added. Most of these pairs are those of the gradient.

Chains are masks of 27 bits, one for each vertex, of the cells that it owns.
"""

from __future__ import annotations

import numpy as np

from ...cells import EDGES3, SQUARES3, VERTEX_BIT
from ..runtime.heap import pop, push
from ..runtime.jit import device
from ..runtime.jit import unsigned as _i
from ..runtime.primitives import halted, trailing_zeros
from ..volume.chain import edges_of_square
from ..volume.stars import matched_upward, matched_with_vertex, place_among
from .complex import edge_at, is_before, square_at
from .grid import is_short, tick

_u = np.uint32
_0, _1, _3, _9 = _u(0), _u(1), _u(3), _u(9)
_EDGES, _SQUARES = _u(EDGES3), _u(SQUARES3)
_STEPS = np.array([1, -1, 3, -3, 9, -9])  # from the bit of a vertex to those of its edges


@device
def find_disc(field, pull, of, other):
    """Find the pixels of the disc of the critical square of a pixel whose pair has its other end at `other`.

    Written: the pixels that have not reached the goal, that of the square first, into `field.carrier`. Return their
    number.
    """
    s = square_at(field, of, pull.pixel, other)
    if s < 0:
        return 1
    n, size = _add_square(of, pull.pixel, np.int64(of.cells.square_bits[s]), 0, 0)
    while size > 0 and not halted(of.halt):
        v = np.int64(of.heap.vertex[0])
        edges = of.chain[_i(v)]
        if edges == _0:
            size, of.queued[_i(v)] = pop(of.heap, size), False
            continue
        square = _square_for(of, v, edges, s)
        if square < 0:
            break
        n, size = _add_square(of, square >> 5, square & 31, n, size)
    _empty_chain(of, size)
    return _corners(field, pull, of, n)


@device
def find_wall(field, pull, of, other):
    """Find the pixels of the wall of the critical edge of a pixel; see `find_disc`."""
    e = edge_at(field, of, pull.pixel, other)
    if e < 0:
        return 1
    n, size = _add_edge(of, pull.pixel, np.int64(of.cells.edge_bits[e]), 0, 0)
    while size > 0 and not halted(of.halt):
        v = -np.int64(of.heap.vertex[0])
        squares = of.chain[_i(v)]
        if squares == _0:
            size, of.queued[_i(v)] = pop(of.heap, size), False
            continue
        edge = _edge_for(of, v, squares, e)
        if edge < 0:
            break
        n, size = _add_edge(of, edge >> 5, edge & 31, n, size)
    _empty_chain(of, size)
    time, found = tick(field), 1
    field.found[_i(pull.pixel)] = time
    for i in range(n):
        v = np.int64(of.touched[_i(i)])
        if of.members[_i(v)] != _0:
            found = _take(field, pull, v, time, found)
        of.members[_i(v)], of.is_touched[_i(v)] = _0, False
    return found


@device
def _square_for(of, v, edges, s):
    """Return the square that the latest of some edges of v is paired with, its owner * 32 + its bit.

    Edges that are paired with no square are dropped from the chain; where all are, the first edge, which has none left,
    is reported as the square of bit 0 of no vertex. Return -1 if the square is s or a later one.
    """
    x, minus_x, y, minus_y, z, minus_z, critical = matched_upward(of.star[_i(v)])
    matched = _u(edges & _u(_u(_u(x | minus_x) | _u(y | minus_y)) | _u(z | minus_z)))
    if matched != _0:
        edge = _u(matched & _u(-matched))
        step = _along(edge, x, minus_x, y, minus_y, z, minus_z)
        return np.int64(v) << 5 | np.int64(trailing_zeros(edge)) + step
    critical = _u(critical & _EDGES)
    latest = np.int64(-1)
    rest = edges
    while rest != _0:
        edge = _u(rest & _u(-rest))
        rest ^= edge
        e = of.first_edge[_i(v)] + place_among(of.star[_i(v)], critical, edge)
        if of.killed[_i(e)] < 0:
            latest = max(latest, np.int64(e))
    if latest < 0:
        of.chain[_i(v)] = _0
        return np.int64(0)
    t = np.int64(of.square_of[_i(latest)])
    if t == s or not is_before(of.key, of.cells.squares, t, s):
        return np.int64(-1)
    return np.int64(of.cells.squares[_i(t)]) << 5 | np.int64(of.cells.square_bits[_i(t)])


@device
def _edge_for(of, v, squares, e):
    """Return the edge that the first of some squares of v is paired with; see `_square_for`."""
    x, minus_x, y, minus_y, z, minus_z, critical = matched_upward(of.star[_i(v)])
    # The cells that are matched with one of these.
    x, minus_x, y, minus_y = _u(x << _1), _u(minus_x >> _1), _u(y << _3), _u(minus_y >> _3)
    z, minus_z = _u(z << _9), _u(minus_z >> _9)
    matched = _u(squares & _u(_u(_u(x | minus_x) | _u(y | minus_y)) | _u(z | minus_z)))
    if matched != _0:
        square = _u(matched & _u(-matched))
        step = _along(square, x, minus_x, y, minus_y, z, minus_z)
        return np.int64(v) << 5 | np.int64(trailing_zeros(square)) - step
    critical = _u(critical & _SQUARES)
    first = np.int64(-1)
    rest = squares
    while rest != _0 and first < 0:
        square = _u(rest & _u(-rest))
        rest ^= square
        s = of.first_square[_i(v)] + place_among(of.star[_i(v)], critical, square)
        first = np.int64(s) if of.opened[_i(s)] < 0 else first
    if first < 0:
        of.chain[_i(v)] = _0
        return np.int64(0)
    t = np.int64(of.edge_of[_i(first)])
    if t == e or is_before(of.key, of.cells.edges, t, e):
        return np.int64(-1)
    return np.int64(of.cells.edges[_i(t)]) << 5 | np.int64(of.cells.edge_bits[_i(t)])


@device
def _along(cell, x, minus_x, y, minus_y, z, minus_z):
    """Return the step of the bit of a cell, in one of the masks, to that of the cell it is matched with."""
    if cell & _u(x | minus_x):
        return 1 if cell & x else -1
    if cell & _u(y | minus_y):
        return 3 if cell & y else -3
    return 9 if cell & z else -9


@device
def _add_square(of, v, bit, n, size):
    """Add a square to the disc and its edges to the chain; return the numbers of touched vertices and in the heap."""
    if bit == 0:
        return n, size
    n = _join(of, v, bit, n)
    p, q = edges_of_square(bit)
    a, b = v + of.offsets[_i(p), 0], v + of.offsets[_i(q), 0]
    c = a + of.offsets[_i(q), 0]
    for start_of, end_of, edge in ((v, a, p), (v, b, q), (a, c, q), (b, c, p)):
        u, w = start_of, edge
        first, second = of.key[_i(start_of)], of.key[_i(end_of)]
        if not (first > second or (first == second and edge < VERTEX_BIT)):
            u, w = end_of, 26 - edge
        if not matched_with_vertex(of.star[_i(u)], w):
            size = _toggle(of, u, w, of.key[_i(u)], u, size)
    return n, size


@device
def _add_edge(of, v, bit, n, size):
    """Add an edge to the wall and the squares around it to the chain; see `_add_square`."""
    if bit == 0:
        return n, size
    n = _join(of, v, bit, n)
    along = bit - VERTEX_BIT
    for step in _STEPS:
        if abs(step) == abs(along):
            continue
        # The latest corner owns the square; its bit is that of the opposite corner.
        a, b = v + of.offsets[_i(bit), 0], v + of.offsets[_i(VERTEX_BIT + step), 0]
        c = a + of.offsets[_i(VERTEX_BIT + step), 0]
        u, w = v, VERTEX_BIT + along + step
        for corner, other_bit in (
            (a, VERTEX_BIT - along + step),
            (b, VERTEX_BIT + along - step),
            (c, VERTEX_BIT - along - step),
        ):
            first, second = of.key[_i(corner)], of.key[_i(u)]
            if first > second or (first == second and corner > u):
                u, w = corner, other_bit
        star = of.star[_i(u)]
        x, minus_x, y, minus_y, z, minus_z, _ = matched_upward(star)
        upward = _u(_u(_u(x | minus_x) | _u(y | minus_y)) | _u(z | minus_z))
        if _u(star & _u(~upward)) >> _u(w) & _1:  # neither outside, nor matched with a cube
            size = _toggle(of, u, w, ~of.key[_i(u)], -u, size)
    return n, size


@device
def _join(of, v, bit, n):
    """Add a cell to the surface modulo 2, and return the number of touched vertices."""
    if not of.is_touched[_i(v)]:
        of.touched[_i(n)], of.is_touched[_i(v)] = v, True
        n += 1
    of.members[_i(v)] ^= _u(_1 << _u(bit))
    return n


@device
def _toggle(of, v, bit, key, name, size):
    """Toggle a cell of v in the chain, and return the size of the heap, where v has a key and a name."""
    of.chain[_i(v)] ^= _u(_1 << _u(bit))
    if of.queued[_i(v)]:
        return size
    of.queued[_i(v)] = True
    return push(of.heap, size, key, name)


@device
def _empty_chain(of, size):
    """Remove all cells from the chain."""
    for i in range(size):
        v = abs(np.int64(of.heap.vertex[_i(i)]))
        of.chain[_i(v)], of.queued[_i(v)] = _0, False


@device
def _corners(field, pull, of, n):
    """Write the corners of the disc that have not reached the goal into `field.carrier`, and return their number."""
    time, found = tick(field), 1
    field.found[_i(pull.pixel)] = time
    for i in range(n):
        v = np.int64(of.touched[_i(i)])
        squares = of.members[_i(v)]
        of.members[_i(v)], of.is_touched[_i(v)] = _0, False
        while squares != _0:
            p, q = edges_of_square(np.int64(trailing_zeros(squares)))
            squares &= _u(squares - _1)
            a, b = v + of.offsets[_i(p), 0], v + of.offsets[_i(q), 0]
            for corner in (v, a, b, a + of.offsets[_i(q), 0]):
                found = _take(field, pull, corner, time, found)
    return found


@device
def _take(field, pull, v, time, found):
    """Append a vertex to the carrier unless it has reached the goal or is there; return the number of its pixels."""
    if field.found[_i(v)] != time and is_short(field, pull, v):
        field.carrier[_i(found)], field.found[_i(v)] = v, time
        found += 1
    return found
