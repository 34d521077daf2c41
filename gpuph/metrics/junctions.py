"""Score of junctions and the roads that leave them (Bastani et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import networkx as nx
import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

from .. import checks
from .. import spacing as sizes
from ..arrays import ArrayLike
from .inputs import as_graphs
from .junction_clusters import Cluster, predicted_clusters, true_clusters
from .network import Network, Places, networks
from .totals import add_up, harmonic_mean


class JunctionScore(NamedTuple):
    """Quality of the predicted junctions, each number in [0, 1]."""

    recall: float
    """The mean over true junctions of the share of their edges that were found; 1 is best."""
    precision: float
    """The mean over predicted junctions of the share of their edges that are true; 1 is best."""
    f1: float
    """The harmonic mean of recall and precision; 1 is best."""
    error_rate: float
    """E / (E + F), where E sums the shares that are false and F those that were found; 0 is best."""


def junction_score(
    pred: ArrayLike | nx.Graph,
    target: ArrayLike | nx.Graph,
    radius: float = 25.0,
    merge: float = 5.0,
    *,
    mask: ArrayLike | None = None,
    spacing: float | Sequence[float] = 1.0,
) -> JunctionScore:
    """Match junctions, and the edges that leave them.

    Junctions of truth and prediction are paired, and the edges of a pair are matched one to one where their directions
    differ by less than a right angle. The direction of an edge leads from the centre of the junction to the point
    `radius` along the edge, or to its end. If m of d true and e predicted edges are matched, the share m / d is found
    and the share 1 - m / e is false. A true junction without a counterpart has a share found of 0, and a predicted one
    has a share false of 1. Two junctions are paired only if the share found exceeds the share false. Of all ways to
    pair them, the one with the largest sum of (found - false) + (1 - distance / radius) is used.

    A junction is a cluster of nodes with three or more edges: its centre, and all such nodes that are closer to the
    centre than `merge` and joined to it by a path shorter than 2 * `merge`. In the truth, nodes become centres in the
    order of their positions, except nodes that already belong to a junction. In the prediction, the first centres are
    chosen for the true ones: each node is assigned to the nearest true centre, and of the nodes assigned to a true
    centre, the closest becomes a centre. Nodes that do not belong to one of these junctions then join the centre chosen
    for the same true one if a path shorter than 3 * `merge` leads there; the rest become centres as in the truth. A
    node may belong to two junctions, but a row of nodes is not one junction. Edges shorter than 2 * `merge` between
    nodes of a junction are inside it. If fewer than three edges leave a junction, it is not counted: two roads around a
    tiny hole are one road. Edges that leave different nodes of a junction may be matched with the same edge, as the two
    roads of a dual carriageway.

    Bastani et al. sum the shares found to F and the false ones to E, and report the recall and E / (E + F). Their
    program counts an edge as found if any edge of the other junction leads in its direction, leaves out dead ends that
    are shorter than `radius`, takes nodes in the order of the file, and pairs junctions one after another. It never
    puts a predicted node in two junctions, so that the score of a graph with itself may be below 1. It uses a radius of
    65 m and merges within 50 m.

    Parameters
    ----------
    pred, target : array_like, shape (*spatial) or (B, 1, *spatial); or networkx.Graph
        Graphs, or masks, which are compared by their skeletons: see `gpuph.metrics`.
    radius : float
        The largest distance between paired junctions, and the distance along an edge at which its direction is taken,
        in pixels or units of `spacing`.
    merge : float
        The distance from the centre of a junction within which other nodes belong to it, in pixels or units of
        `spacing`. The skeleton of a skewed crossing, for example, has two nodes.
    mask : array_like, bool, shape (*spatial) or (B, 1, *spatial), optional
        The region of interest: see `gpuph.metrics`.
    spacing : float or sequence of float, one per axis
        Size of a pixel: see `gpuph.metrics`.

    Returns
    -------
    JunctionScore
        A named tuple of four floats, over the junctions of all images. If neither graph has a junction, recall,
        precision and F1 are 1, and the error rate is 0. If only one graph has junctions, recall, precision and F1 are
        0, and the error rate is 1 where the prediction has them and 0 where the truth has.

    Raises
    ------
    TypeError, ValueError
        As for all metrics: see `gpuph.metrics`. ValueError also if `radius` is not positive, `merge` is negative,
        or `spacing` is not positive or does not have one number for each axis.

    References
    ----------
    F. Bastani, S. He, S. Abbar, M. Alizadeh, H. Balakrishnan, S. Chawla, S. Madden, D. DeWitt: RoadTracer: automatic
    extraction of road networks from aerial images. CVPR 2018.

    Examples
    --------
    One arm of a crossing is missing: three quarters of the junction are found, and nothing is false.

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
    return measure(pred, target, JunctionSettings.checked(radius, merge, spacing), mask).result()


class JunctionSettings(NamedTuple):
    """Settings of `junction_score`."""

    radius: float
    merge: float
    spacing: sizes.Spacing

    @classmethod
    def checked(cls, radius: float, merge: float, spacing: float | Sequence[float]) -> JunctionSettings:
        """Return the settings as floats; raise unless they are as documented."""
        return cls(
            radius=checks.number("radius", radius, positive=True),
            merge=checks.number("merge", merge, 0.0),
            spacing=sizes.checked(spacing),
        )


