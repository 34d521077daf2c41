"""Trace: the extrema where the gradient leads from a critical edge or square.

As for images, but `merge` follows two paths at a time, by one voxel or cube per step. A position is a triple of
coordinates (z, y, x); that of a cube is its corner of least index. Stars outside the window are empty. The gradient
is that of stars, int32, or of words, int64; see `words`.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .bits import ABOVE, BELOW, BITS_OF_EDGES, EAST, NORTH, SOUTH, VERTEX, WEST
from .words import first_edge_bit, matched_along

_EDGE_BITS = tl.constexpr(sum(bit << 5 * i for i, bit in enumerate(BITS_OF_EDGES)))  # five bits for each of the six


@triton.jit
def edge_bit(direction):
    """Return the bits of edges from their directions, numbers among the six."""
    return (_EDGE_BITS >> (5 * direction)) & 31


@triton.jit
def square_bit(direction):
    """Return the bits of squares from their directions, numbers among the twelve."""
    return 2 * direction + tl.where(direction < 6, 1, 3)


@triton.jit
def parts_of(bit):
    """Return the steps of a cell's bit in z, y and x, each -1, 0 or 1."""
    return bit // 9 - 1, bit // 3 % 3 - 1, bit % 3 - 1


@triton.jit
def star_of(star, z, y, x, there, depth, height, width):
    """Load stars of a window; 0 outside and in lanes that are not `there`."""
    there &= _within(z, depth) & _within(y, height) & _within(x, width)
    return tl.load(star + (z * height + y) * width + x, mask=there, other=0)


@triton.jit
def _within(i, size):
    return i.to(tl.uint32) < size.to(tl.uint32)  # negative numbers are large as unsigned ones


@triton.jit
def minima_below(z_a, y_a, x_a, z_b, y_b, x_b, walks, star, depth, height, width):
    """Follow two paths down, from each vertex to the other end of the edge that it is matched with.

    walks : the lanes that have vertices. star : [D, H, W] int32 or int64.
    Returns the flat indices of the minima, D * H * W for the outside.
    """
    walks_a, walks_b = walks, walks
    while tl.max((walks_a | walks_b).to(tl.int32), 0) != 0:
        z_a, y_a, x_a, walks_a = step_down(z_a, y_a, x_a, walks_a, star, depth, height, width)
        z_b, y_b, x_b, walks_b = step_down(z_b, y_b, x_b, walks_b, star, depth, height, width)
    return _index(z_a, y_a, x_a, depth, height, width), _index(z_b, y_b, x_b, depth, height, width)


@triton.jit
def step_down(z, y, x, walks, star, depth, height, width):
    """Take a step, and return the position and whether the path may go on."""
    cells = star_of(star, z, y, x, walks, depth, height, width)
    if cells.dtype == tl.int64:
        bit = first_edge_bit(cells)
        walks = bit != 0
        dz, dy, dx = parts_of(tl.where(walks, bit, VERTEX))
    else:
        east, west = (cells >> EAST) & 1, (cells >> WEST) & 1
        south, north = (cells >> SOUTH) & 1, (cells >> NORTH) & 1
        above, below = (cells >> ABOVE) & 1, (cells >> BELOW) & 1
        along_x, along_y = east | west, south | north
        dx = tl.where(east != 0, 1, -west)
        dy = tl.where(along_x != 0, 0, tl.where(south != 0, 1, -north))
        dz = tl.where((along_x | along_y) != 0, 0, tl.where(above != 0, 1, -below))
        walks = (along_x | along_y | above | below) != 0
    return z + dz, y + dy, x + dx, walks


@triton.jit
def _index(z, y, x, depth, height, width):
    """Return flat indices; D * H * W outside."""
    inside = _within(z, depth) & _within(y, height) & _within(x, width)
    return tl.where(inside, (z * height + y) * width + x, depth * height * width)


