"""Matching: the optimum of scipy, the distance of GUDHI, certificates and gradients."""

from __future__ import annotations

import gudhi.wasserstein
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

import gpuph
from gpuph import Diagram, match, wasserstein_distance
from gpuph.matching import SOLVERS, UNMATCHED
from support.diagrams import KINDS, Points, essential, integer, real, truth, uniform

SIZES = ((0, 0), (0, 3), (3, 0), (1, 1), (1, 17), (16, 2), (2, 2), (31, 33), (60, 15), (40, 40))


def batch(points: list[Points], dtype: torch.dtype = torch.float64) -> Diagram:
    return Diagram.from_list([torch.as_tensor(p, dtype=dtype) for p in points])


def alone(points: Points, unmatched: str) -> Points:
    length = points[:, 1] - points[:, 0]
    return length**2 / 2 if unmatched == "half_squared" else np.abs(length) / np.sqrt(2)


def optimum(a: Points, b: Points, unmatched: str) -> float:
    """Return the least cost, by assignment in the (n + m)^2 matrix with a place on the diagonal for every point."""
    n, m = len(a), len(b)
    cost = np.zeros((n + m, n + m))
    cost[:n, :m] = ((a[:, None] - b[None]) ** 2).sum(-1)
    cost[:n, m:] = alone(a, unmatched)[:, None]
    cost[n:, :m] = alone(b, unmatched)[None]
    return float(cost[linear_sum_assignment(cost)].sum())


def pairs_of(matching: gpuph.Matching) -> list[set[tuple[int, int]]]:
    """Return the pairs of every window, after checking that both sides agree on them."""
    found = []
    for of_a, of_b in zip(matching.partner_a.tolist(), matching.partner_b.tolist(), strict=True):
        pairs = {(i, j) for i, j in enumerate(of_a) if j >= 0}
        assert pairs == {(i, j) for j, i in enumerate(of_b) if i >= 0}
        found.append(pairs)
    return found


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("unmatched", UNMATCHED)
@pytest.mark.parametrize("kind", KINDS)
def test_cost_is_optimal_and_gap_bounds_its_error(kind, unmatched, solver):
    rng = np.random.default_rng(0)
    left = [kind(n, rng) for n, _ in SIZES for _ in range(3)]
    right = [kind(m, rng) for _, m in SIZES for _ in range(3)]
    matching = match(batch(left), batch(right), unmatched, solver)
    pairs_of(matching)
    for a, b, cost, gap in zip(left, right, matching.cost.tolist(), matching.gap.tolist(), strict=True):
        best = optimum(a, b, unmatched)
        rounding = 1e-13 * (alone(a, unmatched).sum() + alone(b, unmatched).sum())
        assert abs(cost - best) <= gap + rounding
        assert 0.0 <= gap <= rounding


@pytest.mark.parametrize("solver", SOLVERS)
def test_many_points_against_few_are_matched_optimally(solver):
    rng = np.random.default_rng(1)
    left = [real(n, rng) for n in (1, 15, 40, 120) for _ in range(5)]
    right = [truth(len(a), rng) for a in left]
    # The side with fewer points takes the rows of the cost matrix, so each side gets its turn.
    for a, b in ((left, right), (right, left)):
        cost = match(batch(a), batch(b), solver=solver).cost
        best = [optimum(x, y, "half_squared") for x, y in zip(a, b, strict=True)]
        np.testing.assert_allclose(cost.numpy(), best, rtol=1e-12)


@pytest.mark.parametrize("n,m", [(1, 9), (4, 9), (9, 4), (5, 5)])
def test_equal_points_take_the_best_partners(n, m):
    rng = np.random.default_rng(2)
    a, b = np.tile([[0.0, 20.0]], (n, 1)), uniform(m, rng)
    matching = match(batch([a]), batch([b]))
    np.testing.assert_allclose(matching.cost.item(), optimum(a, b, "half_squared"), rtol=1e-13)
    assert matching.gap.item() == 0.0


def test_hundreds_of_points_are_matched_optimally():
    rng = np.random.default_rng(3)
    a, b = real(700, rng), real(500, rng)
    matching = match(batch([a]), batch([b]))
    np.testing.assert_allclose(matching.cost.item(), optimum(a, b, "half_squared"), rtol=1e-12)


