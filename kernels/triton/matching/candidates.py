"""Candidates: collect the points that can be matched with gain, and write the partners of all points."""

from __future__ import annotations

import triton
import triton.language as tl

from .position import apart, coordinates, store_position
from .savings import are_equal, cost_alone, load_point, lowest_loss, saving
from .workspace import again, candidates_of

_NO_COLUMN = tl.constexpr(0x7FFFFFFF)  # above every column
_COLUMNS, _ROWS = tl.constexpr(8), tl.constexpr(2)  # of a thread in the search for gains


@triton.jit
def leave_unmatched(partner, size, meta):
    """Write -1 as the partner of the first `size` columns."""
    for start in range(0, size, meta.BLOCK):
        i = start + tl.arange(0, meta.BLOCK)
        tl.store(partner + i, tl.full((meta.BLOCK,), -1, tl.int32), mask=i < size)


@triton.jit
def count_finite(a, b, meta):
    """Return how many points of two diagrams are finite."""
    count_a, count_b = tl.zeros((meta.BLOCK,), tl.int32), tl.zeros((meta.BLOCK,), tl.int32)
    for start in range(0, tl.maximum(a.count, b.count), meta.BLOCK):
        i = start + tl.arange(0, meta.BLOCK)
        _, _, finite_a = _load_finite(a, i)
        _, _, finite_b = _load_finite(b, i)
        count_a += finite_a.to(tl.int32)
        count_b += finite_b.to(tl.int32)
    return tl.sum(count_a, 0), tl.sum(count_b, 0)


@triton.jit
def _load_finite(side, i):
    """Return the coordinates of columns i, and whether these are points and finite; (0, 0) for other columns."""
    birth = tl.load(side.birth + i, mask=i < side.count, other=0.0)
    death = tl.load(side.death + i, mask=i < side.count, other=0.0)
    return birth, death, (i < side.count) & (tl.abs(birth) < float("inf")) & (tl.abs(death) < float("inf"))


@triton.jit
def scale_of(a, b, meta):
    """Return the power of two that scales the largest finite coordinate to about 2**480, and its inverse.

    Sums of squares are then finite, and squares do not underflow. It is at most 2**1022, and 1 for float32.
    """
    scale, inverse = tl.full((), 1.0, tl.float64), tl.full((), 1.0, tl.float64)
    if a.birth.dtype.element_ty == tl.float64:
        bits = tl.maximum(_farthest(a, meta), _farthest(b, meta)).to(tl.int64, bitcast=True)
        exponent = tl.minimum(480 + 2046 - (bits >> 52), 2045)
        scale = (exponent << 52).to(tl.float64, bitcast=True)
        inverse = ((2046 - exponent) << 52).to(tl.float64, bitcast=True)
    return scale, inverse


@triton.jit
def _farthest(side, meta):
    """Return the largest absolute value of a coordinate of the finite points."""
    most = tl.zeros((meta.BLOCK,), tl.float64)
    for start in range(0, side.count, meta.BLOCK):
        birth, death, finite = _load_finite(side, start + tl.arange(0, meta.BLOCK))
        farther = tl.maximum(tl.abs(birth), tl.abs(death)).to(tl.float64)
        if meta.PLACED:
            z, y, x = coordinates(side, start + tl.arange(0, meta.BLOCK), finite)
            farther = tl.maximum(farther, tl.maximum(tl.abs(z), tl.maximum(tl.abs(y), tl.abs(x))))
        most = tl.where(finite & (farther > most), farther, most)
    return tl.max(most, 0)


@triton.jit
def _scaled(x, scale):
    """Return scaled coordinates; those in float32 need no scale."""
    return x * scale if x.dtype == tl.float64 else x


@triton.jit
def collect(side, scale, candidates, meta):
    """Collect the finite points of a diagram, in order of column. Return how many there are."""
    n = 0
    for start in range(0, side.count, meta.THREADS):
        i = start + tl.arange(0, meta.THREADS)
        birth, death, finite = _load_finite(side, i)
        birth, death = _scaled(birth, scale), _scaled(death, scale)
        place, more = _append(candidates, birth, death, tl.zeros((meta.THREADS,), tl.float64), i, finite, n)
        store_position(candidates, place, side, i, scale, finite, meta)
        n = more
    return n


