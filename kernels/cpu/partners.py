"""Partners: columns of two diagrams whose classes become the same class of a third function, over threads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..records import Pairs, Query, Tiling
from .framed import framed_windows
from .image.induced import allocate_induced, induce_images, write_keys
from .order import as_integers
from .records import Task, Windows
from .runtime.interrupt import halt_word, interruptible
from .runtime.jit import device, kernel
from .runtime.primitives import halted
from .runtime.threads import over_windows
from .windows import copy_windows, corner_of, position_in_grid

Array = NDArray[Any]
Partners = list[tuple[Array, Array]]

_NO_INDEX = np.empty((0, 2, 0), np.int64)
_LONG = {2: 1 << 22, 3: 1 << 18}  # pixels or voxels, which take about 0.1 s; see `interruptible`


def partners(
    images: tuple[Array, Array, Array | None],
    tiling: Tiling,
    query: Query,
    pairs: Sequence[Pairs[Array]],
    *,
    intersection: bool,
) -> Partners:
    """Match the persistence pairs of the windows of two images; see `gpuph.ops.partners`."""
    if len(tiling.window) == 3:
        raise NotImplementedError("Betti matchings of volumes are not implemented")
    return _partners(framed_windows(*images, tiling), len(tiling.window), query, pairs, intersection)


@interruptible(lambda windows, rank, *_: 2 * windows.number() * math.prod(windows.size) >= _LONG[rank])
def _partners(windows: Windows, rank: int, query: Query, pairs: Sequence[Pairs[Array]], intersection: bool) -> Partners:
    n, dims, size = windows.number(), query.v_dims(rank), windows.framed()
    task = Task(query.top, tuple([dim in dims for dim in range(rank)]), query.min_persistence, halt_word())
    index, count = [_NO_INDEX] * rank, [np.empty(0, np.int64)] * rank
    partner = [np.empty((0, 0), np.int64)] * rank
    for dim, found in zip(dims, pairs, strict=True):
        index[dim], count[dim] = found.index, found.count
        partner[dim] = np.full((2 * n, found.index.shape[2]), -1)
    job = tuple(windows), tuple(task), intersection, tuple(index), tuple(count), tuple(partner)
    dtype = windows.pred.dtype

    def run(start: int, stop: int) -> None:
        buffer = np.empty((2, *size), dtype)
        _match_images(job, buffer, as_integers(buffer), start, stop)

    over_windows(n, run)
    return [(partner[dim][:n], partner[dim][n:]) for dim in dims]


@kernel
def _match_images(job, buffer, bits, first, last):
    """Match the pairs of windows first, ..., last - 1 of images. buffer : see `persistence._find_in_images`."""
    of_windows, of_task, intersection, index, count, partner = job
    windows, task = Windows(*of_windows), Task(*of_task)
    scratch = np.empty((2, buffer.shape[3]), buffer.dtype)
    workspace = allocate_induced(windows, bits, task.top)
    size = workspace.a.key.size
    linked, column = np.empty((2, size), np.int32), np.zeros(size, np.int32)
    for i in range(first, last):
        if halted(task.halt):
            return
        if not _has_pairs(i, count):
            continue
        copy_windows(windows, i, buffer, scratch)
        write_keys(buffer, task, intersection, workspace)
        induce_images(buffer, task, intersection, workspace, linked)
        for dim in range(2):
            if task.wanted[dim]:
                _match_columns(
                    windows, i, dim == 1, task.top, index[dim], count[dim], linked[dim], column, partner[dim]
                )


@device
def _has_pairs(i, count):
    """Return whether window i has pairs in both images, in a dimension."""
    for dim in range(len(count)):
        n = len(count[dim]) // 2
        if n > 0 and count[dim][i] > 0 and count[dim][n + i] > 0:
            return True
    return False


@device
def _match_columns(windows, i, last, top, index, count, linked, column, partner):
    """Write the partners of window i in one dimension of V, the last one or the first.

    index : (2 N, 2, K) and count : (2 N,), as in `Pairs`. linked : see `induce_images`. column : (cells,), all 0.
    partner : (2 N, K), written.
    """
    n, columns, corner = len(count) // 2, index.shape[2], corner_of(windows, i)
    n_a, n_b = min(count[i], columns), min(count[n + i], columns)
    extremum = 1 if last != top else 0  # extrema are births or deaths
    essential = -1
    for j in range(n_b):
        found = index[n + i, extremum, j]
        if last == top and index[n + i, 1, j] < 0:
            essential = j
        elif found >= 0:
            column[position_in_grid(windows, corner, found)] = j + 1
    for j in range(n_a):
        found, k = index[i, extremum, j], -1
        if last == top and index[i, 1, j] < 0:
            k = essential
        elif found >= 0:
            there = linked[position_in_grid(windows, corner, found)]
            k = column[there] - 1 if there >= 0 else -1
        if k >= 0:
            partner[i, j], partner[n + i, k] = k, j
    for j in range(n_b):
        found = index[n + i, extremum, j]
        if found >= 0:
            column[position_in_grid(windows, corner, found)] = 0
