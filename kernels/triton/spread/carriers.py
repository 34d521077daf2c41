"""Carriers: which pixels move with a birth or a death, as ends of paths in the forest, or as a component.

Each *pull*, a birth or death that is to be moved, has a record of integers. Its carrier is the pixel alone (POINT), the
union of up to four paths from the pixel in the tree of a side (PATHS), or the component of the pixel before its class
ends (COMPONENT). A path to a target is known by the target's position and the highest node on the path. Unused targets
are the pixel itself, and come after the others. `slopes` writes the records, `marks` completes them, and `members_of`
reads them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import triton
import triton.language as tl

from .grid import beyond_beside, is_beyond, mirror_of, neighbour, value_at

POINT, PATHS, COMPONENT = (tl.constexpr(kind) for kind in range(3))
# Columns of a record: the pixel, 4 * side + kind, the pixel's position, and the bound of a component: the last pixel in
# the order of its side that is not in it. Then, for each of the four paths, its target, the position of the target, and
# the highest pixel on the path. Components have no targets: NEXT is the next pull of the same extremum, or -1.
PIXEL, KIND, POSITION, BOUND, TARGETS, ENDS, TOPS = (tl.constexpr(column) for column in (0, 1, 2, 3, 4, 8, 12))
NEXT = TARGETS
RECORD = tl.constexpr(16)
# Columns of its values: the slope, the goal, the critical value, and that of the bound.
SLOPE, GOAL, CRITICAL, LEVEL = (tl.constexpr(column) for column in range(4))
VALUES = tl.constexpr(4)


class Path(NamedTuple):
    """The path from a pixel to a target, in one tree."""

    position: Any  # of the target
    top: Any  # the highest pixel on the path


@triton.jit
def contains(span, position):
    """Return whether nodes with a span are ancestors of a position, or have it."""
    return ((span >> 32) <= position) & (position < (span & 0xFFFFFFFF))


@triton.jit
def is_on(span, pixel, position, path):
    """Return whether pixels are on a path from a position; span : those of the pixels."""
    return (contains(span, position) != contains(span, path.position)) | (pixel == path.top)


@triton.jit
def top_of_path(target, position, shift, there, forest):
    """Return the highest pixel on the path from a position to target pixels, in the tree that begins at `shift`."""
    u = target + shift
    climbs = there & (contains(tl.load(forest.spans + u, mask=there, other=0), position) == 0)
    while tl.max(climbs.to(tl.int32), 0) != 0:
        u = tl.where(climbs, tl.load(forest.parents + u, mask=climbs, other=0), u)
        climbs &= contains(tl.load(forest.spans + u, mask=climbs, other=0), position) == 0
    return u - shift


@triton.jit
def eldest_at(pixel, shift, mirror, there, forest, grid):
    """Return the eldest pixel of a pixel's component at the time at which the pixel enters."""
    u = pixel + shift
    value = value_at(grid, pixel, there)
    climbs = there
    while tl.max(climbs.to(tl.int32), 0) != 0:
        word = tl.load(forest.links + u, mask=climbs, other=0)
        elder, owner = word.to(tl.int32), (word >> 35).to(tl.int32) - shift
        climbs &= elder != u
        value_owner = value_at(grid, owner, climbs)
        climbs &= is_beyond(value, pixel, value_owner, owner, mirror, grid) == 0
        u = tl.where(climbs, elder, u)
    return u - shift


@triton.jit
def elder_end(pixel, position, other, shift, mirror, there, forest, grid):
    """Return the last pixel before the first that is elder than `other`, on the path from a saddle to the eldest."""
    eldest = eldest_at(pixel, shift, mirror, there, forest, grid)
    top = top_of_path(eldest, position, shift, there, forest)
    value_other = value_at(grid, other, there)
    # Up to the top of the path, from the saddle, and then down, from the end.
    u, last = pixel, pixel + 0
    found = there & (pixel != pixel)
    climbs = there
    while tl.max(climbs.to(tl.int32), 0) != 0:
        found |= climbs & is_beyond(value_at(grid, u, climbs), u, value_other, other, mirror, grid)
        climbs &= (found == 0) & (u != top)
        last = tl.where(climbs, u, last)
        u = tl.where(climbs, tl.load(forest.parents + u + shift, mask=climbs, other=0) - shift, u)
    w, elder = eldest, eldest + 0
    climbs = there & (found == 0) & (w != top)
    while tl.max(climbs.to(tl.int32), 0) != 0:
        is_elder = climbs & is_beyond(value_at(grid, w, climbs), w, value_other, other, mirror, grid)
        elder = tl.where(is_elder, w, elder)
        w = tl.where(climbs, tl.load(forest.parents + w + shift, mask=climbs, other=0) - shift, w)
        climbs &= w != top
    below = tl.load(forest.parents + elder + shift, mask=there & (found == 0), other=0) - shift
    return tl.where(found, last, below)


