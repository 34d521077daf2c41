"""Reduce: pair each critical edge that closes a loop with the critical square that ends it.

This is the matrix reduction of the textbook on critical squares and edges, with boundaries taken through the gradient.
The boundary of a square is a set of edges modulo 2. Its latest edge is replaced by the other edges of the square that
it is matched with, or dropped if it is matched with its vertex, until it is a critical edge that closes a loop (Robins,
Wood, Sheppard 2011; Guillou, Vidal, Tierny 2022). The replacement stops as soon as that edge is found. If it is paired
with an earlier square, the reduced chain of that square is added, and so on. If it is paired with a later one, the
present square takes it over, and the later square continues (Morozov & Nigmetov 2020). Squares may therefore come in
the order of the grid, which keeps their surroundings in the cache.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..runtime.heap import pop
from ..runtime.jit import allocating, device, inlined
from ..runtime.jit import unsigned as _i
from ..runtime.primitives import halted, trailing_zeros, twice
from ..runtime.views import flat
from .chain import ALL, BYTE_MASK, EDGE_BYTE, MORE, Chain, Grid, Heap, add_square, flow, toggle
from .stars import place_among
from .trace import offsets_of

Array = NDArray[Any]
_ROOM = 4  # vertices of reduced chains per voxel; noise has 3
_u = np.uint32
_0, _1 = _u(0), _u(1)


class Matrix(NamedTuple):
    """The boundary matrix: rows are the critical edges that close a loop, columns the critical squares that end one."""

    squares: Array  # (n,) owners of critical squares
    square_bits: Array  # (n,)
    opened: Array  # (n,) int32, the maximum that fills the void which a square opens, or -1
    first_edge: Array  # (cells,) int32, at an owner of critical edges: the number of its first one
    killed: Array  # (m,) int32, the minimum whose class an edge ends, or -1
    square_of: Array  # (m,) int32, written: the square that an edge is paired with


class _Columns(NamedTuple):
    """The reduced chains."""

    begin: Array  # (m,) int64: where the chain whose latest edge is given begins
    owners: Array  # int32
    sets: Array  # uint8: edges of the owner


@allocating
def reduce(cells, killed, opened, workspace, halt=0):
    """Pair the critical edges that close a loop with the critical squares that end it.

    cells : CriticalCells. killed : (m,) int32, the minimum whose class an edge ends, or -1. opened : (n,) int32, the
    maximum that fills the void which a square opens, or -1. workspace : `known` is overwritten by the first edges of
    all owners. halt : see `halted`.
    Returns square_of (m,) and edge_of (n,), int32, the partners of edges and squares, -1 for none.
    """
    edges, squares, first_edge = cells.edges, cells.squares, workspace.known
    for e in range(edges.size - 1, -1, -1):
        first_edge[edges[e]] = e
    square_of = np.full(edges.size, -1, np.int32)
    key = workspace.key
    grid = Grid(flat(key), flat(workspace.star), offsets_of(key.shape[2], key[0].size))
    matrix = Matrix(squares, cells.square_bits, opened, first_edge, killed, square_of)
    _reduce_columns(grid, matrix, workspace.chain, halt)
    edge_of = np.full(squares.size, -1, np.int32)
    for e in range(edges.size):
        if square_of[e] >= 0:
            edge_of[square_of[e]] = e
    return square_of, edge_of


@allocating
def _reduce_columns(grid, matrix, zeros, halt=0):
    """Write the square of each edge that has one. zeros : (cells,) uint8, all 0, before and after."""
    size, m = grid.key.size, matrix.square_of.size
    # Memory is committed only where it is written, so the longest chain, and more than all reduced chains will usually
    # need, can be allocated.
    chain = Chain(zeros, Heap(np.empty(size, grid.key.dtype), np.empty(size, np.int32)))
    begin, room = np.empty(m, np.int64), 1 + _ROOM * size
    owners, sets = np.empty(room, np.int32), np.empty(room, np.uint8)
    next_square, s, used = np.int64(0), np.int64(-1), np.int64(0)
    while True:
        columns = _Columns(begin, owners, sets)
        next_square, s, used = _reduce_some(next_square, s, used, grid, matrix, chain, columns, halt)
        if s < 0:
            return
        owners, sets = twice(owners), twice(sets)


@device
def _reduce_some(next_square, s, used, grid, matrix, chain, columns, halt):
    """Reduce column s, if it is not -1, and those from the next square on, while there is room for reduced chains.

    used : entries of `columns` in use. Returns next_square, s and used for another call with more room, or s = -1.
    """
    squares, opened, vertices = matrix.squares, matrix.opened, chain.heap.vertex
    while True:
        if s < 0:
            while next_square < squares.size and opened[_i(next_square)] >= 0:
                next_square += 1
            if next_square == squares.size or halted(halt):
                return next_square, s, used
            s, next_square = next_square, next_square + 1
        size = add_square(squares[_i(s)], matrix.square_bits[_i(s)], grid, chain)
        s, used, size = _reduce_column(s, used, size, grid, matrix, chain, columns, halt)
        for i in range(size):
            chain.edges[_i(vertices[_i(i)])] = 0
        if s >= 0:
            return next_square, s, used


@inlined
def _reduce_column(s, used, size, grid, matrix, chain, columns, halt):
    """Reduce column s, whose chain has a heap of that size, and the columns that it displaces, each from its pivot on.

    Returns -1, or the column that must start again because there is no room for its reduced chain; the number of
    entries of `columns` in use; and the size of the heap.
    """
    key, star, squares = grid.key, grid.star, matrix.squares
    first_edge, killed, square_of = matrix.first_edge, matrix.killed, matrix.square_of
    begin, owners, sets = columns.begin, columns.owners, columns.sets
    heap = chain.heap
    while size > 0 and not halted(halt):
        v = heap.vertex[0]
        size = pop(heap, size)
        edges = BYTE_MASK[_i(chain.edges[_i(v)] & ALL)]
        chain.edges[_i(v)] = 0
        edges, critical, size = flow(v, edges, grid, chain, size)
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
                used = _store(v, edges, chain, size, columns, used)
                square_of[_i(latest)] = s
                if other < 0:
                    return np.int64(-1), used, size
                s = np.int64(other)  # continues with the sum of both
            i = start
            edges ^= BYTE_MASK[_i(sets[_i(i)] & ALL)]
            while sets[_i(i)] & MORE:
                i += 1
                u = owners[_i(i)]
                size = toggle(u, sets[_i(i)] & ALL, key[_i(u)], chain, size)
            if displaced and used - begin[_i(latest)] <= i + 1 - start:  # it fits into the memory of the other
                used = _move(begin[_i(latest)], used, start, columns)
                begin[_i(latest)] = start
    return np.int64(-1), used, size


@inlined
def _earlier(key, squares, s, t):
    """Return whether the critical square s comes before t, a different one."""
    first, second = key[squares[s]], key[squares[t]]
    return (first < second) | ((first == second) & (s < t))


@inlined
def _latest(star, edges, critical, first, killed):
    """Drop the edges that end a component; return the number of the latest of the others, or -1, and the others."""
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
def _store(v, edges, chain, size, columns, used):
    """Store edges of v and the rest of the chain, and return the number of entries of `columns` in use."""
    vertices, owners, sets = chain.heap.vertex, columns.owners, columns.sets
    rest = 0
    while edges != _0:
        rest |= EDGE_BYTE[_i(trailing_zeros(edges))]
        edges &= _u(edges - _1)
    owners[_i(used)], sets[_i(used)] = v, rest | MORE
    used += 1
    for i in range(size):
        v = vertices[_i(i)]
        rest = chain.edges[_i(v)] & ALL
        owners[_i(used)], sets[_i(used)] = v, rest | MORE
        used += np.int64(rest != 0)
    sets[_i(used - 1)] &= ALL
    return used


@inlined
def _move(first, used, start, columns):
    """Move the last entries of `columns`, from `first` on, down to `start`, and return the number of entries in use."""
    owners, sets = columns.owners, columns.sets
    for j in range(used - first):
        owners[_i(start + j)], sets[_i(start + j)] = owners[_i(first + j)], sets[_i(first + j)]
    return first
