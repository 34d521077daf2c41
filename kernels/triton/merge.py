"""Merge: the elder rule over saddles in any order, as a triplet merge tree (Smirnov & Morozov 2017), without locks.

A node of the tree is an extremum u and has one word T[u] = (saddle s, elder v): the class of u merges into v's at s. A
root is its own elder. To join u and v at s, climb from each while its saddle comes before s. If they meet, nothing is
to be done. Else the younger gets (s, elder) by compare-and-swap, and if that took a link (s', w) away, the elder and w
are to be joined at s'. The word is all the state there is, a node's saddle only ever gets earlier, and what is taken
away goes on between strictly older extrema: so it ends, a word that was read some time ago is still true, and the same
word come again (ABA) does no harm.

Minima are joined in the order of V from the lowest saddle up, maxima from the highest down, in exactly the opposite
order. An edge that joins two classes of minima joins no two of maxima, and the other way round: the minimum spanning
tree of a planar graph and the maximum spanning tree of its dual are each other's complement. Hence both sides can take
all saddles, at the same time, and neither waits for the other.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from .gradient import COUNTERS, ROWS, SADDLES, STATUS, critical_edges
from .launch import INTERPRETED
from .trace import cells_of, maxima_above, minima_below
from .tree import packed, unpacked

_BLOCK = 1024 if INTERPRETED else 32  # saddles a program at a time, one a lane of a warp: its loops need no barrier
_FEW = _BLOCK // 4  # when so few lanes still join, the others take new saddles
_PIXELS_A_PROGRAM = 16 * _BLOCK  # a saddle in 16 pixels is usual, and a program with more takes them in turn

# Directions of an edge, in the order of the CPU's list of saddles.
_NORTH, _WEST, _SOUTH = (tl.constexpr(i) for i in range(3))


def merge(
    x: Tensor,
    edges: Tensor,
    squares: Tensor,
    saddles: Tensor,
    tree: Tensor,
    counters: Tensor,
    top: bool,
    minima: bool,
    maxima: bool,
) -> None:
    """Grow the merge trees of windows, of the minima, of the maxima or of both. The arguments are of `gradient`.

    tree : Tensor, shape (N, H * W + 1)
        Changed: at an extremum, the word of its saddle, 4 * pixel + direction, and its elder; an elder equal to the
        extremum itself means that its class never dies.
    """
    n, height, width = x.shape
    programs = triton.cdiv(height * width, _PIXELS_A_PROGRAM)
    if n:
        _merge[(n * programs * (minima + maxima),)](
            x,
            edges,
            squares,
            saddles,
            tree,
            counters,
            height,
            width,
            programs,
            TOP=top,
            SIDES=minima + maxima,
            FIRST=0 if minima else 1,
            BLOCK=_BLOCK,
            FEW=_FEW,
            num_warps=1,
        )


@triton.jit(do_not_specialize=["height", "width", "programs"])
def _merge(
    values,  # [N, H, W] float32 or float64
    edges,  # [N, strips, W] int32
    squares,  # [N, strips, W] int32
    saddles,  # [N, H * W] int32
    tree,  # [N, H * W + 1] int32 or int64, changed
    counters,  # [N, COUNTERS] int32
    height,
    width,
    programs,
    TOP: tl.constexpr,
    SIDES: tl.constexpr,
    FIRST: tl.constexpr,
    BLOCK: tl.constexpr,
    FEW: tl.constexpr,
):
    """Trace and merge a share of the saddles of one window, on one side (0: minima, 1: maxima).

    All lanes take a saddle and trace an edge of it, and join what they found. Joins differ in length: when only FEW are
    left, the other lanes go on to their next edges, or the next saddles, and these are joined along with the rest.

    Programs meet in `tree` only, where all reads are volatile and all writes compare-and-swaps. Relaxed ones, as
    nothing else that a program writes is read by another.
    """
    side = tl.program_id(0) % 2 if SIDES == 2 else FIRST
    program = tl.program_id(0) // SIDES
    window = (program // programs).to(tl.int64)
    pixels = height * width
    strips = tl.cdiv(height, ROWS) * width
    values += window * pixels
    edges += window * strips
    squares += window * strips
    saddles += window * pixels
    tree += window * (pixels + 1)
    # The order of this side: of values, turned round in T and for maxima, and of positions, turned round for maxima.
    turn = 1 - 2 * side
    mirror = -turn if TOP else turn

    n = tl.load(counters + window * COUNTERS + SADDLES)
    n = tl.where(tl.load(counters + window * COUNTERS + STATUS) == 0, n, 0)
    share = tl.maximum(tl.cdiv(n, programs), BLOCK)  # whole blocks where there are few saddles
    head = program % programs * share
    end = tl.minimum(head + share, n)
    u = tl.zeros((BLOCK,), tl.int32)
    v, owner, saddle, left = u, u, u, u
    value = tl.zeros((BLOCK,), values.dtype.element_ty)
    active = u != 0
    busy = 0
    while (head < end) | (busy != 0):
        # Lanes that are done with their saddles take the next ones, in order.
        free = ((active == 0) & (left == 0)).to(tl.int32)
        i_saddle = head + tl.cumsum(free, 0) - free
        m_new = (free != 0) & (i_saddle < end)
        head += tl.sum(free, 0)
        owner = tl.where(m_new, tl.load(saddles + i_saddle, mask=m_new, other=0), owner)
        y, x = owner // width, owner % width
        star_edges = cells_of(edges, y, x, m_new, height, width)
        star_squares = cells_of(squares, y, x, m_new, height, width)
        north, west, south = critical_edges(
            (star_edges >> 24) & 1,
            (star_edges >> 8) & 1,
            star_edges & 1,
            (star_edges >> 16) & 1,
            star_squares & 1,
            (star_squares >> 8) & 1,
            (star_squares >> 16) & 1,
            (star_squares >> 24) & 1,
        )
        left = tl.where(m_new, north | west << 1 | south << 2, left)
        # Most saddles own one critical edge; a lane with more comes back for the others.
        m_edge = (active == 0) & (left != 0)
        edge = left & -left
        direction = edge >> 1
        left = tl.where(m_edge, left ^ edge, left)
        if side == 0:
            y_b = y + tl.where(direction == _NORTH, -1, tl.where(direction == _SOUTH, 1, 0))
            x_b = x + tl.where(direction == _WEST, -1, 0)
            a, b = minima_below(y, x, y_b, x_b, m_edge, edges, height, width)
        else:
            # The squares beside the edge: one at the pixel's north-west or west, the other across the edge.
            y_a, x_a = y - tl.where(direction == _SOUTH, 0, 1), x - 1
            y_b, x_b = y - tl.where(direction == _NORTH, 1, 0), x - tl.where(direction == _WEST, 1, 0)
            a, b = maxima_above(y_a, x_a, y_b, x_b, m_edge, squares, height, width)
        u, v = tl.where(m_edge, a, u), tl.where(m_edge, b, v)
        saddle = tl.where(m_edge, owner * 4 + direction, saddle)
        value = tl.where(m_edge, tl.load(values + owner) * mirror, value)
        active |= m_edge
        u, v, saddle, value, active = join(
            u, v, saddle, value, active, tl.where(head < end, FEW, 0), values, tree, pixels, turn, mirror, 4
        )
        busy = tl.max(active.to(tl.int32) | left, 0)


@triton.jit
def join(u, v, saddle, value, active, few, values, tree, pixels, turn, mirror, EACH: tl.constexpr):
    """Join the classes of u and v at a saddle of that value, in each active lane, until only `few` are active.

    A saddle is EACH * pixel + direction.

    Returns what these have to go on with: u, v, saddle, value, active.
    """
    active &= u != v
    u, v = tl.where(active, u, pixels), tl.where(active, v, pixels)  # a word that is there, for lanes without work
    while tl.sum(active.to(tl.int32), 0) > few:
        # Volatile, so that a word that others change is read anew from where they change it.
        t_u = tl.load(tree + u, mask=active, other=0, volatile=True)
        t_v = tl.load(tree + v, mask=active, other=0, volatile=True)
        s_u, elder_u = unpacked(t_u)
        s_v, elder_v = unpacked(t_v)
        linked_u, linked_v = active & (elder_u != u), active & (elder_v != v)
        value_u = tl.load(values + _owner(s_u, EACH), mask=linked_u, other=0.0) * mirror
        value_v = tl.load(values + _owner(s_v, EACH), mask=linked_v, other=0.0) * mirror
        climb_u = linked_u & before(value_u, s_u, value, saddle, turn)
        climb_v = linked_v & before(value_v, s_v, value, saddle, turn)

        # Neither climbs: link the younger of two. The outside is the eldest of all.
        ready = active & (climb_u == 0) & (climb_v == 0) & (u != v)
        f_u = tl.load(values + u, mask=ready & (u < pixels), other=0.0) * mirror
        f_v = tl.load(values + v, mask=ready & (v < pixels), other=0.0) * mirror
        v_is_elder = (v == pixels) | ((u != pixels) & before(f_v, v, f_u, u, turn))
        elder, younger = tl.where(v_is_elder, v, u), tl.where(v_is_elder, u, v)
        word = tl.where(v_is_elder, t_u, t_v)
        linked = tl.where(v_is_elder, linked_u, linked_v)
        link = packed(saddle, elder, word)
        # There is no mask: a lane that is not ready offers the word that it expects, which changes nothing.
        found = tl.atomic_cas(tree + younger, word, tl.where(ready, link, word), sem="relaxed")
        won = ready & (found == word)
        # A lane that lost tries again from where it stands; one that won goes on with the link that it took away.
        active = active & ((won == 0) | linked)
        saddle = tl.where(won, tl.where(v_is_elder, s_u, s_v), saddle)
        value = tl.where(won, tl.where(v_is_elder, value_u, value_v), value)
        displaced = tl.where(v_is_elder, elder_u, elder_v)
        u = tl.where(won, elder, tl.where(climb_u, elder_u, u))
        v = tl.where(won, displaced, tl.where(climb_v, elder_v, v))
        active &= u != v
    return u, v, saddle, value, active


@triton.jit
def _owner(saddle, EACH: tl.constexpr):
    return (saddle.to(tl.uint32) // EACH).to(tl.int32)  # as it is not negative, a shift where EACH is a power of two


@triton.jit
def before(value_a, a, value_b, b, turn):
    """Whether a comes before b: by value, equal ones by position, or against it where turn is -1."""
    return (value_a < value_b) | ((value_a == value_b) & (a * turn < b * turn))
