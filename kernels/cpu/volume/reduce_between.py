"""Reduce between two volumes: when loops of one begin, and when their images in the other end.

The sublevel sets of the first volume are contained in those of the second. The boundary matrix has rows, the edges, in
the order of the first volume, and columns, the squares, in the order of the second one. Its reduction pairs the edge
that closes a loop with the square that ends the image of this loop (Bauer and Schmahl, "Efficient computation of image
persistence", 2022).

Columns whose pairs both gradients have are not listed, and neither are squares that end no loop of the second volume;
edges that close no loop of the first are dropped. kernels/README.md explains why.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...cells import EDGES3, MATCHING_EDGE_BITS, SQUARES3
from ..runtime.heap import pop
from ..runtime.jit import allocating, device, inlined
from ..runtime.jit import unsigned as _i
from ..runtime.primitives import bits_set, halted, trailing_zeros, twice
from .chain import ALL, EDGE_BYTE, QUEUED, Chain, Heap, edges_of_square, owned, toggle
from .critical import list_cells
from .stars import matched_upward

Array = NDArray[Any]
_ROOM = 2  # entries of stored columns per voxel, to begin with; noise has 2
_u = np.uint32
_0, _1, _3, _9 = _u(0), _u(1), _u(3), _u(9)
_SQUARES = _u(SQUARES3)
_EDGES = _u(EDGES3)
_BITS = np.array([*MATCHING_EDGE_BITS, -1, -1])  # of edges, by their place in a byte
_LAST = np.array([max(0, edges.bit_length() - 1) for edges in range(ALL + 1)])  # the last place in a byte


class Rows(NamedTuple):
    """The edges that close a loop, in the order of a volume."""

    key: Array  # (cells,) order keys
    star: Array  # (cells,) uint32
    edges: Array  # (cells,) uint8, by owner: see `chain`
    offsets: Array  # (27, 3), see `trace.offsets_of`


class Columns(NamedTuple):
    """The squares that end a loop, in the order of another volume."""

    key: Array  # (cells,) order keys
    star: Array  # (cells,) uint32
    squares: Array  # (cells,) uint32, by owner: bits of a star
    order: Array  # (cells,) int32: the vertices, the least first


class _Reduced(NamedTuple):
    """The columns that have to be reduced, and the reduced ones."""

    squares: Array  # (n,) int32, owners of the squares, the least first
    square_bits: Array  # (n,) int8
    begin: Array  # (n,) int64, where the entries of a column begin; -1 for one that equals its boundary
    closed_at: Array  # (n,) int32, the owner of the latest edge; -1 for none
    column_of: Array  # (8 cells,) int32: by latest edge, 1 + the number of its column; 0 for none


class _Entries(NamedTuple):
    """The entries of stored columns: edges by owner."""

    owners: Array  # int32
    sets: Array  # uint8; QUEUED marks the last entry of a column


@allocating
def rows_of(cells, killed, key, star, offsets):
    """Return the edges of a volume that close a loop.

    cells : CriticalCells. killed : (m,) the minimum whose class an edge ends, or -1. key, star : (cells,).
    """
    edges = np.zeros(star.size, np.uint8)
    for v in range(star.size):
        owns = 0
        for place, bit in enumerate(MATCHING_EDGE_BITS):
            owns |= np.int64(star[v] >> _u(bit) & _u(1)) << place
        edges[v] = owns & (owns - 1)  # the vertex is matched with the first
    for e in range(killed.size):
        if killed[e] >= 0:
            edges[cells.edges[e]] &= ~EDGE_BYTE[_i(cells.edge_bits[e])]
    return Rows(key, star, edges, offsets)


@allocating
def columns_of(cells, opened, key, star, order):
    """Return the squares of a volume that end a loop.

    cells : CriticalCells. opened : (n,) the maximum that fills the void which a square opens, or -1. key, star :
    (cells,). order : (cells,) all vertices, the least first.
    """
    ending = np.empty(star.size, np.uint32)
    for v in range(star.size):
        x, minus_x, y, minus_y, z, minus_z, _ = matched_upward(star[v])
        with_cubes = _u(_u(_u(x | minus_x) | _u(y | minus_y)) | _u(z | minus_z))
        ending[v] = star[v] & _SQUARES & ~with_cubes
    for s in range(opened.size):
        if opened[s] >= 0:
            ending[cells.squares[s]] &= ~_u(_u(1) << _u(cells.square_bits[s]))
    return Columns(key, star, ending, order)


@allocating
def reduce_between(rows, columns, zeros, halt):
    """Pair the edges that close a loop of one volume with the squares that end its image in the other.

    rows : of the volume whose sublevel sets are contained in those of the other, that of `columns`.
    zeros : (cells,) uint8, all 0, before and after. halt : see `halted`.
    Returns (2, n) int32, the owners of edges and of squares. Images without a length, in values, are left out; see
    `induced.keep_images`.
    """
    size = rows.key.size
    joint, rest = _joint_edges(rows, columns)
    squares, bits = _list_squares(rest, columns.order)
    n = squares.size
    chain = Chain(zeros, Heap(np.empty(size, rows.key.dtype), np.empty(size, np.int32)))
    reduced = _Reduced(squares, bits, np.empty(n, np.int64), np.full(n, -1, np.int32), np.zeros(8 * size, np.int32))
    room = 1 + _ROOM * size
    owners, sets = np.empty(room, np.int32), np.empty(room, np.uint8)
    done, used = np.int64(0), np.int64(0)
    while True:
        done, used = _reduce_some(done, used, rows, joint, chain, reduced, _Entries(owners, sets), halt)
        if done == n:
            break
        owners, sets = twice(owners), twice(sets)
    closed_at, lasts = reduced.closed_at, np.empty(n, np.bool_)
    for s in range(n):
        lasts[s] = closed_at[s] >= 0 and rows.key[closed_at[s]] < columns.key[squares[s]]
    found, n_found = np.empty((2, np.count_nonzero(lasts)), np.int32), 0
    for s in range(n):
        if lasts[s]:
            found[0, n_found], found[1, n_found] = closed_at[s], squares[s]
            n_found += 1
    return found


@allocating
def _joint_edges(rows, columns):
    """Return the edges that both gradients match with the same square, and the squares that end a loop without these.

    By owner: (cells,) uint8, see `chain`, and (cells,) uint32.
    """
    joint, rest = np.zeros(rows.star.size, np.uint8), columns.squares.copy()
    for v in range(joint.size):
        x, minus_x, y, minus_y, z, minus_z, _ = matched_upward(rows.star[v])
        also_x, also_minus_x, also_y, also_minus_y, also_z, also_minus_z, _ = matched_upward(columns.star[v])
        x, minus_x = _u(x & also_x) & _EDGES, _u(minus_x & also_minus_x) & _EDGES
        y, minus_y = _u(y & also_y) & _EDGES, _u(minus_y & also_minus_y) & _EDGES
        z, minus_z = _u(z & also_z) & _EDGES, _u(minus_z & also_minus_z) & _EDGES
        rest[v] &= ~_u(_u(_u(x << _1) | _u(minus_x >> _1)) | _u(_u(y << _3) | _u(minus_y >> _3)))
        rest[v] &= ~_u(_u(z << _9) | _u(minus_z >> _9))
        edges = _u(_u(_u(x | minus_x) | _u(y | minus_y)) | _u(z | minus_z))
        while edges != _0:
            joint[v] |= EDGE_BYTE[_i(trailing_zeros(edges))]
            edges &= _u(edges - _1)
    return joint, rest


@allocating
def _list_squares(of_owners, order):
    """Return the squares (cells,), uint32 by owner, in the order of owners: their owners, int32, and bits, int8."""
    n = 0
    for v in range(of_owners.size):
        n += np.int64(bits_set(of_owners[v]))
    squares, bits = np.empty(n, np.int32), np.empty(n, np.int8)
    n = 0
    for v in order:
        n = list_cells(of_owners[_i(v)], v, squares, bits, n)
    return squares, bits


@device
def _reduce_some(done, used, rows, joint, chain, reduced, entries, halt):
    """Reduce the columns from number `done` on, while there is room to store them.

    used : number of entries in use. Returns the number of the column to go on with, all for none, and the new `used`.
    """
    n, vertices = reduced.squares.size, chain.heap.vertex
    for s in range(done, n):
        if s & 0xFF == 0 and halted(halt):
            return n, used
        size, latest, is_boundary = _reduce_column(s, rows, joint, chain, reduced, entries)
        full = not is_boundary and used + size > entries.owners.size
        if latest >= 0 and not full:
            reduced.column_of[_i(latest)], reduced.closed_at[s] = s + 1, latest >> 3
            reduced.begin[s] = -1 if is_boundary else used
            if not is_boundary:
                used = _store(chain, size, entries, used)
        for i in range(size):
            chain.edges[_i(vertices[_i(i)])] = 0
        if full:
            return np.int64(s), used
    return n, used


@inlined
def _reduce_column(s, rows, joint, chain, reduced, entries):
    """Reduce column s until its latest edge is that of no other one.

    Returns the size of the chain's heap; the latest edge as 8 times its owner plus its place, or -1 for none; and
    whether the column equals the boundary of its square.
    """
    squares, bits, begin = reduced.squares, reduced.square_bits, reduced.begin
    size = _add_boundary(np.int64(squares[_i(s)]), np.int64(bits[_i(s)]), rows, chain, 0)
    is_boundary = True
    while size > 0:
        v = np.int64(chain.heap.vertex[0])
        edges = chain.edges[_i(v)] & ALL
        if edges == 0:
            chain.edges[_i(v)] = 0
            size = pop(chain.heap, size)
            continue
        if edges & joint[_i(v)]:
            bit = _BITS[_LAST[_i(edges & joint[_i(v)])]]
            size = _add_boundary(v, _matched_with(bit, rows.star[_i(v)]), rows, chain, size)
            is_boundary = False
            continue
        latest = 8 * v + _LAST[_i(edges)]
        other = np.int64(reduced.column_of[_i(latest)]) - 1
        if other < 0:
            return size, latest, is_boundary
        is_boundary = False
        if begin[_i(other)] < 0:
            size = _add_boundary(np.int64(squares[_i(other)]), np.int64(bits[_i(other)]), rows, chain, size)
        else:
            size = _add_stored(begin[_i(other)], rows, chain, entries, size)
    return size, np.int64(-1), is_boundary


@inlined
def _matched_with(bit, star):
    """Return the bit of the square that an edge is matched with, which is given by its bit."""
    x, minus_x, y, minus_y, z, _, _ = matched_upward(star)
    edge = _u(_1 << _u(bit))
    if edge & _u(x | minus_x):
        square = bit + 1 if edge & x else bit - 1
    elif edge & _u(y | minus_y):
        square = bit + 3 if edge & y else bit - 3
    else:
        square = bit + 9 if edge & z else bit - 9
    return square


@inlined
def _add_boundary(v, bit, rows, chain, size):
    """Add the edges of the square with that bit of v, its owner in the other volume; return the size of the heap."""
    p, q = edges_of_square(bit)
    a, b = v + rows.offsets[_i(p), 0], v + rows.offsets[_i(q), 0]
    c = a + rows.offsets[_i(q), 0]
    size = _add_edge(v, a, p, rows, chain, size)
    size = _add_edge(v, b, q, rows, chain, size)
    size = _add_edge(a, c, q, rows, chain, size)
    return _add_edge(b, c, p, rows, chain, size)


@inlined
def _add_edge(a, b, bit, rows, chain, size):
    """Toggle the edge from a, in the direction of a bit, to b, if it closes a loop."""
    v, k, bit = owned(a, b, bit, rows.key)
    edge = EDGE_BYTE[_i(bit)] & rows.edges[_i(v)]
    return toggle(v, edge, k, chain, size) if edge != 0 else size


@inlined
def _add_stored(first, rows, chain, entries, size):
    """Add the column whose entries begin there, and return the size of the heap."""
    owners, sets = entries.owners, entries.sets
    i = first
    while True:
        v, edges = owners[_i(i)], sets[_i(i)]
        size = toggle(v, edges & ALL, rows.key[_i(v)], chain, size)
        if edges & QUEUED:
            return size
        i += 1


@inlined
def _store(chain, size, entries, used):
    """Store a chain that is not empty, and return the number of entries in use."""
    for i in range(size):
        v = chain.heap.vertex[_i(i)]
        edges = chain.edges[_i(v)] & ALL
        entries.owners[_i(used)], entries.sets[_i(used)] = v, edges
        used += np.int64(edges != 0)
    entries.sets[_i(used - 1)] |= QUEUED
    return used
