"""APLS against values calculated by hand."""

from __future__ import annotations

import time

import networkx as nx
import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from bench.train.roads import load_lines
from gpuph.metrics import apls
from support.graphs import SYMMETRIES, graph, grid, moved, oddities, ring


@pytest.mark.parametrize(
    "same", [grid(), ring(), oddities(), oddities().subgraph("b")], ids=["grid", "ring", "odd", "loop"]
)
def test_apls_of_a_graph_with_itself_is_perfect(same):
    assert apls(same, same) == pytest.approx((1, 1, 1))
    assert apls(same, nx.MultiGraph(same), spacing=7.0, points=None) == pytest.approx((1, 1, 1))


def test_detour_costs_its_relative_length():
    target = graph(["ab"], a=(0, 0), b=(0, 100))
    pred = graph([("a", "b", [(0, 0), (0, -25), (1, -25), (1, 100), (0, 100)])], a=(0, 0), b=(0, 100))
    there, back = 1 - 52 / 100, 1 - 52 / 152
    result = apls(pred, target, spacing=1000.0, snap=0.5)
    assert result == pytest.approx((2 * there * back / (there + back), there, back))


def test_missing_edge_costs_all_paths_through_it():
    """Two junctions with dead ends of 10 m are joined by streets of 100 m and 300 m; the short street is missing."""
    places = {"a": (0, 0), "b": (0, 100), "c": (0, -10), "d": (0, 110)}
    long = ("a", "b", [(0, 0), (100, 0), (100, 100), (0, 100)])
    target, pred = graph(["ab", long, "ac", "bd"], **places), graph([long, "ac", "bd"], **places)
    # In the truth, four of six paths lead along the missing street: 100 to 120 m become 300 to 320 m, a cost of 1.
    # In the prediction, the dead ends are the only nodes: 320 m apart, and 120 m in the truth.
    there, back = 2 / 6, 120 / 320
    assert apls(pred, target, spacing=1000.0) == pytest.approx((2 * there * back / (there + back), there, back))


def test_missing_arm_costs_the_paths_that_end_in_it():
    target = graph(["ab", "ac", "ad"], a=(0, 0), b=(0, 50), c=(0, -50), d=(50, 0))
    pred = target.copy()
    pred.remove_node("d")
    # Three of the six paths end in d. The rest is a line of 100 m with a control point in its middle, and correct.
    assert apls(pred, target) == pytest.approx((2 / 3, 1 / 2, 1))


def test_control_points_are_spaced_along_edges():
    target = graph(["ab"], a=(0, 0), b=(0, 210))  # five equal pieces of 42 m
    pred = graph(["ab"], a=(0, 0), b=(0, 100))  # reaches three of six points
    assert apls(pred, target).target_to_pred == pytest.approx(3 / 15)


def test_pairs_of_points_without_a_path_are_not_counted():
    target = graph(["ab", "cd"], a=(0, 0), b=(0, 50), c=(200, 0), d=(200, 50))
    pred = graph(["ab", "cd", "ac"], a=(0, 0), b=(0, 50), c=(200, 0), d=(200, 50))
    result = apls(pred, target, spacing=1000.0)
    # The prediction has a path of 300 m that the truth does not have.
    assert result == (0.0, 1.0, 0.0)


def test_control_points_are_snapped_within_a_distance_in_metres():
    target = grid()
    pred = moved(moved(target, "flip"), "flip")
    nx.set_node_attributes(pred, {node: np.add(pos, (0, 3)) for node, pos in pred.nodes(data="pos")}, "pos")
    assert apls(pred, target, snap=2.9).score < 0.6
    assert apls(pred, target, snap=3.0).score > 0.9
    assert apls(pred, target, snap=6.0, metres_per_pixel=2.0) == pytest.approx(
        apls(pred, target, spacing=25.0, snap=3.0)
    )


def test_swapping_pred_and_target_swaps_the_directions():
    pred = grid()
    pred.remove_edges_from([((0, 1), (1, 1)), ((1, 2), (1, 3))])
    there, back = apls(pred, grid()), apls(grid(), pred)
    assert there == pytest.approx((back.score, back.pred_to_target, back.target_to_pred))
    assert 0 < there.target_to_pred < there.pred_to_target < 1


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_apls_of_graphs_is_invariant_under_symmetries(symmetry):
    target = oddities()
    pred = target.copy()
    pred.remove_edge("a", "b", 0)
    assert apls(moved(pred, symmetry), moved(target, symmetry)) == pytest.approx(apls(pred, target))