@pytest.mark.parametrize("kind", [real, integer])
def test_solvers_agree_on_large_windows(kind):
    rng = np.random.default_rng(4)
    a, b = batch([kind(400, rng)]), batch([kind(450, rng)])
    torch.testing.assert_close(
        match(a, b, solver="auction").cost, match(a, b, solver="augment").cost, rtol=1e-12, atol=0
    )


def test_auto_selects_the_auction_for_thousands_of_points():
    rng = np.random.default_rng(12)
    a, b = batch([real(2400, rng)]), batch([real(2500, rng)])
    auto, auction, augment = (match(a, b, solver=solver) for solver in ("auto", "auction", "augment"))
    assert torch.equal(auto.partner_a, auction.partner_a) and torch.equal(auto.gap, auction.gap)
    assert not torch.equal(auto.gap, augment.gap)
    torch.testing.assert_close(auto.cost, augment.cost, rtol=1e-12, atol=0)


def test_pairs_that_do_not_lower_the_cost_stay_unmatched():
    # The first pair is too far apart. The second costs 1 + 9, and its points cost 2 + 8 alone.
    a = batch([np.array([[0.0, 1.0]]), np.array([[0.0, 2.0]])])
    b = batch([np.array([[5.0, 6.0]]), np.array([[1.0, 5.0]])])
    assert pairs_of(match(a, b)) == [set(), set()]
    c = batch([np.array([[0.0, 4.0]])])
    d = batch([np.array([[4.0, 4.0]])])
    assert pairs_of(match(c, d)) == [set()]


def test_ties_go_to_the_lowest_index():
    one, four = np.array([[0.0, 8.0]]), np.array([[2.0, 8.0]] * 4)
    assert pairs_of(match(batch([one]), batch([four]))) == [{(0, 0)}]
    assert pairs_of(match(batch([four]), batch([one]))) == [{(0, 0)}]
    two = np.array([[0.0, 8.0], [1.0, 8.0]])
    assert pairs_of(match(batch([two]), batch([two[[0, 0, 1, 1]]]))) == [{(0, 0), (1, 1)}]


def test_padding_is_not_read():
    rng = np.random.default_rng(5)
    a, b = batch([real(7, rng), real(3, rng)]), batch([real(2, rng), real(9, rng)])
    dirty = [
        Diagram(
            *(torch.where(d.mask, x, torch.tensor(float("nan"), dtype=x.dtype)) for x in (d.birth, d.death)),
            d.birth_index,
            d.death_index,
            d.count,
        )
        for d in (a, b)
    ]
    clean, other = match(a, b), match(*dirty)
    assert torch.equal(clean.cost, other.cost) and torch.equal(clean.partner_a, other.partner_a)


def test_overflowed_diagrams_are_matched_by_their_stored_points():
    a = batch([np.array([[0.0, 5.0], [0.0, 4.0]])])
    over = Diagram(a.birth, a.death, a.birth_index, a.death_index, a.count + 10)
    assert match(over, a).cost.item() == 0.0


def test_matching_of_a_window_does_not_depend_on_its_batch():
    rng = np.random.default_rng(6)
    left, right = [real(n, rng) for n in (5, 40, 0, 17)], [real(n, rng) for n in (50, 3, 8, 17)]
    together = match(batch(left), batch(right))
    for i, (a, b) in enumerate(zip(left, right, strict=True)):
        single = match(batch([a]), batch([b]))
        assert torch.equal(single.partner_a[0], together.partner_a[i, : len(a)])
        assert single.gap[0] == together.gap[i]


def test_matching_is_bit_identical_on_any_number_of_threads():
    rng = np.random.default_rng(7)
    a, b = batch([uniform(60, rng) for _ in range(64)]), batch([uniform(70, rng) for _ in range(64)])
    threads = torch.get_num_threads()
    results = []
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            results.append(match(a, b))
    finally:
        torch.set_num_threads(threads)
    for name in ("partner_a", "partner_b", "cost", "gap"):
        assert torch.equal(getattr(results[0], name), getattr(results[1], name))


@pytest.mark.filterwarnings("ignore:Cardinality of essential parts differs")
def test_distance_with_essential_classes_equals_gudhi():
    rng = np.random.default_rng(8)
    kinds = [((1, 0, 0), (1, 0, 0)), ((3, 2, 1), (3, 2, 1)), ((2, 0, 0), (1, 0, 0)), ((0, 0, 1), (0, 0, 2))]
    kinds += [((0, 1, 0), (0, 0, 0)), ((0, 4, 0), (0, 4, 0)), ((0, 0, 0), (0, 0, 0))]
    left = [essential(12, rng, a) for a, _ in kinds]
    right = [essential(9, rng, b) for _, b in kinds]
    ours = wasserstein_distance(batch(left), batch(right))
    theirs = [
        gudhi.wasserstein.wasserstein_distance(a, b, order=2, internal_p=2, keep_essential_parts=True)
        for a, b in zip(left, right, strict=True)
    ]
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-9)
    assert torch.isinf(ours).tolist() == [a != b for a, b in kinds]


