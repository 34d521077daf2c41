"""Marks: which tiles of pixels a carrier reaches, so that a tile asks only the pulls that move any of its pixels.

Every tile of a window has a bit for each pull. Lanes take the pulls, walk along their paths, and set the bits of the
tiles that they pass. For components, lanes take the pixels: the chain of links from a pixel passes through the extrema
of all components that contain it. `carriers.members_of` then decides about each pixel of a marked tile, and `sums` adds
up its slopes in the order of the pulls. The order of the lanes does not matter, because they only set bits and, for
`normalise`, add integers.

One program marks the pulls of a window. Its lanes share only `words` and `totals`, by relaxed atomics; nothing reads
these before the launch is over.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import triton
import triton.language as tl

from ..runtime.launch import INTERPRETED, cdiv
from .carriers import (
    BOUND,
    CRITICAL,
    ENDS,
    GOAL,
    KIND,
    LEVEL,
    NEXT,
    PATHS,
    PIXEL,
    POSITION,
    RECORD,
    TARGETS,
    TOPS,
    VALUES,
    Path,
    contains,
    is_before,
    is_on,
    is_short,
    share_of,
)
from .forest import STEPS
from .grid import is_beyond, mirror_of, side_of, value_at

# The pixels of a tile: few, because most carriers have a few pixels, but as many as a warp has lanes.
ROWS, COLUMNS = (tl.constexpr(size) for size in ((32, 32) if INTERPRETED else (4, 8)))
UNIT = tl.constexpr(2.0**40)  # of the sums of shares, which are integers, so that their order does not matter
_WORDS = 128  # of a tile, at most; in windows with more pulls, several pulls have one bit


class Marks(NamedTuple):
    """The marks of a window, and where the window is in its image. The first three are pointers."""

    words: Any  # [tiles, n_words] int32: bits
    tiles: Any  # [pixels + 1] int32: where the words of the tile of a pixel begin; negative in the frame, and outside
    totals: Any  # [2 K] int64: the sums of the shares of pulls, in units of 1 / UNIT
    n_words: Any
    shift: Any  # 2^shift pulls have one bit
    corner_y: Any
    corner_x: Any
    rows: Any
    columns: Any
    frame: Any


def marks_of(window: tuple[int, ...], pulls: int) -> tuple[int, int, int]:
    """Return the tiles and words of a window with that many pulls, and s, where 2^s pulls have one bit."""
    tiles = tiles_along.fn(window[0], ROWS.value) * tiles_along.fn(window[1], COLUMNS.value)
    shift = max(0, (cdiv(pulls, 32 * _WORDS) - 1).bit_length())
    return tiles, cdiv(pulls, 32 << shift), shift


@triton.jit
def tiles_along(size, tile):
    """Return how many tiles an axis of a window may reach into, wherever its corner is."""
    return (size + tile - 2) // tile + 1


@triton.jit
def clear(marks, grid, pulls, BLOCK: tl.constexpr):
    """Set no bit for that many pulls, and write where the words of each pixel's tile begin."""
    lane = tl.arange(0, BLOCK)
    n = tl.cdiv(tl.cdiv(pulls, 1 << marks.shift), 32)
    tiles_x = tiles_along(marks.columns, COLUMNS)
    tiles = tiles_along(marks.rows, ROWS) * tiles_x
    for start in range(0, tiles * n, BLOCK):
        i = start + lane
        tl.store(marks.words + i // n * marks.n_words + i % n, tl.zeros((BLOCK,), tl.int32), mask=i < tiles * n)
    for start in range(0, grid.pixels + 1, BLOCK):
        pixel = start + lane
        y, x = pixel // grid.width - marks.frame, pixel % grid.width - marks.frame
        inside = (y >= 0) & (y < marks.rows) & (x >= 0) & (x < marks.columns)
        # Tiles are aligned with the image, and counted from the window's first.
        tile_y = (y + marks.corner_y) // ROWS - marks.corner_y // ROWS
        tile_x = (x + marks.corner_x) // COLUMNS - marks.corner_x // COLUMNS
        words = tl.where(inside, (tile_y * tiles_x + tile_x) * marks.n_words, -1)
        tl.store(marks.tiles + pixel, words, mask=pixel <= grid.pixels)


@triton.jit
def start_totals(marks, pulls, BLOCK: tl.constexpr):
    """Begin the sum of the shares of each pull with that of its critical pixel, which is 1."""
    for start in range(0, pulls, BLOCK):
        j = start + tl.arange(0, BLOCK)
        tl.store(marks.totals + j, tl.full((BLOCK,), UNIT, tl.float64).to(tl.int64), mask=j < pulls)


@triton.jit
def mark_paths(records, numbers, forest, grid, marks, pulls, NORMALISE: tl.constexpr, BLOCK: tl.constexpr):
    """Mark the critical pixels and the paths of all pulls of a window, and write the highest pixels on the paths.

    Each lane takes every BLOCK-th pull, and its paths one after the other: first from the target to the first node that
    is above the critical pixel, too, and then from the critical pixel to this node.
    """
    j = tl.arange(0, BLOCK) - BLOCK
    zero = tl.zeros((BLOCK,), tl.int32)
    pixel, shift, position, u, top, i = zero, zero, zero, zero, zero, zero
    top_0, top_1, top_2 = zero, zero, zero
    goal = tl.zeros((BLOCK,), numbers.dtype.element_ty)
    critical = goal
    active, from_target, has_paths = zero != 0, zero != 0, zero != 0
    busy = pulls
    while busy > 0:
        for _ in range(STEPS):
            takes = (active == 0) & (j + BLOCK < pulls)
            j = tl.where(takes, j + BLOCK, j)
            record = records + j * RECORD
            kind = tl.load(record + KIND, mask=takes, other=0)
            has_paths = tl.where(takes, (kind & 3) == PATHS, has_paths)
            shift = tl.where(takes, (kind >> 2) * (grid.pixels + 1), shift)
            pixel = tl.where(takes, tl.load(record + PIXEL, mask=takes, other=0), pixel)
            position = tl.where(takes, tl.load(record + POSITION, mask=takes, other=0), position)
            goal = tl.where(takes, tl.load(numbers + j * VALUES + GOAL, mask=takes, other=0.0), goal)
            critical = tl.where(takes, tl.load(numbers + j * VALUES + CRITICAL, mask=takes, other=0.0), critical)
            i = tl.where(takes, 0, i)
            u = tl.where(takes, tl.load(record + TARGETS, mask=takes & has_paths, other=0), u)
            u = tl.where(takes & (has_paths == 0), pixel, u)
            active, from_target = active | takes, from_target | takes

            visits = active & (from_target | (u != top))
            span = tl.load(forest.spans + u + shift, mask=visits & has_paths, other=0)
            value = value_at(grid, u, visits)
            words = tl.load(marks.tiles + u, mask=visits, other=-1)
            member = visits & ((u == pixel) | is_short(value, critical, goal))
            _mark(words, j, member, marks)
            if NORMALISE:
                counts = member & (u != pixel)
                for path in tl.static_range(3):  # a pixel of two paths counts once
                    end = tl.load(record + ENDS + path, mask=counts & (path < i), other=0)
                    of_path = top_0 if path == 0 else (top_1 if path == 1 else top_2)
                    counts &= (path >= i) | (is_on(span, u, position, Path(end, of_path)) == 0)
                _count(j, value, critical, goal, counts, marks)

            is_top = active & from_target & ((has_paths == 0) | contains(span, position))
            ends = active & (from_target == 0) & (u == top)
            tl.store(record + TOPS + i, u, mask=is_top & has_paths)
            top = tl.where(is_top, u, top)
            top_0, top_1 = tl.where(is_top & (i == 0), u, top_0), tl.where(is_top & (i == 1), u, top_1)
            top_2 = tl.where(is_top & (i == 2), u, top_2)
            i = tl.where(ends, i + 1, i)
            goes_on = ends & has_paths & (i < 4)
            target = tl.load(record + TARGETS + i, mask=goes_on, other=0)
            goes_on &= target != pixel  # which is no target, and the last ones are none
            climbs = visits & (is_top == 0)
            parent = tl.load(forest.parents + u + shift, mask=climbs, other=0) - shift
            u = tl.where(is_top, pixel, tl.where(goes_on, target, tl.where(climbs, parent, u)))
            from_target = (from_target & (is_top == 0)) | goes_on
            active &= (ends == 0) | goes_on
        busy = tl.max((active | (j + BLOCK < pulls)).to(tl.int32), 0)


@triton.jit
def mark_components(records, numbers, forest, grid, marks, first, last, NORMALISE: tl.constexpr, BLOCK: tl.constexpr):
    """Mark those of the nodes first, ..., last - 1 that are in the component of a pull.

    Each lane takes every BLOCK-th node, and climbs its links. On the way, it keeps the last pixel at which a link
    joined. A component contains the node if this pixel comes before its bound, and its extremum's own link does not.
    """
    i = first + tl.arange(0, BLOCK) - BLOCK
    zero = tl.zeros((BLOCK,), tl.int32)
    u, j, latest, words = zero, zero, zero, zero
    value = tl.zeros((BLOCK,), grid.filtration.dtype.element_ty)
    value_latest = value
    active = zero != 0
    busy = last - first
    while busy > 0:
        for _ in range(STEPS):
            takes = (active == 0) & (i + BLOCK < last)
            i = tl.where(takes, i + BLOCK, i)
            side = side_of(i, grid.pixels)
            shift, mirror = side * (grid.pixels + 1), mirror_of(side)
            pixel = i - shift
            takes &= pixel < grid.pixels
            value = tl.where(takes, value_at(grid, pixel, takes), value)
            words = tl.where(takes, tl.load(marks.tiles + pixel, mask=takes, other=-1), words)
            u, latest = tl.where(takes, i, u), tl.where(takes, pixel, latest)
            value_latest = tl.where(takes, value, value_latest)
            active |= takes
            j = tl.where(takes, tl.load(forest.used + u, mask=takes, other=-1), j)

            word = tl.load(forest.links + u, mask=active, other=0)
            elder, owner = word.to(tl.int32), (word >> 35).to(tl.int32) - shift
            linked = active & (elder != u)
            value_owner = value_at(grid, owner, linked)
            asks = active & (j >= 0)
            record, own_numbers = records + j * RECORD, numbers + j * VALUES
            bound = tl.load(record + BOUND, mask=asks, other=0)
            level = tl.load(own_numbers + LEVEL, mask=asks, other=0.0)
            goal = tl.load(own_numbers + GOAL, mask=asks, other=0.0)
            critical = tl.load(own_numbers + CRITICAL, mask=asks, other=0.0)
            member = asks & (u != i) & is_short(value, critical, goal)
            member &= is_before(value_latest, latest, level, bound, mirror, grid)
            member &= (linked == 0) | (is_before(value_owner, owner, level, bound, mirror, grid) == 0)
            _mark(words, j, member, marks)
            if NORMALISE:
                _count(j, value, critical, goal, member, marks)

            j = tl.where(asks, tl.load(record + NEXT, mask=asks, other=-1), j)
            climbs = linked & (j < 0)
            is_later = climbs & is_beyond(value_latest, latest, value_owner, owner, mirror, grid)
            latest, value_latest = tl.where(is_later, owner, latest), tl.where(is_later, value_owner, value_latest)
            u = tl.where(climbs, elder, u)
            active &= climbs | (j >= 0)
            j = tl.where(climbs, tl.load(forest.used + u, mask=climbs, other=-1), j)
        busy = tl.max((active | (i + BLOCK < last)).to(tl.int32), 0)


@triton.jit
def _mark(words, j, there, marks):
    """Set the bits of pulls j in the tiles with these words, unless they are negative: the frame has no gradient."""
    bit = j >> marks.shift
    one = tl.full(j.shape, 1, tl.int32) << (bit & 31)
    tl.atomic_or(marks.words + words + (bit >> 5), one, mask=there & (words >= 0), sem="relaxed")


@triton.jit
def _count(j, value, critical, goal, there, marks):
    """Add the shares of pixels to the totals of pulls j."""
    share = (share_of(value, critical, goal) * UNIT).to(tl.int64)
    tl.atomic_add(marks.totals + j, tl.where(there, share, 0), mask=there, sem="relaxed")
