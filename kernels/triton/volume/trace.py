"""Trace in 3D: the extrema where the gradient leads from a critical edge or square.

As in 2D, see `trace`: called by `merge3`, two walkers at a time, a voxel or a cube a step. A walker is a triple of
coordinates (z, y, x), those of a cube its corner of least index. Beyond the window there is nothing in any star.
"""

from __future__ import annotations

import triton
import triton.language as tl

# Bits of the directions to the neighbours, see `cells`.
_BELOW, _NORTH, _WEST, _EAST, _SOUTH, _ABOVE = (tl.constexpr(bit) for bit in (4, 10, 12, 14, 16, 22))
_EDGE_BITS = tl.constexpr(sum(bit << 5 * i for i, bit in enumerate((4, 10, 12, 14, 16, 22))))


@triton.jit
def edge_bit(direction):
    """The bit of the edge whose place is `direction` among the six."""
    return (_EDGE_BITS >> (5 * direction)) & 31


@triton.jit
def square_bit(direction):
    """The bit of the square whose place is `direction` among the twelve."""
    return 2 * direction + tl.where(direction < 6, 1, 3)


@triton.jit
def parts_of(bit):
    """The parts of a direction, -1, 0 or 1 each, in z, y and x."""
    return bit // 9 - 1, bit // 3 % 3 - 1, bit % 3 - 1


@triton.jit
def star_of(star, z, y, x, there, depth, height, width):
    """Load stars of a window; 0 where there is nobody and outside."""
    there &= _within(z, depth) & _within(y, height) & _within(x, width)
    return tl.load(star + (z * height + y) * width + x, mask=there, other=0)


@triton.jit
def _within(i, size):
    return i.to(tl.uint32) < size.to(tl.uint32)  # as unsigned numbers, negative ones are larger than all


@triton.jit
def minima_below(z_a, y_a, x_a, z_b, y_b, x_b, walks, star, depth, height, width):
    """Follow two vertices down, each to the other end of the edge that it is matched with.

    walks : the lanes that have vertices. star : [D, H, W] int32.
    Returns the flat indices of the minima, D * H * W for the ring.
    """
    walks_a, walks_b = walks, walks
    while tl.max((walks_a | walks_b).to(tl.int32), 0) != 0:
        z_a, y_a, x_a, walks_a = _down(z_a, y_a, x_a, walks_a, star, depth, height, width)
        z_b, y_b, x_b, walks_b = _down(z_b, y_b, x_b, walks_b, star, depth, height, width)
    return _index(z_a, y_a, x_a, depth, height, width), _index(z_b, y_b, x_b, depth, height, width)


@triton.jit
def _down(z, y, x, walks, star, depth, height, width):
    """Take a step; returns also who may have more to take."""
    cells = star_of(star, z, y, x, walks, depth, height, width)
    east, west = (cells >> _EAST) & 1, (cells >> _WEST) & 1
    south, north = (cells >> _SOUTH) & 1, (cells >> _NORTH) & 1
    above, below = (cells >> _ABOVE) & 1, (cells >> _BELOW) & 1
    along_x, along_y = east | west, south | north
    dx = tl.where(east != 0, 1, -west)
    dy = tl.where(along_x != 0, 0, tl.where(south != 0, 1, -north))
    dz = tl.where((along_x | along_y) != 0, 0, tl.where(above != 0, 1, -below))
    return z + dz, y + dy, x + dx, (along_x | along_y | above | below) != 0


@triton.jit
def _index(z, y, x, depth, height, width):
    inside = _within(z, depth) & _within(y, height) & _within(x, width)
    return tl.where(inside, (z * height + y) * width + x, depth * height * width)


@triton.jit
def maxima_above(z_a, y_a, x_a, z_b, y_b, x_b, walks, star, depth, height, width):
    """Follow two cubes up, each across the square that it is matched with.

    walks : the lanes that have cubes. star : [D, H, W] int32.
    Returns the flat indices of the owners of the maxima, D * H * W for the outside.
    """
    walks_a, walks_b = walks, walks
    while tl.max((walks_a | walks_b).to(tl.int32), 0) != 0:
        z_a, y_a, x_a, walks_a = _up(z_a, y_a, x_a, walks_a, star, depth, height, width)
        z_b, y_b, x_b, walks_b = _up(z_b, y_b, x_b, walks_b, star, depth, height, width)
    return _owner(z_a, y_a, x_a, star, depth, height, width), _owner(z_b, y_b, x_b, star, depth, height, width)


@triton.jit
def _up(z, y, x, walks, star, depth, height, width):
    """Take a step; returns also who may have more to take."""
    # A cube is in the star of its latest corner only, in the direction that leads from there to the opposite corner.
    cells = tl.zeros_like(z)
    side_z, side_y, side_x = cells, cells, cells
    for corner in tl.static_range(8):
        dz, dy, dx = corner // 4, corner // 2 % 2, corner % 2
        at = star_of(star, z + dz, y + dy, x + dx, walks, depth, height, width)
        owns = ((at >> (26 - 18 * dz - 6 * dy - 2 * dx)) & 1) != 0
        cells = tl.where(owns, at, cells)
        side_z, side_y, side_x = tl.where(owns, dz, side_z), tl.where(owns, dy, side_y), tl.where(owns, dx, side_x)
    # With which square a cube is matched, of the order of `gradient3`: one to the east of the vertex with the square to
    # its west; one to the west with the square to its east, if nobody is beyond. Of those left, both west, one to the
    # south with the square to its north; and so on. The layer below or above the vertex that the cube is in:
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
    z += 1
    y += 1
    x += 1
    maximum = (star_of(star, z, y, x, z >= 0, depth, height, width) & 1) != 0
    return tl.where(maximum, (z * height + y) * width + x, depth * height * width)
