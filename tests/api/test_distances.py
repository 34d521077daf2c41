"""Wasserstein and bottleneck distances equal GUDHI's, in all norms, with their gradients."""

from __future__ import annotations

from itertools import pairwise
from unittest import mock

import gudhi
import gudhi.wasserstein
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

import gpuph
from gpuph import Diagram, SuperlevelDiagram, bottleneck_distance, wasserstein_distance
from support.diagrams import KINDS, Points, essential, real, uniform

NORMS = (1.0, 2.0, np.inf)
SIZES = ((0, 0), (0, 3), (3, 0), (1, 1), (1, 17), (2, 2), (31, 33), (20, 5))
pytestmark = pytest.mark.filterwarnings("ignore:Cardinality of essential parts differs")


def batch(points: list[Points], dtype: torch.dtype = torch.float64) -> Diagram:
    return Diagram.from_list([torch.as_tensor(p, dtype=dtype) for p in points])


def by_gudhi(a: Points, b: Points, order: float, p: float) -> float:
    return gudhi.wasserstein.wasserstein_distance(a, b, order=order, internal_p=p, keep_essential_parts=True)


@pytest.mark.parametrize("internal_p", NORMS)
@pytest.mark.parametrize("order", [1.0, 2.0])
@pytest.mark.parametrize("kind", KINDS)
def test_wasserstein_distance_equals_gudhi(kind, order: float, internal_p: float) -> None:
    rng = np.random.default_rng(0)
    left, right = [kind(n, rng) for n, _ in SIZES], [kind(m, rng) for _, m in SIZES]
    found = wasserstein_distance(batch(left), batch(right), order=order, internal_p=internal_p)
    expected = [by_gudhi(a, b, order, internal_p) for a, b in zip(left, right, strict=True)]
    # GUDHI assigns costs and not savings, so it rounds relative to the whole cost.
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_bottleneck_distance_equals_gudhi(kind) -> None:
    rng = np.random.default_rng(1)
    left, right = [kind(n, rng) for n, _ in SIZES], [kind(m, rng) for _, m in SIZES]
    expected = [gudhi.bottleneck_distance(a, b, 0.0) for a, b in zip(left, right, strict=True)]
    # GUDHI takes the distance to a point of the diagonal, whose coordinates are rounded.
    rounding = 2 * np.spacing(max(np.abs(points).max(initial=0.0) for points in (*left, *right)))
    np.testing.assert_allclose(bottleneck_distance(batch(left), batch(right)), expected, rtol=0, atol=rounding)


CLASSES = [((1, 0, 0), (1, 0, 0)), ((3, 2, 1), (3, 2, 1)), ((2, 0, 0), (1, 0, 0)), ((0, 0, 1), (0, 0, 2))]


@pytest.mark.parametrize("internal_p", NORMS)
def test_essential_classes_count_as_in_gudhi(internal_p: float) -> None:
    rng = np.random.default_rng(2)
    left, right = [essential(9, rng, a) for a, _ in CLASSES], [essential(7, rng, b) for _, b in CLASSES]
    a, b = batch(left), batch(right)
    for order in (1.0, 2.0):
        expected = [by_gudhi(x, y, order, internal_p) for x, y in zip(left, right, strict=True)]
        np.testing.assert_allclose(wasserstein_distance(a, b, order=order, internal_p=internal_p), expected, rtol=1e-9)
    found = bottleneck_distance(a, b)
    assert found.isinf().tolist() == [one != other for one, other in CLASSES]
    assert found[0].item() == pytest.approx(gudhi.bottleneck_distance(left[0], right[0], 0.0), rel=1e-12)


def test_bottleneck_distance_may_be_decided_by_an_essential_class() -> None:
    a, b = (
        batch([np.array([[0.0, 1.0], [0.0, np.inf], [-np.inf, 1.0]])]),
        batch([np.array([[9.0, np.inf], [-np.inf, 4.0]])]),
    )
    assert bottleneck_distance(a, b).item() == 9.0


def bottleneck_by_search(a: Points, b: Points) -> float:
    """Return the least number below which a perfect matching of the points and of diagonal points exists."""
    n, m = len(a), len(b)
    costs = np.zeros((n + m, m + n))
    costs[:n, :m] = np.abs(a[:, None] - b[None]).max(2)
    costs[:n, m:] = (a[:, 1] - a[:, 0])[:, None] / 2
    costs[n:, :m] = (b[:, 1] - b[:, 0])[None] / 2
    for cost in np.unique(np.append(costs, 0.0)):
        if (maximum_bipartite_matching(csr_array(costs <= cost)) >= 0).all():
            return float(cost)
    raise AssertionError("all points can be matched with the diagonal")


few_points = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)).map(sorted), max_size=6).map(
    lambda points: np.array(points, dtype=float).reshape(-1, 2)
)


