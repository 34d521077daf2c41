"""Reduce: pair each critical edge that closes a loop with the critical square that ends it, without locks.

This is the matrix reduction of the textbook, as on the CPU. A column is the boundary of a critical square, a set of
edges modulo 2. Its latest edge is replaced by what it leads to, or dropped, or is the pivot. If two columns have the
same pivot, the younger adds what the elder has written down. All columns are reduced at once, each by one program. A
pivot has a word, (chain, column), which is claimed by compare-and-swap. An elder column that arrives later takes the
pivot over, and its program goes on with the column that it displaced, after adding its own (Morozov & Nigmetov, Towards
Lockfree Persistent Homology, 2020).

A chain is never changed once a word refers to it, the column in a word only ever gets older, and a swap fails only if
another succeeds. So the reduction ends, and no word occurs twice (no ABA problem). The pairing is unique, whatever the
schedule; see kernels/README.md.

The chain at hand is in registers. Few chains outgrow them unless the data are noise; their columns are written to a
list, and a second launch, which is always made, begins them anew with chains in memory. If a window needs more memory
than was allocated, it gets the status LOOPS_LOST and no loops.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..counters import COUNTERS, LOOPS_LOST, OK, SQUARES, STATUS
from ..runtime.jit import kernel
from ..runtime.launch import cdiv, registers
from .gradient import SQUARES_PER_VOXEL
from .merge import KILLER, Loops
from .reduce_chain import (
    Pool,
    Table,
    allocate,
    clear,
    count,
    edge_of,
    empty,
    highest,
    listed,
    size_of,
    take_latest,
    toggle,
    write,
)
from .reduce_flow import directions_of, far_edges, key_of, match, outwards, square_of

_BLOCK = 64  # owners of edges that registers hold
_VOXELS_PER_PROGRAM = 1024  # for programs with chains in registers
_WORDS = 8  # of the pool, a voxel: pure noise of 64^3 takes 4, of 128^3 6, and real data less than 1
_SLOTS = 1024, 32768  # of a table, at least and at most: the longest chains of pure noise take a third
_VOXELS_PER_SLOT = 32  # between these bounds
_SLOTS_PER_VOXEL = 1  # of all tables of a window, one for each program
_COLUMNS, _VOXELS_PER_COLUMN = 256, 4  # default capacity: the larger number; memory grows with the capacity beyond it
_TILES = 512  # of a table at most, because each has a slot in registers
_TILE = 64, 512  # slots of a tile, at least and at most
_REGISTERS = registers(80), registers(255)  # with chains in registers, and in memory
_LOW = tl.constexpr(0xFFFFFFFF)


def reduce(x: Tensor, loops: Loops, counters: Tensor, top: bool, capacity: int) -> Tensor:
    """Pair the critical edges that close a loop with the critical squares that end it.

    Parameters
    ----------
    x : Tensor, shape (N, D, H, W)
    loops : Loops
        The result of `merge`; claims and used are changed.
    counters : Tensor, shape (N, COUNTERS), int32
        The status is set to LOOPS_LOST where memory was not sufficient.
    top : bool
        The construction, T or V.
    capacity : int
        Columns of a diagram: with more than by default, more memory is allocated, in proportion.

    Returns
    -------
    square_of : Tensor, shape (N, E), int32
        The position in `loops.squares` of the square that a critical edge is paired with; negative for other edges. It
        is not contiguous, but every second word of the claims.
    """
    n, depth, height, width = x.shape
    star, first_edge, squares, claims, opened, used = loops
    voxels = depth * height * width
    more = max(1.0, capacity / max(_COLUMNS, voxels // _VOXELS_PER_COLUMN))
    memory = int(more * voxels)
    room = min(_WORDS * memory + 64, 2**31 - 1)
    pool = x.new_empty((n, room), dtype=torch.int32)
    slots = min(max(_SLOTS[0], triton.next_power_of_2(voxels // _VOXELS_PER_SLOT)), _SLOTS[1])
    enough = max(_SLOTS[0], triton.next_power_of_2(4 * voxels))  # as no chain has more owners than there are voxels
    slots = min(slots * triton.next_power_of_2(int(more)), enough, _TILES * _TILE[1])
    programs = cdiv(memory * _SLOTS_PER_VOXEL, slots)
    table = x.new_empty((n * programs, 2, slots), dtype=torch.int32)
    keys = x.new_empty((n * programs, slots), dtype=torch.int32 if x.dtype == torch.float32 else torch.int64)
    tensors = x, star, squares, first_edge, opened, counters, claims, pool, used, table, keys
    sizes = depth, height, width, claims.shape[1], squares.shape[1], room
    if n:
        few, many = _REGISTERS
        in_registers = cdiv(voxels, _VOXELS_PER_PROGRAM)
        _reduce[(n * in_registers,)](*tensors, *sizes, in_registers, TOP=top, BLOCK=_BLOCK, TABLE=0, num_warps=1, **few)
        tiles = min(slots // _TILE[0], _TILES)
        _reduce[(n * programs,)](*tensors, *sizes, programs, TOP=top, BLOCK=tiles, TABLE=slots, num_warps=1, **many)
    return claims.view(torch.int32)[:, ::2]


@kernel(
    do_not_specialize=["depth", "height", "width", "most_edges", "most_squares", "room", "programs"],
    do_not_specialize_on_alignment=["values"],
)
def _reduce(
    values,  # [N, D, H, W] float32 or float64
    star,  # [N, D, H, W] int32
    squares,  # [N, most_squares] int32
    first_edge,  # [N, D * H * W] int32
    opened,  # [N, most_squares] int8
    counters,  # [N, COUNTERS] int32, the status changed
    claims,  # [N, most_edges] int64, changed: from OPEN to the chain's start in the pool * 2^32 + the column's square
    pool,  # [N, room] int32, written as far as it is used
    used,  # [N] int64, changed; see `Pool`
    table,  # [programs of all windows, 2, TABLE] int32, scratch
    keys,  # [programs of all windows, TABLE] of the keys' type, scratch
    depth,
    height,
    width,
    most_edges,
    most_squares,
    room,
    programs,
    TOP: tl.constexpr,
    BLOCK: tl.constexpr,
    TABLE: tl.constexpr,
):
    """Reduce every `programs`-th column of one window: of its squares, or (TABLE > 0) of those in the pool's list.

    The chain at hand is in a block of BLOCK slots, or in a table of TABLE slots in BLOCK tiles, which no other program
    uses. Programs share `claims`, the pool and the status. All threads of a program write a chain; after a barrier, one
    of them publishes it by a swap that releases it, and a program that reads the word acquires it. If the swap fails,
    the next chain overwrites this one.
    """
    program = tl.program_id(0).to(tl.int64)
    window = program // programs
    voxels = depth * height * width
    values += window * voxels
    star += window * voxels
    first_edge += window * voxels
    squares += window * most_squares
    opened += window * most_squares
    claims += window * most_edges
    counters += window * COUNTERS
    pool = Pool(pool + window * room, used + window, room)
    table += program * 2 * TABLE
    table = Table(table, table + TABLE, keys + program * TABLE)
    KEY: tl.constexpr = tl.int32 if values.dtype.element_ty == tl.float32 else tl.int64
    FULL: tl.constexpr = BLOCK - 3 if TABLE == 0 else TABLE  # leaves slots for two far owners and v

    n = tl.load(counters + SQUARES) if TABLE == 0 else listed(pool)
    # Another program may be setting the status: with an atomic, one thread reads it for all.
    n = tl.where(tl.atomic_add(counters + STATUS, 0, sem="relaxed") == OK, n, 0)
    spare, spare_room = 0, 0  # words of the pool that were allocated, and to which no claim refers
    failed = n < 0
    for i in range((program % programs).to(tl.int32), n, programs):
        owner, cells, key = empty(KEY, BLOCK)
        if TABLE == 0:
            column = i
            busy = (failed == 0) & (tl.load(opened + i) == 0)
        else:
            column = tl.load(pool.words + room - 1 - i)
            busy = failed == 0
            clear(table, TABLE)
        square = tl.load(squares + column)
        v = square // SQUARES_PER_VOXEL
        key_v = key_of(values, v, True, TOP)
        key_column = key_v
        p, q = directions_of(square % SQUARES_PER_VOXEL)
        edges, taken = 0, 0
        is_new, start = 1, -1  # whether the column is still its square alone; the chain to be added next
        while busy:
            if start >= 0:
                length = tl.load(pool.words + start)
                for j in range(start + 1, start + 1 + length):
                    u, edge = edge_of(tl.load(pool.words + j))
                    key_u = key_of(values, u, True, TOP)
                    owner, cells, key, lost = toggle(owner, cells, key, table, u, key_u, edge, TABLE)
                    failed |= lost
            if is_new == 0:
                owner, cells, key, v, key_v, edges, taken = take_latest(owner, cells, key, table, TABLE)
                busy &= v >= 0

            # Follow the edges of v as long as some are matched with squares and there are free slots.
            east, west, south, north, above, below, critical = match(tl.load(star + v, mask=v >= 0, other=0))
            matched = east | west | south | north | above | below
            follows = (is_new != 0) | ((edges & matched) != 0)
            out = 0
            if follows & TOP:
                out = outwards(v, depth, height, width)
            spills = follows & (taken > FULL)
            while follows & (taken <= FULL):
                if is_new == 0:
                    p, q = square_of(edges & matched, east, west, south, north, above)
                is_new = 0
                edges ^= (1 << p) | (1 << q)
                u, key_u, edge, w, key_w, edge_w = far_edges(values, star, v, p, q, out, height, width, TOP)
                owner, cells, key, lost = toggle(owner, cells, key, table, u, key_u, edge, TABLE)
                owner, cells, key, lost_w = toggle(owner, cells, key, table, w, key_w, edge_w, TABLE)
                failed |= lost | lost_w
                taken += 2
                follows = (edges & matched) != 0

            # The pivot is the latest critical edge that does not end a component.
            pivot = -1
            if follows == 0:
                edges &= critical
                while (edges != 0) & (pivot < 0):
                    edge = 1 << highest(edges)
                    slot = tl.load(first_edge + v) + count(critical & (edge - 1))
                    is_killer = tl.load(claims + slot, volatile=True) == KILLER  # another program may be claiming it
                    edges = tl.where(is_killer, edges ^ edge, edges)
                    pivot = tl.where(is_killer, -1, slot)
            owner, cells, key, lost = toggle(owner, cells, key, table, v, key_v, edges, TABLE)
            failed |= lost

            start = -1
            if (failed == 0) & (pivot >= 0):
                word = tl.atomic_add(claims + pivot, 0, sem="acquire")  # the holder's chain is read afterwards
                start = (word >> 32).to(tl.int32)
                holder = (word & _LOW).to(tl.int32)
                square_holder = tl.load(squares + holder, mask=word >= 0, other=0)
                key_holder = key_of(values, square_holder // SQUARES_PER_VOXEL, word >= 0, TOP)
                is_elder = (key_column < key_holder) | ((key_column == key_holder) & (square < square_holder))
                if (word < 0) | is_elder:
                    words = 1 + size_of(owner, cells, table, TABLE)
                    if words > spare_room:
                        spare, _ = allocate(pool, words, 0)
                        spare_room = tl.where(spare >= 0, words, 0)
                    failed |= spare_room == 0
                    start = -1
                    if failed == 0:
                        write(pool.words + spare, words - 1, owner, cells, table, TABLE)
                        tl.debug_barrier()  # all threads have written before one publishes the chain
                        claim = (tl.cast(spare, tl.int64) << 32) | tl.cast(column, tl.int64)
                        # Release the chain that was written, and acquire the one that is displaced.
                        if tl.atomic_cas(claims + pivot, word, claim, sem="acq_rel") == word:
                            # Finished, or the column that had the pivot goes on with the sum of both chains.
                            spare_room = 0
                            busy = word >= 0
                            start = (word >> 32).to(tl.int32)
                            column, square, key_column = holder, square_holder, key_holder
            if TABLE == 0:
                # The sum with the other chain may have more owners than there are slots.
                length = tl.load(pool.words + start, mask=start >= 0, other=0)
                spills |= tl.sum((owner >= 0).to(tl.int32), 0) + length > BLOCK
                if spills:
                    fits, place = allocate(pool, 0, 1)
                    tl.store(pool.words + room - 1 - place, column, mask=fits >= 0)
                    failed |= fits < 0
                    busy &= spills == 0
            tl.atomic_or(counters + STATUS, LOOPS_LOST, mask=failed, sem="relaxed")
            busy &= failed == 0
