"""Representatives: the component or the cavity of each pair, or the boundary of the cavity, as pixels.

The component of a pair in dimension 0 holds its birth pixel, and all pixels that are connected to it before its death
pixel. The cavity of a pair in the last dimension is the same for the filtration in reverse: it holds the death pixel,
and all pixels that are connected to it after the birth pixel. By duality, it connects as the pixels of the other
construction do, and pixels of equal value come in the other order too. So both are regions that are filled from a seed
up to a limit. A loop is followed along the boundary of its cavity, which is filled only in rare cases. Time and memory
grow with the sizes of what is listed.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..records import PixelSets
from .image.loop import append_loop, room_for_loop
from .order import as_integers
from .region import Grid, allocate_grid, append_image_region, append_region, fill, limit_at, touches, write_window
from .runtime.interrupt import halt_word, interruptible
from .runtime.jit import device, inlined, kernel, zero
from .runtime.jit import unsigned as _i
from .runtime.primitives import halted, with_room
from .runtime.threads import over_windows
from .volume.shell import append_shell

Array = NDArray[Any]
_SPARSE = 48  # pixels for each pair, or more, make it likely that regions have long runs
_LISTED = 1 << 24  # pixels that a list has room for at first
_LARGEST = 1 << 30  # number of a run, so that the next region's numbers have 31 bits too


class Wanted(NamedTuple):
    """Which regions to find, and what of them."""

    dim: int  # homology dimension: 0, or the last one
    top: bool  # True for the construction T, False for V
    superlevel: bool
    filled: bool  # whether the last dimension gives cavities, and not their boundaries


class _Request(NamedTuple):
    """What kernels do for each pair."""

    is_first: bool  # whether the dimension is 0
    falls: bool  # whether what a region holds is above its limit, and not below
    rank: int  # of windows, 2 or 3
    boundary: int  # 0 to list regions, 1 for the loops around them, 2 for the shells
    room: int  # the most pixels that one pair writes


@interruptible(lambda x, *_: x.size > 1 << 20)
def representatives(x: Array, index: Array, wanted: Wanted) -> tuple[PixelSets[Array], Array]:
    """Find the pixels of the pairs of N windows; see `gpuph.ops.representatives`.

    Also return, for each window, its first column that holds no pair of the window, or -1: (N,) int64.
    """
    n, columns = len(index), index.shape[2]
    window, pixels = x.shape[1:], math.prod(x.shape[1:])
    start, stop, wrong = np.zeros((n, columns), np.int64), np.zeros((n, columns), np.int64), np.full(n, -1, np.int64)
    is_first, rank = wanted.dim == 0, len(window)
    is_full, falls = wanted.top == is_first, wanted.superlevel == is_first
    boundary = 0 if is_first or wanted.filled else rank - 1
    cells = math.prod([size + 2 for size in window])
    task = _Request(is_first, falls, rank, boundary, room_for_loop(cells) if boundary == 1 else cells)
    images, halt = x.reshape(n, pixels), halt_word()
    bits = as_integers(images)

    # An essential class lives in the whole window, which is the same slice for all windows. It comes first.
    essential = (index[:, 0] >= 0) & (index[:, 1] < 0) & is_first
    whole = pixels if essential.any() else 0

    def run(first: int, last: int) -> tuple[slice, Array]:
        rows = slice(first, last)
        grid = tuple(allocate_grid(window, bits.dtype, is_full=is_full))
        results, ahead = (start[rows], stop[rows], wrong[rows]), whole if first == 0 else 0
        return rows, _find((images[rows], bits[rows]), index[rows], grid, tuple(task), results, ahead, halt)

    used, parts = 0, []
    for rows, part in over_windows(n, run):
        start[rows] += used
        stop[rows] += used
        used += part.size
        parts.append(part)
    start[essential], stop[essential] = 0, pixels
    return PixelSets(parts[0] if len(parts) == 1 else np.concatenate(parts), start, stop), wrong


@kernel
def _find(images, index, memory, request, results, ahead, halt):
    """Find the pixels of the pairs of some windows, and return them in a list, after the numbers 0, ..., ahead - 1.

    images : (N, P), as floats and as integers. index : (N, 2, K). memory : the fields of a `Grid`. request : those of a
    `_Request`.
    results : start and stop, (N, K), and wrong, (N,), written; those of essential classes are empty.
    """
    start, stop, wrong = results
    grid, task = Grid(*memory), _Request(*request)
    values, bits = images
    # Memory that is never written costs nothing, while a list that grows is copied.
    pixels, used, number = np.empty(ahead + task.room + min(2 * values.size, _LISTED), np.int64), zero, np.int64(1)
    while used < ahead:
        pixels[_i(used)] = used
        used += 1
    for i in range(len(values)):
        places, k = (start[i], stop[i]), zero
        if _has_finite_pair(index[i]):
            write_window(values[i], bits[i], task.falls, grid)
        while k < index.shape[2] and wrong[i] < 0 and not halted(halt):
            pixels = with_room(pixels, used, task.room)
            k, used, number, is_pair = _append_pairs(index[i], k, grid, task, places, pixels, used, number, halt)
            if not is_pair:
                wrong[i] = k
    if 4 * used > pixels.size:
        return pixels[:used]
    few = np.empty(used, np.int64)  # a slice would keep all of the memory
    for i in range(used):
        few[_i(i)] = pixels[_i(i)]
    return few


# This function does not allocate, so that the arrays of the grid are not counted as references for each pair.
@device
def _append_pairs(index, k, grid, task, places, pixels, used, number, halt):
    """Append the pixels of the pairs of a window from pair k on, as long as there is room.

    number : for the stamps of the next run, see `fill`. Returns the first pair that is left, the new `used` and
    `number`, and whether that pair is one of the window.
    """
    start, stop = places
    n_pixels = grid.position.size
    is_dense = task.rank == 2 and _SPARSE * _number_of_pairs(index[0]) > n_pixels
    while k < index.shape[1] and used + task.room <= pixels.size:
        birth, death = index[0, k], index[1, k]
        start[k], begin, n = used, used, np.int64(0)
        if death >= 0 or (birth >= 0 and not task.is_first):
            if 0 <= birth < n_pixels and 0 <= death < n_pixels:
                seed, cell = grid.position[_i(birth)], grid.position[_i(death)]
                if not task.is_first:
                    seed, cell = cell, seed
                limit = limit_at(grid, cell)
                if task.boundary == 1:
                    used, n = append_loop(grid, seed, limit, number, pixels, used, halt)
                else:
                    if is_dense:
                        used = append_image_region(grid, seed, limit, pixels, used)
                    else:
                        n = fill(grid, seed, limit, number, halt)
                        if n > 0 and touches(grid, cell, number):
                            if task.boundary == 0:
                                used = append_region(grid, n, pixels, used)
                            else:
                                used = append_shell(grid, limit, number, n, pixels, used)
            if used == begin or (task.boundary > 0 and _leaves_window(pixels, begin, used)) or halted(halt):
                return k, used, number, False
        stop[k] = used
        number += n
        if number > _LARGEST:
            grid.stamp[:] = 0
            number = np.int64(1)
        k += 1
    return k, used, number, True


@inlined
def _has_finite_pair(index):
    """Return whether a column holds two pixels."""
    finite = False
    for k in range(index.shape[1]):
        finite |= (index[0, k] >= 0) & (index[1, k] >= 0)
    return finite


@inlined
def _number_of_pairs(births):
    """Return how many columns are not padding."""
    n = 0
    for pixel in births:
        n += pixel >= 0
    return n


@inlined
def _leaves_window(pixels, begin, used):
    """Return whether a boundary has cells of the ring, as no pair's has."""
    lowest = np.int64(0)
    for i in range(begin, used):
        lowest = min(lowest, pixels[_i(i)])
    return lowest < 0
