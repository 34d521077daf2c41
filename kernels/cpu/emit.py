"""Emit: the pairs of positive persistence as flat indices into the window and their values, longest first."""

from __future__ import annotations

import numpy as np

from .jit import device

_FEW = 40  # pairs that insertion sorts faster
_i = np.uintp  # an index that Numba does not suspect of being negative


@device
def pairs(extrema_give_birth, extrema, saddles, saddle_of, partner, values, width, min_persistence, lengths, codes):
    """List the pairs of extrema and saddles that last.

    extrema : (n,) positions in the ringed grid of that width. saddles : (m,) likewise. values : (P,) the window.
    saddle_of : the saddle at which the class of the extremum at a position ends, m where it never does.
    partner : (m,) the extremum whose class ends at a saddle, or -1.
    Written: lengths, persistences; codes, birth index * 2^32 + death index + 1, in order of birth. Returns how many.
    """
    n = 0
    for i in range(extrema.size if extrema_give_birth else saddles.size):
        if extrema_give_birth:
            birth, saddle = extrema[i], saddle_of[extrema[i]]
            death = -1 if saddle == saddles.size else saddles[saddle]
        else:
            birth, death = saddles[i], partner[i]
        born = _inner(birth, width)
        if extrema_give_birth and death < 0:  # the essential class
            codes[n], lengths[n] = born << 32, np.inf
            n += 1
            continue
        died = _inner(death if death >= 0 else birth, width)  # without a pair, a length of 0
        length = values[died] - values[born]  # NaN for two infinities; they are equal, which drops the pair
        codes[n], lengths[n] = born << 32 | died + 1, length
        n += (values[born] < values[died]) & (length > min_persistence)
    return n


@device
def _inner(position, width):
    """Flat index in the window of a position in the ringed grid."""
    row = np.uint32(position) // np.uint32(width)
    return np.int64(position) - 2 * np.int64(row) - width + 1


@device
def sort_pairs(lengths, codes, spare_keys, spare_codes):
    """Sort codes (n,) in place by persistence, longest first, then by code; lengths and the spares are used up.

    Codes come in order or nearly so, which makes the last criterion cheap: they are set right by insertion, and a
    stable radix sort of the persistences keeps them so.
    """
    n = codes.size
    if n <= _FEW:
        for i in range(1, n):
            length, code = lengths[i], codes[i]
            j = i
            while j > 0 and (length > lengths[j - 1] or (length == lengths[j - 1] and code < codes[j - 1])):
                lengths[j], codes[j] = lengths[j - 1], codes[j - 1]
                j -= 1
            lengths[j], codes[j] = length, code
        return
    keys = lengths.view(spare_keys.dtype)
    for i in range(1, n):
        key, code = keys[i], codes[i]
        j = i
        while j > 0 and code < codes[j - 1]:
            keys[j], codes[j] = keys[j - 1], codes[j - 1]
            j -= 1
        keys[j], codes[j] = key, code
    # The bits of floats that are not negative have the floats' order. Their bytes are even in number, so that the last
    # pass leaves the result where it is wanted.
    place = np.empty(256, np.int64)
    for shift in range(0, 8 * keys.itemsize, 8):
        place[:] = 0
        for i in range(n):
            place[_i(255 - ((keys[i] >> shift) & 255))] += 1
        before = 0
        for bucket in range(256):
            before, place[bucket] = before + place[bucket], before
        for i in range(n):
            bucket = _i(255 - ((keys[i] >> shift) & 255))
            to = _i(place[bucket])
            place[bucket] += 1
            spare_keys[to], spare_codes[to] = keys[i], codes[i]
        keys, spare_keys = spare_keys, keys
        codes, spare_codes = spare_codes, codes


@device
def fill(codes, values, index, value):
    """Write sorted codes into index (2, K), as many as there is room for, and the values there into value (2, K).

    values : (P,) the window. An essential class has no pixel of death, -1, and the value +inf; behind all pairs there
    are -1 and 0.
    """
    n = min(codes.size, index.shape[1])
    for i in range(n):
        birth, death = codes[i] >> 32, (codes[i] & 0xFFFFFFFF) - 1
        index[0, i], index[1, i] = birth, death
        value[0, i], value[1, i] = values[_i(birth)], values[_i(death)] if death >= 0 else np.inf
    index[:, n:] = -1
    value[:, n:] = 0
