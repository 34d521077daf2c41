"""Marbles and holes (Biagioni, Eriksson 2012)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import networkx as nx
import numpy as np
from scipy.sparse import csr_matrix, hstack
from scipy.sparse.csgraph import maximum_bipartite_matching
from scipy.spatial import cKDTree

from .. import checks
from .. import spacing as sizes
from ..arrays import ArrayLike
from .inputs import as_graphs
from .network import Network, networks
from .totals import add_up, harmonic_mean
from .walks import Samples, blocks, walk


class TOPO(NamedTuple):
    """Shares of marbles and holes, each in [0, 1]; 1 is best."""

    precision: float
    """The share of marbles that fall into a hole."""
    recall: float
    """The share of holes that a marble falls into."""
    f1: float
    """The harmonic mean of precision and recall."""
    found: float
    """The share of starting points with a counterpart in the prediction."""


def topo(
    pred: ArrayLike | nx.Graph,
    target: ArrayLike | nx.Graph,
    radius: float = 300.0,
    interval: float = 5.0,
    tolerance: float = 10.0,
    starts: int = 200,
    seed: int = 0,
    *,
    angle: float = 45.0,
    average: str = "micro",
    marbles_per_hole: int = 1,
    mask: ArrayLike | None = None,
    spacing: float | Sequence[float] = 1.0,
) -> TOPO:
    """Compare what can be reached from points of the truth with what can be reached from there in the prediction.

    From each starting point, both networks are walked along their edges in all directions, up to a distance of
    `radius`. Wherever the distance walked is a multiple of `interval`, the truth gets a hole and the prediction a
    marble. A marble fits into a hole if they are at most `tolerance` apart and their edges point in similar directions.
    As many marbles as possible are put into holes, one into each. Missing connections leave holes empty, and false
    connections leave marbles over.

    Parameters
    ----------
    pred, target : array_like, shape (*spatial) or (B, 1, *spatial); or networkx.Graph
        Graphs, or masks, which are compared by their skeletons: see `gpuph.metrics`.
    radius : float
        How far the walks go, in pixels or units of `spacing`.
    interval : float
        The distance walked from one hole or marble to the next, in the same unit.
    tolerance : float
        The largest distance between a marble and its hole, and between a starting point and the prediction, in the same
        unit.
    starts : int
        The number of starting points in each image. The edges of the truth, laid end to end, are cut into as many
        pieces of equal length, and one point is drawn in each.
    seed : int
        The seed of the random generator.
    angle : float
        The largest angle between the edges at a marble and at its hole, in degrees; 90 allows all. The direction of an
        edge is that of the chord from half an `interval` before the point to half an `interval` after it. A marble or
        hole at a node fits any direction.
    average : {"micro", "macro"}
        Add up the marbles and holes of all starting points, or average the precision and recall of each.
    marbles_per_hole : int
        How many marbles fit into a hole when precision is computed. 2 forgives two parallel roads where the truth has
        one.
    mask : array_like, bool, shape (*spatial) or (B, 1, *spatial), optional
        The region of interest: see `gpuph.metrics`.
    spacing : float or sequence of float, one per axis
        Size of a pixel: see `gpuph.metrics`.

    Returns
    -------
    TOPO
        A named tuple of four floats, over the starting points of all images. If neither graph has a length, all are 1.
        If only one has, all are 0.

    Raises
    ------
    TypeError, ValueError
        As for all metrics: see `gpuph.metrics`. ValueError also if `radius`, `interval`, `tolerance` or `angle` is not
        positive, `angle` exceeds 90, `starts` or `marbles_per_hole` is below 1, `average` is not one of the choices, or
        `spacing` is not positive or does not have one number for each axis.

    Notes
    -----
    A walk in the prediction starts at the point that is nearest to the starting point. If there is none within
    `tolerance`, there are no marbles and all holes stay empty; with "macro", the recall of this point is 0, and its
    precision is not counted. False roads count where a walk reaches them. If the truth of an image has no length but
    the prediction has, the image counts as one starting point: the prediction gets a marble every `interval`, and all
    of them are left over.

    Published programs differ, and so do their scores: see `docs/metrics.md`. average="macro" and marbles_per_hole=2
    come close to the program of He et al., with which papers on Sat2Graph's data are scored.

    References
    ----------
    J. Biagioni, J. Eriksson: Inferring road maps from global positioning system traces: survey and comparative
    evaluation. Transportation Research Record 2291, 2012.

    S. He, F. Bastani, S. Jagwani, M. Alizadeh, H. Balakrishnan, S. Chawla, M. M. Elshrif, S. Madden, M. A. Sadeghi:
    Sat2Graph: road graph extraction through graph-tensor encoding. ECCV 2020.

    Examples
    --------
    The last 30 m of a road of 100 m are missing. Starting points further than `tolerance` from the rest are not found,
    and from the others, the holes at the end of the road stay empty:

    >>> import networkx as nx
    >>> from gpuph.metrics import topo
    >>> target = nx.Graph([("a", "b")])
    >>> nx.set_node_attributes(target, {"a": (0, 0), "b": (0, 100)}, "pos")
    >>> pred = nx.Graph([("a", "b")])
    >>> nx.set_node_attributes(pred, {"a": (0, 0), "b": (0, 70)}, "pos")
    >>> [round(value, 2) for value in topo(pred, target)]
    [1.0, 0.56, 0.72, 0.8]
    """
    size = sizes.checked(spacing)
    settings = TOPOSettings(radius, interval, tolerance, starts, seed, angle, average, marbles_per_hole, size)
    return measure(pred, target, settings.checked(), mask).result()


class TOPOSettings(NamedTuple):
    """Settings of `topo`."""

    radius: float
    interval: float
    tolerance: float
    starts: int
    seed: int
    angle: float
    average: str
    marbles_per_hole: int
    spacing: sizes.Spacing

    def checked(self) -> TOPOSettings:
        """Return the settings in the types of the fields; raise unless they are as documented."""
        angle = checks.number("angle", self.angle, positive=True)
        if angle > 90:
            raise ValueError(f"angle must be at most 90 degrees, got {checks.shown(self.angle)}")
        return TOPOSettings(
            radius=checks.number("radius", self.radius, positive=True),
            interval=checks.number("interval", self.interval, positive=True),
            tolerance=checks.number("tolerance", self.tolerance, positive=True),
            starts=checks.integer("starts", self.starts, 1),
            seed=checks.seed(self.seed),
            angle=angle,
            average=checks.choice("average", self.average, ("micro", "macro")),
            marbles_per_hole=checks.integer("marbles_per_hole", self.marbles_per_hole, 1),
            spacing=sizes.checked(self.spacing),
        )


class TOPOTotals(NamedTuple):
    """Sums over starting points. With "macro", each of them adds shares of marbles and holes instead of numbers."""

    precise: float
    """Marbles that fall into holes."""
    marbles: float
    filled: float
    """Holes that marbles fall into."""
    holes: float
    found: float
    """Starting points that the prediction has."""
    starts: float

    def result(self) -> TOPO:
        """Return the metric; without any starting point, all fields are 1."""
        if not self.starts:
            return TOPO(1.0, 1.0, 1.0, 1.0)
        precision = self.precise / self.marbles if self.marbles else 0.0
        recall = self.filled / self.holes if self.holes else 0.0
        return TOPO(precision, recall, harmonic_mean(precision, recall), self.found / self.starts)


def measure(
    pred: ArrayLike | nx.Graph, target: ArrayLike | nx.Graph, settings: TOPOSettings, mask: ArrayLike | None = None
) -> TOPOTotals:
    """Compute the sums over a pair of inputs."""
    rng = np.random.default_rng(settings.seed)
    pairs = as_graphs(pred, target, mask, settings.spacing)
    return add_up(TOPOTotals, (_compare(*networks(*graphs), settings, rng) for graphs in pairs))


def _compare(network: Network, true_network: Network, settings: TOPOSettings, rng: np.random.Generator) -> TOPOTotals:
    if not true_network.length.any():
        places, _ = network.middles(settings.interval)
        left = len(places) if network.length.any() else 0
        if settings.average == "macro":
            left = min(left, 1)
        return TOPOTotals(precise=0, marbles=left, filled=0, holes=0, found=0, starts=min(left, 1))
    count = settings.starts
    starts = true_network.spread((np.arange(count) + rng.random(count)) / count)
    snapped, found = network.snap(true_network.positions(starts), settings.tolerance)
    parts = []
    for block in blocks(count, network, true_network):
        holes = walk(true_network, starts[block], settings.radius, settings.interval)
        here = np.flatnonzero(found[block])
        marbles = walk(network, snapped[block][here], settings.radius, settings.interval)
        marbles = marbles._replace(start=here[marbles.start])
        fits = _fits(marbles, holes, settings, true_network.rounding)
        filled = marbles.start[_fall(fits)]
        precise = marbles.start[_fall(hstack([fits] * settings.marbles_per_hole, "csr"))]
        counts = [np.bincount(of, minlength=len(found[block])) for of in (precise, marbles.start, filled, holes.start)]
        parts.append(_totals(counts, found[block], macro=settings.average == "macro"))
    return add_up(TOPOTotals, parts)


def _totals(counts: list[np.ndarray], found: np.ndarray, *, macro: bool) -> TOPOTotals:
    """Add up the first four fields, which are given for each starting point, shape (n,), or their shares."""
    precise, marbles, filled, holes = counts
    if macro:
        precise, marbles = precise[found] / marbles[found], found
        filled, holes = filled / holes, np.ones(len(holes))
    return TOPOTotals(*(float(each.sum()) for each in (precise, marbles, filled, holes, found, np.ones(len(found)))))


def _fits(marbles: Samples, holes: Samples, settings: TOPOSettings, rounding: float) -> csr_matrix:
    """Return which marbles fit into which holes of the same starting point, shape (marbles, holes)."""
    shape = (len(marbles.start), len(holes.start))
    if 0 in shape:
        return csr_matrix(shape, dtype=bool)
    # One more coordinate keeps the points of different starting points apart.
    gap = 3 * settings.tolerance
    trees = [cKDTree(np.column_stack((each.place, gap * each.start))) for each in (marbles, holes)]
    near = trees[0].sparse_distance_matrix(trees[1], settings.tolerance + rounding, output_type="ndarray")
    directions = marbles.direction[near["i"]], holes.direction[near["j"]]
    aligned = np.abs((directions[0] * directions[1]).sum(1)) >= np.cos(np.radians(settings.angle)) - 1e-9
    at_node = (directions[0] == 0).all(1) | (directions[1] == 0).all(1)
    near = near[aligned | at_node]
    return csr_matrix((np.ones(len(near), bool), (near["i"], near["j"])), shape)


def _fall(fits: csr_matrix) -> np.ndarray:
    """Return whether each marble falls into a hole, when as many as possible do, one into each, shape (marbles,)."""
    if fits.nnz == 0:
        return np.zeros(fits.shape[0], bool)
    into: np.ndarray = maximum_bipartite_matching(fits, perm_type="column")
    return into >= 0
