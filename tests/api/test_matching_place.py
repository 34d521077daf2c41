"""Matching with `place`: the optimum of scipy for costs that include distances in the image."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

import gpuph
from gpuph import Diagram, match
from gpuph.matching import SOLVERS, UNMATCHED
from support.diagrams import KINDS, Points, integer, real, uniform

SIZES = ((0, 3), (1, 1), (1, 17), (16, 2), (5, 5), (31, 33), (60, 15), (40, 40))
SHAPES = ((50,), (16, 16), (7, 31), (6, 5, 7))
WEIGHTS = (1e-3, 0.1, 1.0, 1e3)


def placed(points: list[Points], shape: tuple[int, ...], rng: np.random.Generator, dtype=torch.float64) -> Diagram:
    """Return diagrams whose births and deaths are in random pixels."""
    a = Diagram.from_list([torch.as_tensor(p, dtype=dtype) for p in points])
    birth, death = (torch.from_numpy(rng.integers(0, math.prod(shape), a.birth.shape)) for _ in range(2))
    return Diagram(a.birth, a.death, birth, death, a.count)


def objective(a: Diagram, b: Diagram, w: int, unmatched: str, weights: Points, shape: tuple[int, ...], pixel: str):
    """Return the costs of pairs in window w, with and without distances in the image, and the costs alone."""
    points, places = [], []
    for diagram in (a, b):
        n = int(diagram.count[w])
        points.append(torch.stack((diagram.birth, diagram.death), -1)[w, :n].double().numpy())
        index = getattr(diagram, f"{pixel}_index")[w, :n].numpy()
        places.append(np.stack(np.unravel_index(index, shape), -1) * weights)
    apart, near = (((x[:, None] - y[None]) ** 2).sum(-1) for x, y in (places, points))
    lengths = [np.abs(p[:, 1] - p[:, 0]) for p in points]
    alone = [length**2 / 2 if unmatched == "half_squared" else length / np.sqrt(2) for length in lengths]
    return near + apart, near, *alone


def assert_optimal(a, b, unmatched, solver, weights, shape, pixel) -> None:
    matching = match(a, b, unmatched, solver, place=weights, shape=shape, pixel=pixel)
    per_axis = np.float32(np.broadcast_to(weights, (len(shape),))).astype(float)
    for w in range(len(a)):
        costs, near, alone_a, alone_b = objective(a, b, w, unmatched, per_axis, shape, pixel)
        n, m = costs.shape
        partner_a, partner_b = matching.partner_a[w].numpy(), matching.partner_b[w].numpy()
        i = np.flatnonzero(partner_a >= 0)
        j = partner_a[i]
        assert (partner_b[j] == i).all() and (partner_b >= 0).sum() == len(i)
        left = np.delete(alone_a, i).sum() + np.delete(alone_b, j).sum()
        full = np.zeros((n + m, n + m))
        full[:n, :m], full[:n, m:], full[n:, :m] = costs, alone_a[:, None], alone_b[None]
        best = full[linear_sum_assignment(full)].sum()
        rounding, gap = 1e-13 * (alone_a.sum() + alone_b.sum()), matching.gap[w].item()
        assert abs(costs[i, j].sum() + left - best) <= gap + rounding
        assert 0.0 <= gap <= rounding
        exact = 1e-6 if a.birth.dtype == torch.float32 else 1e-13
        np.testing.assert_allclose(matching.cost[w].item(), near[i, j].sum() + left, rtol=exact, atol=rounding)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("unmatched", UNMATCHED)
@pytest.mark.parametrize("kind", KINDS)
def test_partners_are_optimal_with_distances_and_the_cost_leaves_them_out(kind, unmatched, solver):
    rng = np.random.default_rng(0)
    for k, shape in enumerate(SHAPES):
        dtype = (torch.float64, torch.float32)[k % 2]
        a = placed([kind(n, rng) for n, _ in SIZES], shape, rng, dtype)
        b = placed([kind(m, rng) for _, m in SIZES], shape, rng, dtype)
        assert_optimal(a, b, unmatched, solver, WEIGHTS[k], shape, ("birth", "death")[k % 2])


@pytest.mark.parametrize("solver", SOLVERS)
def test_each_axis_has_its_weight(solver):
    rng = np.random.default_rng(1)
    for shape, weights in (((9, 8), (0.5, 2.0)), ((4, 9, 8), (4.0, 0.3, 0.0))):
        a, b = (placed([uniform(n, rng), integer(n, rng)], shape, rng) for n in (20, 24))
        assert_optimal(a, b, "half_squared", solver, weights, shape, "death")


@pytest.mark.parametrize("n,m", [(1, 9), (4, 9), (9, 4), (5, 5)])
def test_equal_points_at_different_places_take_the_nearest_partners(n, m):
    rng = np.random.default_rng(2)
    a, b = placed([np.tile([[0.0, 20.0]], (n, 1))], (9, 9), rng), placed([uniform(m, rng)], (9, 9), rng)
    for one, other in ((a, b), (b, a), (a, a)):
        assert_optimal(one, other, "half_squared", "auto", 0.7, (9, 9), "death")


@pytest.mark.parametrize("exponent", [-100, -30, 90])
def test_partners_do_not_depend_on_the_unit_of_the_values(exponent):
    rng = np.random.default_rng(3)
    a, b = (placed([real(n, rng)], (9, 9), rng) for n in (20, 24))
    expected, scale = match(a, b, place=0.5, shape=(9, 9)), 2.0**exponent
    scaled = [Diagram(d.birth * scale, d.death * scale, d.birth_index, d.death_index, d.count) for d in (a, b)]
    found = match(*scaled, place=0.5 * scale, shape=(9, 9))
    assert torch.equal(found.partner_a, expected.partner_a) and torch.equal(found.partner_b, expected.partner_b)


@pytest.mark.parametrize(
    "size,place,partners",
    [
        (1e-150, 1e-38, [1, 0]),
        (1e-30, 1e-38, [0, 1]),
        (1.0, 1e30, [1, 0]),
        (1e150, 1e30, [0, 1]),
        (1e150, 1e-38, [0, 1]),
        (1e-300, 1e30, [-1, -1]),  # squares of the values are lost beside those of distances
    ],
)
def test_extreme_weights_are_matched_without_overflow(size, place, partners):
    a = placed([np.array([[0.0, 4.0], [0.0, 3.0]]) * size], (8, 8), np.random.default_rng(4))
    pixels = torch.tensor([[0, 63]])
    one, other = (Diagram(a.birth, a.death, pixels, x, a.count) for x in (pixels, pixels.flip(1)))
    found = match(one, other, place=place, shape=(8, 8))
    assert found.partner_a.tolist() == [partners] and found.gap.isfinite().all()


def test_essential_classes_are_matched_by_value_as_without_place():
    inf = np.inf
    a = placed([np.array([[5.0, inf], [1.0, inf], [0.0, 2.0]])], (64,), np.random.default_rng(5))
    b = placed([np.array([[2.0, inf], [6.0, inf], [0.0, 2.0]])], (64,), np.random.default_rng(6))
    unknown = Diagram(a.birth, a.death, a.birth_index, a.death_index.where(a.death.isfinite(), -1), a.count)
    for first in (a, unknown):
        assert match(first, b, place=100.0, shape=64).partner_a[0, :2].tolist() == [1, 0]


def test_without_a_weight_nothing_changes():
    rng = np.random.default_rng(7)
    a, b = (placed([kind(50, rng) for kind in KINDS], (8, 8), rng) for _ in range(2))
    plain = match(a, b)
    for found in (match(a, b, place=0.0, shape=(8, 8)), match(a, b, place=(0.0, 0.0)), match(a, b, shape=(8, 8))):
        for name in ("partner_a", "partner_b", "cost", "gap"):
            assert torch.equal(getattr(found, name), getattr(plain, name))


def test_costs_have_the_gradient_of_the_chosen_pairs():
    rng = np.random.default_rng(8)
    a, b = (placed([real(n, rng)], (8, 8), rng) for n in (6, 5))
    leaves = [x.clone().requires_grad_() for d in (a, b) for x in (d.birth, d.death)]

    def cost(*values: torch.Tensor) -> torch.Tensor:
        pixels = [(d.birth_index, d.death_index, d.count) for d in (a, b)]
        return match(*(Diagram(*values[2 * i : 2 * i + 2], *pixels[i]) for i in range(2)), place=0.3, shape=(8, 8)).cost

    assert torch.autograd.gradcheck(cost, leaves)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_superlevel_sets_in_any_precision_are_matched_by_place(dtype):
    x = torch.zeros(2, 5, 9, dtype=dtype)
    x[0, 2, 1], x[0, 2, 5], x[0, 2, 7], x[1, 2, 1], x[1, 2, 7] = 2.0, 1.0, 1.0, 2.0, 1.0
    peaks = gpuph.persistence(x, dims=0, superlevel=True)[0]
    assert match(peaks[:1], peaks[1:]).partner_a.tolist() == [[0, 1, -1]]
    found = match(peaks[:1], peaks[1:], place=0.1, shape=(5, 9), pixel="birth")
    assert found.partner_a.tolist() == [[0, -1, 1]] and found.cost.item() == 0.5


ONE = Diagram.from_list([torch.tensor([[0.0, 1.0]])])


@pytest.mark.parametrize(
    "settings,error,message",
    [
        ({"place": -1.0}, ValueError, "place must be a number of 0 or more, got -1.0"),
        ({"place": (0.1, -1.0)}, ValueError, "place must be from 0 to 1e[+]30"),
        ({"place": 1e31}, ValueError, "place must be from 0 to 1e[+]30, got 1e[+]31"),
        ({"place": "near"}, TypeError, "place must be a number of 0 or more, got 'near'"),
        ({"place": 0.1}, ValueError, "shape must be that of a window"),
        ({"place": (0.1, 0.2), "shape": 8}, ValueError, "place must be a number, or have one for each of 1 axes"),
        ({"place": 0.1, "shape": (2, 2, 2, 2)}, ValueError, "shape must have one to three sides"),
        ({"place": 0.1, "shape": (8, 8), "pixel": "saddle"}, ValueError, "pixel must be one of"),
        ({"place": 0.1, "shape": (8, 8)}, ValueError, "a.death_index must hold pixels of a window of shape"),
    ],
)
def test_wrong_places_raise(settings, error, message):
    with pytest.raises(error, match=message):
        match(ONE, ONE, **settings)
