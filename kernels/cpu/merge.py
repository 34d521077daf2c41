"""Merge: the elder rule, over saddles in any order, as a triplet merge tree (Smirnov & Morozov 2017)."""

from __future__ import annotations

import numpy as np

from .jit import device

_i = np.uintp  # an index that Numba does not suspect of being negative


@device
def merge(key, extrema, saddle_key, ends, reverse, saddle_of, elder_of, partner):
    """Find where the class of each extremum dies.

    key : (cells,) order keys; equal ones go by position. reverse : True where the greatest comes first.
    extrema : (n,) positions, with the outside if there is one.
    saddle_key : (m + 1,) keys of the saddles, in order of position, and one that comes after all of them.
    ends : (2, m) the extrema that a saddle joins.
    saddle_of, elder_of : (cells,) written at the extrema: u's class merges into that of elder_of[u] at the saddle
    saddle_of[u]; m where it never does.
    partner : (m + 1,) written: the extremum whose class ends at a saddle, or -1.
    """
    never = saddle_key.size - 1
    for u in extrema:
        saddle_of[u] = never
        elder_of[u] = u
    for saddle in range(never):
        s, u, v = saddle, _i(ends[0, saddle]), _i(ends[1, saddle])
        while True:
            while _before(saddle_key, saddle_of[u], s, reverse):
                u = _i(elder_of[u])
            while _before(saddle_key, saddle_of[v], s, reverse):
                v = _i(elder_of[v])
            if u == v:
                break
            u, v = (v, u) if _before(key, v, u, reverse) else (u, v)
            # v, the younger, dies here. Where it used to die later, the class that it merged into meets u's.
            s, saddle_of[v] = saddle_of[v], s
            displaced = _i(elder_of[v])
            elder_of[v] = u
            if s == never:
                break
            v = displaced
    partner[:never] = -1
    for u in extrema:
        partner[saddle_of[u]] = u


@device
def _before(key, a, b, reverse):
    """Whether a comes before b, which is another."""
    first, second = key[_i(a)], key[_i(b)]
    return ((first < second) | ((first == second) & (a < b))) ^ reverse