@triton.jit
def link_of(pixel, mirror, full, there, grid):
    """Return the directions of the neighbours beyond pixels, and the same with the gaps between connected ones filled.

    Each has 8 bits, one for each direction.
    """
    beyond = beyond_beside(pixel, mirror, there, grid)
    axes = beyond & 0x55
    # Between two neighbours along axes, which touch if all connect, or if the one between is beyond.
    between = ((axes << 1) & ((axes >> 1) | (axes << 7))) & 0xAA
    return tl.where(full, beyond, axes), tl.where(full, beyond | between, axes | (between & beyond))


@triton.jit
def nearest_in_link(pixel, beyond, starts, filled, mirror, grid):
    """Return the first pixel of the link's component that begins at the lowest bit of `starts`; `pixel` for no bit."""
    there = starts != 0
    first = tl.zeros_like(pixel)
    for direction in range(8):
        is_first = (starts & ((2 << direction) - 1)) == (1 << direction)
        first = tl.where(is_first, direction, first)
    nearest, value_nearest = pixel, value_at(grid, pixel, there)
    for step in range(8):
        way = (first + step) & 7
        there &= ((filled >> way) & 1) != 0
        a = neighbour(pixel, way, grid)
        value_a = value_at(grid, a, there)
        is_nearer = there & (((beyond >> way) & 1) != 0)
        is_nearer &= is_beyond(value_a, a, value_nearest, nearest, mirror, grid)
        nearest = tl.where(is_nearer, a, nearest)
        value_nearest = tl.where(is_nearer, value_a, value_nearest)
    return nearest


@triton.jit
def starts_of(filled):
    """Return the directions where the components of a link begin; north if the link is all around the pixel."""
    starts = filled & ~((filled << 1) | (filled >> 7)) & 0xFF
    return tl.where(filled == 0xFF, 1, starts)


@triton.jit
def members_of(record, numbers, pixel, value, spans, links, there, grid):
    """Return which pixels are in the carrier of a pull, and their shares of its slope.

    record, numbers : of the pull.
    """
    critical_pixel = tl.load(record + PIXEL)
    kind = tl.load(record + KIND)
    side, kind = kind >> 2, kind & 3
    goal, critical = tl.load(numbers + GOAL), tl.load(numbers + CRITICAL)
    member = pixel == critical_pixel
    others = there & is_short(value, critical, goal)
    if kind == PATHS:
        span = tl.load(spans + pixel + side * (grid.pixels + 1), mask=others, other=0)
        position = tl.load(record + POSITION)
        on = pixel < 0
        for i in tl.static_range(4):
            on |= is_on(span, pixel, position, Path(tl.load(record + ENDS + i), tl.load(record + TOPS + i)))
        member |= others & on
    elif kind == COMPONENT:
        bound, level = tl.load(record + BOUND), tl.load(numbers + LEVEL)
        member |= _in_component(pixel, value, critical_pixel, bound, level, side, others, links, grid)
    return member & there, share_of(value, critical, goal)


@triton.jit
def is_short(value, critical, goal):
    """Return whether values have not reached the goal, to which a critical value is pulled."""
    return tl.where(critical > goal, value > goal, value < goal)


@triton.jit
def share_of(value, critical, goal):
    """Return how far values are from the goal, as a part of how far the critical value is."""
    same = value == critical
    value, critical, goal = value.to(tl.float64), critical.to(tl.float64), goal.to(tl.float64)
    share = tl.where(_is_infinite(critical), 0.0, (value - goal) / (critical - goal))
    return tl.where(same, 1.0, tl.where(_is_infinite(goal), 1.0, share))


@triton.jit
def _is_infinite(value):
    return (value == float("inf")) | (value == float("-inf"))


@triton.jit
def _in_component(pixel, value, extremum, bound, level, side, there, links, grid):
    """Return whether pixels are in the component of an extremum, in the order of a side, before a bound."""
    shift, mirror = side * (grid.pixels + 1), mirror_of(side)
    there &= is_before(value, pixel, level, bound, mirror, grid)
    u = pixel + shift
    climbs = there
    while tl.max(climbs.to(tl.int32), 0) != 0:
        word = tl.load(links + u, mask=climbs, other=0)
        elder, owner = word.to(tl.int32), (word >> 35).to(tl.int32) - shift
        climbs &= elder != u
        climbs &= is_before(value_at(grid, owner, climbs), owner, level, bound, mirror, grid)
        u = tl.where(climbs, elder, u)
    return there & (u == extremum + shift)


@triton.jit
def is_before(value, pixel, level, bound, mirror, grid):
    """Return whether pixels come before a bound in the order of a side. A bound need not be a pixel."""
    turn = grid.turn * mirror
    return (value * mirror < level * mirror) | ((value == level) & (pixel * turn < bound * turn))
