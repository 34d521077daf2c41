"""Merge: the elder rule over critical edges in any order, as a triplet merge tree without locks.

Each extremum u has one word, (saddle s, elder v): the class of u merges into that of v at s (Smirnov & Morozov,
Triplet Merge Trees, 2017). A root is its own elder. To join u and v at s, climb from each as long as its saddle comes
before s. If both arrive at one extremum, there is nothing to do. Otherwise (s, elder) is swapped into the younger's
word; if this displaces a link (s', w), join w to the elder at s', or to the younger if s' comes before s, because
another lane may have written that link meanwhile.

No lock is needed, and no swap can fail: the links in words and in lanes' registers together always connect the same
extrema at every level, so a word stays true after it was read; see kernels/README.md.

Where saddles rise along a path, the tree is a long chain, and climbing it link by link takes quadratic time. A block
that has taken more than a few steps for each saddle therefore climbs by hints, which it also leaves for others. A climb
then takes a number of steps that grows like the square of the logarithm of the chain's length; see `climb` and `tree`.

Minima are joined in the order of V from the lowest edge up, maxima from the highest down, in exactly the opposite
order. An edge joins either two classes of minima or two classes of maxima, never both, because the minimum
spanning tree of a planar graph and the maximum spanning tree of its dual complement each other. Only the edges where
minima are already connected are therefore left for the maxima.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..counters import COUNTERS, EDGES, OK, STATUS
from ..runtime.launch import INTERPRETED, WARP
from ..tree import Trees, packed, packed_hint, rank, slot_of, slots_of, unpacked, unpacked_hint
from .gradient import EACH, EACH_LOG2, ROWS, Gradient
from .trace import ascents, trace

_BLOCK = 1024 if INTERPRETED else WARP  # edges that a program joins at a time: one per lane, so loops need no barrier
_PATIENCE = tl.constexpr(32)  # steps of a block before it takes hints, and one more for each 8 edges of its share
_SHARE = 2  # least number of edges per lane: a block goes on until its slowest lane is done
_PIXELS_PER_PROGRAM = 16 * _SHARE * _BLOCK  # one edge in 16 pixels is usual; a program with more takes them in turn


def merge(x: Tensor, found: Gradient, trees: Trees, top: bool, v_dims: Sequence[int]) -> None:
    """Grow the merge trees of images in the dimensions of V that are wanted: 0 for the minima, 1 for the maxima.

    Parameters
    ----------
    x : Tensor, shape (N, H, W)
    found, trees
        The results of `gradient`. The words of `trees` are changed: that of an extremum holds its edge and its elder,
        or the extremum itself if its class never dies. If both are wanted, the edges of `found` are changed too.
    """
    n, height, width = x.shape
    edges, both = found.edges, len(v_dims) == 2
    programs = triton.cdiv(height * width, _PIXELS_PER_PROGRAM)
    ends = torch.empty_like(edges, dtype=trees.words.dtype)
    for dim in sorted(v_dims):
        if n:
            ways = ascents(found.squares, height) if dim == 1 else found.descents
            lists = x, ways, edges, ends, trees.words, trees.hints, trees.counters
            sizes = height, width, edges.shape[1], programs
            meta = {"TOP": top, "DIM": dim, "BOTH": both, "BLOCK": _BLOCK, "SHARE": _SHARE}
            _merge[(n * programs,)](*lists, *sizes, **meta, num_warps=1)


@triton.jit(do_not_specialize=["height", "width", "most", "programs"], do_not_specialize_on_alignment=["values"])
def _merge(
    values,  # [N, H, W] float32 or float64
    ways,  # [N, strips, W] or [N, strips, W + 1] int32: descents or ascents
    edges,  # [N, most] int32, changed if BOTH: -1 for those that are of no use to the maxima
    ends,  # [N, most] int32 or int64, scratch: the extrema where the two paths of an edge end
    tree,  # [N, H * W + 1] int32 or int64, changed
    hints,  # [N, slots] int64, changed; zeros before, or hints for the minima, which do not own hints of maxima
    counters,  # [N, COUNTERS] int32
    height,
    width,
    most,
    programs,
    TOP: tl.constexpr,
    DIM: tl.constexpr,
    BOTH: tl.constexpr,
    BLOCK: tl.constexpr,
    SHARE: tl.constexpr,
):
    """Trace and merge a share of the critical edges of one window, for minima (DIM 0) or maxima (DIM 1).

    First all edges of the share are traced, and then joined. Joins differ in length, so each lane goes through its own
    edges, every BLOCK-th of the share, without waiting for the others.

    Programs share nothing but `tree` and `hints`, where all reads are volatile and all writes are atomic swaps. Relaxed
    order is enough: each word is true by itself, and programs read nothing else that another one writes.
    """
    program = tl.program_id(0)
    window = (program // programs).to(tl.int64)
    pixels = height * width
    rows, columns = height + DIM, width + DIM  # of the cells that paths go through
    values += window * pixels
    ways += window * (tl.cdiv(rows, ROWS) * columns)
    edges += window * most
    ends += window * most
    tree += window * (pixels + 1)
    # The order here is that of values, reversed in T and for maxima, and then of positions, reversed for maxima.
    turn: tl.constexpr = 1 - 2 * DIM
    DOWN: tl.constexpr = (turn == 1) == TOP

    n = tl.load(counters + window * COUNTERS + EDGES)
    n = tl.where(tl.load(counters + window * COUNTERS + STATUS) == OK, n, 0)
    share = tl.maximum(tl.cdiv(n, programs), SHARE * BLOCK)  # whole blocks where there are few edges
    head = program % programs * share
    end = tl.minimum(head + share, n)
    lane = tl.arange(0, BLOCK)
    if BOTH and DIM == 1:
        end = _compact(edges, head, end, lane)
    trace(edges, ends, head, end, lane, ways, height, width, TOP, DIM)
    tl.debug_barrier()  # a warp may have more threads than a block has lanes, and another thread has written `ends`

    i = head + lane - BLOCK
    u = tl.zeros((BLOCK,), tl.int32)
    v, saddle = u, u
    value = tl.zeros((BLOCK,), values.dtype.element_ty)
    active = u != 0
    first_slot = program // programs * slots_of(pixels)  # 32 bits, to save registers
    patience = _PATIENCE + ((end - head) >> 3)
    busy = tl.where(head < end, 2, 0)  # 2 while a lane can take another edge, 1 while only joins are left
    while busy != 0:
        if busy == 2:
            m_next = (active == 0) & (i + BLOCK < end)
            i = tl.where(m_next, i + BLOCK, i)
            saddle = tl.where(m_next, tl.load(edges + i, mask=m_next, other=0), saddle)
            a, b = unpacked(tl.load(ends + i, mask=m_next, other=0))
            u, v = tl.where(m_next, a, u), tl.where(m_next, b, v)
            value = tl.where(m_next, tl.load(values + (saddle >> EACH_LOG2), mask=m_next, other=0.0), value)
            active |= m_next
        m_joins = active
        patience -= 1
        if patience < 0:
            u = climb(u, saddle, value, active, values, tree, hints, first_slot, turn, 1, DOWN, EACH)
            v = climb(v, saddle, value, active, values, tree, hints, first_slot, turn, 1, DOWN, EACH)
        u, v, saddle, value, active = join(u, v, saddle, value, active, values, tree, pixels, turn, 1, DOWN, EACH)
        if BOTH and DIM == 0:
            tl.store(edges + i, tl.where(u == v, saddle, -1), mask=m_joins & (active == 0))
        busy = tl.max(tl.where(active, 1, tl.where(i + BLOCK < end, 2, 0)), 0)


@triton.jit
def _compact(edges, head, end, lane):
    """Move the edges of a share that are not -1 to its front, and return where they end."""
    last = head
    for start in range(head, end, lane.shape[0]):
        edge = tl.load(edges + start + lane, mask=start + lane < end, other=-1)
        there = (edge >= 0).to(tl.int32)
        tl.debug_barrier()  # all threads have read before one writes to the places of others
        tl.store(edges + last + tl.cumsum(there, 0) - there, edge, mask=there != 0)
        last += tl.sum(there, 0)
    tl.debug_barrier()  # `trace` reads what other threads have written
    return last


@triton.jit
def join(u, v, saddle, value, active, values, tree, pixels, turn, mirror, DOWN: tl.constexpr, EACH: tl.constexpr):
    """Take one step in joining the classes of u and v at a saddle of that value, in each active lane.

    A saddle is EACH * owner + direction. Values are multiplied by `mirror`, and come in descending order if DOWN.
    Returns u, v, saddle, value and active for the next step. A lane is done, and not active any more, when it has
    replaced the word of a root, or when u and v are the same, because they were connected before the saddle.
    """
    active &= u != v
    # Volatile, so that each step reads what others have written, and not a copy in a cache or a register.
    t_u = tl.load(tree + u, mask=active, other=0, volatile=True)
    t_v = tl.load(tree + v, mask=active, other=0, volatile=True)
    s_u, elder_u = unpacked(t_u)
    s_v, elder_v = unpacked(t_v)
    linked_u, linked_v = active & (elder_u != u), active & (elder_v != v)
    value_u = tl.load(values + _owner(s_u, EACH), mask=linked_u, other=0.0) * mirror
    value_v = tl.load(values + _owner(s_v, EACH), mask=linked_v, other=0.0) * mirror
    climb_u = linked_u & before(value_u, s_u, value, saddle, turn, DOWN)
    climb_v = linked_v & before(value_v, s_v, value, saddle, turn, DOWN)

    # If neither climbs, link the younger of the two. The outside is the eldest of all.
    ready = active & (climb_u == 0) & (climb_v == 0)
    f_u = tl.load(values + u, mask=ready & (u < pixels), other=0.0) * mirror
    f_v = tl.load(values + v, mask=ready & (v < pixels), other=0.0) * mirror
    v_is_elder = (v == pixels) | ((u != pixels) & before(f_v, v, f_u, u, turn, DOWN))
    elder, younger = tl.where(v_is_elder, v, u), tl.where(v_is_elder, u, v)
    word = tl.where(v_is_elder, t_u, t_v)
    taken = tl.atomic_xchg(tree + younger, packed(saddle, elder, word.dtype), mask=ready, sem="relaxed")
    s_taken, elder_taken = unpacked(taken)
    linked = ready & (elder_taken != younger)
    # Go on with the link that was displaced. Its value is known, unless another lane has replaced it meanwhile.
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
    """Climb from u as long as links come before a saddle of that value, in each active lane, and leave hints.

    The hints form a skip list. Each extremum has a random rank, and its hint grows until it leads to the next extremum
    of a higher rank: after the hops from x to u and from u to its elder, the hint of x joins both if u ranks lower. Of
    the extrema that share a slot, the one with the highest rank gets it. Relaxed swaps are enough, because every hint
    is true, whichever lane was the last to write it.
    """
    # The last hop was from x to u, -1 before the first. If x began as u, Triton would consider it constant in the loop.
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
    """Return the owners of saddles. The division is unsigned, so that it is a shift where EACH is a power of two."""
    return (saddle.to(tl.uint32) // EACH).to(tl.int32)


@triton.jit
def before(value_a, a, value_b, b, turn, DOWN: tl.constexpr):
    """Return whether a comes before b: by value, in descending order if DOWN, then by position times `turn`."""
    first = value_a > value_b if DOWN else value_a < value_b
    return first | ((value_a == value_b) & (a * turn < b * turn))
