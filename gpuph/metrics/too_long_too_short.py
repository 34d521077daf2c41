"""Paths that are too long or too short (Wegner, Montoya-Zegarra, Schindler 2013)."""

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


class TooLongTooShort(NamedTuple):
    """Shares of paths, each in [0, 1]; they add up to 1."""

    correct: float
    """Paths that are as long in the prediction as in the truth, up to the tolerance."""
    too_long: float
    """Detours in the prediction, where it misses a connection."""
    too_short: float
    """Shortcuts in the prediction, where it has a false connection."""
    infeasible: float
    """Paths without a counterpart: the prediction does not join their end points, or comes near only one or neither."""


def too_long_too_short(
    pred: ArrayLike | nx.Graph,
    target: ArrayLike | nx.Graph,
    radius: float = 25.0,
    tolerance: float = 0.05,
    paths: int = 1000,
    seed: int = 0,
    *,
    mask: ArrayLike | None = None,
    spacing: float | Sequence[float] = 1.0,
) -> TooLongTooShort:
    """Compare the lengths of random shortest paths in the truth with those in the prediction.

    The end points of a path are drawn uniformly along the edges of the truth, from the pairs of points that a path
    joins. Each end point is matched with the nearest point of the prediction.

    Parameters
    ----------
    pred, target : array_like, shape (*spatial) or (B, 1, *spatial); or networkx.Graph
        Graphs, or masks, which are compared by their skeletons: see `gpuph.metrics`.
    radius : float
        The largest distance at which an end point is matched with the prediction, in pixels or units of `spacing`.
    tolerance : float
        How much longer or shorter than the true path a correct path may be, as a share of the length of the true path.
    paths : int
        The number of paths to draw in each image.
    seed : int
        The seed of the random generator.
    mask : array_like, bool, shape (*spatial) or (B, 1, *spatial), optional
        The region of interest: see `gpuph.metrics`.
    spacing : float or sequence of float, one per axis
        Size of a pixel: see `gpuph.metrics`.

    Returns
    -------
    TooLongTooShort
        A named tuple of four floats, over the paths of all images. If the truth of an image has no path, its paths
        count as correct if the prediction has no path either, and as infeasible otherwise.

    Raises
    ------
    TypeError, ValueError
        As for all metrics: see `gpuph.metrics`. ValueError also if `radius` is not positive, `tolerance` is negative,
        `paths` is below 1, or `spacing` is not positive or does not have one number for each axis.

    References
    ----------
    J. D. Wegner, J. A. Montoya-Zegarra, K. Schindler: A higher-order CRF model for road network extraction. CVPR 2013.

    Examples
    --------
    One side of a square of roads is missing. Points on it are not matched, and paths along it become longer:

    >>> import networkx as nx
    >>> from gpuph.metrics import too_long_too_short
    >>> corners = {"a": (0, 0), "b": (0, 400), "c": (400, 400), "d": (400, 0)}
    >>> target = nx.cycle_graph(corners)
    >>> nx.set_node_attributes(target, corners, "pos")
    >>> pred = target.copy()
    >>> pred.remove_edge("a", "b")
    >>> {name: round(share, 1) for name, share in too_long_too_short(pred, target)._asdict().items()}
    {'correct': 0.5, 'too_long': 0.1, 'too_short': 0.0, 'infeasible': 0.4}
    """
    return measure(pred, target, PathSettings.checked(radius, tolerance, paths, seed, spacing), mask).result()


class PathSettings(NamedTuple):
    """Settings of `too_long_too_short`."""

    radius: float
    tolerance: float
    paths: int
    seed: int
    spacing: sizes.Spacing

    @classmethod
    def checked(
        cls, radius: float, tolerance: float, paths: int, seed: int, spacing: float | Sequence[float]
    ) -> PathSettings:
        """Return the settings in the types of the fields; raise unless they are as documented."""
        return cls(
            radius=checks.number("radius", radius, positive=True),
            tolerance=checks.number("tolerance", tolerance, 0.0),
            paths=checks.integer("paths", paths, 1),
            seed=checks.seed(seed),
            spacing=sizes.checked(spacing),
        )


class PathTotals(NamedTuple):
    """Numbers of paths, summed over images."""

    correct: float
    too_long: float
    too_short: float
    infeasible: float

    def result(self) -> TooLongTooShort:
        """Return the metric; without any path, all are correct."""
        counts = np.array(self)
        if counts.sum() == 0:
            return TooLongTooShort(1.0, 0.0, 0.0, 0.0)
        return TooLongTooShort(*(counts / counts.sum()).tolist())


def measure(
    pred: ArrayLike | nx.Graph, target: ArrayLike | nx.Graph, settings: PathSettings, mask: ArrayLike | None = None
) -> PathTotals:
    """Compute the sums over a pair of inputs."""
    rng = np.random.default_rng(settings.seed)
    sums = np.zeros(len(PathTotals._fields))
    for graphs in as_graphs(pred, target, mask, settings.spacing):
        sums += _count(*networks(*graphs), settings, rng)
    return PathTotals(*sums.tolist())


def _count(network: Network, true_network: Network, settings: PathSettings, rng: np.random.Generator) -> PathTotals:
    """Draw paths in the true network, and count the results of the comparison with the other."""
    paths = settings.paths
    if not true_network.length.any():
        correct = 0 if network.length.any() else paths
        return PathTotals(correct=correct, too_long=0, too_short=0, infeasible=paths - correct)
    starts, stops = true_network.draw(paths, rng)
    true_length = true_network.pair_distances(starts, stops)
    found_starts, start_found = network.snap(true_network.positions(starts), settings.radius)
    found_stops, stop_found = network.snap(true_network.positions(stops), settings.radius)
    found = start_found & stop_found
    length = np.full(paths, np.inf)
    length[found] = network.pair_distances(found_starts[found], found_stops[found])
    feasible = np.isfinite(length)
    # Rounding must not make a path wrong where the tolerance is 0 and the prediction equals the truth.
    margin = settings.tolerance * true_length + true_network.rounding
    too_long = int((feasible & (length - true_length > margin)).sum())
    too_short = int((true_length - length > margin).sum())
    infeasible = int((~feasible).sum())
    correct = paths - too_long - too_short - infeasible
    return PathTotals(correct=correct, too_long=too_long, too_short=too_short, infeasible=infeasible)