@settings(max_examples=150, deadline=None)
@given(few_points, few_points)
def test_distances_of_points_with_many_ties_are_exact(a: Points, b: Points) -> None:
    """GUDHI's bottleneck distance of points that coincide can be too large."""
    found = bottleneck_distance(batch([a]), batch([b])).item()
    assert found == bottleneck_by_search(a, b) <= gudhi.bottleneck_distance(a, b, 0.0)
    for order, p in ((1.0, 1.0), (1.0, np.inf), (2.0, np.inf)):
        found = wasserstein_distance(batch([a]), batch([b]), order=order, internal_p=p).item()
        assert found == pytest.approx(by_gudhi(a, b, order, p), rel=1e-12, abs=1e-12)


def all_distances(a: Diagram, b: Diagram) -> list[torch.Tensor]:
    found = [wasserstein_distance(a, b, order=order, internal_p=p) for order in (1, 2) for p in NORMS]
    return [*found, bottleneck_distance(a, b)]


@pytest.mark.parametrize("which", range(7))
def test_gradient_is_the_derivative(which: int) -> None:
    rng = np.random.default_rng(3)
    leaves = [torch.tensor(p, requires_grad=True) for p in (real(6, rng), real(3, rng), uniform(4, rng), real(7, rng))]

    def distance(*points: torch.Tensor) -> torch.Tensor:
        return all_distances(Diagram.from_list(points[:2]), Diagram.from_list(points[2:]))[which]

    assert torch.autograd.gradcheck(distance, leaves)


@pytest.mark.parametrize("which", range(7))
def test_gradients_are_finite_and_0_where_the_distance_is_0_or_infinite(which: int) -> None:
    rng = np.random.default_rng(4)
    left = [essential(5, rng, (1, 1, 1)), essential(5, rng, (1, 0, 0)), real(5, rng), np.zeros((0, 2))]
    right = [essential(3, rng, (1, 1, 1)), essential(3, rng, (2, 0, 0)), left[2], np.zeros((0, 2))]
    leaves = [torch.tensor(p, requires_grad=True) for p in (*left, *right)]
    distance = all_distances(Diagram.from_list(leaves[:4]), Diagram.from_list(leaves[4:]))[which]
    distance.sum().backward()
    assert torch.isinf(distance).tolist() == [False, True, False, False]
    assert distance[2] == distance[3] == 0.0
    for i, leaf in enumerate(leaves):
        assert leaf.grad is not None and leaf.grad.isfinite().all()
        assert leaf.grad.any() == (i in (0, 4)) or which == 6  # a point and the diagonal give only one side a gradient


def test_padding_is_not_read() -> None:
    rng = np.random.default_rng(5)
    a, b = batch([real(7, rng), real(3, rng)]), batch([real(2, rng), real(9, rng)])
    dirty = [
        Diagram(d.birth.where(d.mask, np.nan), d.death.where(d.mask, -np.inf), d.birth_index, d.death_index, d.count)
        for d in (a, b)
    ]
    assert all(torch.equal(x, y) for x, y in zip(all_distances(a, b), all_distances(*dirty), strict=True))


def test_superlevel_diagrams_have_the_distances_of_the_negated_ones() -> None:
    rng = np.random.default_rng(6)
    left, right = ([real(n, rng) for n in sizes] for sizes in ((5, 0, 8), (4, 3, 8)))
    turned = [SuperlevelDiagram.from_list([-torch.tensor(p) for p in side]) for side in (left, right)]
    for x, y in zip(all_distances(*turned), all_distances(batch(left), batch(right)), strict=True):
        assert torch.equal(x, y)


@pytest.mark.parametrize("distance", [wasserstein_distance, bottleneck_distance])
def test_all_pairs_equal_one_by_one_with_gradients(distance) -> None:
    rng = np.random.default_rng(7)
    leaves = [torch.tensor(real(n, rng), requires_grad=True) for n in (5, 0, 3, 8, 2)]
    a, b = Diagram.from_list(leaves[:2]), Diagram.from_list(leaves[2:])
    found = distance(a, b, all_pairs=True)
    assert found.shape == (2, 3)
    one_by_one = torch.stack([torch.cat([distance(x, y) for y in b]) for x in a])
    assert torch.equal(found, one_by_one)
    for one, other in zip(
        *(torch.autograd.grad(d.sum(), leaves, retain_graph=True) for d in (found, one_by_one)), strict=True
    ):
        torch.testing.assert_close(one, other)
    assert distance(a[:0], b, all_pairs=True).shape == (0, 3)


def test_all_pairs_of_one_batch_are_a_metric() -> None:
    rng = np.random.default_rng(8)
    a = batch([uniform(n, rng) for n in (5, 0, 3, 8)])
    for order, p in ((1, 1), (2, np.inf)):
        d = wasserstein_distance(a, a, order=order, internal_p=p, all_pairs=True)
        torch.testing.assert_close(d, d.T)
        assert not d.diagonal().any()
        assert (d[:, None, :] <= d[:, :, None] + d[None] + 1e-9).all()  # d(i, k) <= d(i, j) + d(j, k)


