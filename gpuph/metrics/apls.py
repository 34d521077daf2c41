"""Average path length similarity (Van Etten, Lindenbaum, Bacastow 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import networkx as nx
import numpy as np

from .. import checks
from .. import spacing as sizes
from ..arrays import ArrayLike
from .inputs import as_graphs
from .network import Network, networks
from .road_graph import load, to_networkx
from .totals import add_up, harmonic_mean

# The number of control points from which paths are searched at once. It bounds the memory.
BLOCK = 256


class APLS(NamedTuple):
    """Average path length similarity, each number in [0, 1]; 1 is best."""

    score: float
    """The harmonic mean of the other two."""
    target_to_pred: float
    """The similarity of paths in the truth to their counterparts in the prediction, which false breaks reduce."""
    pred_to_target: float
    """The similarity of paths in the prediction to their counterparts in the truth, which false connections reduce."""


def apls(
    pred: ArrayLike | nx.Graph,
    target: ArrayLike | nx.Graph,
    spacing: float = 50.0,
    snap: float = 4.0,
    metres_per_pixel: float | Sequence[float] = 1.0,
    points: int | None = 500,
    seed: int = 0,
    *,
    mask: ArrayLike | None = None,
    min_curvature: float | None = None,
) -> APLS:
    """Compare the lengths of shortest paths in two graphs.

    Control points lie at the nodes of one graph (junctions and ends) and along its edges. Each control point is snapped
    to the nearest point of the other graph. Each pair of control points that a path joins costs min(1, |L - L'| / L),
    where L and L' are the lengths of the shortest paths in the two graphs. The cost is 1 if the other graph has no path
    or one of the two points could not be snapped. The similarity in one direction is 1 minus the mean cost.

    Parameters
    ----------
    pred, target : array_like, shape (*spatial) or (B, 1, *spatial); or networkx.Graph
        Graphs, or masks, which are compared by their skeletons: see `gpuph.metrics`.
    spacing : float
        The largest distance between neighbouring control points on an edge, in metres. They are evenly spaced.
    snap : float
        The largest distance between a control point and the other graph, in metres.
    metres_per_pixel : float or sequence of float, one per axis
        The size of a pixel, in metres. By default a pixel is a metre, so that all lengths are in pixels. This is the
        `spacing` of the other metrics, except that graphs are given in pixels, and not in metres.
    points : int, optional
        The largest number of control points. If there are more, this number is drawn at random; None uses all.
    seed : int
        The seed of the random generator.
    mask : array_like, bool, shape (*spatial) or (B, 1, *spatial), optional
        The region of interest: see `gpuph.metrics`.
    min_curvature : float, optional
        Place control points on edges as the published program does, with this value as its `is_curved_eps`: see Notes.

    Returns
    -------
    APLS
        A named tuple of three floats, each the mean over the batch. A direction without any path counts as 0. If
        neither graph has a path, as when both are empty, all three are 1.

    Raises
    ------
    TypeError, ValueError
        As for all metrics: see `gpuph.metrics`. ValueError also if `spacing`, `snap` or `metres_per_pixel` is not
        positive, `metres_per_pixel` does not have one number for each axis, `points` is below 2, or `min_curvature` is
        negative.

    Notes
    -----
    By default, control points are at all nodes and on all edges longer than `spacing`, straight or not. The authors'
    program also puts one in the middle of an edge whose length is between 0.75 and 1 times `spacing`. It puts none
    between the ends of an edge that is nearly straight, that is, whose length differs from the diagonal of its bounding
    box by less than the share `is_curved_eps` of its length. `min_curvature` does both. Use the value behind the scores
    that you compare with: 0.012 and 0.03 are the defaults of the program's functions. Its command line puts control
    points on straight edges too, as 0 does. The choice moves scores in both directions, by up to 0.1 on small networks.
    See `docs/metrics.md`.

    References
    ----------
    A. Van Etten, D. Lindenbaum, T. M. Bacastow: SpaceNet: a remote sensing dataset and challenge series.
    arXiv:1807.01232, 2018.

    Examples
    --------
    The last 30 m of a road of 100 m are missing. Its middle is matched, but its end is not:

    >>> import networkx as nx
    >>> from gpuph.metrics import apls
    >>> target = nx.Graph([("a", "b")])
    >>> nx.set_node_attributes(target, {"a": (0, 0), "b": (0, 100)}, "pos")
    >>> pred = nx.Graph([("a", "b")])
    >>> nx.set_node_attributes(pred, {"a": (0, 0), "b": (0, 70)}, "pos")
    >>> result = apls(pred, target)
    >>> [round(value, 3) for value in result]
    [0.5, 0.333, 1.0]
    """
    settings = APLSSettings.checked(spacing, snap, metres_per_pixel, points, seed, min_curvature)
    return measure(pred, target, settings, mask).result()


class APLSSettings(NamedTuple):
    """Settings of `apls`."""

    spacing: float
    snap: float
    metres_per_pixel: sizes.Spacing
    points: int | None
    seed: int
    min_curvature: float | None

    @classmethod
    def checked(
        cls,
        spacing: float,
        snap: float,
        metres_per_pixel: float | Sequence[float],
        points: int | None,
        seed: int,
        min_curvature: float | None,
    ) -> APLSSettings:
        """Return the settings in the types of the fields; raise unless they are as documented."""
        return cls(
            spacing=checks.number("spacing", spacing, positive=True),
            snap=checks.number("snap", snap, positive=True),
            metres_per_pixel=sizes.checked(metres_per_pixel, "metres_per_pixel"),
            points=None if points is None else checks.integer("points", points, 2),
            seed=checks.seed(seed),
            min_curvature=None if min_curvature is None else checks.number("min_curvature", min_curvature, 0.0),
        )


class APLSTotals(NamedTuple):
    """Sums over images of the fields of `APLS`, and the number of images."""

    score: float
    target_to_pred: float
    pred_to_target: float
    images: float

    def result(self) -> APLS:
        """Return the metric; without any image, all fields are 1."""
        if not self.images:
            return APLS(1.0, 1.0, 1.0)
        return APLS(
            score=self.score / self.images,
            target_to_pred=self.target_to_pred / self.images,
            pred_to_target=self.pred_to_target / self.images,
        )


def measure(
    pred: ArrayLike | nx.Graph, target: ArrayLike | nx.Graph, settings: APLSSettings, mask: ArrayLike | None = None
) -> APLSTotals:
    """Compute the sums over a pair of inputs."""
    rng = np.random.default_rng(settings.seed)
    scale = settings.metres_per_pixel
    if isinstance(scale, tuple):
        pairs = as_graphs(_in_metres(pred, scale), _in_metres(target, scale), mask, scale)
        scale = 1.0
    else:
        pairs = as_graphs(pred, target, mask)
    return add_up(APLSTotals, (_compare(*networks(*graphs, scale), settings, rng) for graphs in pairs))


def _in_metres(value: ArrayLike | nx.Graph, scale: tuple[float, ...]) -> ArrayLike | nx.Graph:
    """Return a graph whose positions are multiplied by the size of a pixel, or a mask as it is."""
    if not isinstance(value, nx.Graph):
        return value
    lines = load(value)
    if lines.nodes:
        sizes.per_axis(scale, lines.position.shape[1], "metres_per_pixel")
        lines = lines._replace(position=lines.position * scale, vertices=lines.vertices * scale)
    return to_networkx(lines)


def _compare(network: Network, true_network: Network, settings: APLSSettings, rng: np.random.Generator) -> APLSTotals:
    there = _similarity(true_network, network, settings, rng)
    back = _similarity(network, true_network, settings, rng)
    if there is None and back is None:
        there = back = 1.0
    there, back = there or 0.0, back or 0.0
    return APLSTotals(score=harmonic_mean(there, back), target_to_pred=there, pred_to_target=back, images=1)


def _similarity(network: Network, other: Network, settings: APLSSettings, rng: np.random.Generator) -> float | None:
    """Return 1 minus the mean cost of the paths in `network`, or None if there is no path."""
    points = settings.points
    places = network.control_places(settings.spacing, settings.min_curvature)
    if points is not None and len(places) > points:
        places = places[rng.choice(len(places), points, replace=False)]
    snapped, found = other.snap(network.positions(places), settings.snap)
    order = np.argsort(~found, kind="stable")  # the points that were found come first
    places, snapped = places[order], snapped[order[: np.count_nonzero(found)]]
    similar, paths = 0.0, 0
    for rows in np.array_split(np.arange(len(places)), -(-len(places) // BLOCK) or 1):
        length = network.distances(places, rows)
        length[length <= network.rounding] = np.inf
        paths += np.count_nonzero(np.isfinite(length))
        rows = rows[rows < len(snapped)]
        length = length[: len(rows), : len(snapped)]
        share = other.distances(snapped, rows)
        with np.errstate(invalid="ignore"):  # infinity minus infinity, where neither has a path
            np.abs(np.subtract(share, length, out=share), out=share)
            np.subtract(1, np.divide(share, length, out=share), out=share)
        similar += np.fmax(share, 0, out=share).sum()
    return float(similar / paths) if paths else None
