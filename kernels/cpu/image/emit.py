"""Emit: the pairs of positive persistence as flat indices into the window and their values, longest first."""

from __future__ import annotations

import numpy as np

from ..runtime.jit import device
from ..runtime.jit import unsigned as _i
from ..runtime.sort import argsort


@device
def pairs(extrema_give_birth, extrema, saddles, saddle_of, partner, values, width, min_persistence, lengths, codes):
    """List the pairs of extrema and saddles that last.

    extrema : (n,) positions in the ringed grid of that width. saddles : (m,) likewise. values : (P,) the window.
    saddle_of : the saddle at which the class of the extremum at a position ends, m where it never does.
    partner : (m,) the extremum whose class ends at a saddle, or -1.
    Written: lengths, persistences; codes, birth index * 2^32 + death index + 1, in order of birth. Returns how many.
    """
    n, births = 0, _i(extrema.size)
    if not extrema_give_birth:
        # Which saddles have a pair is hard to predict, so those without are left out by adding a bit. Until its turn
        # comes, a saddle's number stands where codes are written later.
        births = _i(0)
        for i in range(saddles.size):
            codes[births] = i
            births += _i(partner[i] >= 0)
    for i in range(np.int64(births)):
        if extrema_give_birth:
            birth, saddle = extrema[i], saddle_of[extrema[i]]
            if saddle == saddles.size:  # the essential class
                codes[n], lengths[n] = _inner(birth, width) << 32, np.inf
                n += 1
                continue
            death = saddles[saddle]
        else:
            birth, death = saddles[_i(codes[i])], partner[_i(codes[i])]
        born, died = _inner(birth, width), _inner(death, width)
        length = values[died] - values[born]  # NaN for two infinities; they are equal, which drops the pair
        codes[n], lengths[n] = born << 32 | died + 1, length
        n += (values[born] < values[died]) & (length > min_persistence)
    return n


@device
def _inner(position, width):
    """Flat index in the window of a position in the ringed grid."""
    row = np.int64((position + 0.5) * (1.0 / width))  # a division would be slower; half a pixel more keeps it exact
    return position - 2 * row - width + 1


@device
def sort_pairs(lengths, codes, keys, spare_keys, order, spare_order, place, spare_codes):
    """Sort codes (n,) in place by persistence, longest first, then by code; all other arguments are used up.

    Codes come in order or nearly so, which makes the last criterion cheap: they are set right by insertion, and a
    stable sort by persistence keeps them so.
    """
    n = codes.size
    bits = lengths.view(keys.dtype)
    for i in range(1, n):
        length, code, j = bits[i], codes[i], i
        while j > 0 and code < codes[j - 1]:
            bits[j], codes[j] = bits[j - 1], codes[j - 1]
            j -= 1
        bits[j], codes[j] = length, code
    for i in range(n):
        keys[i] = ~bits[i]  # the bits of floats that are not negative have the floats' order
    argsort(keys[:n], order[:n], spare_keys, spare_order, place)
    for i in range(n):
        spare_codes[i] = codes[i]
    for i in range(n):
        codes[i] = spare_codes[order[i]]


@device
def read(codes, values, levels):
    """Write the values of births and deaths in turn into levels (2 n,), +inf for the death of an essential class.

    values : (P,) the window, for one that is not there any more when its columns are filled.
    """
    for i in range(codes.size):
        death = (codes[i] & 0xFFFFFFFF) - 1
        levels[_i(2 * i)] = values[_i(codes[i] >> 32)]
        levels[_i(2 * i + 1)] = values[_i(death)] if death >= 0 else np.inf


@device
def fill(codes, values, index, value):
    """Write sorted codes into index (2, K), as many as there is room for, and the values there into value (2, K).

    values : (P,) the window. An essential class has no pixel of death, -1, and the value +inf; behind all pairs there
    are -1 and 0.
    """
    births, deaths, born, died = index[0], index[1], value[0], value[1]
    n = min(codes.size, births.size)
    for i in range(n):
        birth, death = codes[i] >> 32, (codes[i] & 0xFFFFFFFF) - 1
        births[i], deaths[i] = birth, death
        born[i], died[i] = values[_i(birth)], values[_i(death)] if death >= 0 else np.inf
    births[n:], deaths[n:] = -1, -1
    born[n:], died[n:] = 0, 0
