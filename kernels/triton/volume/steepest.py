"""Steepest gradient: the discrete Morse gradient of skeletons; see `kernels/cpu/volume/steepest.py`.

The cells of a lower star are matched along its edges in the order of their other ends, the lowest end first and equal
ones by index. This order differs from voxel to voxel, so it is stored next to the star, in one word; see `words`. A
lane handles a voxel.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ...cells import CUBES3, EDGES3, SQUARES3, VERTEX3, VERTEX_BIT
from ..counters import COUNTERS, EDGES, MAXIMA, MINIMA, NAN, SQUARES, STATUS
from ..image.gradient import lower
from ..runtime.jit import kernel
from ..runtime.launch import INTERPRETED, cdiv
from ..tree import Trees, new_trees
from .bits import ABOVE, BELOW, BITS_OF_EDGES, EAST, NORTH, SOUTH, WEST
from .gradient import EACH, Critical, Stars, bit_of, count, loops_of, with_faces
from .trace import parts_of
from .words import match_in_order, packed_cell, word_of_star

_BLOCK = 512 if INTERPRETED else 128  # voxels of a program, whose counts of cells fit into 16 bits

_VERTEX, _CUBES = tl.constexpr(VERTEX3), tl.constexpr(CUBES3)
_EDGES, _SQUARES = tl.constexpr(EDGES3), tl.constexpr(SQUARES3)
_VERTEX_BIT = tl.constexpr(VERTEX_BIT)
_BELOW_EDGE, _NORTH_EDGE, _WEST_EDGE, _EAST_EDGE, _SOUTH_EDGE, _ABOVE_EDGE = (
    tl.constexpr(1 << bit) for bit in BITS_OF_EDGES
)


def steepest_gradient(x: Tensor) -> tuple[Stars, Critical, Trees]:
    """Match the cells of volumes (N, D, H, W), float32 or float64, contiguous, and list their critical cells.

    The result is that of `gradient` in V, with words for stars, and cells with ranks; see `words`. A maximum is listed
    by the owner of its cube, which can be any of the owner's star. Only one can be critical: it has three neighbours in
    the star, each of which is matched with the face between them. Two critical cubes would either share a neighbour, or
    be opposite, and of two opposite edges, each would have to come before the other.
    """
    n, depth, height, width = x.shape
    voxels = depth * height * width
    # As for `gradient`. A star with a maximum has four cubes at least, so at most a fourth of the voxels own one.
    most = loops_of(depth, height, width) + cdiv(voxels, 2)

    def new(dtype: torch.dtype, *shape: int) -> Tensor:
        return torch.empty(shape, dtype=dtype, device=x.device)

    stars = Stars(new(torch.int64, *x.shape), new(torch.int32, n, voxels), new(torch.int32, n, voxels))
    critical = Critical(new(torch.int64, n, most), new(torch.int64, n, most))
    trees = new_trees(n, voxels, EACH.value, x.device)
    blocks = cdiv(voxels, _BLOCK)
    if n:
        outputs = *stars, *critical, trees.extrema, trees.words, trees.counters
        sizes = depth, height, width, most, blocks
        _steepest_gradient[(n * blocks,)](x, *outputs, *sizes, BLOCK=_BLOCK, num_warps=4)
    return stars, critical, trees


@kernel(do_not_specialize=["depth", "height", "width", "most", "blocks"], do_not_specialize_on_alignment=["x"])
def _steepest_gradient(
    x,  # [N, D, H, W] float32 or float64
    star,  # [N, D, H, W] int64, written: words
    first_edge,  # [N, D * H * W] int32, written for owners of edges
    first_square,  # [N, D * H * W] int32, written for owners of squares
    edges,  # [N, most] int64, written as far as there are edges
    squares,  # [N, most] int64, written as far as there are squares
    extrema,  # [N, D * H * W] int32, written from both ends
    tree,  # [N, D * H * W + 1] int32 or int64, written at extrema and for the outside
    counters,  # [N, COUNTERS] int32, zeros before, changed
    depth,
    height,
    width,
    most,
    blocks,  # programs for each window
    BLOCK: tl.constexpr,
):
    """Match the stars of BLOCK voxels of one window, and list what stays critical.

    Programs share nothing but the counters, by which each reserves a range of every list; see `gradient`.
    """
    window = (tl.program_id(0) // blocks).to(tl.int64)
    area = height * width
    voxels = depth * area
    voxel = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)
    there = voxel < voxels
    x += window * voxels + voxel
    counters += window * COUNTERS

    # The neighbours along the axes, in the order of their indices: below, north, west, east, south, above.
    here = tl.load(x, mask=there, other=0.0)
    row, column = voxel // width % height, voxel % width
    m_b, m_n, m_w = there & (voxel >= area), there & (row > 0), there & (column > 0)
    m_e, m_s, m_a = there & (column < width - 1), there & (row < height - 1), there & (voxel < voxels - area)
    b, n = tl.load(x - area, mask=m_b, other=0.0), tl.load(x - width, mask=m_n, other=0.0)
    w, e = tl.load(x - 1, mask=m_w, other=0.0), tl.load(x + 1, mask=m_e, other=0.0)
    s, a = tl.load(x + width, mask=m_s, other=0.0), tl.load(x + area, mask=m_a, other=0.0)
    m_b &= lower(b, here, True, False)
    m_n &= lower(n, here, True, False)
    m_w &= lower(w, here, True, False)
    m_e &= lower(e, here, False, False)
    m_s &= lower(s, here, False, False)
    m_a &= lower(a, here, False, False)
    cells = tl.where(there, _VERTEX, 0)
    cells |= tl.where(m_b, _BELOW_EDGE, 0) | tl.where(m_n, _NORTH_EDGE, 0) | tl.where(m_w, _WEST_EDGE, 0)
    cells |= tl.where(m_e, _EAST_EDGE, 0) | tl.where(m_s, _SOUTH_EDGE, 0) | tl.where(m_a, _ABOVE_EDGE, 0)
    edges_here = cells
    for bit in tl.static_range(27):
        if ((_EDGES | _VERTEX) >> bit) & 1 == 0:
            dz, dy, dx = bit // 9 - 1, bit // 3 % 3 - 1, bit % 3 - 1
            # Where the edges of the cell are in the star. With a mask for each, LLVM would reserve memory.
            its_edges = ((dz != 0) << 13 + 9 * dz) | ((dy != 0) << 13 + 3 * dy) | ((dx != 0) << 13 + dx)
            m_far = (edges_here & its_edges) == its_edges
            far = tl.load(x + (dz * area + dy * width + dx), mask=m_far, other=0.0)
            cells |= tl.where(m_far & lower(far, here, bit < _VERTEX_BIT, False), 1, 0) << bit
    cells = with_faces(cells)  # without the cubes that lack a square

    # The places of the lower neighbours among each other, compared two by two.
    p_b = tl.zeros_like(cells)
    p_n, p_w, p_e, p_s, p_a = p_b, p_b, p_b, p_b, p_b
    p_b, p_n = _compare(b, m_b, p_b, n, m_n, p_n)
    p_b, p_w = _compare(b, m_b, p_b, w, m_w, p_w)
    p_b, p_e = _compare(b, m_b, p_b, e, m_e, p_e)
    p_b, p_s = _compare(b, m_b, p_b, s, m_s, p_s)
    p_b, p_a = _compare(b, m_b, p_b, a, m_a, p_a)
    p_n, p_w = _compare(n, m_n, p_n, w, m_w, p_w)
    p_n, p_e = _compare(n, m_n, p_n, e, m_e, p_e)
    p_n, p_s = _compare(n, m_n, p_n, s, m_s, p_s)
    p_n, p_a = _compare(n, m_n, p_n, a, m_a, p_a)
    p_w, p_e = _compare(w, m_w, p_w, e, m_e, p_e)
    p_w, p_s = _compare(w, m_w, p_w, s, m_s, p_s)
    p_w, p_a = _compare(w, m_w, p_w, a, m_a, p_a)
    p_e, p_s = _compare(e, m_e, p_e, s, m_s, p_s)
    p_e, p_a = _compare(e, m_e, p_e, a, m_a, p_a)
    p_s, p_a = _compare(s, m_s, p_s, a, m_a, p_a)
    order = _placed(m_b, BELOW, p_b) | _placed(m_n, NORTH, p_n) | _placed(m_w, WEST, p_w)
    order |= _placed(m_e, EAST, p_e) | _placed(m_s, SOUTH, p_s) | _placed(m_a, ABOVE, p_a)
    tl.store(star + window * voxels + voxel, word_of_star(cells, order), mask=there)
    _, _, _, _, _, _, critical = match_in_order(cells, order)

    tl.atomic_max(counters + STATUS, NAN, mask=tl.max((here != here).to(tl.int32), 0) != 0, sem="relaxed")
    is_minimum = (critical & _VERTEX) != 0
    is_maximum = ((critical & _CUBES) != 0) & (is_minimum == 0)  # both only next to a NaN
    # Two counts in one word, so that two scans are enough.
    n_cells = count(critical & _EDGES) | count(critical & _SQUARES) << 16
    before, total = tl.cumsum(n_cells, 0) - n_cells, tl.sum(n_cells, 0)
    i_edge = tl.atomic_add(counters + EDGES, total & 0xFFFF, sem="relaxed") + (before & 0xFFFF)
    i_square = tl.atomic_add(counters + SQUARES, total >> 16, sem="relaxed") + (before >> 16)
    n_extrema = is_minimum.to(tl.int32) | is_maximum.to(tl.int32) << 16
    before, total = tl.cumsum(n_extrema, 0) - n_extrema, tl.sum(n_extrema, 0)
    i_minimum = tl.atomic_add(counters + MINIMA, total & 0xFFFF, sem="relaxed") + (before & 0xFFFF)
    i_maximum = tl.atomic_add(counters + MAXIMA, total >> 16, sem="relaxed") + (before >> 16)
    i_maximum = voxels - 1 - i_maximum  # from the back

    extrema += window * voxels
    tree += window * (voxels + 1)
    tl.store(extrema + i_minimum, voxel, mask=is_minimum)
    tl.store(extrema + i_maximum, voxel, mask=is_maximum)
    tl.store(tree + voxel, voxel, mask=is_minimum | is_maximum)
    tl.store(tree + voxels, voxels, mask=tl.program_id(0) % blocks == 0)

    # Where there is a NaN, more cells can be critical than fit.
    left = tl.where(i_edge + (n_cells & 0xFFFF) <= most, critical & _EDGES, 0)
    tl.store(first_edge + window * voxels + voxel, i_edge, mask=left != 0)
    i_edge += window * most
    rank = tl.zeros_like(left)
    for turn in tl.static_range(6):
        bit = order >> 5 * turn & 31
        is_edge = (left >> bit & 1) != 0
        number = packed_cell(voxel, rank, count(_EDGES & ((1 << bit) - 1)))
        tl.store(edges + i_edge + rank, number, mask=is_edge)
        rank += is_edge.to(tl.int32)
    all_left = tl.where(i_square + (n_cells >> 16) <= most, critical & _SQUARES, 0)
    tl.store(first_square + window * voxels + voxel, i_square, mask=all_left != 0)
    i_square += window * most
    left = all_left
    while tl.max(left, 0) != 0:
        square = left & -left
        left ^= square
        value = _far_value(x, square, square != 0, area, width)
        # The rank of a square is the number of those whose far corners come before its own.
        rank, others = tl.zeros_like(left), tl.where(square != 0, all_left ^ square, 0)
        while tl.max(others, 0) != 0:
            other = others & -others
            others ^= other
            value_other = _far_value(x, other, other != 0, area, width)
            is_first = (value_other < value) | ((value_other == value) & (other < square))
            rank += tl.where((other != 0) & is_first, 1, 0)
        number = packed_cell(voxel, rank, count(_SQUARES & (square - 1)))
        tl.store(squares + i_square + rank, number, mask=square != 0)


@triton.jit
def _compare(v, m_v, place_v, u, m_u, place_u):
    """Add 1 to the place of a neighbour where the other one, if lower, comes first; v has the smaller index."""
    v_first = v <= u
    return place_v + (m_u & (v_first == 0)).to(tl.int32), place_u + (m_v & v_first).to(tl.int32)


@triton.jit
def _placed(is_lower, bit: tl.constexpr, place):
    """Return the bits of edges to lower neighbours at their places in the order."""
    return tl.where(is_lower, bit, 0) << 5 * place


@triton.jit
def _far_value(x, cell, there, area, width):
    """Load the values at the far corners of cells, given by masks of one bit; x : pointers to their owners."""
    dz, dy, dx = parts_of(tl.where(there, bit_of(cell), 0))
    return tl.load(x + (dz * area + dy * width + dx), mask=there, other=0.0)