def test_distances_grow_with_the_order_of_the_norm() -> None:
    rng = np.random.default_rng(9)
    a, b = batch([real(9, rng)]), batch([real(12, rng)])
    lengths = [wasserstein_distance(a, b, order=1, internal_p=p).item() for p in NORMS]
    assert all(x >= y for x, y in pairwise(lengths))
    assert bottleneck_distance(a, b).item() <= wasserstein_distance(a, b, internal_p=np.inf).item()


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_distances_are_right_where_their_squares_leave_the_dtype(scale: float) -> None:
    a, b = (Diagram.from_list([torch.tensor(p) * scale]) for p in ([[0.0, 8.0]], [[3.0, 4.0]]))
    found = [wasserstein_distance(a, b, internal_p=p).item() for p in NORMS]
    assert found == pytest.approx([7.0 * scale, 5.0 * scale, 4.0 * scale], rel=1e-6)


@pytest.mark.parametrize("internal_p", NORMS)
@pytest.mark.parametrize("length", [1e3, 1e9, 1e12])
def test_long_bars_in_both_diagrams_do_not_change_the_distance(length: float, internal_p: float) -> None:
    """Equal points cancel in the distance of order 1, and what they cost alone must not round what the others pay."""
    rng = np.random.default_rng(13)
    left, right = (np.round(64 * real(n, rng)) / 64 for n in (9, 7))
    bars = np.array([[0.0, length], [1.0, length], [0.0, length + 3.0]])
    plain = wasserstein_distance(batch([left]), batch([right]), order=1, internal_p=internal_p).item()
    joined = (batch([np.concatenate((points, bars))]) for points in (left, right))
    assert wasserstein_distance(*joined, order=1, internal_p=internal_p).item() == pytest.approx(plain, rel=1e-12)


@pytest.mark.parametrize("internal_p", [1.0, np.inf])
def test_order_2_pairs_long_bars_with_their_nearest(internal_p: float) -> None:
    early = np.array([0.0, 1.0, 2.0, 3.0])
    a = np.stack((early, np.full(4, 1e12)), axis=1)
    b = np.stack((early[::-1] + 0.25, np.full(4, 1e12)), axis=1)
    found = wasserstein_distance(batch([a]), batch([b]), internal_p=internal_p)
    assert found.item() == 0.5  # four differences of 1/4


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gives_float32(dtype: torch.dtype) -> None:
    a, b = batch([np.array([[0.0, 8.0]])], dtype), batch([np.array([[1.0, 8.0]])], dtype)
    assert all(d.dtype == torch.float32 and d.item() == 1.0 for d in all_distances(a, b))


def test_nan_raises_and_on_other_devices_makes_its_window_nan() -> None:
    a, b = batch([np.array([[0.0, 8.0]])] * 2), batch([np.array([[0.0, np.nan]]), np.array([[0.0, 8.0]])])
    for call in (lambda: wasserstein_distance(a, b, order=1), lambda: bottleneck_distance(a, b)):
        with pytest.raises(ValueError, match="b must have no NaN, but a point of its window 0 has one"):
            call()
        with mock.patch("gpuph.debug.is_eager_cpu", lambda x: False):
            assert call().isnan().tolist() == [True, False]


def test_operators_pass_opcheck() -> None:
    rng = np.random.default_rng(11)
    for n, m in ((5, 3), (0, 3), (4, 0)):
        a, b = batch([real(n, rng)] * 2), batch([real(m, rng)] * 2)
        points = (a.birth, a.death, a.count, b.birth, b.death, b.count)
        torch.library.opcheck(torch.ops.gpuph.assign.default, (*points, 1.0, 1.0))
        torch.library.opcheck(torch.ops.gpuph.bottleneck.default, points)


def test_distances_compile_without_graph_breaks() -> None:
    rng = np.random.default_rng(12)
    a, b = batch([real(5, rng)]), batch([real(6, rng)])

    def both(birth: torch.Tensor) -> torch.Tensor:
        one = Diagram(birth, a.death, a.birth_index, a.death_index, a.count)
        return torch.stack((wasserstein_distance(one, b, order=1, internal_p=1), bottleneck_distance(one, b)))

    compiled = torch.compile(both, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(a.birth), both(a.birth))


@pytest.mark.parametrize(
    ("settings_", "error", "message"),
    [
        ({"order": 3}, ValueError, "order must be one of 1, 2, got 3"),
        ({"order": "1"}, TypeError, "order must be one of 1, 2, got '1'"),
        ({"internal_p": 0.5}, ValueError, "internal_p must be one of 1, 2, inf, got 0.5"),
        ({"internal_p": None}, TypeError, "internal_p must be one of 1, 2, inf, got None"),
        ({"all_pairs": 1}, TypeError, "all_pairs must be a bool, got 1"),
    ],
)
def test_wrong_settings_raise(settings_: dict, error: type[Exception], message: str) -> None:
    one = batch([np.array([[0.0, 1.0]])])
    with pytest.raises(error, match=message):
        gpuph.wasserstein_distance(one, one, **settings_)