class JunctionTotals(NamedTuple):
    """Sums over the junctions of images."""

    found: float
    """The sum over true junctions of the share of their edges that were found."""
    true: float
    """The number of true junctions."""
    false: float
    """The sum over predicted junctions of the share of their edges that are false."""
    predicted: float
    """The number of predicted junctions."""

    def result(self) -> JunctionScore:
        """Return the metric."""
        if self.true == self.predicted == 0:
            return JunctionScore(1.0, 1.0, 1.0, 0.0)
        recall = self.found / self.true if self.true else 0.0
        precision = 1 - self.false / self.predicted if self.predicted else 0.0
        error_rate = self.false / (self.false + self.found) if self.false + self.found > 0 else 0.0
        return JunctionScore(recall, precision, harmonic_mean(recall, precision), error_rate)


def measure(
    pred: ArrayLike | nx.Graph, target: ArrayLike | nx.Graph, settings: JunctionSettings, mask: ArrayLike | None = None
) -> JunctionTotals:
    """Compute the sums over a pair of inputs."""
    pairs = as_graphs(pred, target, mask, settings.spacing)
    return add_up(JunctionTotals, (_compare(*networks(*graphs), settings) for graphs in pairs))


def _compare(network: Network, true_network: Network, settings: JunctionSettings) -> JunctionTotals:
    expected = true_clusters(true_network, settings.merge)
    centres = true_network.place[[cluster.centre for cluster in expected]]
    clusters = predicted_clusters(network, settings.merge, centres)
    true_junctions = _junctions(true_network, expected, settings)
    junctions = _junctions(network, clusters, settings)
    found, false = _pair(junctions, true_junctions, settings.radius, network.rounding)
    return JunctionTotals(found=found, true=len(true_junctions), false=false, predicted=len(junctions))


class _Junction(NamedTuple):
    place: np.ndarray
    """The position of its centre, shape (ndim,)."""
    directions: np.ndarray
    """Unit vectors in which its edges leave, node by node, shape (edges, ndim)."""
    nodes: list[slice]
    """The edges of each of its nodes."""


class _Ends(NamedTuple):
    """Ends of edges at the nodes of clusters, node by node. Each array has the shape (n,)."""

    member: np.ndarray
    """The index of the node among the nodes of all clusters."""
    edge: np.ndarray
    """The number of the edge."""
    which: np.ndarray
    """Which end of the edge it is, 0 or 1."""
    returns: np.ndarray
    """Whether the other end is at a node of the same cluster."""


def _junctions(network: Network, clusters: list[Cluster], settings: JunctionSettings) -> list[_Junction]:
    """Return the junctions of such clusters, without those that fewer than three edges leave."""
    if not clusters:
        return []
    sizes = [len(cluster.nodes) for cluster in clusters]
    node = np.concatenate([cluster.nodes for cluster in clusters])
    number = np.repeat(np.arange(len(clusters)), sizes)
    ends = _ends(network, node, number)
    leaves = ~ends.returns | (network.length[ends.edge] >= 2 * settings.merge - network.rounding)
    ends = _Ends(*(each[leaves] for each in ends))

    length = network.length[ends.edge]
    # The two ends of an edge that returns to its cluster look at different thirds of it.
    ahead = np.minimum(settings.radius, np.where(ends.returns, length / 3, length))
    points = network.positions(Places(ends.edge, np.where(ends.which == 0, ahead, length - ahead)))
    centre = network.place[[cluster.centre for cluster in clusters]]
    vector = points - centre[number[ends.member]]
    norm = np.linalg.norm(vector, axis=1, keepdims=True)
    directions = vector / np.where(norm > 0, norm, 1)

    counts = np.bincount(ends.member, minlength=len(node))
    junctions = []
    first = 0
    for place, nodes in zip(centre, np.split(counts, np.cumsum(sizes)[:-1]), strict=True):
        stops = np.cumsum(nodes)
        edges = int(stops[-1])
        if edges >= 3:
            parts = [slice(stop - count, stop) for stop, count in zip(stops.tolist(), nodes.tolist(), strict=True)]
            junctions.append(_Junction(place, directions[first : first + edges], parts))
        first += edges
    return junctions


def _ends(network: Network, node: np.ndarray, cluster: np.ndarray) -> _Ends:
    """Return the ends of all edges at these nodes (n,), given the number of the cluster of each (n,)."""
    leaves = network.ends.ravel()
    order = np.argsort(leaves, kind="stable")
    degree = np.bincount(leaves, minlength=network.nodes)
    member = np.repeat(np.arange(len(node)), degree[node])
    step = np.arange(len(member)) - (np.cumsum(degree[node]) - degree[node])[member]
    end = order[(np.cumsum(degree) - degree)[node[member]] + step]
    edge, which = end // 2, end % 2
    key = cluster * network.nodes  # plus a node, which tells the nodes of one cluster from those of another
    returns = np.isin(key[member] + network.ends[edge, 1 - which], key + node)
    return _Ends(member, edge, which, returns)


def _pair(
    junctions: list[_Junction], true_junctions: list[_Junction], radius: float, rounding: float
) -> tuple[float, float]:
    """Pair junctions, and return the sum of the shares found and the sum of the shares false."""
    if not junctions or not true_junctions:
        return 0.0, float(len(junctions))
    shape = (len(true_junctions), len(junctions))
    gain, found, false = np.zeros(shape), np.zeros(shape), np.ones(shape)
    true_tree, tree = (cKDTree([junction.place for junction in found]) for found in (true_junctions, junctions))
    for i, near in enumerate(true_tree.query_ball_tree(tree, radius + rounding)):
        for j in near:
            a, b = true_junctions[i], junctions[j]
            close = a.directions @ b.directions.T > 1e-6  # rounding must not make a right angle less than one
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
    """Count the edges of a junction that match an edge of another, one to one for the edges of the same node."""
    parts = [close[part] for part in junction.nodes]
    return sum(int(part[linear_sum_assignment(part, maximize=True)].sum()) for part in parts)
