"""Reduce: which critical square ends the loop that a critical edge closes, in 3D.

The matrix reduction of the textbook, on critical squares and edges, with boundaries taken through the gradient: in the
boundary of a square, as a set of edges modulo 2, the latest edge is replaced by the other edges of the square that it
is matched with, or dropped where it is matched with its vertex, until it is a critical edge that closes a loop (Robins,
Wood, Sheppard 2011; Guillou, Vidal, Tierny 2022). No more is followed than is needed to find that edge. If an earlier
square has taken it, what that one had left is added, and so on. If a later one has, the edge changes hands, and the
later square goes on (Morozov & Nigmetov 2020): so squares may come in the order of the grid, and stay in the cache.

The edges of a chain are kept by the vertices that own them, a byte each, and the vertices in a heap. So a star's edges
are all at hand when its turn comes: those that lead on inside the star go before a critical one is taken, and edges
cancel where they meet. An edge that is matched with its vertex is left out at once.
"""

from __future__ import annotations

import numpy as np

from ...cells import EDGES3
from ..runtime.heap import pop, push
from ..runtime.jit import allocating, device, inlined
from ..runtime.jit import unsigned as _i
from ..runtime.primitives import halted, trailing_zeros, twice
from .stars import SIDES, matched_upward, matched_with_vertex, place_among
from .trace import offsets_of

_ROOM = 4  # edges of finished chains a voxel; noise has 3
_u = np.uint32
_0, _1 = _u(0), _u(1)
_EDGES = _u(EDGES3)

# Chains have sets of a vertex's edges as bytes, a bit each; another bit is for vertices in the heap, or says that
# others follow.
_BIT, _MASK = np.zeros(27, np.uint8), np.zeros(64, np.uint32)
for _place, _side in enumerate(SIDES):
    _BIT[_side] = 1 << _place
    _MASK[np.arange(64) >> _place & 1 > 0] |= 1 << _side
_ALL, _QUEUED, _MORE = 63, 64, 64


@allocating
def reduce(key, star, width, area, edges, killed, squares, directions, opened, first_edge, chain, halt=0):
    """Pair the critical edges that close a loop with the critical squares that end it.

    key : (cells,) order keys; star : (cells,) uint32, or words, int64, see `stars3`; in a grid of that width and that
    area of a slice.
    edges : (m,) owners of the critical edges; killed : (m,) int32, the minimum whose class one ends, or -1.
    squares, directions : (n,) owners and directions of the critical squares; opened : (n,) int32, the maximum that
    fills the void that one opens, or -1.
    first_edge : (cells,) int32, written. chain : (cells,) uint8, scratch; all 0, before and after. halt : see `halted`.
    Returns square_of (m,) and edge_of (n,), int32, the partners of edges and squares, -1 for none.
    """
    for e in range(edges.size - 1, -1, -1):
        first_edge[edges[e]] = e  # at each owner, where in the list its edges begin
    square_of = np.full(edges.size, -1, np.int32)
    matrix = squares, directions, opened, first_edge, killed
    _reduce_columns((key, star, offsets_of(width, area)), matrix, square_of, chain, halt)
    edge_of = np.full(squares.size, -1, np.int32)
    for e in range(edges.size):
        if square_of[e] >= 0:
            edge_of[square_of[e]] = e
    return square_of, edge_of


@allocating
def _reduce_columns(grid, matrix, square_of, chain, halt=0):
    """Write the square of each edge that a column has."""
    key = grid[0]
    # Memory is taken as far as it is written: there can be room for the longest chain, and for more than will be left.
    heap = np.empty(key.size, key.dtype), np.empty(key.size, np.int32)
    begin, room = np.empty(square_of.size, np.int64), 1 + _ROOM * key.size
    owners, sets = np.empty(room, np.int32), np.empty(room, np.uint8)
    place, s, used = np.int64(0), np.int64(-1), np.int64(0)
    while True:
        place, s, used = _columns(place, s, used, grid, matrix, square_of, chain, heap, (begin, owners, sets), halt)
        if s < 0:
            return
        owners, sets = twice(owners), twice(sets)


