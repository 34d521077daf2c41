"""The junction score against values calculated by hand."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch

from gpuph.metrics import junction_score
from support.graphs import SYMMETRIES, graph, grid, moved, oddities, ring


def star(*degrees: float, at: tuple[float, float] = (0.0, 0.0), length: float = 90.0) -> nx.MultiGraph:
    """Return a junction with arms in these directions, in degrees."""
    angles = np.radians(degrees)
    ends = {f"end{i}": (at[0] + length * np.sin(a), at[1] + length * np.cos(a)) for i, a in enumerate(angles)}
    return graph([("middle", end) for end in ends], middle=at, **ends)


CROSS = star(0, 90, 180, 270)


@pytest.mark.parametrize("same", [grid(), oddities(), CROSS], ids=["grid", "odd", "cross"])
def test_junction_score_of_a_graph_with_itself_is_perfect(same):
    assert junction_score(same, same) == pytest.approx((1, 1, 1, 0))


def test_missing_arm_costs_recall_and_false_arm_costs_precision():
    tee = star(0, 90, 180)
    assert junction_score(tee, CROSS) == pytest.approx((3 / 4, 1, 6 / 7, 0))
    assert junction_score(CROSS, tee) == pytest.approx((1, 3 / 4, 6 / 7, (1 / 4) / (1 / 4 + 1)))


def test_arms_are_matched_one_to_one():
    assert junction_score(star(0, 10, 90, 180), star(0, 90, 180)) == pytest.approx((1, 3 / 4, 6 / 7, 1 / 5))


def test_arms_are_matched_if_their_angle_is_below_90_degrees():
    assert junction_score(star(0, 120, 210), star(0, 120, 270)).recall == pytest.approx(1)
    # Arms at right angles do not match. Only one of three arms is found, so that the junctions are not paired.
    assert junction_score(star(0, 5, 10), star(0, 100, 180)) == (0, 0, 0, 1)


def test_missing_edge_costs_an_arm_of_two_junctions():
    """The grid has six junctions of three arms and two of four."""
    pred = grid()
    pred.remove_edge((1, 1), (1, 2))  # between the junctions of four arms
    assert junction_score(pred, grid()) == pytest.approx((7.5 / 8, 1, 2 * 7.5 / 15.5, 0))
    pred = grid()
    pred.remove_edge((0, 1), (1, 1))  # one end had three arms, and is not a junction any more
    assert junction_score(pred, grid()) == pytest.approx((6.75 / 8, 1, 2 * 6.75 / 14.75, 0))
    # With the roles swapped, one of eight junctions is false, and a quarter of another.
    assert junction_score(grid(), pred) == pytest.approx((1, 6.75 / 8, 2 * 6.75 / 14.75, 1.25 / (1.25 + 7)))


def test_junctions_are_paired_within_the_radius():
    assert junction_score(star(0, 90, 180, 270, at=(15, 20)), CROSS) == pytest.approx((1, 1, 1, 0))
    assert junction_score(star(0, 90, 180, 270, at=(15, 20.1)), CROSS) == (0, 0, 0, 1)


def test_junctions_are_paired_with_the_best_match_nearby():
    target = nx.union(star(0, 90, 180), star(180, 270, 0, at=(0, 12)), rename=("a", "b"))
    pred = nx.union(star(180, 270, 0, at=(0, 8)), star(0, 90, 180, at=(0, 4)), rename=("a", "b"))
    assert junction_score(pred, target) == pytest.approx((1, 1, 1, 0))


def test_skewed_crossing_is_one_junction():
    places = {"a": (0, -2), "b": (0, 2), "w": (0, -90), "e": (0, 90), "n": (-90, -2), "s": (90, 2)}
    skewed = graph(["ab", "aw", "be", "an", "bs"], **places)
    assert junction_score(skewed, CROSS) == pytest.approx((1, 1, 1, 0))
    assert junction_score(skewed, CROSS, merge=0.0).precision < 1


def test_two_lines_around_a_tiny_hole_are_not_a_junction():
    places = {"a": (0, 0), "b": (0, 3), "w": (0, -90), "e": (0, 90)}
    eye = graph([("a", "b", [(0, 0), (1, 1.5), (0, 3)]), ("a", "b", [(0, 0), (-1, 1.5), (0, 3)]), "aw", "be"], **places)
    assert junction_score(eye, nx.Graph()) == (1, 1, 1, 0)
    assert junction_score(eye, nx.Graph(), merge=0.0) == (0, 0, 0, 1)


def test_street_that_returns_to_its_junction_has_two_arms():
    lollipop = graph(["ab", ("b", "b", [(0, 50), (40, 90), (0, 130), (-40, 90), (0, 50)])], a=(0, 0), b=(0, 50))
    assert junction_score(lollipop, lollipop) == pytest.approx((1, 1, 1, 0))
    assert junction_score(graph(["ab"], a=(0, 0), b=(0, 50)), lollipop) == (0, 0, 0, 0)


def test_swapping_pred_and_target_swaps_recall_and_precision():
    pred = grid()
    pred.remove_edges_from([((0, 1), (1, 1)), ((1, 2), (1, 3))])
    there, back = junction_score(pred, grid()), junction_score(grid(), pred)
    assert there[:3] == pytest.approx((back.precision, back.recall, back.f1))


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_junction_score_is_invariant_under_symmetries(symmetry):
    for target in (nx.MultiGraph(grid()), oddities()):
        pred = target.copy()
        pred.remove_edge(*next(iter(pred.edges)))
        assert junction_score(moved(pred, symmetry), moved(target, symmetry)) == pytest.approx(
            junction_score(pred, target)
        )


def test_junction_score_is_perfect_if_neither_has_a_junction_and_zero_if_one_has_none():
    nothing, empty = nx.Graph(), torch.zeros(20, 30, dtype=torch.bool)
    for without in (nothing, ring(), graph(["ab"], a=(0, 0), b=(0, 9)), empty):
        assert junction_score(without, ring()) == (1, 1, 1, 0)
        assert junction_score(without, CROSS) == (0, 0, 0, 0)
        assert junction_score(CROSS, without) == (0, 0, 0, 1)
    assert junction_score(empty, empty) == (1, 1, 1, 0)


def test_junction_score_of_a_batch_is_over_all_junctions():
    target = torch.zeros(2, 1, 5, 100, 160, dtype=torch.bool)
    target[:, 0, 2, 50] = target[0, 0, 2, :, 40] = target[:, 0, 2, :, 120] = True
    pred = target.clone()
    pred[0, 0, 2, :50, 40] = False
    assert junction_score(pred, target).recall == pytest.approx((3 / 4 + 1 + 1) / 3)
    flat = target[0, 0, 2]
    assert junction_score(flat.T, flat.T) == pytest.approx((1, 1, 1, 0))
    assert junction_score(pred[0, 0, 2].flip(0), flat.flip(0)) == junction_score(pred[0, 0, 2], flat)


@pytest.mark.parametrize("wrong", [{"radius": 0.0}, {"merge": -1.0}])
def test_settings_out_of_range_raise(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        junction_score(CROSS, CROSS, **wrong)
