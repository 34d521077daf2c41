"""Emit: list the pairs of critical cells that last as codes, the longest first; see `codes`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..codes import code_of
from ..image.emit import Sorting, sort_pairs
from ..runtime.jit import allocating, device
from ..runtime.jit import unsigned as _i
from ..runtime.primitives import quotient
from ..runtime.sort import radix_buckets
from ..runtime.views import flat

Array = NDArray[Any]


class PairedCells(NamedTuple):
    """The critical cells that are paired in one dimension, as positions of their owners in the grid with its ring."""

    births: Array  # (n,) int32, in ascending order
    deaths: Array  # (m,) int32
    death_of: Array  # (n,) int32, the place in `deaths`; -1 for none, m for a class that never ends


@allocating
def sorted_codes(paired, key, values, min_persistence):
    """Return the codes of the pairs that last longer than a minimum, sorted by persistence and then by code.

    key : (D + 2, H + 2, W + 2) order keys, with the ring. values : (D * H * W,).
    """
    births, deaths, death_of = paired.births, paired.deaths, paired.death_of
    vertex_keys, width, area = flat(key), key.shape[2], key[0].size
    n = 0
    for i in range(births.size):
        d = death_of[i]
        n += np.int64(d == deaths.size or (d >= 0 and vertex_keys[_i(births[i])] != vertex_keys[_i(deaths[d])]))
    codes, lengths = np.empty(n, np.int64), np.empty(n, values.dtype)
    n = 0
    for i in range(births.size):
        d = death_of[i]
        if d < 0:
            continue
        if d == deaths.size:
            codes[n], lengths[n] = code_of(_inner(births[i], width, area), -1), np.inf
            n += 1
        elif vertex_keys[_i(births[i])] != vertex_keys[_i(deaths[d])]:
            born, died = _inner(births[i], width, area), _inner(deaths[d], width, area)
            codes[n], lengths[n] = code_of(born, died), values[died] - values[born]
            n += np.int64(lengths[n] > min_persistence)
    codes, lengths = codes[:n], lengths[:n]
    keys, orders = np.empty((2, n), key.dtype), np.empty((2, n), np.int32)
    sort_pairs(lengths, codes, Sorting(keys[0], keys[1], orders[0], orders[1], radix_buckets(), np.empty(n, np.int64)))
    return codes


@device
def _inner(position, width, area):
    """Return the flat index in the window of a position in the grid with its ring."""
    row, rows = quotient(position, width), quotient(area, width)
    z = quotient(row, rows)
    x, y = position - row * width, row - z * rows
    return ((z - 1) * (rows - 2) + y - 1) * (width - 2) + x - 1
