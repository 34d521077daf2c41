"""Gradient: the lower stars of all voxels, and the cells that a discrete Morse gradient leaves critical in them.

As for images, but a lower star is a mask of 27 bits (see `cells`), made by 26 comparisons and then shifts. A lane
handles a strip, which is DEPTH consecutive voxels along z, so that it loads the nine values of a slice once for
the three voxels that have them as neighbours. The stars are stored; the matching of a star is derived from it again
wherever it is needed.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from ...cells import DIRECTIONS3, EDGES3, NO_X3, NO_Y3, NO_Z3, SQUARES3, VERTEX3
from ..counters import COUNTERS, EDGES, MAXIMA, MINIMA, NAN, SQUARES, STATUS
from ..image.gradient import lower, ones
from ..runtime.jit import kernel
from ..runtime.launch import INTERPRETED, cdiv
from ..tree import Trees, new_trees

DEPTH = tl.constexpr(8)  # voxels of a strip: each has a bit in a mask, and its own loop in the program
_BLOCK = 512 if INTERPRETED else 64  # strips that a program handles; a window of 32 x 32 x 32 has 4096

_NO_X, _NO_Y, _NO_Z = tl.constexpr(NO_X3), tl.constexpr(NO_Y3), tl.constexpr(NO_Z3)
_VERTEX, _EDGES, _SQUARES = tl.constexpr(VERTEX3), tl.constexpr(EDGES3), tl.constexpr(SQUARES3)
_MAXIMUM = tl.constexpr(1)  # the one cube that can be critical
# The cells on one side of the vertex, which are outside where the window ends there.
_WEST, _EAST, _NORTH, _SOUTH, _BELOW, _ABOVE = (
    tl.constexpr(sum(1 << bit for bit, direction in enumerate(DIRECTIONS3) if direction[axis] == side))
    for axis in range(3)
    for side in (-1, 1)
)

# The number of an edge is EDGES_PER_VOXEL * owner + direction, where the owner is its latest vertex, and the direction
# counts edges in the order of their bits; likewise for squares. In trees, it is EACH * owner + direction.
EDGES_PER_VOXEL, SQUARES_PER_VOXEL, EACH = tl.constexpr(6), tl.constexpr(12), tl.constexpr(12)


class Stars(NamedTuple):
    """The lower stars of N volumes, and where the critical cells of each voxel are listed."""

    star: Tensor  # (N, D, H, W) int32: the lower star as a mask of `cells.DIRECTIONS3`; or int64, see `words`
    first_edge: Tensor  # (N, D * H * W) int32: where its critical edges begin in their list, written if it has some
    first_square: Tensor  # (N, D * H * W) int32: likewise of its critical squares


class Critical(NamedTuple):
    """The numbers of the critical cells of N volumes; those of one owner follow one another, in order.

    They have 64 bits if stars have; see `words`.
    """

    edges: Tensor  # (N, M) int32 or int64; M is a bound
    squares: Tensor  # (N, M) int32 or int64


def loops_of(depth: int, height: int, width: int) -> int:
    """Return a bound on the critical edges of a window that close a loop.

    Each edge is owned by its later end, and each vertex except the minima takes an edge. In V, all but one of the
    minima take a further edge, which joins them to another: of the 3 P edges, at most 2 P are left. In T, at most one
    edge of a voxel on the surface is critical, and edges that lead outside add at most half of the window's surface.
    """
    return 2 * depth * height * width + height * width + depth * width + depth * height


def gradient(x: Tensor, top: bool) -> tuple[Stars, Critical, Trees]:
    """Compute the lower stars of volumes and list their critical cells.

    Parameters
    ----------
    x : Tensor, shape (N, D, H, W), float32 or float64, contiguous
    top : bool
        T, where the outside of the window is lower than every voxel, or V, where it is higher.

    Returns
    -------
    Stars, Critical, Trees
        Extrema are listed, and each has the word of a root. The order of owners in a list depends on the schedule. The
        counters have the lengths of the lists, and the status NAN where there is a NaN. The lists of such a window are
        meaningless but stay within their bounds.
    """
    n, depth, height, width = x.shape
    voxels = depth * height * width
    # Each critical edge closes a loop or ends the class of a minimum, each critical square ends a loop or opens a void
    # for a maximum. No two minima share an edge of the grid, and no two maxima a cube.
    most = loops_of(depth, height, width) + cdiv(voxels, 2)

    def new(*shape: int) -> Tensor:
        return torch.empty(shape, dtype=torch.int32, device=x.device)

    stars = Stars(new(*x.shape), new(n, voxels), new(n, voxels))
    critical = Critical(new(n, most), new(n, most))
    trees = new_trees(n, voxels, EACH.value, x.device)
    tiles = cdiv(cdiv(depth, DEPTH.value) * height * width, _BLOCK)
    if n:
        lists = *critical, stars.first_edge, stars.first_square, trees.extrema, trees.words
        sizes = depth, height, width, most
        _gradient[(n * tiles,)](x, stars.star, *lists, trees.counters, *sizes, TOP=top, BLOCK=_BLOCK, num_warps=1)
    return stars, critical, trees


@kernel(do_not_specialize=["depth", "height", "width", "most"], do_not_specialize_on_alignment=["x"])
def _gradient(
    x,  # [N, D, H, W] float32 or float64
    star,  # [N, D, H, W] int32, written
    edges,  # [N, most] int32, written as far as there are edges
    squares,  # [N, most] int32, written as far as there are squares
    first_edge,  # [N, D * H * W] int32, written for owners of edges
    first_square,  # [N, D * H * W] int32, written for owners of squares
    extrema,  # [N, D * H * W] int32, written from both ends
    tree,  # [N, D * H * W + 1] int32 or int64, written at extrema and for the outside
    counters,  # [N, COUNTERS] int32, zeros before, changed
    depth,
    height,
    width,
    most,
    TOP: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Write the lower stars and critical cells of BLOCK strips of one window.

    Programs share nothing but the counters: each reserves a range of every list by one atomic addition, and writes only
    there. Relaxed atomics are enough, because no program reads the lists before the launch is over.
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

    # Every lane loads a voxel for each neighbour, and another one where there is none, which the outside replaces
    # afterwards. Lanes beyond the last strip repeat that strip, and slices below the window repeat the last slice.
    there = lane < lanes
    lane = tl.minimum(lane, lanes - 1)
    column, row, top_slice = lane % width, lane // width % height, lane // area * DEPTH
    outside = tl.where(column == 0, _WEST, 0) | tl.where(column == width - 1, _EAST, 0)
    outside |= tl.where(row == 0, _NORTH, 0) | tl.where(row == height - 1, _SOUTH, 0)
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
        beyond = outside | tl.where(top_slice + i == 0, _BELOW, 0) | tl.where(top_slice + i == depth - 1, _ABOVE, 0)
        cells = (cells | beyond if TOP else cells & ~beyond) | _VERTEX
        cells = with_faces(with_faces(cells))
        m_here = there & (top_slice + i < depth)
        tl.store(star + first + i * area, cells, mask=m_here)
        critical = tl.where(m_here, critical_cells(cells), 0)
        left |= tl.where(critical != 0, 1 << i, 0)
        n_cells += count(critical & _EDGES) | count(critical & _SQUARES) << 16
        n_extrema += tl.where((critical & _VERTEX) != 0, 1, 0) | tl.where((critical & _MAXIMUM) != 0, 1 << 16, 0)
        nan |= (here != here).to(tl.int32)
        b_nw, b_n, b_ne, b_w, b, b_e, b_sw, b_s, b_se = nw, north, ne, west, here, east, sw, south, se
        nw, north, ne, west, here, east, sw, south, se = a_nw, a_n, a_ne, a_w, a, a_e, a_sw, a_s, a_se

    tl.atomic_max(counters + STATUS, NAN, mask=tl.max(nan, 0) != 0, sem="relaxed")
    # Two counts in one word, so that two scans are enough.
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
    tl.debug_barrier()  # stars are read again, perhaps by other threads than those that wrote them
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
        tl.store(edges + i_edge, owner * EDGES_PER_VOXEL + direction, mask=is_edge)
        tl.store(squares + i_square, owner * SQUARES_PER_VOXEL + direction, mask=is_square)
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
    """Return which of three neighbours in a row are lower, as bits."""
    bits = tl.where(lower(first, here, FIRST, TOP), 1, 0) | tl.where(lower(second, here, FIRST, TOP), 2, 0)
    return bits | tl.where(lower(third, here, FIRST, TOP), 4, 0)


@triton.jit
def with_faces(star):
    """Remove the cells of a star that have a face at the vertex which is not in it: first squares, then cubes."""
    x, y, z = star & _NO_X, star & _NO_Y, star & _NO_Z
    return star & (x | x >> 1 | x << 1) & (y | y >> 3 | y << 3) & (z | z >> 9 | z << 9)


@triton.jit
def critical_cells(star):
    """Match the cells of stars in the order of `cells`, and return those that stay unmatched."""
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
    """Count the cells of a mask."""
    return (ones(cells) * 0x01010101) >> 24


@triton.jit
def bit_of(cell):
    """Return the number of the one bit that is set; the result is meaningless without one."""
    return (cell.to(tl.float32).to(tl.int32, bitcast=True) >> 23) - 127
