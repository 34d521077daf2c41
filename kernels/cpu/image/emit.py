"""Emit: list the pairs of positive persistence as codes, the longest first; see `codes`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..codes import birth_of, code_of, death_of
from ..records import MergeTree
from ..runtime.jit import device
from ..runtime.jit import unsigned as _i
from ..runtime.primitives import quotient
from ..runtime.sort import argsort
from ..runtime.views import view

Array = NDArray[Any]


class PairedExtrema(NamedTuple):
    """The extrema and saddles that are paired in one dimension. Positions are in the grid with its ring."""

    extrema: Array  # (n,) int32
    saddles: Array  # (m,) int32, positions of the owners
    tree: MergeTree  # its extrema are positions
    extrema_give_birth: bool  # True if an extremum is the birth of its pair, False if it is the death


class Sorting(NamedTuple):
    """Memory to sort pairs in: as many entries as there are pairs at most."""

    keys: Array  # integers of the size of the window's floats
    spare_keys: Array
    order: Array  # int32
    spare_order: Array
    buckets: Array  # see `argsort`
    codes: Array  # int64


@device
def list_pairs(paired, values, width, min_persistence, lengths, codes):
    """List the pairs of one dimension that last longer than a minimum, in the order of their births.

    values : (P,) the window; width : of its grid with the ring. Written: lengths, persistences; codes.
    Returns the number of pairs.
    """
    extrema, saddles, tree = paired.extrema, paired.saddles, paired.tree
    n, births = 0, _i(extrema.size)
    if not paired.extrema_give_birth:
        # Which saddles have a pair is hard to predict, so the number of those that do grows by a bit instead of in a
        # branch. The numbers of these saddles are kept in `codes`, each until its pair's code is written.
        births = _i(0)
        for i in range(saddles.size):
            codes[births] = i
            births += _i(tree.partner[i] >= 0)
    for i in range(np.int64(births)):
        if paired.extrema_give_birth:
            birth, saddle = extrema[i], tree.saddle_of[extrema[i]]
            if saddle == saddles.size:  # the essential class
                codes[n], lengths[n] = code_of(_inner(birth, width), -1), np.inf
                n += 1
                continue
            death = saddles[saddle]
        else:
            birth, death = saddles[_i(codes[i])], tree.partner[_i(codes[i])]
        born, died = _inner(birth, width), _inner(death, width)
        length = values[died] - values[born]  # NaN for two infinities, which are equal, so that the pair is dropped
        codes[n], lengths[n] = code_of(born, died), length
        n += (values[born] < values[died]) & (length > min_persistence)
    return n


@device
def _inner(position, width):
    """Return the flat index in the window of a position in the grid with its ring."""
    return position - 2 * quotient(position, width) - width + 1


@device
def sort_pairs(lengths, codes, sorting):
    """Sort codes (n,) in place by persistence, longest first, then by code. `lengths` is overwritten.

    Codes come in order or nearly so. An insertion sort therefore orders them at little cost, and a stable sort by
    persistence keeps that order among equals.
    """
    n, keys, order = codes.size, sorting.keys, sorting.order
    bits = view(lengths, keys.dtype)
    for i in range(1, n):
        length, code, j = bits[i], codes[i], i
        while j > 0 and code < codes[j - 1]:
            bits[j], codes[j] = bits[j - 1], codes[j - 1]
            j -= 1
        bits[j], codes[j] = length, code
    for i in range(n):
        keys[i] = ~bits[i]  # the bits of floats that are not negative have the order of the floats
    argsort(keys[:n], order[:n], sorting.spare_keys, sorting.spare_order, sorting.buckets)
    for i in range(n):
        sorting.codes[i] = codes[i]
    for i in range(n):
        codes[i] = sorting.codes[order[i]]


@device
def read_levels(codes, values, levels):
    """Write the values of births and deaths in turn into levels (2 n,), +inf for the death of an essential class.

    values : (P,) the window.
    """
    for i in range(codes.size):
        death = death_of(codes[i])
        levels[_i(2 * i)] = values[_i(birth_of(codes[i]))]
        levels[_i(2 * i + 1)] = values[_i(death)] if death >= 0 else np.inf
