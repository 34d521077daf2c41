"""The slopes of births and deaths, spread over the pixels that must move with them, window by window."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...records import Pulls, Spread, Tiling
from ..framed import framed_windows
from ..order import as_integers
from ..records import Windows
from ..runtime.interrupt import halt_word, interruptible
from ..runtime.jit import device, inlined, kernel
from ..runtime.jit import unsigned as _i
from ..runtime.primitives import halted
from ..runtime.threads import over_windows
from ..volume.persistence import VolumeWorkspace, allocate_workspace
from ..windows import copy_windows, corner_of
from .carriers import find_carrier
from .complex import complex_of
from .grid import Pull, allocate_field, enter

Array = NDArray[Any]
_UNIT = 2.0**40  # of the sums of shares, which are integers, so that their order does not matter
_LONG = 1 << 16  # pixels whose pairs may take a few hundredths of a second; see `interruptible`


class Sums(NamedTuple):
    """The gradient of one window, in its grid."""

    total: Array  # (cells,)
    weight: Array  # (cells,) float64, scratch: of the pixels of a carrier
    halt: int  # see `primitives.halted`


@interruptible(lambda pulls, grad, images, *_: images[0].size >= _LONG)
def spread_slopes(
    pulls: Pulls[Array], grad: Array, images: tuple[Array, Array | None, Array | None], tiling: Tiling, spread: Spread
) -> Array:
    """Add up the gradients of images from the slopes of their windows; see `gpuph.ops.spread_slopes`.

    images : prediction and truth (B, *image), and the height.
    """
    pred, target, height = images
    n = len(pulls.index)
    windows = framed_windows(pred, pred[:0] if target is None else target, height, tiling)
    out = np.zeros((n, *windows.size), pulls.slope.dtype)
    job, halt = (tuple(windows), tuple(pulls), grad, tuple(spread)), halt_word()
    shape, copies = windows.framed(), 1 if target is None else 2

    def run(first: int, last: int) -> bool:
        buffer = np.empty((copies, *shape), pred.dtype)
        bits = as_integers(buffer)
        within: bool
        if spread.rank == 2:
            within = _spread_images(job, (buffer, bits), first, out[first:last], halt)
        else:
            workspace = tuple(allocate_workspace(shape, bits.dtype))
            within = _spread_volumes(job, (buffer, bits), workspace, first, out[first:last], halt)
        return within

    if not all(over_windows(n, run, max(1, 4096 // math.prod(windows.size)))):
        raise IndexError(f"index must be of pixels of the window, or negative, got {pulls.index.max()}")
    if tiling.windows() == 1:
        return out.reshape(len(pred), math.prod(tiling.image))
    total = np.zeros(windows.pred.shape, out.dtype)
    over_windows(len(pred), lambda i, j: _add_windows(tuple(windows), out, total[i:j], i))
    return total.reshape(len(pred), math.prod(tiling.image))


# Images and volumes have separate kernels, because the stages of volumes take long to compile.


@kernel
def _spread_images(job, copies, first, out, halt):
    """Spread the slopes of the windows of images from number `first` on.

    copies : (1 or 2, *framed window), for one window of each image, as floats and as integers. out : (n, *window)
    zeros, written. halt : see `halted`. Return whether all indices are of pixels in their windows.
    """
    of_windows, of_pulls, grad, of_spread = job
    windows, pulls, spread = Windows(*of_windows), Pulls(*of_pulls), Spread(*of_spread)
    buffer, bits = copies
    scratch, field = np.empty((2, buffer.shape[3]), buffer.dtype), allocate_field(buffer[0], bits[0], 2)
    sums = Sums(np.zeros(field.value.size, out.dtype), np.empty(field.value.size, np.float64), halt)
    within = True
    for j in range(len(out)):
        if halted(halt):
            break
        i = first + j
        if not _moves(pulls, i):
            continue
        copy_windows(windows, i, buffer, scratch)
        enter(field, buffer[spread.side], bits[spread.side], spread.top)
        within &= _spread_window(windows, i, buffer.shape, pulls, grad[i], spread, field, None, sums)
        _take(windows.frame, buffer.shape, field, sums.total, out[j])
    return within


@kernel
def _spread_volumes(job, copies, memory, first, out, halt):
    """Spread the slopes of the windows of volumes; see `_spread_images`. memory : of a `VolumeWorkspace`."""
    of_windows, of_pulls, grad, of_spread = job
    windows, pulls, spread = Windows(*of_windows), Pulls(*of_pulls), Spread(*of_spread)
    workspace = VolumeWorkspace(*memory)
    buffer, bits = copies
    scratch, field = np.empty((2, buffer.shape[3]), buffer.dtype), allocate_field(buffer[0], bits[0], 3)
    sums = Sums(np.zeros(field.value.size, out.dtype), np.empty(field.value.size, np.float64), halt)
    within = True
    for j in range(len(out)):
        if halted(halt):
            break
        i = first + j
        if not _moves(pulls, i):
            continue
        copy_windows(windows, i, buffer, scratch)
        enter(field, buffer[spread.side], bits[spread.side], spread.top)
        if _needs_surfaces(windows, i, buffer.shape, pulls, spread, field):
            of = complex_of(buffer[spread.side], spread.top, workspace, halt)
            if halted(halt):
                break
            within &= _spread_window(windows, i, buffer.shape, pulls, grad[i], spread, field, of, sums)
        else:
            within &= _spread_window(windows, i, buffer.shape, pulls, grad[i], spread, field, None, sums)
        _take(windows.frame, buffer.shape, field, sums.total, out[j])
    return within


@device
def _moves(pulls, i):
    """Return whether anything in window i has a slope."""
    slope, index = pulls.slope[i], pulls.index[i]
    moves = False
    for end in range(2):
        for k in range(min(pulls.count[i], index.shape[1])):
            moves |= index[end, k] >= 0 and slope[end, k] != 0
    return moves


@device
def _needs_surfaces(windows, i, shape, pulls, spread, field):
    """Return whether a carrier in window i is a surface: a square to be lowered or an edge to be raised."""
    slope, goal, index = pulls.slope[i], pulls.goal[i], pulls.index[i]
    needs = False
    for end in range(2):
        for k in range(min(pulls.count[i], index.shape[1])):
            pixel = _position_in_grid(windows, i, field, shape, index[end, k])
            if pixel >= 0 and slope[end, k] != 0:
                value, index_of_pixel = field.value[_i(pixel)], spread.dim + end
                needs |= index_of_pixel == 2 and value > goal[end, k]
                needs |= index_of_pixel == 1 and value < goal[end, k]
    return needs


@device
def _spread_window(windows, i, shape, pulls, grad, spread, field, of, sums):
    """Add the slopes of window i, which is in the field, to `sums.total`; see `find_carrier` for `of`."""
    slope, goal, index = pulls.slope[i], pulls.goal[i], pulls.index[i]
    within = True
    for end in range(2):
        for k in range(min(pulls.count[i], index.shape[1])):
            if index[end, k] < 0 or slope[end, k] == 0 or halted(sums.halt):
                continue
            pixel = _position_in_grid(windows, i, field, shape, index[end, k])
            other = _position_in_grid(windows, i, field, shape, index[1 - end, k])
            if pixel < 0:
                within = False
                continue
            n = find_carrier(field, Pull(pixel, np.float64(goal[end, k]), 0, False), other, end, spread, of)
            _add(field, n, np.float64(goal[end, k]), grad * slope[end, k], spread.normalise, sums)
    return within


@device
def _add(field, n, goal, slope, normalise, sums):
    """Add the gradients of the n pixels of `field.carrier`, the first of which is critical, to `sums.total`."""
    total, weight = sums.total, sums.weight
    value, carrier = field.value, field.carrier
    critical, added = np.float64(value[_i(carrier[0])]), np.int64(_UNIT)
    weight[0] = 1.0
    for j in range(1, n):
        weight[j] = _share(np.float64(value[_i(carrier[_i(j)])]), critical, np.float64(goal))
        added += np.int64(weight[j] * _UNIT)
    for j in range(n):
        share = weight[j] / (np.float64(added) / _UNIT) if normalise else weight[j]
        total[_i(carrier[_i(j)])] += slope * share


@inlined
def _share(value, critical, goal):
    """Return how far a value is from the goal, as a part of how far the critical value is."""
    if value == critical or np.isinf(goal):
        return 1.0
    return 0.0 if np.isinf(critical) else (value - goal) / (critical - goal)


@device
def _position_in_grid(windows, i, field, shape, index):
    """Return the position in the grid of a pixel of the image; -1 if it is not in window i.

    shape : of the windows with their frames, (N, D, H, W).
    """
    size, frame, image, corner = windows.size, windows.frame, windows.pred.shape, corner_of(windows, i)
    row = index // image[3]
    z, y, x = row // image[2] - corner[0], row % image[2] - corner[1], index % image[3] - corner[2]
    if index < 0 or not (0 <= z < size[0] and 0 <= y < size[1] and 0 <= x < size[2]):
        return -1
    return np.int64(field.pixels[_i(((z + frame[0]) * shape[2] + y + frame[1]) * shape[3] + x + frame[2])])


@device
def _take(frame, shape, field, total, out):
    """Move gradients from the grid, inside the frame, to a window (D, H, W), and leave zeros."""
    for z in range(out.shape[0]):
        for y in range(out.shape[1]):
            first = ((z + frame[0]) * shape[2] + y + frame[1]) * shape[3] + frame[2]
            for x in range(out.shape[2]):
                out[_i(z), _i(y), _i(x)] = total[_i(field.pixels[_i(first + x)])]
    total[:] = 0


@kernel
def _add_windows(windows, of_windows, out, first):
    """Add the gradients of windows (n, *window) to those of the images from number `first` on, in their order."""
    source = Windows(*windows)
    each = len(of_windows) // len(source.pred)
    for j in range(len(out)):
        for i in range((first + j) * each, (first + j + 1) * each):
            _add_window(corner_of(source, i), of_windows[i], out[j])


@device
def _add_window(corner, of_window, out):
    """Add the gradient of one window to that of its image."""
    for z in range(of_window.shape[0]):
        for y in range(of_window.shape[1]):
            for x in range(of_window.shape[2]):
                out[_i(corner[0] + z), _i(corner[1] + y), _i(corner[2] + x)] += of_window[_i(z), _i(y), _i(x)]
