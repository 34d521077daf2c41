"""With long bars, such as those of a nodata value, matchings stay optimal and certificates tight."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from gpuph import Diagram, match
from gpuph.matching import SOLVERS
from support.diagrams import Points, real, with_outliers
from support.exact import cost_of, optimum


def batch(points: list[Points], dtype: torch.dtype = torch.float64) -> Diagram:
    return Diagram.from_list([torch.as_tensor(p, dtype=dtype) for p in points])


def assert_optimal(left: list[Points], right: list[Points], unmatched: str, dtype: torch.dtype) -> None:
    """Assert that the cost of every solver is within its gap of the exact optimum, and that the gap is small."""
    rounded = "f4" if dtype == torch.float32 else "f8"
    left, right = ([p.astype(rounded).astype("f8") for p in side] for side in (left, right))
    best = [optimum(a, b, unmatched) for a, b in zip(left, right, strict=True)]
    for solver in SOLVERS:
        matching = match(batch(left, dtype), batch(right, dtype), unmatched, solver)
        for i, (a, b) in enumerate(zip(left, right, strict=True)):
            cost, paid = cost_of(a, b, matching.partner_a[i, : len(a)].tolist(), unmatched)
            gap, rounding = Fraction(matching.gap[i].item()), Fraction(1e-14) * paid
            assert cost - best[i] <= gap + rounding, f"{solver}, window {i}"
            assert gap <= Fraction(1e-5) * cost, f"{solver}, window {i}"
            assert matching.cost[i].item() == pytest.approx(float(cost), rel=1e-12 if dtype == torch.float64 else 1e-6)


def test_matchings_with_outliers_are_optimal_and_certified() -> None:
    rng = np.random.default_rng(0)
    left, right = zip(*(with_outliers(rng) for _ in range(1000)), strict=True)
    assert_optimal([*left], [*right], "half_squared", torch.float64)


@pytest.mark.parametrize(
    ("unmatched", "dtype"), [("half_squared", torch.float32), ("distance", torch.float64)], ids=str
)
def test_matchings_with_outliers_are_optimal_in_float32_and_with_unmatched_distance(
    unmatched: str, dtype: torch.dtype
) -> None:
    rng = np.random.default_rng(1)
    left, right = zip(*(with_outliers(rng) for _ in range(200)), strict=True)
    assert_optimal([*left], [*right], unmatched, dtype)


@pytest.mark.slow
def test_one_long_bar_adds_its_cost_to_thousands_of_short_bars() -> None:
    rng = np.random.default_rng(2)
    left, right = (np.stack((b := rng.random(2100), b + rng.random(2100) + 0.5), 1) for _ in range(2))
    short = match(batch([left]), batch([right]), solver="augment").cost.item()
    for value in (1e5, 1e8, 1e12):
        a, b = (batch([np.concatenate((p, [[birth, value]]))]) for p, birth in ((left, 0.25), (right, 0.5)))
        for solver in ("auto", "auction"):
            matching = match(a, b, solver=solver)
            assert matching.cost.item() == pytest.approx(short + 0.0625, rel=1e-6)
            assert matching.gap.item() <= 1e-6 * short
            assert matching.partner_a[0, -1] == 2100


@pytest.mark.parametrize("solver", SOLVERS)
def test_bars_that_die_at_a_nodata_value_are_matched_by_birth(solver: str) -> None:
    rng = np.random.default_rng(3)
    births = rng.uniform(0, 30, (2, 60))
    best = ((births[0][:, None] - births[1]) ** 2)[linear_sum_assignment((births[0][:, None] - births[1]) ** 2)].sum()
    bulk = [np.sort(rng.uniform(0, 30, (70, 2)), axis=1) for _ in range(2)]
    alone = match(batch([bulk[0]]), batch([bulk[1]])).cost.item()
    sides = [np.concatenate((p, np.stack((x, np.full(60, 1e9)), 1))) for p, x in zip(bulk, births, strict=True)]
    matching = match(batch([sides[0]]), batch([sides[1]]), solver=solver)
    assert matching.cost.item() == pytest.approx(best + alone, rel=1e-8)
    assert matching.gap.item() <= 1e-8 * best


@pytest.mark.parametrize("noise", [1e-4, 1e-7, 1e-12])
@pytest.mark.parametrize("solver", SOLVERS)
def test_nearly_equal_diagrams_are_matched_within_rounding(solver: str, noise: float) -> None:
    rng = np.random.default_rng(4)
    a = real(300, rng)
    a[:, 1] += 1.0
    b = a + rng.normal(0, noise, a.shape)
    order = rng.permutation(300)
    matching = match(batch([a]), batch([b[order]]), solver=solver)
    assert matching.cost.item() <= ((a - b) ** 2).sum() * (1 + 1e-12)
    assert matching.gap.item() <= 1e-6 * matching.cost.item()


def test_equal_diagrams_have_zero_cost_and_gap() -> None:
    rng = np.random.default_rng(5)
    a = np.concatenate((real(100, rng), [[0.0, 1e8]] * 3, [[-1e12, 1e12]]))
    for solver in SOLVERS:
        matching = match(batch([a]), batch([rng.permutation(a)]), solver=solver)
        assert matching.cost.item() == matching.gap.item() == 0.0
