"""What two points save by being matched, and what the solvers of Match share.

The arithmetic is that of the CPU's kernels, float64 in the same order and, by `enable_fp_fusion=False` at the launch,
never contracted; ties go to the lowest column. Choices, and with them partners and gaps, are then the same bits.

Points that can gain something stand in order of their columns, not of birth + death as on the CPU, where the order
narrows each sweep down. Here a sweep takes all columns at once, which seldom are more than a block has threads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import triton
import triton.language as tl

ROUNDING = tl.constexpr(2.0**-50)  # what a few operations lose, relative to their operands, with room to spare
FINE = tl.constexpr(2.0**-30)  # rounding errors that large, relative to the largest cost that is paid, do not matter
_SQRT_HALF = tl.constexpr(0.5**0.5)
_MOST = tl.constexpr(2.0**1000)  # that a point costs alone, so that sums are finite


class Side(NamedTuple):
    """One diagram of a window, of the two."""

    birth: Any
    death: Any
    partner: Any  # int64 or int32
    count: Any  # columns that are points


class Points(NamedTuple):
    """Where the points of one side lie in a program's scratch memory."""

    birth: Any  # in the diagram's dtype
    death: Any
    gain: Any  # float64, the most that a partner saves; used up by the solvers
    price: Any  # float64
    column: Any  # int32, in the diagram
    partner: Any  # int32, place on the other side, or -1
    order: Any  # int32, places by birth + death; before that, of rows, their best column
    share: Any  # float64, of the cost alone that savings contain: 1, or 0 where costs are compared, as in `polish`


@triton.jit
def load_point(points, i, mask, SQUARED: tl.constexpr):
    """Coordinates of the points at places i, as float64, and what savings contain of their cost alone.

    The coordinates are (0, 0) where masked.
    """
    birth = tl.load(points.birth + i, mask=mask, other=0.0).to(tl.float64)
    death = tl.load(points.death + i, mask=mask, other=0.0).to(tl.float64)
    return birth, death, cost_alone(birth, death, SQUARED) * points.share


@triton.jit
def opt_out(points, birth, death, SQUARED: tl.constexpr):
    """The rest of what points cost alone."""
    return cost_alone(birth, death, SQUARED) * (1.0 - points.share)


@triton.jit
def cost_alone(birth, death, SQUARED: tl.constexpr):
    """What points cost that stay alone."""
    length = death - birth
    return 0.5 * (length * length) if SQUARED else tl.minimum(tl.abs(length) * _SQRT_HALF, _MOST)


@triton.jit
def saving(birth, death, alone, birth_other, death_other, alone_other):
    """What matching saves over leaving both alone. The same bits with the sides exchanged."""
    x, y = birth - birth_other, death - death_other
    return (alone + alone_other) - (x * x + y * y)


@triton.jit
def lowest_loss(birth, death, alone, others, m, SQUARED: tl.constexpr, CHUNK: tl.constexpr, PARTS: tl.constexpr):
    """The lowest price - saving of points with m others, and its first place. PARTS neighbours share a point."""
    low = tl.full((CHUNK, birth.shape[0]), float("inf"), tl.float64)
    place = tl.zeros((CHUNK, birth.shape[0]), tl.int32)
    for start in range(0, m, CHUNK * PARTS):
        j = start + _shares(CHUNK, birth.shape[0], PARTS)
        birth_other, death_other, alone_other = load_point(others, j, j < m, SQUARED)
        price = tl.load(others.price + j, mask=j < m, other=float("inf"))
        loss = price - saving(birth[None], death[None], alone[None], birth_other, death_other, alone_other)
        place = tl.where(loss < low, j, place)
        low = tl.where(loss < low, loss, low)
    lowest = tl.min(low, 0)
    place = tl.min(tl.where(low == lowest[None], place, m), 0)
    least = _least_of_parts(lowest, PARTS)
    return least, _least_of_parts(tl.where(lowest == least, place, m), PARTS)


