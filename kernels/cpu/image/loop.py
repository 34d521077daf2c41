"""Loop: the boundary of a region of an image, followed along the sides of its pixels.

A state of the walk is a pixel r of the region and the number of a direction, 0 to 3 for north, east, south and west, in
which its neighbour p is outside. The walk goes around the region clockwise, with the region on its right, and lists the
pixels outside: those that share a side with the region, and, if the region connects at corners, those that share a
corner. All of these come after every pixel of the region, so a comparison with the limit tells them apart, whatever
other regions are near. The region need not be filled, except where it has a hole on the way.
"""

from __future__ import annotations

import numpy as np

from ..region import comes_before, fill, touches
from ..runtime.jit import inlined
from ..runtime.jit import unsigned as _i

_NORTH, _WEST = 0, 3


def room_for_loop(cells: int) -> int:
    """Return how many pixels `append_loop` may write, for a grid of so many cells.

    A walk writes at most two pixels for each side, of which the grid has two per cell. Then the list may be turned.
    """
    return 8 * cells


@inlined
def append_loop(grid, seed, limit, number, pixels, used, halt):
    """Append the loop around the region of a seed, as pixels in the order of the walk, after the first `used`.

    The limit, which is the birth pixel, comes first. If the boundary through it is that of a hole of the region, the
    outer boundary follows. Returns the new `used`, or the old one if the region does not touch the limit, and how many
    numbers of runs were used; see `fill`.
    """
    begin, cell, direction, at_corner, n = used, np.int64(seed), _WEST, False, np.int64(0)
    if not comes_before(grid.key, cell, limit):
        return begin, n
    while comes_before(grid.key, cell - 1, limit):
        cell -= 1
    while True:
        used, turns = _walk(grid, cell, direction, limit, at_corner, pixels, used)
        if n == 0:
            if turns > 0 and _turn_list(pixels, begin, used, grid.pixel[_i(limit.cell)]):
                return used, n
            # There is a hole west of the seed or at the limit.
            used = begin
            n = fill(grid, seed, limit, number, halt)
            if n == 0 or not touches(grid, limit.cell, number):
                return begin, n
            cell, direction, at_corner = _beside(grid, limit.cell, number)
        elif turns > 0:
            return used, n
        else:
            # That was the boundary of a hole. North of the first pixel of the region, there is no other.
            cell, direction, at_corner = np.int64(grid.runs[0, 0]), _NORTH, False
            for i in range(n):
                cell = min(cell, np.int64(grid.runs[0, _i(i)]))


@inlined
def _turn_list(pixels, begin, end, first):
    """Turn a part of a list so that it begins with a pixel; return False if it does not have the pixel."""
    place = begin
    while place < end and pixels[_i(place)] != first:
        place += 1
    if place < end:
        for i in range(begin, place):
            pixels[_i(end + i - begin)] = pixels[_i(i)]
        for i in range(begin, end):
            pixels[_i(i)] = pixels[_i(i + place - begin)]
    return place < end


@inlined
def _beside(grid, birth, number):
    """Return a state of the walk at the birth pixel: a pixel, a direction, and whether they share only a corner.

    In the state at a corner, the birth pixel is the next pixel.
    """
    for direction in range(4):
        cell = birth - _step(direction, grid.width)
        if grid.stamp[_i(cell)] >= number:
            return np.int64(cell), direction, False
    for direction in range(4):
        cell = birth - _step(direction, grid.width) - _step(direction + 1, grid.width)
        if grid.stamp[_i(cell)] >= number:
            return np.int64(cell), direction, True
    return np.int64(birth), 0, True  # not reached: the birth pixel touches the region


@inlined
def _step(direction, width):
    """Return the offset of the neighbour in a direction, counted from 0 again after 3."""
    sign = 1 if (direction + 1) & 2 else -1
    return sign * (1 if direction & 1 else width)


@inlined
def _walk(grid, cell, direction, limit, at_corner, pixels, used):
    """Append the pixels of one closed walk from a state on.

    at_corner : whether the walk begins with the pixel after the outside neighbour, and ends with that neighbour.
    Returns the new `used`, and the number of right turns minus that of left turns: 4 for an outer boundary, -4 for that
    of a hole.
    """
    key, pixel, is_full, begin, turns = grid.key, grid.pixel, grid.turn < 0, used, 0
    outside, along = cell + _step(direction, grid.width), _step(direction + 1, grid.width)
    first_cell, first_outside = cell, outside
    if not at_corner:
        pixels[_i(used)] = pixel[_i(outside)]
        used += 1
    while True:
        ahead, beyond = cell + along, outside + along
        goes_on = comes_before(key, ahead, limit)
        goes_left = comes_before(key, beyond, limit) & (goes_on | is_full)
        goes_straight, goes_right = goes_on & (not goes_left), (not goes_on) & (not goes_left)
        # Which way the boundary goes is hard to predict, so all pixels are written, and kept by adding a bit.
        pixels[_i(used)] = pixel[_i(beyond)]
        used += goes_straight | (goes_right & is_full)
        pixels[_i(used)] = pixel[_i(ahead)]
        used += goes_right
        left = outside - cell  # the step in the direction of the outside neighbour
        along = left if goes_left else along if goes_on else -left
        cell, outside = (
            beyond if goes_left else ahead if goes_on else cell,
            outside if goes_left else beyond if goes_on else ahead,
        )
        turns += np.int64(goes_right) - np.int64(goes_left)
        if (cell == first_cell) & (outside == first_outside):
            break
    if used - begin > 1 and pixels[_i(used - 1)] == pixels[_i(begin)]:
        used -= 1
    return used, turns
