"""Junctions with the roads that leave them (Bastani et al. 2018)."""

from __future__ import annotations

from typing import Any, NamedTuple

import networkx as nx
import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree
from torch import Tensor

from .. import checks
from .inputs import as_graphs
from .network import Network, Places, networks


class JunctionScore(NamedTuple):
    """How well junctions were found, each in [0, 1]."""

    recall: float
    """The mean over true junctions of the share of their edges that were found; 1 is best."""
    precision: float
    """The mean over predicted junctions of the share of their edges that are true; 1 is best."""
    f1: float
    """The harmonic mean of recall and precision; 1 is best."""
    error_rate: float
    """False over false and found, as Bastani et al. report it beside the recall; 0 is best."""


def junction_score(
    pred: Tensor | nx.Graph, target: Tensor | nx.Graph, radius: float = 25.0, merge: float = 5.0
) -> JunctionScore:
    """Match junctions, and the edges that leave them.

    Junctions of truth and prediction are paired, and the edges of a pair are matched one to one where their directions
    differ by less than a right angle; a direction leads from the centre of the junction to the point `radius` along the
    edge, or to its end. If m of d true and e predicted edges are matched, m / d were found and 1 - m / e are false. Of
    a junction without a counterpart none is found, or all are false. Two junctions are paired only if the share found
    is above the share false; of all ways to pair them the one is taken with the largest sum of
    (found - false) + (1 - distance / radius).

    A junction is a node with three or more edges, its centre, together with all such nodes that are closer to it than
    `merge` and joined to it by a path shorter than 2 * `merge`. In the truth, nodes become centres in the order of
    their positions, except those that are part of a junction already. In the prediction, the first centres are chosen
    for the true ones: each node is assigned to the nearest true centre, and of the nodes assigned to one, the closest
    becomes a centre. Nodes that are part of no junction then join the centre chosen for the same true one if a path
    shorter than 3 * `merge` leads there; the rest become centres as in the truth. A node may be part of two junctions,
    but a row of nodes is not one junction. Edges shorter than 2 * `merge` between nodes of a junction are inside it. If
    fewer than three edges leave it, it is not counted: two roads around a tiny hole are one road. Edges that leave
    different nodes of a junction may be matched with the same edge, as the two roads of a dual carriageway.

    Bastani et al. sum the shares found to F and the false ones to E, and report the recall and E / (E + F). Their
    program takes an edge for found if any of the other's leads in its direction, leaves out dead ends that are shorter
    than `radius`, takes nodes in the order of the file and pairs junctions in turn. No predicted node is part of two
    junctions there, so that the score of a graph with itself may be below 1. It has a radius of 65 m and merges within
    50 m.

    Parameters
    ----------
    pred, target : Tensor, bool, shape (*spatial) or (B, 1, *spatial); or networkx.Graph
        Graphs, or masks, compared by their skeletons: see `gpuph.metrics`.
    radius : float
        How far apart two junctions may be, and how far along an edge its direction is taken, in pixels.
    merge : float
        How close to the centre of a junction other nodes are part of it, in pixels: a skeleton makes two nodes of a
        skewed crossing.

    Returns
    -------
    JunctionScore
        A named tuple of four floats, over the junctions of all images. Where neither graph has a junction, recall,
        precision and F1 are 1; where only one has, they are 0. A rate of nothing is 0.

    Raises
    ------
    TypeError, ValueError
        As all metrics do: see `gpuph.metrics`. ValueError also if `radius` is not positive, or `merge` is negative.

    References
    ----------
    F. Bastani, S. He, S. Abbar, M. Alizadeh, H. Balakrishnan, S. Chawla, S. Madden, D. DeWitt: RoadTracer: automatic
    extraction of road networks from aerial images. CVPR 2018.

    Examples
    --------
    A crossing of which one arm is missing: three quarters of it were found, and nothing is false.

    >>> import networkx as nx
    >>> from gpuph.metrics import junction_score
    >>> target = nx.star_graph(4)
    >>> places = [(0, 0), (0, 90), (90, 0), (0, -90), (-90, 0)]
    >>> nx.set_node_attributes(target, dict(enumerate(places)), "pos")
    >>> pred = target.copy()
    >>> pred.remove_node(4)
    >>> score = junction_score(pred, target)
    >>> score.recall, score.precision, score.error_rate
    (0.75, 1.0, 0.0)
    """
    return result(totals(pred, target, **settings(radius, merge)))


