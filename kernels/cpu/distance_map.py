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
from .runtime.interrupt import halt_word, interruptible
from .runtime.jit import inlined, kernel
from .runtime.jit import unsigned as _i
from .runtime.primitives import halted
from .runtime.threads import over_windows

Array = NDArray[Any]

_LINES = 128  # that are searched together: few, so that the search ends early
_STEPS = 4  # rows that are read in either direction between two tests of whether it can end
_PIXELS = 65536  # that are worth a thread


@interruptible(lambda mask, scale: mask.size >= 1 << 20)
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
    limits, halt = np.array([scale.limit, scale.truncation, scale.unit], np.float32), halt_word()

    def run(i: int, j: int) -> None:
        _minima(squares, nearest, spacing, limits, axis == 0, i, j, out, halt)

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
def _minima(squares, nearest, spacing, limits, last, begin, end, out, halt):
    """Compute the minima of rows begin to end, of all planes, of squares (planes, depth, inner).

    nearest : (planes, depth, blocks), the least squares of _LINES lines. limits : see `Scale`. last : whether to write
    distances. halt : see `halted`.
    """
    depth, inner = squares.shape[1:]
    limit, truncation, unit = limits
    for number in range(begin, end):
        if halted(halt):
            return
        plane, i = _i(number // depth), number % depth
        least = out[plane, _i(i)]
        for block in range(nearest.shape[2]):
            left = block * _LINES
            _search(squares[plane], nearest[plane], i, block, spacing, limit, least)
            if last:
                for x in range(left, min(left + _LINES, inner)):
                    distance = min(np.sqrt(least[_i(x)]) * unit, truncation)
                    least[_i(x)] = distance if least[_i(x)] < limit else truncation


@inlined
def _search(squares, nearest, i, block, spacing, limit, least):
    """Write the minima of row i of a block of lines into `least`, outwards until nothing can be gained."""
    depth, inner = squares.shape
    left, lines = _i(block * _LINES), _i(min(_LINES, inner - block * _LINES))
    for x in range(lines):
        least[left + x] = limit
    _lower(squares[_i(i)], left, lines, np.float32(0), least)
    worst = _greatest(least.view(np.int32), left, lines)
    for k in range(1, max(i + 1, depth - i)):
        gap = np.float32(k) * spacing
        gap *= gap
        if gap >= worst:
            break
        if i >= k and nearest[_i(i - k), _i(block)] + gap < worst:
            _lower(squares[_i(i - k)], left, lines, gap, least)
        if i + k < depth and nearest[_i(i + k), _i(block)] + gap < worst:
            _lower(squares[_i(i + k)], left, lines, gap, least)
        if k % _STEPS == 0:
            worst = _greatest(least.view(np.int32), left, lines)


@inlined
def _lower(row, left, lines, gap, least):
    """Lower the minima by the parabolas of a row."""
    for x in range(lines):
        square, before = row[left + x] + gap, least[left + x]
        least[left + x] = square if square < before else before


@inlined
def _greatest(bits, left, lines):
    """Return the maximum of some squares, given as their bits: integers in the same order are compared faster."""
    greatest = np.int32(0)
    for x in range(lines):
        greatest = max(greatest, bits[left + x])
    return np.int32(greatest).view(np.float32)
