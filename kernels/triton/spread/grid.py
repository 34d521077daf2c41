"""The grid of a window: its values inside a frame, the order of its pixels in both directions, and their neighbours.

A *node* is a pixel in one of two trees: `side` 0 is for lowering pixels, in the order of the filtration, and `side` 1
for raising them, in the opposite order. The node of pixel p is side * (pixels + 1) + p, where p = `pixels` stands for
the outside. Of two pixels, the one that comes first in the order of a side is *beyond* the other. Directions are
numbered clockwise from the north, so that those along an axis are even.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import triton
import triton.language as tl

from ..tree import before
from ..windows import corner_of


class Grid(NamedTuple):
    """A window in its frame."""

    filtration: Any  # [height * width] float32 or float64
    height: Any
    width: Any
    pixels: Any
    turn: Any  # 1 or -1: pixels come by value, and then by position times this


@triton.jit
def copy_window(
    own, other, heights, slopes, out, window, lane, frame, rows, columns, image_rows, image_columns, stride_y, stride_x,
):  # fmt: skip
    """Copy a window of one image, plus its height, into its frame at the minimum of both images' windows.

    The values are those of `windows.copy_windows`, which copies the windows of all images, in two launches.
    """
    corner = corner_of(window, 1, rows, columns, 1, image_rows, image_columns, 1, stride_y, stride_x)
    lowest = tl.full(lane.shape, float("inf"), out.dtype.element_ty)
    width, height = columns + 2 * frame, rows + 2 * frame
    slope_y = tl.load(heights, mask=slopes > 0, other=0.0)
    slope_x = tl.load(heights + 1, mask=slopes > 0, other=0.0)
    for start in range(0, rows * columns, lane.shape[0]):
        i = start + lane
        there = i < rows * columns
        y, x = i // columns, i % columns
        place = corner + y.to(tl.int64) * image_columns + x
        value = tl.load(own + place, mask=there, other=float("inf"))
        value_other = tl.load(other + place, mask=there, other=float("inf"))
        if slopes != 0:
            up = tl.load(heights + i, mask=there & (slopes < 0), other=0.0)
            sloped = slope_y * _from_centre(y, rows, out) + slope_x * _from_centre(x, columns, out)
            up = tl.where(slopes < 0, up, sloped)
            value += up
            value_other += up
        tl.store(out + (y + frame) * width + x + frame, value, mask=there)
        lowest = tl.where(value < lowest, value, lowest)
        lowest = tl.where(value_other < lowest, value_other, lowest)
    least = tl.min(lowest, 0)
    if frame > 0:
        for start in range(0, height * width, lane.shape[0]):
            i = start + lane
            y, x = i // width, i % width
            inside = (y >= frame) & (y < height - frame) & (x >= frame) & (x < width - frame)
            tl.store(out + i, least, mask=(i < height * width) & (inside == 0))
    return least


@triton.jit
def _from_centre(i, size, x):
    return i.to(x.dtype.element_ty) - (size - 1).to(x.dtype.element_ty) / 2


@triton.jit
def side_of(node, pixels):
    """Return the sides of nodes."""
    return (node > pixels).to(tl.int32)


@triton.jit
def mirror_of(side):
    """Return the factor by which the order of a side multiplies both values and `turn`."""
    return 1 - 2 * side


@triton.jit
def connects_all(side, grid):
    """Return whether diagonal neighbours connect in the order of a side: they do on side 0 in T, and on side 1 in V."""
    return (side == 0) == (grid.turn < 0)


@triton.jit
def value_at(grid, pixel, there):
    """Load the values of pixels; +inf for the outside."""
    return tl.load(grid.filtration + pixel, mask=there & (pixel < grid.pixels), other=float("inf"))


@triton.jit
def is_beyond(value_a, a, value_b, b, mirror, grid):
    """Return whether pixels a are beyond pixels b, in the order of the side with that mirror.

    The outside is beyond all pixels in the order of side 1, and occurs in no other.
    """
    a_first = before(value_a * mirror, a, value_b * mirror, b, grid.turn * mirror)
    return (b != grid.pixels) & ((a == grid.pixels) | a_first)


@triton.jit
def neighbour(pixel, direction, grid):
    """Return the neighbours of pixels in a direction; `pixels`, which is the outside, beyond the edge of the window."""
    direction = direction & 7
    dy = tl.where((direction == 7) | (direction < 2), -1, tl.where((direction > 2) & (direction < 6), 1, 0))
    dx = tl.where(direction > 4, -1, tl.where((direction > 0) & (direction < 4), 1, 0))
    y, x = pixel // grid.width + dy, pixel % grid.width + dx
    inside = (y >= 0) & (y < grid.height) & (x >= 0) & (x < grid.width) & (pixel < grid.pixels)
    return tl.where(inside, y * grid.width + x, grid.pixels)


@triton.jit
def neighbours(pixel, there, grid):
    """Return the neighbours of pixels in all directions, and their values."""
    beside, values = (), ()
    for direction in tl.static_range(8):
        a = neighbour(pixel, direction, grid)
        beside += (a,)
        values += (value_at(grid, a, there),)
    return beside, values


@triton.jit
def beyond_beside(pixel, mirror, there, grid):
    """Return the directions of the neighbours beyond pixels, one bit for each."""
    value = value_at(grid, pixel, there)
    beyond = tl.zeros_like(pixel)
    for direction in range(8):
        a = neighbour(pixel, direction, grid)
        is_a = there & is_beyond(value_at(grid, a, there), a, value, pixel, mirror, grid)
        is_a &= (a != grid.pixels) | (mirror < 0)  # side 0 has no outside
        beyond |= tl.where(is_a, 1 << direction, 0)
    return beyond
