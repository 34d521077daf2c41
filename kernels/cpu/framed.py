"""The localized filtration's pairs: windows of a prediction and of its truth, laid in frames, from floats to pairs.

A filtration is laid in memory that is used again for the next window, so that it stays in the cache. What the pairs
need of it is read before: a thread's part has, for each dimension of V, their codes in a row and their levels.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..records import Found, Query, Tiling
from .image.emit import read
from .image.persistence import SPARE, Part, as_integers, room_for_codes, room_of, spread, window_pairs, with_room
from .runtime.interrupt import halt_word, interruptible
from .runtime.jit import device, kernel
from .runtime.primitives import appended, halted
from .runtime.threads import by_turns, take
from .volume.persistence import large, large_window
from .volume.persistence import room_of as room_of_volume
from .volume.persistence import window_pairs as volume_pairs
from .windows import corner_of, fill_from_image, lay, lay_frame, windows_of

Array = NDArray[Any]


def _is_long(pred: Array, target: Array, height: Array | None, tiling: Tiling, query: Query) -> bool:
    """See `interruptible`; 2^22 pixels, or 2^18 voxels, take about 0.1 s."""
    pixels = 2 * len(pred) * tiling.windows() * math.prod(tiling.window)
    return pixels >= (1 << 22 if len(tiling.window) == 2 else 1 << 18)


@interruptible(_is_long)
def framed_persistence(pred: Array, target: Array, height: Array | None, tiles: Tiling, query: Query) -> Found[Array]:
    """Compute the persistence pairs of the windows of two images (B, *image); see `gpuph.ops.framed_persistence`."""
    _, window, stride, border = tiles
    dims, top, _, capacity = query
    rank = pred.ndim - 1
    flat = 3 - rank  # axes of size 1 that images of two axes lack
    images = [x.reshape(len(x), *[1] * flat, *x.shape[1:]) for x in (pred, target)]
    sizes = *[1] * flat, *window
    margin = tuple(int(border and axis >= flat) for axis in range(3))
    shape = tuple(size + 2 * edge for size, edge in zip(sizes, margin, strict=True))
    tiling = *images, _height(height, sizes, pred.dtype), sizes, (*[1] * flat, *stride), margin
    n = len(pred) * tiles.windows()
    sides = [rank - 1 - dim if top else dim for dim in dims]
    rules = top, tuple(side in sides for side in range(rank)), 0.0
    # Of each window's prediction and truth.
    status, counts = np.empty((n, 2), np.int32), np.empty((rank, n, 2), np.int64)
    halt = halt_word()

    def run(taken: Array, stop: int) -> Part:
        x = np.empty((2, *shape), pred.dtype)
        bits, rest = as_integers(x), (status, counts, halt, taken, stop)
        part: Part = (
            _planes(tiling, rules, x, bits, *rest)
            if rank == 2
            else _volumes(tiling, rules, x, bits, room_of_volume(bits), *rest)
        )
        return part

    def run_large(i: int) -> Part:
        x = np.empty((2, *shape), pred.dtype)
        bits = as_integers(x)
        _lay(tiling, i, x)
        shared = status.reshape(-1), counts.reshape(rank, -1)
        pair = [large_window(x[k], bits[k], *rules, 2 * i + k, *shared)[1:] for k in range(2)]
        both = [*zip(*pair, strict=True)]  # for each side, the prediction's codes and the truth's
        return np.array([i]), *((np.concatenate(c), np.concatenate([*map(_levels, c, x)])) for c in both)

    parts = (
        [run_large(i) for i in range(n)]
        if rank == 3 and large(n, window)
        else by_turns(n, run, 2, SPARE // (2 * math.prod(shape)))
    )
    # In the result, all windows of the truth follow all of the prediction.
    pairs = [
        spread(parts, side, counts[side].T.ravel(), pred.dtype, capacity, partial(_fill, tiling, shape, counts[side]))
        for side in sides
    ]
    return Found(status.T.ravel(), pairs)


def _height(height: Array | None, sizes: tuple[int, ...], dtype: Any) -> Array:
    """The height function for windows of three axes, as `lay` takes it."""
    if height is None:
        return np.empty((1, 0, 0, 0), dtype)
    if height.ndim > 2:
        return height.reshape(len(height), *sizes)
    slopes = np.zeros((len(height), 3), dtype)
    slopes[:, 3 - height.shape[1] :] = height
    return slopes


@device
def _place(tiling, i):
    """Number of the image that window i is cut from, where it begins there, and what is added to it."""
    pred, _, height, window, stride, _ = tiling
    size = pred.shape[1:]
    depth, rows, columns = windows_of(size, window, stride)
    image, place = divmod(i, depth * rows * columns)
    return image, corner_of(place, size, window, stride), height[i if len(height) > 1 else 0]


@device
def _lay_pair(tiling, i, x, scratch):
    """Lay window i of both images in x (2, D, H, W), in frames at their common minimum.

    scratch : (2, columns of the window).
    """
    pred, target, _, _, _, margin = tiling
    image, corner, up = _place(tiling, i)
    lowest = lay(pred[image], corner, up, margin, x[0], scratch[0], scratch[1])
    lowest = min(lowest, lay(target[image], corner, up, margin, x[1], scratch[0], scratch[1]))
    for k in range(2):
        lay_frame(x[k], margin, lowest)


@kernel
def _lay(tiling, i, x):
    _lay_pair(tiling, i, x, np.empty((2, tiling[3][2]), x.dtype))


@kernel
def _planes(tiling, rules, x, bits, status, counts, halt, taken, stop):
    """Pairs of the windows of images (B, 1, H, W) that this thread takes, prediction and truth in turn.

    tiling : the images; the heights, (1 or windows, *window), or (1 or windows, 3) slopes, or empty; sizes of windows,
    strides and margins. rules : as `persistence.window_pairs` has them. x, bits : (2, 1, *framed window), used up.
    halt : see `halted`. Written: status (n, 2), counts (2, n, 2).
    Returns the windows, and for each dimension of V the sorted codes in a row and their levels.
    """
    n, used_0, used_1, n_mine = len(status), 0, 0, 0
    top, wanted, _ = rules
    mine, scratch, room = np.empty(n, np.int64), np.empty((2, tiling[3][2]), x.dtype), room_of(x[:, 0], bits[:, 0], top)
    size_0, size_1 = room_for_codes(x[:, 0], wanted)
    codes_0, codes_1 = np.empty(size_0, np.int64), np.empty(size_1, np.int64)
    levels_0, levels_1 = np.empty(2 * size_0, x.dtype), np.empty(2 * size_1, x.dtype)
    first, last = take(taken, n, stop)
    while first < n and not halted(halt):
        for i in range(first, last):
            _lay_pair(tiling, i, x, scratch)
            for k in range(2):
                codes_0, codes_1 = with_room(codes_0, used_0, size_0), with_room(codes_1, used_1, size_1)
                n_0, n_1, status[i, k] = window_pairs(
                    x[k, 0], bits[k, 0], *rules, room, codes_0[used_0:], codes_1[used_1:], halt
                )
                levels_0 = with_room(levels_0, 2 * used_0, 2 * size_0)
                levels_1 = with_room(levels_1, 2 * used_1, 2 * size_1)
                values = x[k].reshape(x[k].size)
                read(codes_0[used_0 : used_0 + n_0], values, levels_0[2 * used_0 :])
                read(codes_1[used_1 : used_1 + n_1], values, levels_1[2 * used_1 :])
                counts[0, i, k], counts[1, i, k] = n_0, n_1
                used_0 += n_0
                used_1 += n_1
            mine[n_mine] = i
            n_mine += 1
        first, last = take(taken, n, stop)
    return mine[:n_mine], (codes_0[:used_0], levels_0[: 2 * used_0]), (codes_1[:used_1], levels_1[: 2 * used_1])


@kernel
def _volumes(tiling, rules, x, bits, room, status, counts, halt, taken, stop):
    """What `_planes` does, of images (B, D, H, W). room : of `persistence3.room_of`."""
    n, n_mine = len(status), 0
    mine, scratch, used = np.empty(n, np.int64), np.empty((2, tiling[3][2]), x.dtype), np.zeros(3, np.int64)
    codes_0, codes_1, codes_2 = np.empty(64, np.int64), np.empty(64, np.int64), np.empty(64, np.int64)
    levels_0, levels_1, levels_2 = np.empty(64, x.dtype), np.empty(64, x.dtype), np.empty(64, x.dtype)
    first, last = take(taken, n, stop)
    while first < n and not halted(halt):
        for i in range(first, last):
            _lay_pair(tiling, i, x, scratch)
            for k in range(2):
                found_0, found_1, found_2, status[i, k] = volume_pairs(x[k], bits[k], *rules, room, halt)
                codes_0, codes_1 = appended(codes_0, used[0], found_0), appended(codes_1, used[1], found_1)
                codes_2 = appended(codes_2, used[2], found_2)
                levels_0 = appended(levels_0, 2 * used[0], _levels(found_0, x[k]))
                levels_1 = appended(levels_1, 2 * used[1], _levels(found_1, x[k]))
                levels_2 = appended(levels_2, 2 * used[2], _levels(found_2, x[k]))
                counts[0, i, k], counts[1, i, k], counts[2, i, k] = found_0.size, found_1.size, found_2.size
                used += counts[:, i, k]
            mine[n_mine] = i
            n_mine += 1
        first, last = take(taken, n, stop)
    found_0, found_1 = (codes_0[: used[0]], levels_0[: 2 * used[0]]), (codes_1[: used[1]], levels_1[: 2 * used[1]])
    return mine[:n_mine], found_0, found_1, (codes_2[: used[2]], levels_2[: 2 * used[2]])


@kernel
def _levels(codes, x):
    """What `read` writes, of a window x (D, H, W)."""
    levels = np.empty(2 * codes.size, x.dtype)
    read(codes, x.reshape(x.size), levels)
    return levels


@kernel
def _fill(tiling, shape, counts, windows, found, index, value):
    """Spread codes and levels over the rows of some windows in index and value (2 N, 2, K).

    The truth's rows follow the prediction's. counts : (N, 2).
    """
    _fill_rows(tiling, shape, counts, windows, found, index, value)


@device
def _fill_rows(tiling, shape, counts, windows, found, index, value):
    image, margin, (codes, levels), used = tiling[0].shape[1:], tiling[5], found, 0
    for i in windows:
        corner = _place(tiling, i)[1]
        for k in range(2):
            row, stop = k * len(counts) + i, used + counts[i, k]
            pairs = codes[used:stop], levels[2 * used : 2 * stop]
            fill_from_image(*pairs, corner, image, margin, shape, index[row], value[row])
            used = stop
