"""Candidates: collect the points that can be matched with gain, and write their partners back into the diagrams."""

from __future__ import annotations

import numpy as np

from ..runtime.jit import device, inlined, zero
from ..runtime.jit import unsigned as _i
from ..runtime.sort import sort
from .position import copy_position, read_position, scale_positions
from .savings import finish

_SQRT_HALF = 0.5**0.5
_MOST_ALONE = 2.0**1000  # bound on the cost of an unmatched point, which keeps sums finite
_EXPONENT = 480  # of the largest coordinate in the search: sums of squares are finite, and squares do not underflow


@device
def count_finite(side):
    """Return how many points have finite coordinates."""
    n = zero
    for i in range(side.count):
        n += np.isfinite(side.birth[i]) & np.isfinite(side.death[i])
    return n


@device
def collect(side, candidates):
    """Collect the points with finite coordinates, in order of column.

    Return how many there are, and the largest absolute value of a coordinate or of a position.
    """
    n, most_birth, most_death, farthest = zero, 0.0, 0.0, 0.0
    for i in range(side.count):
        if np.isfinite(side.birth[i]) and np.isfinite(side.death[i]):
            candidates.birth[n], candidates.death[n], candidates.column[n] = side.birth[i], side.death[i], i
            x, y = abs(candidates.birth[n]), abs(candidates.death[n])
            most_birth, most_death = x if x > most_birth else most_birth, y if y > most_death else most_death
            farthest = max(farthest, read_position(side.position, side.window, i, candidates.position, n))
            n += 1
    finish(candidates, n)
    return n, max(most_birth, most_death, farthest)


@inlined
def scale_of(most, keys):
    """Return the power of two that scales `most` to about 2**_EXPONENT, or 2**1022 if that is less."""
    keys.value[0] = most
    exponent = keys.bits[0] >> 52  # biased by 1023; 0 for 0 and subnormal numbers
    keys.bits[0] = min(_EXPONENT + 2046 - exponent, 2045) << 52
    return keys.value[0]


@inlined
def rescale(candidates, n, squared, scale):
    """Multiply the coordinates of n candidates by a power of two, and write the costs of leaving them unmatched."""
    for i in range(_i(n)):
        birth, death = scale * candidates.birth[i], scale * candidates.death[i]
        length = abs(death - birth)
        candidates.birth[i], candidates.death[i] = birth, death
        candidates.alone[i] = 0.5 * (length * length) if squared else min(_SQRT_HALF * length, _MOST_ALONE)
    scale_positions(candidates.position, n, scale)


@device
def keep(candidates, n, kept, few, keys):
    """Collect the candidates with a positive gain, in order of birth + death, or of column if they are at most `few`.

    Return how many there are.
    """
    m = _i(0)
    for i in range(n):
        kept.place[m], keys.value[m] = i, candidates.birth[i] + candidates.death[i]
        m += _i(candidates.gain[i] > 0.0)
    m = np.int64(m)
    if m > few:
        sort(keys, m)
    else:
        for i in range(m):
            keys.order[i] = i
    for i in range(m):
        keys.order[i] = kept.place[keys.order[i]]
    for i in range(m):
        j = keys.order[i]
        kept.birth[i], kept.death[i], kept.alone[i] = candidates.birth[j], candidates.death[j], candidates.alone[j]
        kept.gain[i], kept.column[i] = candidates.gain[j], candidates.column[j]
        kept.place[candidates.column[j]] = i
        copy_position(candidates.position, j, kept.position, i)
    finish(kept, m)
    return m


@device
def match_essential(side_a, side_b, a, b, keys):
    """Match essential classes: (finite, inf), (-inf, finite) and (-inf, inf), in order of the finite coordinate.

    The candidates a and b are overwritten.
    """
    for kind in range(3):
        n, m = _collect_essential(side_a, kind, a, keys), _collect_essential(side_b, kind, b, keys)
        for i in range(min(n, m)):
            side_a.partner[a.column[i]], side_b.partner[b.column[i]] = b.column[i], a.column[i]


@device
def _collect_essential(side, kind, candidates, keys):
    """Write the columns of the essential classes of a kind, sorted by the finite coordinate. Return their number."""
    n = zero
    for i in range(side.count):
        birth, death = side.birth[i], side.death[i]
        finite_birth, finite_death = np.isfinite(birth), np.isfinite(death)
        if (finite_birth if kind == 0 else birth == -np.inf) and (finite_death if kind == 1 else death == np.inf):
            candidates.place[n] = i
            keys.value[n] = birth if kind == 0 else death if kind == 1 else 0.0
            n += 1
    sort(keys, n)
    for i in range(n):
        candidates.column[i] = candidates.place[keys.order[i]]
    return n


@device
def write(rows, n, columns, partner_of_rows, partner_of_columns):
    """Write the partners of n rows and of their columns, as columns of the diagrams."""
    for i in range(n):
        if rows.partner[i] >= 0:
            row, column = rows.column[i], columns.column[rows.partner[i]]
            partner_of_rows[row], partner_of_columns[column] = column, row
