"""Fused match and cost, for callers that need neither partners nor the gap, such as the loss."""

from __future__ import annotations

from ...records import Costs, Points
from .cost import Array, cost
from .match import match


def matched_cost(a: Points[Array], b: Points[Array], *, squared: bool) -> Costs[Array]:
    """Compute the costs of optimal matchings; slopes in columns without a point are unspecified."""
    partner_a, partner_b, _ = match(a, b, "auto", squared=squared)
    return cost(a, b, partner_a, partner_b, squared=squared, padded=False)
