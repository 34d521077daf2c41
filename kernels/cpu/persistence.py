"""Persistence: the windows of a batch, from floats to lists of pairs, over threads.

A thread claims some windows at a time and lists their pairs, one window after the other. When all windows are done, the
largest number of pairs is known, and `columns` writes the lists to the columns of the result.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..records import Comparison, Found, Query
from .columns import fill_columns, in_order_of_result
from .image import persistence as image
from .image.emit import read_levels
from .image.tiles import persistence as tiles
from .order import as_integers
from .partners import match_in_images, match_in_volumes, match_volumes
from .records import Part, Results, Task, Windows
from .runtime.interrupt import halt_word, interruptible
from .runtime.jit import device, inlined, kernel, zero
from .runtime.primitives import halted, with_room
from .runtime.threads import claim_windows, run_dynamic
from .runtime.views import flat
from .volume import persistence as volume
from .windows import copy_windows

Array = NDArray[Any]

_SPARE = 8_192  # pixels, which take 3 to 120 us; see `run_dynamic`
NOTHING = {  # heights and slopes that add nothing to windows, by dtype
    np.dtype(dtype): (np.empty((0, 0, 0, 0), dtype), np.empty((0, 3), dtype)) for dtype in (np.float32, np.float64)
}
_LONG = {2: 1 << 22, 3: 1 << 18}  # pixels or voxels, which take about 0.1 s; see `interruptible`


def persistence(x: Array, query: Query) -> Found[Array]:
    """Compute the persistence pairs of N windows; see `gpuph.ops.persistence`."""
    size = x.shape[1:] if x.ndim == 4 else (1, *x.shape[1:])
    pred, nothing = x.reshape(len(x), *size), NOTHING[x.dtype]
    windows = Windows(pred, pred[:0], *nothing, size, size, (1, 1, 1), (0, 0, 0), False)
    found, _ = find_pairs(windows, x.ndim - 1, query)
    return found


def _is_long(windows: Windows, rank: int, *_: object) -> bool:
    return windows.images() * windows.number() * math.prod(windows.size) >= _LONG[rank]


@interruptible(_is_long)
def find_pairs(
    windows: Windows, rank: int, query: Query, comparison: Comparison | None = None
) -> tuple[Found[Array], list[Array]]:
    """Compute the persistence pairs of windows of that rank, 2 or 3, and their partners if there is a comparison.

    In the result, the windows of the truth follow those of the prediction. Partners are an int64 array for each
    dimension of the query: for each pair the column of its partner in the diagram of the other image, or -1.
    """
    n, k, dtype = windows.number(), windows.images(), windows.pred.dtype
    dims, size = query.v_dims(rank), windows.framed()
    wanted = (0 in dims, 1 in dims) if rank == 2 else (0 in dims, 1 in dims, 2 in dims)
    task = Task(query.top, wanted, query.min_persistence, halt_word())
    results = Results(np.empty((n, k), np.int32), np.empty((rank, n, k), np.int64))
    shape = k if windows.copied else 0, *size
    # Kernels take plain tuples, because Numba recognizes their types faster than those of records.
    job = tuple(windows), tuple(task), tuple(results)

    def run(taken: Array, stop: int) -> Part:
        buffer = np.empty(shape, dtype)
        bits = as_integers(buffer)
        if comparison is None and rank == 2:
            return Part(*_find_in_images(job, buffer, bits, taken, stop))
        if comparison is None:
            workspace = tuple(volume.allocate_workspace(size, bits.dtype))
            return Part(*_find_in_volumes(job, buffer, workspace, taken, stop))
        intersection, on_cells = comparison
        if rank == 2:
            return Part(*match_in_images(job, intersection, on_cells or None, buffer, bits, taken, stop))
        memory = tuple([tuple(volume.allocate_workspace(size, bits.dtype)) for _ in range(3)])
        return Part(*match_in_volumes(job, intersection, buffer, memory, taken, stop))

    in_tiles = rank == 2 and comparison is None and tiles.is_large(size)
    if in_tiles or (rank == 3 and volume.is_large(n, windows.size)):
        buffer = np.empty(shape, dtype)
        parts = [_find_on_threads(windows, buffer, task, comparison, results, i) for i in range(n)]
    else:
        parts = run_dynamic(n, run, least=4 // k if rank == 2 else 1, spare=_SPARE // (k * math.prod(size)))
    pairs, partners = fill_columns(
        windows, parts, results.counts, dims, query.capacity, compared=comparison is not None
    )
    return Found(in_order_of_result(results.status), pairs), partners


# Images and volumes have separate loops, because they allocate codes in different places. Passing the workspace of an
# image to a function that allocates would count references to 25 arrays: a tenth of the time of a smooth window.


@kernel
def _find_in_images(job, buffer, bits, taken, stop):
    """Find the pairs of the windows of images that this thread claims, and return the fields of a `Part`.

    buffer : (K, *framed window), for one window after the other, so that it stays in the cache; bits : the same memory
    as integers. Windows that are not copied do not use it. taken, stop : see `claim_windows`. Written: the rows of the
    results.
    """
    of_windows, of_task, of_results = job
    windows, task, results = Windows(*of_windows), Task(*of_task), Results(*of_results)
    status, counts = results
    n, n_images = status.shape
    workspace, scratch = image.allocate_workspace(windows, bits, task.top), np.empty((2, buffer.shape[3]), buffer.dtype)
    room = image.room_for_codes(task, workspace)
    mine, codes, levels, n_mine, used = np.empty(n, np.int64), np.empty(room, np.int64), scratch[0][:0], zero, zero
    first, last = claim_windows(taken, n, stop)
    while first < n and not halted(task.halt):
        for i in range(first, last):
            if windows.copied:
                copy_windows(windows, i, buffer, scratch)
            for k in range(n_images):
                if used + room > codes.size:
                    codes = with_room(codes, used, room)
                if windows.copied:
                    levels = with_room(levels, 2 * used, 2 * room)
                n_0, n_1, status[i, k] = _find_in_image(windows, i, buffer, k, task, workspace, codes, levels, used)
                counts[0, i, k], counts[1, i, k] = n_0, n_1
                used += n_0 + n_1
            mine[n_mine] = i
            n_mine += 1
        first, last = claim_windows(taken, n, stop)
    return mine[:n_mine], codes[:used], levels[: 2 * used]


@inlined
def _find_in_image(windows, i, buffer, k, task, workspace, codes, levels, used):
    """Write codes and levels of window i of image k after those in use; see `image.persistence.find_pairs`."""
    window = buffer[k] if windows.copied else windows.pred[i]
    n_0, n_1, status = image.find_pairs(window, task, workspace, codes, used)
    if windows.copied:
        _append_levels(codes, used, n_0 + n_1, window, levels)
    return n_0, n_1, status


@kernel
def _find_in_volumes(job, buffer, memory, taken, stop):
    """Find the pairs of the windows of volumes that this thread claims; see `_find_in_images`."""
    of_windows, of_task, of_results = job
    windows, task, results = Windows(*of_windows), Task(*of_task), Results(*of_results)
    workspace = volume.VolumeWorkspace(*memory)
    status, counts = results
    n, n_images = status.shape
    scratch = np.empty((2, buffer.shape[3]), buffer.dtype)
    mine, codes, levels, n_mine, used = np.empty(n, np.int64), np.empty(64, np.int64), scratch[0][:0], zero, zero
    first, last = claim_windows(taken, n, stop)
    while first < n and not halted(task.halt):
        for i in range(first, last):
            if windows.copied:
                copy_windows(windows, i, buffer, scratch)
            for k in range(n_images):
                window = buffer[k] if windows.copied else windows.pred[i]
                codes, found, status[i, k] = volume.append_pairs(window, task, workspace, codes, used, counts[:, i, k])
                if windows.copied:
                    levels = with_room(levels, 2 * used, 2 * found)
                    _append_levels(codes, used, found, window, levels)
                used += found
            mine[n_mine] = i
            n_mine += 1
        first, last = claim_windows(taken, n, stop)
    return mine[:n_mine], codes[:used], levels[: 2 * used]


@device
def _append_levels(codes, used, found, window, levels):
    """Write the levels of the `found` codes after the first `used`."""
    read_levels(codes[used : used + found], flat(window), levels[2 * used :])


def _find_on_threads(
    windows: Windows, buffer: Array, task: Task, comparison: Comparison | None, results: Results, i: int
) -> Part:
    """Find the pairs of window i, which is large, on all threads, and match them on one thread."""
    if windows.copied:
        _copy(windows, i, buffer)
    pair = tuple(buffer) if windows.copied else tuple([x[i] for x in (windows.pred, windows.target) if len(x)])
    codes, levels = [], []
    find = volume.find_pairs_on_threads if len(task.wanted) == 3 else tiles.find_pairs_in_tiles
    for k, window in enumerate(pair):
        found, results.status[i, k] = find(window, task)
        results.counts[:, i, k] = [len(some) for some in found]
        codes.append(np.concatenate(found))
        levels.append(_levels(codes[-1] if windows.copied else codes[-1][:0], window))
    part = Part(np.array([i]), np.concatenate(codes), np.concatenate(levels))
    if comparison is None:
        return part
    key, counts = as_integers(buffer).dtype, np.ascontiguousarray(results.counts[:, i])
    memory = tuple([tuple(volume.allocate_workspace(pair[0].shape, key)) for _ in range(3)])
    partners = match_volumes(pair, tuple(task), comparison.intersection, memory, counts, part.codes)
    return part._replace(partners=partners)


@kernel
def _copy(windows, i, buffer):
    """Copy window i of each image; see `copy_windows`."""
    copy_windows(windows, i, buffer, np.empty((2, buffer.shape[3]), buffer.dtype))


@kernel
def _levels(codes, window):
    """Return the values of births and deaths in turn; see `read_levels`."""
    levels = np.empty(2 * codes.size, window.dtype)
    read_levels(codes, flat(window), levels)
    return levels
