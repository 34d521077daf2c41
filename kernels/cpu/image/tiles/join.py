"""Join: the pairs that cross the borders of tiles, and the order of all pairs."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...codes import birth_of, code_of, death_of
from ...merge import merge
from ...order import order_key
from ...records import MergeTree, Saddles, Task
from ...runtime.jit import allocating, device, kernel
from ...runtime.sort import argsort, radix_buckets
from .tile import GHOST, OUTSIDE

Array = NDArray[Any]


class Lists(NamedTuple):
    """What the tiles have found, tile by tile and, within a tile, by kind of extremum; see `FoundInTiles`."""

    tiles: Array  # (n,) their numbers
    counts: Array  # (n, kinds, 3), by the tile's number: how many codes, live extrema, and saddles that are left
    codes: Array
    extrema: Array
    saddles: Array  # (m, 3)


@kernel
def join(image, bits, task, kind, lists, border):
    """Return the codes of the pairs with extrema of one kind, minima (0) or maxima (1), sorted.

    image : (H, W); bits : the same memory as integers. border : (tiles, places), see `tile`; overwritten.
    """
    task = Task(*task)
    within, extrema, saddles = _of_kind(kind, Lists(*lists), border)
    across = _pairs_across(image, bits, task, kind, extrema, saddles)
    codes = np.empty(within.size + across.size, np.int64)
    for i in range(within.size):  # Numba takes two seconds to compile the assignment of a slice
        codes[i] = within[i]
    for i in range(across.size):
        codes[within.size + i] = across[i]
    return _sorted(codes, image.reshape(image.size), bits.reshape(bits.size))


@allocating
def _pairs_across(image, bits, task, kind, extrema, saddles):
    """Merge the classes that live on at the saddles that are left, and return the codes of their pairs.

    extrema, saddles : see `_of_kind`.
    """
    n, m = extrema.size, len(saddles)
    values, flat = image.reshape(image.size), bits.reshape(bits.size)
    most, mirror = bits.dtype.type(np.iinfo(bits.dtype).max), bits.dtype.type(-1 if task.top else 0)
    # Equal extrema are ordered by position, as everywhere. No extremum has the key of the outside, which is the last.
    order, number, key = _order(extrema), np.empty(n + 1, np.int32), np.empty(n + 1, bits.dtype)
    for i in range(n):
        number[order[i]], key[i] = i, order_key(flat[extrema[order[i]]], most, mirror)
    number[n], key[n] = n, most if kind else ~most
    by_owner, owners = _order(saddles[:, 0].copy()), np.empty(m, np.int32)
    ends, keys = np.empty((2, m), np.int32), np.empty(m, bits.dtype)
    for i in range(m):
        owners[i], first, second = saddles[by_owner[i]]
        ends[0, i], ends[1, i] = number[first], number[second]
        keys[i] = order_key(flat[owners[i]], most, mirror)
    by_key, spare_order = np.empty(m, np.int32), np.empty(m, np.int32)
    argsort(keys, by_key, np.empty(m, bits.dtype), spare_order, radix_buckets())
    tree = MergeTree(np.empty(n + 1, np.int32), np.empty(n + 1, np.int32), np.empty(m, np.int32))
    merge(key, np.arange(n + 1), Saddles(by_key, ends), tree, kind == 1, task.halt)

    gives_birth = task.top if kind else not task.top
    codes, used = np.empty(n, np.int64), 0
    for i in range(n):
        extremum, saddle = np.int64(extrema[order[i]]), tree.saddle_of[i]
        if saddle == m:  # the class of the eldest extremum never ends
            codes[used] = code_of(extremum, -1)
            used += gives_birth
            continue
        owner = np.int64(owners[saddle])
        birth, death = extremum if gives_birth else owner, owner if gives_birth else extremum
        born, died = values[birth], values[death]
        codes[used] = code_of(birth, death)
        used += (born < died) & (died - born > task.min_persistence)
    return codes[:used]


@allocating
def _of_kind(kind, lists, border):
    """Return the codes, extrema and saddles of one kind, from all tiles.

    The ends of saddles become numbers of extrema in this list, or the number after the last for the outside.
    """
    n_tiles, places = border.shape
    total, first = lists.counts[:, kind].sum(axis=0), np.empty(n_tiles, np.int64)
    codes, extrema = np.empty(total[0], np.int64), np.empty(total[1], np.int32)
    saddles = np.empty((total[2], 3), np.int64)
    begin, to = np.zeros(3, np.int64), np.zeros(3, np.int64)
    for tile in lists.tiles:
        first[tile] = to[1]
        for k in range(2):
            counts = lists.counts[tile, k]
            if k == kind:
                for i in range(counts[0]):
                    codes[to[0] + i] = lists.codes[begin[0] + i]
                for i in range(counts[1]):
                    extrema[to[1] + i] = lists.extrema[begin[1] + i]
                for i in range(counts[2]):
                    owner, a, b = lists.saddles[begin[2] + i]
                    saddles[to[2] + i, 0] = owner
                    saddles[to[2] + i, 1] = a + first[tile] if a >= 0 else a
                    saddles[to[2] + i, 2] = b + first[tile] if b >= 0 else b
                to += counts
            begin += counts
    for tile in range(n_tiles):
        for place in range(places):
            border[tile, place] += first[tile] if border[tile, place] >= 0 else 0
    names = border.reshape(border.size)
    for i in range(len(saddles)):
        for end in range(1, 3):
            name = _follow(names, saddles[i, end])
            saddles[i, end] = extrema.size if name == OUTSIDE else name
    return codes, extrema, saddles


@device
def _follow(names, name):
    """Follow a class from border to border to the tile of its extremum, and return its name there.

    names : those of the classes on all borders. Those on the way are overwritten by the name, which makes it shorter.
    """
    end = name
    while end <= GHOST:
        end = names[GHOST - end]
    while name <= GHOST:
        place = GHOST - name
        name = names[place]
        names[place] = end
    return end


@allocating
def _order(numbers):
    """Return the stable order of non-negative numbers below 2^31: (n,) int32."""
    n = numbers.size
    keys, order, spare_order = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.int32)
    for i in range(n):
        keys[i] = numbers[i]
    argsort(keys, order, np.empty(n, np.int32), spare_order, radix_buckets())
    return order


@allocating
def _sorted(codes, values, bits):
    """Return codes by persistence, longest first, then by code. values : (P,) the image; bits : as integers."""
    n = codes.size
    births = np.empty(n, np.int32)
    for i in range(n):
        births[i] = birth_of(codes[i])
    order, by_code = _order(births), np.empty(n, np.int64)
    for i in range(n):
        code, j = codes[order[i]], i
        while j > 0 and code < by_code[j - 1]:  # only pairs that are born at the same pixel
            by_code[j] = by_code[j - 1]
            j -= 1
        by_code[j] = code
    lengths = np.empty(n, values.dtype)
    for i in range(n):
        birth, death = birth_of(by_code[i]), death_of(by_code[i])
        lengths[i] = values[death] - values[birth] if death >= 0 else np.inf
    keys, spare_keys = ~lengths.view(bits.dtype), np.empty(n, bits.dtype)  # bits of positive floats sort as the floats
    argsort(keys, order, spare_keys, births, radix_buckets())
    for i in range(n):
        codes[i] = by_code[order[i]]
    return codes