@triton.jit
def prune(side, of_rows, scale, rows, n, columns, scratch, meta):
    """Collect the finite points of a diagram that can gain something from one of n rows, and drop the other rows.

    Return how many columns and rows there are, in order of column; and 1 if the rows are copies of one point, 2 if only
    the columns are, or else 0. Unless it is 1, write the column that each row gains most from into rows.order.
    of_rows : the diagram of the rows.
    scratch : Tree, overwritten; side.count elements.
    """
    rows_are_equal = are_equal(rows, n, meta)
    _find_gains(side, scale, rows, tl.where(rows_are_equal, tl.minimum(n, 1), n), scratch.distance, meta)
    tl.debug_barrier()  # other threads read the gains
    m = 0
    for start in range(0, side.count, meta.BLOCK):
        i = start + tl.arange(0, meta.BLOCK)
        birth, death, _ = _load_finite(side, i)
        gain = tl.load(scratch.distance + i, mask=i < side.count, other=0.0)
        place, more = _append(columns, _scaled(birth, scale), _scaled(death, scale), gain, i, gain > 0.0, m)
        store_position(columns, place, side, i, scale, gain > 0.0, meta)
        m = more
    equal = 1
    if rows_are_equal:
        n = tl.where(m > 0, n, 0)
    else:
        tl.debug_barrier()  # other threads read the columns
        equal = tl.where(are_equal(columns, m, meta), 2, 0)
        n = _keep_rows(of_rows, scale, rows, n, columns, m, meta)
        equal = tl.where(are_equal(rows, n, meta), 1, equal)
    return m, n, equal


@triton.jit
def _find_gains(side, scale, rows, n, gains, meta):
    """Write what each column of a diagram gains at most from one of n rows, and 0 for infinite points.

    Each thread holds _COLUMNS columns, and compares _ROWS rows with them at a time.
    """
    for start in range(0, side.count, _COLUMNS * meta.THREADS):
        column = start + tl.arange(0, _COLUMNS)[:, None] * meta.THREADS + tl.arange(0, meta.THREADS)[None]
        column = tl.max_contiguous(column, (1, 1))  # prevents vector loads, whose layout would be another one
        birth, death, finite = _load_finite(side, column)
        birth, death = _scaled(birth, scale).to(tl.float64), _scaled(death, scale).to(tl.float64)
        birth, death = tl.where(finite, birth, 0.0), tl.where(finite, death, 0.0)
        alone = tl.where(finite, cost_alone(birth, death, meta), -float("inf"))
        most = tl.zeros((_COLUMNS, meta.THREADS), tl.float64)
        if meta.PLACED:
            z, y, x = coordinates(side, column, finite)
            z, y, x = (z * scale)[None], (y * scale)[None], (x * scale)[None]
        for start_row in range(0, n, _ROWS):
            i = start_row + tl.arange(0, _ROWS)[:, None, None]
            birth_i, death_i, alone_i = load_point(rows, i, i < n, meta)
            alone_i = tl.where(i < n, alone_i, -float("inf"))
            saved = saving(birth[None], death[None], alone[None], birth_i, death_i, alone_i)
            if meta.PLACED:
                saved -= apart(z, y, x, rows, i, i < n)
            most = tl.maximum(most, tl.max(saved, 0))
        tl.store(gains + column, most, mask=column < side.count)


@triton.jit
def _keep_rows(side, scale, rows, n, columns, m, meta):
    """Drop those of n rows that can gain nothing from any of m columns, whose prices are 0.

    Return how many are left, in the same order. Write the column that each gains most from into rows.order.
    """
    n_kept = 0
    for start in range(0, n, meta.THREADS):
        i = start + tl.arange(0, meta.THREADS)
        birth, death = tl.load(rows.birth + i, mask=i < n, other=0.0), tl.load(rows.death + i, mask=i < n, other=0.0)
        column = tl.load(rows.column + i, mask=i < n, other=0)
        x, y = birth.to(tl.float64), death.to(tl.float64)
        loss, best = lowest_loss(x, y, cost_alone(x, y, meta), rows, i, i < n, columns, m, meta, PRICED=False)
        tl.debug_barrier()  # all threads have read what is overwritten now
        there = (i < n) & (loss < 0.0)
        place, n_kept = _append(rows, birth, death, -loss, column, there, n_kept)
        store_position(rows, place, side, column, scale, there, meta)
        tl.store(rows.order + place, best, mask=there)
    tl.debug_barrier()  # the rows are read by other threads
    return n_kept


