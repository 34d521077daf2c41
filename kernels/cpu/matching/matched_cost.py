"""Fused match and cost, for callers that need neither partners nor the gap, such as the loss."""

from __future__ import annotations

from ...records import Costs, Place, Points
from .cost import Array, cost
from .match import match


def matched_cost(
    a: Points[Array], b: Points[Array], solver: str, *, squared: bool, place: Place[Array] | None = None
) -> Costs[Array]:
    """Compute the costs of optimal matchings; slopes in columns without a point are unspecified."""
    partner_a, partner_b, _ = match(a, b, solver, squared=squared, place=place)
    return cost(a, b, partner_a, partner_b, squared=squared, padded=False)
