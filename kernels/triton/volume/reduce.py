"""Reduce: pair each critical edge that closes a loop with the critical square that ends it, without locks.

This is the matrix reduction of the textbook, as on the CPU. A column is the boundary of a critical square, a set of
critical edges modulo 2, and its latest edge is the pivot. If two columns have the same pivot, the younger adds what the
elder has written down. A pivot has a word, (chain, column), which is claimed by compare-and-swap. An elder column that
arrives later takes the pivot over, and its program goes on with the column that it displaced, after adding its own
(Morozov & Nigmetov, Towards Lockfree Persistent Homology, 2020).

There are three launches, always. The first writes all boundaries and pairs each pivot with the eldest column that has
it; most columns are finished then. The second reduces the others, each by one program, with the chain at hand in
registers. The third does the same in memory, for the few columns that are too long. If a window needs more memory than
was allocated, it gets the status LOOPS_LOST and no loops.

A chain is never changed once a word refers to it, the column in a word only ever gets older, and a swap fails only if
another succeeds. So the reduction ends, and no word occurs twice (no ABA problem). The pairing is unique, whatever the
schedule; see kernels/README.md.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..counters import COUNTERS, LOOPS_LOST, OK, STATUS
from ..runtime.jit import kernel
from ..runtime.launch import cdiv, registers
from .merge import Loops
from .reduce_boundary import boundaries
from .reduce_chain import Pool, allocate, entry_of, listed, no_key_of
from .reduce_flow import key_of, owner_of, reciprocal
from .reduce_table import reduce_in_memory
from .reduce_walk import LANES, SCRATCH

_BLOCK = 128  # edges that registers hold: columns of pure noise of 32^3 have up to 110, and most have 3
_TURNS = 4096  # of the paths of a column, at most; real data take less than 200
_VOXELS_PER_WALK, _VOXELS_PER_PROGRAM = 512, 256  # for programs that write boundaries, and that reduce in registers
_WORDS = 8  # of the pool, a voxel: pure noise takes 4, and real data less than 1
_SLOTS = 1024, 32768  # of a table, at least and at most
_VOXELS_PER_SLOT = 32  # between these bounds
_SLOTS_PER_VOXEL = 1  # of all tables of a window, one for each program
_COLUMNS, _VOXELS_PER_COLUMN = 256, 4  # default capacity: the larger number; memory grows with the capacity beyond it
_TILES = 512  # of a table at most, because each has a slot in registers
_TILE = 64, 512  # slots of a tile, at least and at most
_REGISTERS = registers(128), registers(80), registers(255)  # of the three launches, in order
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
    walkers = cdiv(voxels, _VOXELS_PER_WALK)
    # The programs that follow paths use this memory before the tables do.
    table = x.new_empty(n * max(2 * programs * slots, walkers * SCRATCH), dtype=torch.int32)
    keys = x.new_empty((n * programs, slots), dtype=torch.int32 if x.dtype == torch.float32 else torch.int64)
    by = *reciprocal(width), *reciprocal(height * width), *reciprocal(voxels)
    sizes = depth, height, width, *by, claims.shape[1], squares.shape[1], room
    shared = counters, claims, pool, used
    if n:
        walk, few, many = _REGISTERS
        boundaries[(n * walkers,)](
            x, star, squares, first_edge, opened, *shared, table, *sizes, walkers,
            TOP=top, LANES=LANES, SIZE=SCRATCH, TURNS=_TURNS, num_warps=1, **walk,
        )  # fmt: skip
        in_registers = cdiv(voxels, _VOXELS_PER_PROGRAM)
        _reduce[(n * in_registers,)](
            x, squares, *shared, voxels, *sizes[-3:], in_registers,
            TOP=top, LANES=LANES, BLOCK=_BLOCK, num_warps=1, **few,
        )  # fmt: skip
        tiles = min(slots // _TILE[0], _TILES)
        reduce_in_memory[(n * programs,)](
            x, star, squares, first_edge, *shared, table, keys, *sizes, programs,
            TOP=top, BLOCK=tiles, TABLE=slots, num_warps=1, **many,
        )  # fmt: skip
    return claims.view(torch.int32)[:, ::2]


@kernel(
    do_not_specialize=["voxels", "most_edges", "most_squares", "room", "programs"],
    do_not_specialize_on_alignment=["values"],
)
def _reduce(
    values,  # [N, voxels] float32 or float64
    squares,  # [N, most_squares] int32 or int64
    counters,  # [N, COUNTERS] int32, the status changed
    claims,  # [N, most_edges] int64, changed: see `boundaries`
    pool,  # [N, room] int32, written as far as it is used
    used,  # [N] int64, changed; see `Pool`
    voxels,
    most_edges,
    most_squares,
    room,
    programs,
    TOP: tl.constexpr,
    LANES: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Reduce every `programs`-th of the columns that are listed for one window, as far as registers suffice.

    The chain at hand is a block of BLOCK edges. Programs share claims, the pool and the status. All threads of a
    program write a chain; after a barrier, one of them publishes it by a swap that releases it, and a program that
    reads the word acquires it. Chains of `boundaries` begin at even words, and need neither. If the swap fails, the
    next chain overwrites this one. Where a chain outgrows the block, the entry of the list becomes -2 minus the chain
    that the column began with.
    """
    program = tl.program_id(0).to(tl.int64)
    window = program // programs
    values += window * voxels
    squares += window * most_squares
    claims += window * most_edges
    counters += window * COUNTERS
    pool = Pool(pool + window * room, used + window, room)
    KEY: tl.constexpr = tl.int32 if values.dtype.element_ty == tl.float32 else tl.int64

    # Another program may be setting the status: with an atomic, one thread reads it for all.
    n = tl.where(tl.atomic_add(counters + STATUS, 0, sem="relaxed") == OK, listed(pool), 0)
    spare, spare_room = 0, 0  # words of the pool that were allocated, and to which no claim refers
    failed = n < 0
    for entry in range((program % programs).to(tl.int32), n, programs):
        column, p_start = entry_of(pool, entry)
        origin = tl.load(p_start)  # a chain of the column at hand
        if (failed == 0) & (origin >= 0):
            square = tl.load(squares + column)
            key_column = key_of(values, owner_of(square), True, TOP)
            edges, slots, key = tl.full((BLOCK,), -1, tl.int32), tl.zeros((BLOCK,), tl.int32), no_key_of(KEY, BLOCK)
            length = tl.load(pool.words + origin)
            edges, slots, key, spills = _add(edges, slots, key, pool.words + origin + 1, length, values, TOP, LANES)
            is_origin = length >= 0  # whether the chain at hand is that of origin
            pivot = _latest(edges, slots, key)
            busy = failed == 0
            while busy & (pivot >= 0) & (spills == 0):
                # With an atomic, one thread reads for all. A chain of this launch begins at an odd word, and must be
                # acquired before it is read.
                word = tl.atomic_add(claims + pivot, 0, sem="relaxed")
                if (word >= 0) & ((word >> 32 & 1) != 0):
                    word = tl.atomic_add(claims + pivot, 0, sem="acquire")
                start, holder = (word >> 32).to(tl.int32), (word & _LOW).to(tl.int32)
                taken = word >= 0
                length = tl.load(pool.words + start, mask=taken, other=0)
                square_holder = tl.load(squares + holder, mask=taken, other=0)
                key_holder = key_of(values, owner_of(square_holder), taken, TOP)
                comes = (key_column < key_holder) | ((key_column == key_holder) & (square < square_holder))
                if (taken == 0) | comes:
                    begin = origin
                    if is_origin == 0:
                        size = tl.sum((edges != -1).to(tl.int32), 0)
                        words = 2 * size + 2
                        if words > spare_room:
                            spare = allocate(pool, words)
                            spare_room = tl.where(spare >= 0, words, 0)
                        failed |= spare_room == 0
                        begin = spare + 1
                        if failed == 0:
                            tl.store(pool.words + begin, size)
                            there = (edges != -1).to(tl.int32)
                            at = begin + 1 + 2 * (tl.cumsum(there, 0) - there)
                            tl.store(pool.words + at, edges, mask=there != 0)
                            tl.store(pool.words + at + 1, slots, mask=there != 0)
                            tl.debug_barrier()  # all threads have written before one publishes the chain
                    if failed:
                        busy = failed == 0
                    else:
                        claim = (tl.cast(begin, tl.int64) << 32) | tl.cast(column, tl.int64)
                        if is_origin:
                            seen = tl.atomic_cas(claims + pivot, word, claim, sem="relaxed")
                        else:
                            seen = tl.atomic_cas(claims + pivot, word, claim, sem="release")
                        if seen == word:
                            # Finished, or the column that had the pivot goes on with the sum of both chains.
                            spare_room = tl.where(is_origin, spare_room, 0)
                            busy = taken
                            column, origin, square, key_column = holder, start, square_holder, key_holder
                        else:
                            taken = n < 0  # try again
                if busy & taken:
                    edges, slots, key, spills = _add(
                        edges, slots, key, pool.words + start + 1, length, values, TOP, LANES
                    )
                    is_origin = n < 0
                    pivot = _latest(edges, slots, key)
            if spills:
                tl.debug_barrier()  # all threads have read the entry
                tl.store(p_start - 1, column)
                tl.store(p_start, -2 - origin)
            tl.atomic_or(counters + STATUS, LOOPS_LOST, mask=failed, sem="relaxed")


