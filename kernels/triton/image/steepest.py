"""Steepest gradient: the discrete Morse gradient of skeletons; see `kernels/cpu/image/steepest.py`.

The cells of a lower star are matched along the directions of its edges in the order of their other ends, the lowest end
first and equal ones by index. This order differs from pixel to pixel, so each cell has a word of its own: the bit of
the direction in which its path goes on, E, W, S or N in the order of the planes of `gradient`, or 0 where it ends.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from ...cells import NE, NO_X, NO_Y, NW, SE, SW, VERTEX, E, N, S, W
from ..counters import COUNTERS, EDGES, MAXIMA, MINIMA, NAN, STATUS
from ..runtime.jit import kernel
from ..runtime.launch import INTERPRETED, cdiv
from ..tree import Trees, new_trees
from .gradient import NORTH, SOUTH, WEST, lower

_BLOCK = 512 if INTERPRETED else 128  # pixels of a program, whose counts fit into one word
EAST = tl.constexpr(3)  # a direction of a critical edge, after those of `gradient`
# The number of an edge is STEEPEST_EACH * owner + 4 * place + direction; `place` is that of its other end among the
# neighbours of the owner. So edges of one owner come in the order of their other ends.
STEEPEST_EACH, STEEPEST_LOG2 = tl.constexpr(16), tl.constexpr(4)
_N, _W, _E, _S, _VERTEX = (tl.constexpr(cell) for cell in (N, W, E, S, VERTEX))
_NW, _NE, _SW, _SE = (tl.constexpr(cell) for cell in (NW, NE, SW, SE))
_NO_X, _NO_Y = tl.constexpr(NO_X), tl.constexpr(NO_Y)


class Steepest(NamedTuple):
    """Steepest gradients of N images in the construction V, which `merge` follows."""

    descents: Tensor  # (N, H, W) int32: where the path of each vertex goes on
    ascents: Tensor  # (N, H + 1, W + 1) int32: likewise of each square, by its south-eastern corner
    edges: Tensor  # (N, M) int32: the numbers of the critical edges; M is a bound


def steepest_gradient(x: Tensor) -> tuple[Steepest, Trees]:
    """Match the cells of images (N, H, W), float32 or float64, contiguous, and list their critical cells.

    The lists are those of `gradient`. A maximum is listed by its owner.
    """
    n, height, width = x.shape
    pixels = height * width
    # As for `gradient`; a square is critical only in a star that has all four.
    most = cdiv(pixels, 2) + cdiv(height, 2) * cdiv(width, 2)
    descents = torch.empty(x.shape, dtype=torch.int32, device=x.device)
    ascents = torch.zeros((n, height + 1, width + 1), dtype=torch.int32, device=x.device)
    found = Steepest(descents, ascents, torch.empty((n, most), dtype=torch.int32, device=x.device))
    trees = new_trees(n, pixels, STEEPEST_EACH.value, x.device)
    blocks = cdiv(pixels, _BLOCK)
    if n:
        outputs = *found, trees.extrema, trees.words, trees.counters
        _steepest_gradient[(n * blocks,)](x, *outputs, height, width, most, blocks, BLOCK=_BLOCK, num_warps=4)
    return found, trees


@kernel(do_not_specialize=["height", "width", "most", "blocks"], do_not_specialize_on_alignment=["x"])
def _steepest_gradient(
    x,  # [N, H, W] float32 or float64
    descents,  # [N, H, W] int32, written
    ascents,  # [N, H + 1, W + 1] int32, written for the squares in stars
    edges,  # [N, most] int32, written as far as there are edges
    extrema,  # [N, H * W] int32, written from both ends
    tree,  # [N, H * W + 1] int32 or int64, written at extrema and for the outside
    counters,  # [N, COUNTERS] int32, zeros before, changed
    height,
    width,
    most,
    blocks,  # programs for each window
    BLOCK: tl.constexpr,
):
    """Match the stars of BLOCK pixels of one window, and list what stays critical.

    Programs share nothing but the counters, by which each reserves a range of every list; see `gradient`. No two write
    the same square, because a square is in one star only.
    """
    window = (tl.program_id(0) // blocks).to(tl.int64)
    pixels = height * width
    pixel = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)
    there = pixel < pixels
    row, column = pixel // width, pixel % width
    x += window * pixels + pixel
    counters += window * COUNTERS

    here = tl.load(x, mask=there, other=0.0)
    m_n, m_s = there & (row > 0), there & (row < height - 1)
    m_w, m_e = there & (column > 0), there & (column < width - 1)
    north, west = tl.load(x - width, mask=m_n, other=0.0), tl.load(x - 1, mask=m_w, other=0.0)
    east, south = tl.load(x + 1, mask=m_e, other=0.0), tl.load(x + width, mask=m_s, other=0.0)
    m_n &= lower(north, here, True, False)
    m_w &= lower(west, here, True, False)
    m_e &= lower(east, here, False, False)
    m_s &= lower(south, here, False, False)
    m_nw, m_ne, m_sw, m_se = m_n & m_w, m_n & m_e, m_s & m_w, m_s & m_e
    m_nw &= lower(tl.load(x - width - 1, mask=m_nw, other=0.0), here, True, False)
    m_ne &= lower(tl.load(x - width + 1, mask=m_ne, other=0.0), here, True, False)
    m_sw &= lower(tl.load(x + width - 1, mask=m_sw, other=0.0), here, False, False)
    m_se &= lower(tl.load(x + width + 1, mask=m_se, other=0.0), here, False, False)
    star = tl.where(m_nw, _NW, 0) | tl.where(m_n, _N, 0) | tl.where(m_ne, _NE, 0) | tl.where(m_w, _W, 0)
    star |= tl.where(m_e, _E, 0) | tl.where(m_sw, _SW, 0) | tl.where(m_s, _S, 0) | tl.where(m_se, _SE, 0)
    star = tl.where(there, star | _VERTEX, 0)

    # The places of the neighbours, in the order of values and then of indices. Where no edge leads to a neighbour, its
    # value is meaningless, and its place is only one at which nothing is matched.
    n_w, n_e, n_s = (north <= west).to(tl.int32), (north <= east).to(tl.int32), (north <= south).to(tl.int32)
    w_e, w_s, e_s = (west <= east).to(tl.int32), (west <= south).to(tl.int32), (east <= south).to(tl.int32)
    place_n, place_w = 3 - n_w - n_e - n_s, 2 + n_w - w_e - w_s
    place_e, place_s = 1 + n_e + w_e - e_s, n_s + w_s + e_s

    # The bit numbers of the edges, 4 bits for each, in the order of their places. Along each edge in turn, cells are
    # matched with those a shift away.
    order = 1 << 4 * place_n | 3 << 4 * place_w | 5 << 4 * place_e | 7 << 4 * place_s
    left, along_x, upwards = star, tl.zeros_like(star), tl.zeros_like(star)
    for turn in tl.static_range(4):
        shift = (order >> 4 * turn & 15) - 4
        forth, back = tl.maximum(shift, 0), tl.maximum(-shift, 0)
        is_x = (forth | back) == 1
        low = left & tl.where(is_x, _NO_X, _NO_Y) & (left >> forth << back)
        both = low | low << forth >> back
        along_x |= tl.where(is_x, both, 0)
        upwards |= tl.where(shift > 0, both, 0)
        left &= ~both

    matched = star ^ left
    tl.store(descents + window * pixels + pixel, _word(matched, along_x, upwards, _VERTEX), mask=there)
    # The path from a square crosses the edge that it is matched with, against the direction of the matching.
    ascents += window * ((height + 1) * (width + 1)) + row * (width + 1) + column
    upwards = ~upwards
    tl.store(ascents, _word(matched, along_x, upwards, _NW), mask=m_nw)
    tl.store(ascents + 1, _word(matched, along_x, upwards, _NE), mask=m_ne)
    tl.store(ascents + width + 1, _word(matched, along_x, upwards, _SW), mask=m_sw)
    tl.store(ascents + width + 2, _word(matched, along_x, upwards, _SE), mask=m_se)

    tl.atomic_max(counters + STATUS, NAN, mask=tl.max((here != here).to(tl.int32), 0) != 0, sem="relaxed")
    c_n, c_w, c_e, c_s = (left & _N) != 0, (left & _W) != 0, (left & _E) != 0, (left & _S) != 0
    is_minimum = (left & _VERTEX) != 0
    is_maximum = ((left & (_NW | _NE | _SW | _SE)) != 0) & (is_minimum == 0)  # both only next to a NaN
    n_edges = c_n.to(tl.int32) + c_w.to(tl.int32) + c_e.to(tl.int32) + c_s.to(tl.int32)
    # Three counts in one word, so that one scan is enough: 11, 11 and 10 bits, for up to 512 pixels.
    count = n_edges | is_minimum.to(tl.int32) << 11 | is_maximum.to(tl.int32) << 22
    before, total = tl.cumsum(count, 0) - count, tl.sum(count, 0)
    i_edge = tl.atomic_add(counters + EDGES, total & 0x7FF, sem="relaxed") + (before & 0x7FF)
    i_minimum = tl.atomic_add(counters + MINIMA, total >> 11 & 0x7FF, sem="relaxed") + (before >> 11 & 0x7FF)
    i_maximum = tl.atomic_add(counters + MAXIMA, total >> 22, sem="relaxed") + (before >> 22)
    i_maximum = pixels - 1 - i_maximum  # from the back
    fits = i_edge + n_edges <= most  # where there is a NaN, more edges can be critical
    edges += window * most + i_edge
    number = STEEPEST_EACH * pixel
    tl.store(edges, number + 4 * place_n + NORTH, mask=c_n & fits)
    edges += c_n.to(tl.int32)
    tl.store(edges, number + 4 * place_w + WEST, mask=c_w & fits)
    edges += c_w.to(tl.int32)
    tl.store(edges, number + 4 * place_e + EAST, mask=c_e & fits)
    edges += c_e.to(tl.int32)
    tl.store(edges, number + 4 * place_s + SOUTH, mask=c_s & fits)

    extrema += window * pixels
    tree += window * (pixels + 1)
    tl.store(extrema + i_minimum, pixel, mask=is_minimum)
    tl.store(extrema + i_maximum, pixel, mask=is_maximum)
    tl.store(tree + pixel, pixel, mask=is_minimum | is_maximum)
    tl.store(tree + pixels, pixels, mask=tl.program_id(0) % blocks == 0)


@triton.jit
def _word(matched, along_x, upwards, cell: tl.constexpr):
    """Return the word of a cell from masks of the cells that are matched, along x, and towards higher indices."""
    bit = tl.where((along_x & cell) != 0, 0, 16) + tl.where((upwards & cell) != 0, 0, 8)
    return tl.where((matched & cell) != 0, 1 << bit, 0)
