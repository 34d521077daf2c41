"""Lengths of shortest paths on contracted graphs, against networkx."""

from __future__ import annotations

from importlib import import_module
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest

from gpuph.metrics import apls
from gpuph.metrics.network import Network, Places, networks
from support.graphs import graph, oddities


def street_map(seed: int) -> nx.Graph:
    """A grid of streets without some of its edges, in several pieces and with dead ends."""
    made = nx.grid_2d_graph(18, 18)
    rng = np.random.default_rng(seed)
    made.remove_edges_from([edge for edge in list(made.edges) if rng.random() < 0.3])
    return made


def tangle(seed: int) -> nx.MultiGraph:
    """Random edges, some of them parallel, some from a node to itself."""
    made = nx.MultiGraph(nx.gnm_random_graph(200, 300, seed=seed))
    rng = np.random.default_rng(seed)
    made.add_edges_from(list(made.edges)[:40])
    made.add_edges_from((node, node) for node in rng.integers(0, 200, 20).tolist())
    return made


KINDS = {
    "streets": lambda: street_map(0),
    "tangle": lambda: tangle(0),
    "tree": lambda: nx.random_labeled_tree(400, seed=0),
    "star": lambda: nx.star_graph(150),
    "ladder": lambda: nx.ladder_graph(150),
    "3 neighbours": lambda: nx.random_regular_graph(3, 150, seed=0),
    "8 neighbours": lambda: nx.random_regular_graph(8, 120, seed=0),
    "complete": lambda: nx.complete_graph(30),
    "loops": lambda: nx.MultiGraph([(node, node) for node in range(120)] + [(0, 1), (0, 2)]),
}


def placed(made: nx.Graph, seed: int = 0) -> nx.MultiGraph:
    """Nodes at random places, some of them in one place; every third edge bends."""
    rng = np.random.default_rng(seed)
    placed = nx.MultiGraph(made)
    nx.set_node_attributes(placed, {node: rng.integers(0, 12, 2) * 25.0 for node in placed}, "pos")
    for index, (u, v, key) in enumerate(list(placed.edges(keys=True))):
        if u == v or index % 3 == 0:
            bend = rng.random((2, 2)) * 300
            placed.edges[u, v, key]["path"] = [placed.nodes[u]["pos"], *bend, placed.nodes[v]["pos"]]
    return placed


def some_places(network: Network, count: int) -> Places:
    """Random places, many of them at ends of edges."""
    rng = np.random.default_rng(0)
    edge = rng.integers(0, len(network.ends), count)
    return Places(edge, network.length[edge] * rng.choice((0, 0.25, 0.6, 1), count))


def expected_lengths(network: Network, places: Places, sources: range) -> np.ndarray:
    """Dijkstra's algorithm by networkx on a graph in which each place is a node."""
    split = nx.MultiGraph()
    on_edge: list[list[tuple[float, object]]] = [[] for _ in network.ends]
    for place, (edge, along) in enumerate(zip(places.edge.tolist(), places.along.tolist(), strict=True)):
        on_edge[edge].append((along, ("place", place)))
    for (u, v), length, along in zip(network.ends.tolist(), network.length.tolist(), on_edge, strict=True):
        stops = [(0.0, u), *sorted(along), (length, v)]
        split.add_edges_from((a, b, {"weight": high - low}) for (low, a), (high, b) in pairwise(stops))
    rows = [nx.single_source_dijkstra_path_length(split, ("place", source)) for source in sources]
    return np.array([[row.get(("place", place), np.inf) for place in range(len(places))] for row in rows])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [40, 700], ids=["fewer places than nodes", "more places than nodes"])
def test_lengths_of_shortest_paths_are_networkx_s(kind, count):
    network = Network(placed(KINDS[kind]()))
    places = some_places(network, count)
    sources = range(12)
    expected = expected_lengths(network, places, sources)
    assert np.isfinite(expected).any()
    everywhere = np.arange(count)
    found = network.distances(places, everywhere)
    assert found[:12] == pytest.approx(expected, rel=1e-12, abs=1e-9)
    assert network.distances(places, np.array(sources)) == pytest.approx(expected, rel=1e-12, abs=1e-9)
    for source in sources:
        pairs = network.pair_distances(places[np.full(count, source)], places)
        assert pairs == pytest.approx(expected[source], rel=1e-12, abs=1e-9)


def test_lengths_are_symmetric():
    network = Network(placed(tangle(1)))
    places = some_places(network, 150)
    found = network.distances(places, np.arange(150))
    assert found == pytest.approx(found.T, rel=1e-12, abs=1e-9)


def expected_similarity(network: Network, other: Network, spacing: float, snap: float) -> float:
    """One direction of APLS as its definition says, with paths by networkx."""
    places = network.control_places(spacing)
    snapped, found = other.snap(network.positions(places), snap)
    lengths = expected_lengths(network, places, range(len(places)))
    counterparts = expected_lengths(other, snapped, range(len(places)))
    costs = []
    for i, j in zip(*np.nonzero(np.isfinite(lengths) & (lengths > network.rounding)), strict=True):
        both = found[i] and found[j] and np.isfinite(counterparts[i, j])
        costs.append(min(1, abs(lengths[i, j] - counterparts[i, j]) / lengths[i, j]) if both else 1)
    return 1 - float(np.mean(costs))


@pytest.mark.parametrize(("kind", "shift"), [("streets", 0.0), ("tangle", 0.0), ("tangle", 1e6), ("3 neighbours", 0.0)])
def test_apls_is_its_definition_with_networkx_s_paths(kind, shift):
    target = placed(KINDS[kind]())
    for data in [*(data for _, data in target.nodes(data=True)), *(data for *_, data in target.edges(data=True))]:
        data.update({name: np.add(value, shift) for name, value in data.items()})
    pred = target.copy()
    pred.remove_edges_from(list(pred.edges(keys=True))[::7])
    result = apls(pred, target, spacing=1000.0, points=None)
    network, true_network = networks(pred, target)
    assert result.target_to_pred == pytest.approx(expected_similarity(true_network, network, 1000.0, 4.0), abs=1e-9)
    assert result.pred_to_target == pytest.approx(expected_similarity(network, true_network, 1000.0, 4.0), abs=1e-9)


def test_apls_does_not_depend_on_the_size_of_its_blocks(monkeypatch):
    target = placed(street_map(0))
    pred = target.copy()
    pred.remove_edges_from(list(pred.edges(keys=True))[::5])
    results = []
    for block in (1, 37, 256, 10_000):
        monkeypatch.setattr(import_module("gpuph.metrics.apls"), "BLOCK", block)
        results.append(apls(pred, target, points=60))
    for result in results:
        assert result == pytest.approx(results[0], abs=1e-12)
    assert 0 < results[0].score < 1


def test_apls_between_large_and_trivial_graphs():
    large, trivial = placed(tangle(0)), graph([], a=(0, 0))
    for nothing in (nx.Graph(), trivial, graph(["ab"], a=(5, 5), b=(5, 5))):
        assert apls(nothing, large).score == apls(large, nothing).score == 0.0
    assert 0 <= apls(oddities(), large).score < 1
