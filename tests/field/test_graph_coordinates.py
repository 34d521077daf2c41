"""Graphs in map coordinates, in degrees, and from other programs.

Metrics depend on neither the origin nor the unit nor the types of positions.
"""

from __future__ import annotations

from itertools import combinations, pairwise

import networkx as nx
import numpy as np
import pytest
import torch
from scipy.spatial import Delaunay

from gpuph.metrics import apls, ccq, draw_graph, junction_score, too_long_too_short
from gpuph.metrics.network import Network, Places, networks
from gpuph.metrics.road_graph import simplified
from support.graphs import graph, grid, oddities, ring

ORIGINS = [(1e7, 1e7), (4e6, 66e4), (-123456.7, 0.3)]


def placed(given: nx.Graph, origin: tuple[float, ...] = (0.0, 0.0), unit: float = 1.0) -> nx.MultiGraph:
    """Return the same graph in another unit and with another origin."""
    made = nx.MultiGraph()
    made.add_nodes_from((n, {"pos": unit * np.array(pos) + origin}) for n, pos in given.nodes(data="pos"))
    for u, v, path in given.edges(data="path"):
        made.add_edge(u, v, path=None if path is None else unit * np.array(path, float) + origin)
    return made


def roads(seed: int, count: int = 60) -> nx.MultiGraph:
    """Return curved roads between random places, with paths in either direction."""
    rng = np.random.default_rng(seed)
    place = rng.uniform(0, 600, (count, 2))
    made = nx.MultiGraph()
    made.add_nodes_from((node, {"pos": pos}) for node, pos in enumerate(place))
    sides = {tuple(sorted(pair)) for face in Delaunay(place).simplices.tolist() for pair in combinations(face, 2)}
    for u, v in sorted(sides):
        if rng.random() < 0.6:
            path = place[u] + np.linspace(0, 1, 12)[:, None] * (place[v] - place[u])
            path[1:-1] += rng.normal(0, 1, (10, 2))
            made.add_edge(u, v, path=path[:: rng.choice((-1, 1))])
    return made


def noisy(given: nx.Graph, seed: int) -> nx.MultiGraph:
    """Return a prediction: some edges are missing, and the rest is moved by up to 1 along each axis."""
    rng = np.random.default_rng(seed)
    made = placed(given, tuple(rng.uniform(-1, 1, 2)))
    made.remove_edges_from([edge for edge in list(made.edges) if rng.random() < 0.1])
    return made


PAIRS = {
    "roads": (noisy(roads(0), 0), roads(0)),
    "grid": (placed(grid(4, 5, 90.1), (0.7, -0.4)), grid(4, 5, 90.1)),
    "odd": (nx.MultiGraph(oddities().edge_subgraph(list(oddities().edges)[1:])), oddities()),
}


def scores(pred: nx.Graph, target: nx.Graph, unit: float = 1.0) -> list[float]:
    return [
        *apls(pred, target, spacing=30.0 * unit, snap=4.0 * unit),
        *too_long_too_short(pred, target, radius=5.0 * unit, paths=300),
        *junction_score(pred, target, radius=20.0 * unit, merge=10.0 * unit),
        *ccq(pred, target, tolerance=5.0 * unit),
    ]


# Origin and unit.


def test_paths_in_map_coordinates_may_run_backwards():
    north, east = 4e6, 66e4
    bent = nx.Graph()
    for name, y in (("a", 0), ("b", 10), ("c", 30)):
        bent.add_node(name, pos=(north + y, east))
    bent.add_edge("a", "b")
    bent.add_edge("b", "c", path=[(north + 30, east), (north + 10, east)])
    straight = graph(["ab"], a=(north, east), b=(north + 30, east))
    assert [length for *_, length in simplified(bent).edges(data="length")] == [30.0]
    assert apls(bent, straight, spacing=5.0) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("name", PAIRS)
def test_metrics_do_not_depend_on_the_origin(name, origin):
    pred, target = PAIRS[name]
    there = scores(placed(pred, origin), placed(target, origin))
    assert there == pytest.approx(scores(pred, target), abs=1e-6)
    assert min(there) < 0.99


@pytest.mark.parametrize("name", PAIRS)
def test_metrics_do_not_depend_on_the_unit(name):
    pred, target = PAIRS[name]
    degrees = 1e-5
    there = scores(placed(pred, (60.2, 24.9), degrees), placed(target, (60.2, 24.9), degrees), degrees)
    assert there == pytest.approx(scores(pred, target), abs=1e-6)


@pytest.mark.parametrize("origin", ORIGINS)
def test_lengths_do_not_depend_on_the_origin(origin):
    for given in (roads(1), grid(3, 4, 0.1), oddities()):
        expected = [length for *_, length in simplified(given).edges(data="length")]
        lengths = [length for *_, length in simplified(placed(given, origin)).edges(data="length")]
        assert lengths == pytest.approx(expected, abs=1e-6)


