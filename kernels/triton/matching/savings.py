"""Savings of pairs of points, and what the solvers of `match` share.

The arithmetic is that of the CPU's kernels: float64 in the same order and, with `enable_fp_fusion=False` at the launch,
never contracted. Ties go to the lowest column. All choices, and so the partners and gaps, then have the same bits.

Candidates are in order of their columns, not of birth + death as on the CPU, where that order narrows each sweep. Here
a sweep reads all candidates at once, which are seldom more than a block has threads.
"""

from __future__ import annotations

import triton
import triton.language as tl

ROUNDING = tl.constexpr(2.0**-50)  # bound on the error of a few operations, relative to their operands
FINE = tl.constexpr(2.0**-30)  # rounding errors up to this, relative to the largest cost that is paid, are tolerated
_SQRT_HALF = tl.constexpr(0.5**0.5)
_MOST_ALONE = tl.constexpr(2.0**1000)  # bound on the cost of an unmatched point, which keeps sums finite


@triton.jit
def load_point(candidates, i, mask, meta):
    """Return the coordinates of candidates i as float64, and the part of their cost alone that savings include.

    Masked coordinates are (0, 0).
    """
    birth = tl.load(candidates.birth + i, mask=mask, other=0.0).to(tl.float64)
    death = tl.load(candidates.death + i, mask=mask, other=0.0).to(tl.float64)
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
def lowest_loss(birth, death, alone, others, m, meta):
    """Return the lowest price - saving of points with m others, and the first index of it.

    PARTS neighbouring elements share a point.
    """
    low = tl.full((meta.CHUNK, meta.THREADS), float("inf"), tl.float64)
    place = tl.zeros((meta.CHUNK, meta.THREADS), tl.int32)
    for start in range(0, m, meta.CHUNK * meta.PARTS):
        j = start + _shares(meta)
        birth_other, death_other, alone_other = load_point(others, j, j < m, meta)
        price = tl.load(others.price + j, mask=j < m, other=float("inf"))
        loss = price - saving(birth[None], death[None], alone[None], birth_other, death_other, alone_other)
        place = tl.where(loss < low, j, place)
        low = tl.where(loss < low, loss, low)
    lowest = tl.min(low, 0)
    place = tl.min(tl.where(low == lowest[None], place, m), 0)
    least = _least_of_parts(lowest, meta)
    return least, _least_of_parts(tl.where(lowest == least, place, m), meta)


@triton.jit
def _least_of_parts(values, meta):
    """Return the least value among the elements that share a point."""
    parts = tl.reshape(values, (values.shape[0] // meta.PARTS, meta.PARTS))
    return tl.reshape(tl.minimum(parts, tl.min(parts, 1, keep_dims=True)), values.shape)


@triton.jit
def _shares(meta):
    """Return the indices (CHUNK, THREADS) of others that are read together, neighbours by neighbouring threads."""
    j = tl.arange(0, meta.CHUNK)[:, None] * meta.PARTS + (tl.arange(0, meta.THREADS) % meta.PARTS)[None]
    return tl.max_contiguous(j, (1, 1))  # prevents vector loads, whose layout would distribute the points differently


@triton.jit
def sort(candidates, n, order, meta, BY_GAIN: tl.constexpr):
    """Sort the indices of n candidates by birth + death and then by index, BY_GAIN first by descending gain.

    The rank of a candidate is the number of those before it. Counting them is fast, because most windows have few.
    """
    thread = tl.arange(0, meta.THREADS)
    for start in range(0, n, meta.THREADS // meta.PARTS):
        i = start + thread // meta.PARTS
        x, gain = keys(candidates, i, i < n, BY_GAIN)
        before = tl.zeros((meta.CHUNK, meta.THREADS), tl.int32)
        for start_other in range(0, n, meta.CHUNK * meta.PARTS):
            j = start_other + _shares(meta)
            x_other, gain_other = keys(candidates, j, j < n, BY_GAIN)
            is_before = (x_other < x[None]) | ((x_other == x[None]) & (j < i[None]))
            if BY_GAIN:
                is_before = (gain_other > gain[None]) | ((gain_other == gain[None]) & is_before)
            before += (is_before & (j < n)).to(tl.int32)
        parts = tl.reshape(tl.sum(before, 0), (meta.THREADS // meta.PARTS, meta.PARTS))
        rank = tl.reshape(tl.maximum(parts, tl.sum(parts, 1, keep_dims=True)), (meta.THREADS,))
        tl.store(order + rank, i, mask=(i < n) & (thread % meta.PARTS == 0))


@triton.jit
def keys(candidates, i, mask, GAIN: tl.constexpr):
    """Return birth + death, and the gain if it is wanted."""
    birth = tl.load(candidates.birth + i, mask=mask, other=0.0).to(tl.float64)
    x = birth + tl.load(candidates.death + i, mask=mask, other=0.0).to(tl.float64)
    return x, tl.load(candidates.gain + i, mask=mask, other=0.0) if GAIN else x


@triton.jit
def certify(rows, n, columns, m, meta):
    """Bound the distance from the optimum by the prices of matched columns: a sum of slacks, none of which is negative.

    The slacks are added up in the rows' order of birth + death, as on the CPU. The gains of the rows are overwritten.
    """
    thread = tl.arange(0, meta.THREADS)
    for start in range(0, n, meta.THREADS // meta.PARTS):
        k = start + thread // meta.PARTS
        i = tl.load(rows.order + k, mask=k < n, other=0)
        birth, death, alone = load_point(rows, i, k < n, meta)
        low, _ = lowest_loss(birth, death, alone, columns, m, meta)
        loss_alone = opt_out(rows, birth, death, meta)
        own = own_loss(rows, i, birth, death, alone, k < n, columns, meta)
        slack = own - tl.where(low < loss_alone, low, loss_alone)
        tl.store(rows.gain + k, slack, mask=(k < n) & (thread % meta.PARTS == 0))
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
        cost = tl.where(j >= 0, x * x + y * y, cost_alone(birth, death, meta))
        paid = tl.where(cost > paid, cost, paid)
    for start in range(0, m, meta.BLOCK):
        j = start + tl.arange(0, meta.BLOCK)
        birth, death, _ = load_point(columns, j, j < m, meta)
        cost = cost_alone(birth, death, meta)
        single = tl.load(columns.partner + j, mask=j < m, other=0) < 0
        paid = tl.where(single & (cost > paid), cost, paid)
    return tl.max(paid, 0)
