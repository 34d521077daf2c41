"""Partners: columns of two diagrams whose classes become the same class of a third function, over threads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..records import Comparison, Pairs, Query, Tiling
from .framed import framed_windows
from .image.induced import allocate_induced, induce_images, write_keys
from .image.induced_cells import induce_on_cells
from .order import as_integers
from .records import Task, Windows
from .runtime.interrupt import halt_word, interruptible
from .runtime.jit import allocating, device, kernel
from .runtime.primitives import halted
from .runtime.threads import over_windows
from .volume.induced import induce_volumes
from .volume.persistence import VolumeWorkspace, allocate_workspace
from .windows import copy_windows, corner_of, index_in_image, position_in_grid

Array = NDArray[Any]
Partners = list[tuple[Array, Array]]

_NO_INDEX = np.empty((0, 2, 0), np.int64)
_LONG = {2: 1 << 22, 3: 1 << 18}  # pixels or voxels, which take about 0.1 s; see `interruptible`


def partners(
    images: tuple[Array, Array, Array | None],
    tiling: Tiling,
    query: Query,
    pairs: Sequence[Pairs[Array]],
    comparison: Comparison,
) -> Partners:
    """Match the persistence pairs of the windows of two images; see `gpuph.ops.partners`."""
    return _partners(framed_windows(*images, tiling), len(tiling.window), query, pairs, comparison)


@interruptible(lambda windows, rank, *_: 2 * windows.number() * math.prod(windows.size) >= _LONG[rank])
def _partners(
    windows: Windows, rank: int, query: Query, pairs: Sequence[Pairs[Array]], comparison: Comparison
) -> Partners:
    n, dims, size = windows.number(), query.v_dims(rank), windows.framed()
    task = Task(query.top, tuple([dim in dims for dim in range(rank)]), query.min_persistence, halt_word())
    index, count = [_NO_INDEX] * rank, [np.empty(0, np.int64)] * rank
    partner = [np.empty((0, 0), np.int64)] * rank
    for dim, found in zip(dims, pairs, strict=True):
        index[dim], count[dim] = found.index, found.count
        partner[dim] = np.full((2 * n, found.index.shape[2]), -1)
    job = tuple(windows), tuple(task), comparison.intersection, tuple(index), tuple(count), tuple(partner)
    dtype = windows.pred.dtype

    def run(start: int, stop: int) -> None:
        buffer = np.empty((2, *size), dtype)
        bits = as_integers(buffer)
        if comparison.on_cells:
            _match_on_cells(job, buffer, bits, start, stop)
        elif rank == 2:
            _match_images(job, buffer, bits, start, stop)
        else:
            memory = tuple([tuple(allocate_workspace(size, bits.dtype)) for _ in range(3)])
            _match_volumes(job, buffer, memory, start, stop)

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
    i = _copy_next(first, last, windows, task, count, buffer, scratch)
    while i < last:
        write_keys(buffer, task, intersection, workspace)
        induce_images(buffer, task, intersection, workspace, linked)
        _match_dims(windows, i, task, index, count, linked, column, partner)
        i = _copy_next(i + 1, last, windows, task, count, buffer, scratch)


@kernel
def _match_on_cells(job, buffer, bits, first, last):
    """Match the pairs of windows first, ..., last - 1 of images, also those whose image is empty.

    This is a kernel of its own, because it is rarely needed, and would be compiled with the other one.
    """
    of_windows, of_task, intersection, index, count, partner = job
    windows, task = Windows(*of_windows), Task(*of_task)
    scratch = np.empty((2, buffer.shape[3]), buffer.dtype)
    workspace = allocate_induced(windows, bits, task.top)
    size = workspace.a.key.size
    linked, column = np.empty((2, size), np.int32), np.zeros(size, np.int32)
    i = _copy_next(first, last, windows, task, count, buffer, scratch)
    while i < last:
        write_keys(buffer, task, intersection, workspace)
        induce_on_cells((buffer.shape[2] + 2, buffer.shape[3] + 2), task.wanted, workspace, linked, task.halt)
        _match_dims(windows, i, task, index, count, linked, column, partner)
        i = _copy_next(i + 1, last, windows, task, count, buffer, scratch)


@device
def _match_dims(windows, i, task, index, count, linked, column, partner):
    """Write the partners of window i, of images, in each dimension that is wanted; see `_match_columns`."""
    for dim in range(2):
        if task.wanted[dim]:
            _match_columns(windows, i, 0, dim == 1, task.top, index[dim], count[dim], linked[dim], column, partner[dim])


@kernel
def _match_volumes(job, buffer, memory, first, last):
    """Match the pairs of windows first, ..., last - 1 of volumes. memory : of three workspaces."""
    of_windows, of_task, intersection, index, count, partner = job
    windows, task = Windows(*of_windows), Task(*of_task)
    a, b, both = memory
    workspaces = VolumeWorkspace(*a), VolumeWorkspace(*b), VolumeWorkspace(*both)
    scratch, size = np.empty((2, buffer.shape[3]), buffer.dtype), workspaces[0].known.size
    linked, column = np.empty((2, size), np.int32), np.zeros(size, np.int32)
    i = _copy_next(first, last, windows, task, count, buffer, scratch)
    while i < last:
        loops = induce_volumes(buffer, task, intersection, workspaces, linked)
        if halted(task.halt):
            return
        if task.wanted[1]:
            _match_loops(windows, i, task.top, index[1], count[1], loops, column, partner[1])
        for end in range(2):
            dim = 2 * end
            if task.wanted[dim]:
                _match_columns(
                    windows, i, 1, end == 1, task.top, index[dim], count[dim], linked[end], column, partner[dim]
                )
        i = _copy_next(i + 1, last, windows, task, count, buffer, scratch)


@device
def _copy_next(first, last, windows, task, count, buffer, scratch):
    """Copy the first of windows first, ..., last - 1 in which there is something to match, and return its number.

    Returns `last` if there is none, or if the call is to end early.
    """
    for i in range(first, last):
        if halted(task.halt):
            break
        if _has_pairs(i, count):
            copy_windows(windows, i, buffer, scratch)
            return np.int64(i)
    return np.int64(last)


@device
def _has_pairs(i, count):
    """Return whether window i has pairs in both images, in a dimension."""
    for dim in range(len(count)):
        n = len(count[dim]) // 2
        if n > 0 and count[dim][i] > 0 and count[dim][n + i] > 0:
            return True
    return False


@device
def _match_columns(windows, i, ring, last, top, index, count, linked, column, partner):
    """Write the partners of window i in one dimension of V, the last one or the first.

    index : (2 N, 2, K) and count : (2 N,), as in `Pairs`. ring : see `position_in_grid`.
    linked : see `induce_images`. column : (cells,), all 0.
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
            column[position_in_grid(windows, corner, ring, found)] = j + 1
    for j in range(n_a):
        found, k = index[i, extremum, j], -1
        if last == top and index[i, 1, j] < 0:
            k = essential
        elif found >= 0:
            there = linked[position_in_grid(windows, corner, ring, found)]
            k = column[there] - 1 if there >= 0 else -1
        if k >= 0:
            partner[i, j], partner[n + i, k] = k, j
    for j in range(n_b):
        found = index[n + i, extremum, j]
        if found >= 0:
            column[position_in_grid(windows, corner, ring, found)] = 0


