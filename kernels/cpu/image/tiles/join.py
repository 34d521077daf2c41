"""Join: the pairs that cross the borders of tiles, and the order of all pairs."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...merge import merge
from ...order import order_key
from ...records import MergeTree, Saddles, Task
from ...runtime.jit import allocating, device, kernel
from ...runtime.sort import argsort, radix_buckets
from .tile import OUTSIDE

Array = NDArray[Any]


class Lists(NamedTuple):
    """What tiles have found, one after the other, and of each tile by kind of extremum."""

    tiles: Array  # (n,) their numbers
    counts: Array  # (n, kinds, 3), by number: codes, live extrema, and saddles that are left
    codes: Array
    extrema: Array
    saddles: Array  # (m, 3)


@kernel
def join(image, bits, task, kind, lists, border):
    """Return the codes of the pairs with extrema of one kind, minima (0) or maxima (1), sorted.

    image : (H, W); bits : the same memory as integers. border : (tiles, places), see `tile`; overwritten.
    """
    task, lists = Task(*task), Lists(*lists)
    codes, nodes, saddles = _of_kind(kind, lists, border)
    top = task.top
    n, m = nodes.size, len(saddles)
    # Extrema are numbered in the order of their pixels, and that outside last: keys are equal to no other's.
    order = _order(nodes)
    number = np.empty(n + 1, np.int32)
    for i in range(n):
        number[order[i]] = i
    number[n] = n
    key, most = np.empty(n + 1, bits.dtype), np.iinfo(bits.dtype).max
    flat, mirror = bits.reshape(bits.size), bits.dtype.type(-1 if top else 0)
    values = image.reshape(image.size)
    for i in range(n):
        key[i] = order_key(flat[nodes[order[i]]], bits.dtype.type(most), mirror)
    key[n] = most if kind else ~most
    owners, keys = np.empty(m, np.int32), np.empty(m, bits.dtype)
    by_owner = _order(saddles[:, 0].copy())
    ends = np.empty((2, m), np.int32)
    for i in range(m):
        saddle = saddles[by_owner[i]]
        owners[i] = saddle[0]
        keys[i] = order_key(flat[owners[i]], bits.dtype.type(most), mirror)
        ends[0, i], ends[1, i] = number[saddle[1]], number[saddle[2]]
    by_key, spare = np.empty(m, np.int32), np.empty(m, np.int32)
    argsort(keys, by_key, np.empty(m, bits.dtype), spare, radix_buckets())
    tree = MergeTree(np.empty(n + 1, np.int32), np.empty(n + 1, np.int32), np.empty(m, np.int32))
    merge(key, np.arange(n + 1), Saddles(by_key, ends), tree, kind == 1, task.halt)
    gives_birth = task.top if kind else not task.top
    used = codes.size
    more = np.empty(used + n, np.int64)
    for i in range(used):
        more[i] = codes[i]
    for i in range(n):
        extremum, saddle = np.int64(nodes[order[i]]), tree.saddle_of[i]
        if saddle == m:
            more[used] = extremum << 32
            used += gives_birth
            continue
        owner = np.int64(owners[saddle])
        birth, death = extremum if gives_birth else owner, owner if gives_birth else extremum
        born, died = values[birth], values[death]
        more[used] = birth << 32 | death + 1
        used += (born < died) & (died - born > task.min_persistence)
    return _sorted(more[:used], values, flat)


@allocating
def _of_kind(kind, lists, border):
    """Return codes, extrema and saddles of one kind, with the ends of saddles as numbers in the list of extrema.

    The class outside has the last number, after all extrema.
    """
    n_tiles, places = border.shape
    tiles, counts = lists.tiles, lists.counts
    total = counts[:, kind].sum(axis=0)
    codes, nodes = np.empty(total[0], np.int64), np.empty(total[1], np.int32)
    saddles, first = np.empty((total[2], 3), np.int64), np.empty(n_tiles, np.int64)
    begin, to = np.zeros(3, np.int64), np.zeros(3, np.int64)
    for tile in tiles:
        first[tile] = to[1]
        for k in range(2):
            n_codes, n_nodes, n_saddles = counts[tile, k]
            if k == kind:
                for i in range(n_codes):
                    codes[to[0] + i] = lists.codes[begin[0] + i]
                for i in range(n_nodes):
                    nodes[to[1] + i] = lists.extrema[begin[1] + i]
                for i in range(n_saddles):
                    for j in range(3):
                        saddles[to[2] + i, j] = lists.saddles[begin[2] + i, j]
                    for j in range(1, 3):
                        if saddles[to[2] + i, j] >= 0:
                            saddles[to[2] + i, j] += first[tile]
                to += counts[tile, k]
            begin += counts[tile, k]
    for tile in range(n_tiles):
        for place in range(places):
            if border[tile, place] >= 0:
                border[tile, place] += first[tile]
    names = border.reshape(border.size)
    for i in range(len(saddles)):
        for j in range(1, 3):
            name = _follow(names, saddles[i, j])
            saddles[i, j] = nodes.size if name == OUTSIDE else name
    return codes, nodes, saddles


@device
def _follow(names, name):
    """Follow a class through the tiles that know it by places on their borders only, and shorten the way for others."""
    end = name
    while end < OUTSIDE:
        end = names[-2 - end]
    while name < OUTSIDE:
        place = -2 - name
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
        births[i] = codes[i] >> 32
    order, by_code = _order(births), np.empty(n, np.int64)
    for i in range(n):
        code, j = codes[order[i]], i
        while j > 0 and code < by_code[j - 1]:  # of two pairs that are born at one pixel
            by_code[j] = by_code[j - 1]
            j -= 1
        by_code[j] = code
    lengths = np.empty(n, values.dtype)
    for i in range(n):
        birth, death = by_code[i] >> 32, (by_code[i] & 0xFFFFFFFF) - 1
        lengths[i] = values[death] - values[birth] if death >= 0 else np.inf
    keys, spare_keys = ~lengths.view(bits.dtype), np.empty(n, bits.dtype)  # bits of positive floats sort as the floats
    argsort(keys, order, spare_keys, births, radix_buckets())
    for i in range(n):
        codes[i] = by_code[order[i]]
    return codes
