"""Regions: the pixels that are connected to a seed and come before a limit in the order of a filtration."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .runtime.jit import device, inlined
from .runtime.jit import unsigned as _i
from .runtime.primitives import halted

Array = NDArray[Any]


class Grid(NamedTuple):
    """A window inside a ring of NaN, which comes before nothing, and memory for one region after the other.

    All arrays are flat. Pixels are connected along the axes and, if `turn` is -1, also at corners. Of equal pixels, the
    one that is smaller by index * turn comes first: full connectivity goes with the last pixel first in T, and in the
    reversed filtration of V.
    """

    value: Array  # (cells,) the window, negated where the filtration falls
    stamp: Array  # (cells,) int32: the number of the last run that each pixel was in
    found: Array  # (P + 1,) int32: the cells of a region
    runs: Array  # (2, P) int32: where its runs, which are maximal in their rows, begin and end
    position: Array  # (P,) int32: the cell of each pixel
    pixel: Array  # (cells,) int32: the pixel in each cell
    rows: Array  # int32: offsets to the neighbouring rows
    turn: int
    width: int  # of the grid


def allocate_grid(window: Sequence[int], dtype: Any, *, is_full: bool) -> Grid:
    """Allocate the grid for windows of that size, with full connectivity or along the axes."""
    shape = tuple([size + 2 for size in window])
    inside = tuple([slice(1, -1)] * len(window))
    pixel, value = np.full(shape, -1, np.int32), np.full(shape, np.nan, dtype)
    position = np.arange(pixel.size, dtype=np.int32).reshape(shape)[inside].ravel()
    pixel[inside] = np.arange(position.size, dtype=np.int32).reshape(window)
    # Neighbouring rows differ along one of the axes before the last one or, with full connectivity, along any of them.
    steps = [value.strides[axis] // value.itemsize for axis in range(len(window) - 1)]
    parts = [part for part in itertools.product((-1, 0, 1), repeat=len(steps)) if any(part)]
    nearest = [part for part in parts if is_full or sum(map(abs, part)) == 1]
    rows = [sum(sign * step for sign, step in zip(part, steps, strict=True)) for part in nearest]
    numbers, offsets, turn = np.empty((3, position.size + 1), np.int32), np.array(rows, np.int32), -1 if is_full else 1
    stamp = np.zeros(pixel.size, np.int32)
    return Grid(value.ravel(), stamp, numbers[0], numbers[1:], position, pixel.ravel(), offsets, turn, shape[-1])


@inlined
def write_window(image, sign, grid):
    """Write a window (P,), times a sign, into the grid."""
    value, position = grid.value, grid.position
    columns, p = grid.width - 2, 0
    while p < image.size:
        row = position[_i(p)]
        for x in range(columns):
            value[_i(row + x)] = sign * image[_i(p + x)]
        p += columns


class Limit(NamedTuple):
    """A pixel as the limit of a region."""

    cell: int
    value: float
    turn: int  # of the grid


@inlined
def limit_at(grid, cell):
    """Return the limit at a cell of the grid."""
    return Limit(np.int64(cell), grid.value[_i(cell)], grid.turn)


@inlined
def comes_before(value, cell, limit):
    """Return whether the pixel of a cell comes before the limit; False for the ring."""
    v = value[_i(cell)]
    return (v < limit.value) | ((v == limit.value) & ((cell - limit.cell) * limit.turn < 0))


@inlined
def fill(grid, seed, limit, number, halt):
    """Find the region of a seed: all pixels before the limit that are connected to it through such pixels.

    Written: its cells, its runs, and their numbers, from `number` on, into the stamps of their cells. No stamp may be
    as large before. Returns the numbers of runs and of cells; 0 and 0 if the seed does not come before the limit, or a
    pixel of the region is less than the seed.
    """
    value, stamp, found, begin, end, rows = grid.value, grid.stamp, grid.found, grid.runs[0], grid.runs[1], grid.rows
    reach, lowest = 1 if limit.turn < 0 else 0, value[_i(seed)]
    if not comes_before(value, seed, limit):
        return np.int64(0), np.int64(0)
    first, last, size, lowest = _claim(value, stamp, found, np.int64(seed), limit, number, _i(0), lowest)
    begin[0], end[0] = first, last
    n, done = _i(1), _i(0)
    while done < n:
        if done & _i(0xFFF) == 0xFFF and halted(halt):
            return np.int64(0), np.int64(0)
        left, right = begin[done] - reach, end[done] + reach
        for offset in rows:
            cell, stop = np.int64(left + offset), np.int64(right + offset)
            while cell < stop:
                if comes_before(value, cell, limit):
                    run = np.int64(stamp[_i(cell)]) - number
                    if run < 0:
                        first, last, size, lowest = _claim(
                            value, stamp, found, cell, limit, number + np.int64(n), size, lowest
                        )
                        begin[n], end[n] = first, last
                        n += _i(1)
                        cell = last
                    else:
                        cell = np.int64(end[_i(run)])
                cell += 1
        done += _i(1)
    if lowest < value[_i(seed)]:
        return np.int64(0), np.int64(0)
    return np.int64(n), np.int64(size)


@inlined
def _claim(value, stamp, found, cell, limit, number, size, lowest):
    """Stamp the run around a cell, and write its cells after the first `size`.

    Returns where it begins and ends, the new `size`, and the new lowest value.
    """
    first, last = cell, cell
    while comes_before(value, first - 1, limit):
        first -= 1
        stamp[_i(first)], found[size] = number, first
        lowest = min(lowest, value[_i(first)])
        size += _i(1)
    while comes_before(value, last, limit):
        stamp[_i(last)], found[size] = number, last
        lowest = min(lowest, value[_i(last)])
        size += _i(1)
        last += 1
    return first, last, size, lowest


@inlined
def fill_image(grid, seed, limit, number):
    """Find the region of a seed in an image, pixel by pixel; see `fill`.

    No branch is hard to predict, so it takes less time than `fill` where runs are short, as in noise.
    Written: the cells of the region, and `number` into their stamps. Returns how many there are.
    """
    return _fill_image(grid.value, grid.stamp, grid.found, np.int64(seed), limit, number, grid.width)


# Not inlined: its loop needs all registers.
@device
def _fill_image(value, stamp, found, seed, limit, number, width):
    lowest, earliest, is_full = value[_i(seed)], value[_i(seed)], limit.turn < 0
    if not comes_before(value, seed, limit):
        return np.int64(0)
    found[0], stamp[_i(seed)] = seed, number
    n, done = _i(1), _i(0)
    while done < n:
        cell = np.int64(found[done])
        lowest = min(lowest, value[_i(cell)])
        n = _visit(value, stamp, found, cell - width, limit, number, n)
        n = _visit(value, stamp, found, cell - 1, limit, number, n)
        n = _visit(value, stamp, found, cell + 1, limit, number, n)
        n = _visit(value, stamp, found, cell + width, limit, number, n)
        if is_full:
            n = _visit(value, stamp, found, cell - width - 1, limit, number, n)
            n = _visit(value, stamp, found, cell - width + 1, limit, number, n)
            n = _visit(value, stamp, found, cell + width - 1, limit, number, n)
            n = _visit(value, stamp, found, cell + width + 1, limit, number, n)
        done += _i(1)
    return np.int64(0) if lowest < earliest else np.int64(n)


@inlined
def _visit(value, stamp, found, cell, limit, number, n):
    """Write a cell after the n that were found, and return n + 1 if it is a new one of the region, else n."""
    before = stamp[_i(cell)]
    is_new = comes_before(value, cell, limit) & (before < number)
    stamp[_i(cell)] = number if is_new else before
    found[n] = cell
    return n + _i(is_new)


@inlined
def touches(grid, cell, number):
    """Return whether a cell has a neighbour in the region whose runs have numbers from `number` on."""
    stamp, reach = grid.stamp, 1 if grid.turn < 0 else 0
    found = (stamp[_i(cell - 1)] >= number) | (stamp[_i(cell + 1)] >= number)
    for offset in grid.rows:
        for c in range(cell + offset - reach, cell + offset + reach + 1):
            found |= stamp[_i(c)] >= number
    return found
