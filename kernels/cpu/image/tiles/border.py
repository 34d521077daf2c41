"""The border of a tile: where walks from other tiles enter it, and which of these walks must be followed.

A walk that goes on along the border ends where the walk from the next place on the border ends. So only those that lead
inwards are followed, and the others take over their results. On a ramp, half of all steps would be along the border.
"""

from __future__ import annotations

import numpy as np

from ....cells import NE, NW, SE, SW
from ...runtime.jit import device, inlined
from ...runtime.jit import unsigned as _i
from .tiling import place_on_border, row_and_column


@device
def vertices_on_border(tile, star, steps, at, places, onward):
    """List the pixels on the border of a tile from which walks down do not go on along the border.

    star : (cells,) uint16. steps : by star, see `trace.steps_of`.
    Written: at, the positions of these pixels; places, their numbers, see `place_on_border`, on the border of the
    tile's pixels; and onward, for each place the next place on the border, or the place itself if it is listed.
    Returns how many are listed.
    """
    n, size = 0, (tile.height, tile.width)
    _begin(onward)
    for y in range(tile.height):
        step = 1 if y == 0 or y == tile.height - 1 else max(tile.width - 1, 1)
        for x in range(0, tile.width, step):
            vertex, place = (y + 1) * (tile.width + 2) + x + 1, place_on_border(y, x, *size)
            to = np.int64(vertex + steps[star[_i(vertex)]])
            row, column = row_and_column(to, tile.width + 2)
            goes_on = to != vertex and _is_on_border(row - 1, column - 1, *size)
            if goes_on:
                onward[place] = place_on_border(row - 1, column - 1, *size)
            at[n], places[n] = vertex, place
            n += not goes_on
    return n


@device
def squares_on_border(tile, star, moves, steps, at, places, onward):
    """List the squares on the border that the tile owns and from which walks up do not go on along the border.

    moves : see `gradient.lead_squares`. steps : by move. Places are on the border of the squares that have a corner in
    the tile. See `vertices_on_border` for the rest.
    """
    n, width, size = 0, tile.width + 2, (tile.height + 1, tile.width + 1)
    _begin(onward)
    for y in range(tile.height + 1):
        step = 1 if y == 0 or y == tile.height else tile.width
        for x in range(0, tile.width + 1, step):
            square, place = y * width + x, place_on_border(y, x, *size)
            to = np.int64(square + steps[moves[_i(square)]])
            row, column = row_and_column(to, width)
            goes_on = to != square and _is_on_border(row, column, *size) and _owned(to, star, width)
            if goes_on:
                onward[place] = place_on_border(row, column, *size)
            at[n], places[n] = square, place
            n += not goes_on and _owned(square, star, width)
    return n


@inlined
def _begin(onward):
    for place in range(onward.size):
        onward[place] = place


@inlined
def _is_on_border(y, x, height, width):
    inside = (0 <= y < height) & (0 <= x < width)
    return inside & ((y == 0) | (y == height - 1) | (x == 0) | (x == width - 1))


@inlined
def _owned(square, star, width):
    """Return whether the star of a corner of a square contains it."""
    north = (star[_i(square)] & SE) | (star[_i(square + 1)] & SW)
    south = (star[_i(square + width)] & NE) | (star[_i(square + width + 1)] & NW)
    return (north | south) != 0


@device
def name_along_border(border, onward):
    """Give each place the name at the place where its walk leaves the border; onward is overwritten."""
    for place in range(onward.size):
        end = np.int64(place)
        while onward[end] != end:
            end = np.int64(onward[end])
        at = np.int64(place)
        while onward[at] != end:  # so that no way is taken twice
            to = np.int64(onward[at])
            onward[at] = end
            at = to
        border[place] = border[end]
