"""One tile: the pairs that it determines by itself, and what it leaves to `join`.

A tile has the gradient of its own pixels, which depends on these pixels and those around the tile. A walk along the
gradient that leaves the tile enters an open class, whose extremum is not known here. Walks from other tiles enter this
one across its border, so the class of every extremum to which the border leads is open, too. If a saddle joins two
classes and the younger one is not open, the saddle and the extremum of the younger class are a pair of the whole image.
Otherwise the saddle is left to `join`, and the united class is open. `kernels/README.md` says why this is exact.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ....cells import NW
from ...merge import find
from ...order import order_key
from ...runtime.jit import device, inlined
from ...runtime.jit import unsigned as _i
from ...runtime.primitives import halted
from .tiling import place_on_border, places_of, row_and_column, tile_at, tile_of

Array = NDArray[Any]

OUTSIDE = -1  # the name of the class outside the image
LEFT = -2  # the partner of a saddle that is left to `join`
GHOST = -2  # names from here down, GHOST - i: of classes in other tiles, known by entry i of the list of all borders


class Classes(NamedTuple):
    """The classes of extrema in a tile: first that of the outside, then the tile's own, then those in other tiles.

    Positions are in the tile's grid. The extremum of a class in another tile is not known here. The key and the
    position of the first cell of the walk there stand for it; the extremum is this cell or an older one.
    """

    key: Array  # (n,) order keys
    position: Array  # (n,) int32
    is_open: Array  # (n,) uint8
    name: Array  # (n,) int64, for `join`: the number among the tile's live classes, OUTSIDE, or GHOST and below
    elder_of: Array  # (n,) int32
    saddle_of: Array  # (n,) int32: the saddle that ends the class, or -1
    of_extremum: Array  # (cells,) int32, by position
    of_place: Array  # (places,) int32, by place around the tile: 0 where no walk has left it


@inlined
def load_keys(image, bits, tile, top, key):
    """Write the order keys of a tile and of the pixels around it, and return whether one of them is a NaN.

    image : (H, W); bits : the same memory as integers. key : (height + 2, width + 2) of the tile, written.
    Outside the image, keys are below those of all pixels (T) or above them (V).
    """
    most = key.dtype.type(np.iinfo(key.dtype).max)
    mirror, ring = key.dtype.type(-1 if top else 0), ~most if top else most
    first, last = max(tile.x - 1, 0), min(tile.x + tile.width + 1, image.shape[1])
    nan = False
    for y in range(tile.height + 2):
        row, inside = key[y], tile.y - 1 + y
        row[0] = row[tile.width + 1] = ring
        if not 0 <= inside < image.shape[0]:
            row[:] = ring
            continue
        values, source, target = image[inside, first:last], bits[inside, first:last], row[first - tile.x + 1 :]
        for x in range(values.size):
            nan |= values[x] != values[x]
        for x in range(values.size):
            target[x] = order_key(source[x], most, mirror)
    return nan


@device
def begin_classes(classes, extrema, key, outside_key):
    """Write the class outside and those of a tile's own extrema, and return the number of all.

    extrema : (n,) positions of minima, or of the owners of maxima. outside_key : the key of the class outside.
    """
    classes.key[0], classes.position[0], classes.name[0] = outside_key, 0, OUTSIDE
    classes.is_open[0] = 1
    for i in range(extrema.size):
        position = extrema[i]
        classes.key[i + 1], classes.position[i + 1], classes.is_open[i + 1] = key[_i(position)], position, 0
        classes.of_extremum[_i(position)] = i + 1
    classes.of_place[:] = 0
    return extrema.size + 1


@device
def classes_below(at, n, star, classes, key, where):
    """Replace the vertices where walks down have ended by the numbers of their classes.

    at : (w,) int32, the vertices, replaced. n : the number of classes so far. where : (tiling, tile).
    Returns the new number of classes.
    """
    for w in range(at.size):
        v = np.int64(at[w])
        if star[_i(v)] != 0:
            at[w] = classes.of_extremum[_i(v)]
        else:
            n, at[w] = _class_elsewhere(v, v, n, classes, key, where, False)
    return n


@device
def classes_above(at, n, star, classes, key, where):
    """Replace the squares where walks up have ended by the numbers of their classes; see `classes_below`."""
    width = where[1].width + 2
    for w in range(at.size):
        square = np.int64(at[w])
        owner = square + width + 1
        if star[_i(owner)] & NW:
            at[w] = classes.of_extremum[_i(owner)]
            continue
        owner = square
        for corner in (square + 1, square + width, square + width + 1):
            owner = corner if key[_i(corner)] >= key[_i(owner)] else owner
        n, at[w] = _class_elsewhere(square, owner, n, classes, key, where, True)
    return n


@device
def _class_elsewhere(cell, owner, n, classes, key, where, is_square):
    """Return the new number of classes, and the number of the class that a walk enters when it leaves the tile.

    cell : the position of the first vertex or square outside; owner : its vertex of the greatest key. n : the number of
    classes so far; it grows by one if no walk has left the tile through this cell before.
    """
    tiling, tile = where
    width = tile.width + 2
    row, column = row_and_column(owner, width)
    y, x = tile.y - 1 + row, tile.x - 1 + column
    if not (0 <= y < tiling.size[0] and 0 <= x < tiling.size[1]):
        return n, 0
    row, column = row_and_column(cell, width)
    less = 1 if is_square else 0
    place = _i(place_on_border(row, column, tile.height + 2 - less, width - less))
    number = np.int64(classes.of_place[place])
    if number == 0:
        number, there = n, tile_at(tiling, y, x)
        other = tile_of(tiling, there)
        y, x = tile.y - 1 + row - other.y + less, tile.x - 1 + column - other.x + less
        entry = there * places_of(tiling) + place_on_border(y, x, other.height + less, other.width + less)
        classes.key[n], classes.position[n], classes.is_open[n] = key[_i(owner)], owner, 1
        classes.name[n], classes.of_place[place] = GHOST - entry, number
        n += 1
    return n, number


@device
def merge_classes(classes, n, saddles, partner, descending, halt):
    """Merge n classes at saddles by the elder rule, as far as that can be done within the tile.

    saddles : Saddles, whose ends are classes. The ends of each saddle that is left become the younger and the elder of
    the two classes that it joins.
    partner : (m,) int32, written: for each saddle the class that it ends, -1, or LEFT.
    """
    key, position, is_open = classes.key, classes.position, classes.is_open
    elder_of, saddle_of = classes.elder_of, classes.saddle_of
    order, ends = saddles.order, saddles.ends
    for u in range(n):
        elder_of[u], saddle_of[u] = u, -1
    if halted(halt):
        return
    m = order.size
    for i in range(m):
        saddle = _i(order[m - 1 - i if descending else i])
        u, v = find(_i(ends[0, saddle]), _i(ends[1, saddle]), elder_of)
        partner[saddle] = -1
        if u != v:
            first = (key[v] < key[u]) | ((key[v] == key[u]) & (position[v] < position[u]))
            v_is_elder = first ^ descending
            elder, younger = v if v_is_elder else u, u if v_is_elder else v
            elder_of[younger] = elder
            if is_open[younger]:
                partner[saddle], is_open[elder] = LEFT, 1
                ends[0, saddle], ends[1, saddle] = younger, elder
            else:
                partner[saddle], saddle_of[younger] = younger, saddle
