"""Matched cost: Match and Cost in one, for who wants neither partners nor the gap, as the loss does."""

from __future__ import annotations

from .cost import Array, cost
from .match import match


def matched_cost(
    birth_a: Array,
    death_a: Array,
    count_a: Array,
    birth_b: Array,
    death_b: Array,
    count_b: Array,
    squared: bool,
) -> tuple[Array, Array, Array]:
    """Costs (N,) of the best matchings and their slopes (N, 2, K), of which nothing behind the points is written."""
    diagrams = birth_a, death_a, count_a, birth_b, death_b, count_b
    partner_a, partner_b, _ = match(*diagrams, squared, "auto")
    return cost(*diagrams, partner_a, partner_b, squared, padded=False)
