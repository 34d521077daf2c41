"""Clusters of junctions, against a plain version of the rule that Bastani et al. published with RoadTracer.

Unlike their program, the plain version counts dead ends that are shorter than the radius.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import acos, dist, hypot, pi

import networkx as nx
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from gpuph.metrics import junction_score, skeleton_graph
from support.graphs import graph

Point = tuple[float, float]


def published(pred: nx.Graph, target: nx.Graph, radius: float, merge: float) -> tuple[float, float]:
    """Return recall and error rate of simple graphs with straight edges, computed node by node."""
    true_clusters = clusters_of_truth(target, merge)
    clusters = clusters_of_prediction(pred, [target.nodes[centre]["pos"] for centre, _ in true_clusters], merge)
    junctions = [(pred.nodes[centre]["pos"], ahead(pred, nodes, radius)) for centre, nodes in clusters]
    used: set[int] = set()
    found = false = 0.0
    for centre, nodes in true_clusters:
        place, points = target.nodes[centre]["pos"], ahead(target, nodes, radius)
        best = None
        for index, (other, other_points) in enumerate(junctions):
            if index in used or dist(place, other) > radius:
                continue
            share = share_with_counterpart(place, points, other, other_points)
            wrong = 1 - share_with_counterpart(other, other_points, place, points)
            score = share - wrong - dist(place, other) / radius
            if share > wrong and (best is None or score > best[0]):
                best = score, index, share, wrong
        if best is not None:
            used.add(best[1])
            found, false = found + best[2], false + best[3]
    false += len(junctions) - len(used)
    return found / len(true_clusters), false / (false + found) if false + found else 0.0


def clusters_of_truth(given: nx.Graph, merge: float) -> list[tuple[int, list[int]]]:
    clusters, seen = [], set()
    for node in given:
        if node not in seen and is_junction(given, node):
            place, way = given.nodes[node]["pos"], ways(given, node)
            close = [
                other
                for other in given
                if is_junction(given, other)
                and dist(place, given.nodes[other]["pos"]) < merge
                and way.get(other, np.inf) < 2 * merge
            ]
            seen.update(close)
            clusters.append((node, close or [node]))
    return clusters


def clusters_of_prediction(given: nx.Graph, centres: list[Point], merge: float) -> list[tuple[int, list[int]]]:
    around: dict[int, list[int]] = {}
    for node in given:
        if is_junction(given, node):
            distances = [dist(given.nodes[node]["pos"], centre) for centre in centres]
            around.setdefault(distances.index(min(distances)), []).append(node)
    clusters = []
    for index, nodes in around.items():
        best = min(nodes, key=lambda node: dist(given.nodes[node]["pos"], centres[index]))
        reached = [node for node in nodes if ways(given, best).get(node, np.inf) < 3 * merge]
        clusters.append((best, reached or [best]))
        clusters += [(node, [node]) for node in nodes if node not in (reached or [best])]
    return clusters


def is_junction(given: nx.Graph, node: int) -> bool:
    return len(set(given[node])) >= 3


def ways(given: nx.Graph, source: int) -> dict[int, float]:
    def length(u: int, v: int, _: dict) -> float:
        return dist(given.nodes[u]["pos"], given.nodes[v]["pos"])

    return nx.single_source_dijkstra_path_length(given, source, weight=length)


def ahead(given: nx.Graph, sources: list[int], distance: float) -> list[Point]:
    """Return the points at some distance along each road, or at the next junction or dead end."""
    points, walked = [], set()

    def walk(node: int, rest: float) -> None:
        (y, x) = given.nodes[node]["pos"]
        for other in given[node]:
            if frozenset((node, other)) in walked:
                continue
            walked.add(frozenset((node, other)))
            (v, u) = given.nodes[other]["pos"]
            length = hypot(v - y, u - x)
            if rest <= length:
                points.append((y + rest / length * (v - y), x + rest / length * (u - x)))
            elif given.degree[other] == 1 or (other not in sources and is_junction(given, other)):
                points.append((v, u))
            else:
                walk(other, rest - length)

    for source in sources:
        walk(source, distance)
    return points


def share_with_counterpart(place: Point, points: list[Point], other: Point, other_points: list[Point]) -> float:
    def angle(a: Point, b: Point) -> float:
        one, two = (a[0] - place[0], a[1] - place[1]), (b[0] - other[0], b[1] - other[1])
        cosine = (one[0] * two[0] + one[1] * two[1]) / (hypot(*one) * hypot(*two))
        return acos(max(-1.0, min(1.0, cosine)))

    return sum(any(angle(a, b) < pi / 2 - 1e-6 for b in other_points) for a in points) / len(points)


def comb(spacing: float, count: int = 11, teeth: Iterable[int] | None = None, tooth: float = 60.0) -> nx.Graph:
    """Return a road with side roads; the road continues at both ends."""
    made = nx.Graph()
    for node in range(count):
        made.add_node(node, pos=(0.0, node * spacing))
    made.add_node("left", pos=(0.0, -100.0))
    made.add_node("right", pos=(0.0, (count - 1) * spacing + 100.0))
    nx.add_path(made, ["left", *range(count), "right"])
    for node in range(count) if teeth is None else teeth:
        made.add_node(f"tooth {node}", pos=(tooth, node * spacing))
        made.add_edge(node, f"tooth {node}")
    return made


def without(given: nx.Graph, *edges: tuple) -> nx.Graph:
    made = given.copy()
    made.remove_edges_from(edges)
    return made


def lattice(columns: list[float], rows: list[float]) -> nx.Graph:
    """Return streets at right angles, each of which continues for 100 at both ends."""
    made = nx.Graph()
    for i, y in enumerate([rows[0] - 100, *rows, rows[-1] + 100]):
        for j, x in enumerate([columns[0] - 100, *columns, columns[-1] + 100]):
            made.add_node((i, j), pos=(float(y), float(x)))
    for i in range(1, len(rows) + 1):
        nx.add_path(made, [(i, j) for j in range(len(columns) + 2)])
    for j in range(1, len(columns) + 1):
        nx.add_path(made, [(i, j) for i in range(len(rows) + 2)])
    made.remove_nodes_from([node for node in list(made) if made.degree[node] == 0])
    return made


def roundabout(size: float, roads: str = "nesw") -> nx.Graph:
    """Return a square with a road at each corner."""
    corners = {"n": (-size, 0.0), "e": (0.0, size), "s": (size, 0.0), "w": (0.0, -size)}
    far = {f"{name} end": (y / size * 100, x / size * 100) for name, (y, x) in corners.items() if name in roads}
    made = nx.Graph()
    made.add_nodes_from((name, {"pos": pos}) for name, pos in {**corners, **far}.items())
    nx.add_cycle(made, list(corners))
    made.add_edges_from((name, f"{name} end") for name in roads)
    return made


H = graph(["ab", "ac", "ad", "be", "bf"], a=(0, 0), b=(0, 8), c=(-99, -9), d=(99, -9), e=(-99, 17), f=(99, 17))
X = graph(["ab", "ac", "ad", "ae"], a=(0, 4), b=(-99, -5), c=(99, -5), d=(-99, 13), e=(99, 13))
CASES = {
    "comb": (comb(40, teeth=[0, 1, 2, 3, 7, 8, 9, 10]), comb(40), 65, 50),
    "fine comb": (comb(4, teeth=[0, 1, 2, 3, 7, 8, 9, 10]), comb(4), 25, 5),
    "comb with one tooth less": (comb(40, teeth=[0, 1, 2, 3, 4, 6, 7, 8, 9, 10]), comb(40), 65, 50),
    "comb with false teeth": (comb(4), comb(4, teeth=[0, 1, 2, 3, 7, 8, 9, 10]), 25, 5),
    "comb without teeth": (comb(40, teeth=[0]), comb(40), 65, 50),
    "wide comb": (comb(51, teeth=range(2, 11)), comb(51), 45, 50),
    "lattice": (lattice([0, 40, 80, 200], [0, 30, 200]), lattice([0, 40, 80, 200], [0, 30, 200]), 65, 50),
    "lattice without a street": (
        without(lattice([0, 40, 80, 200], [0, 30, 200]), ((1, 4), (2, 4)), ((3, 3), (3, 4))),
        lattice([0, 40, 80, 200], [0, 30, 200]),
        65,
        50,
    ),
    "dual carriageway": (lattice([0], [0, 150]), lattice([0, 8], [0, 150]), 25, 10),
    "no dual carriageway": (lattice([0, 8], [0, 150]), lattice([0], [0, 150]), 25, 10),
    "roundabout": (roundabout(6, "nes"), roundabout(6), 25, 15),
    "roundabout apart": (roundabout(6, "nes"), roundabout(6), 25, 5),
    "skewed crossing": (nx.Graph(H), nx.Graph(X), 25, 10),
    "crossing of a skewed one": (nx.Graph(X), nx.Graph(H), 25, 10),
}


@pytest.mark.parametrize("name", CASES)
def test_recall_and_error_rate_equal_those_of_the_published_rule(name):
    pred, target, radius, merge = CASES[name]
    score = junction_score(pred, target, radius=radius, merge=merge)
    assert (score.recall, score.error_rate) == pytest.approx(published(pred, target, radius, merge))


def test_row_of_junctions_is_not_one_junction():
    for spacing, radius, merge in ((40, 65, 50), (4, 25, 5)):
        pred = comb(spacing, teeth=[0, 1, 2, 3, 7, 8, 9, 10])
        score = junction_score(pred, comb(spacing), radius=radius, merge=merge)
        assert score == pytest.approx((5 / 6, 1, 10 / 11, 0))


def test_score_of_a_graph_with_itself_is_perfect():
    noise = gaussian_filter(np.random.default_rng(0).standard_normal((200, 200)), 2.0)
    skeleton = skeleton_graph(abs(noise) < 0.3 * noise.std())  # many junctions are close to one another
    for given in [skeleton, *(each for pred, target, *_ in CASES.values() for each in (pred, target))]:
        for radius, merge in ((25, 5), (25, 10), (65, 50)):
            assert junction_score(given, given, radius=radius, merge=merge) == pytest.approx((1, 1, 1, 0))


def test_score_does_not_depend_on_the_order_or_names_of_nodes():
    rng = np.random.default_rng(0)
    for pred, target, radius, merge in CASES.values():
        expected = junction_score(pred, target, radius=radius, merge=merge)
        for _ in range(3):
            both = []
            for given in (pred, target):
                nodes, edges = list(given), list(given.edges)
                names = dict(zip(nodes, (("node", int(i)) for i in rng.permutation(len(nodes))), strict=True))
                made = nx.MultiGraph()
                made.add_nodes_from((names[n], given.nodes[n]) for n in (nodes[i] for i in rng.permutation(len(nodes))))
                made.add_edges_from((names[u], names[v]) for u, v in (edges[i] for i in rng.permutation(len(edges))))
                both.append(made)
            assert junction_score(*both, radius=radius, merge=merge) == pytest.approx(expected)


@pytest.mark.parametrize("origin", [(1e7, 1e7), (-3e6 + 0.1, 5e5 + 0.7)])
def test_score_does_not_depend_on_the_origin(origin):
    for pred, target, radius, merge in CASES.values():
        both = [given.copy() for given in (pred, target)]
        for given in both:
            nx.set_node_attributes(
                given, {n: np.add(0.1 * np.array(p), origin) for n, p in given.nodes(data="pos")}, "pos"
            )
        there = junction_score(*both, radius=0.1 * radius, merge=0.1 * merge)
        assert there == pytest.approx(junction_score(pred, target, radius=radius, merge=merge), abs=1e-6)


def test_edges_of_one_node_are_matched_one_to_one():
    """The two roads of a dual carriageway may match one true road, but the arms of a fork may not."""
    target = graph(["ab", "ac", "ad"], a=(0, 0), b=(0, 90), c=(90, 0), d=(0, -90))
    twice = graph(["ab", "ac", "ad", "de", "df"], a=(0, 0), b=(0, 90), c=(90, 0), d=(0, -4), e=(90, -4), f=(0, -90))
    fork = graph(["ab", "ac", "ad", "ae"], a=(0, 0), b=(0, 90), c=(90, 0), d=(0, -90), e=(90, -4))
    assert junction_score(twice, target) == pytest.approx((1, 1, 1, 0))
    assert junction_score(fork, target) == pytest.approx((1, 3 / 4, 6 / 7, 1 / 5))
    assert junction_score(target, twice) == pytest.approx((1, 1, 1, 0))


def test_nodes_without_a_short_path_between_them_are_separate_junctions():
    """Two crossings, one on a bridge, are 3 apart, but no path joins them."""
    bridge = nx.disjoint_union(lattice([0], [0]), lattice([3], [3]))
    assert junction_score(lattice([0], [0]), bridge).recall == pytest.approx(1 / 2)
    assert junction_score(bridge, bridge) == pytest.approx((1, 1, 1, 0))
