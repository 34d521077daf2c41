"""Gradient in 3D: the lower stars of voxels, and the cells that a discrete Morse gradient leaves critical in them.

As in 2D, see `gradient`, but a star is a mask of 27 bits, see `cells`: 26 comparisons, and then shifts. One lane takes
a strip, DEPTH voxels one behind the other in z, so that nine values of a slice are loaded once for the three voxels
that look at them. The stars are kept; the matching of one is made anew from it wherever it is needed.
"""

from __future__ import annotations

from functools import partial

import torch
import triton
import triton.language as tl
from torch import Tensor

from ...cells import DIRECTIONS3, EDGES3, NO_X3, NO_Y3, NO_Z3, SQUARES3, VERTEX3
from ..image.gradient import COUNTERS, lower, ones
from ..runtime.launch import INTERPRETED
from ..tree import empty_trees, zero_counters

DEPTH = tl.constexpr(8)
_BLOCK = 512 if INTERPRETED else 64  # strips a program; a window of 32 x 32 x 32 has 4096

_NO_X, _NO_Y, _NO_Z = tl.constexpr(NO_X3), tl.constexpr(NO_Y3), tl.constexpr(NO_Z3)
_VERTEX, _EDGES, _SQUARES = tl.constexpr(VERTEX3), tl.constexpr(EDGES3), tl.constexpr(SQUARES3)
_MAXIMUM = tl.constexpr(1)  # the one cube that can be critical
# The cells on one side of the vertex: those that are in the ring where the window ends there.
_WEST, _EAST, _NORTH, _SOUTH, _BELOW, _ABOVE = (
    tl.constexpr(sum(1 << bit for bit, direction in enumerate(DIRECTIONS3) if direction[axis] == side))
    for axis in range(3)
    for side in (-1, 1)
)

# Columns of the counters of a window; there are as many as in 2D.
EDGES, SQUARES, MINIMA, MAXIMA, STATUS, PAIRS = (tl.constexpr(i) for i in range(6))  # PAIRS + dimension of V


def loops_of(depth: int, height: int, width: int) -> int:
    """A bound on the critical edges of a window that close a loop.

    Each edge is owned by its later end, and each vertex but the minima takes an edge. In V, all but one of the minima
    take a further edge, which joins them to another: of the 3 P edges at most, 2 P are left. In T, where one edge at
    most of a voxel beside the ring is critical, what such voxels do not take makes up to as many again as the half of
    the window's surface.
    """
    return 2 * depth * height * width + height * width + depth * width + depth * height


def gradient(x: Tensor, top: bool) -> tuple[Tensor, ...]:
    """Compute the lower stars of volumes and list their critical cells.

    Parameters
    ----------
    x : Tensor, shape (N, D, H, W), float32 or float64, contiguous
    top : bool
        T, where the windows stand in a ring that is below every voxel, or V, where the ring is above.

    Returns
    -------
    star : Tensor, shape (N, D, H, W), int32
        The stars, as masks of `cells.DIRECTIONS3`.
    edges, squares : Tensor, shape (N, M), int32
        Critical edges as 6 * owner + direction and squares as 12 * owner + direction, the direction counted among
        those of edges or squares in order of their bits. Those of one owner follow one another, in this order.
    first_edge, first_square : Tensor, shape (N, D * H * W), int32
        Where in the lists an owner's edges and squares begin; not written for others.
    extrema, tree : Tensor, shapes (N, D * H * W), int32, and (N, D * H * W + 1), int32 or int64
        As in 2D.
    counters : Tensor, shape (N, COUNTERS), int32
        How many of each there are, and the status: 1 where there is a NaN. The lists of such a window mean nothing, yet
        stay in their bounds. But for an owner's cells, the order of a list depends on the schedule. The memory of the
        hints is behind them, as in 2D.
    """
    n, depth, height, width = x.shape
    voxels = depth * height * width
    # The other critical edges end a minimum's class, and the squares that do not end a loop open a void for a maximum.
    # No two minima share an edge of the grid, and no two maxima a cube.
    most = loops_of(depth, height, width) + triton.cdiv(voxels, 2)
    new = partial(torch.empty, dtype=torch.int32, device=x.device)
    star = new(x.shape)
    edges, squares = new((n, most)), new((n, most))
    first_edge, first_square, extrema = (new((n, voxels)) for _ in range(3))
    tree = empty_trees(n, voxels, 12, x.device)
    counters = zero_counters(n, COUNTERS.value, voxels, x.device)
    tiles = triton.cdiv(triton.cdiv(depth, DEPTH.value) * height * width, _BLOCK)
    lists = edges, squares, first_edge, first_square, extrema, tree
    if n:
        _gradient3[(n * tiles,)](
            x, star, *lists, counters, depth, height, width, most, TOP=top, BLOCK=_BLOCK, num_warps=1
        )
    return star, *lists, counters