def test_rounding_of_lengths_does_not_add_control_points():
    for origin in [(0.0, 0.0), *ORIGINS]:
        for count in range(1, 40):
            line = placed(graph(["ab"], a=(0.3, 0.7), b=(0.3, 0.7 + 0.1 * count)), origin)
            network, _ = networks(line, line)
            assert len(network.control_places(0.1)) == count + 1


def test_points_exactly_at_the_radius_are_found_for_any_origin():
    line = graph(["ab"], a=(0, 0), b=(0, 30))
    for origin in ORIGINS:
        for radius in (0.1, 0.3, 0.7, 1.1, 25.3):
            aside = placed(graph(["ab"], a=(radius, 0), b=(radius, 30)), origin)
            assert ccq(aside, placed(line, origin), tolerance=radius) == (1.0, 1.0, 1.0)
            assert apls(aside, placed(line, origin), snap=radius).score == pytest.approx(1)
            assert ccq(aside, placed(line, origin), tolerance=0.999 * radius).quality == 0.0


def test_ccq_cuts_edges_in_degrees_into_pieces():
    target = graph(["ab"], a=(60.2, 24.9), b=(60.2, 24.91))
    pred = graph(["ab"], a=(60.2, 24.9), b=(60.2, 24.9075))
    assert ccq(pred, target, tolerance=1e-5) == pytest.approx((1, 0.75, 0.75), abs=2e-3)


# The ends of a path.


@pytest.mark.parametrize("origin", [(0.0, 0.0), *ORIGINS])
def test_ends_of_a_path_may_be_one_percent_of_its_extent_away_from_the_nodes(origin):
    def edge(gap: float) -> nx.MultiGraph:
        path = [(0, gap), (30, 50), (0, 100)]
        return placed(graph([("a", "b", path)], a=(0, 0), b=(0, 100)), origin)

    (_, _, path), *_ = simplified(edge(1.0)).edges(data="path")
    assert np.allclose(path - origin, [(0, 0), (30, 50), (0, 100)], rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match=r"`path` of edge \('a', 'b'\) must lead from"):
        simplified(edge(1.1))


def test_paths_take_the_direction_in_which_their_ends_are_nearer_to_the_nodes():
    """Both ends of the road are close to both nodes."""
    loop = [(0.0, 0.0), (40.0, -40.0), (80.0, 0.0), (40.0, 40.0), (0.0, 0.3)]
    for path in (loop, loop[::-1]):
        (_, _, found), *_ = simplified(graph([("a", "b", path)], a=(0, 0), b=(0, 0.3))).edges(data="path")
        assert np.array_equal(found, loop)


def test_reversing_paths_does_not_change_the_graph():
    """The graph has parallel edges, loop edges, chains through nodes of degree 2, and edges without length."""
    curve = [(0, 100), (10, 150), (0, 200)]
    edges = [*oddities().edges(data="path"), ("b", "x", curve), ("x", "y", [(0, 200), (5, 220), (0, 240)])]
    edges += [("f", "g", [(600, 600), (600, 600)]), ("y", "y", [(0, 240), (9, 240), (9, 249), (0, 240)])]
    rng = np.random.default_rng(0)

    def made(turn: bool) -> nx.MultiGraph:
        result = nx.MultiGraph()
        result.add_nodes_from(oddities().nodes(data=True))
        result.add_nodes_from([("x", {"pos": (0, 200)}), ("y", {"pos": (0, 240)})])
        for u, v, path in edges:
            result.add_edge(u, v, path=path[::-1] if path is not None and turn and rng.random() < 0.5 else path)
        return result

    expected = simplified(made(False))
    for _ in range(8):
        turned = simplified(made(True))
        assert sorted(e[2] for e in turned.edges(data="length")) == pytest.approx(
            sorted(e[2] for e in expected.edges(data="length"))
        )
        for u, v, path in turned.edges(data="path"):
            ends = {tuple(turned.nodes[node]["pos"]) for node in (u, v)}
            assert {tuple(path[0]), tuple(path[-1])} == ends
        assert ccq(turned, expected, tolerance=0.1) == (1.0, 1.0, 1.0)


# Types.


@pytest.mark.parametrize(
    "convert",
    [list, tuple, np.array, torch.tensor, lambda pos: torch.tensor(pos, dtype=torch.bfloat16, requires_grad=True)],
    ids=["list", "tuple", "array", "tensor", "bfloat16"],
)
def test_positions_and_paths_may_be_sequences_arrays_or_tensors(convert):
    given = oddities()
    for _, data in given.nodes(data=True):
        data["pos"] = convert([float(x) for x in data["pos"]])
    for _, _, data in given.edges(data=True):
        if "path" in data and convert is not list:
            data["path"] = convert([[float(x) for x in pos] for pos in data["path"]])
    assert scores(given, oddities()) == pytest.approx(scores(oddities(), oddities()))
    assert (draw_graph(given, (200, 200)) == draw_graph(oddities(), (200, 200))).all()


