"""Boundary: the critical edges in which the paths from a critical square end, modulo 2, and the latest one, the pivot.

They are the boundary of the square in the Morse complex. Most squares are the eldest with their pivot, and so finished.
"""

from __future__ import annotations

import triton
import triton.language as tl

from ..counters import COUNTERS, LOOPS_LOST, OK, SQUARES, STATUS
from ..runtime.jit import kernel
from .merge import KILLER, OPEN
from .reduce_chain import Pool, allocate, list_column, word_of
from .reduce_flow import SIZES, Volume, comes_before, key_of, match, owner_of, slot_of
from .reduce_walk import COLUMNS, KEPT, PATHS, QUEUE, TAG, TAGGED, TAGS, Scratch, walk

_LOW = tl.constexpr(0xFFFFFFFF)


@kernel(do_not_specialize=SIZES, do_not_specialize_on_alignment=["values"])
def boundaries(
    values,  # [N, D, H, W] float32 or float64
    star,  # [N, D, H, W] int32 or int64
    squares,  # [N, most_squares] int32 or int64
    first_edge,  # [N, D * H * W] int32
    opened,  # [N, most_squares] int8
    counters,  # [N, COUNTERS] int32, the status changed
    claims,  # [N, most_edges] int64, changed: from OPEN to the chain's start in the pool * 2^32 + the column
    pool,  # [N, room] int32, written as far as it is used
    used,  # [N] int64, changed; see `Pool`
    scratch,  # [programs of all windows, SCRATCH] int32
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
    LANES: tl.constexpr,
    SIZE: tl.constexpr,
    TURNS: tl.constexpr,
):
    """Write the boundaries of every `programs`-th group of columns of one window, and claim their latest edges.

    Of the columns with the same latest edge, the eldest keeps it, and is finished. The others are listed. Programs
    share claims, the pool and the status, all by atomics. Relaxed ones are enough, because no program reads what
    another has written before the launch is over.
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
    scratch += program * SIZE
    tags = tl.where(voxels <= TAGGED, TAGS, 0)
    owners = (~tags >> 4) & 0x0FFFFFFF
    p_last = scratch + 2 * QUEUE
    scratch = Scratch(scratch, p_last, p_last + 256, p_last + 256 + PATHS, tags, owners)
    volume = Volume(
        values, star, first_edge, height, width, by_row, row_shift, by_slice, slice_shift, by_window, window_shift
    )

    n = tl.load(counters + SQUARES)
    # Another program may be setting the status: with an atomic, one thread reads it for all.
    n = tl.where(tl.atomic_add(counters + STATUS, 0, sem="relaxed") == OK, n, 0)
    group = tl.where(tags == 0, 1, tl.minimum(tl.maximum(tl.cdiv(n, programs), 1), COLUMNS))
    failed = n < 0
    time = 0  # counts how often equal edges were dropped
    for start in range((program % programs).to(tl.int32) * group, n, programs * group):
        first, end, size = start, tl.minimum(start + group, n), group
        while first < end:
            size = tl.minimum(size, end - first)
            n_ends, time, spills = walk(first, size, time, scratch, squares, opened, volume, TOP, LANES, TURNS)
            if spills & (size > 1):
                size = 1  # begin again with one column at a time
            else:
                if spills:
                    failed |= list_column(pool, first, -1) < 0
                else:
                    failed |= _claim(first, size, n_ends, scratch, squares, claims, pool, volume, TOP)
                first += size
            first = tl.where(failed, end, first)
        tl.atomic_or(counters + STATUS, LOOPS_LOST, mask=failed, sem="relaxed")


@triton.jit
def _claim(first, size, n, scratch, squares, claims, pool, volume, TOP: tl.constexpr):
    """Write the chains of some columns, of n edges together, and claim the latest edge of each.

    Edges that end a component are dropped. Equal ones stay: they cancel when the chain is added.
    Returns whether the pool is too small.
    """
    i = tl.arange(0, KEPT)
    there = i < n
    word = tl.load(scratch.ends + i, mask=there, other=0)
    u, direction, tag = (word >> 4) & scratch.owners, (word & 0xF) * 2, ((word & scratch.tags) >> TAG) & 3
    key = key_of(volume.value, u, there, TOP)
    _, _, _, _, _, _, critical = match(tl.load(volume.star + u, mask=there, other=0))
    slot = slot_of(u, direction, critical, there, volume)
    # Volatile, because another program may be claiming the edge meanwhile; but KILLER is never replaced.
    there &= tl.load(claims + slot, mask=there, other=KILLER, volatile=True) != KILLER
    # The counts of up to four columns in one word.
    one = tl.where(there, 1 << 8 * tag, 0)
    before = tl.cumsum(one, 0) - one
    sizes = tl.sum(one, 0)
    before = (before >> 8 * tag) & 0xFF
    words = 0
    for k in range(size):
        words += 2 * (sizes >> 8 * k & 0xFF) + 2
    begin = allocate(pool, words)
    lost = begin < 0
    if begin >= 0:
        for k in range(size):
            m_mine = there & (tag == k)
            length = sizes >> 8 * k & 0xFF
            tl.store(pool.words + begin, length)
            tl.store(pool.words + begin + 1 + 2 * before, word_of(u, direction), mask=m_mine)
            tl.store(pool.words + begin + 2 + 2 * before, slot, mask=m_mine)
            pivot = _pivot(m_mine, u, key, slot)
            if pivot >= 0:
                lost |= _take(first + k, begin, pivot, squares, claims, pool, volume, TOP)
            begin += 2 * length + 2
    return lost


@triton.jit
def _pivot(m_edge, u, key, slot):
    """Return the slot of the latest edge of those that occur an odd number of times, or -1."""
    NO_KEY: tl.constexpr = -1 << (key.dtype.primitive_bitwidth - 1)
    pivot, left = -1, 1
    while (pivot < 0) & (left > 0):
        key_last = tl.max(tl.where(m_edge, key, NO_KEY), 0)
        m_last = m_edge & (key == key_last)
        m_last &= u == tl.max(tl.where(m_last, u, -1), 0)
        found = tl.max(tl.where(m_last, slot, -1), 0)  # the edges of one owner have ordered slots
        m_last &= slot == found
        times = tl.sum(m_last.to(tl.int32), 0)
        pivot = tl.where((times & 1) != 0, found, -1)
        left = times
        m_edge &= m_last == 0
    return pivot


@triton.jit
def _take(column, start, pivot, squares, claims, pool, volume, TOP: tl.constexpr):
    """Claim an edge for a column with that chain, and list the column that fails to get it or has to give it up.

    Returns whether the pool is too small.
    """
    square = tl.load(squares + column)
    key = key_of(volume.value, owner_of(square), True, TOP)
    claim = (tl.cast(start, tl.int64) << 32) | tl.cast(column, tl.int64)
    expected, lost = tl.cast(OPEN, tl.int64), claim
    busy = start >= 0
    while busy:
        found = tl.atomic_cas(claims + pivot, expected, claim, sem="relaxed")
        if found == expected:
            lost = found
            busy = start < 0
        else:
            expected = found
            busy = comes_before(square, key, (found & _LOW).to(tl.int32), squares, volume.value, TOP)
    full = start < 0
    if lost >= 0:
        full = list_column(pool, (lost & _LOW).to(tl.int32), (lost >> 32).to(tl.int32)) < 0
    return full
