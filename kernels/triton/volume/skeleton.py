"""Skeleton: the separatrices of critical edges that last, and the surfaces below critical squares, as voxels.

See `kernels/cpu/volume/skeleton.py`. The gradient is the steepest one. Merge trees and the reduction, which are those
of persistence, pair edges with minima and with squares. An edge is known by its place in the list of critical edges.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton.language as tl
from torch import Tensor

from ..counters import COUNTERS, EDGES, MINIMA, OK, STATUS
from ..pruning import Forest, new_forest, plant, prune
from ..runtime.jit import kernel
from ..runtime.launch import INTERPRETED, WARP, cdiv
from ..tree import unpacked
from .gradient import EACH, EDGES_PER_VOXEL
from .merge import merge
from .reduce import reduce
from .reduce_flow import owner_of
from .steepest import steepest_gradient
from .surfaces import mark_surfaces
from .trace import edge_bit, minima_below, parts_of, step_down
from .words import unpacked_cell

_BLOCK = 1024 if INTERPRETED else WARP  # edges of a program, one per lane, as each lane walks on its own
_VOXELS_PER_PROGRAM = 16 * _BLOCK  # a program with more edges than lanes takes them in turn


def skeleton(x: Tensor, min_persistence: float, manifolds: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Mark the separatrices (1) and surfaces (2) of N volumes, and return their status; see `gpuph.ops.skeleton`."""
    x = x.contiguous()
    n, depth, height, width = x.shape
    voxels = depth * height * width
    stars, critical, trees = steepest_gradient(x)
    loops = merge(x, stars, critical, trees, False, (0, 1, 2))
    reduce(x, loops, trees.counters, False, voxels // 2)  # twice the usual memory, as no capacity can be raised
    marked = torch.zeros((n, voxels), dtype=torch.int32, device=x.device)
    if n and 1 in manifolds:
        lists = stars.first_edge, *critical, loops.claims, trees.extrema, trees.words, trees.counters
        forest = new_forest(n, voxels, critical.edges.shape[1], x.device)
        programs = cdiv(voxels, _VOXELS_PER_PROGRAM)
        grid, sizes = (n * programs,), (depth, height, width, critical.edges.shape[1], programs)
        settings = {"BLOCK": _BLOCK, "num_warps": 1}
        _select[grid](x, stars.star, *lists, *forest, *sizes, min_persistence, **settings)
        prune(trees, forest, programs, _BLOCK)
        _mark_paths[grid](stars.star, critical.edges, trees.counters, forest.kept, marked, *sizes, **settings)
    if n and 2 in manifolds:
        mark_surfaces(x, stars, critical, loops.claims, trees, min_persistence, marked)
    return marked.view(x.shape) != 0, trees.counters[:, STATUS.value].clone()


@kernel(
    do_not_specialize=["depth", "height", "width", "most", "programs", "min_persistence"],
    do_not_specialize_on_alignment=["x"],
)
def _select(
    x,  # [N, D, H, W] float32 or float64
    star,  # [N, D, H, W] int64
    first_edge,  # [N, D * H * W] int32
    edges,  # [N, most] int64
    squares,  # [N, most] int64
    claims,  # [N, most] int64
    extrema,  # [N, D * H * W] int32
    tree,  # [N, D * H * W + 1] int32 or int64
    counters,  # [N, COUNTERS] int32
    ends,  # [N, most] int64, zeros before, changed as are the next three: see `Forest`
    joined,  # [N, D * H * W] int64
    kept,  # [N, most] int32
    state,  # [N, D * H * W] int32
    depth,
    height,
    width,
    most,
    programs,
    min_persistence: tl.float64,
    BLOCK: tl.constexpr,
):
    """Find out which edges of one window last, and link minima by the others that end a component.

    A program takes every `programs`-th block of the minima, each with the edge that ends its class, and of all edges,
    of which those count that a square is paired with. Programs share the forest only; see `plant`.
    """
    window = (tl.program_id(0) // programs).to(tl.int64)
    voxels = depth * height * width
    x += window * voxels
    star += window * voxels
    first_edge += window * voxels
    extrema += window * voxels
    tree += window * (voxels + 1)
    edges += window * most
    squares += window * most
    claims += window * most
    counters += window * COUNTERS
    row, places = window * voxels, window * most
    forest = Forest(ends + places, joined + row, kept + places, state + row)
    ok = tl.load(counters + STATUS) == OK
    n_minima, n_edges = tl.load(counters + MINIMA), tl.load(counters + EDGES)
    n = tl.where(ok, n_minima + n_edges, 0)
    for start in range(tl.program_id(0) % programs * BLOCK, n, programs * BLOCK):
        i = start + tl.arange(0, BLOCK)
        m_minimum, m_edge = i < n_minima, (i >= n_minima) & (i < n)
        u = tl.load(extrema + i, mask=m_minimum, other=0)
        saddle, elder = unpacked(tl.load(tree + u, mask=m_minimum, other=0))
        joins = m_minimum & (elder != u)
        place = tl.load(first_edge + saddle // EACH, mask=joins, other=0) + saddle % EACH
        place = tl.where(m_minimum, place, i - n_minima)
        column = tl.load(claims + place, mask=m_edge, other=-1).to(tl.int32)
        closes = column >= 0
        there = joins | closes
        owner, _, direction = unpacked_cell(tl.load(edges + place, mask=there, other=0), EDGES_PER_VOXEL)
        partner = tl.where(joins, u, owner_of(tl.load(squares + column, mask=closes, other=0)))
        value, value_partner = tl.load(x + owner, mask=there, other=0.0), tl.load(x + partner, mask=there, other=0.0)
        length = tl.where(joins, value - value_partner, value_partner - value)
        lasts = there & (length > min_persistence)  # not if both are the same infinity, where the length is NaN
        joins &= lasts == 0
        z, y, x_a = owner // (height * width), owner // width % height, owner % width
        dz, dy, dx = parts_of(edge_bit(direction))
        a, b = minima_below(z, y, x_a, z + dz, y + dy, x_a + dx, lasts | joins, star, depth, height, width)
        plant(a, b, u, place, lasts, joins, forest)


@kernel(do_not_specialize=["depth", "height", "width", "most", "programs"])
def _mark_paths(
    star,  # [N, D, H, W] int64
    edges,  # [N, most] int64
    counters,  # [N, COUNTERS] int32
    kept,  # [N, most] int32
    marked,  # [N, D * H * W] int32, zeros before, 1 written on the paths
    depth,
    height,
    width,
    most,
    programs,
    BLOCK: tl.constexpr,
):
    """Mark the paths from both ends of the edges that are kept, of every `programs`-th block of one window's edges.

    A path ends where another one has marked a voxel, because that one goes on.
    """
    window = (tl.program_id(0) // programs).to(tl.int64)
    area = height * width
    star += window * (depth * area)
    marked += window * (depth * area)
    counters += window * COUNTERS
    n = tl.where(tl.load(counters + STATUS) == OK, tl.load(counters + EDGES), 0)
    for start in range(tl.program_id(0) % programs * BLOCK, n, programs * BLOCK):
        i = start + tl.arange(0, BLOCK)
        walks_a = tl.load(kept + window * most + i, mask=i < n, other=0) != 0
        walks_b = walks_a
        edge = tl.load(edges + window * most + i, mask=walks_a, other=0)
        owner, _, direction = unpacked_cell(edge, EDGES_PER_VOXEL)
        z_a, y_a, x_a = owner // area, owner // width % height, owner % width
        dz, dy, dx = parts_of(edge_bit(direction))
        z_b, y_b, x_b = z_a + dz, y_a + dy, x_a + dx
        while tl.max((walks_a | walks_b).to(tl.int32), 0) != 0:
            at_a, at_b = z_a * area + y_a * width + x_a, z_b * area + y_b * width + x_b
            walks_a &= tl.atomic_xchg(marked + at_a, 1, mask=walks_a, sem="relaxed") == 0
            walks_b &= tl.atomic_xchg(marked + at_b, 1, mask=walks_b, sem="relaxed") == 0
            z_a, y_a, x_a, walks_a = step_down(z_a, y_a, x_a, walks_a, star, depth, height, width)
            z_b, y_b, x_b, walks_b = step_down(z_b, y_b, x_b, walks_b, star, depth, height, width)
