"""Cost: what a matching costs, and how that changes with each birth and death."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .launch import INTERPRETED
from .savings import Side

_SQRT_HALF = tl.constexpr(0.5**0.5)
_BLOCK = 4096 if INTERPRETED else 512  # columns at a time; most are padding


def cost(
    birth_a: Tensor,
    death_a: Tensor,
    birth_b: Tensor,
    death_b: Tensor,
    partner_a: Tensor,
    partner_b: Tensor,
    squared: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Costs (N,) and their slopes in the four arrays of points; see `gpuph.ops.cost`."""
    arguments = [t.contiguous() for t in (birth_a, death_a, birth_b, death_b, partner_a, partner_b)]
    n, sizes = len(birth_a), (birth_a.shape[1], birth_b.shape[1])
    total = torch.empty(n, dtype=birth_a.dtype, device=birth_a.device)
    slopes = [torch.empty_like(x) for x in arguments[:4]]
    if n:
        # Without fusion, a pair costs the same with its sides exchanged.
        meta = {"BLOCK": _BLOCK, "num_warps": 4, "enable_fp_fusion": False}
        _cost[(n,)](*arguments, total, *slopes, *sizes, int(squared), **meta)
    return total, *slopes


@triton.jit(do_not_specialize=["size_a", "size_b", "squared"])
def _cost(
    birth_a,  # [N, size_a] float32 or float64
    death_a,  # [N, size_a] of birth_a's dtype
    birth_b,  # [N, size_b] of birth_a's dtype
    death_b,  # [N, size_b] of birth_a's dtype
    partner_a,  # [N, size_a] int64
    partner_b,  # [N, size_b] int64
    cost,  # [N] of birth_a's dtype, written
    slope_ba,  # [N, size_a] of birth_a's dtype, written; and so are the other slopes
    slope_da,
    slope_bb,  # [N, size_b]
    slope_db,
    size_a,
    size_b,
    squared,
    BLOCK: tl.constexpr,
):
    """Cost and slopes of one window. Padding has no partner and no length.

    The terms are added up in float64 lane by lane and then over the lanes, an order that is the same in every run but
    not the CPU's: the last bits may differ from the CPU's sum.
    """
    squared = squared != 0
    window = tl.program_id(0).to(tl.int64)
    o_a, o_b = window * size_a, window * size_b
    a = Side(birth_a + o_a, death_a + o_a, partner_a + o_a, size_a)
    b = Side(birth_b + o_b, death_b + o_b, partner_b + o_b, size_b)
    terms = _side(a, b, slope_ba + o_a, slope_da + o_a, True, squared, BLOCK)
    terms += _side(b, a, slope_bb + o_b, slope_db + o_b, False, squared, BLOCK)
    tl.store(cost + window, tl.sum(terms, 0).to(cost.dtype.element_ty))


@triton.jit
def _side(
    points,
    others,
    slope_birth,
    slope_death,
    PAIRS: tl.constexpr,
    squared,
    BLOCK: tl.constexpr,
):
    """Write one side's slopes. Returns the costs of points without a partner and, if wanted, of PAIRS: (BLOCK,)."""
    terms = tl.zeros((BLOCK,), tl.float64)
    for start in range(0, points.count, BLOCK):
        i = start + tl.arange(0, BLOCK)
        m_point = i < points.count
        birth, death = (
            tl.load(points.birth + i, mask=m_point, other=0.0),
            tl.load(points.death + i, mask=m_point, other=0.0),
        )
        j = tl.load(points.partner + i, mask=m_point, other=-1)
        m_pair = j >= 0
        x = _apart(birth, tl.load(others.birth + j, mask=m_pair, other=0.0))
        y = _apart(death, tl.load(others.death + j, mask=m_pair, other=0.0))
        length = death - birth
        alone, slope = _alone(length, squared)
        terms += tl.where(m_pair, x * x + y * y if PAIRS else tl.zeros((BLOCK,), tl.float64), alone)
        out = slope_birth.dtype.element_ty
        tl.store(slope_birth + i, tl.where(m_pair, 2.0 * x, -slope).to(out), mask=m_point)
        tl.store(slope_death + i, tl.where(m_pair, 2.0 * y, slope).to(out), mask=m_point)
    return terms


@triton.jit
def _apart(a, b):
    """Difference of two coordinates, of which infinite ones are equal."""
    return tl.where(a != b, a.to(tl.float64) - b.to(tl.float64), 0.0)


@triton.jit
def _alone(length, squared):
    """Cost of a point without a partner, inf for an essential class, and its change with the death.

    A point of the diagonal at infinity, whose length is NaN, costs nothing. The cost of an essential class stays what
    it is.
    """
    finite = tl.abs(length) < float("inf")
    length = tl.where(length == length, length.to(tl.float64), 0.0)
    sign = (length > 0.0).to(tl.float64) - (length < 0.0).to(tl.float64)
    cost = tl.where(squared, 0.5 * length * length, tl.abs(length) * _SQRT_HALF)
    slope = tl.where(squared, length, sign * _SQRT_HALF)
    return cost, tl.where(finite, slope, 0.0)
