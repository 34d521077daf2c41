"""Gradient: the lower star of every voxel, and the cells that a discrete Morse gradient leaves critical in it.

As for images, see `image.gradient`, with stars of 27 bits. A row of voxels passes through all steps while it is in the
cache. The stars are kept, the critical cells only as a list.
"""

from __future__ import annotations

import numpy as np

from ...cells import NO_X3, NO_Y3, NO_Z3, VERTEX3
from ..runtime.jit import device, kernel
from ..runtime.jit import unsigned as _i
from ..runtime.primitives import halted, twice

_u = np.uint32  # Numba widens every operation to 64 bits; narrowing each result again gives 8 lanes per vector
_NO_X, _NO_Y, _NO_Z = _u(NO_X3), _u(NO_Y3), _u(NO_Z3)
_1, _3, _9 = _u(1), _u(3), _u(9)


@kernel
def gradient(key, star, first, last, halt):
    """Match the cells of the stars of slices first, ..., last - 1 of the grid, and list what remains critical.

    key : (D + 2, H + 2, W + 2); its ring is below every voxel (T) or above (V).
    star : (D + 2, H + 2, W + 2) uint32, written inside the ring. halt : see `halted`.
    Returns (n,) int32, positions of the voxels with critical cells, and (n,) uint32, these cells.
    """
    height, width = key.shape[1], key.shape[2]
    critical = np.zeros(width, np.uint32)
    owners, cells = np.empty(16 * width, np.int32), np.empty(16 * width, np.uint32)
    n = _i(0)
    for z in range(first, last):
        if halted(halt):
            break
        for y in range(1, height - 1):
            row = star[z, y]
            lower_neighbours(key, z, y, row)
            match_stars(row, critical)
            if n + width > owners.size:
                owners, cells = twice(owners), twice(cells)
            start = (z * height + y) * width
            for x in range(1, width - 1):
                owners[n], cells[n] = start + x, critical[x]
                n += _i(critical[x] != 0)
    return owners[:n], cells[:n]


@device
def lower_neighbours(key, z, y, row):
    """Write the stars of a row of the grid: the vertices, and which of their 26 neighbours are lower; (W,) uint32."""
    _lower_below(key[z, y], key[z - 1, y - 1], key[z - 1, y], key[z - 1, y + 1], row)
    _lower_beside(key[z, y], key[z, y - 1], key[z, y + 1], row)
    _lower_above(key[z, y], key[z + 1, y - 1], key[z + 1, y], key[z + 1, y + 1], row)


@device
def _lower_below(row, north, middle, south, out):
    """Write bits 0 to 8: the lower neighbours among the 9 in the slice below; equal ones count as lower, by index."""
    for x in range(1, row.size - 1):
        k = row[x]
        out[x] = (
            _u(north[x - 1] <= k)
            | _u(_u(north[x] <= k) << _u(1))
            | _u(_u(north[x + 1] <= k) << _u(2))
            | _u(_u(middle[x - 1] <= k) << _u(3))
            | _u(_u(middle[x] <= k) << _u(4))
            | _u(_u(middle[x + 1] <= k) << _u(5))
            | _u(_u(south[x - 1] <= k) << _u(6))
            | _u(_u(south[x] <= k) << _u(7))
            | _u(_u(south[x + 1] <= k) << _u(8))
        )


@device
def _lower_beside(row, north, south, out):
    """Add bits 9 to 17: the vertex, and the lower neighbours among the 8 in the same slice."""
    for x in range(1, row.size - 1):
        k = row[x]
        out[x] |= (
            _u(_u(north[x - 1] <= k) << _u(9))
            | _u(_u(north[x] <= k) << _u(10))
            | _u(_u(north[x + 1] <= k) << _u(11))
            | _u(_u(row[x - 1] <= k) << _u(12))
            | _u(VERTEX3)
            | _u(_u(row[x + 1] < k) << _u(14))
            | _u(_u(south[x - 1] < k) << _u(15))
            | _u(_u(south[x] < k) << _u(16))
            | _u(_u(south[x + 1] < k) << _u(17))
        )


@device
def _lower_above(row, north, middle, south, out):
    """Add bits 18 to 26: the lower neighbours among the 9 in the slice above."""
    for x in range(1, row.size - 1):
        k = row[x]
        out[x] |= (
            _u(_u(north[x - 1] < k) << _u(18))
            | _u(_u(north[x] < k) << _u(19))
            | _u(_u(north[x + 1] < k) << _u(20))
            | _u(_u(middle[x - 1] < k) << _u(21))
            | _u(_u(middle[x] < k) << _u(22))
            | _u(_u(middle[x + 1] < k) << _u(23))
            | _u(_u(south[x - 1] < k) << _u(24))
            | _u(_u(south[x] < k) << _u(25))
            | _u(_u(south[x + 1] < k) << _u(26))
        )


@device
def match_stars(star, critical):
    """Match the cells of each star in the order of `cells.MATCHING_SHIFTS`.

    star : (W,) uint32, the vertex and its lower neighbours, not read at either end; squares and cubes that are not in
    the star are removed from it. critical : (W,) uint32, written: the cells that remain unmatched.
    """
    for v in range(1, star.size - 1):
        s = star[v]
        # A cell is in the star if its far corner is lower and all its faces at the vertex are in the star. The first
        # pass corrects the squares, whose faces are edges, and the second one the cubes.
        for _ in range(2):
            x, y, z = _u(s & _NO_X), _u(s & _NO_Y), _u(s & _NO_Z)
            x = _u(x | _u(_u(x >> _1) | _u(x << _1)))
            y = _u(y | _u(_u(y >> _3) | _u(y << _3)))
            z = _u(z | _u(_u(z >> _9) | _u(z << _9)))
            s = _u(s & _u(x & _u(y & z)))
        star[v] = s
        m = _u(_u(s & _NO_X) & _u(s >> _1))
        s = _u(s & ~_u(m | _u(m << _1)))
        m = _u(_u(s & _NO_X) & _u(s << _1))
        s = _u(s & ~_u(m | _u(m >> _1)))
        m = _u(_u(s & _NO_Y) & _u(s >> _3))
        s = _u(s & ~_u(m | _u(m << _3)))
        m = _u(_u(s & _NO_Y) & _u(s << _3))
        s = _u(s & ~_u(m | _u(m >> _3)))
        m = _u(_u(s & _NO_Z) & _u(s >> _9))
        s = _u(s & ~_u(m | _u(m << _9)))
        m = _u(_u(s & _NO_Z) & _u(s << _9))
        critical[v] = _u(s & ~_u(m | _u(m >> _9)))