@device
def _columns(place, s, used, grid, matrix, square_of, chain, heap, left, halt):
    """Reduce column s, if there is one, and those from `place` on.

    left : what finished chains had left: where that of an edge begins, and from there owners and their edges. So much
    of it is used.
    Returns place, s and used, for another call with more room where s is not -1.
    """
    squares, _, opened, _, _ = matrix
    while True:
        if s < 0:
            while place < squares.size and opened[_i(place)] >= 0:
                place += 1
            if place == squares.size or halted(halt):
                return place, s, used
            s, place = place, place + 1
        size = _add_square(s, grid, matrix, chain, heap)
        s, used, size = _column(s, used, size, grid, matrix, square_of, chain, heap, left, halt)
        for i in range(size):
            chain[_i(heap[1][_i(i)])] = 0
        if s >= 0:
            return place, s, used


@inlined
def _column(s, used, size, grid, matrix, square_of, chain, heap, left, halt):
    """Reduce column s, whose chain has begun, and those that it displaces, each from where it was.

    Returns -1, or the column that finds no room for what it leaves and has to begin anew; how much of that room is
    used; and the heap's size.
    """
    key, star, _ = grid
    squares, _, _, first_edge, killed = matrix
    begin, owners, sets = left
    while size > 0 and not halted(halt):
        v = heap[1][0]
        size = pop(heap, size)
        edges = _MASK[_i(chain[_i(v)] & _ALL)]
        chain[_i(v)] = 0
        edges, critical, size = _flow(v, edges, grid, chain, heap, size)
        while edges != _0:
            latest, edges = _latest(star[_i(v)], edges, critical, first_edge[_i(v)], killed)
            if latest < 0:
                break
            other, start = square_of[_i(latest)], begin[_i(latest)]
            displaced = other < 0 or _earlier(key, squares, s, other)
            if displaced:
                if used + size + 1 > owners.size:
                    return s, used, size
                begin[_i(latest)] = used
                used = _leave(v, edges, chain, heap, size, owners, sets, used)
                square_of[_i(latest)] = s
                if other < 0:
                    return np.int64(-1), used, size
                s = np.int64(other)  # goes on, with the sum of both
            i = start
            edges ^= _MASK[_i(sets[_i(i)] & _ALL)]
            while sets[_i(i)] & _MORE:
                i += 1
                u = owners[_i(i)]
                size = _toggle(u, sets[_i(i)] & _ALL, key[_i(u)], chain, heap, size)
            if displaced and used - begin[_i(latest)] <= i + 1 - start:  # it fits where the other's was
                used = _move(begin[_i(latest)], used, start, owners, sets)
                begin[_i(latest)] = start
    return np.int64(-1), used, size


@inlined
def _earlier(key, squares, s, t):
    """Whether the critical square s comes before t, which is another."""
    first, second = key[squares[s]], key[squares[t]]
    return (first < second) | ((first == second) & (s < t))


@inlined
def _latest(star, edges, critical, first, killed):
    """Drop edges that end a component; returns the place in the list of the latest of the others, or -1, and these."""
    latest = np.int64(-1)
    rest = edges
    while rest != _0:
        lowest = _u(rest & _u(-rest))
        rest ^= lowest
        edge = first + place_among(star, critical, lowest)
        if killed[_i(edge)] < 0:
            latest = max(latest, edge)
        else:
            edges ^= lowest
    return latest, edges


@inlined
def _leave(v, edges, chain, heap, size, owners, sets, used):
    """Write down edges of v and the rest of the chain; returns how much is then used."""
    rest = 0
    while edges != _0:
        rest |= _BIT[_i(trailing_zeros(edges))]
        edges &= _u(edges - _1)
    owners[_i(used)], sets[_i(used)] = v, rest | _MORE
    used += 1
    for i in range(size):
        v = heap[1][_i(i)]
        rest = chain[_i(v)] & _ALL
        owners[_i(used)], sets[_i(used)] = v, rest | _MORE
        used += np.int64(rest != 0)
    sets[_i(used - 1)] &= _ALL
    return used


