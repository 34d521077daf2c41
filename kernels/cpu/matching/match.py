"""Match: an optimal partial matching of two diagrams, window by window, in memory linear in the number of points.

Matching point i with point j saves w_ij = u_i + u_j - cost_ij over leaving both unmatched, where u is the cost of an
unmatched point. The optimum is a matching with the largest total saving. Pairs with w <= 0 are never part of it, so a
point that has only such pairs is dropped before the search.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...records import Matched, Place, Points
from ..runtime.interrupt import halt_word, interruptible
from ..runtime.jit import device, kernel, zero
from ..runtime.primitives import halted
from ..runtime.sort import sort
from ..runtime.threads import over_windows
from .auction import auction
from .augment import augment
from .candidates import collect, count_finite, keep, match_essential, rescale, scale_of, write
from .polish import polish
from .position import Positions, allocate_positions, are_together, positions_of
from .savings import certify, copy, find_gains, find_reach, lowest, reach_all, relax
from .workspace import Side, allocate_candidates, allocate_workspace, padded

Array = NDArray[Any]

_PAIRS_PER_SLICE = 20_000  # pairs of points below which another thread costs more than it saves
# Number of points of the smaller side from which the auction is used. At 1,000 it takes from 0.6 to 2.6 times as long
# as the augmenting paths, at 3,000 a quarter, but 1.5 times as long if there are many ties.
AUCTION_FROM = {"augment": 1 << 62, "auto": 2_000, "auction": 0}
_LONG = 3e8  # visited pairs of points, which take about 0.3 s; see `interruptible`
_FEW = 64  # up to this many columns, it is faster to try all than to find out which are within reach


def _is_long(a: Points[Array], b: Points[Array], solver: str, *_: object) -> bool:
    """Return whether a call may be long: see `interruptible`.

    The bound is for the worst inputs, for which each row of a window searches all pairs.
    """
    n, size_a, size_b, auction_from = len(a.count), a.birth.shape[1], b.birth.shape[1], AUCTION_FROM[solver]
    few = min(size_a, size_b)
    if n * size_a * size_b * (few if few < auction_from else max(few, 1000)) < _LONG:
        return False
    # Usually, far fewer columns than there are hold points.
    count_a, count_b = np.minimum(a.count, size_a).astype(float), np.minimum(b.count, size_b)
    rows = np.minimum(count_a, count_b)
    visited = count_a * count_b * np.where(rows < auction_from, rows, np.maximum(rows, 1000))
    return bool(visited.sum() >= _LONG)


@interruptible(_is_long)
def match(
    a: Points[Array], b: Points[Array], solver: str, *, squared: bool, place: Place[Array] | None = None
) -> Matched[Array]:
    """Match the diagrams of N windows optimally; see `gpuph.ops.match`.

    "auto" uses the auction for windows in which both sides have 2,000 points or more that can gain something.
    """
    n, size_a, size_b, halt = len(a.count), a.birth.shape[1], b.birth.shape[1], halt_word()
    points_a = a.birth, a.death, np.minimum(a.count, size_a)
    points_b = b.birth, b.death, np.minimum(b.count, size_b)
    matched = Matched(np.full((n, size_a), -1), np.full((n, size_b), -1), np.zeros(n))
    positions = positions_of(place)
    # The auction is compiled when diagrams are first large enough for it.
    auction_from = AUCTION_FROM[solver] if min(size_a, size_b) >= AUCTION_FROM[solver] else None

    def run(start: int, stop: int) -> None:
        parts = [x[start:stop] for x in (*points_a, *points_b, *matched)]
        where = [None if x is None else x[start:stop] for x in positions]
        _match(*parts, *where, squared, auction_from, halt)

    if matched.partner_a.size and matched.partner_b.size:
        over_windows(n, run, 1 + _PAIRS_PER_SLICE // (size_a * size_b))
    return matched


@kernel  # takes a flat list, because Numba recognizes the types of records slowly
def _match(
    birth_a,
    death_a,
    count_a,
    birth_b,
    death_b,
    count_b,
    partner_a,
    partner_b,
    gap,
    position_a,
    position_b,
    squared,
    auction_from,
    halt,
):
    """Match the windows of a slice.

    Counts are at most the number of columns. Partners are -1 before, and written like the gap.

    position_a, position_b : see `position`.
    auction_from : the number of points of the smaller side from which the auction is used; None for never.
    halt : see `halted`.
    """
    size = max(birth_a.shape[1], birth_b.shape[1])
    candidates = (
        allocate_candidates(size, allocate_positions(position_a, size)),
        allocate_candidates(size, allocate_positions(position_a, size)),
        allocate_candidates(size, allocate_positions(position_a, size)),
        allocate_candidates(size, allocate_positions(position_a, size)),
    )
    work = allocate_workspace(size, halt)
    a, b = Points(birth_a, death_a, count_a), Points(birth_b, death_b, count_b)
    positions = Positions(position_a, position_b)
    _match_windows(a, b, positions, squared, auction_from, Matched(partner_a, partner_b, gap), candidates, work)


@device
def _match_windows(a, b, positions, squared, auction_from, matched, candidates, work):
    """Match all windows; the loop is here, because views of rows are not counted as references."""
    all_rows, all_columns, rows, columns = candidates
    for w in range(len(a.count)):
        if halted(work.sweep.halt):
            return
        side_a = Side(a.birth[w], a.death[w], matched.partner_a[w], a.count[w], positions.a, w)
        side_b = Side(b.birth[w], b.death[w], matched.partner_b[w], b.count[w], positions.b, w)
        # The side with fewer points becomes the rows.
        swapped = count_finite(side_b) < count_finite(side_a)
        few, many = (side_b, side_a) if swapped else (side_a, side_b)
        n, most_n = collect(few, all_rows)
        m, most_m = collect(many, all_columns)
        scale = scale_of(max(most_n, most_m), work.keys) if squared else 1.0
        rescale(all_rows, n, squared, scale)
        rescale(all_columns, m, squared, scale)
        if n < few.count and m < many.count:
            match_essential(few, many, rows, columns, work.keys)
        n_kept, gap = _solve(all_rows, n, rows, all_columns, m, columns, squared, auction_from, work)
        write(rows, n_kept, columns, few.partner, many.partner)
        matched.gap[w] = gap / scale / scale


@device
def _solve(all_rows, n, rows, all_columns, m, columns, squared, auction_from, work):
    """Match the n finite points of one side with the m of the other, of which there are at least as many.

    rows, columns : Candidates, written: the points that can gain something.
    Return how many rows there are, and the gap.
    """
    if n == 1:
        return _match_one(all_rows, rows, all_columns, m, columns, work.sweep), 0.0
    find_gains(all_rows, n, all_columns, m, work.sweep)
    if halted(work.sweep.halt):
        return 0, 0.0
    n = keep(all_rows, n, rows, zero, work.keys)
    if n == 0:
        return 0, 0.0
    rows_are_equal = _are_equal(rows, n)
    few = zero if rows_are_equal or (auction_from is not None and auction_from <= _FEW) else _FEW
    m = keep(all_columns, m, columns, few, work.keys)
    if rows_are_equal:
        _match_best(rows, n, columns, m, work)
        return n, 0.0
    if _are_equal(columns, m):
        _match_best(columns, m, rows, n, work)
        return n, 0.0
    if m > few:
        find_reach(rows, n, columns, m, squared)
    else:
        reach_all(rows, n, m)
    if auction_from is not None and min(n, m) >= auction_from:
        find_reach(columns, m, rows, n, squared)
        gap = auction(rows, n, columns, m, work)
        return n, polish(rows, n, columns, m, gap, True, squared, work)
    keys = work.keys
    for i in range(n):
        keys.value[i] = -rows.gain[i]
    sort(keys, n)
    work.sweep.far[: padded(m)] = np.inf
    augment(rows, columns, m, keys.order[:n], work)
    gap = certify(rows, n, columns, m, work.sweep)
    return n, polish(rows, n, columns, m, gap, False, squared, work)


@device
def _match_one(all_rows, rows, all_columns, m, columns, sweep):
    """Match a single row with the column that saves most; among several, with that of the least birth + death.

    Return 1, or 0 if nothing can be saved.
    """
    far = sweep.far
    relax(all_rows, zero, 0.0, all_columns, zero, padded(m), sweep.near, far)
    low = lowest(far, zero, padded(m))
    best, least = 0, np.inf
    for j in range(m):
        if far[j] == low and all_columns.birth[j] + all_columns.death[j] < least:
            best, least = j, all_columns.birth[j] + all_columns.death[j]
    rows.column[0], rows.partner[0], columns.column[0] = all_rows.column[0], 0, all_columns.column[best]
    return 1 if low < 0.0 else 0


@device
def _are_equal(candidates, n):
    """Return whether n candidates are copies of one point."""
    equal = True
    for i in range(1, n):
        equal &= candidates.birth[i] == candidates.birth[0] and candidates.death[i] == candidates.death[0]
        equal &= are_together(candidates.position, i, 0)
    return equal


@device
def _match_best(equal, n, others, m, work):
    """Match n copies of one point with those of the others that save most, which is optimal."""
    far, keys = work.sweep.far, work.keys
    relax(equal, zero, 0.0, others, zero, padded(m), work.sweep.near, far)
    copy(far, keys.value, zero, m)
    sort(keys, m)
    for i in range(min(n, m)):
        equal.partner[i], others.partner[keys.order[i]] = keys.order[i], i
