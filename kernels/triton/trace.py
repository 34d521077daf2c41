"""Trace: the extrema where the gradient leads from a critical edge.

These functions are called by `merge`, which uses an extremum as soon as a walk has found it. Walks are short, because
most of what they pass is smooth: 15 steps or so on maps of roads. One that has to follow a valley through the whole
window takes a step a pixel, without harm but for the time.

A walker is a pair of coordinates (y, x). Beyond the window there is nothing in any star. The two walkers of an edge go
at the same time.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .gradient import ROWS, ROWS_LOG2

# A pixel's cells in the words of planes, shifted by its row; see `gradient`.
_E, _W, _S = (tl.constexpr(1 << bit) for bit in (0, 8, 16))
_NW, _NE, _SW, _SE = (tl.constexpr(1 << bit) for bit in (0, 8, 16, 24))
_CELLS = tl.constexpr(0x01010101)


@triton.jit
def cells_of(planes, y, x, there, height, width):
    """Load the edges or squares of stars from the planes of a window; 0 where there is nobody and outside."""
    there &= _inside(y, x, height, width)
    word = tl.load(planes + (y >> ROWS_LOG2) * width + x, mask=there, other=0)
    return (word >> (y & (ROWS - 1))) & _CELLS


@triton.jit
def _inside(y, x, height, width):
    # As unsigned numbers, negative ones are larger than all.
    return (y.to(tl.uint32) < height.to(tl.uint32)) & (x.to(tl.uint32) < width.to(tl.uint32))


@triton.jit
def minima_below(y_a, x_a, y_b, x_b, walks, edges, height, width):
    """Follow two vertices down, each to the other end of the edge that it is matched with.

    walks : the lanes that have vertices. edges : [strips, W] int32.
    Returns the flat indices of the minima, H * W for the ring.
    """
    walks_a, walks_b = walks, walks
    while tl.max((walks_a | walks_b).to(tl.int32), 0) != 0:
        y_a, x_a, walks_a = _down(y_a, x_a, walks_a, edges, height, width)
        y_b, x_b, walks_b = _down(y_b, x_b, walks_b, edges, height, width)
    return _index(y_a, x_a, height, width), _index(y_b, x_b, height, width)


@triton.jit
def _down(y, x, walks, edges, height, width):
    """Take a step; returns also who may have more to take."""
    cells = cells_of(edges, y, x, walks, height, width)
    east, west, south = (cells & _E) != 0, (cells & _W) != 0, (cells & _S) != 0
    dx = tl.where(east, 1, tl.where(west, -1, 0))
    dy = tl.where(east | west, 0, tl.where(south, 1, tl.where(cells != 0, -1, 0)))
    return y + dy, x + dx, cells != 0


@triton.jit
def _index(y, x, height, width):
    return tl.where(_inside(y, x, height, width), y * width + x, height * width)


@triton.jit
def maxima_above(y_a, x_a, y_b, x_b, walks, squares, height, width):
    """Follow two squares up, each across the edge that it is matched with.

    A square has the coordinates of its north-western corner. walks : the lanes that have squares.
    squares : [strips, W] int32. Returns the flat indices of the owners of the maxima, H * W for the outside.
    """
    walks_a, walks_b = walks, walks
    while tl.max((walks_a | walks_b).to(tl.int32), 0) != 0:
        y_a, x_a, walks_a = _up(y_a, x_a, walks_a, squares, height, width)
        y_b, x_b, walks_b = _up(y_b, x_b, walks_b, squares, height, width)
    return _owner(y_a, x_a, squares, height, width), _owner(y_b, x_b, squares, height, width)


@triton.jit
def _up(y, x, walks, squares, height, width):
    """Take a step; returns also who may have more to take."""
    # A square is in the star of its highest corner only, as the SE, SW, NE or NW of it.
    nw = cells_of(squares, y, x, walks, height, width)
    ne = cells_of(squares, y, x + 1, walks, height, width)
    sw = cells_of(squares, y + 1, x, walks, height, width)
    se = cells_of(squares, y + 1, x + 1, walks, height, width)
    # As `critical_edges` has it: SE and NE are matched with the edge to their west, ...
    west = ((nw & _SE) | (sw & _NE)) != 0
    # ... SW and NW with the one to their east, unless SE or NE has it; then with W, and NW only if SW has not.
    east = ((ne & (_SW | _SE)) == _SW) | ((se & (_NW | _NE)) == _NW)
    north = (ne & (_SW | _SE)) == (_SW | _SE)
    south = ((se & (_NW | _NE)) == (_NW | _NE)) & ((se & (_SW | _SE)) != (_SW | _SE))
    x += tl.where(east, 1, tl.where(west, -1, 0))
    y += tl.where(south, 1, tl.where(north, -1, 0))
    return y, x, east | west | north | south


@triton.jit
def _owner(y, x, squares, height, width):
    y += 1
    x += 1
    maximum = (cells_of(squares, y, x, y >= 0, height, width) & _NW) != 0
    return tl.where(maximum, y * width + x, height * width)