@triton.jit(do_not_specialize=["depth", "height", "width", "most"], do_not_specialize_on_alignment=["x"])
def _gradient3(
    x,  # [N, D, H, W] float32 or float64
    star,  # [N, D, H, W] int32, written
    edges,  # [N, most] int32, written in parts, as are all below
    squares,  # [N, most] int32
    first_edge,  # [N, D * H * W] int32
    first_square,  # [N, D * H * W] int32
    extrema,  # [N, D * H * W] int32
    tree,  # [N, D * H * W + 1] int32 or int64
    counters,  # [N, COUNTERS] int32, zeros before
    depth,
    height,
    width,
    most,
    TOP: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Stars and critical cells of BLOCK strips of one window.

    Programs share nothing but the counters: each takes a range of slots in every list by one atomic addition, and
    writes only there. Relaxed atomics will do, because nobody reads the lists before the launch is over.
    """
    area = height * width
    voxels = depth * area
    lanes = tl.cdiv(depth, DEPTH) * area
    tiles = tl.cdiv(lanes, BLOCK)
    window = (tl.program_id(0) // tiles).to(tl.int64)
    lane = tl.program_id(0) % tiles * BLOCK + tl.arange(0, BLOCK)
    x += window * voxels
    star += window * voxels
    counters += window * COUNTERS

    # Every lane loads a voxel for each neighbour, some other one where there is none: the ring comes afterwards. Lanes
    # behind the last strip and slices below the window repeat what stands before them.
    there = lane < lanes
    lane = tl.minimum(lane, lanes - 1)
    column, row, top_slice = lane % width, lane // width % height, lane // area * DEPTH
    ring = tl.where(column == 0, _WEST, 0) | tl.where(column == width - 1, _EAST, 0)
    ring |= tl.where(row == 0, _NORTH, 0) | tl.where(row == height - 1, _SOUTH, 0)
    w, e = tl.where(column == 0, 0, 1), tl.where(column == width - 1, 0, 1)
    n, s = tl.where(row == 0, 0, width), tl.where(row == height - 1, 0, width)
    first = top_slice * area + row * width + column
    p = x + first
    b_nw, b_n, b_ne, b_w, b, b_e, b_sw, b_s, b_se = _slice(p - tl.where(top_slice == 0, 0, area), w, e, n, s)
    nw, north, ne, west, here, east, sw, south, se = _slice(p, w, e, n, s)
    left = tl.zeros((BLOCK,), tl.int32)
    nan, n_cells, n_extrema = left, left, left
    for i in range(tl.minimum(depth, DEPTH)):
        p += tl.where(top_slice + i < depth - 1, area, 0)
        a_nw, a_n, a_ne, a_w, a, a_e, a_sw, a_s, a_se = _slice(p, w, e, n, s)
        cells = _lower_row(b_nw, b_n, b_ne, here, True, TOP)
        cells |= _lower_row(b_w, b, b_e, here, True, TOP) << 3 | _lower_row(b_sw, b_s, b_se, here, True, TOP) << 6
        cells |= _lower_row(nw, north, ne, here, True, TOP) << 9
        cells |= tl.where(lower(west, here, True, TOP), 1 << 12, 0)
        cells |= tl.where(lower(east, here, False, TOP), 1 << 14, 0)
        cells |= _lower_row(sw, south, se, here, False, TOP) << 15 | _lower_row(a_nw, a_n, a_ne, here, False, TOP) << 18
        cells |= _lower_row(a_w, a, a_e, here, False, TOP) << 21 | _lower_row(a_sw, a_s, a_se, here, False, TOP) << 24
        outside = ring | tl.where(top_slice + i == 0, _BELOW, 0) | tl.where(top_slice + i == depth - 1, _ABOVE, 0)
        cells = (cells | outside if TOP else cells & ~outside) | _VERTEX
        cells = _with_faces(_with_faces(cells))
        m_here = there & (top_slice + i < depth)
        tl.store(star + first + i * area, cells, mask=m_here)
        critical = tl.where(m_here, critical_cells(cells), 0)
        left |= tl.where(critical != 0, 1 << i, 0)
        n_cells += count(critical & _EDGES) | count(critical & _SQUARES) << 16
        n_extrema += tl.where((critical & _VERTEX) != 0, 1, 0) | tl.where((critical & _MAXIMUM) != 0, 1 << 16, 0)
        nan |= (here != here).to(tl.int32)
        b_nw, b_n, b_ne, b_w, b, b_e, b_sw, b_s, b_se = nw, north, ne, west, here, east, sw, south, se
        nw, north, ne, west, here, east, sw, south, se = a_nw, a_n, a_ne, a_w, a, a_e, a_sw, a_s, a_se

    tl.atomic_max(counters + STATUS, 1, mask=tl.max(nan, 0) != 0, sem="relaxed")
    # Two counts in one word, so that two scans do.
    before, total = tl.cumsum(n_cells, 0) - n_cells, tl.sum(n_cells, 0)
    i_edge = tl.atomic_add(counters + EDGES, total & 0xFFFF, sem="relaxed") + (before & 0xFFFF)
    i_square = tl.atomic_add(counters + SQUARES, (total >> 16) & 0xFFFF, sem="relaxed") + ((before >> 16) & 0xFFFF)
    before, total = tl.cumsum(n_extrema, 0) - n_extrema, tl.sum(n_extrema, 0)
    i_minimum = tl.atomic_add(counters + MINIMA, total & 0xFFFF, sem="relaxed") + (before & 0xFFFF)
    i_maximum = tl.atomic_add(counters + MAXIMA, total >> 16, sem="relaxed") + (before >> 16)
    i_maximum = voxels - 1 - i_maximum  # from the back

    edges += window * most
    squares += window * most
    first_edge += window * voxels
    first_square += window * voxels
    extrema += window * voxels
    tree += window * (voxels + 1)
    tl.store(tree + voxels, voxels, mask=tl.program_id(0) % tiles == 0)
    # Each lane lists the critical cells of its first voxel that has any, one by one, then those of the next.
    tl.debug_barrier()  # stars are read again, perhaps by another thread than the one that wrote them
    owner, critical = first, tl.zeros((BLOCK,), tl.int32)
    while tl.max(left | critical, 0) != 0:
        m_next = (critical == 0) & (left != 0)
        slice_bit = left & -left
        owner = tl.where(m_next, first + bit_of(slice_bit) * area, owner)
        cells = tl.load(star + owner, mask=m_next, other=0)
        critical = tl.where(m_next, critical_cells(cells), critical)
        left = tl.where(m_next, left ^ slice_bit, left)
        tl.store(first_edge + owner, i_edge, mask=m_next & ((critical & _EDGES) != 0))
        tl.store(first_square + owner, i_square, mask=m_next & ((critical & _SQUARES) != 0))
        cell = critical & -critical
        critical ^= cell
        is_edge, is_square = (cell & _EDGES) != 0, (cell & _SQUARES) != 0
        is_minimum, is_maximum = cell == _VERTEX, cell == _MAXIMUM
        direction = count(tl.where(is_edge, _EDGES, _SQUARES) & (cell - 1))
        tl.store(edges + i_edge, owner * 6 + direction, mask=is_edge)
        tl.store(squares + i_square, owner * 12 + direction, mask=is_square)
        tl.store(extrema + tl.where(is_minimum, i_minimum, i_maximum), owner, mask=is_minimum | is_maximum)
        tl.store(tree + owner, owner, mask=is_minimum | is_maximum)
        i_edge += is_edge.to(tl.int32)
        i_square += is_square.to(tl.int32)
        i_minimum += is_minimum.to(tl.int32)
        i_maximum -= is_maximum.to(tl.int32)


@triton.jit
def _slice(p, w, e, n, s):
    """Load the nine values around p in its slice, row by row, at these distances."""
    p_n, p_s = p - n, p + s
    return (
        tl.load(p_n - w), tl.load(p_n), tl.load(p_n + e),
        tl.load(p - w), tl.load(p), tl.load(p + e),
        tl.load(p_s - w), tl.load(p_s), tl.load(p_s + e),
    )  # fmt: skip


@triton.jit
def _lower_row(first, second, third, here, FIRST: tl.constexpr, TOP: tl.constexpr):
    """Which of three neighbours in a row are lower, as bits."""
    bits = tl.where(lower(first, here, FIRST, TOP), 1, 0) | tl.where(lower(second, here, FIRST, TOP), 2, 0)
    return bits | tl.where(lower(third, here, FIRST, TOP), 4, 0)


@triton.jit
def _with_faces(star):
    """Take cells out of a star of which a face at the vertex is not in it: squares at first, then cubes."""
    x, y, z = star & _NO_X, star & _NO_Y, star & _NO_Z
    return star & (x | x >> 1 | x << 1) & (y | y >> 3 | y << 3) & (z | z >> 9 | z << 9)


@triton.jit
def critical_cells(star):
    """Match the cells of stars along +x, -x, +y, -y, +z, -z in turn; returns those that stay unmatched."""
    m = star & _NO_X & (star >> 1)
    star &= ~(m | m << 1)
    m = star & _NO_X & (star << 1)
    star &= ~(m | m >> 1)
    m = star & _NO_Y & (star >> 3)
    star &= ~(m | m << 3)
    m = star & _NO_Y & (star << 3)
    star &= ~(m | m >> 3)
    m = star & _NO_Z & (star >> 9)
    star &= ~(m | m << 9)
    m = star & _NO_Z & (star << 9)
    return star & ~(m | m >> 9)


@triton.jit
def count(cells):
    """How many cells there are in a mask."""
    return (ones(cells) * 0x01010101) >> 24


@triton.jit
def bit_of(cell):
    """The number of the one bit that is set; nothing meaningful without one."""
    return (cell.to(tl.float32).to(tl.int32, bitcast=True) >> 23) - 127
