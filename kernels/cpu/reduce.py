"""Reduce: which critical square ends the loop that a critical edge closes, in 3D.

The matrix reduction of the textbook, on critical squares and edges, with boundaries taken through the gradient: in the
boundary of a square, as a set of edges modulo 2, the latest edge is replaced by the other edges of the square that it
is matched with, or dropped where it is matched with its vertex, until it is a critical edge that closes a loop (Robins,
Wood, Sheppard 2011; Guillou, Vidal, Tierny 2022). No more is followed than is needed to find that edge. If an earlier
square has taken it, what that one had left is added, and so on. If a later one has, the edge changes hands, and the
later square goes on (Morozov & Nigmetov 2020): so squares may come in the order of the grid, and stay in the cache.

The edges of a chain are kept by the vertices that own them, as masks like those of stars, and the vertices in a heap.
So a star's edges are all at hand when its turn comes: those that lead on inside the star go before a critical one is
taken, and edges cancel where they meet.
"""

from __future__ import annotations

import numpy as np

from ..cells import EDGES3, NO_X3, NO_Y3, NO_Z3
from .jit import allocating, device
from .jit import unsigned as _i
from .primitives import bits_set, trailing_zeros, twice
from .trace3 import offsets_of

_u = np.uint32
_EDGES, _QUEUED = _u(EDGES3), _u(1)
_NO_X, _NO_Y, _NO_Z = _u(NO_X3), _u(NO_Y3), _u(NO_Z3)
_0, _1, _3, _9 = _u(0), _u(1), _u(3), _u(9)


@allocating
def reduce(key, star, width, area, edges, killed, squares, directions, opened, first_edge, chain):
    """Pair the critical edges that close a loop with the critical squares that end it.

    key : (cells,) order keys; star : (cells,) uint32; in a grid of that width and that area of a slice.
    edges : (m,) owners of the critical edges; killed : (m,) int32, the minimum whose class one ends, or -1.
    squares, directions : (n,) owners and directions of the critical squares; opened : (n,) int32, the maximum that
    fills the void that one opens, or -1. first_edge, chain : (cells,) int32, scratch.
    Returns square_of (m,) and edge_of (n,), int32, the partners of edges and squares, -1 for none.
    """
    offsets = offsets_of(width, area)
    for e in range(edges.size - 1, -1, -1):
        first_edge[edges[e]] = e  # at each owner, where in the list its edges begin
    # The chain's edges by their owners, and whether the owner is in the heap.
    chain = chain.view(np.uint32)
    chain[:] = 0
    square_of, edge_of = np.full(edges.size, -1, np.int32), np.full(squares.size, -1, np.int32)
    begin, end = np.empty(square_of.size, np.int64), np.empty(square_of.size, np.int64)
    left, used = np.empty(1024, np.uint64), np.int64(0)  # what finished chains had left: vertex * 2^32 + edges
    keys, heap = np.empty(1024, key.dtype), np.empty(1024, np.int32)
    for place in range(squares.size):
        if opened[place] >= 0:
            continue
        s = place
        size = _add_square(squares[s], directions[s], key, offsets, chain, keys, heap)
        found = False
        while not found and size > 0:
            if size + 64 > heap.size:
                keys, heap = twice(keys), twice(heap)
            v = heap[0]
            size = _pop(keys, heap, size)
            edges = _u(chain[_i(v)] & _EDGES)
            chain[_i(v)] = _0
            edges, critical, size = _flow(v, edges, star[_i(v)], key, offsets, chain, keys, heap, size)
            first = first_edge[_i(v)]
            while edges != _0:
                latest, edges = _latest(edges, critical, first, killed)
                if latest < 0:
                    break
                other, start, stop = square_of[_i(latest)], begin[_i(latest)], end[_i(latest)]
                if other < 0 or _earlier(key, squares, s, other):
                    while used + size + 1 > left.size:
                        left = twice(left)
                    begin[_i(latest)] = used
                    left[_i(used)] = np.uint64(v) << np.uint64(32) | np.uint64(edges)
                    used = _leave(chain, heap, size, left, used + 1)
                    end[_i(latest)] = used
                    square_of[_i(latest)], edge_of[s] = s, latest
                    if other < 0:
                        found = True
                        break
                    s = other  # goes on, with the sum of both
                while size + stop - start > heap.size:
                    keys, heap = twice(keys), twice(heap)
                edges ^= _u(left[_i(start)])
                for i in range(start + 1, stop):
                    entry = left[_i(i)]
                    u = np.int64(entry >> np.uint64(32))
                    size = _toggle(u, _u(entry), key[_i(u)], chain, keys, heap, size)
        for i in range(size):
            chain[_i(heap[_i(i)])] = _0
    return square_of, edge_of


@device
def _earlier(key, squares, s, t):
    """Whether the critical square s comes before t, which is another."""
    first, second = key[squares[s]], key[squares[t]]
    return (first < second) | ((first == second) & (s < t))


