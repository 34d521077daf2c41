"""Merge: pair saddles with extrema by the elder rule, over the saddles in order, by union-find.

On a device with many threads, a triplet merge tree gives the same pairs in any order of the saddles.
"""

from __future__ import annotations

from .runtime.jit import device, inlined
from .runtime.jit import unsigned as _i
from .runtime.primitives import halted

_BLOCK = 1 << 14  # saddles between two calls of `halted`


@device
def merge(key, extrema, saddles, tree, descending, halt=0, links=None):
    """Find the saddle at which the class of each extremum ends.

    Parameters
    ----------
    key : (n,) order keys of the extrema; equal keys are ordered by position
    extrema : positions in `key`, with that of the outside if it has a class
    saddles : Saddles
    tree : MergeTree, written
    descending : whether the elder of two extrema is the greater one, and the last saddle comes first
    halt : see `halted`
    links : Links, written, or None
    """
    saddle_of, elder_of, partner = tree.saddle_of, tree.elder_of, tree.partner
    order, ends = saddles.order, saddles.ends
    m = order.size
    for u in extrema:
        saddle_of[u], elder_of[u] = m, u
    partner[:m] = -1
    n = _i(0)
    for first in range(0, m, _BLOCK):
        if halted(halt):
            return
        for i in range(first, min(first + _BLOCK, m)):
            saddle = _i(order[m - 1 - i if descending else i])
            u, v = find(_i(ends[0, saddle]), _i(ends[1, saddle]), elder_of)
            if u != v:
                # The comparison is as hard to predict, so its result selects values instead of a branch.
                v_is_elder = before(key, v, u, descending)
                elder, younger = v if v_is_elder else u, u if v_is_elder else v
                saddle_of[younger], elder_of[younger], partner[saddle] = saddle, elder, younger
                if links is not None:
                    links.owners[n], links.younger[n], links.elder[n] = links.owner_of[saddle], younger, elder
                    n += _i(1)
    if links is not None:
        links.number[0] = n


@inlined
def find(a, b, elder_of):
    """Return the eldest of the classes of two extrema, a and b."""
    # The lengths of the two paths to the eldest are hard to predict, so both paths share a loop, and their first steps
    # are taken unconditionally. The loop halves the paths, which bounds the average number of steps by a logarithm; see
    # Tarjan and van Leeuwen (1984).
    u, v = _i(elder_of[_i(elder_of[a])]), _i(elder_of[_i(elder_of[b])])
    above_u, above_v = _i(elder_of[u]), _i(elder_of[v])
    while (above_u != u) | (above_v != v):
        top_u, top_v = _i(elder_of[above_u]), _i(elder_of[above_v])
        elder_of[u], elder_of[v] = top_u, top_v
        u, v = top_u, top_v
        above_u, above_v = _i(elder_of[u]), _i(elder_of[v])
    elder_of[a], elder_of[b] = u, v
    return u, v


@device
def before(key, a, b, descending):
    """Return whether extremum a comes before b, a different one."""
    first, second = key[a], key[b]
    return ((first < second) | ((first == second) & (a < b))) ^ descending