def test_essential_classes_are_matched_in_order_of_value():
    inf = np.inf
    a = np.array([[5.0, inf], [1.0, inf], [-inf, 2.0], [1.0, inf]])
    b = np.array([[-inf, 9.0], [2.0, inf], [0.0, inf], [7.0, inf]])
    assert pairs_of(match(batch([a]), batch([b]))) == [{(1, 2), (3, 1), (0, 3), (2, 0)}]


def test_gradients_are_finite_with_essential_classes_and_equal_diagrams():
    rng = np.random.default_rng(9)
    left = [essential(5, rng, (1, 1, 1)), essential(5, rng, (1, 0, 0)), real(5, rng), np.zeros((0, 2))]
    right = [essential(3, rng, (1, 1, 1)), essential(3, rng, (2, 0, 0)), left[2], np.zeros((0, 2))]
    leaves = [torch.tensor(p, requires_grad=True) for p in (*left, *right)]
    a, b = Diagram.from_list(leaves[:4]), Diagram.from_list(leaves[4:])
    distance = wasserstein_distance(a, b)
    distance.sum().backward()
    assert torch.isinf(distance).tolist() == [False, True, False, False]
    assert distance[2] == 0.0
    for leaf in leaves:
        assert leaf.grad is not None and leaf.grad.isfinite().all()
    assert (leaves[0].grad != 0).any()
    assert (leaves[1].grad == 0).all() and (leaves[2].grad == 0).all()


@pytest.mark.parametrize("unmatched", UNMATCHED)
def test_gradient_of_cost_is_its_derivative(unmatched):
    rng = np.random.default_rng(10)
    leaves = [torch.tensor(p, requires_grad=True) for p in (real(6, rng), real(3, rng), real(4, rng), real(7, rng))]

    def cost(*points: torch.Tensor) -> torch.Tensor:
        return match(Diagram.from_list(points[:2]), Diagram.from_list(points[2:]), unmatched).cost

    assert torch.autograd.gradcheck(cost, leaves)


def test_operators_pass_opcheck():
    rng = np.random.default_rng(11)
    for n, m in ((5, 3), (0, 3), (4, 0)):
        a, b = batch([real(n, rng)] * 2), batch([real(m, rng)] * 2)
        args = (a.birth, a.death, a.count, b.birth, b.death, b.count, True, "auto")
        torch.library.opcheck(torch.ops.gpuph.match.default, args)
        partners = torch.ops.gpuph.match(*args)[:2]
        torch.library.opcheck(torch.ops.gpuph.cost.default, (*args[:6], *partners, True))
        torch.library.opcheck(torch.ops.gpuph.matched_cost.default, args[:7])


def test_matching_never_reads_values_on_the_host():
    # Tensors on the device "meta" have no values, so reading one raises.
    leaves = [torch.empty(3, k, device="meta", requires_grad=True) for k in (5, 5, 4, 4)]
    index, count = torch.empty(3, 5, dtype=torch.int64, device="meta"), torch.empty(3, dtype=torch.int64, device="meta")
    a, b = Diagram(leaves[0], leaves[1], index, index, count), Diagram(leaves[2], leaves[3], index, index, count)
    wasserstein_distance(a, b).sum().backward()
    assert all(leaf.grad is not None for leaf in leaves)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_cost_has_at_least_float32_precision(dtype):
    a, b = batch([np.array([[0.0, 8.0]])], dtype), batch([np.array([[1.0, 8.0]])], dtype)
    matching = match(a, b)
    assert matching.cost.dtype == torch.promote_types(dtype, torch.float32)
    assert matching.gap.dtype == torch.float64
    assert matching.cost.tolist() == [1.0]


def test_empty_diagrams_leave_the_other_points_unmatched():
    nothing = Diagram.from_list([])
    matching = match(nothing, nothing)
    assert matching.cost.shape == matching.gap.shape == (0,)
    a, b = batch([np.zeros((0, 2))] * 2), batch([np.array([[0.0, 2.0]]), np.zeros((0, 2))])
    assert match(a, b).cost.tolist() == match(b, a).cost.tolist() == [2.0, 0.0]
    assert match(a, b).partner_a.shape == (2, 0)


