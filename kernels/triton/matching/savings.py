"""Savings of pairs of points, and what the solvers of `match` share.

The arithmetic is that of the CPU's kernels: float64 in the same order and, with `enable_fp_fusion=False` at the launch,
never contracted. Ties go to the lowest column. All choices, and so the partners and gaps, then have the same bits.

Candidates are in order of their columns, not of birth + death as on the CPU, where that order narrows each sweep. Here
a sweep reads all candidates at once, which are seldom more than a program has threads.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .position import apart, coordinates, differ_in_position, less_apart

ROUNDING = tl.constexpr(2.0**-50)  # bound on the error of a few operations, relative to their operands
FINE = tl.constexpr(2.0**-30)  # rounding errors up to this, relative to the largest cost that is paid, are tolerated
_SQRT_HALF = tl.constexpr(0.5**0.5)
_MOST_ALONE = tl.constexpr(2.0**1000)  # bound on the cost of an unmatched point, which keeps sums finite


@triton.jit
def load_point(candidates, i, mask, meta):
    """Return the coordinates of candidates i as float64, and the part of their cost alone that savings include.

    Masked coordinates are (0, 0).
    """
    birth = tl.load(candidates.birth + i, mask=mask, other=0.0)
    death = tl.load(candidates.death + i, mask=mask, other=0.0)
    birth, death = birth.to(tl.float64), death.to(tl.float64)  # when both are on their way
    return birth, death, cost_alone(birth, death, meta) * candidates.share


@triton.jit
def opt_out(candidates, birth, death, meta):
    """Return the rest of the cost of unmatched points, which savings do not include."""
    return cost_alone(birth, death, meta) * (1.0 - candidates.share)


@triton.jit
def cost_alone(birth, death, meta):
    """Return the cost of unmatched points."""
    length = death - birth
    return 0.5 * (length * length) if meta.SQUARED else tl.minimum(tl.abs(length) * _SQRT_HALF, _MOST_ALONE)


@triton.jit
def saving(birth, death, alone, birth_other, death_other, alone_other):
    """Return what matching saves over leaving both unmatched. The bits are the same with the sides exchanged."""
    x, y = birth - birth_other, death - death_other
    return (alone + alone_other) - (x * x + y * y)


@triton.jit
def are_equal(candidates, n, meta):
    """Return whether n candidates are copies of one point."""
    birth, death = tl.load(candidates.birth, mask=n > 0), tl.load(candidates.death, mask=n > 0)
    differ = tl.zeros((meta.BLOCK,), tl.int32)
    for start in range(0, n, meta.BLOCK):
        i = start + tl.arange(0, meta.BLOCK)
        differ |= (tl.load(candidates.birth + i, mask=i < n, other=birth) != birth).to(tl.int32)
        differ |= (tl.load(candidates.death + i, mask=i < n, other=death) != death).to(tl.int32)
        differ = differ_in_position(candidates, i, i < n, differ, meta)
    return tl.max(differ, 0) == 0


@triton.jit
def lowest_loss(birth, death, alone, candidates, i, mask, others, m, meta, PRICED: tl.constexpr = True):
    """Return the lowest price - saving of candidates i (THREADS,) with m others, and the first index of it.

    birth, death, alone : what `load_point` returns for the candidates.
    Prices that are not PRICED are 0.
    """
    low = tl.full((meta.CHUNK, meta.THREADS), float("inf"), tl.float64)
    place = tl.zeros((meta.CHUNK, meta.THREADS), tl.int32)
    for start in range(0, m, meta.CHUNK):
        j = start + tl.arange(0, meta.CHUNK)[:, None]
        birth_other, death_other, alone_other = load_point(others, j, j < m, meta)
        if PRICED:
            price = tl.load(others.price + j, mask=j < m, other=float("inf"))
        else:
            price = tl.where(j < m, 0.0, float("inf"))
        saved = saving(birth[None], death[None], alone[None], birth_other, death_other, alone_other)
        loss = price - less_apart(saved, candidates, i[None], mask[None], others, j, j < m, meta)
        place = tl.where(loss < low, j, place)
        low = tl.where(loss < low, loss, low)
    lowest = tl.min(low, 0)
    return lowest, tl.min(tl.where(low == lowest[None], place, m), 0)


@triton.jit
def first_lowest(values, places):
    """Return the least of float64 values, none of which is -0 or NaN, and the least of the places that have it.

    values, places : the last axis, which the threads share, is reduced.
    An integer's minimum is one instruction of a warp, a float's is ten. Integers that sort like the floats are reduced
    in two halves.
    """
    axis: tl.constexpr = len(values.shape) - 1
    bits = values.to(tl.int64, bitcast=True)
    high, low = (bits >> 32).to(tl.int32), bits.to(tl.int32)
    high, low = high ^ ((high >> 31) & 0x7FFFFFFF), low ^ ~((high >> 31) ^ 0x7FFFFFFF)
    least_high = tl.min(high, axis, keep_dims=True)
    is_least = high == least_high
    least_low = tl.min(tl.where(is_least, low, 0x7FFFFFFF), axis, keep_dims=True)
    place = tl.min(tl.where(is_least & (low == least_low), places, 0x7FFFFFFF), axis)
    least_low = least_low ^ ~((least_high >> 31) ^ 0x7FFFFFFF)
    least_high = least_high ^ ((least_high >> 31) & 0x7FFFFFFF)
    least = (least_high.to(tl.int64) << 32) | (least_low.to(tl.int64) & 0xFFFFFFFF)
    return tl.min(least, axis).to(tl.float64, bitcast=True), place


@triton.jit
def highest(values):
    """Return the largest of float64 values (BLOCK,) that are not negative; see `first_lowest`."""
    bits = values.to(tl.int64, bitcast=True)
    high, low = (bits >> 32).to(tl.int32), bits.to(tl.int32) ^ -0x80000000
    most_high = tl.max(high, 0)
    most_low = tl.max(tl.where(high == most_high, low, -0x80000000), 0) ^ -0x80000000
    return ((most_high.to(tl.int64) << 32) | (most_low.to(tl.int64) & 0xFFFFFFFF)).to(tl.float64, bitcast=True)


@triton.jit
def sort(candidates, n, order, meta, BY_GAIN: tl.constexpr):
    """Sort the indices of n candidates by birth + death and then by index, BY_GAIN first by descending gain.

    The rank of a candidate is the number of those before it. Counting them is fast, because most windows have few.
    """
    for start in range(0, n, meta.THREADS):
        i = start + tl.arange(0, meta.THREADS)
        before, _ = _compare(candidates, n, candidates.column, i, meta, BY_GAIN)
        tl.store(order + tl.sum(before, 0), i, mask=i < n)


@triton.jit
def sort_rows(rows, n, best, order, meta, AFTER: tl.constexpr):
    """Sort rows by gain as `sort` does, and mark those whose best column is that of a row before it (`take_best`)."""
    for start in range(0, n, meta.THREADS):
        i = start + tl.arange(0, meta.THREADS)
        before, same = _compare(rows, n, best, i, meta, BY_GAIN=True)
        tl.store(order + tl.sum(before, 0), tl.where(tl.max(same, 0) > 0, i | AFTER, i), mask=i < n)


@triton.jit
def _compare(candidates, n, labels, i, meta, BY_GAIN: tl.constexpr):
    """Count those of n candidates that come before candidates i, and find out whether one has the same label.

    Return numbers and flags (CHUNK, THREADS); flags only BY_GAIN.
    """
    x, gain = keys(candidates, i, i < n, BY_GAIN)
    label = tl.load(labels + i, mask=i < n, other=0) if BY_GAIN else i
    before = tl.zeros((meta.CHUNK, meta.THREADS), tl.int32)
    same = before
    for start in range(0, n, meta.CHUNK):
        j = start + tl.arange(0, meta.CHUNK)[:, None]
        x_other, gain_other = keys(candidates, j, j < n, BY_GAIN)
        is_before = (x_other < x[None]) | ((x_other == x[None]) & (j < i[None]))
        if BY_GAIN:
            label_other = tl.load(labels + j, mask=j < n, other=-1)
            is_before = (gain_other > gain[None]) | ((gain_other == gain[None]) & is_before)
            same |= (is_before & (label_other == label[None])).to(tl.int32)
        before += (is_before & (j < n)).to(tl.int32)
    return before, same


@triton.jit
def keys(candidates, i, mask, GAIN: tl.constexpr):
    """Return birth + death, and the gain if it is wanted."""
    birth = tl.load(candidates.birth + i, mask=mask, other=0.0)
    death = tl.load(candidates.death + i, mask=mask, other=0.0)
    if GAIN:
        gain = tl.load(candidates.gain + i, mask=mask, other=0.0)
        x = birth.to(tl.float64) + death.to(tl.float64)
    else:
        x = birth.to(tl.float64) + death.to(tl.float64)
        gain = x
    return x, gain


@triton.jit
def certify(rows, n, columns, m, meta):
    """Bound the distance from the optimum by the prices of matched columns: a sum of slacks, none of which is negative.

    The slacks are added up in the rows' order of birth + death, as on the CPU. The gains of the rows are overwritten.
    """
    for start in range(0, n, meta.THREADS):
        k = start + tl.arange(0, meta.THREADS)
        i = tl.load(rows.order + k, mask=k < n, other=0)
        birth, death, alone = load_point(rows, i, k < n, meta)
        low, _ = lowest_loss(birth, death, alone, rows, i, k < n, columns, m, meta)
        loss_alone = opt_out(rows, birth, death, meta)
        own = own_loss(rows, i, birth, death, alone, k < n, columns, meta)
        slack = own - tl.where(low < loss_alone, low, loss_alone)
        tl.store(rows.gain + k, slack, mask=k < n)
    tl.debug_barrier()  # all threads read the slacks
    gap = tl.full((), 0.0, tl.float64)
    for k in range(0, n):
        gap += tl.load(rows.gain + k)
    return gap


@triton.jit
def own_loss(rows, i, birth, death, alone, mask, columns, meta):
    """Return price - saving of rows with their partners; their opt_out if they are unmatched."""
    j = tl.load(rows.partner + i, mask=mask, other=-1)
    birth_other, death_other, alone_other = load_point(columns, j, j >= 0, meta)
    saved = saving(birth, death, alone, birth_other, death_other, alone_other)
    saved = less_apart(saved, rows, i, mask, columns, j, j >= 0, meta)
    loss = tl.load(columns.price + j, mask=j >= 0, other=0.0) - saved
    return tl.where(j >= 0, loss, opt_out(rows, birth, death, meta))


@triton.jit
def largest_paid(rows, n, columns, m, meta):
    """Return the largest cost that a matching pays, for a pair or for an unmatched point."""
    paid = tl.zeros((meta.BLOCK,), tl.float64)
    for start in range(0, n, meta.BLOCK):
        i = start + tl.arange(0, meta.BLOCK)
        birth, death, _ = load_point(rows, i, i < n, meta)
        j = tl.load(rows.partner + i, mask=i < n, other=-1)
        birth_other, death_other, _ = load_point(columns, j, j >= 0, meta)
        x, y = birth - birth_other, death - death_other
        of_pair = x * x + y * y
        if meta.PLACED:
            at_z, at_y, at_x = coordinates(rows, i, i < n)
            of_pair += apart(at_z, at_y, at_x, columns, j, j >= 0)
        cost = tl.where(j >= 0, of_pair, cost_alone(birth, death, meta))
        paid = tl.where(cost > paid, cost, paid)
    for start in range(0, m, meta.BLOCK):
        j = start + tl.arange(0, meta.BLOCK)
        birth, death, _ = load_point(columns, j, j < m, meta)
        cost = cost_alone(birth, death, meta)
        single = tl.load(columns.partner + j, mask=j < m, other=0) < 0
        paid = tl.where(single & (cost > paid), cost, paid)
    return highest(paid)