@inlined
def _move(first, used, start, owners, sets):
    """Move the last of what is left, from `first` on, down to `start`; returns how much is then used."""
    for j in range(used - first):
        owners[_i(start + j)], sets[_i(start + j)] = owners[_i(first + j)], sets[_i(first + j)]
    return first


@inlined
def _flow(v, edges, grid, chain, heap, size):
    """Replace edges that v owns by what they lead to, as long as they are matched.

    Returns those of them, and of the edges of v that they lead to, that are critical, all critical edges of v, and the
    heap's size.
    """
    _, star, offsets = grid
    x, minus_x, y, minus_y, z, minus_z, s = matched_upward(star[_i(v)])
    matched = _u(_u(_u(x | minus_x) | _u(y | minus_y)) | _u(_u(z | minus_z)))
    while True:
        some = _u(edges & matched)
        if some == _0:
            break
        edge = _u(some & _u(-some))
        if edge & _u(x | minus_x):
            side = 14 if edge & x else 12
        elif edge & _u(y | minus_y):
            side = 16 if edge & y else 10
        else:
            side = 22 if edge & z else 4
        bit = np.int64(trailing_zeros(edge))
        # The edge is one of the four of a square, another is also of v, two are opposite to these.
        edges ^= _u(edge | _u(_1 << _u(side)))
        a, b = v + offsets[_i(bit), 0], v + offsets[_i(side), 0]
        c = a + offsets[_i(side), 0]
        size = _add_edge(a, c, side, grid, chain, heap, size)
        size = _add_edge(b, c, bit, grid, chain, heap, size)
    critical = _u(s & _EDGES)
    return _u(edges & critical), critical, size


@inlined
def _add_square(s, grid, matrix, chain, heap):
    """Begin a chain: the four edges of a critical square. Returns the heap's size."""
    key, _, offsets = grid
    v, direction = matrix[0][_i(s)], matrix[1][_i(s)]
    x, y, z = direction % 3 - 1, direction // 3 % 3 - 1, direction // 9 - 1
    if x == 0:
        p, q = 13 + 3 * y, 13 + 9 * z
    elif y == 0:
        p, q = 13 + x, 13 + 9 * z
    else:
        p, q = 13 + x, 13 + 3 * y
    a, b = v + offsets[_i(p), 0], v + offsets[_i(q), 0]
    c = a + offsets[_i(q), 0]
    size = _toggle(v, _BIT[_i(p)] | _BIT[_i(q)], key[_i(v)], chain, heap, 0)
    size = _add_edge(a, c, q, grid, chain, heap, size)
    return _add_edge(b, c, p, grid, chain, heap, size)


@inlined
def _add_edge(a, b, direction, grid, chain, heap, size):
    """Toggle the edge from a in a direction to b, unless it is matched with its later end, which owns it.

    Nor do edges in the ring count, which is a ball: stars are empty there.
    """
    key, star, _ = grid
    key_a, key_b = key[_i(a)], key[_i(b)]
    v, k = b, key_b
    if (key_a > key_b) | ((key_a == key_b) & (direction < 13)):
        v, k = a, key_a
    else:
        direction = 26 - direction
    if matched_with_vertex(star[_i(v)], direction):
        return size
    return _toggle(v, _BIT[_i(direction)], k, chain, heap, size)


@inlined
def _toggle(v, edges, k, chain, heap, size):
    """Toggle edges of v in the chain; a vertex that is new to it is put in the heap."""
    had = chain[_i(v)]
    chain[_i(v)] = had ^ edges | _QUEUED
    if had != 0:
        return size
    return push(heap, size, k, v)
