"""Skeleton: the separatrices of the gradient that last, as pixels; see `kernels/cpu/image/skeleton.py`.

Each extremum but the essential one is paired with one critical edge, so its place in the list of extrema stands for
this edge too. The cancelled edges that join minima form trees, in each of which one minimum lasts, the root. Those on
the paths from the ends of lasting edges to the roots are in the skeleton. To find them, leaves of the trees are pruned
until every leaf is a root or such an end.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..counters import COUNTERS, MAXIMA, MINIMA, OK, STATUS
from ..runtime.jit import kernel
from ..runtime.launch import INTERPRETED, WARP, cdiv
from ..tree import unpacked
from .gradient import EACH, NORTH, SOUTH, WEST
from .merge import merge
from .steepest import EAST, STEEPEST_LOG2, steepest_gradient
from .trace import follow, step

_BLOCK = 1024 if INTERPRETED else WARP  # edges of a program, one per lane, as each lane walks on its own
_PIXELS_PER_PROGRAM = 16 * _BLOCK  # a program with more edges than lanes takes them in turn
_LOW = tl.constexpr(0xFFFFFFFF)
# Bits of a minimum: whether its own edge is cancelled, and whether it is an end of an edge that lasts.
_CANCELLED, _END = tl.constexpr(1), tl.constexpr(2)


def skeleton(x: Tensor, min_persistence: float) -> Tensor:
    """Mark the separatrices of N images; see `gpuph.ops.skeleton`. An image has manifolds of dimension 1 only."""
    x = x.contiguous()
    n, height, width = x.shape
    pixels = height * width
    found, trees = steepest_gradient(x)
    merge(x, found, trees, False, (0, 1))
    ends, joined = (torch.zeros((n, pixels), dtype=torch.int64, device=x.device) for _ in range(2))
    kept, state, marked = (torch.zeros((n, pixels), dtype=torch.int32, device=x.device) for _ in range(3))
    programs = cdiv(pixels, _PIXELS_PER_PROGRAM)
    grid, sizes, settings = (n * programs,), (height, width, programs), {"BLOCK": _BLOCK, "num_warps": 1}
    if n:
        lists = trees.extrema, trees.words, trees.counters
        _select[grid](x, found.descents, *lists, ends, joined, kept, state, *sizes, min_persistence, **settings)
        _prune[grid](trees.extrema, trees.counters, ends, joined, kept, state, *sizes, **settings)
        _mark_paths[grid](found.descents, *lists, kept, marked, *sizes, **settings)
    return marked.view(x.shape) != 0


@kernel(do_not_specialize=["height", "width", "programs", "min_persistence"], do_not_specialize_on_alignment=["x"])
def _select(
    x,  # [N, H, W] float32 or float64
    descents,  # [N, H, W] int32
    extrema,  # [N, H * W] int32
    tree,  # [N, H * W + 1] int32 or int64
    counters,  # [N, COUNTERS] int32
    ends,  # [N, H * W] int64, written by place for cancelled edges that join minima: one minimum * 2^32 + the other
    joined,  # [N, H * W] int64, zeros before, changed: for each minimum, the sum of 2^32 + place over such edges
    kept,  # [N, H * W] int32, zeros before, written by place: 1 for edges that last or join minima
    state,  # [N, H * W] int32, zeros before, changed at minima: see _CANCELLED and _END
    height,
    width,
    programs,
    min_persistence: tl.float64,
    BLOCK: tl.constexpr,
):
    """Find out which edges of every `programs`-th block of one window's extrema last, and link minima by the others.

    Programs share `joined` and `state`, where they only add numbers and set bits. Relaxed order is enough, because no
    program reads these words before the launch is over.
    """
    window = (tl.program_id(0) // programs).to(tl.int64)
    pixels = height * width
    x += window * pixels
    descents += window * pixels
    tree += window * (pixels + 1)
    ends += window * pixels
    joined += window * pixels
    state += window * pixels
    n_minima, n = _sizes(counters + window * COUNTERS)
    for start in range(tl.program_id(0) % programs * BLOCK, n, programs * BLOCK):
        i = start + tl.arange(0, BLOCK)
        u, place, edge, there = _edge(i, n_minima, n, extrema + window * pixels, tree, pixels)
        joins = there & (i < n_minima)
        value_u = tl.load(x + u, mask=there, other=0.0)
        value_edge = tl.load(x + (edge >> STEEPEST_LOG2), mask=there, other=0.0)
        length = tl.where(joins, value_edge - value_u, value_u - value_edge)
        lasts = there & (length > min_persistence)  # not if both are the same infinity, where the length is NaN
        joins &= lasts == 0
        y_a, x_a, y_b, x_b = _ends(edge, width)
        walks = lasts | joins
        y_a, x_a, y_b, x_b = follow(y_a, x_a, y_b, x_b, walks, descents, height, width, False, True)
        a, b = y_a * width + x_a, y_b * width + x_b
        tl.store(kept + window * pixels + place, 1, mask=walks)
        tl.atomic_or(state + a, _END, mask=lasts, sem="relaxed")
        tl.atomic_or(state + b, _END, mask=lasts, sem="relaxed")
        tl.atomic_or(state + u, _CANCELLED, mask=joins, sem="relaxed")
        tl.store(ends + place, a.to(tl.int64) << 32 | b, mask=joins)
        link = place.to(tl.int64) + (_LOW + 1)
        tl.atomic_add(joined + a, link, mask=joins, sem="relaxed")
        tl.atomic_add(joined + b, link, mask=joins, sem="relaxed")


@triton.jit
def _sizes(counters):
    """Return how many minima, and how many extrema, a window has; 0 where it holds a NaN."""
    ok = tl.load(counters + STATUS) == OK
    n_minima = tl.where(ok, tl.load(counters + MINIMA), 0)
    return n_minima, n_minima + tl.where(ok, tl.load(counters + MAXIMA), 0)


@triton.jit
def _edge(i, n_minima, n, extrema, tree, pixels):
    """Return extrema i, the minima first, with their places in the list, their edges, and whether they have one."""
    place = tl.where(i < n_minima, i, pixels - 1 - (i - n_minima))
    u = tl.load(extrema + place, mask=i < n, other=0)
    edge, elder = unpacked(tl.load(tree + u, mask=i < n, other=0))
    return u, place, edge, (i < n) & (elder != u)


@triton.jit
def _ends(edge, width):
    """Return the coordinates of both ends of edges: of the owner, and of the other end."""
    owner, direction = edge >> STEEPEST_LOG2, edge & (EACH - 1)
    y, x = owner // width, owner % width
    y_b = y + tl.where(direction == NORTH, -1, tl.where(direction == SOUTH, 1, 0))
    x_b = x + tl.where(direction == WEST, -1, tl.where(direction == EAST, 1, 0))
    return y, x, y_b, x_b


@kernel(do_not_specialize=["height", "width", "programs"])
def _prune(
    extrema,  # [N, H * W] int32
    counters,  # [N, COUNTERS] int32
    ends,  # [N, H * W] int64
    joined,  # [N, H * W] int64, changed
    kept,  # [N, H * W] int32, changed: 0 for edges that are pruned
    state,  # [N, H * W] int32
    height,
    width,
    programs,
    BLOCK: tl.constexpr,
):
    """Prune leaves, beginning with every `programs`-th block of one window's minima, until none is left.

    The word of a minimum in `joined` adds up 2^32 + place over its edges. Its high half is 1 if and only if one edge is
    left, whatever the sum of places carries over, and its low half is then the place of this edge. So the lane that
    removes the last edge but one from a minimum knows the last edge, and goes on with it. Another lane may have found
    the same leaf; the edge is pruned by the lane that takes its mark in `kept`. What remains does not depend on the
    order. Programs share only these words and marks. Relaxed order is enough, because all changes of a word are in one
    order, and what a lane reads besides was written before the launch.
    """
    window = (tl.program_id(0) // programs).to(tl.int64)
    pixels = height * width
    ends += window * pixels
    joined += window * pixels
    kept += window * pixels
    state += window * pixels
    n, _ = _sizes(counters + window * COUNTERS)
    for start in range(tl.program_id(0) % programs * BLOCK, n, programs * BLOCK):
        i = start + tl.arange(0, BLOCK)
        u = tl.load(extrema + window * pixels + i, mask=i < n, other=0)
        word = tl.load(joined + u, mask=i < n, other=0, volatile=True)
        is_leaf = (i < n) & ((word >> 32) == 1)
        is_leaf &= tl.load(state + u, mask=is_leaf, other=0) == _CANCELLED
        while tl.max(is_leaf.to(tl.int32), 0) != 0:
            place = (word & _LOW).to(tl.int32)
            is_leaf &= tl.atomic_xchg(kept + place, 0, mask=is_leaf, sem="relaxed") == 1
            both = tl.load(ends + place, mask=is_leaf, other=0)
            a, b = (both >> 32).to(tl.int32), both.to(tl.int32)
            u = tl.where(u == a, b, a)
            link = place.to(tl.int64) + (_LOW + 1)
            word = tl.atomic_add(joined + u, -link, mask=is_leaf, sem="relaxed") - link
            is_leaf &= (word >> 32) == 1
            is_leaf &= tl.load(state + u, mask=is_leaf, other=0) == _CANCELLED


@kernel(do_not_specialize=["height", "width", "programs"])
def _mark_paths(
    descents,  # [N, H, W] int32
    extrema,  # [N, H * W] int32
    tree,  # [N, H * W + 1] int32 or int64
    counters,  # [N, COUNTERS] int32
    kept,  # [N, H * W] int32
    marked,  # [N, H * W] int32, zeros before, 1 written on the paths
    height,
    width,
    programs,
    BLOCK: tl.constexpr,
):
    """Mark the paths from both ends of the edges that are kept, of every `programs`-th block of one window's extrema.

    A path ends where another one has marked a pixel, because that one goes on.
    """
    window = (tl.program_id(0) // programs).to(tl.int64)
    pixels = height * width
    descents += window * pixels
    marked += window * pixels
    n_minima, n = _sizes(counters + window * COUNTERS)
    for start in range(tl.program_id(0) % programs * BLOCK, n, programs * BLOCK):
        i = start + tl.arange(0, BLOCK)
        _, place, edge, there = _edge(i, n_minima, n, extrema + window * pixels, tree + window * (pixels + 1), pixels)
        walks_a = there & (tl.load(kept + window * pixels + place, mask=there, other=0) != 0)
        walks_b = walks_a
        y_a, x_a, y_b, x_b = _ends(edge, width)
        while tl.max((walks_a | walks_b).to(tl.int32), 0) != 0:
            walks_a &= tl.atomic_xchg(marked + y_a * width + x_a, 1, mask=walks_a, sem="relaxed") == 0
            walks_b &= tl.atomic_xchg(marked + y_b * width + x_b, 1, mask=walks_b, sem="relaxed") == 0
            y_a, x_a, walks_a = step(y_a, x_a, walks_a, descents, height, width, False, True)
            y_b, x_b, walks_b = step(y_b, x_b, walks_b, descents, height, width, False, True)
