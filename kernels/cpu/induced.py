"""Induced matching: which classes of two functions become the same class of a third one, over threads.

The third function h is the lesser of both (a union of sublevel sets) or the greater one (an intersection). The sublevel
sets of one function are contained in those of another, so each class of the first has an image among the classes of the
second (Stucki, Paetzold, Shit, Menze, Bauer 2023). Such an image is a pair of an extremum of one function and a saddle
of the other. `merge_both` finds these pairs as `merge` finds pairs, but with the seniority of another function.
Loops of volumes have no extremum; see `volume.induced_loops`.

Several saddles may have one owner, and which of them joins what is then a matter of convention. The classes that begin
or end with an owner are therefore matched by seniority, the eldest with the eldest (Bauer and Lesnick 2015).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .merge import before, find
from .order import float_bits
from .records import Saddles
from .runtime.jit import device
from .runtime.jit import unsigned as _i
from .runtime.primitives import halted
from .runtime.views import view

Array = NDArray[Any]
_BLOCK = 1 << 14  # saddles between two calls of `halted`


class Joins(NamedTuple):
    """The saddles of a function, and the extrema that they join. Extrema are positions in the grid."""

    owners: Array  # (m,) positions of the saddles' owners
    saddles: Saddles
    extrema: Array  # (n,)
    within: Array  # those inside the ring; the outside has a class too, if it comes first


class Carried(NamedTuple):
    """The seniority of the extrema of one function, among those that another function's saddles join."""

    key: Array  # (cells,) order keys of the one function
    eldest: Array  # (cells,) int32: at an extremum of the other one, the eldest that its class contains
    partner: Array  # (m,) int32: for each saddle, the extremum whose class it ends, or -1


@device
def lead(reached, extrema, joins, descending, carried):
    """Find the eldest of some extrema in the basin of each extremum of another function.

    Only extrema count: from any other vertex, a way leads down (or up) to one in the same sublevel set. A basin without
    any is represented by its own extremum, which is younger than every saddle that matters.

    reached : (n,) where the gradient of the other function leads from each of `extrema`. joins : of that function.
    descending : whether extrema are maxima, and the greatest is the eldest. Written: carried.eldest.
    """
    key, eldest = carried.key, carried.eldest
    for u in joins.extrema:
        eldest[_i(u)] = u
    for i in range(extrema.size):
        u, there = extrema[i], eldest[_i(reached[i])]
        if u != there and before(key, u, there, descending):
            eldest[_i(reached[i])] = u


@device
def merge_both(joins, first, second, elder_of, descending, halt):
    """Merge the extrema that saddles join, with the elder rule by the seniority of two other functions.

    This is `merge` for two seniorities at once, whose classes have the same members.

    first, second : Carried; `partner` is written, and `eldest` changed. elder_of : (cells,) scratch.
    """
    order, ends = joins.saddles.order, joins.saddles.ends
    first.partner[: order.size] = -1
    second.partner[: order.size] = -1
    for u in joins.extrema:
        elder_of[_i(u)] = u
    for begin in range(0, order.size, _BLOCK):
        if halted(halt):
            return
        for i in range(begin, min(begin + _BLOCK, order.size)):
            saddle = _i(order[order.size - 1 - i if descending else i])
            u, v = find(_i(ends[0, saddle]), _i(ends[1, saddle]), elder_of)
            if u != v:
                of_u, of_v = first.eldest[u], first.eldest[v]
                v_is_elder = before(first.key, of_v, of_u, descending)
                elder, younger = v if v_is_elder else u, u if v_is_elder else v
                elder_of[younger], first.partner[saddle] = elder, of_u if v_is_elder else of_v
                of_elder, of_younger = second.eldest[elder], second.eldest[younger]
                exchanged = before(second.key, of_younger, of_elder, descending)
                second.eldest[elder] = of_younger if exchanged else of_elder
                second.partner[saddle] = of_elder if exchanged else of_younger


@device
def keep_images(carried, of_owners, joins, task, lengths, descending):
    """Drop the extrema whose image classes last no longer, in values, than the minimum.

    Where values are equal, which of them comes first is a convention, and a class that ends at the value at which it
    begins is no class.

    carried : `partner` is changed to -1. of_owners : (cells,) order keys of the saddles' function.
    lengths : scratch, of the window's dtype.
    """
    key, partner = carried.key, carried.partner
    bits = view(lengths, key.dtype)
    for s in range(joins.owners.size):
        if partner[s] >= 0:
            extremum, saddle = key[_i(partner[s])], of_owners[_i(joins.owners[s])]
            bits[0], bits[1] = float_bits(extremum, task.top), float_bits(saddle, task.top)
            length = lengths[0] - lengths[1] if descending != task.top else lengths[1] - lengths[0]
            if not length > task.min_persistence:  # it may be NaN, for two infinities
                partner[s] = -1


@device
def link(joins, first, second, descending, linked):
    """Link the extrema of two functions that are paired with saddles of one owner, the eldest with the eldest.

    first, second : Carried; `partner` is changed. linked : (cells,), written at extrema of the first: that of the
    second.
    """
    partner, key, other_partner, other_key = first.partner, first.key, second.partner, second.key
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