@triton.jit
def _latest(edges, slots, key):
    """Return the slot of the latest edge of a chain, or -1 if it has none; those of one owner have slots in order."""
    m_last = key == tl.max(key, 0)
    owners = edges.to(tl.uint32) >> 4
    m_last &= owners == tl.max(tl.where(m_last, owners, 0), 0)
    return tl.max(tl.where(m_last & (edges != -1), slots, -1), 0)


@triton.jit
def _add(edges, slots, key, p_words, n, values, TOP: tl.constexpr, LANES: tl.constexpr):
    """Add n edges to a chain in registers modulo 2: those that it has already are removed.

    Returns the chain, and whether there was no room for some of them.
    """
    N: tl.constexpr = edges.shape[0]
    i, lane = tl.arange(0, N), tl.arange(0, LANES)
    no_key = no_key_of(key.dtype, N)
    lost = n < 0
    for begin in range(0, n, LANES):
        there = begin + lane < n
        p_edge = p_words + 2 * (begin + lane)
        some, their_slots = tl.load(p_edge, mask=there, other=0), tl.load(p_edge + 1, mask=there, other=0)
        their_keys = key_of(values, (some >> 4) & 0x0FFFFFFF, there, TOP)
        for j in range(tl.minimum(n - begin, LANES)):
            at = lane == j
            edge, slot = tl.sum(tl.where(at, some, 0), 0), tl.sum(tl.where(at, their_slots, 0), 0)
            key_edge = tl.sum(tl.where(at, their_keys, 0), 0)
            # The place of the edge, or else a free one, or else -1.
            place = tl.max(tl.where(edges == edge, N + i, tl.where(edges == -1, i, -1)), 0)
            lost |= place < 0
            m_there = i == place - N
            m_free = i == place
            edges = tl.where(m_there, -1, tl.where(m_free, edge, edges))
            key = tl.where(m_there, no_key, tl.where(m_free, key_edge, key))
            slots = tl.where(m_free, slot, slots)
    return edges, slots, key, lost
