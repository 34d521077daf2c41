"""Induced matching of the loops of two volumes; see `kernels.cpu.induced`.

No extremum names a loop, so loops are known by the owners of the edge that closes them and of the square that ends
them. Those that share an owner are matched in the order of their lengths, as for extrema.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..merge import before
from ..order import float_bits
from ..runtime.jit import allocating
from ..runtime.primitives import halted
from ..runtime.sort import argsort, radix_buckets
from ..runtime.views import flat, view
from .persistence import merge_maxima, merge_minima, sorted_saddles
from .reduce import reduce
from .reduce_between import columns_of, reduce_between, rows_of
from .trace import offsets_of

Array = NDArray[Any]


class LoopPartners(NamedTuple):
    """The loops of two volumes, and which of them have a class in common."""

    a: Array  # (2, n) int32, the owners of the edges that close the loops and of the squares that end them
    b: Array  # (2, m) int32
    partner: Array  # (n,) int32, the number of a loop of b, or -1


class _Intervals(NamedTuple):
    """Intervals of loops, and the keys of the volumes in whose orders they begin and end."""

    ends: Array  # (2, n) int32, see `LoopPartners`
    birth_key: Array  # (cells,)
    death_key: Array  # (cells,)


@allocating
def no_loops():
    """Return no loops."""
    return LoopPartners(np.empty((2, 0), np.int32), np.empty((2, 0), np.int32), np.empty(0, np.int32))


@allocating
def induce_loops(a, b, both, greater, task, lengths):
    """Find which loops of one volume have a class in common with which loops of the other.

    a, b, both : induced.Traced, of either volume and of the compared function, with all saddles traced; their `known`
    is overwritten. greater : whether the compared function is the greater one in V. lengths : scratch, (2,) of the
    volumes' dtype.
    Returns LoopPartners, in the order of births in the construction; loops that end at the value of their birth are
    included.
    """
    top, halt = task.top, task.halt
    own_a, own_b = _own_loops(a, top, halt), _own_loops(b, top, halt)
    if greater:  # images begin with the loops of both, and end with those of a or b
        rows = _rows(both, top, halt)
        image_a = _images(rows, _columns(a, top, halt), a, task, lengths)
        image_b = _images(rows, _columns(b, top, halt), b, task, lengths)
    else:
        columns = _columns(both, top, halt)
        image_a = _images(_rows(a, top, halt), columns, a, task, lengths)
        image_b = _images(_rows(b, top, halt), columns, b, task, lengths)
    if halted(halt):
        return no_loops()
    shared = int(greater)  # the end that images have in common with the loops of a or b
    partner, between = _match(own_a, image_a, shared), _match(image_a, image_b, 1 - shared)
    to_own = _match(image_b, own_b, shared)
    for i in range(partner.size):
        j = partner[i]
        k = between[j] if j >= 0 else j
        partner[i] = to_own[k] if k >= 0 else k
    return LoopPartners(own_a.ends, own_b.ends, partner)


@allocating
def _own_loops(volume, top, halt):
    """Return the intervals of a volume, in the order of their births in the construction."""
    cells, workspace = volume.cells, volume.workspace
    killed = merge_minima(cells, workspace.key, volume.below, top, halt).partner
    opened = merge_maxima(cells, workspace.key, volume.above, top, halt).partner
    square_of, edge_of = reduce(cells, killed, opened, workspace, halt)
    ends = np.empty((2, np.count_nonzero(edge_of >= 0)), np.int32)
    n = 0
    for i in range(edge_of.size if top else square_of.size):
        e, s = (edge_of[i], i) if top else (i, square_of[i])
        if e >= 0 and s >= 0:
            ends[0, n], ends[1, n] = cells.edges[e], cells.squares[s]
            n += 1
    key = flat(workspace.key)
    return _Intervals(ends, key, key)


@allocating
def _rows(volume, top, halt):
    """Return the edges of a volume that close a loop; see `rows_of`."""
    key, cells = volume.workspace.key, volume.cells
    killed = merge_minima(cells, key, volume.below, top, halt).partner
    offsets = offsets_of(key.shape[2], key[0].size)
    return rows_of(cells, killed, flat(key), flat(volume.workspace.star), offsets)


@allocating
def _columns(volume, top, halt):
    """Return the squares of a volume that end a loop, in its order; see `columns_of`."""
    key, cells = flat(volume.workspace.key), volume.cells
    opened = merge_maxima(cells, volume.workspace.key, volume.above, top, halt).partner
    order = sorted_saddles(key, np.arange(key.size))
    return columns_of(cells, opened, key, flat(volume.workspace.star), order)


@allocating
def _images(rows, columns, volume, task, lengths):
    """Return the intervals of images between two functions that last longer than the minimum; see `reduce_between`."""
    ends = reduce_between(rows, columns, volume.workspace.chain, task.halt)
    lasts, bits, n = np.empty(ends.shape[1], np.bool_), view(lengths, rows.key.dtype), 0
    for i in range(lasts.size):
        bits[0], bits[1] = float_bits(rows.key[ends[0, i]], task.top), float_bits(columns.key[ends[1, i]], task.top)
        length = lengths[0] - lengths[1] if task.top else lengths[1] - lengths[0]
        lasts[i] = length > task.min_persistence  # not if it is NaN, for two infinities
    lasting = np.empty((2, np.count_nonzero(lasts)), np.int32)
    for i in range(lasts.size):
        if lasts[i]:
            lasting[0, n], lasting[1, n] = ends[0, i], ends[1, i]
            n += 1
    return _Intervals(lasting, rows.key, columns.key)


@allocating
def _match(first, second, shared):
    """Match the intervals that share an end, 0 for birth and 1 for death, the longest ones first.

    Returns (n,) int32, for each of `first` the number of one of `second`, or -1.
    """
    order_a, order_b = _by_owner(first, shared), _by_owner(second, shared)
    owners_a, owners_b = first.ends[shared], second.ends[shared]
    partner = np.full(order_a.size, -1, np.int32)
    i = j = 0
    while i < order_a.size and j < order_b.size:
        u, v = owners_a[order_a[i]], owners_b[order_b[j]]
        if u == v:
            partner[order_a[i]] = order_b[j]
        i, j = i + int(u <= v), j + int(v <= u)
    return partner


@allocating
def _by_owner(intervals, shared):
    """Return the order of intervals by the owner at an end, and of those that share it longest first; (n,) int32."""
    owners, others = intervals.ends[shared], intervals.ends[1 - shared]
    key = intervals.birth_key if shared else intervals.death_key
    n = owners.size
    order, spare = np.empty(n, np.int32), np.empty(n, np.int32)
    argsort(owners.copy(), order, np.empty(n, np.int32), spare, radix_buckets())
    for i in range(1, n):
        moved, j = order[i], i
        while j > 0 and owners[order[j - 1]] == owners[moved]:
            u, v = others[moved], others[order[j - 1]]
            if u == v or not before(key, u, v, not shared):
                break
            order[j] = order[j - 1]
            j -= 1
        order[j] = moved
    return order
