"""Persistence: the windows of a batch, from floats to pairs, over threads.

A thread claims some windows at a time and lists their pairs, one window after the other. When all windows are done, the
largest number of pairs is known, and the lists are spread over the columns of the result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numba.extending import overload
from numpy.typing import NDArray

from ..records import Found, Pairs, Query, Tiling
from .image import persistence as image
from .image.emit import read_levels
from .image.gradient import as_integers
from .image.skeleton import skeleton as image_skeleton
from .records import Part, Results, Task, Windows
from .runtime.interrupt import halt_word, interruptible
from .runtime.jit import allocating, device, kernel
from .runtime.primitives import halted, with_room
from .runtime.threads import by_turns, on_threads, take
from .volume import persistence as volume
from .volume.skeleton import skeleton as volume_skeleton
from .windows import copy_windows, fill

Array = NDArray[Any]

_COLUMNS_PER_THREAD = 32_768  # of the result; fewer are not worth a thread
_SPARE = 8_192  # pixels, which take 3 to 120 us; see `by_turns`
_LONG = {2: 1 << 22, 3: 1 << 18}  # pixels or voxels, which take about 0.1 s; see `interruptible`


def persistence(x: Array, query: Query) -> Found[Array]:
    """Compute the persistence pairs of N windows; see `gpuph.ops.persistence`."""
    shape = x.shape[1:]
    return find_pairs([x], None, Tiling(shape, shape, shape, border=False), query)


def skeleton(x: Array, min_persistence: float, manifolds: Sequence[int]) -> Array:
    """Mark the descending manifolds of the saddles of N windows; see `gpuph.ops.skeleton`."""
    on_rank = image_skeleton if x.ndim == 3 else volume_skeleton
    return on_rank(x, min_persistence, manifolds)


def _is_long(images: Sequence[Array], height: Array | None, tiling: Tiling, query: Query) -> bool:
    pixels = len(images) * len(images[0]) * tiling.windows() * math.prod(tiling.window)
    return pixels >= _LONG[len(tiling.window)]


@interruptible(_is_long)
def find_pairs(images: Sequence[Array], height: Array | None, tiling: Tiling, query: Query) -> Found[Array]:
    """Compute the persistence pairs of the windows of one image, or of a prediction and its truth.

    All windows of the truth follow all of the prediction in the result.
    """
    rank, n, k = len(tiling.window), len(images[0]) * tiling.windows(), len(images)
    dims = query.v_dims(rank)
    windows = _windows(images, height, tiling)
    task = Task(query.top, tuple([dim in dims for dim in range(rank)]), query.min_persistence, halt_word())
    results = Results(np.empty((n, k), np.int32), np.empty((rank, n, k), np.int64))
    size = tuple([size + 2 * edge for size, edge in zip(windows.size, windows.frame, strict=True)])
    shape = k if windows.copied else 0, *size
    keys = as_integers(images[0]).dtype

    def run(taken: Array, stop: int) -> Part:
        buffer = np.empty(shape, images[0].dtype)
        part: Part
        if rank == 2:
            part = _find_in_images(windows, buffer, as_integers(buffer), task, results, taken, stop)
        else:
            workspace = volume.allocate_workspace(size, keys)
            part = _find_in_volumes(windows, buffer, workspace, task, results, taken, stop)
        return part

    if rank == 3 and volume.is_large(n, tiling.window):
        parts = [_find_on_threads(windows, np.empty(shape, images[0].dtype), task, results, i) for i in range(n)]
    else:
        parts = by_turns(n, run, least=4 // k if rank == 2 else 1, spare=_SPARE // (k * math.prod(size)))
    return Found(results.status.T.ravel(), [_spread(windows, parts, results, dim, query.capacity) for dim in dims])


def _windows(images: Sequence[Array], height: Array | None, tiling: Tiling) -> Windows:
    """Return where the windows come from, with three axes in all arrays."""
    flat = [1] * (3 - len(tiling.window))  # axes of size 1 that images of two axes lack
    volumes = [x.reshape(len(x), *flat, *tiling.image) for x in images]
    pred, target = volumes if len(volumes) == 2 else (volumes[0], volumes[0][:0])
    size, stride, counts = [(*flat, *axes) for axes in (tiling.window, tiling.stride, tiling.counts())]
    frame = (*[0] * len(flat), *[int(tiling.border)] * len(tiling.window))
    pixels, slopes = np.empty((0, 0, 0, 0), pred.dtype), np.empty((0, 3), pred.dtype)
    if height is not None and height.ndim == 2:
        slopes = np.zeros((len(height), 3), pred.dtype)
        slopes[:, len(flat) :] = height
    elif height is not None:
        pixels = height.reshape(len(height), *size)
    copied = len(images) > 1 or height is not None or tiling.border or tiling.window != tiling.image
    return Windows(pred, target, pixels, slopes, size, stride, counts, frame, copied)


@kernel
def _find_in_images(windows, buffer, bits, task, results, taken, stop):
    """Find the pairs of the windows of images; see `_find_in_windows`. bits : the buffer as integers."""
    workspace = image.allocate_workspace(windows, bits, task.top)
    return _find_in_windows(windows, buffer, workspace, task, results, taken, stop)


@kernel
def _find_in_volumes(windows, buffer, workspace, task, results, taken, stop):
    """Find the pairs of the windows of volumes; see `_find_in_windows`."""
    return _find_in_windows(windows, buffer, workspace, task, results, taken, stop)


@allocating
def _find_in_windows(windows, buffer, workspace, task, results, taken, stop):
    """Find the pairs of the windows that this thread claims, and return them as a Part.

    buffer : (K, *framed window), for one window after the other, so that it stays in the cache; not used for windows
    that are not copied. workspace : of the windows' rank. taken, stop : see `take`. Written: the rows of `results`.
    """
    status, counts = results
    n, n_images = status.shape
    mine, codes, levels, n_mine, used = np.empty(n, np.int64), np.empty(64, np.int64), np.empty(128, buffer.dtype), 0, 0
    scratch = np.empty((2, buffer.shape[3]), buffer.dtype)
    first, last = take(taken, n, stop)
    while first < n and not halted(task.halt):
        for i in range(first, last):
            if windows.copied:
                copy_windows(windows, i, buffer, scratch)
            for k in range(n_images):
                window = buffer[k] if windows.copied else windows.pred[i]
                codes, status[i, k] = _append_pairs(window, task, workspace, codes, used, counts[:, i, k])
                found = counts[:, i, k].sum()
                levels = with_room(levels, 2 * used, 2 * found)
                read_levels(codes[used : used + found], window.reshape(-1), levels[2 * used :])
                used += found
            mine[n_mine] = i
            n_mine += 1
        first, last = take(taken, n, stop)
    return Part(mine[:n_mine], codes[:used], levels[: 2 * used])


def _append_pairs(window, task, workspace, codes, used, counts):
    """Append the pairs of a window to a list of codes; see `append_pairs` of images and volumes."""
    rank = image if isinstance(workspace, image.Workspace) else volume
    return rank.append_pairs(window, task, workspace, codes, used, counts)


@overload(_append_pairs, jit_options={"nogil": True, "error_model": "numpy"})
def _choose_append_pairs(window, task, workspace, codes, used, counts):
    if workspace.instance_class is image.Workspace:
        return lambda window, task, workspace, codes, used, counts: image.append_pairs(
            window, task, workspace, codes, used, counts
        )
    return lambda window, task, workspace, codes, used, counts: volume.append_pairs(
        window, task, workspace, codes, used, counts
    )


def _find_on_threads(windows: Windows, buffer: Array, task: Task, results: Results, i: int) -> Part:
    """Find the pairs of window i, a volume, with several threads at each of its stages."""
    if windows.copied:
        _copy(windows, i, buffer)
    codes, levels = [], []
    for k in range(results.status.shape[1]):
        window = buffer[k] if windows.copied else windows.pred[i]
        found, results.status[i, k] = volume.find_pairs_on_threads(window, task)
        results.counts[:, i, k] = [len(some) for some in found]
        codes.append(np.concatenate(found))
        levels.append(_levels(codes[-1], window))
    return Part(np.array([i]), np.concatenate(codes), np.concatenate(levels))


@kernel
def _copy(windows, i, buffer):
    """Copy window i of each image; see `copy_windows`."""
    copy_windows(windows, i, buffer, np.empty((2, buffer.shape[3]), buffer.dtype))


@kernel
def _levels(codes, window):
    """Return the values of births and deaths in turn; see `read_levels`."""
    levels = np.empty(2 * codes.size, window.dtype)
    read_levels(codes, window.reshape(-1), levels)
    return levels


def _spread(windows: Windows, parts: Sequence[Part], results: Results, dim: int, capacity: int | None) -> Pairs[Array]:
    """Spread the pairs of one dimension of V over the columns of the result."""
    counts = results.counts[dim].T.ravel()
    columns = int(counts.max(initial=0)) if capacity is None else capacity
    index = np.empty((len(counts), 2, columns), np.int64)
    value = np.empty(index.shape, windows.pred.dtype)
    todo = iter(parts)

    def run() -> None:
        for part in todo:
            _fill(windows, part, results.counts, dim, index, value)

    on_threads(min(len(parts), index.size // _COLUMNS_PER_THREAD), run)
    return Pairs(index, value, counts)


@kernel
def _fill(windows, part, counts, dim, index, value):
    """Write the pairs of a part in one dimension of V into index and value (K N, 2, columns)."""
    _fill_rows(windows, part, counts, dim, index, value)


@device
def _fill_rows(windows, part, counts, dim, index, value):
    dims, n, n_images = counts.shape
    used = 0
    for i in part.windows:
        for k in range(n_images):
            for d in range(dims):
                stop = used + counts[d, i, k]
                if d == dim:
                    row = k * n + i
                    fill(windows, i, part.codes[used:stop], part.levels[2 * used : 2 * stop], index[row], value[row])
                used = stop