@allocating
def _match_loops(windows, i, top, index, count, loops, column, partner):
    """Write the partners of window i, a volume, in dimension 1; see `_match_columns`. loops : LoopPartners."""
    n, columns, corner = len(count) // 2, index.shape[2], corner_of(windows, i)
    n_a, n_b = min(count[i], columns), min(count[n + i], columns)
    column_a = _columns_of_loops(windows, corner, top, index[i, :, :n_a], loops.a, column)
    column_b = _columns_of_loops(windows, corner, top, index[n + i, :, :n_b], loops.b, column)
    for loop in range(column_a.size):
        j, other = column_a[loop], loops.partner[loop]
        k = column_b[other] if other >= 0 else other
        if j >= 0 and k >= 0:
            partner[i, j], partner[n + i, k] = k, j


@allocating
def _columns_of_loops(windows, corner, top, index, ends, first):
    """Return the columns of loops in a diagram, (m,) int32, or -1.

    Pairs in the frame have no birth, and loops are equal if they have the same ends. Of several columns that fit, each
    loop takes the first that is left: loops and columns have the same order.

    index : (2, n), the pairs of the diagram. ends : (2, m), see `LoopPartners`. first : (cells,), all 0.
    """
    births, deaths = ends[1 if top else 0], ends[0 if top else 1]
    following, found = np.zeros(index.shape[1], np.int32), np.empty(births.size, np.int32)
    for j in range(index.shape[1] - 1, -1, -1):
        if index[1, j] >= 0:
            death = position_in_grid(windows, corner, 1, index[1, j])
            following[j], first[death] = first[death], j + 1
    for loop in range(births.size):
        birth, death = index_in_image(windows, corner, 1, births[loop]), deaths[loop]
        j, before = first[death] - 1, -1
        while j >= 0 and index[0, j] != birth:
            j, before = following[j] - 1, j
        found[loop] = j
        if j >= 0 and before >= 0:
            following[before] = following[j]
        elif j >= 0:
            first[death] = following[j]
    for j in range(index.shape[1]):
        if index[1, j] >= 0:
            first[position_in_grid(windows, corner, 1, index[1, j])] = 0
    return found
