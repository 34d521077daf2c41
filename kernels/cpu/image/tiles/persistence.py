"""The pairs of a large image, tile by tile on all threads, and then those that cross the borders of tiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ....status import Status
from ...codes import code_of
from ...order import as_integers
from ...records import Saddles, Task
from ...runtime.jit import device, inlined, kernel, zero
from ...runtime.jit import unsigned as _i
from ...runtime.primitives import halted, with_room
from ...runtime.threads import claim_windows, over_windows, run_dynamic
from ...runtime.views import view
from ..gradient import lead_squares, lower_stars, match_stars
from ..persistence import drop_paired_edges, sort_edges
from ..trace import follow, list_critical_cells, squares_beside, steps_of
from .border import name_along_border, squares_on_border, vertices_on_border
from .join import join
from .tile import (
    LEFT,
    begin_classes,
    classes_above,
    classes_below,
    load_keys,
    merge_classes,
)
from .tiling import Tiles, cut, padded_size, places_of, row_and_column, tile_of
from .workspace import allocate_workspace

Array = NDArray[Any]
LARGE = 1 << 18  # pixels: images of this size or larger are cut into tiles


class FoundInTiles(NamedTuple):
    """What one thread finds in the tiles that it claims, tile by tile and, within a tile, for minima before maxima."""

    tiles: Array  # (n,) int64: their numbers
    codes: Array  # see `TileWorkspace`
    extrema: Array
    saddles: Array  # (m, 3)
    has_nan: bool


def is_large(window: Sequence[int]) -> bool:
    """Return whether images of that size, (1, H, W), are cut into tiles."""
    return math.prod(window) >= LARGE


def find_pairs_in_tiles(window: Array, task: Task) -> tuple[list[Array], Status]:
    """Return the codes of a window (1, H, W) in each dimension of V, and its status, using all threads.

    The longest pairs come first, see `records.Part`.
    """
    image = window[0]
    bits, tiling = as_integers(image), cut(*image.shape)
    n = tiling.counts[0] * tiling.counts[1]
    borders = np.empty((2, n, places_of(tiling)), np.int64)
    counts = np.zeros((n, 2, 3), np.int64)
    parts = run_dynamic(
        n,
        lambda taken, stop: FoundInTiles(
            *_pair_tiles(image, bits, tiling, tuple(task), (borders, counts), taken, stop)
        ),
    )
    if any(part.has_nan for part in parts):
        return [np.empty(0, np.int64)] * 2, Status.NAN
    tiles, codes, extrema, saddles = (np.concatenate(some) for some in list(zip(*parts, strict=True))[:4])

    def finish(kind: int) -> Array:
        if not task.wanted[kind]:
            return np.empty(0, np.int64)
        return join(image, bits, tuple(task), kind, (tiles, counts, codes, extrema, saddles), borders[kind])

    sorted_codes = over_windows(2, lambda i, j: [finish(kind) for kind in range(i, j)])
    return [codes for some in sorted_codes for codes in some], Status.OK


@kernel
def _pair_tiles(image, bits, tiling, task, results, taken, stop):
    """Pair extrema in the tiles that this thread claims, and return the fields of `FoundInTiles`.

    results : borders (kinds, tiles, places) and counts (tiles, kinds, 3), written for these tiles.
    """
    tiling, task = Tiles(*tiling), Task(*task)
    borders, counts = results
    workspace, n = allocate_workspace(tiling, bits), len(counts)
    last = tile_of(tiling, tiling.counts[1] - 1).width
    steps, steps_in_last = steps_of(tiling.tile[1] + 2), steps_of(last + 2)
    tiles, codes, extrema = np.empty(n, np.int64), np.empty(64, np.int64), np.empty(64, np.int64)
    saddles, n_tiles, used = np.empty(64, np.int64), zero, np.zeros(3, np.int64)
    first, end = claim_windows(taken, n, stop)
    while first < n and not halted(task.halt):
        for i in range(first, end):
            tile = tile_of(tiling, i)
            steps_here = steps if tile.width == tiling.tile[1] else steps_in_last
            where = tiling, tile
            if _start(image, bits, tile, task.top, workspace):
                return tiles[:0], codes[:0], extrema[:0], saddles[:0].reshape(0, 3), True
            n_edges, n_minima, n_maxima = _list_cells(tile, workspace)
            for kind in range(2):
                if not task.wanted[kind]:
                    continue
                n_extrema = n_maxima if kind else n_minima
                found = _pair_extrema(
                    kind, n_extrema, n_edges, where, steps_here, task, workspace, image, borders[kind, i]
                )
                codes, extrema = with_room(codes, used[0], found[0]), with_room(extrema, used[1], found[1])
                saddles = with_room(saddles, used[2], 3 * found[2])
                for j in range(found[0]):
                    codes[used[0] + j] = workspace.codes[j]
                for j in range(found[1]):
                    extrema[used[1] + j] = workspace.extrema[j]
                for j in range(found[2]):
                    for k in range(3):
                        saddles[used[2] + 3 * j + k] = workspace.saddles[k, j]
                used[0] += found[0]
                used[1] += found[1]
                used[2] += 3 * found[2]
                counts[i, kind, 0], counts[i, kind, 1], counts[i, kind, 2] = found
                if kind == 0:
                    n_edges = drop_paired_edges(n_edges, workspace)
            tiles[n_tiles] = i
            n_tiles += 1
        first, end = claim_windows(taken, n, stop)
    rest = saddles[: used[2]].reshape(used[2] // 3, 3)
    return tiles[:n_tiles], codes[: used[0]], extrema[: used[1]], rest, False


@device
def _start(image, bits, tile, top, workspace):
    """Find the stars and the critical cells of a tile, and return whether it has a NaN."""
    height, width = tile.height + 2, tile.width + 2
    cells, padded = height * width, padded_size(tile)
    key, star, critical = workspace.key[:padded], workspace.star[:padded], workspace.critical[:padded]
    if load_keys(image, bits, tile, top, key[:cells].reshape(height, width)):
        return True
    star[: width + 1] = 0
    star[cells - width - 1 :] = 0
    lower_stars(key, height, width, star, critical)
    match_stars(star, critical, view(workspace.known, np.uint16)[:padded])
    return False


@device
def _list_cells(tile, workspace):
    """List the critical cells and sort the edges, and return the numbers of edges, minima and maxima."""
    padded, width = padded_size(tile), tile.width + 2
    critical = workspace.critical[:padded]
    n_minima, n_edges, n_maxima = list_critical_cells(critical, width, workspace.cells)
    lead_squares(view(workspace.known, np.uint16)[:padded], width, critical)
    sort_edges(n_edges, workspace)
    return n_edges, n_minima, n_maxima


@device
def _pair_extrema(kind, n_extrema, n, where, steps, task, workspace, image, border):
    """Pair minima (kind 0) or maxima (1) with n critical edges, as far as the tile determines the pairs.

    border : (places,) int64, written: at each place where walks enter the tile, the name of the class that they enter.
    Written in the workspace: codes, extrema, saddles. Returns their numbers.
    """
    tile, classes, tree = where[1], workspace.classes, workspace.tree
    width, padded = tile.width + 2, padded_size(tile)
    star, key, most = workspace.star[:padded], workspace.key, np.iinfo(workspace.key.dtype).max
    edges, ends, halt = workspace.cells.edges, workspace.ends[: 2 * n].reshape(2, n), task.halt
    begin = 2 * n  # of the walks from other tiles
    entries = workspace.ends[begin:], workspace.places, workspace.onward
    if kind == 0:
        extrema = workspace.cells.minima[:n_extrema]
        for e in range(n):
            ends[0, e], ends[1, e] = edges[0, e], edges[1, e]
        at = workspace.ends[: begin + vertices_on_border(tile, star, steps[0], *entries)]
        follow(at, star, steps[0], workspace.walking, workspace.known, halt)
        if halted(halt):  # the walks may not have ended
            return 0, 0, 0
        n_classes = begin_classes(classes, extrema, key, ~most)
        n_classes = classes_below(at, n_classes, star, classes, key, where)
    else:
        extrema, moves = workspace.cells.maxima[:n_extrema], workspace.critical[:padded]
        for e in range(n):
            ends[0, e], ends[1, e] = squares_beside(edges[0, e], edges[1, e], width)
        at = workspace.ends[: begin + squares_on_border(tile, star, moves, steps[1], *entries)]
        follow(at, moves, steps[1], workspace.walking, workspace.known, halt)
        if halted(halt):
            return 0, 0, 0
        n_classes = begin_classes(classes, extrema, key, most)
        n_classes = classes_above(at, n_classes, star, classes, key, where)
    for w in range(begin, at.size):
        classes.is_open[_i(at[w])] = 1
    merge_classes(classes, n_classes, Saddles(workspace.order[:n], ends), tree.partner, kind == 1, halt)
    counts = _report(kind, n_extrema, n, where, task, workspace, image)
    for w in range(begin, at.size):
        border[workspace.places[w - begin]] = classes.name[at[w]]
    name_along_border(border, workspace.onward)
    return counts


@device
def _report(kind, n_extrema, n, where, task, workspace, image):
    """List the pairs that the tile determines, and the live classes and saddles left to `join`; see `_pair_extrema`."""
    tile, classes, partner, owners = where[1], workspace.classes, workspace.tree.partner, workspace.cells.edges[0]
    codes, live, left = workspace.codes, workspace.extrema, workspace.saddles
    values, columns = image.reshape(image.size), image.shape[1]
    gives_birth = task.top if kind else not task.top
    n_codes, n_live, n_left = 0, 0, 0
    for c in range(1, n_extrema + 1):
        extremum, saddle = _pixel(classes.position[c], tile, columns), classes.saddle_of[c]
        if saddle < 0:
            live[n_live], classes.name[c] = extremum, n_live
            n_live += 1
        else:
            owner = _pixel(owners[saddle], tile, columns)
            birth, death = extremum if gives_birth else owner, owner if gives_birth else extremum
            born, died = values[_i(birth)], values[_i(death)]
            codes[n_codes] = code_of(birth, death)
            n_codes += (born < died) & (died - born > task.min_persistence)
    for e in range(n):
        if partner[e] == LEFT:
            left[0, n_left] = _pixel(owners[e], tile, columns)
            left[1, n_left] = classes.name[workspace.ends[e]]
            left[2, n_left] = classes.name[workspace.ends[n + e]]
            n_left += 1
    return n_codes, n_live, n_left


@inlined
def _pixel(position, tile, columns):
    """Return the flat index in the image of a position in a tile's grid."""
    row, column = row_and_column(position, tile.width + 2)
    return (tile.y - 1 + row) * columns + tile.x - 1 + column