@triton.jit
def _append(candidates, birth, death, gain, column, there, n):
    """Append unmatched candidates to n others, at a price of 0. Return their indices, and the new number."""
    place = n + tl.cumsum(there.to(tl.int32), 0) - 1
    tl.store(candidates.birth + place, birth, mask=there)
    tl.store(candidates.death + place, death, mask=there)
    tl.store(candidates.gain + place, gain, mask=there)
    tl.store(candidates.price + place, tl.zeros(gain.shape, tl.float64), mask=there)
    tl.store(candidates.column + place, column, mask=there)
    tl.store(candidates.partner + place, tl.full(gain.shape, -1, tl.int32), mask=there)
    return place, n + tl.sum(there.to(tl.int32), 0)


@triton.jit
def match_essential(a, b, meta):
    """Match essential classes: (finite, inf), (-inf, finite) and (-inf, inf), in order of the finite coordinate."""
    for kind in range(3):
        key_a = tl.full((), -float("inf"), tl.float64)
        key_b = key_a
        i, j = -1, -1
        while i < _NO_COLUMN:
            key_a, i = _next_essential(a, kind, key_a, i, meta)
            key_b, j = _next_essential(b, kind, key_b, j, meta)
            i = tl.where(j < _NO_COLUMN, i, _NO_COLUMN)
            tl.store(a.partner + i, j, mask=i < _NO_COLUMN)
            tl.store(b.partner + j, i, mask=i < _NO_COLUMN)


@triton.jit
def _next_essential(side, kind, last, i_last, meta):
    """Return the next essential class of a kind after another: finite coordinate, and column or _NO_COLUMN."""
    low = tl.full((meta.BLOCK,), float("inf"), tl.float64)
    column = tl.full((meta.BLOCK,), _NO_COLUMN, tl.int32)
    for start in range(0, side.count, meta.BLOCK):
        i = start + tl.arange(0, meta.BLOCK)
        birth = tl.load(side.birth + i, mask=i < side.count, other=0.0)
        death = tl.load(side.death + i, mask=i < side.count, other=0.0)
        birth, death = birth.to(tl.float64), death.to(tl.float64)
        birth_fits = (tl.abs(birth) < float("inf")) if kind == 0 else (birth == -float("inf"))
        death_fits = (tl.abs(death) < float("inf")) if kind == 1 else (death == float("inf"))
        key = tl.where(kind == 0, birth, tl.where(kind == 1, death, 0.0))
        is_next = birth_fits & death_fits & ((key > last) | ((key == last) & (i > i_last))) & (key < low)
        low = tl.where(is_next, key, low)
        column = tl.where(is_next, i, column)
    lowest = tl.min(low, 0)
    return lowest, tl.min(tl.where(low == lowest, column, _NO_COLUMN), 0)


@triton.jit
def write(work, outcome, partner_a, partner_b, BLOCK: tl.constexpr):
    """Write the partners of the candidates of two diagrams, as columns of the diagrams."""
    work = again(work)
    rows, columns = candidates_of(work, 0), candidates_of(work, 1)
    partner_of_rows, partner_of_columns = partner_a, partner_b
    if outcome.exchanged:
        partner_of_rows, partner_of_columns = partner_b, partner_a
    n = outcome.n
    tl.debug_barrier()  # other threads have written partners
    for start in range(0, n, BLOCK):
        i = start + tl.arange(0, BLOCK)
        j = tl.load(rows.partner + i, mask=i < n, other=-1)
        row = tl.load(rows.column + i, mask=j >= 0, other=0)
        column = tl.load(columns.column + j, mask=j >= 0, other=0)
        tl.store(partner_of_rows + row, column, mask=j >= 0)
        tl.store(partner_of_columns + column, row, mask=j >= 0)
