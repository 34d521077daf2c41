"""Cost of a matching, and its derivatives in each birth and death."""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl
from torch import Tensor

from ...records import Costs, Points
from ..runtime.jit import kernel
from ..runtime.launch import DIAGRAMS, INTERPRETED, in_rows, layout
from .workspace import Side

_SQRT_HALF = tl.constexpr(0.5**0.5)
_BLOCK = 4096 if INTERPRETED else 128  # columns that a program reads at a time, one per thread


_OPTIONS: dict[str, Any] = {
    "BLOCK": _BLOCK,
    "num_warps": 4,
    "enable_fp_fusion": False,  # a pair then costs the same, bit for bit, with its sides exchanged
}


def cost(a: Points[Tensor], b: Points[Tensor], partner_a: Tensor, partner_b: Tensor, *, squared: bool) -> Costs[Tensor]:
    """Add up the costs of matchings; slopes in columns without a point are 0."""
    a, b = in_rows(a), in_rows(b)
    n, out = len(a.count), empty_costs(a, b)
    if n:
        partners = partner_a.contiguous(), partner_b.contiguous()
        _cost[(n,)](*a, *b, *partners, *out, *layout(a, b), SQUARED=squared, **_OPTIONS)
    return out


def empty_costs(a: Points[Tensor], b: Points[Tensor]) -> Costs[Tensor]:
    """Allocate the results of `cost` and `matched_cost`."""
    n, new = len(a.count), a.birth.new_empty
    return Costs(new((n,)), new((n, 2, a.birth.shape[1])), new((n, 2, b.birth.shape[1])))


@kernel(do_not_specialize=["row_a", "row_b", "size_a", "size_b"], do_not_specialize_on_alignment=DIAGRAMS)
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
    """Write the cost and the slopes of one window."""
    window = tl.program_id(0).to(tl.int64)
    n_a = tl.maximum(tl.minimum(tl.load(count_a + window), size_a), 0).to(tl.int32)  # a caller's count may be wrong
    n_b = tl.maximum(tl.minimum(tl.load(count_b + window), size_b), 0).to(tl.int32)
    a = Side(birth_a + window * row_a, death_a + window * row_a, partner_a + window * size_a, n_a, birth_a, size_a)
    b = Side(birth_b + window * row_b, death_b + window * row_b, partner_b + window * size_b, n_b, birth_b, size_b)
    slopes_a += window * 2 * size_a
    slopes_b += window * 2 * size_b
    tl.store(cost + window, cost_window(a, b, slopes_a, slopes_b, size_a, size_b, SQUARED, BLOCK))
    _pad(slopes_a, n_a, size_a, BLOCK)
    _pad(slopes_b, n_b, size_b, BLOCK)


@triton.jit
def cost_window(a, b, slopes_a, slopes_b, size_a, size_b, SQUARED: tl.constexpr, BLOCK: tl.constexpr):
    """Write the slopes (2, size) of both sides of a window, in columns with a point. Return the cost, in float64.

    Each element adds up its own terms, and then the elements are added up. This order is the same in every run but not
    that of the CPU, whose sum may differ in the last bits.
    """
    terms = _side(a, b, slopes_a, size_a, True, SQUARED, BLOCK) + _side(b, a, slopes_b, size_b, False, SQUARED, BLOCK)
    return tl.sum(terms, 0)


@triton.jit
def _side(points, others, slopes, size, PAIRS: tl.constexpr, SQUARED: tl.constexpr, BLOCK: tl.constexpr):
    """Write the slopes of one side. Return the costs (BLOCK,) of its unmatched points and, if wanted, of PAIRS."""
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
        x = _difference(birth, tl.load(others.birth + j, mask=m_read, other=0.0))
        y = _difference(death, tl.load(others.death + j, mask=m_read, other=0.0))
        alone, slope = _alone(_difference(death, birth), SQUARED)
        terms += tl.where(m_pair, x * x + y * y if PAIRS else tl.zeros((BLOCK,), tl.float64), alone)
        tl.store(slopes + i, tl.where(m_pair, 2.0 * x, -slope).to(out), mask=m_point)
        tl.store(slopes + size + i, tl.where(m_pair, 2.0 * y, slope).to(out), mask=m_point)
    return terms


@triton.jit
def _pad(slopes, count, size, BLOCK: tl.constexpr):
    """Write slopes of 0 in the columns without a point."""
    zero = tl.zeros((BLOCK,), slopes.dtype.element_ty)
    for start in range(count, size, BLOCK):
        i = start + tl.arange(0, BLOCK)
        tl.store(slopes + i, zero, mask=i < size)
        tl.store(slopes + size + i, zero, mask=i < size)


@triton.jit
def _difference(a, b):
    """Return the difference of two coordinates; 0 if they are equal, even if both are infinite."""
    return tl.where(a != b, a.to(tl.float64) - b.to(tl.float64), 0.0)


@triton.jit
def _alone(length, SQUARED: tl.constexpr):
    """Return the cost of unmatched points, and its derivative in the death.

    An essential class costs inf, and a point with a NaN costs NaN; neither has a slope.
    """
    finite = tl.abs(length) < float("inf")
    if SQUARED:
        cost, slope = 0.5 * length * length, length
    else:
        sign = (length > 0.0).to(tl.float64) - (length < 0.0).to(tl.float64)
        cost, slope = tl.abs(length) * _SQRT_HALF, sign * _SQRT_HALF
    return cost, tl.where(finite, slope, 0.0)
