"""The critical cells of a volume.

A cell is given by the vertex that owns it and by its bit number in the star, which is its direction. An edge to the
east and a cube are never critical, except for the cube at bit 0 of a star with all 8 cubes, a maximum.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...cells import EDGES3, SQUARES3, VERTEX3
from ..runtime.jit import inlined, kernel
from ..runtime.primitives import bits_set, trailing_zeros

Array = NDArray[Any]
_u = np.uint32
_VERTEX, _EDGES, _SQUARES, _MAXIMUM = _u(VERTEX3), _u(EDGES3), _u(SQUARES3), _u(1)


class CriticalCells(NamedTuple):
    """The critical cells of a volume, by the positions of their owners in the grid and by their bits in a star."""

    minima: Array  # int32, from index 1 on; index 0 is for the ring
    edges: Array  # (m,) int32
    edge_bits: Array  # (m,) int8
    squares: Array  # (n,) int32
    square_bits: Array  # (n,) int8
    maxima: Array  # int32, from index 1 on; index 0 is for the outside


@kernel
def critical_cells(owners, masks):
    """Return the critical cells in the order of their owners, and those of one owner in the order of their bits.

    owners : (n,) int32, positions of vertices; masks : (n,) uint32, the critical cells of each.
    """
    n_minima, n_edges, n_squares, n_maxima = 1, 0, 0, 1
    for i in range(owners.size):
        mask = masks[i]
        n_minima += np.int64(mask & _VERTEX != 0)
        n_edges += np.int64(bits_set(_u(mask & _EDGES)))
        n_squares += np.int64(bits_set(_u(mask & _SQUARES)))
        n_maxima += np.int64(mask & _MAXIMUM)
    minima, maxima = np.zeros(n_minima, np.int32), np.zeros(n_maxima, np.int32)
    edges, edge_bits = np.empty(n_edges, np.int32), np.empty(n_edges, np.int8)
    squares, square_bits = np.empty(n_squares, np.int32), np.empty(n_squares, np.int8)
    n_minima, n_edges, n_squares, n_maxima = 1, 0, 0, 1
    for i in range(owners.size):
        v, mask = owners[i], masks[i]
        if mask & _VERTEX:
            minima[n_minima] = v
            n_minima += 1
        if mask & _MAXIMUM:
            maxima[n_maxima] = v
            n_maxima += 1
        n_edges = list_cells(_u(mask & _EDGES), v, edges, edge_bits, n_edges)
        n_squares = list_cells(_u(mask & _SQUARES), v, squares, square_bits, n_squares)
    return CriticalCells(minima, edges, edge_bits, squares, square_bits, maxima)


@inlined
def list_cells(mask, v, owners, bits, n):
    """Append the cells of v in a mask to a list of n, and return the new number."""
    while mask != _u(0):
        owners[n], bits[n] = v, trailing_zeros(mask)
        mask = _u(mask & _u(mask - _u(1)))
        n += 1
    return n