def settings(radius: float, merge: float) -> dict[str, Any]:
    """Return the settings of `totals` by name; raise unless they are what `junction_score` documents."""
    return {"radius": checks.number("radius", radius, positive=True), "merge": checks.number("merge", merge, 0.0)}


def totals(pred: Tensor | nx.Graph, target: Tensor | nx.Graph, radius: float, merge: float) -> np.ndarray:
    """Sums over the images: shares found, true junctions, shares false, predicted junctions."""
    sums = np.zeros(4)
    for graph, true_graph in as_graphs(pred, target):
        network, true_network = networks(graph, true_graph)
        true_clusters = _clusters(true_network, merge, np.zeros((0, 1)))
        centres = true_network.place[[nodes[0] for nodes in true_clusters]]
        clusters = _clusters(network, merge, centres)
        true_junctions = _junctions(true_network, true_clusters, radius, merge)
        junctions = _junctions(network, clusters, radius, merge)
        found, false = _compare(junctions, true_junctions, radius, network.rounding)
        sums += (found, len(true_junctions), false, len(junctions))
    return sums


def result(sums: np.ndarray) -> JunctionScore:
    """The metric of such sums."""
    found, true, false, predicted = sums.tolist()
    if true == predicted == 0:
        return JunctionScore(1.0, 1.0, 1.0, 0.0)
    recall = found / true if true else 0.0
    precision = 1 - false / predicted if predicted else 0.0
    f1 = 2 * recall * precision / (recall + precision) if recall + precision > 0 else 0.0
    return JunctionScore(recall, precision, f1, false / (false + found) if false + found > 0 else 0.0)


class _Junction(NamedTuple):
    place: np.ndarray  # (ndim,)
    directions: np.ndarray  # (edges, ndim), unit vectors
    nodes: list[slice]  # the edges of each of its nodes


def _crossings(network: Network, merge: float) -> np.ndarray:
    """Nodes with three or more edges, in the order of their positions."""
    nodes = np.flatnonzero(np.bincount(network.ends.ravel(), minlength=network.nodes) >= 3)
    place = network.place[nodes]
    # Coordinates that differ by rounding only count as equal, as long as others differ.
    rounded = np.round(place / (1e-6 * merge)) if merge > 0 else place
    return nodes[np.lexsort((*place.T[::-1], *rounded.T[::-1]))]


def _clusters(network: Network, merge: float, true_centres: np.ndarray) -> list[np.ndarray]:
    """The nodes of each junction, its centre first; of a prediction, given the centres (n, ndim) of true junctions."""
    crossings = _crossings(network, merge)
    if len(crossings) == 0:
        return []
    place = network.place[crossings]
    pairs = cKDTree(place).query_pairs(merge, output_type="ndarray")
    pairs = pairs[np.linalg.norm(place[pairs[:, 0]] - place[pairs[:, 1]], axis=1) < merge - network.rounding]
    ways = network.node_distances(crossings[pairs[:, 0]], crossings[pairs[:, 1]], limit=2 * merge)
    near: list[list[int]] = [[] for _ in crossings]
    for index, other in pairs[ways < 2 * merge - network.rounding].tolist():
        near[index].append(other)
        near[other].append(index)
    centres: list[int] = []
    taken: set[int] = set()
    if len(true_centres):
        closest = _closest(place, true_centres, network.rounding)
        centres = np.unique(closest).tolist()
        taken = set(centres).union(*(near[centre] for centre in centres))
        alone = np.setdiff1d(np.arange(len(crossings)), list(taken))
        ways = network.node_distances(crossings[closest[alone]], crossings[alone], limit=3 * merge)
        for index in alone[ways < 3 * merge - network.rounding].tolist():
            near[closest[index]].append(index)
            taken.add(index)
    for index, others in enumerate(near):
        if index not in taken:
            centres.append(index)
            taken.update(others)
    return [crossings[[centre, *near[centre]]] for centre in centres]


