"""The grid in which carriers are found: a window inside a ring, the order of its pixels, and memory for searches.

Lowering a pixel and raising one are the same search in opposite directions. Of two pixels, the one further along the
direction is *beyond* the other: it is lower if the pixel is to be lowered, and higher otherwise.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..order import order_key
from ..runtime.jit import allocating, device, inlined
from ..runtime.jit import unsigned as _i
from ..runtime.sort import argsort, radix_buckets
from ..runtime.views import largest

Array = NDArray[Any]


class Tree(NamedTuple):
    """A spanning tree of pixels: of all paths between two of them, the one in the tree goes the least way back."""

    parent: Array  # (cells,) int32, -1 at the root
    eldest: Array  # (cells,) int32: the pixel farthest beyond, of all that come together at a pixel
    union: Array  # (cells,) int32: the classes of a union-find
    size: Array  # (cells,) int32: of these classes


class Sorting(NamedTuple):
    """Memory to sort the pixels of a window by their order keys."""

    keys: Array  # (pixels,)
    spare_keys: Array  # (pixels,)
    spare_order: Array  # (pixels,) int32
    buckets: Array  # see `radix_buckets`


class Field(NamedTuple):
    """A window in a grid with a ring, which stands for the outside: it is higher than all pixels.

    There is one vertex for the outside, at position 0.
    """

    value: Array  # (cells,) filtration, +inf on the ring
    rank: Array  # (cells,) int32: the place of a pixel in the filtration; that of the outside is last
    order: Array  # (pixels + 1,) int32: the inverse
    pixels: Array  # (pixels,) int32, positions of the pixels
    outside: Array  # (cells,) bool: True on the ring
    directions: Array  # (m, 3) int64, of the 8 or 26 neighbours of a pixel; those along an axis come first
    steps: Array  # (m,) int64: where these neighbours are
    sorting: Sorting
    trees: tuple[Tree, Tree]  # to lower pixels by, and to raise them
    planted: Array  # (2,) bool: whether the trees are those of the present window
    beyond: Array  # (cells,) int32, scratch of images: which neighbours of a pixel are beyond it
    component: Array  # (m,) int64, scratch: components of the link of a pixel
    path: Array  # (cells,) int32, scratch
    carrier: Array  # (cells,) int32: the pixels that have been found
    found: Array  # (cells,) int64: the last time that a pixel was found
    seen: Array  # (cells,) int64: the last time that a walk passed a pixel
    time: Array  # (1,) int64


class Pull(NamedTuple):
    """Where a pixel is pulled to."""

    pixel: int  # position in the grid
    goal: float
    sign: int  # -1 to lower the pixel, 1 to raise it
    full: bool  # whether diagonal neighbours connect pixels beyond it


@allocating
def allocate_field(window, bits, rank):
    """Return a field for windows (D, H, W), with their frames. rank : 2 for images, whose depth is 1.

    bits : the window as integers of the size of its floats.
    """
    shape = window.shape
    ring = 1 if rank == 3 else 0
    depth, height, width = shape[0] + 2 * ring, shape[1] + 2, shape[2] + 2
    cells, m = depth * height * width, 26 if rank == 3 else 8
    outside = np.ones(cells, np.bool_)
    outside.reshape(depth, height, width)[ring : depth - ring, 1:-1, 1:-1] = False
    pixels = np.flatnonzero(~outside).astype(np.int32)
    directions, steps, n = np.empty((m, 3), np.int64), np.empty(m, np.int64), 0
    for axes in range(1, rank + 1):
        for z in range(-ring, ring + 1):
            for y in range(-1, 2):
                for x in range(-1, 2):
                    if abs(z) + abs(y) + abs(x) == axes:
                        directions[n, 0], directions[n, 1], directions[n, 2] = z, y, x
                        steps[n] = (z * height + y) * width + x
                        n += 1
    numbers, times = np.zeros((12, cells), np.int32), np.zeros((2, cells), np.int64)
    keys = np.empty((2, pixels.size), bits.dtype)
    return Field(
        np.full(cells, np.inf, window.dtype),
        np.full(cells, pixels.size, np.int32),
        np.zeros(pixels.size + 1, np.int32),
        pixels,
        outside,
        directions,
        steps,
        Sorting(keys[0], keys[1], numbers[11, : pixels.size], radix_buckets()),
        (
            Tree(numbers[0], numbers[1], numbers[2], numbers[3]),
            Tree(numbers[4], numbers[5], numbers[6], numbers[7]),
        ),
        np.zeros(2, np.bool_),
        numbers[8],
        np.empty(m, np.int64),
        numbers[9],
        numbers[10],
        times[0],
        times[1],
        np.zeros(1, np.int64),
    )


@device
def enter(field, window, bits, top):
    """Copy a window (D, H, W) into the field and sort its pixels; of equal ones, the last is the least in T.

    bits : the same memory as integers.
    """
    values, of_bits = window.reshape(window.size), bits.reshape(bits.size)
    pixels, order, n, sorting = field.pixels, field.order, window.size, field.sorting
    for i in range(n):
        field.value[_i(pixels[i])] = values[_i(i)]
        sorting.keys[i] = order_key(of_bits[_i(n - 1 - i if top else i)], largest(bits.dtype), 0)
    argsort(sorting.keys, order[:n], sorting.spare_keys, sorting.spare_order, sorting.buckets)
    for i in range(n):
        p = pixels[_i(n - 1 - order[i] if top else order[i])]
        order[i], field.rank[_i(p)] = p, i
    order[n] = 0
    field.planted[:] = False


@inlined
def tick(field):
    """Return a time later than all before."""
    field.time[0] += 1
    return field.time[0]


@inlined
def number_of_neighbours(field, full):
    """Return how many neighbours of a pixel are connected to it: those along an axis, or all of them."""
    return field.steps.size if full else (6 if field.steps.size == 26 else 4)


@inlined
def is_beyond(field, sign, a, b):
    """Return whether position a is beyond b."""
    return sign * field.rank[_i(a)] > sign * field.rank[_i(b)]


@inlined
def is_short(field, pull, a):
    """Return whether the value at a position has not reached the goal."""
    return pull.sign * field.value[_i(a)] < pull.sign * pull.goal