@triton.jit
def _least_of_parts(values, PARTS: tl.constexpr):
    """The least value of those that share a point."""
    parts = tl.reshape(values, (values.shape[0] // PARTS, PARTS))
    return tl.reshape(tl.minimum(parts, tl.min(parts, 1, keep_dims=True)), values.shape)


@triton.jit
def _shares(CHUNK: tl.constexpr, THREADS: tl.constexpr, PARTS: tl.constexpr):
    """The places (CHUNK, THREADS) of others that are looked at together: neighbours by neighbouring threads."""
    j = tl.arange(0, CHUNK)[:, None] * PARTS + (tl.arange(0, THREADS) % PARTS)[None]
    return tl.max_contiguous(j, (1, 1))  # or loads would be vectors, in a layout that shares points otherwise


@triton.jit
def sort(points, n, order, BY_GAIN: tl.constexpr, THREADS: tl.constexpr, CHUNK: tl.constexpr, PARTS: tl.constexpr):
    """Write the n places of points into order: by birth + death, equal ones by place; BY_GAIN the largest gain first.

    A point's rank is the number of those before it. Most windows keep few points.
    """
    thread = tl.arange(0, THREADS)
    for start in range(0, n, THREADS // PARTS):
        i = start + thread // PARTS
        x, gain = keys(points, i, i < n, BY_GAIN)
        before = tl.zeros((CHUNK, THREADS), tl.int32)
        for start_other in range(0, n, CHUNK * PARTS):
            j = start_other + _shares(CHUNK, THREADS, PARTS)
            x_other, gain_other = keys(points, j, j < n, BY_GAIN)
            is_before = (x_other < x[None]) | ((x_other == x[None]) & (j < i[None]))
            if BY_GAIN:
                is_before = (gain_other > gain[None]) | ((gain_other == gain[None]) & is_before)
            before += (is_before & (j < n)).to(tl.int32)
        parts = tl.reshape(tl.sum(before, 0), (THREADS // PARTS, PARTS))
        rank = tl.reshape(tl.maximum(parts, tl.sum(parts, 1, keep_dims=True)), (THREADS,))
        tl.store(order + rank, i, mask=(i < n) & (thread % PARTS == 0))


@triton.jit
def keys(points, i, mask, GAIN: tl.constexpr):
    """birth + death and, if wanted, gain."""
    birth = tl.load(points.birth + i, mask=mask, other=0.0).to(tl.float64)
    x = birth + tl.load(points.death + i, mask=mask, other=0.0).to(tl.float64)
    return x, tl.load(points.gain + i, mask=mask, other=0.0) if GAIN else x


@triton.jit
def certify(
    rows, n, columns, m, SQUARED: tl.constexpr, THREADS: tl.constexpr, CHUNK: tl.constexpr, PARTS: tl.constexpr
):
    """Bound the distance from the optimum by the prices of columns with partners: a sum of slacks, none negative.

    It is added up row by row in order of birth + death, as on the CPU. The rows' gains are used up.
    """
    thread = tl.arange(0, THREADS)
    for start in range(0, n, THREADS // PARTS):
        k = start + thread // PARTS
        i = tl.load(rows.order + k, mask=k < n, other=0)
        birth, death, alone = load_point(rows, i, k < n, SQUARED)
        low, _ = lowest_loss(birth, death, alone, columns, m, SQUARED, CHUNK, PARTS)
        loss_alone = opt_out(rows, birth, death, SQUARED)
        own = own_loss(rows, i, birth, death, alone, k < n, columns, SQUARED)
        slack = own - tl.where(low < loss_alone, low, loss_alone)
        tl.store(rows.gain + k, slack, mask=(k < n) & (thread % PARTS == 0))
    tl.debug_barrier()  # the slacks are read by all threads
    gap = tl.full((), 0.0, tl.float64)
    for k in range(0, n):
        gap += tl.load(rows.gain + k)
    return gap


@triton.jit
def own_loss(rows, i, birth, death, alone, mask, columns, SQUARED: tl.constexpr):
    """price - saving of rows with the partners that they have; their opt_out without."""
    j = tl.load(rows.partner + i, mask=mask, other=-1)
    birth_other, death_other, alone_other = load_point(columns, j, j >= 0, SQUARED)
    saved = saving(birth, death, alone, birth_other, death_other, alone_other)
    loss = tl.load(columns.price + j, mask=j >= 0, other=0.0) - saved
    return tl.where(j >= 0, loss, opt_out(rows, birth, death, SQUARED))


@triton.jit
def largest_paid(rows, n, columns, m, SQUARED: tl.constexpr, BLOCK: tl.constexpr):
    """The largest cost that a matching pays, of a pair or of a point that stays alone."""
    paid = tl.zeros((BLOCK,), tl.float64)
    for start in range(0, n, BLOCK):
        i = start + tl.arange(0, BLOCK)
        birth, death, _ = load_point(rows, i, i < n, SQUARED)
        j = tl.load(rows.partner + i, mask=i < n, other=-1)
        birth_other, death_other, _ = load_point(columns, j, j >= 0, SQUARED)
        x, y = birth - birth_other, death - death_other
        cost = tl.where(j >= 0, x * x + y * y, cost_alone(birth, death, SQUARED))
        paid = tl.where(cost > paid, cost, paid)
    for start in range(0, m, BLOCK):
        j = start + tl.arange(0, BLOCK)
        birth, death, _ = load_point(columns, j, j < m, SQUARED)
        cost = cost_alone(birth, death, SQUARED)
        single = tl.load(columns.partner + j, mask=j < m, other=0) < 0
        paid = tl.where(single & (cost > paid), cost, paid)
    return tl.max(paid, 0)
