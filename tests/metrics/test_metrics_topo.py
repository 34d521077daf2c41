"""Marbles and holes, against numbers counted by hand."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch

from gpuph.metrics import topo
from gpuph.metrics.network import Network, Places
from gpuph.metrics.walks import walk
from support.graphs import SYMMETRIES, graph, grid, moved, oddities, ring

LINE = graph(["ab"], a=(0, 0), b=(0, 1000))


def walked(given: nx.Graph, edge: int, along: float, radius: float, interval: float) -> list[tuple[float, ...]]:
    samples = walk(Network(given), Places(np.array([edge]), np.array([float(along)])), radius, interval)
    assert (samples.start == 0).all() and len(samples.direction) == len(samples.place)
    return sorted(tuple(np.round(place, 6).tolist()) for place in samples.place)


def test_walk_samples_both_sides_of_the_start():
    assert walked(LINE, 0, 100, 20, 8) == [(0, 84), (0, 92), (0, 100), (0, 108), (0, 116)]


def test_walk_goes_into_all_edges_of_a_node_and_samples_the_node_once():
    star = graph(["ab", "ac", "ad"], a=(0, 0), b=(0, 50), c=(0, -50), d=(50, 0))
    network = Network(star)
    at_b = (network.place[network.ends] == (0, 50)).all(2)
    edge = int(at_b.any(1).argmax())
    found = walked(star, edge, 40 if at_b[edge, 0] else 10, 20, 5)
    across = [(5, 0), (10, 0), (0, -5), (0, -10)]
    assert found == sorted([(0, 5), (0, 10), (0, 15), (0, 0), (0, 20), (0, 25), (0, 30), *across])


def test_walk_around_a_ring_samples_the_far_side_once():
    assert len(walked(ring(100.0, 4), 0, 30, 1000, 2**0.5)) == 401 - 1  # two walks of 200 steps meet at the far side
    assert len(walked(ring(100.0, 4), 0, 30, 1000, 3.0)) == 1 + 2 * (282 // 3)


def test_walk_does_not_leave_its_component():
    two = graph(["ab", "cd"], a=(0, 0), b=(0, 100), c=(5, 0), d=(5, 100))
    assert all(place[0] == 0 for place in walked(two, 0, 50, 300, 5))


@pytest.mark.parametrize("same", [grid(), ring(), oddities()], ids=["grid", "ring", "odd"])
@pytest.mark.parametrize("average", ["micro", "macro"])
def test_topo_of_a_graph_with_itself_is_perfect(same, average):
    assert topo(same, same, tolerance=0.01, average=average) == (1, 1, 1, 1)


def test_unreachable_holes_stay_empty():
    """A line of 1000 m breaks in the middle; from starts far from the break, all holes are found."""
    pred = graph(["ab", "cd"], a=(0, 0), b=(0, 499), c=(0, 501), d=(0, 1000))
    result = topo(pred, LINE, radius=100.0, interval=1.0, tolerance=1.5, starts=1000)
    assert result.precision == 1 and result.found == 1
    # Starts up to 100 m from the break, a fifth of all, miss half of their 100 holes on one side on average.
    holes = 200 - 2 * 50 * 200 / 1000
    assert result.recall == pytest.approx(1 - 0.2 * 50 / holes, abs=0.005)


def test_false_branches_leave_marbles_over():
    """A false branch of 40 m leaves the middle of a line; walks of 100 m see up to 40 m of it."""
    pred = graph(["am", "mb", "mc"], a=(0, 0), b=(0, 1000), m=(0, 500), c=(40, 500))
    result = topo(pred, LINE, radius=100.0, interval=1.0, tolerance=0.6, starts=1000)
    assert result.recall == result.found == 1
    false = 2 * (60 * 40 + 40 * 40 / 2) / 1000  # marbles per start, on average
    assert result.precision == pytest.approx(1 - false / (200 - 2 * 50 * 200 / 1000 + false), abs=0.005)


def test_starts_that_the_prediction_lacks_have_no_marbles():
    half = graph(["ab"], a=(0, 0), b=(0, 500))
    result = topo(half, LINE, radius=10.0, interval=1.0, tolerance=0.5, starts=1000, average="macro")
    assert result.found == pytest.approx(0.5, abs=0.002) and result.precision == 1
    assert result.recall == pytest.approx(0.5, abs=0.01)
    assert topo(half, LINE, average="micro").precision == 1


def test_micro_weighs_starts_by_their_marbles_and_macro_alike():
    target = graph(["ab", "cd"], a=(0, 0), b=(0, 100), c=(500, 0), d=(500, 900))
    pred = graph(["ab", "cd"], a=(0, 0), b=(0, 100), c=(500, 0), d=(500, 900))
    pred.remove_edge("c", "d")
    micro, macro = (topo(pred, target, average=average, radius=2000.0) for average in ("micro", "macro"))
    assert macro.recall == macro.found == pytest.approx(0.1)
    assert micro.recall == pytest.approx(0.1 * 100 / (0.1 * 100 + 0.9 * 900), abs=0.002)


def test_marbles_fall_within_the_tolerance_and_the_angle():
    shifted = graph(["ab"], a=(4, 0), b=(4, 1000))
    assert topo(shifted, LINE, tolerance=4.0, radius=50.0)[:3] == (1, 1, 1)
    assert topo(shifted, LINE, tolerance=3.9, radius=50.0) == (0, 0, 0, 0)
    saw = graph([("a", "b", [(3.0 * (x % 2), 2.0 * x) for x in range(501)])], a=(0, 0), b=(0, 1000))
    wide, narrow = (topo(saw, LINE, interval=0.5, angle=angle, radius=20.0) for angle in (60, 50))
    assert wide.recall > 0.95 > 0.2 > narrow.recall  # the teeth rise by 56 degrees, and are flat around their tips
    assert topo(saw, LINE, interval=0.5, angle=90, radius=20.0) == wide


def test_one_marble_falls_into_each_hole():
    double = graph(["ac", "bd", "ab", "cd"], a=(-1, 0), b=(1, 0), c=(-1, 1000), d=(1, 1000))
    result = topo(double, LINE, radius=2000.0, tolerance=3.0, angle=30)
    assert result.precision == pytest.approx(0.5, abs=0.01) and result.recall > 0.999
    forgiven = topo(double, LINE, radius=2000.0, tolerance=3.0, angle=30, marbles_per_hole=2)
    assert forgiven.precision > 0.98 and forgiven.recall == result.recall


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_topo_is_invariant_under_symmetries(symmetry):
    pred = oddities()
    pred.remove_edge("a", "b", 0)
    expected = topo(pred, oddities(), tolerance=3.0)
    assert 0 < expected.recall < 1
    assert topo(moved(pred, symmetry), moved(oddities(), symmetry), tolerance=3.0) == pytest.approx(expected, abs=0.01)


def test_seed_decides_where_walks_start():
    pred = grid()
    pred.remove_edge((1, 1), (1, 2))
    results = [topo(pred, grid(), starts=20, seed=seed) for seed in (0, 0, 1)]
    assert results[0] == results[1] != results[2]


def test_topo_is_perfect_if_neither_graph_has_a_length_and_zero_if_one_has_none():
    nothing, node = nx.Graph(), graph([], a=(5, 5))
    assert topo(nothing, nothing) == topo(node, nothing) == (1, 1, 1, 1)
    for average in ("micro", "macro"):
        assert topo(LINE, nothing, average=average) == topo(nothing, LINE, average=average) == (0, 0, 0, 0)


def test_topo_of_a_batch_of_volumes_adds_up_starts():
    target = torch.zeros(2, 1, 9, 9, 120, dtype=torch.bool)
    target[:, :, 4, 4, 10:111] = True
    pred = target.roll(1, 2)
    assert topo(pred, target, tolerance=1.0, radius=50.0)[:3] == (1, 1, 1)
    pred[0] = False
    assert topo(pred, target, radius=50.0, average="macro") == (1, 0.5, 2 / 3, 0.5)
    line = graph(["ab"], a=(4, 4, 10), b=(4, 4, 110))
    assert topo(line, target[1, 0], radius=50.0) == (1, 1, 1, 1)
    assert topo(target[:0], target[:0]) == (1, 1, 1, 1)


def test_spacing_is_the_unit_of_radius_interval_and_tolerance():
    target = torch.zeros(60, 200, dtype=torch.bool)
    target[30] = target[:, 90] = True
    pred = target.clone()
    pred[30, 100:130] = False
    metres = topo(pred, target, radius=80.0, interval=2.0, tolerance=6.0, spacing=2.0)
    assert metres == pytest.approx(topo(pred, target, radius=40.0, interval=1.0, tolerance=3.0)) and metres.recall < 1


@pytest.mark.parametrize("wrong", [{"radius": 0.0}, {"interval": -1.0}, {"tolerance": 0}, {"angle": 91}, {"starts": 0}])
def test_settings_out_of_range_raise(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        topo(LINE, LINE, **wrong)
