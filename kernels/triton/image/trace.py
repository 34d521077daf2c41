"""Trace: the extrema where the gradient leads from a critical edge.

A path descends from vertex to vertex to a minimum, each time to the other end of the edge that the vertex is matched
with, or ascends from square to square to a maximum, across the edge that the square is matched with. `descents` and
`ascents` tell the direction of each cell by one bit, or by none where a path ends, so that `merge` follows both alike.
Their words hold planes of bits, and those of a `Steepest` gradient one cell each. Most paths are short, 15 steps or so
on maps of roads; a path along a valley through the whole window takes one step per pixel.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..runtime.jit import kernel
from ..runtime.launch import cdiv
from ..tree import packed
from .gradient import EACH, EACH_LOG2, NORTH, ROWS, ROWS_LOG2, SOUTH, WEST, lower
from .steepest import EAST, STEEPEST_LOG2

_BLOCK = 128  # words of ascents that a program writes
_CELLS = tl.constexpr(0x01010101)  # a pixel's cells in a word of planes that is shifted by its row; see `gradient`
# The product with a way, one bit for E, W, S or N, has the step along the axis, -1, 0 or 1, in its highest byte.
_IN_X, _IN_Y = tl.constexpr(0x01FF0000), tl.constexpr(0x000001FF)


def ascents(squares: Tensor, height: int) -> Tensor:
    """Compute in which direction the path of each square goes on.

    Parameters
    ----------
    squares : Tensor, shape (N, strips, W), int32
        The squares that `gradient` returns, for `height` rows of pixels.

    Returns
    -------
    Tensor, shape (N, strips, W + 1), int32
        The planes E, W, S and N of strips of squares. A square has the coordinates of its south-eastern corner; hence
        squares have one row and one column more than pixels.
    """
    n, strips, width = squares.shape
    out = torch.empty((n, height // ROWS.value + 1, width + 1), dtype=torch.int32, device=squares.device)
    programs = cdiv(out.shape[1] * out.shape[2], _BLOCK)
    if n:
        _ascents[(n * programs,)](squares, out, strips, width, out.shape[1], BLOCK=_BLOCK, num_warps=4)
    return out


@kernel(do_not_specialize=["strips", "width", "strips_out"])
def _ascents(
    squares,  # [N, strips, W] int32
    ascents,  # [N, strips_out, W + 1] int32, written
    strips,
    width,
    strips_out,
    BLOCK: tl.constexpr,
):
    """Write BLOCK words of one window. No other program writes them."""
    words = strips_out * (width + 1)
    programs = tl.cdiv(words, BLOCK)
    window = (tl.program_id(0) // programs).to(tl.int64)
    word = tl.program_id(0) % programs * BLOCK + tl.arange(0, BLOCK)
    strip, x = word // (width + 1), word % (width + 1)
    here = squares + window * strips * width + strip * width + x
    m_west, m_east = (strip < strips) & (x > 0), (strip < strips) & (x < width)
    m_above = (word < words) & (strip > 0)
    sw, se = tl.load(here - 1, mask=m_west, other=0), tl.load(here, mask=m_east, other=0)
    nw = _row_above(sw, tl.load(here - width - 1, mask=m_above & (x > 0), other=0))
    ne = _row_above(se, tl.load(here - width, mask=m_above & (x < width), other=0))
    # These are the corners of squares. A square is in the star of its highest corner only, as SE, SW, NE or NW of it,
    # and is matched in the order of `critical_edges`: SE and NE with the edge to their west, ...
    west = nw >> 24 | sw >> 8
    # ... SW and NW with the edge to their east, unless SE or NE has it; then with W, and NW only if SW has not.
    east = ne >> 16 & ~(ne >> 24) | se & ~(se >> 8)
    north = ne >> 16 & ne >> 24
    south = se & se >> 8 & ~(se >> 16 & se >> 24)
    out = east & 0xFF | (west & 0xFF) << 8 | (south & 0xFF) << 16 | north << 24
    tl.store(ascents + window * words + word, out, mask=word < words)


@triton.jit
def _row_above(word, above):
    """Return the planes of the rows above those of a word; above : the word of the strip that is above."""
    return (word << 1) & ~_CELLS | (above >> 7) & _CELLS


@triton.jit
def trace(
    values,  # [H, W] float32 or float64, read if STEEPEST
    edges,  # [most] int32
    ends,  # [most] int32 or int64, written: both extrema of an edge, packed like a link
    head,
    end,
    lane,  # [BLOCK] int32
    ways,  # [strips, W] or [strips, W + 1] int32: descents or ascents; a word for each cell if STEEPEST
    height,
    width,
    TOP: tl.constexpr,
    DIM: tl.constexpr,
    STEEPEST: tl.constexpr,
):
    """Trace the edges from head to end of one window to minima (DIM 0) or to maxima (DIM 1)."""
    for start in range(head, end, lane.shape[0]):
        i = start + lane
        edge = tl.load(edges + i, mask=i < end, other=0)
        owner, direction = edge >> (STEEPEST_LOG2 if STEEPEST else EACH_LOG2), edge & (EACH - 1)
        y, x = owner // width, owner % width
        if DIM == 0:
            y_b = y + tl.where(direction == NORTH, -1, tl.where(direction == SOUTH, 1, 0))
            x_b = x + tl.where(direction == WEST, -1, 0)
            if STEEPEST:
                x_b += (direction == EAST).to(tl.int32)
        else:
            # The squares on both sides of the edge: one to the pixel's north-west or west, the other across the edge.
            y_b, x_b = tl.where(direction == NORTH, y, y + 1), tl.where(direction == WEST, x, x + 1)
            y = tl.where(direction == SOUTH, y + 1, y)
            if STEEPEST:
                x += (direction == EAST).to(tl.int32)
        # Descending paths in V stay inside, and ascents cover the squares that are partly outside.
        leaves: tl.constexpr = DIM == 0 and TOP
        y_a, x_a, y_b, x_b = follow(y, x, y_b, x_b, i < end, ways, height + DIM, width + DIM, leaves, STEEPEST)
        a = extremum_at(y_a, x_a, height, width, TOP, DIM)
        b = extremum_at(y_b, x_b, height, width, TOP, DIM)
        if STEEPEST and DIM == 1:
            a, b = _owner(values, a, i < end, height, width), _owner(values, b, i < end, height, width)
        tl.store(ends + i, packed(a, b, ends.dtype.element_ty), mask=i < end)


@triton.jit
def extremum_at(y, x, height, width, TOP: tl.constexpr, DIM: tl.constexpr):
    """Return the flat index of the pixel where a path ends, or which owns the square where it ends; H * W outside.

    Squares count as outside only in V, where those on the edge of the window are in no star.
    """
    there = inside(y, x, height, width) if DIM == 0 else TOP | (y > 0) & (x > 0) & (y < height) & (x < width)
    return tl.where(there, y * width + x, height * width)


@triton.jit
def _owner(values, square, there, height, width):
    """Return the latest corners of squares, given by their south-eastern corners, in V; the outside stays H * W."""
    there &= square < height * width
    p = values + square
    nw, ne = tl.load(p - width - 1, mask=there, other=0.0), tl.load(p - width, mask=there, other=0.0)
    sw, se = tl.load(p - 1, mask=there, other=0.0), tl.load(p, mask=there, other=0.0)
    # Of equal corners the one with the larger index is later.
    north = tl.where(lower(nw, ne, True, False), square - width, square - width - 1)
    south = tl.where(lower(sw, se, True, False), square, square - 1)
    later = lower(tl.where(north == square - width, ne, nw), tl.where(south == square, se, sw), True, False)
    return tl.where(there, tl.where(later, south, north), square)


@triton.jit
def follow(y_a, x_a, y_b, x_b, walks, ways, height, width, LEAVES: tl.constexpr, STEEPEST: tl.constexpr):
    """Follow the paths of two cells at the same time to their ends.

    walks : the lanes that have cells. ways : [strips, width] int32, planes of a grid of height * width cells, which
    paths leave only if LEAVES; [height, width] if STEEPEST.
    """
    walks_a, walks_b = walks, walks
    while tl.max((walks_a | walks_b).to(tl.int32), 0) != 0:
        y_a, x_a, walks_a = step(y_a, x_a, walks_a, ways, height, width, LEAVES, STEEPEST)
        y_b, x_b, walks_b = step(y_b, x_b, walks_b, ways, height, width, LEAVES, STEEPEST)
    return y_a, x_a, y_b, x_b


@triton.jit
def step(y, x, walks, ways, height, width, LEAVES: tl.constexpr, STEEPEST: tl.constexpr):
    """Take a step, and return the position and whether the path may go on. All paths end outside the grid."""
    if LEAVES:
        walks &= inside(y, x, height, width)
    if STEEPEST:
        way = tl.load(ways + y * width + x, mask=walks, other=0)
    else:
        way = (tl.load(ways + (y >> ROWS_LOG2) * width + x, mask=walks, other=0) >> (y & (ROWS - 1))) & _CELLS
    return y + ((way * _IN_Y) >> 24), x + ((way * _IN_X) >> 24), way != 0


@triton.jit
def inside(y, x, height, width):
    """Return whether positions are in a grid. Negative coordinates are large as unsigned numbers."""
    return (y.to(tl.uint32) < height.to(tl.uint32)) & (x.to(tl.uint32) < width.to(tl.uint32))