coordinate = st.integers(0, 8) | st.floats(0, 8, allow_subnormal=False)
points_strategy = st.lists(st.tuples(coordinate, coordinate).map(sorted), max_size=8).map(
    lambda points: np.array(points, dtype=float).reshape(-1, 2)
)


@settings(max_examples=80, deadline=None)
@given(points_strategy, points_strategy, points_strategy)
def test_distance_is_symmetric_and_satisfies_the_triangle_inequality(a, b, c):
    first, second = batch([a, b, a, b, a]), batch([b, c, c, a, a])
    ab, bc, ac, ba, aa = wasserstein_distance(first, second).tolist()
    assert aa == 0.0
    assert ab == pytest.approx(ba, rel=1e-12, abs=1e-12)
    assert ac <= ab + bc + 1e-9


@settings(max_examples=80, deadline=None)
@given(points_strategy, points_strategy, st.sampled_from(UNMATCHED), st.sampled_from(SOLVERS))
def test_any_diagrams_are_matched_optimally_and_symmetrically(a, b, unmatched, solver):
    there, back = match(batch([a]), batch([b]), unmatched, solver), match(batch([b]), batch([a]), unmatched, solver)
    best = optimum(a, b, unmatched)
    assert there.cost.item() == pytest.approx(best, rel=1e-12, abs=1e-12)
    assert back.cost.item() == pytest.approx(best, rel=1e-12, abs=1e-12)
    assert 0.0 <= there.gap.item() <= 1e-11


ONE = batch([np.array([[0.0, 1.0]])])


@pytest.mark.parametrize(
    "call,error,message",
    [
        (lambda: match(torch.zeros(1, 2), ONE), TypeError, "a must be a gpuph.Diagram, got Tensor"),
        (lambda: match(ONE, None), TypeError, "b must be a gpuph.Diagram, got NoneType"),
        (
            lambda: match(gpuph.persistence(torch.zeros(1, 2, 2)), ONE),
            TypeError,
            r"a must be a gpuph.Diagram, got Diagrams; take one dimension, such as diagrams\[1\]",
        ),
        (lambda: match(ONE, batch([])), TypeError, "b must have a's dtype torch.float64, got torch.float32"),
        (lambda: match(ONE, batch([np.zeros((1, 2))] * 3)), ValueError, "b must have as many windows as a, 1, got 3"),
        (lambda: match(ONE, ONE, unmatched="none"), ValueError, "unmatched must be one of .* got 'none'"),
        (lambda: match(ONE, ONE, solver="hera"), ValueError, "solver must be one of .* got 'hera'"),
        (
            lambda: match(ONE, Diagram(*(t.to("meta") for t in vars(ONE).values()))),
            ValueError,
            "b must be on a's device cpu, got meta",
        ),
        (
            lambda: match(Diagram(ONE.count, ONE.count, ONE.count, ONE.count, ONE.count), ONE),
            TypeError,
            "a must have births and deaths of one floating-point dtype, got torch.int64",
        ),
        (
            lambda: match(Diagram(ONE.birth[0], ONE.death[0], ONE.birth_index, ONE.death_index, ONE.count), ONE),
            ValueError,
            r"a must have births and deaths of one shape \(N, K\), got \(1,\)",
        ),
        (lambda: wasserstein_distance(ONE, 3), TypeError, "b must be a gpuph.Diagram, got int"),
    ],
)
def test_invalid_input_raises_an_error_that_names_it(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_second_derivatives_raise() -> None:
    a, b = (torch.rand(1, 3, 2, requires_grad=True) for _ in range(2))
    cost = match(Diagram.from_list([*a]), Diagram.from_list([*b])).cost.sum()
    with pytest.raises(RuntimeError, match="differentiable once"):
        torch.autograd.grad(cost, a, create_graph=True)


def test_points_of_different_dtypes_raise() -> None:
    with pytest.raises(TypeError, match=r"points must be of one dtype, got \['torch.float32', 'torch.float64'\]"):
        Diagram.from_list([torch.zeros(1, 2), torch.zeros(1, 2, dtype=torch.float64)])


def test_from_list_accepts_a_stacked_tensor() -> None:
    points = torch.rand(3, 4, 2)
    assert torch.equal(Diagram.from_list(points).death, Diagram.from_list([*points]).death)
