"""The chains of `reduce`, sets of edges modulo 2: the pool, where finished chains are written, and the table.

The table holds the chain at hand of `reduce_in_memory`, grouped by owner. A slot holds an owner, its edges in the chain
as a mask like those of stars, and its order key. A free slot has the owner -1, no edges, and a key below all others.
The table consists of tiles, and a hash tells to which tile an owner belongs. A block in registers has a slot for each
tile: the latest owner there or, where edges were removed, an upper bound on it. So one tile is read and written to take
the latest owner from a chain, or to add edges to it, however long the chain is.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import triton
import triton.language as tl

SWEEP = tl.constexpr(128)  # slots of a table that are processed at a time
_LOW = tl.constexpr(0xFFFFFFFF)


class Table(NamedTuple):
    """Pointers to the TABLE slots of the chain at hand."""

    owner: Any  # [TABLE] int32
    cells: Any  # [TABLE] int32
    key: Any  # [TABLE] int32 or int64


class Pool(NamedTuple):
    """Memory of a window that is written once: chains from the front, and a list of columns from the back.

    An entry of the list has two words: a column, and the start of the chain that it goes on with; see `list_column`.
    """

    words: Any  # [room] int32
    used: Any  # [] int64: words taken at the back * 2^32 + words taken at the front
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
def no_key_of(KEY: tl.constexpr, N: tl.constexpr):
    """Return N keys that come before all others."""
    return tl.full((N,), -1 << (KEY.primitive_bitwidth - 1), KEY)


@triton.jit
def empty(KEY: tl.constexpr, N: tl.constexpr):
    """Return N free slots."""
    return tl.full((N,), -1, tl.int32), tl.zeros((N,), tl.int32), no_key_of(KEY, N)


@triton.jit
def toggle(owner, cells, key, table, v, key_v, edges, TABLE: tl.constexpr):
    """Add edges of v to a chain, and remove those that are in it already.

    Returns the chain, and whether there was no slot for the edges.
    """
    lost = edges < 0
    if edges != 0:
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
    """Toggle edges of v in a tile, and return the tile, and whether it has no slot for v."""
    N: tl.constexpr = owner.shape[0]
    i = tl.arange(0, N)
    # The slot of v, or else a free one, or else -1.
    slot = tl.max(tl.where(owner == v, N + i, tl.where(owner < 0, i, -1)), 0)
    at = (i == (slot & (N - 1))) & (slot >= 0)
    cells = tl.where(at, cells ^ edges, cells)
    owner = tl.where(at, tl.where(cells == 0, -1, v), owner)
    no_key = no_key_of(key.dtype, N)
    key = tl.where(at, tl.where(cells == 0, no_key, key_v), key)
    return owner, cells, key, slot < 0


@triton.jit
def take_latest(owner, cells, key, table, TABLE: tl.constexpr):
    """Remove the edges of the latest owner from a chain in a table.

    Returns the chain, and the owner, -1 if the chain is empty, its key and its edges, which may be empty.
    """
    key_v = tl.max(key, 0)
    v = tl.max(tl.where(key == key_v, owner, -1), 0)
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
    return owner, cells, key, v, key_v, edges


@triton.jit
def _without(owner, cells, key, v):
    """Return a tile without the edges of v."""
    at = owner == v
    no_key = no_key_of(key.dtype, key.shape[0])
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
def allocate(pool, words):
    """Reserve words at the front of a pool, and return the first, which is even, or -1 if there is no room."""
    start, _ = _reserve(pool, words + (words & 1), 0)
    return start


@triton.jit
def list_column(pool, column, start):
    """Append a column to the list, with the start of its chain in the pool or -1; return -1 if there is no room."""
    fits, back = _reserve(pool, 0, 2)
    p_entry = pool.words + (pool.room - 2 - back)
    tl.store(p_entry, column, mask=fits >= 0)
    tl.store(p_entry + 1, start, mask=fits >= 0)
    return fits


@triton.jit
def _reserve(pool, front, back):
    """Reserve words at both ends of a pool by one atomic, so that they never meet.

    Returns the first word at the front, or -1 if there is no room, and the words that were taken at the back. Relaxed
    order is enough, because this does not publish what is written there.
    """
    taken = tl.atomic_add(pool.used, tl.cast(front, tl.int64) + (tl.cast(back, tl.int64) << 32), sem="relaxed")
    start, end = taken & _LOW, taken >> 32
    return tl.where(start + front + end + back <= pool.room, start, -1).to(tl.int32), end.to(tl.int32)


@triton.jit
def listed(pool):
    """Return how many columns are listed. Volatile, because other programs may be reserving words at the front."""
    return (tl.load(pool.used, volatile=True) >> 33).to(tl.int32)


@triton.jit
def entry_of(pool, i):
    """Return the i-th column of the list, and a pointer to the start of its chain."""
    p_entry = pool.words + (pool.room - 2 - 2 * i)
    return tl.load(p_entry), p_entry + 1


@triton.jit
def size_of(table, TABLE: tl.constexpr):
    """Count the edges of a table."""
    sizes = tl.zeros((SWEEP,), tl.int32)
    for start in range(0, TABLE, SWEEP):
        i = start + tl.arange(0, SWEEP)
        sizes += count(tl.load(table.cells + i, mask=i < TABLE, other=0))
    return tl.sum(sizes, 0)


@triton.jit
def write(p_words, size, table, TABLE: tl.constexpr):
    """Write a table of that size to a pool: the size, then the word of each edge, and room for its slot."""
    tl.store(p_words, size)
    p_words += 1
    for start in range(0, TABLE, SWEEP):
        i = start + tl.arange(0, SWEEP)
        c = tl.load(table.cells + i, mask=i < TABLE, other=0)
        o = tl.load(table.owner + i, mask=c != 0, other=0)
        n = count(c)
        end = tl.cumsum(n, 0)
        p_word = p_words + 2 * (end - n)
        while tl.max(c, 0) != 0:
            some = c != 0
            bit = tl.where(some, highest(c), 0)
            tl.store(p_word, word_of(o, bit), mask=some)
            c = tl.where(some, c ^ (1 << bit), 0)
            p_word += 2
        p_words += 2 * tl.max(end, 0)


@triton.jit
def word_of(owner, direction):
    """Return the words of edges from their owners and directions: 16 * owner + half the direction."""
    return (owner << 4) | (direction >> 1)


@triton.jit
def edge_of(word):
    """Return the owners and the edges, as masks, of words."""
    return (word >> 4) & 0x0FFFFFFF, 1 << ((word & 0xF) * 2)
