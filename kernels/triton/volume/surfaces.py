"""Surfaces: the vertices of all squares that the gradient leads to from the critical squares that last.

As on the CPU, a surface continues from each edge of its squares to the square that the edge is matched with. At a
critical edge whose pair with a critical square is cancelled, it continues with that square.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..counters import COUNTERS, EDGES, MAXIMA, OK, STATUS
from ..runtime.jit import kernel
from ..runtime.launch import INTERPRETED
from ..tree import Trees, unpacked
from .bits import VERTEX
from .gradient import EACH, EDGES_PER_VOXEL, SQUARES_PER_VOXEL, Critical, Stars
from .reduce_flow import directions_of, match, owner_of, partner_of
from .trace import parts_of
from .words import rank_among, unpacked_cell

_BLOCK = 1024 if INTERPRETED else 256  # squares of a round
_SQUARES_OF_GRID = tl.constexpr(3)  # for each voxel


def mark_surfaces(
    x: Tensor,
    stars: Stars,
    critical: Critical,
    claims: Tensor,
    trees: Trees,
    min_persistence: float,
    marked: Tensor,
) -> None:
    """Mark the surfaces of N volumes (N, D, H, W) with pairs that last longer than a minimum.

    stars, critical, trees : those of `steepest_gradient`, after the merge. claims : after the reduction.
    marked : (N, D * H * W) int32, 1 is written.
    """
    n, depth, height, width = x.shape
    voxels = depth * height * width
    seen = torch.zeros((n, voxels), dtype=torch.int32, device=x.device)
    queue = torch.empty((n, _SQUARES_OF_GRID.value * voxels), dtype=torch.int32, device=x.device)
    lists = *stars, *critical, claims, trees.extrema, trees.words, trees.counters
    sizes = depth, height, width, critical.edges.shape[1]
    _mark_surfaces[(n,)](x, *lists, seen, queue, marked, *sizes, min_persistence, BLOCK=_BLOCK, num_warps=8)


@kernel(do_not_specialize=["depth", "height", "width", "most", "min_persistence"], do_not_specialize_on_alignment=["x"])
def _mark_surfaces(
    x,  # [N, D, H, W] float32 or float64
    star,  # [N, D, H, W] int64
    first_edge,  # [N, D * H * W] int32
    first_square,  # [N, D * H * W] int32
    edges,  # [N, most] int64
    squares,  # [N, most] int64
    claims,  # [N, most] int64
    extrema,  # [N, D * H * W] int32
    tree,  # [N, D * H * W + 1] int32 or int64
    counters,  # [N, COUNTERS] int32
    seen,  # [N, D * H * W] int32, zeros before, changed: for each voxel, which of its 12 squares have been queued
    queue,  # [N, 3 * D * H * W] int32, written as far as it is used: SQUARES_PER_VOXEL * owner + direction
    marked,  # [N, D * H * W] int32, 1 written on the surfaces
    depth,
    height,
    width,
    most,
    min_persistence: tl.float64,
    BLOCK: tl.constexpr,
):
    """Flood the surfaces of one window, by rounds of BLOCK squares.

    A square enters the queue once, by the lane that sets its bit in `seen`, so the queue is long enough for all. Bits
    and marks are set by atomics. Relaxed order is enough, because no other program reads what this one writes. What the
    lanes of a round append is read in later rounds, after a barrier.
    """
    window = tl.program_id(0).to(tl.int64)
    area = height * width
    voxels = depth * area
    x += window * voxels
    star += window * voxels
    first_edge += window * voxels
    edges += window * most
    squares += window * most
    claims += window * most
    counters += window * COUNTERS
    seen += window * voxels
    queue += window * (_SQUARES_OF_GRID * voxels)
    marked += window * voxels
    lane = tl.arange(0, BLOCK)

    ok = tl.load(counters + STATUS) == OK
    n_edges = tl.where(ok, tl.load(counters + EDGES), 0)
    n_maxima = tl.where(ok, tl.load(counters + MAXIMA), 0)
    tail = 0
    # The critical squares that end loops, then those that open voids.
    for start in range(0, n_edges, BLOCK):
        there = start + lane < n_edges
        column = tl.load(claims + start + lane, mask=there, other=-1).to(tl.int32)
        there = column >= 0
        born, _, _ = unpacked_cell(tl.load(edges + start + lane, mask=there, other=0), EDGES_PER_VOXEL)
        square = tl.load(squares + column, mask=there, other=0)
        length = tl.load(x + owner_of(square), mask=there, other=0.0) - tl.load(x + born, mask=there, other=0.0)
        tail = _append(_numbered(square), there & (length > min_persistence), seen, queue, tail)
    for start in range(0, n_maxima, BLOCK):
        there = start + lane < n_maxima
        u = tl.load(extrema + window * voxels + (voxels - 1 - start - lane), mask=there, other=0)
        saddle, elder = unpacked(tl.load(tree + window * (voxels + 1) + u, mask=there, other=0))
        there &= elder != u
        place = tl.load(first_square + window * voxels + saddle // EACH, mask=there, other=0) + saddle % EACH
        square = tl.load(squares + place, mask=there, other=0)
        length = tl.load(x + u, mask=there, other=0.0) - tl.load(x + owner_of(square), mask=there, other=0.0)
        tail = _append(_numbered(square), there & (length > min_persistence), seen, queue, tail)

    head = 0
    while head < tail:
        tl.debug_barrier()  # other threads have appended the squares
        there = head + lane < tail
        square = tl.load(queue + head + lane, mask=there, other=0)
        head = tl.minimum(head + BLOCK, tail)
        v = owner_of(square)
        p, q = directions_of(square)
        a, b = v + _step(p, area, width), v + _step(q, area, width)
        c = a + _step(q, area, width)
        tl.atomic_or(marked + v, 1, mask=there, sem="relaxed")
        tl.atomic_or(marked + a, 1, mask=there, sem="relaxed")
        tl.atomic_or(marked + b, 1, mask=there, sem="relaxed")
        tl.atomic_or(marked + c, 1, mask=there, sem="relaxed")
        for side in range(4):
            # The edges from v to a, from b to c, from v to b, and from a to c.
            along_p = side < 2
            near = tl.where(side == 1, b, tl.where(side == 3, a, v))
            far = tl.where(side == 0, a, tl.where(side == 2, b, c))
            direction = tl.where(along_p, p, q)
            # An edge is in the star of its later end.
            word, word_far = tl.load(star + near, mask=there, other=0), tl.load(star + far, mask=there, other=0)
            is_near = (word >> direction & 1) != 0
            owner, word = tl.where(is_near, near, far), tl.where(is_near, word, word_far)
            direction = tl.where(is_near, direction, 2 * VERTEX - direction)
            east, west, south, north, above, below, critical = match(word)
            edge = 1 << direction
            m_matched = there & (((east | west | south | north | above | below) & edge) != 0)
            across = partner_of(edge, east, west, south, north, above)
            # The square that a critical edge is paired with, if their pair is cancelled.
            m_paired = there & ((critical & edge) != 0)
            place = tl.load(first_edge + owner, mask=m_paired, other=0) + rank_among(critical, direction)
            column = tl.load(claims + place, mask=m_paired, other=-1).to(tl.int32)
            m_paired = column >= 0
            paired = tl.load(squares + column, mask=m_paired, other=0)
            length = tl.load(x + owner_of(paired), mask=m_paired, other=0.0)
            length -= tl.load(x + owner, mask=m_paired, other=0.0)
            m_paired &= (length > min_persistence) == 0
            square_next = tl.where(m_paired, _numbered(paired), _square(owner, direction, across))
            tail = _append(square_next, m_matched | m_paired, seen, queue, tail)


@triton.jit
def _append(square, wanted, seen, queue, tail):
    """Append squares that are wanted and have not been seen yet to a queue of that length; return the new length."""
    owner, direction = square // SQUARES_PER_VOXEL, square % SQUARES_PER_VOXEL
    had = tl.atomic_or(seen + owner, 1 << direction, mask=wanted, sem="relaxed")
    is_new = (wanted & ((had >> direction & 1) == 0)).to(tl.int32)
    i = tail + tl.cumsum(is_new, 0) - is_new
    tl.store(queue + i, square, mask=is_new != 0)
    return tail + tl.sum(is_new, 0)


@triton.jit
def _numbered(square):
    """Return the numbers of critical squares, without their ranks."""
    owner, _, direction = unpacked_cell(square, SQUARES_PER_VOXEL)
    return owner * SQUARES_PER_VOXEL + direction


@triton.jit
def _step(bit, area, width):
    """Return where an edge leads, as a difference of flat indices."""
    dz, dy, dx = parts_of(bit)
    return dz * area + dy * width + dx


@triton.jit
def _square(owner, p, q):
    """Return the number of the square that a vertex spans with its edges in directions p and q; see `directions_of`."""
    bit = p + q - VERTEX
    return owner * SQUARES_PER_VOXEL + (bit - tl.where(bit < 13, 1, 3)) // 2
