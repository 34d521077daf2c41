"""Candidates: collect the points that can be matched with gain, and write the partners of all points."""

from __future__ import annotations

import triton
import triton.language as tl

from .savings import cost_alone, load_point, lowest_loss, saving

_NO_COLUMN = tl.constexpr(0x7FFFFFFF)  # above every column


@triton.jit
def leave_unmatched(partner, size, meta):
    """Write -1 as the partner of the first `size` columns."""
    for start in range(0, size, meta.BLOCK):
        i = start + tl.arange(0, meta.BLOCK)
        tl.store(partner + i, tl.full((meta.BLOCK,), -1, tl.int32), mask=i < size)


@triton.jit
def count_finite(side, meta):
    """Return how many points of a diagram are finite."""
    count = tl.zeros((meta.BLOCK,), tl.int32)
    for start in range(0, side.count, meta.BLOCK):
        _, _, finite = _load_finite(side, start + tl.arange(0, meta.BLOCK))
        count += finite.to(tl.int32)
    return tl.sum(count, 0)


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
        farther = tl.maximum(tl.abs(birth), tl.abs(death))
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
        _, n = _append(candidates, birth, death, tl.zeros((meta.THREADS,), tl.float64), i, finite, n)
    return n


@triton.jit
def keep_columns(side, scale, rows, n, kept, meta):
    """Collect the finite points of a diagram that can gain something from one of n rows, in order of column.

    Return how many there are. This diagram has at least as many points as the other, so each thread takes one.
    """
    n_kept = 0
    for start in range(0, side.count, meta.THREADS):
        i = start + tl.arange(0, meta.THREADS)
        birth_in, death_in, finite = _load_finite(side, i)
        birth_in, death_in = _scaled(birth_in, scale), _scaled(death_in, scale)
        birth, death = birth_in.to(tl.float64), death_in.to(tl.float64)
        alone = cost_alone(birth, death, meta)
        most = tl.zeros((meta.CHUNK, meta.THREADS), tl.float64)
        for start_row in range(0, n, meta.CHUNK):
            j = start_row + tl.arange(0, meta.CHUNK)
            birth_j, death_j, alone_j = load_point(rows, j, j < n, meta)
            saved = saving(birth[None], death[None], alone[None], birth_j[:, None], death_j[:, None], alone_j[:, None])
            most = tl.where((saved > most) & (j < n)[:, None], saved, most)
        gain = tl.max(most, 0)
        _, n_kept = _append(kept, birth_in, death_in, gain, i, finite & (gain > 0.0), n_kept)
    return n_kept


@triton.jit
def keep_rows(rows, n, columns, m, meta):
    """Drop those of n rows that can gain nothing from any of m columns, whose prices are 0.

    Return how many are left, in the same order. Write the column that each gains most from into rows.order.
    """
    thread = tl.arange(0, meta.THREADS)
    for start in range(0, n, meta.THREADS // meta.PARTS):
        i = start + thread // meta.PARTS
        birth, death, alone = load_point(rows, i, i < n, meta)
        loss, best = lowest_loss(birth, death, alone, columns, m, meta)
        tl.store(rows.gain + i, -loss, mask=(i < n) & (thread % meta.PARTS == 0))
        tl.store(rows.order + i, best, mask=(i < n) & (thread % meta.PARTS == 0))
    tl.debug_barrier()  # other threads read the gains
    n_kept = 0
    for start in range(0, n, meta.THREADS):
        i = start + thread
        birth, death = tl.load(rows.birth + i, mask=i < n, other=0.0), tl.load(rows.death + i, mask=i < n, other=0.0)
        gain, column = tl.load(rows.gain + i, mask=i < n, other=0.0), tl.load(rows.column + i, mask=i < n, other=0)
        best = tl.load(rows.order + i, mask=i < n, other=0)
        tl.debug_barrier()  # all threads have read what is overwritten now
        place, n_kept = _append(rows, birth, death, gain, column, gain > 0.0, n_kept)
        tl.store(rows.order + place, best, mask=gain > 0.0)
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
        birth = tl.load(side.birth + i, mask=i < side.count, other=0.0).to(tl.float64)
        death = tl.load(side.death + i, mask=i < side.count, other=0.0).to(tl.float64)
        birth_fits = (tl.abs(birth) < float("inf")) if kind == 0 else (birth == -float("inf"))
        death_fits = (tl.abs(death) < float("inf")) if kind == 1 else (death == float("inf"))
        key = tl.where(kind == 0, birth, tl.where(kind == 1, death, 0.0))
        is_next = birth_fits & death_fits & ((key > last) | ((key == last) & (i > i_last))) & (key < low)
        low = tl.where(is_next, key, low)
        column = tl.where(is_next, i, column)
    lowest = tl.min(low, 0)
    return lowest, tl.min(tl.where(low == lowest, column, _NO_COLUMN), 0)


@triton.jit
def write(rows, n, columns, partner_of_rows, partner_of_columns, meta):
    """Write the partners of n rows and of their columns, as columns of the diagrams."""
    for start in range(0, n, meta.BLOCK):
        i = start + tl.arange(0, meta.BLOCK)
        j = tl.load(rows.partner + i, mask=i < n, other=-1)
        row = tl.load(rows.column + i, mask=j >= 0, other=0)
        column = tl.load(columns.column + j, mask=j >= 0, other=0)
        tl.store(partner_of_rows + row, column, mask=j >= 0)
        tl.store(partner_of_columns + column, row, mask=j >= 0)