def _closest(place: np.ndarray, true_centres: np.ndarray, rounding: float) -> np.ndarray:
    """For each node, the one that is closest to the true centre nearest to both; of equals always the first."""
    tree = cKDTree(true_centres)
    around = tree.query_ball_point(place, tree.query(place)[0] + rounding)
    centre = np.array([min(found) for found in around])
    apart = np.linalg.norm(place - true_centres[centre], axis=1)
    least = np.full(len(true_centres), np.inf)
    np.minimum.at(least, centre, apart)
    closest = np.flatnonzero(apart <= least[centre] + rounding)
    first = np.full(len(true_centres), -1)
    first[centre[closest[::-1]]] = closest[::-1]
    found: np.ndarray = first[centre]
    return found


def _junctions(network: Network, clusters: list[np.ndarray], reach: float, merge: float) -> list[_Junction]:
    """The junctions of such nodes, without those that fewer than three edges leave: roads round a tiny hole are one."""
    if not clusters:
        return []
    sizes = [len(nodes) for nodes in clusters]
    node = np.concatenate(clusters)
    cluster = np.repeat(np.arange(len(clusters)), sizes)
    # Both ends of every edge that leaves a cluster. The two ends of an edge that comes back to where it began look at
    # different thirds of it.
    leaves = network.ends.ravel()
    order = np.argsort(leaves, kind="stable")
    degree = np.bincount(leaves, minlength=network.nodes)
    member = np.repeat(np.arange(len(node)), degree[node])
    step = np.arange(len(member)) - (np.cumsum(degree[node]) - degree[node])[member]
    half = order[(np.cumsum(degree) - degree)[node[member]] + step]
    edge, side = half // 2, half % 2
    length = network.length[edge]
    key = cluster * network.nodes
    back = np.isin(key[member] + network.ends[edge, 1 - side], key + node)
    leaving = ~back | (length >= 2 * merge - network.rounding)
    member, edge, side, length, back = (each[leaving] for each in (member, edge, side, length, back))
    ahead = np.minimum(reach, np.where(back, length / 3, length))
    points = network.positions(Places(edge, np.where(side == 0, ahead, length - ahead)))
    centre = network.place[[nodes[0] for nodes in clusters]]
    vector = points - centre[cluster[member]]
    norm = np.linalg.norm(vector, axis=1, keepdims=True)
    directions = vector / np.where(norm > 0, norm, 1)
    counts = np.bincount(member, minlength=len(node)).tolist()
    junctions = []
    first = 0
    for place, nodes in zip(centre, np.split(np.array(counts), np.cumsum(sizes)[:-1]), strict=True):
        stops = np.cumsum(nodes)
        if stops[-1] >= 3:
            parts = [slice(stop - count, stop) for stop, count in zip(stops.tolist(), nodes.tolist(), strict=True)]
            junctions.append(_Junction(place, directions[first : first + stops[-1]], parts))
        first += int(stops[-1])
    return junctions


def _compare(
    junctions: list[_Junction], true_junctions: list[_Junction], radius: float, rounding: float
) -> tuple[float, float]:
    """Pair junctions; returns the sum of the shares found and the sum of the shares false."""
    if not junctions or not true_junctions:
        return 0.0, float(len(junctions))
    shape = (len(true_junctions), len(junctions))
    gain, found, false = np.zeros(shape), np.zeros(shape), np.ones(shape)
    trees = [cKDTree([junction.place for junction in side]) for side in (true_junctions, junctions)]
    for i, near in enumerate(trees[0].query_ball_tree(trees[1], radius + rounding)):
        for j in near:
            a, b = true_junctions[i], junctions[j]
            close = a.directions @ b.directions.T > 1e-6  # less than a right angle, which rounding must not become
            matched = _matched(close, a)
            found[i, j] = matched / len(a.directions)
            if len(a.nodes) + len(b.nodes) > 2:
                matched = _matched(close.T, b)
            false[i, j] = 1 - matched / len(b.directions)
            if found[i, j] > false[i, j]:
                distance = min(float(np.linalg.norm(a.place - b.place)), radius)
                gain[i, j] = found[i, j] - false[i, j] + 1 - distance / radius
    pairs = linear_sum_assignment(gain, maximize=True)
    paired = gain[pairs] > 0
    alone = len(junctions) - paired.sum()
    return float(found[pairs][paired].sum()), float(false[pairs][paired].sum() + alone)


def _matched(close: np.ndarray, junction: _Junction) -> int:
    """How many edges of a junction have a counterpart among another's, one to one for the edges of the same node."""
    parts = [close[part] for part in junction.nodes]
    return sum(int(part[linear_sum_assignment(part, maximize=True)].sum()) for part in parts)
