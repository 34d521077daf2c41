"""The tiles of an image, and the numbering of the places on their borders."""

from __future__ import annotations

from typing import NamedTuple

from ...runtime.jit import inlined
from ...runtime.primitives import quotient

EDGE = 256  # pixels at most, so that the memory of a tile fits into a core's cache


class Tiles(NamedTuple):
    """How an image is cut into tiles of one size. Those in the last row and in the last column may be smaller."""

    size: tuple[int, int]  # of the image, in pixels
    tile: tuple[int, int]  # size of a tile
    counts: tuple[int, int]  # tiles along each axis


class Tile(NamedTuple):
    """A tile: the position of its first pixel in the image, and its size."""

    y: int
    x: int
    height: int
    width: int


def cut(height: int, width: int) -> Tiles:
    """Cut an image into tiles of nearly the same size."""
    counts = -(-height // EDGE), -(-width // EDGE)
    tile = -(-height // counts[0]), -(-width // counts[1])
    return Tiles((height, width), tile, (-(-height // tile[0]), -(-width // tile[1])))


@inlined
def places_of(tiling):
    """Return a bound on the numbers of `place_on_border`, for the border of a tile and for the ring around it."""
    return 2 * (tiling.tile[0] + tiling.tile[1]) + 8


@inlined
def tile_of(tiling, i):
    """Return tile i, counted row by row."""
    y, x = i // tiling.counts[1] * tiling.tile[0], i % tiling.counts[1] * tiling.tile[1]
    return Tile(y, x, min(tiling.tile[0], tiling.size[0] - y), min(tiling.tile[1], tiling.size[1] - x))


@inlined
def padded_size(tile):
    """Return the number of cells of a tile's grid, with a ring around the pixels, rounded up to a multiple of 16."""
    return ((tile.height + 2) * (tile.width + 2) + 15) // 16 * 16


@inlined
def tile_at(tiling, y, x):
    """Return the number of the tile that a pixel of the image lies in."""
    return y // tiling.tile[0] * tiling.counts[1] + x // tiling.tile[1]


@inlined
def place_on_border(y, x, height, width):
    """Return the number of a place on the border of a grid of that size, below 2 (height + width)."""
    if y == 0:
        return x
    if y == height - 1:
        return width + x
    return 2 * width + (y if x == 0 else height + y)


@inlined
def row_and_column(position, width):
    """Return the row and the column of a position in a grid of that width."""
    row = quotient(position, width)
    return row, position - row * width
