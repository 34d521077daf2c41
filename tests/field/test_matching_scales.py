"""Matchings do not depend on the unit of the values, and distances are correct where their squares overflow."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gpuph import Diagram, match, wasserstein_distance
from gpuph.matching import SOLVERS, UNMATCHED
from support.diagrams import KINDS, Points, with_outliers

F32, F64 = torch.float32, torch.float64
INF = math.inf


def batch(points: list[Points], dtype: torch.dtype = F64, exponent: int = 0) -> Diagram:
    return Diagram.from_list([torch.as_tensor(np.ldexp(p, exponent), dtype=dtype) for p in points])


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(
    ("dtype", "exponents"), [(F64, (-450, -281, -60, 3, 200, 500)), (F32, (-60, -30, 1, 60))], ids=str
)
def test_scaling_by_a_power_of_two_does_not_change_the_matching(
    dtype: torch.dtype, exponents: tuple[int, ...], solver: str
) -> None:
    rng = np.random.default_rng(0)
    left = [kind(n, rng) for kind in KINDS for n in (1, 7, 40, 90)]
    right = [kind(n, rng) for kind in KINDS for n in (9, 6, 75, 70)]
    if dtype == F64:
        for _ in range(20):
            a, b = with_outliers(rng)
            left, right = [*left, a], [*right, b]
    # Rounded, as values that become subnormal or lose digits would differ before they are matched.
    left, right = ([np.round(np.ldexp(p, 12)) / 2**12 for p in side] for side in (left, right))
    one = match(batch(left, dtype), batch(right, dtype), solver=solver)
    for exponent in exponents:
        other = match(batch(left, dtype, exponent), batch(right, dtype, exponent), solver=solver)
        assert torch.equal(one.partner_a, other.partner_a) and torch.equal(one.partner_b, other.partner_b)
        for x, y in ((one.cost, other.cost), (one.gap, other.gap)):
            back = np.ldexp(np.ldexp(y.double().numpy(), -exponent), -exponent)
            expected = x.double().numpy()
            in_range = np.abs(np.log2(np.maximum(expected, 1e-300)) + 2 * exponent) < (1000 if y.dtype == F64 else 120)
            assert np.array_equal(back[in_range], expected[in_range])
            assert not y.isnan().any()


def test_tiny_values_are_matched_like_large_ones() -> None:
    torch.manual_seed(0)
    birth = torch.rand(2, 100, 1, dtype=F64)
    points = torch.cat((birth, birth + torch.rand(2, 100, 1, dtype=F64)), 2)
    tiny = match(*(Diagram.from_list([p * 2.0**-280]) for p in points))
    assert tiny.cost.item() * 2.0**560 == pytest.approx(1.019422305780698, rel=1e-12)
    assert tiny.gap.item() * 2.0**560 <= 1e-14


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("value", [1e-310, 1e-200, 1e160, 1e300])
def test_equal_diagrams_have_zero_cost_at_any_scale(value: float, solver: str) -> None:
    a = batch([np.array([[0.0, 1.0], [0.1, 3.0], [0.2, 1.5]]) * value])
    matching = match(a, a, solver=solver)
    assert matching.cost.item() == matching.gap.item() == wasserstein_distance(a, a).item() == 0.0


@pytest.mark.parametrize(
    ("a", "b", "dtype", "distance"),
    [
        ([[0, 1e25], [0, 3e25]], [[0, 1e25]], F32, 3e25 / 2**0.5),
        ([[0, 1e-25]], [[0, 3e-25]], F32, 2e-25),
        ([[0, 3e38]], [[0, 2e38]], F32, 1e38),
        ([[0, 1e-40]], [], F32, 1e-40 / 2**0.5),
        ([[0, 1e25], [0, 1e-25]], [[0, 1e25], [0, 3e-25]], F32, 2e-25),
        ([[0, 3e200]], [[1e200, 3e200]], F64, 1e200),
        ([[0, 3e-200]], [[1e-200, 3e-200]], F64, 1e-200),
        ([[0, 1e-310]], [], F64, 1e-310 / 2**0.5),
        ([[1e308, 1.5e308]], [[1e308, 1.4e308]], F64, 1e307),
        ([[1e200, INF], [0, 1e-200]], [[1e200, INF], [0, 1e-200]], F64, 0.0),
        ([[1e200, INF]], [[-1e200, INF]], F64, 2e200),
        ([[0, INF]], [], F64, INF),
        ([], [], F32, 0.0),
    ],
)
def test_distance_is_correct_where_its_square_overflows_or_underflows(
    a, b, dtype: torch.dtype, distance: float
) -> None:
    sides = [batch([np.array(p, dtype=float).reshape(-1, 2)], dtype) for p in (a, b)]
    for left, right in (sides, sides[::-1]):
        found = wasserstein_distance(left, right)
        subnormal = torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps
        assert found.dtype == dtype
        assert found.item() == pytest.approx(distance, rel=1e-6 if dtype == F32 else 1e-12, abs=subnormal)


@pytest.mark.parametrize(("dtype", "exponent"), [(F32, 0), (F32, 100), (F32, -100), (F64, 700), (F64, -700)])
def test_gradient_of_the_distance_does_not_depend_on_the_scale(dtype: torch.dtype, exponent: int) -> None:
    def gradients(exponent: int) -> list[torch.Tensor]:
        points = ([[0.0, 1.0], [0.0, 3.0]], [[0.25, 1.0], [5.0, 9.0], [8.0, 8.5]])
        leaves = [torch.tensor(np.ldexp(p, exponent), dtype=dtype, requires_grad=True) for p in points]
        wasserstein_distance(*(Diagram.from_list([leaf]) for leaf in leaves)).sum().backward()
        return [leaf.grad for leaf in leaves]

    for found, expected in zip(gradients(exponent), gradients(0), strict=True):
        assert torch.equal(found, expected)
        assert 0.1 < found.abs().max() < 1.0


@pytest.mark.parametrize("dtype", [F32, F64])
def test_distance_is_bitwise_the_square_root_of_the_cost(dtype: torch.dtype) -> None:
    rng = np.random.default_rng(1)
    left, right = ([kind(n, rng) for kind in KINDS for n in (0, 5, 30)] for _ in range(2))
    a, b = batch(left, dtype), batch(right, dtype)
    for x in (a.birth, a.death, b.birth, b.death):
        x.requires_grad_()
    cost = match(a, b).cost
    root = cost.where(cost != 0, 1.0).sqrt().where(cost != 0, 0.0)
    distance = wasserstein_distance(a, b)
    assert torch.equal(distance, root)
    weights = torch.linspace(0.5, 2.0, len(cost), dtype=dtype)
    leaves = [a.birth, a.death, b.birth, b.death]
    expected = torch.autograd.grad((root * weights).sum(), leaves)
    for x, y in zip(torch.autograd.grad((distance * weights).sum(), leaves), expected, strict=True):
        assert torch.equal(x, y)


@pytest.mark.parametrize("unmatched", UNMATCHED)
@pytest.mark.parametrize("solver", SOLVERS)
def test_mixed_scales_never_give_nan(solver: str, unmatched: str) -> None:
    values = [0.0, 5e-324, 1e-300, 1e-160, 1.0, 1e160, 1e300, 1.7e308, INF]
    points = np.array([(x, y) for x in [-INF, -1.7e308, *values[:-1]] for y in values if x <= y])
    rng = np.random.default_rng(2)
    left, right = ([points[rng.integers(0, len(points), n)] for n in (1, 4, 12, 30, 60)] for _ in range(2))
    zero = np.zeros((5, 2))
    a, b = batch([*left, zero, zero, points]), batch([*right, zero, points, points])
    matching = match(a, b, unmatched, solver)
    assert not matching.cost.isnan().any() and not matching.gap.isnan().any()
    assert (matching.gap >= 0).all()
    assert not wasserstein_distance(a, b).isnan().any()
    for i, j in enumerate(matching.partner_a[-1].tolist()):
        assert j < 0 or matching.partner_b[-1, j] == i
