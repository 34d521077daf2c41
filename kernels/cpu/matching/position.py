"""Positions: where the points of a diagram are in the image, so that partners far apart can cost more.

A pair then costs the squared distance of its positions on top of its cost in the diagram, and savings are smaller by as
much. This only takes pairs out of reach: bounds on what a pair costs at least, or saves at most, stay valid.

Positions are arrays of three axes, or None where a pair costs nothing more. Numba compiles each case by itself, and the
second one without any trace of positions.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...records import Place
from ..runtime.jit import allocating, device, inlined
from ..runtime.jit import unsigned as _i
from .workspace import padded

Array = NDArray[Any]


class Positions(NamedTuple):
    """The positions of the points of two diagrams."""

    a: Array | None  # (N, 3, K), float64
    b: Array | None  # (N, 3, L)


def positions_of(place: Place[Array] | None) -> Positions:
    """Return coordinates times weights.

    The weights are rounded to float32, so that float64 holds the products exactly. Equal distances are then equal, bit
    for bit, wherever they are.
    """
    if place is None:
        return Positions(None, None)
    return Positions(*[_scaled_coordinates(index, *place.axes()) for index in (place.index_a, place.index_b)])


def _scaled_coordinates(index: Array, shape: tuple[int, ...], weights: tuple[float, ...]) -> Array:
    out = np.empty((len(index), 3, index.shape[1]))
    for axis in (2, 1, 0):
        index, along = (index // shape[axis], index % shape[axis]) if axis > 0 else (index, index)
        out[:, axis] = along * float(np.float32(weights[axis]))
    return out


@allocating
def allocate_positions(like, size):
    """Allocate the positions of `size` candidates and dummies; None if `like` is None."""
    if like is None:
        return None
    return np.zeros((3, padded(size)))


@inlined
def coordinates(position, i):
    """Return the position of a candidate."""
    if position is None:
        return 0.0, 0.0, 0.0
    return position[0, i], position[1, i], position[2, i]


@inlined
def apart(z, y, x, position, j):
    """Return the squared distance of a position from that of a candidate; 0 without positions."""
    if position is None:
        return 0.0
    z, y, x = z - position[0, j], y - position[1, j], x - position[2, j]
    return z * z + y * y + x * x


@device
def read_position(source, window, i, position, n):
    """Copy the position of column i of a diagram to candidate n. Return its largest absolute coordinate."""
    if source is None:
        return 0.0
    most = 0.0
    for axis in range(3):
        position[axis, n] = source[window, axis, i]
        most = max(most, abs(position[axis, n]))
    return most


@device
def copy_position(source, i, position, n):
    """Copy the position of one candidate to another."""
    if source is not None:
        for axis in range(3):
            position[axis, n] = source[axis, i]


@device
def scale_positions(position, n, scale):
    """Multiply the positions of n candidates by a power of two."""
    if position is not None:
        for axis in range(3):
            for i in range(_i(n)):
                position[axis, i] *= scale


@device
def clear_positions(position, n):
    """Write the positions of the dummies after n candidates."""
    if position is not None:
        position[:, n : padded(n)] = 0.0


@inlined
def are_together(position, i, j):
    """Return whether two candidates have the same position."""
    if position is None:
        return True
    same = True
    for axis in range(3):
        same &= position[axis, i] == position[axis, j]
    return same
