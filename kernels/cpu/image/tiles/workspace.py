"""The memory that a thread needs for a tile."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...records import MergeTree
from ...runtime.jit import allocating
from ...runtime.sort import radix_buckets
from ..emit import Sorting
from ..trace import CriticalCells
from .tile import Classes
from .tiling import padded_size, places_of, tile_of

Array = NDArray[Any]


class TileWorkspace(NamedTuple):
    """Memory for the stages of one tile, as in `ImageWorkspace`, and for what is found for one kind of extremum."""

    key: Array
    star: Array
    critical: Array
    cells: CriticalCells
    ends: Array
    walking: Array
    known: Array
    order: Array
    renumbered: Array
    tree: MergeTree  # only `partner`
    sorting: Sorting
    classes: Classes
    places: Array  # (places,) int32: where walks enter from other tiles, see `place_on_border`
    onward: Array  # (places,) int32: where walks along the border go on, see `border`
    codes: Array  # (cells,) int64, see `codes`
    extrema: Array  # (cells,) int64: pixels of the live classes
    saddles: Array  # (3, cells) int64: of saddles that are left, the owner's pixel, and the younger and the elder class


@allocating
def allocate_workspace(tiling, values):
    """Return a workspace for the tiles of an image; values : an array of the keys' dtype."""
    cells, places = padded_size(tile_of(tiling, 0)), places_of(tiling)
    numbers, walks = np.empty((11, cells), np.int32), np.empty((2, 2 * cells + places), np.int32)
    keys = np.empty((2, cells), values.dtype)
    most = cells + places + 1
    classes, of_place = np.empty((4, most), np.int32), np.empty((3, places), np.int32)
    lists = np.empty((5, most), np.int64)
    return TileWorkspace(
        np.empty(cells, values.dtype),
        np.zeros(cells, np.uint16),
        np.zeros(cells, np.uint16),
        CriticalCells(numbers[0], numbers[1:3], numbers[3]),
        walks[0],
        walks[1],
        numbers[4],
        numbers[5],
        numbers[6],
        MergeTree(numbers[7], numbers[7], numbers[7]),
        Sorting(keys[0], keys[1], numbers[8], numbers[9], radix_buckets(), lists[0]),
        Classes(
            np.empty(most, values.dtype),
            classes[0],
            np.empty(most, np.uint8),
            np.empty(most, np.int64),
            classes[1],
            classes[2],
            numbers[10],
            of_place[0],
        ),
        of_place[1],
        of_place[2],
        lists[0],
        lists[1],
        lists[2:],
    )
