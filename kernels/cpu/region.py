"""Regions: the pixels that are connected to a seed and come before a limit in the order of a filtration."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .order import order_key
from .runtime.jit import device, inlined
from .runtime.jit import unsigned as _i
from .runtime.primitives import halted

Array = NDArray[Any]


class Grid(NamedTuple):
    """A window inside a ring, which comes after all pixels, and memory for one region after the other.

    All arrays are flat. Pixels are connected along the axes and, if `turn` is -1, also at corners. Of equal pixels, the
    one with the least index * turn comes first. Full connectivity is that of T and of the reversed filtration of V; in
    both, the last of equal pixels comes first.
    """

    key: Array  # (cells,) integers in the order of the filtration; the largest one in the ring and where there is a NaN
    kept: Array  # (cells,) a copy of `key`, from which `append_image_region` restores what it has changed
    stamp: Array  # (cells,) int32: the number of the last run that each pixel was in
    found: Array  # (P + 1,) int32, scratch: the cells of a region
    runs: Array  # (2, P) int32: where its runs, which are maximal in their rows, begin and end
    position: Array  # (P,) int32: the cell of each pixel
    pixel: Array  # (cells,) int32: the pixel in each cell
    rows: Array  # int32: offsets to the neighbouring rows
    turn: int
    width: int  # of the grid


def allocate_grid(window: Sequence[int], dtype: Any, *, is_full: bool) -> Grid:
    """Allocate the grid for windows of that size, with full connectivity or along the axes. dtype : of the keys."""
    shape = tuple([size + 2 for size in window])
    inside = tuple([slice(1, -1)] * len(window))
    key = np.full(shape, np.iinfo(dtype).max, dtype)
    pixel = np.full(shape, -1, np.int32)
    position = np.arange(pixel.size, dtype=np.int32).reshape(shape)[inside].ravel()
    pixel[inside] = np.arange(position.size, dtype=np.int32).reshape(window)
    # Neighbouring rows differ along one of the axes before the last one or, with full connectivity, along any of them.
    steps = [key.strides[axis] // key.itemsize for axis in range(len(window) - 1)]
    parts = [part for part in itertools.product((-1, 0, 1), repeat=len(steps)) if any(part)]
    nearest = [part for part in parts if is_full or sum(map(abs, part)) == 1]
    rows = [sum(sign * step for sign, step in zip(part, steps, strict=True)) for part in nearest]
    numbers, offsets, turn = np.empty((3, position.size + 1), np.int32), np.array(rows, np.int32), -1 if is_full else 1
    stamp = np.zeros(pixel.size, np.int32)
    return Grid(
        key.ravel(), key.flatten(), stamp, numbers[0], numbers[1:], position, pixel.ravel(), offsets, turn, shape[-1]
    )


@inlined
def write_window(image, bits, falls, grid):
    """Write the keys of a window (P,) into the grid; see `order.order_keys`.

    bits : the window as integers. falls : whether the greatest pixel comes first.
    """
    key, kept, position = grid.key, grid.kept, grid.position
    columns, p, most = grid.width - 2, 0, np.iinfo(grid.key.dtype).max
    mirror = -1 if falls else 0
    while p < image.size:
        row = position[_i(p)]
        for x in range(columns):
            v, k = image[_i(p + x)], order_key(bits[_i(p + x)], most, mirror)
            k = k if v == v else most
            key[_i(row + x)], kept[_i(row + x)] = k, k
        p += columns


class Limit(NamedTuple):
    """A pixel as the limit of a region."""

    cell: int
    key: int
    flip: int  # -1 if the last of equal pixels comes first, else 0


@inlined
def limit_at(grid, cell):
    """Return the limit at a cell of the grid. Nothing comes before the limit at a NaN."""
    key, least = np.int64(grid.key[_i(cell)]), np.iinfo(grid.key.dtype).min
    key = key if key < np.iinfo(grid.key.dtype).max else np.int64(least)
    return Limit(np.int64(cell), key, np.int64(-1 if grid.turn < 0 else 0))


@inlined
def comes_before(key, cell, limit):
    """Return whether the pixel of a cell comes before the limit; False for the ring."""
    # The key is lowered by 1 if the cell comes first among equals. There is no other key between these two.
    return np.int64(key[_i(cell)]) - np.int64((cell ^ limit.flip) < (limit.cell ^ limit.flip)) < limit.key


@inlined
def fill(grid, seed, limit, number, halt):
    """Find the region of a seed: all pixels before the limit that are connected to it through such pixels.

    Written: its runs, and their numbers, from `number` on, as the stamps of their cells. Before, all stamps must be
    less than `number`. Returns how many runs there are; 0 if the seed does not come before the limit, or if a pixel of
    the region is less than the seed.
    """
    key, stamp, begin, end, rows = grid.key, grid.stamp, grid.runs[0], grid.runs[1], grid.rows
    reach, lowest = -limit.flip, key[_i(seed)]
    if not comes_before(key, np.int64(seed), limit):
        return np.int64(0)
    first, last, lowest = _claim(key, stamp, np.int64(seed), limit, number, lowest)
    begin[0], end[0] = first, last
    n, done = _i(1), _i(0)
    while done < n:
        if done & _i(0xFFF) == 0xFFF and halted(halt):
            return np.int64(0)
        left, right = begin[done] - reach, end[done] + reach
        for offset in rows:
            cell, stop = np.int64(left + offset), np.int64(right + offset)
            while cell < stop:
                if comes_before(key, cell, limit):
                    run = np.int64(stamp[_i(cell)]) - number
                    if run < 0:
                        first, last, lowest = _claim(key, stamp, cell, limit, number + np.int64(n), lowest)
                        begin[n], end[n] = first, last
                        n += _i(1)
                        cell = last
                    else:
                        cell = np.int64(end[_i(run)])
                cell += 1
        done += _i(1)
    return np.int64(0) if lowest < key[_i(seed)] else np.int64(n)


@inlined
def _claim(key, stamp, cell, limit, number, lowest):
    """Stamp the run around a cell; return where it begins and ends, and the new lowest value."""
    first, last = cell, cell + 1
    while comes_before(key, first - 1, limit):
        first -= 1
    while comes_before(key, last, limit):
        last += 1
    for c in range(_i(first), _i(last)):  # of vector instructions
        stamp[c] = number
        lowest = min(lowest, key[c])
    return first, last, lowest


@inlined
def append_region(grid, n, pixels, used):
    """Append the pixels of the first n runs after the first `used`, and return the new `used`."""
    begin, end = grid.runs[0], grid.runs[1]
    for run in range(_i(n)):
        first, place = np.int64(grid.pixel[_i(begin[run])]), _i(used)
        size = end[run] - begin[run]
        for i in range(_i(size)):  # of vector instructions
            pixels[place + i] = first + np.int64(i)
        used += size
    return used


@inlined
def append_image_region(grid, seed, limit, pixels, used):
    """Append the pixels of the region of a seed in an image after the first `used`, and return the new `used`.

    This has no branch that is hard to predict, so it takes less time than `fill` where runs are short, as in noise.
    Nothing is appended if `fill` would find nothing, or if the region does not touch the limit.
    """
    n = _fill_image(grid.key, grid.found, np.int64(seed), limit, np.int64(grid.width))
    key, kept, found, pixel, lowest = grid.key, grid.kept, grid.found, grid.pixel, grid.kept[_i(seed)]
    is_whole = _touches_found(key, kept, limit, np.int64(grid.width))
    for i in range(_i(n)):
        cell = _i(found[i])
        key[cell], pixels[_i(used) + i] = kept[cell], pixel[cell]
        lowest = min(lowest, kept[cell])
    return used + n if is_whole and lowest == kept[_i(seed)] else used


# Not inlined: its loop needs all registers.
@device
def _fill_image(key, found, seed, limit, width):
    """Find the cells of a region, change their keys to the largest one, and return how many there are."""
    if not comes_before(key, seed, limit):
        return np.int64(0)
    found[0], key[_i(seed)] = seed, np.iinfo(key.dtype).max
    n, done, is_full = _i(1), _i(0), limit.flip < 0
    while done < n:
        cell = np.int64(found[done])
        n = _visit(key, found, cell - width, limit, n)
        n = _visit(key, found, cell - 1, limit, n)
        n = _visit(key, found, cell + 1, limit, n)
        n = _visit(key, found, cell + width, limit, n)
        if is_full:
            n = _visit(key, found, cell - width - 1, limit, n)
            n = _visit(key, found, cell - width + 1, limit, n)
            n = _visit(key, found, cell + width - 1, limit, n)
            n = _visit(key, found, cell + width + 1, limit, n)
        done += _i(1)
    return np.int64(n)


@inlined
def _visit(key, found, cell, limit, n):
    """Write a cell after the n that were found, and return n + 1 if it belongs to the region and is new, else n."""
    is_new, most = comes_before(key, cell, limit), key.dtype.type(np.iinfo(key.dtype).max)
    key[_i(cell)] = most if is_new else key[_i(cell)]
    found[n] = cell
    return n + _i(is_new)


@inlined
def _touches_found(key, kept, limit, width):
    """Return whether the limit has a neighbour whose key was changed."""
    cell, reach = limit.cell, -limit.flip
    touched = (key[_i(cell - 1)] != kept[_i(cell - 1)]) | (key[_i(cell + 1)] != kept[_i(cell + 1)])
    for c in range(cell - width - reach, cell - width + reach + 1):
        touched |= key[_i(c)] != kept[_i(c)]
        touched |= key[_i(c + 2 * width)] != kept[_i(c + 2 * width)]
    return touched


@inlined
def touches(grid, cell, number):
    """Return whether a cell has a neighbour in the region whose runs have numbers from `number` on."""
    stamp, reach = grid.stamp, 1 if grid.turn < 0 else 0
    found = (stamp[_i(cell - 1)] >= number) | (stamp[_i(cell + 1)] >= number)
    for offset in grid.rows:
        for c in range(cell + offset - reach, cell + offset + reach + 1):
            found |= stamp[_i(c)] >= number
    return found
