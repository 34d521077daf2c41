"""Skeleton: the separatrices of the gradient that last, as pixels; see `kernels/cpu/image/skeleton.py`.

Each extremum but the essential one is paired with one critical edge, so its place in the list of extrema stands for
this edge too. The skeleton consists of the edges that last and of the cancelled ones that `pruning` keeps.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..counters import COUNTERS, MAXIMA, MINIMA, OK, STATUS
from ..pruning import Forest, new_forest, plant, prune
from ..runtime.jit import kernel
from ..runtime.launch import INTERPRETED, WARP, cdiv
from ..tree import unpacked
from .gradient import EACH, NORTH, SOUTH, WEST
from .merge import merge
from .steepest import EAST, STEEPEST_LOG2, steepest_gradient
from .trace import follow, step

_BLOCK = 1024 if INTERPRETED else WARP  # edges of a program, one per lane, as each lane walks on its own
_PIXELS_PER_PROGRAM = 16 * _BLOCK  # a program with more edges than lanes takes them in turn


def skeleton(x: Tensor, min_persistence: float) -> tuple[Tensor, Tensor]:
    """Mark the separatrices of N images, and return their status; see `gpuph.ops.skeleton`.

    An image has manifolds of dimension 1 only.
    """
    x = x.contiguous()
    n, height, width = x.shape
    pixels = height * width
    found, trees = steepest_gradient(x)
    merge(x, found, trees, False, (0, 1))
    forest = new_forest(n, pixels, pixels, x.device)
    marked = torch.zeros((n, pixels), dtype=torch.int32, device=x.device)
    programs = cdiv(pixels, _PIXELS_PER_PROGRAM)
    grid, sizes, settings = (n * programs,), (height, width, programs), {"BLOCK": _BLOCK, "num_warps": 1}
    if n:
        lists = trees.extrema, trees.words, trees.counters
        _select[grid](x, found.descents, *lists, *forest, *sizes, min_persistence, **settings)
        prune(trees, forest, programs, _BLOCK)
        _mark_paths[grid](found.descents, *lists, forest.kept, marked, *sizes, **settings)
    return marked.view(x.shape) != 0, trees.counters[:, STATUS.value].clone()


@kernel(do_not_specialize=["height", "width", "programs", "min_persistence"], do_not_specialize_on_alignment=["x"])
def _select(
    x,  # [N, H, W] float32 or float64
    descents,  # [N, H, W] int32
    extrema,  # [N, H * W] int32
    tree,  # [N, H * W + 1] int32 or int64
    counters,  # [N, COUNTERS] int32
    ends,  # [N, H * W] int64, zeros before, changed as are the next three: see `Forest`
    joined,  # [N, H * W] int64
    kept,  # [N, H * W] int32
    state,  # [N, H * W] int32
    height,
    width,
    programs,
    min_persistence: tl.float64,
    BLOCK: tl.constexpr,
):
    """Find out which edges of every `programs`-th block of one window's extrema last, and link minima by the others.

    Programs share the forest only; see `plant`.
    """
    window = (tl.program_id(0) // programs).to(tl.int64)
    pixels = height * width
    x += window * pixels
    descents += window * pixels
    tree += window * (pixels + 1)
    row = window * pixels
    forest = Forest(ends + row, joined + row, kept + row, state + row)
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
        y_a, x_a, y_b, x_b = follow(y_a, x_a, y_b, x_b, lasts | joins, descents, height, width, False, True)
        a, b = y_a * width + x_a, y_b * width + x_b
        plant(a, b, u, place, lasts, joins, forest)


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
