"""Match: an optimal partial matching of two diagrams, window by window, in memory linear in the number of points.

Matching point i with point j saves w_ij = u_i + u_j - cost_ij over leaving both alone, u being what a lone point costs.
The optimum is a matching of largest total saving; pairs with w <= 0 are never in it, so a point that has no others is
dropped before the search.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...records import Matched, Points
from ..runtime.interrupt import halt_word, interruptible
from ..runtime.jit import device, inlined, kernel
from ..runtime.jit import unsigned as _i
from ..runtime.primitives import halted
from ..runtime.sort import no_keys, sort
from ..runtime.threads import over_windows
from .auction import auction
from .augment import augment, no_tree
from .polish import polish
from .savings import (
    certify,
    copy,
    find_gains,
    find_reach,
    finish,
    largest,
    lowest,
    no_points,
    padded,
    reach_all,
    relax,
)

Array = NDArray[Any]

_PAIRS_A_SLICE = 20_000  # fewer pairs of points are not worth a thread
# From how many points of the smaller side the auction is used. At 1,000 it takes from 0.6 to 2.6 times as long as the
# augmenting paths, at 3,000 a quarter, but with many ties 1.5 times.
AUCTION_FROM = {"augment": 1 << 62, "auto": 2_000, "auction": 0}
_SQRT_HALF = 0.5**0.5
_MOST = 2.0**1000  # that a point costs alone, so that sums are finite
_UNIT = 480  # exponent of the largest coordinate in the search: sums of squares are finite, and small ones are not 0
_LONG = 3e8  # pairs looked at, which take about 0.3 s; see `interruptible`
_FEW = 64  # columns, all of which are taken for possible partners sooner than it is found out which are


def _is_long(a: Points[Array], b: Points[Array], squared: bool, solver: str) -> bool:
    """See `interruptible`. The bound is for the worst inputs, where each row of a window searches all pairs."""
    n, size_a, size_b, auction_from = len(a.count), a.birth.shape[1], b.birth.shape[1], AUCTION_FROM[solver]
    few = min(size_a, size_b)
    if n * size_a * size_b * (few if few < auction_from else max(few, 1000)) < _LONG:
        return False
    # There are mostly far fewer points than columns.
    count_a, count_b = np.minimum(a.count, size_a).astype(float), np.minimum(b.count, size_b)
    rows = np.minimum(count_a, count_b)
    looked_at = count_a * count_b * np.where(rows < auction_from, rows, np.maximum(rows, 1000))
    return bool(looked_at.sum() >= _LONG)


@interruptible(_is_long)
def match(a: Points[Array], b: Points[Array], squared: bool, solver: str) -> Matched[Array]:
    """Match the diagrams of N windows optimally; see `gpuph.ops.match`.

    "auto" takes the auction for windows in which both sides have 2,000 points or more that can gain something.
    """
    n, size_a, size_b, halt = len(a.count), a.birth.shape[1], b.birth.shape[1], halt_word()
    a = a._replace(count=np.minimum(a.count, size_a))
    b = b._replace(count=np.minimum(b.count, size_b))
    matched = Matched(np.full((n, size_a), -1), np.full((n, size_b), -1), np.zeros(n))

    def run(start: int, stop: int) -> None:
        points = [array[start:stop] for array in (*a, *b)]
        _windows(*points, squared, AUCTION_FROM[solver], *(array[start:stop] for array in matched), halt)

    if matched.partner_a.size and matched.partner_b.size:
        over_windows(n, run, 1 + _PAIRS_A_SLICE // (size_a * size_b))
    return matched


@kernel
def _windows(
    birth_a, death_a, count_a, birth_b, death_b, count_b, squared, auction_from, partner_a, partner_b, gap, halt
):
    """Match the windows of a slice. Written: partner_a (N, K), partner_b (N, L), both -1 before, and gap (N,).

    halt : see `halted`.
    """
    size_a, size_b = birth_a.shape[1], birth_b.shape[1]
    size = max(size_a, size_b)
    all_a, all_b = no_points(size_a, halt), no_points(size_b, halt)
    a, b = no_points(size_a, halt), no_points(size_b, halt)
    near, far = np.full(padded(size), np.inf), np.full(padded(size), np.inf)
    keys, tree = no_keys(size), no_tree(size)
    for w in range(birth_a.shape[0]):
        if halted(halt):
            return
        n, most_a = _finite(birth_a[w], death_a[w], count_a[w], all_a)
        m, most_b = _finite(birth_b[w], death_b[w], count_b[w], all_b)
        scale = _scale(max(most_a, most_b), keys) if squared else 1.0
        _price_alone(all_a, n, squared, scale)
        _price_alone(all_b, m, squared, scale)
        if n < count_a[w] and m < count_b[w]:
            for kind in range(3):
                n_kind = _essential(birth_a[w], death_a[w], count_a[w], kind, a, keys)
                m_kind = _essential(birth_b[w], death_b[w], count_b[w], kind, b, keys)
                for i in range(min(n_kind, m_kind)):
                    partner_a[w, a.column[i]], partner_b[w, b.column[i]] = b.column[i], a.column[i]
        # The smaller side takes the part of the rows.
        if n <= m:
            n_kept, gap[w] = _match_finite(all_a, n, a, all_b, m, b, squared, auction_from, near, far, keys, tree)
            _write(a, n_kept, b, partner_a[w], partner_b[w])
        else:
            n_kept, gap[w] = _match_finite(all_b, m, b, all_a, n, a, squared, auction_from, near, far, keys, tree)
            _write(b, n_kept, a, partner_b[w], partner_a[w])
        gap[w] = gap[w] / scale / scale


@device
def _write(rows, n, columns, partner_of_rows, partner_of_columns):
    """Write partners, as columns of the diagrams."""
    for i in range(n):
        if rows.partner[i] >= 0:
            row, column = rows.column[i], columns.column[rows.partner[i]]
            partner_of_rows[row], partner_of_columns[column] = column, row


@device
def _finite(birth, death, count, points):
    """Collect the points with finite coordinates, in order of index.

    Returns how many there are, and the largest coordinate without its sign.
    """
    n, most_birth, most_death = 0, 0.0, 0.0
    for i in range(count):
        if np.isfinite(birth[i]) and np.isfinite(death[i]):
            points.birth[n], points.death[n], points.column[n] = birth[i], death[i], i
            x, y = abs(points.birth[n]), abs(points.death[n])
            most_birth, most_death = x if x > most_birth else most_birth, y if y > most_death else most_death
            n += 1
    finish(points, n)
    return n, max(most_birth, most_death)


@inlined
def _scale(most, keys):
    """The power of two that makes the largest coordinate about 2**_UNIT, or 2**1022 if that is less."""
    keys.value[0] = most
    exponent = keys.bits[0] >> 52  # plus 1023, as in all bits; 0 for 0 and subnormal numbers
    keys.bits[0] = min(_UNIT + 2046 - exponent, 2045) << 52
    return keys.value[0]


@inlined
def _price_alone(points, n, squared, scale):
    """Multiply the coordinates of n points by a power of two, and write what the points cost alone."""
    for i in range(_i(n)):
        birth, death = scale * points.birth[i], scale * points.death[i]
        length = abs(death - birth)
        points.birth[i], points.death[i] = birth, death
        points.alone[i] = 0.5 * (length * length) if squared else min(_SQRT_HALF * length, _MOST)


@device
def _essential(birth, death, count, kind, points, keys):
    """Collect columns with coordinates (finite, inf), (-inf, finite) or (-inf, inf), in order of the finite one.

    Returns how many there are.
    """
    n = 0
    for i in range(count):
        finite_birth, finite_death = np.isfinite(birth[i]), np.isfinite(death[i])
        if (finite_birth if kind == 0 else birth[i] == -np.inf) and (finite_death if kind == 1 else death[i] == np.inf):
            points.place[n] = i
            keys.value[n] = birth[i] if kind == 0 else death[i] if kind == 1 else 0.0
            n += 1
    sort(keys, n)
    for i in range(n):
        points.column[i] = points.place[keys.order[i]]
    return n


@device
def _keep(points, n, kept, few, keys):
    """Collect the points that can gain something, in order of birth + death, or as they come if they are `few` at most.

    Returns how many there are.
    """
    m = _i(0)
    for i in range(n):
        kept.place[m], keys.value[m] = i, points.birth[i] + points.death[i]
        m += _i(points.gain[i] > 0.0)
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
        kept.birth[i], kept.death[i], kept.alone[i] = points.birth[j], points.death[j], points.alone[j]
        kept.gain[i], kept.column[i] = points.gain[j], points.column[j]
        kept.place[points.column[j]] = i
    finish(kept, m)
    return m


@device
def _match_finite(all_rows, n, rows, all_columns, m, columns, squared, auction_from, near, far, keys, tree):
    """Match the n finite points of one side with the m of the other, which has as many or more.

    rows, columns : written, the points that come into question. Returns how many rows do, and the gap.
    """
    if n == 1:
        return _match_one(all_rows, rows, all_columns, m, columns, near, far), 0.0
    find_gains(all_rows, n, all_columns, m, near, far)
    if halted(rows.halt):
        return 0, 0.0
    n = _keep(all_rows, n, rows, 0, keys)
    if n == 0:
        return 0, 0.0
    rows_are_equal = _are_equal(rows, n)
    few = 0 if rows_are_equal or auction_from <= _FEW else _FEW
    m = _keep(all_columns, m, columns, few, keys)
    if rows_are_equal:
        _match_best(rows, n, columns, m, near, far, keys)
        return n, 0.0
    if _are_equal(columns, m):
        _match_best(columns, m, rows, n, near, far, keys)
        return n, 0.0
    if m > few:
        find_reach(rows, n, columns, m, squared)
    else:
        reach_all(rows, n, m)
    by_auction = min(n, m) >= auction_from
    if by_auction:
        find_reach(columns, m, rows, n, squared)
        gap = auction(rows, n, columns, m, largest(rows.gain, n), near, far, keys.order)
    else:
        for i in range(n):
            keys.value[i] = -rows.gain[i]
        sort(keys, n)
        far[: padded(m)] = np.inf
        augment(rows, columns, m, keys.order[:n], near, far, tree)
        gap = certify(rows, n, columns, m, near, far)
    return n, polish(rows, n, columns, m, gap, by_auction, squared, near, far, keys, tree)


@device
def _match_one(all_rows, rows, all_columns, m, columns, near, far):
    """Match a single row with the column that saves most, of several the one of least birth + death.

    Returns 1, or 0 if nothing can be saved.
    """
    relax(all_rows, 0, 0.0, all_columns, 0, padded(m), near, far)
    low = lowest(far, 0, padded(m))
    best, least = 0, np.inf
    for j in range(m):
        if far[j] == low and all_columns.birth[j] + all_columns.death[j] < least:
            best, least = j, all_columns.birth[j] + all_columns.death[j]
    rows.column[0], rows.partner[0], columns.column[0] = all_rows.column[0], 0, all_columns.column[best]
    return 1 if low < 0.0 else 0


@device
def _are_equal(points, n):
    equal = True
    for i in range(1, n):
        equal &= points.birth[i] == points.birth[0] and points.death[i] == points.death[0]
    return equal


@device
def _match_best(equal, n, others, m, near, far, keys):
    """Match n copies of one point with those of the others that save most, which is optimal."""
    relax(equal, 0, 0.0, others, 0, padded(m), near, far)
    copy(far, keys.value, 0, m)
    sort(keys, m)
    for i in range(min(n, m)):
        equal.partner[i], others.partner[keys.order[i]] = keys.order[i], i
