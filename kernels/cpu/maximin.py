"""Maximin: count for each edge of a grid the pairs of pixels whose best path it limits.

The best path between two pixels is the one whose weakest edge is the strongest. Edges are visited in decreasing cost.
An edge that joins two components is the weakest of the best path from any pixel of the one to any pixel of the other,
so it decides all these pairs. Either the pairs within a region are counted, or those of different regions; both counts
are weights of MALIS (Turaga, Briggman, Helmstaedter, Denk, Seung 2009). Each component counts its pixels by region.
When two components are joined, the counts of the one with fewer regions move to the other, so each count moves a
logarithmic number of times.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .runtime.interrupt import halt_word, interruptible
from .runtime.jit import device, kernel
from .runtime.jit import unsigned as _i
from .runtime.primitives import halted
from .runtime.sort import argsort, radix_buckets
from .runtime.threads import over_windows

Array = NDArray[Any]


class Edges(NamedTuple):
    """The edges of a window."""

    place: Array  # index in the costs of a window
    first: Array  # the pixels that an edge joins
    second: Array


class RegionCounts(NamedTuple):
    """A hash table of entries, each of which counts the pixels of one region in one component."""

    owner: Array  # the component
    bucket: Array  # first entry with a hash, or -1
    chain: Array  # next entry with the same hash, or -1


@interruptible(lambda mask, radius: mask.size * (1 + radius) >= 1 << 22)
def regions(mask: Array, radius: int) -> Array:
    """Number the parts into which a mask divides N windows; see `gpuph.ops.regions`."""
    if mask.size == 0:
        return np.zeros(mask.shape, np.int32)
    axes = mask.ndim - 1
    cross, full = np.zeros((2, *[3] * mask.ndim), bool)  # structuring elements that do not reach into other windows
    cross[1], full[1] = ndimage.generate_binary_structure(axes, 1), True
    if radius > 0:  # with 0 iterations, scipy repeats until nothing changes
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
    edges = []  # index in the costs of a window, and both pixels
    for axis in range(len(window)):
        first, second = (np.delete(pixels, end, axis).ravel() for end in (-1, 0))
        edges.append(np.stack((axis * pixels.size + first, first, second)))
    joined = Edges(*np.concatenate(edges, axis=1).astype(np.int32))
    flat_cost, flat_region, flat_counts = (x.reshape(n, -1) for x in (cost, region, counts))
    bits = flat_cost.view(np.int32 if cost.dtype == np.float32 else np.int64)

    def run(start: int, stop: int) -> None:
        rows = slice(start, stop)
        _maximin(bits[rows], flat_region[rows], same, joined, flat_counts[rows], halt)

    over_windows(n, run)
    return counts


@kernel
def _maximin(bits, region, same, edges, counts, halt):
    """Count the pairs of the windows of a slice.

    bits : (N, E), the costs as integers. region : (N, P) int32. edges : Edges, (m,) int32.
    counts : (N, E) int64, written at the edges that join two components. halt : see `halted`.
    """
    m, pixels = edges.place.size, region.shape[1]
    most = np.iinfo(bits.dtype).max
    keys, spare_keys = np.empty(m, bits.dtype), np.empty(m, bits.dtype)
    order, spare_order = np.empty(m, np.int32), np.empty(m, np.int32)
    parent, kinds = np.empty(pixels, np.int32), np.empty(pixels, np.int32)
    members = np.empty(pixels, np.int64)
    buckets = 1
    while buckets < pixels:
        buckets *= 2
    # An entry has the index of a pixel of its region. It is also in a linked list of its component: first_of, next_of.
    count, first_of, next_of = np.empty(pixels, np.int64), np.empty(pixels, np.int32), np.empty(pixels, np.int32)
    table = RegionCounts(np.empty(pixels, np.int32), np.empty(buckets, np.int32), np.empty(pixels, np.int32))
    for w in range(len(bits)):
        for i in range(m):
            b = bits[w, edges.place[i]]
            k = b ^ most if b < 0 else b
            keys[i] = ~k if k != -1 else ~0  # descending order, in which -0.0 equals 0.0
        argsort(keys, order, spare_keys, spare_order, radix_buckets())
        if halted(halt):
            return
        table.bucket[:] = -1
        for p in range(pixels):
            known = region[w, p] != 0
            parent[p], table.owner[p], next_of[p] = p, p, -1
            members[p], kinds[p], count[p], first_of[p] = known, known, 1, p if known else -1
            if known:
                _link(p, region[w], table)
        for step in range(m):
            if step & 0xFFF == 0 and halted(halt):
                return
            i = order[step]
            u, v = _root(parent, edges.first[i]), _root(parent, edges.second[i])
            if u == v:
                continue
            if kinds[u] < kinds[v]:
                u, v = v, u
            shared = 0
            entry = first_of[v]
            while entry >= 0:
                following = next_of[entry]
                _unlink(entry, region[w], table)
                other = _find(u, region[w, entry], region[w], table)
                if other >= 0:
                    shared += count[other] * count[entry]
                    count[other] += count[entry]
                else:
                    table.owner[entry] = u
                    _link(entry, region[w], table)
                    next_of[entry], first_of[u] = first_of[u], entry
                    kinds[u] += 1
                entry = following
            counts[w, edges.place[i]] = shared if same else members[u] * members[v] - shared
            members[u] += members[v]
            parent[v] = u


@device
def _root(parent, p):
    """Return the root of a pixel's tree, and halve the path to it."""
    while parent[_i(p)] != p:
        parent[_i(p)] = parent[_i(parent[_i(p)])]
        p = parent[_i(p)]
    return p


@device
def _hash(component, label, bucket):
    """Return the bucket of a region in a component."""
    mixed = np.uint32(np.uint32(component) * np.uint32(0x9E3779B1)) ^ np.uint32(
        np.uint32(label) * np.uint32(0x85EBCA77)
    )
    return _i(np.uint32(mixed ^ (mixed >> np.uint32(15))) & np.uint32(bucket.size - 1))


@device
def _link(entry, region, table):
    """Insert an entry into the list of its hash."""
    h = _hash(table.owner[entry], region[entry], table.bucket)
    table.chain[entry], table.bucket[h] = table.bucket[h], entry


@device
def _unlink(entry, region, table):
    """Remove an entry from the list of its hash."""
    chain, bucket = table.chain, table.bucket
    h = _hash(table.owner[entry], region[entry], bucket)
    if bucket[h] == entry:
        bucket[h] = chain[entry]
        return
    before = bucket[h]
    while chain[before] != entry:
        before = chain[before]
    chain[before] = chain[entry]


@device
def _find(component, label, region, table):
    """Return the entry of a region in a component, or -1."""
    entry = table.bucket[_hash(component, label, table.bucket)]
    while entry >= 0 and (table.owner[entry] != component or region[entry] != label):
        entry = table.chain[entry]
    return entry
