"""Reduce in memory: the columns whose paths or chains are too many for registers.

The chain at hand is in a table, and is followed only as far as its latest edge requires: that edge is replaced by what
it leads to, or dropped, or is the pivot. An edge is followed once, whatever the number of paths to it.
"""

from __future__ import annotations

import triton
import triton.language as tl

from ..counters import COUNTERS, LOOPS_LOST, OK, STATUS
from ..runtime.jit import kernel
from .merge import KILLER
from .reduce_chain import (
    Pool,
    Table,
    allocate,
    clear,
    edge_of,
    empty,
    entry_of,
    highest,
    listed,
    size_of,
    take_latest,
    toggle,
    write,
)
from .reduce_flow import (
    SIZES,
    Volume,
    comes_before,
    directions_of,
    far_edges,
    key_of,
    latest_of,
    match,
    owner_of,
    partner_of,
    slot_of,
)

_LOW = tl.constexpr(0xFFFFFFFF)


@kernel(do_not_specialize=SIZES, do_not_specialize_on_alignment=["values"])
def reduce_in_memory(
    values,  # [N, D, H, W] float32 or float64
    star,  # [N, D, H, W] int32 or int64
    squares,  # [N, most_squares] int32 or int64
    first_edge,  # [N, D * H * W] int32
    counters,  # [N, COUNTERS] int32, the status changed
    claims,  # [N, most_edges] int64, changed: see `boundaries`
    pool,  # [N, room] int32, written as far as it is used
    used,  # [N] int64, changed; see `Pool`
    table,  # [programs of all windows, 2, TABLE] int32, scratch
    keys,  # [programs of all windows, TABLE] of the keys' type, scratch
    depth,
    height,
    width,
    by_row,
    row_shift,
    by_slice,
    slice_shift,
    by_window,
    window_shift,
    most_edges,
    most_squares,
    room,
    programs,
    TOP: tl.constexpr,
    BLOCK: tl.constexpr,
    TABLE: tl.constexpr,
):
    """Reduce every `programs`-th of the columns that are listed for one window and not finished.

    These are columns whose paths were not followed, which have -1 in the list, and columns with a chain, which have -2
    minus its start. The chain at hand is in a table of TABLE slots in BLOCK tiles, which no other program uses.
    Programs share claims, the pool and the status, as in `_reduce`.
    """
    program = tl.program_id(0).to(tl.int64)
    window = program // programs
    voxels = depth * height * width
    values += window * voxels
    squares += window * most_squares
    claims += window * most_edges
    counters += window * COUNTERS
    pool = Pool(pool + window * room, used + window, room)
    star += window * voxels
    first_edge += window * voxels
    volume = Volume(
        values, star, first_edge, height, width, by_row, row_shift, by_slice, slice_shift, by_window, window_shift
    )
    table += program * 2 * TABLE
    table = Table(table, table + TABLE, keys + program * TABLE)
    KEY: tl.constexpr = tl.int32 if values.dtype.element_ty == tl.float32 else tl.int64

    # Another program may be setting the status: with an atomic, one thread reads it for all.
    n = tl.where(tl.atomic_add(counters + STATUS, 0, sem="relaxed") == OK, listed(pool), 0)
    spare, spare_room = 0, 0  # words of the pool that were allocated, and to which no claim refers
    failed = n < 0
    for i in range((program % programs).to(tl.int32), n, programs):
        column, p_start = entry_of(pool, i)
        listed_start = tl.load(p_start)
        busy = (failed == 0) & (listed_start < 0)
        if busy:
            owner, cells, key = empty(KEY, BLOCK)
            clear(table, TABLE)
            square = tl.load(squares + column)
            key_column = key_of(values, owner_of(square), True, TOP)
            is_new = listed_start == -1  # whether the column is still its square alone
            start = tl.where(is_new, -1, -2 - listed_start)  # the chain to be added next
            while busy:
                if start >= 0:
                    owner, cells, key, lost = _add(owner, cells, key, table, pool, start, values, TOP, TABLE)
                    failed |= lost
                owner, cells, key, v, edges, critical, lost = _follow(
                    owner, cells, key, table, square, is_new, claims, volume, TOP, TABLE
                )
                failed |= lost
                is_new = n < 0
                busy &= v >= 0
                start = -1
                if busy & (edges != 0) & (failed == 0):
                    pivot = slot_of(v, latest_of(edges, critical), critical, True, volume)
                    word = tl.atomic_add(claims + pivot, 0, sem="acquire")  # the holder's chain is read afterwards
                    start = (word >> 32).to(tl.int32)
                    holder = tl.where(word < 0, column, (word & _LOW).to(tl.int32))
                    if (word < 0) | comes_before(square, key_column, holder, squares, values, TOP):
                        words = 2 * size_of(table, TABLE) + 2
                        if words > spare_room:
                            spare = allocate(pool, words)
                            spare_room = tl.where(spare >= 0, words, 0)
                        failed |= spare_room == 0
                        start = -1
                        if failed == 0:
                            write(pool.words + spare + 1, words // 2 - 1, table, TABLE)
                            tl.debug_barrier()  # all threads have written before one publishes the chain
                            claim = (tl.cast(spare + 1, tl.int64) << 32) | tl.cast(column, tl.int64)
                            # Release the chain that was written, and acquire the one that is displaced.
                            if tl.atomic_cas(claims + pivot, word, claim, sem="acq_rel") == word:
                                # Finished, or the column that had the pivot goes on with the sum of both chains.
                                spare_room = 0
                                busy = word >= 0
                                start = (word >> 32).to(tl.int32)
                                column = holder
                                square = tl.load(squares + column)
                                key_column = key_of(values, owner_of(square), True, TOP)
                busy &= failed == 0
            tl.atomic_or(counters + STATUS, LOOPS_LOST, mask=failed, sem="relaxed")


@triton.jit
def _add(owner, cells, key, table, pool, start, values, TOP: tl.constexpr, TABLE: tl.constexpr):
    """Add a chain of the pool to the chain at hand, and return it, and whether there were no slots for some edges."""
    n = tl.load(pool.words + start)
    lost = n < 0
    for j in range(n):
        u, edge = edge_of(tl.load(pool.words + start + 1 + 2 * j))
        key_u = key_of(values, u, True, TOP)
        owner, cells, key, lost_j = toggle(owner, cells, key, table, u, key_u, edge, TABLE)
        lost |= lost_j
    return owner, cells, key, lost


@triton.jit
def _follow(owner, cells, key, table, square, is_new, claims, volume, TOP: tl.constexpr, TABLE: tl.constexpr):
    """Replace the edges of the latest owner of a chain in a table by what they lead to, as long as some are matched.

    A new chain is empty, and begins with its square. Critical edges that end a component are dropped up to the latest
    one that does not. Returns the chain, the owner, its edges and its critical edges, and whether there were no slots
    for some.
    """
    v, edges = owner_of(square), 0
    key_v = key_of(volume.value, v, True, TOP)
    p, q = directions_of(square)
    lost = v < 0
    if is_new == 0:
        owner, cells, key, v, key_v, edges = take_latest(owner, cells, key, table, TABLE)
    east, west, south, north, above, below, critical = match(tl.load(volume.star + v, mask=v >= 0, other=0))
    matched = east | west | south | north | above | below
    follows = is_new | ((edges & matched) != 0)
    while follows:
        if is_new == 0:
            p = highest(edges & matched)
            q = partner_of(1 << p, east, west, south, north, above)
        is_new = v < 0
        edges ^= (1 << p) | (1 << q)
        a, direction_a, m_a, b, direction_b, m_b = far_edges(v, p, q, v >= 0, volume, TOP)
        key_a, key_b = key_of(volume.value, a, m_a, TOP), key_of(volume.value, b, m_b, TOP)
        edge_a, edge_b = tl.where(m_a, 1 << direction_a, 0), tl.where(m_b, 1 << direction_b, 0)
        owner, cells, key, lost_a = toggle(owner, cells, key, table, a, key_a, edge_a, TABLE)
        owner, cells, key, lost_b = toggle(owner, cells, key, table, b, key_b, edge_b, TABLE)
        lost |= lost_a | lost_b
        follows = (edges & matched) != 0
    edges &= critical.to(tl.int32)  # without the order of a word
    is_killer = edges != 0
    while is_killer:
        # Another program may be claiming the edge meanwhile.
        latest = latest_of(edges, critical)
        slot = slot_of(v, latest, critical, True, volume)
        is_killer = tl.load(claims + slot, volatile=True) == KILLER
        edges = tl.where(is_killer, edges ^ (1 << latest), edges)
        is_killer &= edges != 0
    owner, cells, key, lost_v = toggle(owner, cells, key, table, v, key_v, edges, TABLE)
    return owner, cells, key, v, edges, critical, lost | lost_v