@pytest.mark.parametrize("turn", [lambda mask: mask.flip(0), lambda mask: mask.flip(1), lambda mask: mask.T])
def test_apls_of_masks_is_invariant_under_symmetries(turn):
    target = torch.zeros(120, 180, dtype=torch.bool)
    target[20] = target[90] = target[:, 40] = target[:, 130] = True
    pred = target.clone()
    pred[20, 80:90] = False
    assert apls(turn(pred), turn(target)) == pytest.approx(apls(pred, target))
    assert apls(pred, target).score < 0.9


def test_apls_of_graphs_far_apart_is_zero():
    there = nx.Graph(grid())
    nx.set_node_attributes(there, {node: np.add(pos, 1e4) for node, pos in there.nodes(data="pos")}, "pos")
    assert apls(there, grid()) == (0, 0, 0)
    both = nx.union(grid(), there, rename=("c", "d"))
    # There are enough control points for several blocks, and no point of the last blocks is found: half of the pairs.
    assert apls(grid(), both, spacing=2.0, points=None) == pytest.approx((2 / 3, 1 / 2, 1))


def test_apls_is_perfect_if_neither_graph_has_a_path_and_zero_if_one_has_none():
    nothing, node = nx.Graph(), graph([], a=(5, 5))
    assert apls(nothing, nothing) == apls(nothing, node) == (1, 1, 1)
    assert apls(nothing, grid()) == apls(grid(), nothing) == apls(node, grid()) == (0, 0, 0)
    empty = torch.zeros(20, 30, dtype=torch.bool)
    assert apls(empty, empty) == (1, 1, 1)
    assert apls(empty, grid()) == (0, 0, 0)


def test_seed_decides_which_control_points_are_drawn():
    target = grid(6, 7)
    pred = target.copy()
    pred.remove_edges_from([((2, 2), (2, 3)), ((3, 3), (4, 3)), ((0, 0), (0, 1))])
    everything = apls(pred, target, points=None)
    some = [apls(pred, target, points=60, seed=seed) for seed in (0, 0, 1)]
    assert some[0] == some[1] != some[2]
    assert some[0] == pytest.approx(everything, abs=0.05)


def test_apls_of_a_batch_is_the_mean_over_images():
    target = torch.zeros(3, 1, 40, 120, dtype=torch.bool)
    target[:2, 0, 20, 10:111] = True
    pred = target.clone()
    pred[0] = False
    assert apls(pred, target) == pytest.approx((2 / 3, 2 / 3, 2 / 3))


def test_apls_takes_volumes():
    target = torch.zeros(9, 9, 120, dtype=torch.bool)
    target[4, 4, 10:111] = True
    pred = target.roll(2, 0)
    assert apls(pred, target) == pytest.approx((1, 1, 1))
    pred[..., 80:] = False
    assert apls(pred, target).target_to_pred == pytest.approx(1 / 3)


def test_apls_of_a_large_map_takes_less_than_half_a_minute():
    canvas = Image.new("L", (1000, 1600))
    draw = ImageDraw.Draw(canvas)
    for line in load_lines():
        draw.line([(float(x), 1599 - float(y)) for x, y in line], fill=1)
    target = torch.from_numpy(np.array(canvas) > 0)
    pred = target.clone()
    pred[800:810] = False
    start = time.process_time()
    result = apls(pred, target, points=500)
    assert time.process_time() - start < 30
    assert 0 < result.target_to_pred < 1


@pytest.mark.parametrize("wrong", [{"spacing": 0.0}, {"snap": -1.0}, {"metres_per_pixel": 0.0}, {"points": 1}])
def test_settings_out_of_range_raise(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        apls(grid(), grid(), **wrong)


def test_invalid_graphs_and_masks_raise():
    with pytest.raises(ValueError, match="as many coordinates"):
        apls(grid(), graph(["ab"], a=(0, 0, 0), b=(0, 0, 9)))
    with pytest.raises(ValueError, match="node 0 must have a `pos` of 2 or 3 finite numbers, got None"):
        apls(nx.path_graph(2), grid())
    with pytest.raises(ValueError, match="target must hold one mask if the other input is a graph, got 2"):
        apls(grid(), torch.ones(2, 1, 9, 9, dtype=torch.bool))
    with pytest.raises(TypeError, match="target must be a tensor or an array, got None"):
        apls(grid(), None)
