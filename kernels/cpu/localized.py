"""The localized filtration's pairs: windows of a prediction and of its truth, laid in frames, from floats to pairs.

A filtration is laid in memory that is used again for the next window, so that it stays in the cache.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .jit import device, kernel, over_windows
from .persistence import as_integers, joined, room_for_codes, room_of, spread, window_pairs, with_room
from .persistence3 import large, large_window
from .persistence3 import room_of as room_of_volume
from .persistence3 import window_pairs as volume_pairs
from .primitives import appended
from .windows import corner_of, fill_from_image, lay, lay_frame, windows_of

Array = NDArray[Any]


def localized(
    pred: Array,
    target: Array,
    height: Array | None,
    window: Sequence[int],
    stride: Sequence[int],
    border: bool,
    dims: Sequence[int],
    top: bool,
    capacity: int | None,
) -> tuple[Array, list[Array], list[Array], list[Array]]:
    """Pairs of critical pixels of the windows of two images (B, *image); see `gpuph.ops.localized`."""
    rank = pred.ndim - 1
    flat = 3 - rank  # axes of size 1 that images of two axes lack
    images = [x.reshape(len(x), *[1] * flat, *x.shape[1:]) for x in (pred, target)]
    sizes = *[1] * flat, *window
    margin = tuple(int(border and axis >= flat) for axis in range(3))
    shape = tuple(size + 2 * edge for size, edge in zip(sizes, margin, strict=True))
    up = np.empty((1, 0, 0, 0), pred.dtype) if height is None else height.reshape(len(height), *sizes)
    tiling = *images, up, sizes, (*[1] * flat, *stride), margin
    n = len(pred) * math.prod(windows_of.py_func(images[0].shape[1:], *tiling[3:5]))
    sides = [rank - 1 - dim if top else dim for dim in dims]
    wanted = tuple(side in sides for side in range(rank))

    def filtration() -> tuple[Array, Array, Any, Any]:
        x = np.empty((2, *shape), pred.dtype)
        return x, *as_integers(x, 0.0)

    def find(start: int, stop: int) -> tuple[Array, ...]:
        x, bits, infinity, threshold = filtration()
        rest = infinity, top, wanted, threshold
        found: tuple[Array, ...] = (
            _planes(*tiling, start, stop, x, bits, *rest)
            if rank == 2
            else _volumes(*tiling, start, stop, x, bits, *rest, room_of_volume(bits))
        )
        return found

    def find_in_large(i: int) -> tuple[Array, ...]:
        x, bits, infinity, threshold = filtration()
        lowest = np.array([_lay(*tiling, i, x)], x.dtype)
        parts = [large_window(*pair, infinity, top, wanted, threshold) for pair in zip(x, bits, strict=True)]
        status, *found = joined(parts)
        return lowest, status[:, None], *found

    parts = [find_in_large(i) for i in range(n)] if rank == 3 and large(n, window) else over_windows(n, find, 2)
    lowest, status, counts, *codes = joined(parts)
    index, value, count = [], [], []
    for k, image in enumerate(images):
        for side in sides:
            rows = counts[side].cumsum()[k::2], counts[side, k::2]  # truth follows prediction, window by window
            write = _writer(codes[side], *rows, image, *tiling[2:], shape, lowest)
            columns = spread(rows[1], pred.dtype, capacity, write)
            index.append(columns[0])
            value.append(columns[1])
            count.append(rows[1].copy())
    return status.ravel(), index, value, count


def _writer(codes: Array, ends: Array, counts: Array, *rest: Any) -> Callable[[slice, Array, Array], None]:
    """What fills a slice of the columns of one image, of `_fill`'s arguments."""

    def write(rows: slice, index: Array, value: Array) -> None:
        _fill(codes, ends[rows], counts[rows], *rest, rows.start, index, value)

    return write


@device
def _lay_pair(pred, target, height, window, stride, margin, i, x, least):
    """Lay window i of both images in x (2, D, H, W), in frames at their common minimum, which is returned.

    least : (columns of the window,), scratch.
    """
    size = pred.shape[1:]
    depth, rows, columns = windows_of(size, window, stride)
    image, place = divmod(i, depth * rows * columns)
    corner = corner_of(place, size, window, stride)
    up = height[i if len(height) > 1 else 0]
    lowest = lay(pred[image], corner, up, margin, x[0], least)
    lowest = min(lowest, lay(target[image], corner, up, margin, x[1], least))
    for k in range(2):
        lay_frame(x[k], margin, lowest)
    return lowest


