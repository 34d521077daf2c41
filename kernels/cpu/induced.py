"""Induced matching: which classes of two functions become the same class of a third one, over threads.

The third function h is the lesser of both (a union of sublevel sets) or the greater one (an intersection). Where the
sublevel sets of one function are contained in those of another, each class of the first has an image among the classes
of the second (Stucki, Paetzold, Shit, Menze, Bauer 2023). Such an image is a pair of an extremum of one function and a
saddle of the other. `carry` finds these pairs: it follows the links of the merge tree of the function with the saddles,
and applies the elder rule by the seniority of the other function. Loops of volumes have no extremum; see
`volume.induced_loops`.

Several saddles may have one owner, and which of them joins what is then a convention. The classes that begin or end
with one owner are therefore matched by seniority, the eldest with the eldest (Bauer and Lesnick 2015).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .merge import before
from .order import float_bits
from .runtime.jit import device
from .runtime.jit import unsigned as _i

Array = NDArray[Any]


class Carried(NamedTuple):
    """The seniority of one function's extrema in the classes that another function's links join.

    Extrema are positions in the grid.
    """

    key: Array  # (cells,) order keys of the one function
    eldest: Array  # (cells,) int32: at an extremum of the other one, the eldest that its class contains
    partner: Array  # (n,) int32: for each link, the extremum whose class it ends, or -1


@device
def lead(reached, extrema, linked_extrema, descending, carried):
    """Find the eldest of some extrema in the basin of each extremum of another function.

    Only extrema count, because from any other vertex a path leads down (or up) to an extremum in the same sublevel set.
    If a basin contains none, its own extremum stands for it, which is younger than every saddle that matters.

    reached : (n,) where the gradient of the other function leads from each of `extrema`. linked_extrema : those of the
    other function. descending : whether extrema are maxima, and the greatest is the eldest. Written: carried.eldest.
    """
    key, eldest = carried.key, carried.eldest
    for u in linked_extrema:
        eldest[_i(u)] = u
    for i in range(extrema.size):
        u, there = extrema[i], eldest[_i(reached[i])]
        if u != there and before(key, u, there, descending):
            eldest[_i(reached[i])] = u


@device
def carry(links, carried, of_owners, task, lengths, descending):
    """Find the extrema whose classes the links of another function end, by the elder rule.

    An extremum whose image class lasts no longer than the minimum, in values, is left out. A class that ends at the
    value at which it begins does not count, because the order of equal values is a convention.

    of_owners : (cells,) order keys of the links' function. lengths : scratch, of the window's dtype.
    Written: carried.partner; carried.eldest is changed.
    """
    key, eldest, partner, least = carried.key, carried.eldest, carried.partner, task.min_persistence
    bits = lengths.view(key.dtype)
    for i in range(_i(links.number[0])):
        elder, younger = _i(links.elder[i]), _i(links.younger[i])
        u, v = eldest[elder], eldest[younger]
        exchanged = before(key, v, u, descending)
        eldest[elder] = v if exchanged else u
        ended = u if exchanged else v
        extremum, saddle = key[_i(ended)], of_owners[_i(links.owners[i])]
        lasts = extremum > saddle if descending else extremum < saddle
        if least > 0:
            bits[0], bits[1] = float_bits(extremum, task.top), float_bits(saddle, task.top)
            length = lengths[0] - lengths[1] if descending != task.top else lengths[1] - lengths[0]
            lasts = length > least  # it may be NaN, for two infinities
        partner[i] = ended if lasts else -1


@device
def link(links, first, second, descending, linked):
    """Link the extrema of two functions that are paired with saddles of one owner, the eldest with the eldest.

    first, second : Carried; `partner` is changed. linked : (cells,), written at extrema of the first: that of the
    second.
    """
    partner, other_partner, owners = first.partner, second.partner, links.owners
    stop, n = 0, links.number[0]
    while stop < n:
        i, stop = stop, stop + 1
        owner = owners[_i(i)]
        while stop < n and owners[_i(stop)] == owner:
            stop += 1
        if stop == i + 1:
            u, v = partner[_i(i)], other_partner[_i(i)]
            if u >= 0 and v >= 0:
                linked[_i(u)] = v
            continue
        for _ in range(i, stop):
            u = _take_eldest(partner[i:stop], first.key, descending)
            v = _take_eldest(other_partner[i:stop], second.key, descending)
            if u < 0 or v < 0:
                break
            linked[_i(u)] = v


@device
def _take_eldest(partner, key, descending):
    """Return the eldest of some extrema, and remove it; -1 for none."""
    found, at = np.int64(-1), np.int64(0)
    for i in range(partner.size):
        u = np.int64(partner[i])
        if u >= 0 and (found < 0 or before(key, u, found, descending)):
            found, at = u, np.int64(i)
    if found >= 0:
        partner[_i(at)] = -1
    return found
