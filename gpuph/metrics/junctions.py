"""Junctions with the roads that leave them (Bastani et al. 2018)."""

from __future__ import annotations

from typing import Any, NamedTuple

import networkx as nx
import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree
from torch import Tensor

from .. import checks
from .masks import as_graphs
from .network import Network, Places


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

    A junction is a node with three or more edges. Junctions of truth and prediction are paired, and the edges of a
    pair are matched one to one where their directions differ by less than a right angle; a direction leads from the
    junction to the point `radius` along the edge, or to its end. If m of d true and e predicted edges are matched,
    m / d were found and 1 - m / e are false. Of a junction without a counterpart none is found, or all are false.
    Two junctions are paired only if the share found is above the share false; of all ways to pair them the one is
    taken with the largest sum of (found - false) + (1 - distance / radius).

    Bastani et al. sum the shares found to F and the false ones to E, and report the recall and E / (E + F). Their
    program takes an edge for found if any of the other's leads in its direction, and pairs junctions in turn; it has a
    radius of 65 m and treats junctions closer than 50 m as one.

    Parameters
    ----------
    pred, target : Tensor, bool, shape (*spatial) or (B, 1, *spatial); or networkx.Graph
        Graphs, or masks, compared by their skeletons: see `gpuph.metrics`.
    radius : float
        How far apart two junctions may be, and how far along an edge its direction is taken, in pixels.
    merge : float
        Junctions joined by an edge shorter than this are one, in pixels: a skeleton makes two of a skewed crossing.

    Returns
    -------
    JunctionScore
        A named tuple of four floats, over the junctions of all images. Where neither graph has a junction, recall,
        precision and F1 are 1; where only one has, they are 0. A rate of nothing is 0.

    Raises
    ------
    TypeError, ValueError, ImportError
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
        junctions = _junctions(Network(graph), radius, merge)
        true_junctions = _junctions(Network(true_graph), radius, merge)
        found, false = _compare(junctions, true_junctions, radius)
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


def _junctions(network: Network, reach: float, merge: float) -> list[_Junction]:
    """The junctions of a graph; those that edges shorter than `merge` join are one, in their centre."""
    degree = np.bincount(network.ends.ravel(), minlength=network.nodes)
    short = (network.length < merge) & (degree[network.ends] >= 3).all(1)
    joined = nx.Graph()
    joined.add_nodes_from(np.flatnonzero(degree >= 3).tolist())
    joined.add_edges_from(network.ends[short].tolist())
    group = np.full(network.nodes, -1)
    for number, nodes in enumerate(nx.connected_components(joined)):
        group[list(nodes)] = number

    # Both ends of every edge that leaves a group. The two ends of an edge that comes back to where it began look at
    # different thirds of it.
    edge = np.tile(np.flatnonzero(~short), 2)
    side = np.repeat((0, 1), len(edge) // 2)
    node = network.ends[edge, side]
    back = group[network.ends[edge, 0]] == group[network.ends[edge, 1]]
    length = network.length[edge]
    ahead = np.minimum(reach, np.where(back, length / 3, length))
    points = network.positions(Places(edge, np.where(side == 0, ahead, length - ahead)))
    nodes = np.zeros((network.nodes, points.shape[1]))
    nodes[node] = network.positions(Places(edge, np.where(side == 0, 0.0, length)))
    for e, (u, v) in zip(np.flatnonzero(short), network.ends[short], strict=True):
        nodes[[u, v]] = network.positions(Places(np.array([e, e]), np.array([0.0, network.length[e]])))

    junctions = []
    leaves: dict[int, list[int]] = {}
    for index, number in enumerate(group[node].tolist()):
        if number >= 0:
            leaves.setdefault(number, []).append(index)
    for number, ends in leaves.items():
        if len(ends) < 3:  # two roads round a tiny hole are one
            continue
        place = nodes[group == number].mean(0)
        vector = points[ends] - place
        junctions.append(_Junction(place, vector / np.linalg.norm(vector, axis=1, keepdims=True).clip(1e-9)))
    return junctions


def _compare(junctions: list[_Junction], true_junctions: list[_Junction], radius: float) -> tuple[float, float]:
    """Pair junctions; returns the sum of the shares found and the sum of the shares false."""
    if not junctions or not true_junctions:
        return 0.0, float(len(junctions))
    shape = (len(true_junctions), len(junctions))
    gain, found, false = np.zeros(shape), np.zeros(shape), np.ones(shape)
    trees = [cKDTree([junction.place for junction in side]) for side in (true_junctions, junctions)]
    for i, near in enumerate(trees[0].query_ball_tree(trees[1], radius)):
        for j in near:
            a, b = true_junctions[i], junctions[j]
            close = a.directions @ b.directions.T > 1e-6  # less than a right angle, which rounding must not become
            matched = close[linear_sum_assignment(close, maximize=True)].sum()
            found[i, j], false[i, j] = matched / len(a.directions), 1 - matched / len(b.directions)
            if found[i, j] > false[i, j]:
                gain[i, j] = found[i, j] - false[i, j] + 1 - np.linalg.norm(a.place - b.place) / radius
    pairs = linear_sum_assignment(gain, maximize=True)
    paired = gain[pairs] > 0
    alone = len(junctions) - paired.sum()
    return float(found[pairs][paired].sum()), float(false[pairs][paired].sum() + alone)
