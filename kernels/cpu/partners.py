"""Partners: the pairs of two images, and which of them become the same class of a third function, over threads.

As in `persistence`, a thread claims some windows at a time. It lists the pairs of both images in a window, and matches
the two lists while the gradients of both are in memory. Pairs are codes here, and partners are places in a list.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .codes import birth_of, death_of
from .image import persistence as image
from .image.emit import read_levels
from .image.induced import allocate_induced, induce_images
from .image.induced_cells import induce_on_cells
from .records import Results, Task, Windows
from .runtime.jit import allocating, device, kernel, zero
from .runtime.jit import unsigned as _i
from .runtime.primitives import halted, with_room
from .runtime.threads import claim_windows
from .runtime.views import flat
from .volume import persistence as volume
from .volume.induced import induce_volumes
from .windows import copy_windows, framed_size, position_in_grid

Array = NDArray[Any]


class _Listed(NamedTuple):
    """The pairs of one image in one dimension of V."""

    codes: Array  # (n,) int64, see `codes`
    partners: Array  # (n,) int32, likewise


@kernel
def match_in_images(job, intersection, on_cells, buffer, bits, taken, stop):
    """Find and match the pairs of the windows of images that this thread claims, and return the fields of a `Part`.

    intersection : see `Comparison`. on_cells : None, or True to match classes whose image is empty, too. Numba compiles
    the kernel for each of the two by itself, so what True needs is compiled only when it is used. For the other
    arguments see `persistence._find_in_images`.
    """
    of_windows, of_task, of_results = job
    windows, task, results = Windows(*of_windows), Task(*of_task), Results(*of_results)
    n, framed, wanted = len(results.status), framed_size(windows), task.wanted
    size = framed[1] + 2, framed[2] + 2
    workspace, scratch = allocate_induced(windows, bits, task.top), np.empty((2, buffer.shape[3]), buffer.dtype)
    linked, column = workspace.linked, np.zeros(workspace.a.key.size, np.int32)
    room = 2 * image.room_for_codes(task, workspace.a)
    codes, partners, levels = np.empty(room, np.int64), np.empty(room, np.int32), scratch[0][:0]
    mine, n_mine, used = np.empty(n, np.int64), zero, zero
    first, last = claim_windows(taken, n, stop)
    while first < n and not halted(task.halt):
        for i in range(first, last):
            codes, partners = with_room(codes, used, room), with_room(partners, used, room)
            if windows.copied:
                copy_windows(windows, i, buffer, scratch)
                levels = with_room(levels, 2 * used, 2 * room)
            begin, counts = used, results.counts[:, i]
            for k in range(2):
                original = windows.pred[i] if k == 0 else windows.target[i]
                window = buffer[k] if windows.copied else original
                n_0, n_1, results.status[i, k] = _find_in_image(window, k, task, workspace, codes, used)
                counts[0, k], counts[1, k] = n_0, n_1
                if windows.copied:
                    read_levels(codes[used : used + n_0 + n_1], flat(window), levels[2 * used :])
                used += n_0 + n_1
            partners[begin:used] = -1
            if _has_pairs(counts, wanted):
                if on_cells is None:
                    induce_images(size, task, intersection, workspace)
                else:
                    induce_on_cells(size, task, workspace)
                for dim in range(2):
                    if wanted[dim]:
                        a, b = _listed(codes[begin:], partners[begin:], counts, dim)
                        _match_columns(a, b, (dim == 1) == task.top, framed, 0, linked[dim], column)
            mine[n_mine] = i
            n_mine += 1
        first, last = claim_windows(taken, n, stop)
    return mine[:n_mine], codes[:used], levels[: 2 * used], partners[:used]


@device
def _find_in_image(window, k, task, workspace, codes, used):
    """Write the pairs of image k, with its links; see `image.persistence.find_pairs`."""
    if k == 0:
        return image.find_pairs(window, task, workspace.a, codes, used, workspace.links_a)
    return image.find_pairs(window, task, workspace.b, codes, used, workspace.links_b)


@kernel
def match_in_volumes(job, intersection, buffer, memory, taken, stop):
    """Find and match the pairs of the windows of volumes that this thread claims; see `match_in_images`.

    memory : of three workspaces, for either volume and for the compared function.
    """
    of_windows, of_task, of_results = job
    windows, task, results = Windows(*of_windows), Task(*of_task), Results(*of_results)
    n, scratch = len(results.status), np.empty((2, buffer.shape[3]), buffer.dtype)
    codes, partners, levels = np.empty(64, np.int64), np.empty(64, np.int32), scratch[0][:0]
    mine, n_mine, used = np.empty(n, np.int64), zero, zero
    first, last = claim_windows(taken, n, stop)
    while first < n and not halted(task.halt):
        for i in range(first, last):
            if windows.copied:
                copy_windows(windows, i, buffer, scratch)
            begin, counts = used, results.counts[:, i]
            for k in range(2):
                original = windows.pred[i] if k == 0 else windows.target[i]
                window = buffer[k] if windows.copied else original
                of_volume = volume.VolumeWorkspace(*memory[0])
                codes, found, results.status[i, k] = volume.append_pairs(
                    window, task, of_volume, codes, used, counts[:, k]
                )
                if windows.copied:
                    levels = with_room(levels, 2 * used, 2 * found)
                    read_levels(codes[used : used + found], flat(window), levels[2 * used :])
                used += found
            partners = with_room(partners, begin, used - begin)
            f = buffer[0] if windows.copied else windows.pred[i]
            g = buffer[1] if windows.copied else windows.target[i]
            _match_volumes((f, g), task, intersection, memory, counts, codes[begin:used], partners[begin:used])
            mine[n_mine] = i
            n_mine += 1
        first, last = claim_windows(taken, n, stop)
    return mine[:n_mine], codes[:used], levels[: 2 * used], partners[:used]


@kernel
def match_volumes(pair, of_task, intersection, memory, counts, codes):
    """Return the partners of the pairs of two volumes; see `match_in_volumes`.

    pair : two volumes (D, H, W). counts : (3, 2), the numbers of their pairs. codes : (m,), those of both.
    """
    partners = np.empty(codes.size, np.int32)
    _match_volumes(pair, Task(*of_task), intersection, memory, counts, codes, partners)
    return partners


@allocating
def _match_volumes(pair, task, intersection, memory, counts, codes, partners):
    """Write the partners of the pairs of two volumes."""
    partners[:] = -1
    if not _has_pairs(counts, task.wanted):
        return
    of_f, of_g, of_both = memory
    workspaces = volume.VolumeWorkspace(*of_f), volume.VolumeWorkspace(*of_g), volume.VolumeWorkspace(*of_both)
    size = workspaces[0].known.size
    linked, column = np.empty((2, size), np.int32), np.zeros(size, np.int32)
    loops = induce_volumes(pair, task, intersection, workspaces, linked)
    if halted(task.halt):
        return
    shape = pair[0].shape
    for dim in range(3):
        if task.wanted[dim]:
            a, b = _listed(codes, partners, counts, dim)
            if dim == 1:
                _match_loops(a, b, task.top, shape, loops, column)
            else:
                _match_columns(a, b, (dim == 2) == task.top, shape, 1, linked[dim // 2], column)


@device
def _has_pairs(counts, wanted):
    """Return whether both images have pairs in a dimension that is wanted. counts : (dimensions of V, 2)."""
    found = False
    for dim in range(len(counts)):
        found |= wanted[dim] and counts[dim, 0] > 0 and counts[dim, 1] > 0
    return found


@allocating
def _listed(codes, partners, counts, dim):
    """Return the pairs of both images in one dimension. codes, partners : of the window; counts : see `_has_pairs`."""
    first_a, first_b = np.int64(0), np.int64(0)
    for other in range(len(counts)):
        first_a += counts[other, 0] if other < dim else 0
        first_b += counts[other, 0] + (counts[other, 1] if other < dim else 0)
    last_a, last_b = first_a + counts[dim, 0], first_b + counts[dim, 1]
    return (
        _Listed(codes[first_a:last_a], partners[first_a:last_a]),
        _Listed(codes[first_b:last_b], partners[first_b:last_b]),
    )


@device
def _match_columns(a, b, births, framed, ring, linked, column):
    """Write the partners of two images in the first dimension of V, or in the last one.

    a, b : _Listed. births : whether extrema are births, and not deaths; only then is there an essential class.
    framed : the size of the window. ring : slices of the grid before it, see `position_in_grid`.
    linked : (cells,), see `InducedWorkspace`. column : (cells,), all 0 before and after.
    """
    # Where a pair of b has no partner yet, `partners` holds the position p of its extremum, as -1 - p.
    essential = -1
    for j in range(b.codes.size):
        code = b.codes[j]
        if death_of(code) < 0:
            essential = j
        else:
            position = position_in_grid(birth_of(code) if births else death_of(code), framed, ring)
            column[position], b.partners[j] = j + 1, -1 - position
    for j in range(a.codes.size):
        code = a.codes[j]
        if death_of(code) < 0:
            k = essential
        else:
            there = _i(max(linked[position_in_grid(birth_of(code) if births else death_of(code), framed, ring)], 0))
            k = column[there] - 1  # no extremum is at position 0
            column[there] = 0  # each extremum has one partner
        if k >= 0:
            a.partners[j], b.partners[_i(k)] = k, j
    for j in range(b.codes.size):
        column[_i(max(-1 - b.partners[j], 0))] = 0
        b.partners[j] = max(b.partners[j], -1)


@allocating
def _match_loops(a, b, top, framed, loops, first):
    """Write the partners of two volumes in dimension 1. loops : LoopPartners; see `_match_columns` for the others."""
    place_a = _places_of_loops(a.codes, top, framed, loops.a, first)
    place_b = _places_of_loops(b.codes, top, framed, loops.b, first)
    for loop in range(place_a.size):
        j, other = place_a[loop], loops.partner[loop]
        k = place_b[other] if other >= 0 else other
        if j >= 0 and k >= 0:
            a.partners[j], b.partners[k] = k, j


@allocating
def _places_of_loops(codes, top, framed, ends, first):
    """Return the places of loops in a list of codes, (m,) int32, or -1.

    Of several codes that fit, each loop takes the first that is left: loops and codes have the same order.

    ends : (2, m), see `LoopPartners`. first : (cells,), all 0 before and after.
    """
    births, deaths = ends[1 if top else 0], ends[0 if top else 1]
    following, found = np.zeros(codes.size, np.int32), np.empty(births.size, np.int32)
    for j in range(codes.size - 1, -1, -1):
        death = position_in_grid(death_of(codes[j]), framed, 1)
        following[j], first[death] = first[death], j + 1
    for loop in range(births.size):
        birth, death = births[loop], deaths[loop]
        j, before = first[death] - 1, -1
        while j >= 0 and position_in_grid(birth_of(codes[j]), framed, 1) != birth:
            j, before = following[j] - 1, j
        found[loop] = j
        if j >= 0 and before >= 0:
            following[before] = following[j]
        elif j >= 0:
            first[death] = following[j]
    for code in codes:
        first[position_in_grid(death_of(code), framed, 1)] = 0
    return found