@kernel
def _lay(pred, target, height, window, stride, margin, i, x):
    return _lay_pair(pred, target, height, window, stride, margin, i, x, np.empty(window[2], x.dtype))


@kernel
def _planes(pred, target, height, window, stride, margin, first, last, x, bits, infinity, top, wanted, min_persistence):
    """Pairs of windows first, ..., last - 1 of images (B, 1, H, W), prediction and truth in turn.

    height : (1 or windows, *window), or empty. x, bits : (2, 1, *framed window), used up. The rest as in `persistence`.
    Returns lowest (n,), status (2, n), counts (2, 2 n), and for each dimension of V the sorted codes in a row.
    """
    n = last - first
    lowest, status, counts = np.empty(n, x.dtype), np.zeros((2, n), np.int32), np.zeros((2, 2 * n), np.int64)
    least, room = np.empty(window[2], x.dtype), room_of(x[:, 0], bits[:, 0], top)
    size_0, size_1 = room_for_codes(x[:, 0], wanted)
    codes_0, codes_1 = np.empty(size_0, np.int64), np.empty(size_1, np.int64)
    used_0 = used_1 = 0
    for i in range(n):
        lowest[i] = _lay_pair(pred, target, height, window, stride, margin, first + i, x, least)
        for k in range(2):
            codes_0, codes_1 = with_room(codes_0, used_0, size_0), with_room(codes_1, used_1, size_1)
            n_0, n_1, status[k, i] = window_pairs(
                x[k, 0], bits[k, 0], infinity, top, wanted, min_persistence, room, codes_0[used_0:], codes_1[used_1:]
            )
            counts[0, 2 * i + k], counts[1, 2 * i + k] = n_0, n_1
            used_0 += n_0
            used_1 += n_1
    return lowest, status, counts, codes_0[:used_0], codes_1[:used_1]


@kernel
def _volumes(
    pred, target, height, window, stride, margin, first, last, x, bits, infinity, top, wanted, min_persistence, room
):
    """What `_planes` does, of images (B, D, H, W). room : of `persistence3.room_of`."""
    n = last - first
    lowest, status, counts = np.empty(n, x.dtype), np.zeros((2, n), np.int32), np.zeros((3, 2 * n), np.int64)
    codes_0, codes_1, codes_2 = np.empty(64, np.int64), np.empty(64, np.int64), np.empty(64, np.int64)
    used, least = np.zeros(3, np.int64), np.empty(window[2], x.dtype)
    for i in range(n):
        lowest[i] = _lay_pair(pred, target, height, window, stride, margin, first + i, x, least)
        for k in range(2):
            found_0, found_1, found_2, status[k, i] = volume_pairs(
                x[k], bits[k], infinity, top, wanted, min_persistence, room
            )
            codes_0, codes_1 = appended(codes_0, used[0], found_0), appended(codes_1, used[1], found_1)
            codes_2 = appended(codes_2, used[2], found_2)
            row = 2 * i + k
            counts[0, row], counts[1, row], counts[2, row] = found_0.size, found_1.size, found_2.size
            used += counts[:, row]
    return lowest, status, counts, codes_0[: used[0]], codes_1[: used[1]], codes_2[: used[2]]


@kernel
def _fill(codes, ends, counts, image, height, window, stride, margin, shape, lowest, first, index, value):
    """Spread codes over index and value (N, 2, K) of windows first, first + 1, ... of an image (B, D, H, W)."""
    size = image.shape[1:]
    depth, rows, columns = windows_of(size, window, stride)
    for i in range(counts.size):
        number, place = divmod(first + i, depth * rows * columns)
        corner = corner_of(place, size, window, stride)
        up = height[first + i if len(height) > 1 else 0]
        found = codes[ends[i] - counts[i] : ends[i]]
        low = lowest[first + i]
        fill_from_image(found, image[number], corner, up, margin, shape, low, index[i], value[i])
