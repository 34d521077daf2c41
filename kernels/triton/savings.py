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
_SQRT_HALF = tl.constexpr(0.5**0.5)


class Side(NamedTuple):
    """One diagram of a window, of the two."""

    birth: Any
    death: Any
    partner: Any  # int64
    count: Any  # columns that are points


class Points(NamedTuple):
    """Where the points of one side lie in a program's scratch memory."""

    birth: Any  # in the diagram's dtype
    death: Any
    gain: Any  # float64, the most that a partner saves; used up by the solvers
    price: Any  # float64
    column: Any  # int32, in the diagram
    partner: Any  # int32, place on the other side, or -1
    order: Any  # int32, places by birth + death


@triton.jit
def load_point(points, i, mask, squared):
    """Coordinates and cost alone of the points at places i, as float64; (0, 0) where masked."""
    birth = tl.load(points.birth + i, mask=mask, other=0.0).to(tl.float64)
    death = tl.load(points.death + i, mask=mask, other=0.0).to(tl.float64)
    return birth, death, cost_alone(birth, death, squared)


@triton.jit
def cost_alone(birth, death, squared):
    """What points cost that stay alone."""
    length = tl.abs(death - birth)
    return tl.where(squared, 0.5 * (length * length), length * _SQRT_HALF)


@triton.jit
def saving(birth, death, alone, birth_other, death_other, alone_other):
    """What matching saves over leaving both alone. The same bits with the sides exchanged."""
    x, y = birth - birth_other, death - death_other
    return (alone + alone_other) - (x * x + y * y)


@triton.jit
def losses(low, birth, death, alone, birth_other, death_other, alone_other, price):
    """Lower low (CHUNK, TILE) to price - saving, of points (TILE,), a thread each, and others (CHUNK,)."""
    saved = saving(
        birth[None], death[None], alone[None], birth_other[:, None], death_other[:, None], alone_other[:, None]
    )
    loss = price[:, None] - saved
    return tl.where(loss < low, loss, low)


@triton.jit
def lowest_loss(birth, death, alone, others, m, squared, CHUNK: tl.constexpr):
    """The lowest price - saving of points (TILE,) with m others."""
    low = tl.full((CHUNK, birth.shape[0]), float("inf"), tl.float64)
    for start in range(0, m, CHUNK):
        j = start + tl.arange(0, CHUNK)
        birth_other, death_other, alone_other = load_point(others, j, j < m, squared)
        price = tl.load(others.price + j, mask=j < m, other=float("inf"))
        low = losses(low, birth, death, alone, birth_other, death_other, alone_other, price)
    return tl.min(low, 0)


@triton.jit
def sort(points, n, order, BY_GAIN: tl.constexpr, TILE: tl.constexpr, CHUNK: tl.constexpr):
    """Write the n places of points into order: by birth + death, equal ones by place; BY_GAIN the largest gain first.

    A point's rank is the number of those before it. Most windows keep few points.
    """
    for start in range(0, n, TILE):
        i = start + tl.arange(0, TILE)
        x, gain = _keys(points, i, n, BY_GAIN)
        before = tl.zeros((CHUNK, TILE), tl.int32)
        for start_other in range(0, n, CHUNK):
            j = start_other + tl.arange(0, CHUNK)
            x_other, gain_other = _keys(points, j, n, BY_GAIN)
            is_before = (x_other[:, None] < x[None]) | ((x_other[:, None] == x[None]) & (j[:, None] < i[None]))
            if BY_GAIN:
                is_before = (gain_other[:, None] > gain[None]) | ((gain_other[:, None] == gain[None]) & is_before)
            before += (is_before & (j < n)[:, None]).to(tl.int32)
        tl.store(order + tl.sum(before, 0), i, mask=i < n)


@triton.jit
def _keys(points, i, n, BY_GAIN: tl.constexpr):
    """birth + death and, if wanted, gain."""
    birth = tl.load(points.birth + i, mask=i < n, other=0.0).to(tl.float64)
    x = birth + tl.load(points.death + i, mask=i < n, other=0.0).to(tl.float64)
    return x, tl.load(points.gain + i, mask=i < n, other=0.0) if BY_GAIN else x


@triton.jit
def certify(rows, n, columns, m, squared, TILE: tl.constexpr, CHUNK: tl.constexpr):
    """Bound the distance from the optimum by the prices of columns with partners: a sum of slacks, none negative.

    It is added up row by row in order of birth + death, as on the CPU. The rows' gains are used up.
    """
    for start in range(0, n, TILE):
        k = start + tl.arange(0, TILE)
        i = tl.load(rows.order + k, mask=k < n, other=0)
        birth, death, alone = load_point(rows, i, k < n, squared)
        low = lowest_loss(birth, death, alone, columns, m, squared, CHUNK)
        profit = tl.where(low < 0.0, -low, 0.0)
        own = own_loss(rows, i, birth, death, alone, k < n, columns, squared)
        tl.store(rows.gain + k, profit + own, mask=k < n)
    tl.debug_barrier()  # the slacks are read by all threads
    gap = tl.full((), 0.0, tl.float64)
    for k in range(0, n):
        gap += tl.load(rows.gain + k)
    return gap


@triton.jit
def own_loss(rows, i, birth, death, alone, mask, columns, squared):
    """price - saving of rows with the partners that they have; 0 without."""
    j = tl.load(rows.partner + i, mask=mask, other=-1)
    birth_other, death_other, alone_other = load_point(columns, j, j >= 0, squared)
    saved = saving(birth, death, alone, birth_other, death_other, alone_other)
    return tl.where(j >= 0, tl.load(columns.price + j, mask=j >= 0, other=0.0) - saved, 0.0)
