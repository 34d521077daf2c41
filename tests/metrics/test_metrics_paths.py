"""Shares of paths that are too long, too short or infeasible, against values calculated by hand."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch

from gpuph.metrics import too_long_too_short
from support.graphs import SYMMETRIES, graph, grid, moved, oddities, ring

SIDE = 400.0
CORNERS = {"a": (0, 0), "b": (0, SIDE), "c": (SIDE, SIDE), "d": (SIDE, 0)}
SQUARE = graph(["ab", "bc", "cd", "da"], **CORNERS)
OPEN = graph(["bc", "cd", "da"], **CORNERS)


@pytest.mark.parametrize("same", [grid(), ring(), oddities()], ids=["grid", "ring", "odd"])
def test_paths_of_a_graph_with_itself_are_correct(same):
    assert too_long_too_short(same, same, tolerance=0.0, radius=0.1) == (1, 0, 0, 0)


def test_paths_around_a_missing_side_are_too_long():
    """One of the four sides of a square, each 400 long, is missing.

    Both points are on the other three sides with probability 9/16. A path of length x along these sides competes with a
    true path of length 1600 - x. It is a detour of more than 5 % if x > 1.05 (1600 - x), that is, x > 819.5. Two points
    on a line of length 1200 are that far apart with probability (1 - 819.5 / 1200)^2.
    """
    result = too_long_too_short(OPEN, SQUARE, radius=0.1, paths=20_000)
    too_long = 9 / 16 * (1 - 1.05 * 1600 / 2.05 / 1200) ** 2
    assert result == pytest.approx((9 / 16 - too_long, too_long, 0, 7 / 16), abs=0.01)


def test_paths_across_a_false_side_are_too_short():
    """All points are found. A path is a shortcut if 1600 - x < 0.95 x, that is, x > 820.5."""
    result = too_long_too_short(SQUARE, OPEN, radius=0.1, paths=20_000)
    too_short = (1 - 1600 / 1.95 / 1200) ** 2
    assert result == pytest.approx((1 - too_short, 0, too_short, 0), abs=0.01)


def test_points_drawn_from_both_networks_have_counterparts():
    """As above, but all paths join points on the three sides, so that the share 9/16 becomes 1."""
    result = too_long_too_short(OPEN, SQUARE, radius=0.1, paths=20_000, draw_from="both")
    too_long = (1 - 1.05 * 1600 / 2.05 / 1200) ** 2
    assert result == pytest.approx((1 - too_long, too_long, 0, 0), abs=0.01)


def test_paths_across_a_break_are_infeasible_between_points_that_both_have():
    target = graph(["ab"], a=(0, 0), b=(0, 1000))
    pred = graph(["ab", "cd"], a=(0, 0), b=(0, 300), c=(0, 700), d=(0, 1000))
    result = too_long_too_short(pred, target, radius=0.1, paths=20_000, draw_from="both")
    assert result == pytest.approx((0.5, 0, 0, 0.5), abs=0.01)


@pytest.mark.parametrize("share", [0.3, 0.05])
def test_points_drawn_from_both_networks_may_be_few(share):
    target = graph(["ab"], a=(0, 0), b=(0, 1000))
    pred = graph(["ab"], a=(0, 0), b=(0, 1000 * share))
    assert too_long_too_short(pred, target, radius=0.1, paths=10, draw_from="both") == (1, 0, 0, 0)
    far = graph(["ab"], a=(900, 0), b=(900, 1000))
    assert too_long_too_short(far, target, paths=10, draw_from="both") == (0, 0, 0, 1)


def test_paths_are_drawn_within_connected_components():
    target = graph(["ab", "cd"], a=(0, 0), b=(0, 300), c=(200, 0), d=(200, 100))
    pred = graph(["ab"], a=(0, 0), b=(0, 300))
    # Both ends of a path lie on the same street. The odds of the long street are 300^2 : 100^2.
    assert too_long_too_short(pred, target, paths=20_000) == pytest.approx((0.9, 0, 0, 0.1), abs=0.01)


def test_paths_across_a_break_are_infeasible():
    target = graph(["ab"], a=(0, 0), b=(0, 1000))
    pred = graph(["ab", "cd"], a=(0, 0), b=(0, 499), c=(0, 501), d=(0, 1000))
    result = too_long_too_short(pred, target, paths=20_000)
    # Two points are on different sides of the break with probability 1/2.
    assert result.infeasible == pytest.approx(0.5, abs=0.01)
    assert result.correct + result.infeasible == pytest.approx(1, abs=0.01)


def test_end_points_are_matched_within_the_radius():
    target = graph(["ab"], a=(0, 0), b=(0, 1000))
    pred = graph(["ab"], a=(25, 0), b=(25, 1000))
    assert too_long_too_short(pred, target) == (1, 0, 0, 0)
    assert too_long_too_short(pred, target, radius=24.9) == (0, 0, 0, 1)


def test_paths_within_the_tolerance_are_correct():
    target = graph(["ab"], a=(0, 0), b=(0, 1000))
    pred = graph(["ab"], a=(0, 0), b=(0, 1000))
    for u, v, key in list(pred.edges(keys=True)):  # a zigzag, 4 % longer than the line
        zigzag = [(2.857 * (x % 20 == 10), float(x)) for x in range(0, 1001, 10)]
        pred.edges[u, v, key]["path"] = zigzag
    assert too_long_too_short(pred, target).correct > 0.95
    assert too_long_too_short(pred, target, tolerance=0.03).too_long > 0.9


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_shares_of_paths_are_invariant_under_symmetries(symmetry):
    pred = oddities()
    pred.remove_edge("a", "b", 0)
    assert too_long_too_short(moved(pred, symmetry), moved(oddities(), symmetry)) == too_long_too_short(
        pred, oddities()
    )


def test_seed_decides_which_paths_are_drawn():
    results = [too_long_too_short(OPEN, SQUARE, seed=seed) for seed in (0, 0, 1)]
    assert results[0] == results[1] != results[2]
    assert sum(results[0]) == pytest.approx(1)
    results = [too_long_too_short(OPEN, SQUARE, seed=seed, draw_from="both") for seed in (0, 0, 1)]
    assert results[0] == results[1] != results[2]


def test_paths_are_correct_if_neither_graph_has_one_and_infeasible_if_one_has_none():
    nothing, node = nx.Graph(), graph([], a=(5, 5))
    assert too_long_too_short(nothing, nothing) == too_long_too_short(node, nothing) == (1, 0, 0, 0)
    assert too_long_too_short(SQUARE, nothing) == too_long_too_short(nothing, SQUARE) == (0, 0, 0, 1)


def test_paths_of_a_batch_of_volumes_are_added_up():
    target = torch.zeros(2, 1, 9, 9, 120, dtype=torch.bool)
    target[:, :, 4, 4, 10:111] = True
    pred = target.clone()
    pred[0] = False
    assert too_long_too_short(pred, target) == (0.5, 0, 0, 0.5)
    line = graph(["ab"], a=(4, 4, 10), b=(4, 4, 110))
    assert too_long_too_short(line, target[1, 0], radius=1.5) == (1, 0, 0, 0)
    assert too_long_too_short(target[:0], target[:0]) == (1, 0, 0, 0)


@pytest.mark.parametrize("wrong", [{"radius": 0.0}, {"tolerance": -0.1}, {"tolerance": np.nan}, {"paths": 0}])
def test_settings_out_of_range_raise(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        too_long_too_short(SQUARE, SQUARE, **wrong)
