"""The chains of `reduce`: sets of edges modulo 2, grouped by owner, from which the latest owner is taken.

A slot holds an owner, its edges in the chain as a mask like those of stars, and its order key. A free slot has the
owner -1, no edges, and a key below all others. The few slots of a block are in registers, and every operation acts on
all of them at once: a maximum over the block finds the latest owner, or the slot where edges belong.

A long chain is a table in memory, of as many tiles as the block has slots; a hash tells to which tile an owner belongs.
The block then holds the latest owner of each tile or, where edges were removed, an upper bound on it. So a step
costs a tile or two, however long the chain is.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import triton
import triton.language as tl

SWEEP = tl.constexpr(128)  # slots of a table that are processed at a time
_LOW = tl.constexpr(0xFFFFFFFF)


class Table(NamedTuple):
    """Pointers to a long chain. Its size, TABLE, is 0 where chains are in registers only."""

    owner: Any  # [TABLE] int32
    cells: Any  # [TABLE] int32
    key: Any  # [TABLE] int32 or int64


class Pool(NamedTuple):
    """Memory of a window that is written once: chains from the front, and a list of columns from the back."""

    words: Any  # [room] int32
    used: Any  # [] int64: places taken in the list * 2^32 + words taken at the front
    room: Any


@triton.jit
def highest(cells):
    """Return the highest bit of a mask of edges, from the exponent of the mask as a float."""
    return (cells.to(tl.float32).to(tl.int32, bitcast=True) >> 23) - 127


@triton.jit
def count(cells):
    """Count the edges of a mask, which are at even bits."""
    cells = (cells & 0x33333333) + ((cells >> 2) & 0x33333333)
    cells = (cells & 0x0F0F0F0F) + ((cells >> 4) & 0x0F0F0F0F)
    cells += cells >> 8
    return (cells + (cells >> 16)) & 0xF


@triton.jit
def empty(KEY: tl.constexpr, N: tl.constexpr):
    """Return N free slots."""
    no_key = tl.full((N,), -1 << (KEY.primitive_bitwidth - 1), KEY)
    return tl.full((N,), -1, tl.int32), tl.zeros((N,), tl.int32), no_key


@triton.jit
def toggle(owner, cells, key, table, v, key_v, edges, TABLE: tl.constexpr):
    """Add edges of v to a chain, and remove those that are in it already.

    Returns the chain, and whether there was no slot for the edges.
    """
    lost = edges < 0
    if edges != 0:
        if TABLE == 0:
            owner, cells, key, lost = _toggled(owner, cells, key, v, key_v, edges)
        else:
            TILES: tl.constexpr = owner.shape[0]
            tile = _tile_of(v, TILES)
            p_owner, p_cells, p_key = _slots(table, tile, TABLE // TILES)
            o, c, k, lost = _toggled(tl.load(p_owner), tl.load(p_cells), tl.load(p_key), v, key_v, edges)
            tl.debug_barrier()  # all threads have loaded the tile before one changes it
            tl.store(p_owner, o)
            tl.store(p_cells, c)
            tl.store(p_key, k)
            tl.debug_barrier()  # other threads may load the tile next
            at = (tl.arange(0, TILES) == tile) & ((key < key_v) | ((key == key_v) & (owner < v)))
            owner, key = tl.where(at, v, owner), tl.where(at, key_v, key)
    return owner, cells, key, lost


@triton.jit
def _toggled(owner, cells, key, v, key_v, edges):
    """Toggle edges in a block."""
    N: tl.constexpr = owner.shape[0]
    i = tl.arange(0, N)
    # The slot of v, or else a free one, or else -1.
    slot = tl.max(tl.where(owner == v, N + i, tl.where(owner < 0, i, -1)), 0)
    at = (i == (slot & (N - 1))) & (slot >= 0)
    cells = tl.where(at, cells ^ edges, cells)
    owner = tl.where(at, tl.where(cells == 0, -1, v), owner)
    no_key = tl.full((N,), -1 << (key.dtype.primitive_bitwidth - 1), key.dtype)
    key = tl.where(at, tl.where(cells == 0, no_key, key_v), key)
    return owner, cells, key, slot < 0


@triton.jit
def take_latest(owner, cells, key, table, TABLE: tl.constexpr):
    """Remove the edges of the latest owner from a chain.

    Returns the chain; the owner, -1 if the chain is empty, its key and its edges, which may be empty in a long chain;
    and how many slots of a block are still taken.
    """
    key_v = tl.max(key, 0)
    v = tl.max(tl.where(key == key_v, owner, -1), 0)
    if TABLE == 0:
        edges = tl.sum(tl.where(owner == v, cells, 0), 0)
        owner, cells, key = _without(owner, cells, key, v)
        size = tl.sum((owner >= 0).to(tl.int32), 0)
    else:
        TILES: tl.constexpr = owner.shape[0]
        tile = _tile_of(v, TILES)
        p_owner, p_cells, p_key = _slots(table, tile, TABLE // TILES)
        o, c, k = tl.load(p_owner), tl.load(p_cells), tl.load(p_key)
        edges = tl.sum(tl.where(o == v, c, 0), 0)
        o, c, k = _without(o, c, k, v)
        tl.debug_barrier()  # all threads have loaded the tile before one changes it
        tl.store(p_owner, o)
        tl.store(p_cells, c)
        tl.store(p_key, k)
        tl.debug_barrier()  # other threads may load the tile next
        at = tl.arange(0, TILES) == tile
        key_tile = tl.max(k, 0)
        owner = tl.where(at, tl.max(tl.where(k == key_tile, o, -1), 0), owner)
        key = tl.where(at, key_tile, key)
        size = 0
    return owner, cells, key, v, key_v, edges, size


@triton.jit
def _without(owner, cells, key, v):
    """Return a block without the edges of v."""
    at = owner == v
    no_key = tl.full(key.shape, -1 << (key.dtype.primitive_bitwidth - 1), key.dtype)
    return tl.where(at, -1, owner), tl.where(at, 0, cells), tl.where(at, no_key, key)


@triton.jit
def _tile_of(v, TILES: tl.constexpr):
    """Return the tile of an owner, by Fibonacci hashing: the constant is 2^32 divided by the golden ratio."""
    return (((v.to(tl.int64) * 0x9E3779B1) & _LOW) * TILES >> 32).to(tl.int32)


@triton.jit
def _slots(table, tile, N: tl.constexpr):
    """Return pointers to the owners, edges and keys of a tile."""
    i = tile * N + tl.arange(0, N)
    return table.owner + i, table.cells + i, table.key + i


@triton.jit
def clear(table, TABLE: tl.constexpr):
    """Empty a table."""
    o, c, k = empty(table.key.dtype.element_ty, SWEEP)
    for start in range(0, TABLE, SWEEP):
        i = start + tl.arange(0, SWEEP)
        tl.store(table.owner + i, o, mask=i < TABLE)
        tl.store(table.cells + i, c, mask=i < TABLE)
        tl.store(table.key + i, k, mask=i < TABLE)
    tl.debug_barrier()  # other threads read the slots, in another layout


@triton.jit
def allocate(pool, words, places):
    """Reserve words at the front of a pool, and places in the list at its back, by one atomic, so that they never meet.

    Returns the first word, or -1 if there is no room, and the first place. Relaxed order is enough, because this does
    not publish what is written there.
    """
    taken = tl.atomic_add(pool.used, tl.cast(words, tl.int64) + (tl.cast(places, tl.int64) << 32), sem="relaxed")
    start, place = taken & _LOW, taken >> 32
    fits = start + words + place + places <= pool.room
    return tl.where(fits, start, -1).to(tl.int32), place.to(tl.int32)


@triton.jit
def listed(pool):
    """Return how many places the list has. Volatile: other programs are reserving words meanwhile, but no places."""
    return (tl.load(pool.used, volatile=True) >> 32).to(tl.int32)


@triton.jit
def size_of(owner, cells, table, TABLE: tl.constexpr):
    """Count the edges of a chain."""
    if TABLE == 0:
        size = tl.sum(count(cells), 0)
    else:
        sizes = tl.zeros((SWEEP,), tl.int32)
        for start in range(0, TABLE, SWEEP):
            i = start + tl.arange(0, SWEEP)
            sizes += count(tl.load(table.cells + i, mask=i < TABLE, other=0))
        size = tl.sum(sizes, 0)
    return size


@triton.jit
def write(p_words, size, owner, cells, table, TABLE: tl.constexpr):
    """Write a chain of that size to a pool: the size, then a word for each edge, 16 * owner + half its bit."""
    tl.store(p_words, size)
    p_words += 1
    if TABLE == 0:
        _write_block(p_words, owner, cells)
    else:
        for start in range(0, TABLE, SWEEP):
            i = start + tl.arange(0, SWEEP)
            c = tl.load(table.cells + i, mask=i < TABLE, other=0)
            o = tl.load(table.owner + i, mask=c != 0, other=0)
            p_words = _write_block(p_words, o, c)


@triton.jit
def _write_block(p_words, owner, cells):
    """Write the edges of a block, grouped by owner, and return where the next ones go."""
    n = count(cells)
    end = tl.cumsum(n, 0)
    p_word = p_words + (end - n)
    left = cells
    while tl.max(left, 0) != 0:
        some = left != 0
        bit = tl.where(some, highest(left), 0)
        tl.store(p_word, (owner << 4) | (bit >> 1), mask=some)
        left = tl.where(some, left ^ (1 << bit), 0)
        p_word += 1
    return p_words + tl.max(end, 0)


@triton.jit
def edge_of(word):
    """Return the owner and the edge, as a mask, of a word of a pool."""
    return (word >> 4) & 0x0FFFFFFF, 1 << ((word & 0xF) * 2)