@device
def _latest(edges, critical, first, killed):
    """Drop edges that end a component; returns the place in the list of the latest of the others, or -1, and these."""
    latest = -1
    rest = edges
    while rest != _0:
        lowest = _u(rest & _u(-rest))
        rest ^= lowest
        edge = first + np.int64(bits_set(_u(critical & _u(lowest - _1))))
        if killed[_i(edge)] < 0:
            latest = edge
        else:
            edges ^= lowest
    return latest, edges


@device
def _leave(chain, heap, size, left, used):
    """Write the rest of a chain down; returns how much is then used."""
    for i in range(size):
        v = heap[_i(i)]
        edges = _u(chain[_i(v)] & _EDGES)
        left[_i(used)] = np.uint64(v) << np.uint64(32) | np.uint64(edges)
        used += np.int64(edges != _0)
    return used


@device
def _flow(v, edges, star, key, offsets, chain, keys, heap, size):
    """Replace edges that v owns by what they lead to, as long as they are matched.

    Returns those of them, and of the edges of v that they lead to, that are critical, all critical edges of v, and the
    heap's size.
    """
    # The matching, as in `gradient3.match_stars`: the cells that are matched with the next higher dimension, by shift.
    s = star
    x = _u(_u(s & _NO_X) & _u(s >> _1))
    s = _u(s & ~_u(x | _u(x << _1)))
    minus_x = _u(_u(s & _NO_X) & _u(s << _1))
    s = _u(s & ~_u(minus_x | _u(minus_x >> _1)))
    y = _u(_u(s & _NO_Y) & _u(s >> _3))
    s = _u(s & ~_u(y | _u(y << _3)))
    minus_y = _u(_u(s & _NO_Y) & _u(s << _3))
    s = _u(s & ~_u(minus_y | _u(minus_y >> _3)))
    z = _u(_u(s & _NO_Z) & _u(s >> _9))
    s = _u(s & ~_u(z | _u(z << _9)))
    minus_z = _u(_u(s & _NO_Z) & _u(s << _9))
    s = _u(s & ~_u(minus_z | _u(minus_z >> _9)))
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
        size = _add_edge(a, c, side, key, chain, keys, heap, size)
        size = _add_edge(b, c, bit, key, chain, keys, heap, size)
    critical = _u(s & _EDGES)
    return _u(edges & critical), critical, size


@device
def _add_square(v, direction, key, offsets, chain, keys, heap):
    """Begin a chain: the four edges of a square that v owns. Returns the heap's size."""
    x, y, z = direction % 3 - 1, direction // 3 % 3 - 1, direction // 9 - 1
    if x == 0:
        p, q = 13 + 3 * y, 13 + 9 * z
    elif y == 0:
        p, q = 13 + x, 13 + 9 * z
    else:
        p, q = 13 + x, 13 + 3 * y
    a, b = v + offsets[_i(p), 0], v + offsets[_i(q), 0]
    c = a + offsets[_i(q), 0]
    size = _toggle(v, _u(_u(_1 << _u(p)) | _u(_1 << _u(q))), key[_i(v)], chain, keys, heap, 0)
    size = _add_edge(a, c, q, key, chain, keys, heap, size)
    return _add_edge(b, c, p, key, chain, keys, heap, size)


@device
def _add_edge(a, b, direction, key, chain, keys, heap, size):
    """Toggle the edge from a in a direction to b, which its later end owns; in the ring, a ball, edges do not count."""
    key_a, key_b = key[_i(a)], key[_i(b)]
    v, k = b, key_b
    if (key_a > key_b) | ((key_a == key_b) & (direction < 13)):
        v, k = a, key_a
    else:
        direction = 26 - direction
    if k == np.iinfo(key.dtype).min:
        return size
    return _toggle(v, _u(_1 << _u(direction)), k, chain, keys, heap, size)


@device
def _toggle(v, edges, k, chain, keys, heap, size):
    """Toggle edges of v in the chain; a vertex that is new to it is put in the heap, the latest on top."""
    had = chain[_i(v)]
    chain[_i(v)] = _u(_u(had ^ edges) | _QUEUED)
    if had != _0:
        return size
    i = size
    while i > 0:
        parent = (i - 1) >> 1
        above = keys[_i(parent)]
        if above > k or (above == k and heap[_i(parent)] > v):
            break
        keys[_i(i)], heap[_i(i)] = above, heap[_i(parent)]
        i = parent
    keys[_i(i)], heap[_i(i)] = k, v
    return size + 1


@device
def _pop(keys, heap, size):
    """Take the top off the heap; returns its size then."""
    size -= 1
    k, v = keys[_i(size)], heap[_i(size)]
    i = 0
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        if child + 1 < size:
            here, beside = keys[_i(child)], keys[_i(child + 1)]
            child += np.int64((beside > here) | ((beside == here) & (heap[_i(child + 1)] > heap[_i(child)])))
        below = keys[_i(child)]
        if k > below or (k == below and v > heap[_i(child)]):
            break
        keys[_i(i)], heap[_i(i)] = below, heap[_i(child)]
        i = child
    keys[_i(i)], heap[_i(i)] = k, v
    return size
