"""Cost: what a matching costs, and how that changes with each birth and death."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from ...records import Costs, Points
from ..runtime.launch import DIAGRAMS, INTERPRETED, in_rows
from .savings import Side

_SQRT_HALF = tl.constexpr(0.5**0.5)
_BLOCK = 4096 if INTERPRETED else 128  # columns at a time


def cost(a: Points[Tensor], b: Points[Tensor], partner_a: Tensor, partner_b: Tensor, squared: bool) -> Costs[Tensor]:
    """Add up what matchings cost; slopes behind the points are 0."""
    n = len(a.count)
    diagrams, layout = in_rows(a, b)
    out = empty_costs(a, b)
    if n:
        # Without fusion, a pair costs the same with its sides exchanged.
        meta = {"BLOCK": _BLOCK, "num_warps": 4, "enable_fp_fusion": False}
        partners = partner_a.contiguous(), partner_b.contiguous()
        _cost[(n,)](*diagrams, *partners, *out, *layout, SQUARED=squared, **meta)
    return out


def empty_costs(a: Points[Tensor], b: Points[Tensor]) -> Costs[Tensor]:
    """Allocate what `cost` and `matched_cost` write."""
    n, new = len(a.count), a.birth.new_empty
    return Costs(new((n,)), new((n, 2, a.birth.shape[1])), new((n, 2, b.birth.shape[1])))


@triton.jit(do_not_specialize=["row_a", "row_b", "size_a", "size_b"], do_not_specialize_on_alignment=DIAGRAMS)
def _cost(
    birth_a,  # [N, size_a] float32 or float64, in rows that are row_a apart
    death_a,  # [N, size_a] of birth_a's dtype, likewise
    count_a,  # [N] int64
    birth_b,  # [N, size_b] of birth_a's dtype, in rows that are row_b apart
    death_b,  # [N, size_b] of birth_a's dtype, likewise
    count_b,  # [N] int64
    partner_a,  # [N, size_a] int64
    partner_b,  # [N, size_b] int64
    cost,  # [N] of birth_a's dtype, written
    slopes_a,  # [N, 2, size_a] of birth_a's dtype, written
    slopes_b,  # [N, 2, size_b] of birth_a's dtype, written
    row_a,
    row_b,
    size_a,
    size_b,
    SQUARED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Cost and slopes of one window."""
    window = tl.program_id(0).to(tl.int64)
    n_a = tl.maximum(tl.minimum(tl.load(count_a + window), size_a), 0).to(tl.int32)  # a caller's count may be wrong
    n_b = tl.maximum(tl.minimum(tl.load(count_b + window), size_b), 0).to(tl.int32)
    a = Side(birth_a + window * row_a, death_a + window * row_a, partner_a + window * size_a, n_a)
    b = Side(birth_b + window * row_b, death_b + window * row_b, partner_b + window * size_b, n_b)
    slopes_a += window * 2 * size_a
    slopes_b += window * 2 * size_b
    tl.store(cost + window, cost_window(a, b, slopes_a, slopes_b, size_a, size_b, SQUARED, BLOCK))
    _pad(slopes_a, n_a, size_a, BLOCK)
    _pad(slopes_b, n_b, size_b, BLOCK)


@triton.jit
def cost_window(a, b, slopes_a, slopes_b, size_a, size_b, SQUARED: tl.constexpr, BLOCK: tl.constexpr):
    """Write the slopes (2, size) of both sides of a window, as far as there are points. Returns the cost, in float64.

    The terms are added up lane by lane and then over the lanes, an order that is the same in every run but not the
    CPU's: the last bits may differ from the CPU's sum.
    """
    terms = _side(a, b, slopes_a, size_a, True, SQUARED, BLOCK) + _side(b, a, slopes_b, size_b, False, SQUARED, BLOCK)
    return tl.sum(terms, 0)


@triton.jit
def _side(points, others, slopes, size, PAIRS: tl.constexpr, SQUARED: tl.constexpr, BLOCK: tl.constexpr):
    """Write one side's slopes. Returns the costs of points without a partner and, if wanted, of PAIRS: (BLOCK,)."""
    terms = tl.zeros((BLOCK,), tl.float64)
    out = slopes.dtype.element_ty
    for start in range(0, points.count, BLOCK):
        i = start + tl.arange(0, BLOCK)
        m_point = i < points.count
        birth, death = (
            tl.load(points.birth + i, mask=m_point, other=0.0),
            tl.load(points.death + i, mask=m_point, other=0.0),
        )
        j = tl.load(points.partner + i, mask=m_point, other=-1)
        m_pair = j >= 0
        m_read = m_pair & (j < others.count)  # a caller's partners may be anything
        x = _apart(birth, tl.load(others.birth + j, mask=m_read, other=0.0))
        y = _apart(death, tl.load(others.death + j, mask=m_read, other=0.0))
        alone, slope = _alone(_apart(death, birth), SQUARED)
        terms += tl.where(m_pair, x * x + y * y if PAIRS else tl.zeros((BLOCK,), tl.float64), alone)
        tl.store(slopes + i, tl.where(m_pair, 2.0 * x, -slope).to(out), mask=m_point)
        tl.store(slopes + size + i, tl.where(m_pair, 2.0 * y, slope).to(out), mask=m_point)
    return terms


@triton.jit
def _pad(slopes, count, size, BLOCK: tl.constexpr):
    """Write that nothing changes with what stands behind the points."""
    nothing = tl.zeros((BLOCK,), slopes.dtype.element_ty)
    for start in range(count, size, BLOCK):
        i = start + tl.arange(0, BLOCK)
        tl.store(slopes + i, nothing, mask=i < size)
        tl.store(slopes + size + i, nothing, mask=i < size)


@triton.jit
def _apart(a, b):
    """Difference of two coordinates, of which infinite ones are equal."""
    return tl.where(a != b, a.to(tl.float64) - b.to(tl.float64), 0.0)


@triton.jit
def _alone(length, SQUARED: tl.constexpr):
    """Cost of a point without a partner, and its change with the death; none where the cost stays inf or NaN.

    inf is the cost of an essential class, NaN that of a point that is none.
    """
    finite = tl.abs(length) < float("inf")
    if SQUARED:
        cost, slope = 0.5 * length * length, length
    else:
        sign = (length > 0.0).to(tl.float64) - (length < 0.0).to(tl.float64)
        cost, slope = tl.abs(length) * _SQRT_HALF, sign * _SQRT_HALF
    return cost, tl.where(finite, slope, 0.0)
