"""Merge: the elder rule, over saddles in order, by union-find.

On a device with many threads the same comes, in any order, from a triplet merge tree.
"""

from __future__ import annotations

from .runtime.jit import device
from .runtime.jit import unsigned as _i
from .runtime.primitives import halted

_BLOCK = 1 << 14  # saddles between two looks at `halted`


@device
def merge(key, extrema, order, ends, reverse, saddle_of, elder_of, partner, halt=0):
    """Find where the class of each extremum dies.

    key : (cells,) order keys; equal ones go by position. reverse : True where the greatest comes first.
    extrema : (n,) positions, with the outside if there is one.
    order : (m,) the saddles, the least first. ends : (2, m) the extrema that a saddle joins.
    saddle_of : (cells,) written at the extrema: the saddle at which the extremum's class ends; m where it never does.
    partner : (m,) written: the extremum whose class ends at a saddle, or -1.
    elder_of : (cells,) used up. halt : see `halted`.
    """
    m = order.size
    for u in extrema:
        saddle_of[u], elder_of[u] = m, u
    partner[:m] = -1
    for first in range(0, m, _BLOCK):
        if halted(halt):
            return
        for i in range(first, min(first + _BLOCK, m)):
            saddle = _i(order[m - 1 - i if reverse else i])
            a, b = _i(ends[0, saddle]), _i(ends[1, saddle])
            # How far the eldest are is hard to predict: both share a loop, and the first steps are taken without
            # looking. The loop halves the paths, so that a saddle takes a logarithmic number of steps on average; see
            # Tarjan and van Leeuwen (1984).
            u, v = _i(elder_of[_i(elder_of[a])]), _i(elder_of[_i(elder_of[b])])
            above_u, above_v = _i(elder_of[u]), _i(elder_of[v])
            while (above_u != u) | (above_v != v):
                top_u, top_v = _i(elder_of[above_u]), _i(elder_of[above_v])
                elder_of[u], elder_of[v] = top_u, top_v
                u, v = top_u, top_v
                above_u, above_v = _i(elder_of[u]), _i(elder_of[v])
            elder_of[a], elder_of[b] = u, v
            if u != v:
                # Which one is the elder is as hard to predict; these are no branches.
                v_is_elder = _before(key, v, u, reverse)
                elder, younger = v if v_is_elder else u, u if v_is_elder else v
                saddle_of[younger], elder_of[younger], partner[saddle] = saddle, elder, younger


@device
def _before(key, a, b, reverse):
    """Whether a comes before b, which is another."""
    first, second = key[a], key[b]
    return ((first < second) | ((first == second) & (a < b))) ^ reverse
