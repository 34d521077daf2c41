"""Maximin: which edge of a grid is the weakest on the strongest path between two pixels, for all pairs at once.

Edges are taken in decreasing cost. One that joins two components is the weakest of the best path between any pixel of
the one and any of the other, so it decides as many pairs as there are, here of one region or of different ones: the
weights of MALIS (Turaga, Briggman, Helmstaedter, Denk, Seung 2009). A component counts its pixels by region, and of two
that are joined, the one that knows fewer regions is counted over to the other, so that each count moves a logarithmic
number of times.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .runtime.interrupt import halt_word, interruptible
from .runtime.jit import device, kernel
from .runtime.jit import unsigned as _i
from .runtime.primitives import halted
from .runtime.sort import argsort, no_places
from .runtime.threads import over_windows

Array = NDArray[Any]


@interruptible(lambda mask, radius: mask.size * (1 + radius) >= 1 << 22)
def regions(mask: Array, radius: int) -> Array:
    """Number the parts into which a mask divides N windows; see `gpuph.ops.regions`."""
    if mask.size == 0:
        return np.zeros(mask.shape, np.int32)
    axes = mask.ndim - 1
    cross, full = np.zeros((2, *[3] * mask.ndim), bool)  # they reach into no other window
    cross[1], full[1] = ndimage.generate_binary_structure(axes, 1), True
    if radius > 0:  # where scipy would go on until nothing changes
        mask = ndimage.binary_dilation(mask, cross, iterations=radius)
    labels: Array = ndimage.label(~mask, full)[0]
    return labels.astype(np.int32, copy=False)


@interruptible(lambda cost, *_: cost.size >= 1 << 18)
def maximin(cost: Array, region: Array, *, same: bool) -> Array:
    """Count the pairs that each edge decides; see `gpuph.ops.maximin`."""
    n, window, halt = len(cost), region.shape[1:], halt_word()
    counts = np.zeros(cost.shape, np.int64)
    if n == 0:
        return counts
    pixels = np.arange(region[0].size).reshape(window)
    edges = []  # place in a window's costs, and both ends
    for axis in range(len(window)):
        first, second = (np.delete(pixels, end, axis).ravel() for end in (-1, 0))
        edges.append(np.stack((axis * pixels.size + first, first, second)))
    place, first, second = np.concatenate(edges, axis=1).astype(np.int32)
    flat_cost, flat_region, flat_counts = (x.reshape(n, -1) for x in (cost, region, counts))
    bits = flat_cost.view(np.int32 if cost.dtype == np.float32 else np.int64)

    def run(start: int, stop: int) -> None:
        rows = slice(start, stop)
        _maximin(bits[rows], flat_region[rows], same, place, first, second, flat_counts[rows], halt)

    over_windows(n, run)
    return counts


@kernel
def _maximin(bits, region, same, place, first, second, counts, halt):
    """Count the pairs of the windows of a slice.

    bits : (N, E) the costs as integers; region : (N, P) int32. place, first, second : (m,) int32, where an edge is in
    E, and the pixels that it joins. counts : (N, E) int64, written at the edges that join two components.
    halt : see `halted`.
    """
    m, pixels = place.size, region.shape[1]
    most = np.iinfo(bits.dtype).max
    keys, spare_keys = np.empty(m, bits.dtype), np.empty(m, bits.dtype)
    order, spare_order = np.empty(m, np.int32), np.empty(m, np.int32)
    parent, kinds = np.empty(pixels, np.int32), np.empty(pixels, np.int32)
    members = np.empty(pixels, np.int64)
    buckets = 1
    while buckets < pixels:
        buckets *= 2
    # An entry counts the pixels of a region in a component. It has the index of a pixel, whose region it is of, and is
    # in two lists: that of its component, and that of its hash.
    count, owner = np.empty(pixels, np.int64), np.empty(pixels, np.int32)
    first_of, next_of = np.empty(pixels, np.int32), np.empty(pixels, np.int32)
    bucket, chain = np.empty(buckets, np.int32), np.empty(pixels, np.int32)
    for w in range(len(bits)):
        for i in range(m):
            b = bits[w, place[i]]
            k = b ^ most if b < 0 else b
            keys[i] = ~k if k != -1 else ~0  # -0.0 equals 0.0; the greatest comes first
        argsort(keys, order, spare_keys, spare_order, no_places())
        if halted(halt):
            return
        bucket[:] = -1
        for p in range(pixels):
            known = region[w, p] != 0
            parent[p], owner[p], next_of[p] = p, p, -1
            members[p], kinds[p], count[p], first_of[p] = known, known, 1, p if known else -1
            if known:
                _link(p, region[w], owner, bucket, chain)
        for step in range(m):
            if step & 0xFFF == 0 and halted(halt):
                return
            i = order[step]
            u, v = _root(parent, first[i]), _root(parent, second[i])
            if u == v:
                continue
            if kinds[u] < kinds[v]:
                u, v = v, u
            shared = 0
            entry = first_of[v]
            while entry >= 0:
                following = next_of[entry]
                _unlink(entry, region[w], owner, bucket, chain)
                other = _find(u, region[w, entry], region[w], owner, bucket, chain)
                if other >= 0:
                    shared += count[other] * count[entry]
                    count[other] += count[entry]
                else:
                    owner[entry] = u
                    _link(entry, region[w], owner, bucket, chain)
                    next_of[entry], first_of[u] = first_of[u], entry
                    kinds[u] += 1
                entry = following
            counts[w, place[i]] = shared if same else members[u] * members[v] - shared
            members[u] += members[v]
            parent[v] = u


@device
def _root(parent, p):
    """The root of a pixel's tree, whose paths become shorter on the way."""
    while parent[_i(p)] != p:
        parent[_i(p)] = parent[_i(parent[_i(p)])]
        p = parent[_i(p)]
    return p


@device
def _hash(component, label, bucket):
    mixed = np.uint32(np.uint32(component) * np.uint32(0x9E3779B1)) ^ np.uint32(
        np.uint32(label) * np.uint32(0x85EBCA77)
    )
    return _i(np.uint32(mixed ^ (mixed >> np.uint32(15))) & np.uint32(bucket.size - 1))


@device
def _link(entry, region, owner, bucket, chain):
    """Put an entry into the list of its hash."""
    h = _hash(owner[entry], region[entry], bucket)
    chain[entry], bucket[h] = bucket[h], entry


@device
def _unlink(entry, region, owner, bucket, chain):
    """Take an entry out of the list of its hash."""
    h = _hash(owner[entry], region[entry], bucket)
    if bucket[h] == entry:
        bucket[h] = chain[entry]
        return
    before = bucket[h]
    while chain[before] != entry:
        before = chain[before]
    chain[before] = chain[entry]


@device
def _find(component, label, region, owner, bucket, chain):
    """The entry of a region in a component, or -1."""
    entry = bucket[_hash(component, label, bucket)]
    while entry >= 0 and (owner[entry] != component or region[entry] != label):
        entry = chain[entry]
    return entry
