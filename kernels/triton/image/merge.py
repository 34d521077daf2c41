"""Merge: the elder rule over saddles in any order, as a triplet merge tree (Smirnov & Morozov 2017), without locks.

A node of the tree is an extremum u and has one word T[u] = (saddle s, elder v): the class of u merges into v's at s. A
root is its own elder. To join u and v at s, climb from each while its saddle comes before s. If they meet, nothing is
to be done. Else (s, elder) is swapped into the younger's word, and if a link (s', w) comes out, it is joined in its
turn: the elder and w at s', or the younger and w if s' comes before s, as somebody may have put it there meanwhile.

No swap fails. Links in words and in lanes' hands together keep the classes at every level as they are, so a word that
was read some time ago is still true. It ends, as hands pass links on to ever older extrema; only what comes before the
link that replaced it stays where it was, but then a word has got a later saddle, which cannot go on for ever.

Where saddles rise along a path of the image, the tree is a long chain, and climbing it link by link would take
quadratic time. A block that has taken more than a few steps a saddle therefore climbs by hints, which are shortcuts
that it also leaves for others; see `climb` and `tree`. A climb then takes a number of steps that grows like the square
of the logarithm of the chain's length.

Minima are joined in the order of V from the lowest saddle up, maxima from the highest down, in exactly the opposite
order. An edge that joins two classes of minima joins no two of maxima, and the other way round: the minimum spanning
tree of a planar graph and the maximum spanning tree of its dual are each other's complement. Who joins minima ends with
a link to a root, or with a saddle where they met that is of no use to them. Only these are left for the maxima.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..runtime.launch import INTERPRETED, WARP
from ..tree import hints_behind, packed, packed_hint, rank, slot_of, slots_of, unpacked, unpacked_hint
from .gradient import COUNTERS, ROWS, SADDLES, STATUS
from .trace import ascents, trace

_BLOCK = 1024 if INTERPRETED else WARP  # saddles a program at a time, one a lane of a warp: its loops need no barrier
_PATIENCE = tl.constexpr(32)  # steps of a block before it takes hints, and one more for each 8 saddles of its share
_SHARE = 2  # saddles a lane at least: a block goes on until its slowest lane is done
_PIXELS_A_PROGRAM = 16 * _SHARE * _BLOCK  # a saddle in 16 pixels is usual, and a program with more takes them in turn


def merge(
    x: Tensor,
    descents: Tensor,
    squares: Tensor,
    saddles: Tensor,
    tree: Tensor,
    counters: Tensor,
    top: bool,
    minima: bool,
    maxima: bool,
) -> None:
    """Grow the merge trees of windows, of the minima, of the maxima or of both. The arguments are of `gradient`.

    saddles : Tensor, shape (N, M)
        Changed if both are wanted.
    tree : Tensor, shape (N, H * W + 1)
        Changed: at an extremum, the word of its saddle, 4 * pixel + direction, and its elder; an elder equal to the
        extremum itself means that its class never dies.
    """
    n, height, width = x.shape
    programs = triton.cdiv(height * width, _PIXELS_A_PROGRAM)
    ends = torch.empty_like(saddles, dtype=tree.dtype)
    hints = hints_behind(counters, height * width)
    for side, wanted in enumerate((minima, maxima)):
        if n and wanted:
            ways = ascents(squares, height) if side == 1 else descents
            shape = height, width, saddles.shape[1], programs
            meta = {"TOP": top, "SIDE": side, "BOTH": minima and maxima, "BLOCK": _BLOCK, "SHARE": _SHARE}
            _merge[(n * programs,)](x, ways, saddles, ends, tree, hints, counters, *shape, **meta, num_warps=1)


@triton.jit(do_not_specialize=["height", "width", "most", "programs"], do_not_specialize_on_alignment=["values"])
def _merge(
    values,  # [N, H, W] float32 or float64
    ways,  # [N, strips, W] or [N, strips, W + 1] int32: descents or ascents
    saddles,  # [N, most] int32, changed if BOTH
    ends,  # [N, most] int32 or int64, written: the extrema that a saddle's paths end in
    tree,  # [N, H * W + 1] int32 or int64, changed
    hints,  # [N, slots] int64, changed; zeros, or those of the other side
    counters,  # [N, COUNTERS] int32
    height,
    width,
    most,
    programs,
    TOP: tl.constexpr,
    SIDE: tl.constexpr,
    BOTH: tl.constexpr,
    BLOCK: tl.constexpr,
    SHARE: tl.constexpr,
):
    """Trace and merge a share of the saddles of one window, on one side (0: minima, 1: maxima).

    All saddles of the share are traced, and then joined: joins differ in length, so each lane goes through its own
    saddles, every BLOCK-th of the share, without waiting for the others.

    Programs meet in `tree` and `hints` only, where all reads are volatile and all writes atomic swaps. Relaxed ones, as
    each word is true by itself, and nothing else that a program writes is read by another.
    """
    program = tl.program_id(0)
    window = (program // programs).to(tl.int64)
    pixels = height * width
    rows, columns = height + SIDE, width + SIDE  # of the cells that paths go through
    values += window * pixels
    ways += window * (tl.cdiv(rows, ROWS) * columns)
    saddles += window * most
    ends += window * most
    tree += window * (pixels + 1)
    # The order of this side: of values, turned round in T and for maxima, and of positions, turned round for maxima.
    turn: tl.constexpr = 1 - 2 * SIDE
    DOWN: tl.constexpr = (turn == 1) == TOP

    n = tl.load(counters + window * COUNTERS + SADDLES)
    n = tl.where(tl.load(counters + window * COUNTERS + STATUS) == 0, n, 0)
    share = tl.maximum(tl.cdiv(n, programs), SHARE * BLOCK)  # whole blocks where there are few saddles
    head = program % programs * share
    end = tl.minimum(head + share, n)
    lane = tl.arange(0, BLOCK)
    if BOTH and SIDE == 1:
        end = _left(saddles, head, end, lane)
    trace(saddles, ends, head, end, lane, ways, height, width, TOP, SIDE)
    tl.debug_barrier()  # where a warp has more threads than a block has lanes, one of two has written

    i = head + lane - BLOCK
    u = tl.zeros((BLOCK,), tl.int32)
    v, saddle = u, u
    value = tl.zeros((BLOCK,), values.dtype.element_ty)
    active = u != 0
    first_slot = program // programs * slots_of(pixels)  # in 32 bits, as it takes registers and is rarely needed
    patience = _PATIENCE + ((end - head) >> 3)
    busy = tl.where(head < end, 2, 0)  # 2 if lanes can take a saddle, 1 if they only have to go on
    while busy != 0:
        if busy == 2:
            m_next = (active == 0) & (i + BLOCK < end)
            i = tl.where(m_next, i + BLOCK, i)
            saddle = tl.where(m_next, tl.load(saddles + i, mask=m_next, other=0), saddle)
            a, b = unpacked(tl.load(ends + i, mask=m_next, other=0))
            u, v = tl.where(m_next, a, u), tl.where(m_next, b, v)
            value = tl.where(m_next, tl.load(values + (saddle >> 2), mask=m_next, other=0.0), value)
            active |= m_next
        m_joins = active
        patience -= 1
        if patience < 0:
            u = climb(u, saddle, value, active, values, tree, hints, first_slot, turn, 1, DOWN, 4)
            v = climb(v, saddle, value, active, values, tree, hints, first_slot, turn, 1, DOWN, 4)
        u, v, saddle, value, active = join(u, v, saddle, value, active, values, tree, pixels, turn, 1, DOWN, 4)
        if BOTH and SIDE == 0:
            tl.store(saddles + i, tl.where(u == v, saddle, -1), mask=m_joins & (active == 0))
        busy = tl.max(tl.where(active, 1, tl.where(i + BLOCK < end, 2, 0)), 0)


@triton.jit
def _left(saddles, head, end, lane):
    """Move saddles to the front where others are none (-1); returns the end of those that are left."""
    last = head
    for start in range(head, end, lane.shape[0]):
        saddle = tl.load(saddles + start + lane, mask=start + lane < end, other=-1)
        there = (saddle >= 0).to(tl.int32)
        tl.debug_barrier()  # all have read before any writes
        tl.store(saddles + last + tl.cumsum(there, 0) - there, saddle, mask=there != 0)
        last += tl.sum(there, 0)
    tl.debug_barrier()
    return last


@triton.jit
def join(u, v, saddle, value, active, values, tree, pixels, turn, mirror, DOWN: tl.constexpr, EACH: tl.constexpr):
    """Take a step in joining the classes of u and v at a saddle of that value, in each active lane.

    A saddle is EACH * pixel + direction. Values count times mirror, the greatest first if DOWN. Returns what to go on
    with: u, v, saddle, value, active. A lane that is not active any more has set a link to a root, or u and v are the
    same, and nothing is to be joined at the saddle.
    """
    active &= u != v
    # Volatile, so that a word that others change is read anew from where they change it.
    t_u = tl.load(tree + u, mask=active, other=0, volatile=True)
    t_v = tl.load(tree + v, mask=active, other=0, volatile=True)
    s_u, elder_u = unpacked(t_u)
    s_v, elder_v = unpacked(t_v)
    linked_u, linked_v = active & (elder_u != u), active & (elder_v != v)
    value_u = tl.load(values + _owner(s_u, EACH), mask=linked_u, other=0.0) * mirror
    value_v = tl.load(values + _owner(s_v, EACH), mask=linked_v, other=0.0) * mirror
    climb_u = linked_u & before(value_u, s_u, value, saddle, turn, DOWN)
    climb_v = linked_v & before(value_v, s_v, value, saddle, turn, DOWN)

    # Neither climbs: link the younger of two. The outside is the eldest of all.
    ready = active & (climb_u == 0) & (climb_v == 0)
    f_u = tl.load(values + u, mask=ready & (u < pixels), other=0.0) * mirror
    f_v = tl.load(values + v, mask=ready & (v < pixels), other=0.0) * mirror
    v_is_elder = (v == pixels) | ((u != pixels) & before(f_v, v, f_u, u, turn, DOWN))
    elder, younger = tl.where(v_is_elder, v, u), tl.where(v_is_elder, u, v)
    word = tl.where(v_is_elder, t_u, t_v)
    taken = tl.atomic_xchg(tree + younger, packed(saddle, elder, word.dtype), mask=ready, sem="relaxed")
    s_taken, elder_taken = unpacked(taken)
    linked = ready & (elder_taken != younger)
    # Go on with the link that was there. Its value is known unless somebody was faster.
    m_other = linked & (taken != word)
    value_taken = tl.load(values + _owner(s_taken, EACH), mask=m_other, other=0.0) * mirror
    value_taken = tl.where(m_other, value_taken, tl.where(v_is_elder, value_u, value_v))
    is_earlier = linked & before(value_taken, s_taken, value, saddle, turn, DOWN)
    u = tl.where(ready, tl.where(is_earlier, younger, elder), tl.where(climb_u, elder_u, u))
    v = tl.where(ready, elder_taken, tl.where(climb_v, elder_v, v))
    saddle, value = tl.where(ready, s_taken, saddle), tl.where(ready, value_taken, value)
    return u, v, saddle, value, (active & (ready == 0) | linked) & (u != v)


@triton.jit
def climb(
    u, saddle, value, active, values, tree, hints, first_slot, turn, mirror, DOWN: tl.constexpr, EACH: tl.constexpr
):
    """Climb from u as far as links come before a saddle of that value, in each active lane, and leave hints.

    The hints form a skip list. Each extremum has a random rank, and its hint grows until it leads to the next extremum
    of a higher rank: after the hops from x to u and from u to its elder, the hint of x joins both if u ranks lower. Of
    the extrema that share a slot, the highest in rank has it.
    """
    # The hop from x to u. Were x to begin as u, Triton would take x = u in the loop for no change, and not carry it on.
    x = tl.full(u.shape, -1, tl.int32)
    rank_x, saddle_x, value_x = rank(x), saddle, value
    while tl.max(active.to(tl.int32), 0) != 0:
        next_saddle, elder = unpacked(tl.load(tree + u, mask=active, other=0, volatile=True))
        hint = tl.load(hints + first_slot + slot_of(u), mask=active, other=0, volatile=True)
        far_saddle, far_elder, owner = unpacked_hint(hint, u)
        m_far = active & (owner == u)
        far_value = tl.load(values + _owner(far_saddle, EACH), mask=m_far, other=0.0) * mirror
        m_far &= before(far_value, far_saddle, value, saddle, turn, DOWN)
        m_near = active & (m_far == 0) & (elder != u)
        next_value = tl.load(values + _owner(next_saddle, EACH), mask=m_near, other=0.0) * mirror
        m_near &= before(next_value, next_saddle, value, saddle, turn, DOWN)
        active = m_far | m_near
        elder, next_saddle = tl.where(m_far, far_elder, elder), tl.where(m_far, far_saddle, next_saddle)
        next_value = tl.where(m_far, far_value, next_value)

        rank_u = rank(u)
        m_hint = active & (x >= 0) & (rank_u < rank_x)
        _, _, owner = unpacked_hint(tl.load(hints + first_slot + slot_of(x), mask=m_hint, other=0, volatile=True), x)
        m_hint &= (owner < 0) | (rank(owner) <= rank_x)
        x_is_later = before(next_value, next_saddle, value_x, saddle_x, turn, DOWN)
        hint = packed_hint(tl.where(x_is_later, saddle_x, next_saddle), elder, x)
        tl.atomic_xchg(hints + first_slot + slot_of(x), hint, mask=m_hint, sem="relaxed")

        x, rank_x, saddle_x, value_x = u, rank_u, next_saddle, next_value
        u = tl.where(active, elder, u)
    return u


@triton.jit
def _owner(saddle, EACH: tl.constexpr):
    return (saddle.to(tl.uint32) // EACH).to(tl.int32)  # as it is not negative, a shift where EACH is a power of two


@triton.jit
def before(value_a, a, value_b, b, turn, DOWN: tl.constexpr):
    """Whether a comes before b: by value, the greatest first if DOWN; equal ones by position, times turn."""
    first = value_a > value_b if DOWN else value_a < value_b
    return first | ((value_a == value_b) & (a * turn < b * turn))
