"""Merge: the elder rule over critical edges in any order, by the merge trees of `tree`.

A block that has taken more than a few steps for each saddle climbs by hints, which it also leaves for others.

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
from ..runtime.jit import kernel
from ..runtime.launch import INTERPRETED, WARP, cdiv
from ..tree import Tree, Trees, climb, join, slots_of, unpacked
from .gradient import EACH, EACH_LOG2, ROWS, Gradient
from .steepest import STEEPEST_EACH, STEEPEST_LOG2, Steepest
from .trace import ascents, trace

_BLOCK = 1024 if INTERPRETED else WARP  # edges that a program joins at a time: one per lane, so loops need no barrier
_PATIENCE = tl.constexpr(32)  # steps of a block before it takes hints, and one more for each 8 edges of its share
_SHARE = 2  # least number of edges per lane: a block goes on until its slowest lane is done
_PIXELS_PER_PROGRAM = 16 * _SHARE * _BLOCK  # one edge in 16 pixels is usual; a program with more takes them in turn


def merge(
    x: Tensor,
    found: Gradient | Steepest,
    trees: Trees,
    top: bool,
    v_dims: Sequence[int],
    ways: Tensor | None = None,
) -> None:
    """Grow the merge trees of images in the dimensions of V that are wanted: 0 for the minima, 1 for the maxima.

    Parameters
    ----------
    x : Tensor, shape (N, H, W)
    found, trees
        The results of `gradient`, or of `steepest_gradient` if not `top`. The words of `trees` are changed: that of an
        extremum holds its edge and its elder, or the extremum itself if its class never dies. If both are wanted, the
        edges of `found` are changed too.
    ways : Tensor, optional
        What `ways_of` returns for a single dimension.
    """
    n, height, width = x.shape
    edges, both = found.edges, len(v_dims) == 2
    programs = cdiv(height * width, _PIXELS_PER_PROGRAM)
    ends = torch.empty_like(edges, dtype=trees.words.dtype)
    for dim in sorted(v_dims):
        if n:
            of_dim = ways_of(found, height, dim) if ways is None else ways
            lists = x, of_dim, edges, ends, trees.words, trees.hints, trees.counters
            sizes = height, width, edges.shape[1], programs
            meta = {"TOP": top, "DIM": dim, "BOTH": both, "STEEPEST": isinstance(found, Steepest)}
            meta |= {"BLOCK": _BLOCK, "SHARE": _SHARE}
            _merge[(n * programs,)](*lists, *sizes, **meta, num_warps=1)


def ways_of(found: Gradient | Steepest, height: int, dim: int) -> Tensor:
    """Return the directions of the paths down to minima (dimension 0 of V) or up to maxima (1); see `trace`."""
    if dim == 0:
        return found.descents
    return found.ascents if isinstance(found, Steepest) else ascents(found.squares, height)


@kernel(do_not_specialize=["height", "width", "most", "programs"], do_not_specialize_on_alignment=["values"])
def _merge(
    values,  # [N, H, W] float32 or float64
    ways,  # [N, strips, W] or [N, strips, W + 1] int32: descents or ascents; a word for each cell if STEEPEST
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
    STEEPEST: tl.constexpr,
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
    ways += window * ((rows if STEEPEST else tl.cdiv(rows, ROWS)) * columns)
    edges += window * most
    ends += window * most
    tree += window * (pixels + 1)
    # The order here is that of values, reversed in T and for maxima, and then of positions, reversed for maxima.
    turn: tl.constexpr = 1 - 2 * DIM
    mirror: tl.constexpr = -turn if TOP else turn
    each: tl.constexpr = STEEPEST_EACH if STEEPEST else EACH
    LOG2: tl.constexpr = STEEPEST_LOG2 if STEEPEST else EACH_LOG2

    n = tl.load(counters + window * COUNTERS + EDGES)
    n = tl.where(tl.load(counters + window * COUNTERS + STATUS) == OK, n, 0)
    share = tl.maximum(tl.cdiv(n, programs), SHARE * BLOCK)  # whole blocks where there are few edges
    head = program % programs * share
    end = tl.minimum(head + share, n)
    lane = tl.arange(0, BLOCK)
    if BOTH and DIM == 1:
        end = _compact(edges, head, end, lane)
    trace(values, edges, ends, head, end, lane, ways, height, width, TOP, DIM, STEEPEST)
    tl.debug_barrier()  # a warp may have more threads than a block has lanes, and another thread has written `ends`

    i = head + lane - BLOCK
    u = tl.zeros((BLOCK,), tl.int32)
    v, saddle = u, u
    value = tl.zeros((BLOCK,), values.dtype.element_ty)
    active = u != 0
    first_slot = program // programs * slots_of(pixels)  # 32 bits, to save registers
    of_window = Tree(values, tree, hints, first_slot, pixels, turn, mirror)
    patience = _PATIENCE + ((end - head) >> 3)
    busy = tl.where(head < end, 2, 0)  # 2 while a lane can take another edge, 1 while only joins are left
    while busy != 0:
        if busy == 2:
            m_next = (active == 0) & (i + BLOCK < end)
            i = tl.where(m_next, i + BLOCK, i)
            saddle = tl.where(m_next, tl.load(edges + i, mask=m_next, other=0), saddle)
            a, b = unpacked(tl.load(ends + i, mask=m_next, other=0))
            u, v = tl.where(m_next, a, u), tl.where(m_next, b, v)
            own_value = tl.load(values + (saddle >> LOG2), mask=m_next, other=0.0) * mirror
            value = tl.where(m_next, own_value, value)
            active |= m_next
        m_joins = active
        patience -= 1
        if patience < 0:
            u = climb(u, saddle, value, active, of_window, each)
            v = climb(v, saddle, value, active, of_window, each)
        u, v, saddle, value, active = join(u, v, saddle, value, active, of_window, each)
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
