"""Induced matching: which classes of two functions become the same class of a third one, over threads.

The third function h is the lesser of both (a union of sublevel sets) or the greater one (an intersection). Classes are
compared through the images of homology, between a function and the one that lies below it (Stucki, Paetzold, Shit,
Menze, Bauer 2023). An image class is named by an extremum of one function and a saddle of the other: the saddles of one
join its extrema, whose seniority is that of the other function. So this is `merge` with another key, `merge_by`.

Several saddles may have one owner, and which of them joins what is then a matter of convention. The classes that begin
or end with an owner are therefore matched by seniority, the eldest with the eldest (Bauer and Lesnick 2015).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .merge import before, merge
from .order import float_bits
from .records import MergeTree, Saddles
from .runtime.jit import device
from .runtime.jit import unsigned as _i

Array = NDArray[Any]


class Joins(NamedTuple):
    """The saddles of a function, and the extrema that they join. Extrema are positions in the grid."""

    owners: Array  # (m,) positions of the saddles' owners
    saddles: Saddles
    extrema: Array  # (n,)
    within: Array  # those inside the ring; the outside has a class too, if it comes first


class Seniority(NamedTuple):
    """Which extrema of another function stand for those of a function, and memory to merge them in."""

    eldest: Array  # (cells,) int32: at an extremum, the eldest in its basin
    extrema: Array  # (cells,) int32: these, in the order of the function's own extrema
    ends: Array  # (2 cells,) int32
    order: Array  # (cells,) int32
    tree: MergeTree


@device
def lead(reached, extrema, key, joins, descending, eldest):
    """Find the eldest of another function's extrema in the basin of each extremum.

    Only extrema count: from any other vertex, a way leads down (or up) to one in the same sublevel set. A basin without
    any is represented by its own extremum, which is younger than every saddle that matters.

    reached : (n,) where the gradient leads from each of `extrema`, of the other function; key : its order keys.
    descending : whether extrema are maxima, and the greatest is the eldest. eldest : (cells,), written.
    """
    for u in joins.extrema:
        eldest[_i(u)] = u
    for i in range(extrema.size):
        u, there = extrema[i], eldest[_i(reached[i])]
        if u != there and before(key, u, there, descending):
            eldest[_i(reached[i])] = u


@device
def merge_by(key, joins, joining, seniority, descending, halt):
    """Merge the extrema at the saddles that join them, by the seniority of another function's extrema.

    key : order keys of the other function. joining : (m,) negative at saddles that are known to join nothing.
    Written: seniority.tree, in which extrema are those of the other function.
    """
    order, ends, m, n = seniority.order, joins.saddles.ends, joins.owners.size, joins.extrema.size
    renamed, partner, eldest = seniority.ends[: 2 * m].reshape(2, m), seniority.tree.partner, seniority.eldest
    partner[:m] = -1
    some = _i(0)
    for s in joins.saddles.order:
        renamed[0, _i(s)], renamed[1, _i(s)] = eldest[_i(ends[0, _i(s)])], eldest[_i(ends[1, _i(s)])]
        order[some] = s
        some += _i(joining[_i(s)] >= 0)
    extrema = seniority.extrema[:n]
    for i in range(n):
        extrema[i] = eldest[_i(joins.extrema[i])]
    merge(key, extrema, Saddles(order[:some], renamed), seniority.tree, descending, halt)


@device
def keep_images(key, of_owners, joins, partner, task, lengths, descending):
    """Drop the extrema whose image classes last no longer, in values, than the minimum.

    Where values are equal, which of them comes first is a convention, and a class that ends at the value at which it
    begins is no class.

    key : order keys of the extrema; of_owners : those of the owners. partner : (m,), see `MergeTree`; changed to -1.
    lengths : scratch, of the window's dtype.
    """
    bits = lengths.view(key.dtype)
    for s in range(joins.owners.size):
        if partner[s] >= 0:
            extremum, saddle = key[_i(partner[s])], of_owners[_i(joins.owners[s])]
            bits[0], bits[1] = float_bits(extremum, task.top), float_bits(saddle, task.top)
            length = lengths[0] - lengths[1] if descending != task.top else lengths[1] - lengths[0]
            if not length > task.min_persistence:  # it may be NaN, for two infinities
                partner[s] = -1


@device
def link(joins, partner, key, other_partner, other_key, descending, linked):
    """Link the extrema of two functions that are paired with saddles of one owner, the eldest with the eldest.

    partner, other_partner : (m,) extrema by saddle, or -1; changed. key, other_key : order keys of these.
    linked : (cells,), written at extrema of the first: that of the second.
    """
    owners, order = joins.owners, joins.saddles.order
    stop = 0
    while stop < order.size:
        i, stop = stop, stop + 1
        owner = owners[_i(order[i])]
        while stop < order.size and owners[_i(order[stop])] == owner:
            stop += 1
        if stop == i + 1:
            u, v = partner[_i(order[i])], other_partner[_i(order[i])]
            if u >= 0 and v >= 0:
                linked[_i(u)] = v
            continue
        for _ in range(i, stop):
            u = _take_eldest(order, i, stop, partner, key, descending)
            v = _take_eldest(order, i, stop, other_partner, other_key, descending)
            if u < 0 or v < 0:
                break
            linked[_i(u)] = v


@device
def _take_eldest(order, first, last, partner, key, descending):
    """Return the eldest extremum that saddles first, ..., last - 1 are paired with, and remove it; -1 for none."""
    found, at = np.int64(-1), np.int64(0)
    for i in range(first, last):
        u = np.int64(partner[_i(order[i])])
        if u >= 0 and (found < 0 or before(key, u, found, descending)):
            found, at = u, np.int64(order[i])
    if found >= 0:
        partner[_i(at)] = -1
    return found
