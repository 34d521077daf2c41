"""Merge: the elder rule over critical edges and minima, and over critical squares and maxima.

The trees are those of images, but the two trees of a window take different cells: an edge that does not join two
classes of minima closes a loop, and a square that does not join two classes of maxima ends one. A second launch marks
the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import triton.language as tl
from torch import Tensor

from ..counters import COUNTERS, EDGES, MAXIMA, MINIMA, OK, SQUARES, STATUS
from ..runtime.jit import kernel
from ..runtime.launch import INTERPRETED, WARP, cdiv, registers
from ..tree import Tree, Trees, climb, join, slots_of, unpacked
from .gradient import EACH, EDGES_PER_VOXEL, SQUARES_PER_VOXEL, Critical, Stars
from .trace import edge_bit, maxima_above, minima_below, parts_of, square_bit
from .words import unpacked_cell

_BLOCK = 1024 if INTERPRETED else WARP  # cells that a program joins at a time: one per lane, so loops need no barrier
_FEW = _BLOCK // 4  # while more lanes than these still join, the others wait; then they take new cells
_PATIENCE = tl.constexpr(32)  # steps of a block without new cells before it takes hints
_VOXELS_PER_PROGRAM = 32 * _BLOCK  # a program with more cells than lanes takes them in turn

# Words of claims at first: an edge that closes a loop is open to claims, one that ends a component is not.
OPEN, KILLER = tl.constexpr(-1), tl.constexpr(-2)


class Loops(NamedTuple):
    """What `reduce` needs to pair the critical edges and squares of N volumes that the merge trees leave over."""

    star: Tensor  # as in `Stars`
    first_edge: Tensor
    squares: Tensor  # as in `Critical`
    claims: Tensor  # (N, M) int64: for each critical edge OPEN, or KILLER if it ends a component of V
    opened: Tensor  # (N, M) int8: for each critical square 1 if it opens a void of V, else 0
    used: Tensor  # (N,) int64: 0, for `reduce_chain.Pool`


def merge(x: Tensor, stars: Stars, critical: Critical, trees: Trees, top: bool, v_dims: Sequence[int]) -> Loops:
    """Grow the merge trees of volumes.

    Parameters
    ----------
    x : Tensor, shape (N, D, H, W)
    stars, critical, trees
        The results of `gradient`, or of `steepest_gradient` if not `top`. The words of `trees` are changed: that of an
        extremum holds its saddle, an edge or a square as EACH * owner + direction (or rank, see `words`), and its
        elder, or the extremum itself if its class never dies.
    v_dims : sequence of int
        The dimensions of V that are wanted: 0 for the minima, 1 for loops, 2 for the maxima.

    Returns
    -------
    Loops
        What `reduce` reads. If dimension 1 is not wanted, claims and opened have no columns.
    """
    n, voxels = trees.extrema.shape
    loops, most = 1 in v_dims, critical.edges.shape[1]
    minima, maxima = loops or 0 in v_dims, loops or 2 in v_dims
    left = (n, most) if loops else (n, 0)
    claims = torch.empty(left, dtype=torch.int64, device=x.device)
    opened = torch.empty(left, dtype=torch.int8, device=x.device)
    used = torch.empty(n, dtype=torch.int64, device=x.device)
    programs = cdiv(voxels, _VOXELS_PER_PROGRAM)
    if n:
        outputs = claims, opened, used, trees.words, trees.hints
        _merge[(n * programs * (minima + maxima),)](
            x, stars.star, *critical, *outputs, trees.counters, *x.shape[1:], most, programs,
            TOP=top, TREES=minima + maxima, FIRST=0 if minima else 1, LOOPS=loops, BLOCK=_BLOCK, FEW=_FEW,
            **registers(80), num_warps=1,
        )  # fmt: skip
    if n and loops:
        firsts = stars.first_edge, stars.first_square
        inputs = *critical, *firsts, trees.extrema, trees.words, trees.counters
        _mark[(2 * n * programs,)](*inputs, claims, opened, voxels, most, programs, BLOCK=_BLOCK, num_warps=1)
    return Loops(stars.star, stars.first_edge, critical.squares, claims, opened, used)


@kernel(do_not_specialize=["depth", "height", "width", "most", "programs"], do_not_specialize_on_alignment=["values"])
def _merge(
    values,  # [N, D, H, W] float32 or float64
    star,  # [N, D, H, W] int32 or int64
    edges,  # [N, most] int32 or int64
    squares,  # [N, most] int32 or int64
    claims,  # [N, most] int64, OPEN written for every edge if LOOPS
    opened,  # [N, most] int8, zeros written for every square if LOOPS
    used,  # [N] int64, zeros written if LOOPS
    tree,  # [N, D * H * W + 1] int32 or int64, changed
    hints,  # [N, slots] int64, zeros before, changed
    counters,  # [N, COUNTERS] int32
    depth,
    height,
    width,
    most,
    programs,
    TOP: tl.constexpr,
    TREES: tl.constexpr,
    FIRST: tl.constexpr,
    LOOPS: tl.constexpr,
    BLOCK: tl.constexpr,
    FEW: tl.constexpr,
):
    """Trace and merge a share of one window's critical cells: of its edges for minima, or squares for maxima.

    Programs share nothing but `tree` and `hints`, by volatile reads and atomic swaps; see the kernel of `image.merge`.
    """
    of_maxima = tl.program_id(0) % 2 if TREES == 2 else FIRST
    program = tl.program_id(0) // TREES
    window = (program // programs).to(tl.int64)
    voxels = depth * height * width
    values += window * voxels
    star += window * voxels
    tree += window * (voxels + 1)
    first_slot = program // programs * slots_of(voxels)
    counters += window * COUNTERS
    # This tree's order is that of values, reversed in T and for maxima, and then of positions, reversed for maxima.
    turn = 1 - 2 * of_maxima
    mirror = -turn if TOP else turn
    of_window = Tree(values, tree, hints, first_slot, voxels, turn, mirror)

    if LOOPS:
        tl.store(used + window, 0, mask=(of_maxima == 0) & (program % programs == 0))
    n = tl.load(counters + (EDGES if of_maxima == 0 else SQUARES))
    n = tl.where(tl.load(counters + STATUS) == OK, n, 0)
    share = tl.maximum(tl.cdiv(n, programs), BLOCK)  # whole blocks where there are few cells
    head = program % programs * share
    end = tl.minimum(head + share, n)
    u = tl.zeros((BLOCK,), tl.int32)
    v, saddle = u, u
    value = tl.zeros((BLOCK,), values.dtype.element_ty)
    active = u != 0
    busy = 0
    while (head < end) | (busy != 0):
        # Lanes that are done take the next cells in order.
        free = (active == 0).to(tl.int32)
        i = head + tl.cumsum(free, 0) - free
        m_new = (free != 0) & (i < end)
        head += tl.sum(free, 0)
        if of_maxima == 0:
            cell = tl.load(edges + window * most + i, mask=m_new, other=0)
            owner, rank, direction = unpacked_cell(cell, EDGES_PER_VOXEL)
            if LOOPS:
                tl.store(claims + window * most + i, OPEN, mask=m_new)
        else:
            cell = tl.load(squares + window * most + i, mask=m_new, other=0)
            owner, rank, direction = unpacked_cell(cell, SQUARES_PER_VOXEL)
            if LOOPS:
                tl.store(opened + window * most + i, 0, mask=m_new)
        z, y, x = owner // (height * width), owner // width % height, owner % width
        if of_maxima == 0:
            dz, dy, dx = parts_of(edge_bit(direction))
            a, b = minima_below(z, y, x, z + dz, y + dy, x + dx, m_new, star, depth, height, width)
        else:
            # The two cubes of a square lie on both sides of it, along the axis that it does not extend in.
            dz, dy, dx = parts_of(square_bit(direction))
            z_a, y_a, x_a = z + tl.minimum(dz, 0), y + tl.minimum(dy, 0), x + tl.minimum(dx, 0)
            z_b, y_b, x_b = z_a - (dz == 0).to(tl.int32), y_a - (dy == 0).to(tl.int32), x_a - (dx == 0).to(tl.int32)
            a, b = maxima_above(z_a, y_a, x_a, z_b, y_b, x_b, m_new, star, depth, height, width)
        u, v = tl.where(m_new, a, u), tl.where(m_new, b, v)
        saddle = tl.where(m_new, owner * EACH + rank, saddle)
        value = tl.where(m_new, tl.load(values + owner, mask=m_new, other=0.0) * mirror, value)
        active |= m_new
        patience = _PATIENCE
        while tl.sum(active.to(tl.int32), 0) > tl.where(head < end, FEW, 0):
            patience -= 1
            if patience < 0:
                u = climb(u, saddle, value, active, of_window, EACH)
                v = climb(v, saddle, value, active, of_window, EACH)
            u, v, saddle, value, active = join(u, v, saddle, value, active, of_window, EACH)
        busy = tl.max(active.to(tl.int32), 0)


@kernel(do_not_specialize=["voxels", "most", "programs"])
def _mark(
    edges,  # [N, most] int32 or int64
    squares,  # [N, most] int32 or int64
    first_edge,  # [N, voxels] int32
    first_square,  # [N, voxels] int32
    extrema,  # [N, voxels] int32
    tree,  # [N, voxels + 1] int32 or int64
    counters,  # [N, COUNTERS] int32
    claims,  # [N, most] int64, OPEN before, as far as there are edges
    opened,  # [N, most] int8, zeros before, as far as there are squares
    voxels,
    most,
    programs,
    BLOCK: tl.constexpr,
):
    """Mark the saddles of every `programs`-th block of one window's minima or maxima.

    No two programs write the same place, because no two extrema of a tree have the same saddle.
    """
    of_maxima = tl.program_id(0) % 2
    program = tl.program_id(0) // 2
    window = (program // programs).to(tl.int64)
    counters += window * COUNTERS
    cells, first, each = edges, first_edge, EDGES_PER_VOXEL
    if of_maxima == 1:
        cells, first, each = squares, first_square, SQUARES_PER_VOXEL
    cells += window * most
    n = tl.load(counters + (MINIMA if of_maxima == 0 else MAXIMA))
    n = tl.where(tl.load(counters + STATUS) == OK, n, 0)
    for start in range(program % programs * BLOCK, n, programs * BLOCK):
        i = start + tl.arange(0, BLOCK)
        i_extremum = window * voxels + tl.where(of_maxima == 0, i, voxels - 1 - i)
        u = tl.load(extrema + i_extremum, mask=i < n, other=0)
        saddle, elder = unpacked(tl.load(tree + window * (voxels + 1) + u, mask=i < n, other=0))
        dies = (i < n) & (elder != u)
        owner, rank = saddle // EACH, saddle % EACH
        slot = tl.load(first + window * voxels + owner, mask=dies, other=0)
        if cells.dtype.element_ty == tl.int64:
            slot += rank
        else:
            ahead = dies  # the cells of an owner follow one another, so step on to the right one
            while tl.max(ahead.to(tl.int32), 0) != 0:
                ahead &= tl.load(cells + slot, mask=ahead, other=0) != owner * each + rank
                slot += ahead.to(tl.int32)
        tl.store(claims + window * most + slot, KILLER, mask=dies & (of_maxima == 0))
        tl.store(opened + window * most + slot, 1, mask=dies & (of_maxima == 1))
