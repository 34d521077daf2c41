"""Emit in 3D: the pairs of critical cells as pairs of voxels of different value, longest first."""

from __future__ import annotations

import numpy as np

from ..image.emit import sort_pairs
from ..runtime.jit import allocating, device
from ..runtime.jit import unsigned as _i
from ..runtime.sort import no_places


@allocating
def lasting(births, deaths, death_of, key, values, width, area, min_persistence):
    """List the pairs that last.

    births, deaths : (n,) and (m,) int32, positions of the owners in a ringed grid of that width and area of a slice,
    births in ascending order. death_of : (n,) int32, the place in `deaths`, -1 for none, m for a class that never ends.
    key : (cells,) of the grid; values : (P,) of the window within.
    Returns codes, (k,) int64: birth index * 2^32 + death index + 1, sorted by persistence and then by code.
    """
    n = 0
    for i in range(births.size):
        d = death_of[i]
        n += np.int64(d == deaths.size or (d >= 0 and key[_i(births[i])] != key[_i(deaths[d])]))
    codes, lengths = np.empty(n, np.int64), np.empty(n, values.dtype)
    n = 0
    for i in range(births.size):
        d = death_of[i]
        if d < 0:
            continue
        if d == deaths.size:
            codes[n], lengths[n] = _inner(births[i], width, area) << 32, np.inf
            n += 1
        elif key[_i(births[i])] != key[_i(deaths[d])]:
            born, died = _inner(births[i], width, area), _inner(deaths[d], width, area)
            codes[n], lengths[n] = born << 32 | died + 1, values[died] - values[born]
            n += np.int64(lengths[n] > min_persistence)
    codes, lengths = codes[:n], lengths[:n]
    keys, order, spare = np.empty((2, n), key.dtype), np.empty((2, n), np.int32), np.empty(n, np.int64)
    sort_pairs(lengths, codes, keys[0], keys[1], order[0], order[1], no_places(), spare)
    return codes


@device
def _inner(position, width, area):
    """Flat index in the window of a position in the ringed grid."""
    z = np.int64(position) // area
    y = (position - z * area) // width
    x = position - z * area - y * width
    return ((z - 1) * (area // width - 2) + y - 1) * (width - 2) + x - 1