@pytest.mark.parametrize("name", [str, lambda node: (node, "x"), lambda node: -node], ids=["string", "tuple", "number"])
def test_metrics_do_not_depend_on_the_names_of_nodes(name):
    pred, target = PAIRS["roads"]
    renamed = [nx.relabel_nodes(given, {node: name(node) for node in given}) for given in (pred, target)]
    assert scores(*renamed) == scores(pred, target)


@pytest.mark.parametrize(
    "path",
    [[(0, 0), (1,)], [(0, 0), (1, 1, 1)], [(0, 0), (np.nan, 1), (9, 9)], "path", [0, 9], {"a": 1}, [(0, 0)], [[]]],
    ids=["ragged", "mixed", "nan", "text", "1D", "dict", "short", "empty"],
)
def test_invalid_path_raises_and_names_its_edge(path):
    broken = graph(["ab", ("a", ("b", 1), path)], a=(0, 0), b=(9, 0))
    broken.add_node(("b", 1), pos=(9, 9))
    for metric in (apls, ccq, too_long_too_short, junction_score):
        with pytest.raises(ValueError, match=r"`path` of edge \('a', \('b', 1\)\) must"):
            metric(broken, grid())


@pytest.mark.parametrize(
    "pos", [None, (0, np.nan), (np.inf, 0), (0,), (0, (1, 2)), "xy", torch.zeros(2, 2)], ids=lambda pos: repr(pos)[:9]
)
def test_invalid_position_raises_and_names_its_node(pos):
    for metric in (apls, ccq, too_long_too_short, junction_score):
        with pytest.raises(ValueError, match=r"node \('n', 1\) must have a `pos` of 2 or 3 finite numbers"):
            broken = nx.Graph(grid())
            broken.add_node(("n", 1), pos=pos)
            metric(broken, grid())


def test_graphs_in_3d_are_compared_with_empty_graphs():
    line, nothing = graph(["ab"], a=(1e6, 0, 0), b=(1e6, 0, 90)), nx.Graph()
    assert ccq(line, line) == apls(line, line) == (1.0, 1.0, 1.0)
    for pred, target in ((line, nothing), (nothing, line)):
        assert ccq(pred, target).quality == apls(pred, target).score == 0.0
        assert too_long_too_short(pred, target).infeasible == 1.0


# Distances.


def test_distances_between_few_and_many_places_equal_those_of_networkx():
    """Searches start at the ends of edges or at the places themselves, whichever are fewer."""
    for given in (roads(2), oddities()):
        network = Network(given)
        rng = np.random.default_rng(0)
        places = Places(rng.integers(0, len(network.ends), 40), np.zeros(40))
        places = Places(places.edge, network.length[places.edge] * rng.choice((0, 0.2, 0.5, 1), 40))
        split = nx.MultiGraph()
        for edge, (u, v) in enumerate(network.ends.tolist()):
            along = sorted((places.along[i], ("place", i)) for i in np.flatnonzero(places.edge == edge).tolist())
            stops = [(0.0, u), *along, (network.length[edge], v)]
            for (low, a), (high, b) in pairwise(stops):
                split.add_edge(a, b, weight=high - low)
        expected = dict(nx.all_pairs_dijkstra_path_length(split))
        table = [[expected["place", a].get(("place", b), np.inf) for b in range(40)] for a in range(40)]
        assert np.allclose(network.distances(places, np.arange(40)), table)
        for a in range(40):
            assert np.allclose(network.distances(places, np.array([a])), table[a])
            pairs = places[np.full(40, a)], places
            assert np.allclose(network.pair_distances(*pairs), table[a])


def test_edges_without_length_have_a_ccq_of_zero():
    point, line = graph(["ab"], a=(5, 5), b=(5, 5)), graph(["ab"], a=(5, 4), b=(5, 6))
    assert ccq(point, line) == (0.0, 1.0, 0.0)
    assert ccq(line, point) == (1.0, 0.0, 1.0)


@pytest.mark.slow
def test_every_metric_of_a_graph_with_itself_is_perfect():
    forms = [
        nx.Graph(),
        ring(),
        oddities(),
        graph(["aa", "aa"], a=(3, 4)),
        graph(["ab", ("a", "b", [(0, 0), (4, 4), (0, 9)])], a=(0, 0), b=(0, 9)),
    ]
    forms += [graph(["ab"] * 3, a=(1, 1), b=(1, 1)), oddities().subgraph("abcd"), nx.freeze(nx.Graph(grid()))]
    for given in forms:
        assert apls(given, given) == pytest.approx((1, 1, 1))
        assert too_long_too_short(given, given, radius=0.1, tolerance=0.0) == (1, 0, 0, 0)
        assert junction_score(given, given) == pytest.approx((1, 1, 1, 0))
        assert ccq(given, given, tolerance=0.0) == (1, 1, 1)