@triton.jit
def maxima_above(z_a, y_a, x_a, z_b, y_b, x_b, walks, star, depth, height, width):
    """Follow two paths up, from each cube across the square that it is matched with.

    walks : the lanes that have cubes. star : [D, H, W] int32 or int64.
    Returns the flat indices of the owners of the maxima, D * H * W for the outside.
    """
    walks_a, walks_b = walks, walks
    while tl.max((walks_a | walks_b).to(tl.int32), 0) != 0:
        z_a, y_a, x_a, walks_a = _up(z_a, y_a, x_a, walks_a, star, depth, height, width)
        z_b, y_b, x_b, walks_b = _up(z_b, y_b, x_b, walks_b, star, depth, height, width)
    return _owner(z_a, y_a, x_a, star, depth, height, width), _owner(z_b, y_b, x_b, star, depth, height, width)


@triton.jit
def _up(z, y, x, walks, star, depth, height, width):
    """Take a step, and return the position and whether the path may go on."""
    # A cube is in the star of its latest corner only, in the direction that leads from there to the opposite corner.
    cells = tl.zeros_like(z)
    side_z, side_y, side_x = cells, cells, cells
    for corner in tl.static_range(8):
        dz, dy, dx = corner // 4, corner // 2 % 2, corner % 2
        at = star_of(star, z + dz, y + dy, x + dx, walks, depth, height, width)
        owns = ((at >> (26 - 18 * dz - 6 * dy - 2 * dx)) & 1) != 0
        cells = tl.where(owns, at, cells)
        side_z, side_y, side_x = tl.where(owns, dz, side_z), tl.where(owns, dy, side_y), tl.where(owns, dx, side_x)
    if cells.dtype == tl.int64:
        # The path crosses the square that the cube is matched with, against the direction of the matching.
        bit = matched_along(cells, 26 - 18 * side_z - 6 * side_y - 2 * side_x)
        dz, dy, dx = parts_of(tl.where(bit != 0, 2 * VERTEX - bit, VERTEX))
    else:
        # In the order of `critical_cells`, a cube to the east of the vertex is matched with the square to its west, and
        # one to the west with the square to its east, if there is no cube beyond. Of those left, both west, one to the
        # south is matched with the square to its north, and so on. The layer below or above the vertex that has the
        # cube:
        layer = tl.where(side_z == 0, cells >> 18, cells)
        beyond_x = (tl.where(side_y == 0, layer >> 8, layer >> 2) & 1) != 0
        beyond_y = (layer & 0x140) == 0x140
        beyond_z = (cells & 0x5140000) == 0x5140000
        walks = cells != 0
        east, south, above = walks & (side_x == 0), side_y == 0, side_z == 0
        dx = tl.where(east, -1, tl.where(walks & (beyond_x == 0), 1, 0))
        on = walks & (dx == 0)
        dy = tl.where(on & south, -1, tl.where(on & (beyond_y == 0), 1, 0))
        on &= dy == 0
        dz = tl.where(on & above, -1, tl.where(on & (beyond_z == 0), 1, 0))
    return z + dz, y + dy, x + dx, (dx | dy | dz) != 0


@triton.jit
def _owner(z, y, x, star, depth, height, width):
    """Return the flat indices of the owners of maxima; D * H * W where a path has ended outside."""
    outside = depth * height * width
    if star.dtype.element_ty == tl.int64:
        # Any cube of a star can be a maximum, so its owner may be any of its corners.
        owner = tl.zeros_like(z) + outside
        for corner in tl.static_range(8):
            dz, dy, dx = corner // 4, corner // 2 % 2, corner % 2
            at = star_of(star, z + dz, y + dy, x + dx, z >= -1, depth, height, width)
            owns = ((at >> (26 - 18 * dz - 6 * dy - 2 * dx)) & 1) != 0
            owner = tl.where(owns, ((z + dz) * height + y + dy) * width + x + dx, owner)
    else:
        z += 1
        y += 1
        x += 1
        maximum = (star_of(star, z, y, x, z >= 0, depth, height, width) & 1) != 0
        owner = tl.where(maximum, (z * height + y) * width + x, outside)
    return owner
