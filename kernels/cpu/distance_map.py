"""Truncated Euclidean distance maps: one axis after another, each the minimum of parabolas.

Along the last axis, two scans give the distance to the nearest True pixel of the row. Along each further axis, the
squared distance of a pixel is the least over the pixels of its line of their squared distance plus that to them
(Felzenszwalb & Huttenlocher, "Distance transforms of sampled functions", 2012). As no sum above the squared truncation
matters, the search goes outwards and ends early.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..scale import Scale
from .runtime.jit import inlined, kernel
from .runtime.jit import unsigned as _i
from .runtime.threads import over_windows

Array = NDArray[Any]

_LINES = 128  # that are searched together: few, so that the search ends early
_STEPS = 4  # rows that are read in either direction between two tests of whether it can end
_PIXELS = 65536  # that are worth a thread


def distance_map(mask: Array, scale: Scale) -> Array:
    """Compute the truncated distances of masks (B, *image), bool; see `gpuph.ops.distance_map`."""
    values = np.empty(mask.shape, np.float32)
    if values.size == 0:
        return values
    *steps, step = np.array(scale.steps, np.float32)
    *sides, width = mask.shape[1:]
    rows, squares = mask.view(np.uint8).reshape(-1, width), values.reshape(-1, width)
    over_windows(len(rows), lambda i, j: _squares_in_rows(rows[i:j], step, squares[i:j]), max(1, _PIXELS // width))
    for axis in reversed(range(len(sides))):
        values = _minimize(values, axis, steps[axis], scale)
    return values


def _minimize(values: Array, axis: int, spacing: np.float32, scale: Scale) -> Array:
    """Return the minima along an axis of squares (B, *image): squares, or distances if it is the first axis."""
    depth, inner = values.shape[axis + 1], math.prod(values.shape[axis + 2 :])
    squares = values.reshape(-1, depth, inner)
    nearest = np.minimum.reduceat(squares, np.arange(0, inner, _LINES), axis=2)
    out = np.empty_like(squares)
    limits = np.array([scale.limit, scale.truncation, scale.unit], np.float32)

    def run(i: int, j: int) -> None:
        _minima(squares, nearest, spacing, limits, axis == 0, i, j, out)

    over_windows(len(squares) * depth, run, max(1, _PIXELS // inner))
    return out.reshape(values.shape)


@kernel
def _squares_in_rows(mask, step, squares):
    """Write the squared distances along some rows, infinite in those without a True pixel."""
    width = mask.shape[1]
    for row in range(mask.shape[0]):
        distance = width
        for x in range(width):
            distance = 0 if mask[row, x] else distance + 1
            squares[row, x] = distance
        distance = width
        for x in range(width - 1, -1, -1):
            distance = 0 if mask[row, x] else distance + 1
            nearest = min(np.float32(distance), squares[row, x])
            length = nearest * step
            squares[row, x] = length * length if nearest < width else np.float32(np.inf)


@kernel
def _minima(squares, nearest, spacing, limits, last, begin, end, out):
    """Compute the minima of rows begin to end, of all planes, of squares (planes, depth, inner).

    nearest : (planes, depth, blocks), the least squares of _LINES lines. limits : see `Scale`. last : whether to write
    distances.
    """
    depth, inner = squares.shape[1:]
    limit, truncation, unit = limits
    for row in range(begin, end):
        plane, i = row // depth, row % depth
        for block in range(nearest.shape[2]):
            lines = slice(block * _LINES, min((block + 1) * _LINES, inner))
            of_lines, near = squares[_i(plane), :, lines], nearest[_i(plane), :, _i(block)]
            least = out[_i(plane), _i(i), lines]
            _search(of_lines, near, i, spacing, limit, least)
            if last:
                for x in range(least.size):
                    distance = min(np.sqrt(least[x]) * unit, truncation)
                    least[x] = distance if least[x] < limit else truncation


@inlined
def _search(squares, nearest, i, spacing, limit, least):
    """Write the minima of row i of lines (depth, lines) into `least`, outwards until nothing can be gained."""
    depth = squares.shape[0]
    least[:] = limit
    _lower(squares, nearest, i, np.float32(0), limit, least)
    worst = _greatest(least)
    for k in range(1, max(i + 1, depth - i)):
        gap = np.float32(k) * spacing
        gap *= gap
        if gap >= worst:
            break
        if i >= k:
            _lower(squares, nearest, i - k, gap, worst, least)
        if i + k < depth:
            _lower(squares, nearest, i + k, gap, worst, least)
        if k % _STEPS == 0:
            worst = _greatest(least)


@inlined
def _lower(squares, nearest, j, gap, worst, least):
    """Lower the minima by the parabolas of row j, unless none of them can."""
    if nearest[_i(j)] + gap < worst:
        row = squares[_i(j)]
        for x in range(least.size):
            square = row[x] + gap
            least[x] = square if square < least[x] else least[x]


@inlined
def _greatest(squares):
    """Return the maximum. Numbers from 0 on are in the order of their bits, of which instructions compare several."""
    bits, greatest = squares.view(np.int32), np.int32(0)
    for x in range(bits.size):
        greatest = max(greatest, bits[x])
    for x in range(bits.size):
        if bits[x] == greatest:
            return squares[x]
    return np.float32(0)
