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
from .totals import add_up

# At most this many times `paths` pairs of points are drawn, until both networks have `paths` of them.
DRAWS = 100


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
    draw_from: str = "target",
) -> TooLongTooShort:
    """Compare the lengths of random shortest paths in the truth with those in the prediction.

    The end points of a path are drawn uniformly along the edges of the truth, from the pairs of points that a path
    joins. Each end point is matched with the nearest point of the prediction. A path is infeasible if one of its end
    points has no counterpart, so that roads that are missing altogether count, unless `draw_from` is "both".

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
    draw_from : {"target", "both"}
        Whether end points are drawn anywhere on the truth, or only where both networks are. See Notes.

    Returns
    -------
    TooLongTooShort
        A named tuple of four floats, over the paths of all images. If the truth of an image has no path, its paths
        count as correct if the prediction has no path either, and as infeasible otherwise.

    Raises
    ------
    TypeError, ValueError
        As for all metrics: see `gpuph.metrics`. ValueError also if `radius` is not positive, `tolerance` is negative,
        `paths` is below 1, `spacing` is not positive or does not have one number for each axis, or `draw_from` is not
        one of the choices.

    Notes
    -----
    Wegner et al. draw points that lie on both networks, as draw_from="both" does: on the truth, within `radius` of the
    prediction. Then only paths that the prediction interrupts are infeasible, and a prediction that lacks whole streets
    may be perfect. The default counts every path to a missing street as infeasible, so that its shares of the other
    kinds are smaller. With "both", pairs of points are drawn until `paths` of them have counterparts, but at most
    100 * `paths` pairs. There are fewer paths if the networks share less than about a tenth of their length. If they
    share nothing, all paths are infeasible.

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

    Among the points that both have, all paths exist:

    >>> result = too_long_too_short(pred, target, draw_from="both")
    >>> {name: round(share, 1) for name, share in result._asdict().items()}
    {'correct': 0.9, 'too_long': 0.1, 'too_short': 0.0, 'infeasible': 0.0}
    """
    settings = PathSettings.checked(radius, tolerance, paths, seed, spacing, draw_from)
    return measure(pred, target, settings, mask).result()


class PathSettings(NamedTuple):
    """Settings of `too_long_too_short`."""

    radius: float
    tolerance: float
    paths: int
    seed: int
    spacing: sizes.Spacing
    draw_from: str

    @classmethod
    def checked(
        cls,
        radius: float,
        tolerance: float,
        paths: int,
        seed: int,
        spacing: float | Sequence[float],
        draw_from: str,
    ) -> PathSettings:
        """Return the settings in the types of the fields; raise unless they are as documented."""
        return cls(
            radius=checks.number("radius", radius, positive=True),
            tolerance=checks.number("tolerance", tolerance, 0.0),
            paths=checks.integer("paths", paths, 1),
            seed=checks.seed(seed),
            spacing=sizes.checked(spacing),
            draw_from=checks.choice("draw_from", draw_from, ("target", "both")),
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
    pairs = as_graphs(pred, target, mask, settings.spacing)
    return add_up(PathTotals, (_count(*networks(*graphs), settings, rng) for graphs in pairs))


def _count(network: Network, true_network: Network, settings: PathSettings, rng: np.random.Generator) -> PathTotals:
    """Draw paths in the true network, and count the results of the comparison with the other."""
    paths = settings.paths
    if not true_network.length.any():
        correct = 0 if network.length.any() else paths
        return PathTotals(correct=correct, too_long=0, too_short=0, infeasible=paths - correct)
    true_length, length = _draw(network, true_network, settings, rng)
    paths = len(length)
    feasible = np.isfinite(length)
    # Rounding must not make a path wrong where the tolerance is 0 and the prediction equals the truth.
    margin = settings.tolerance * true_length + true_network.rounding
    too_long = int((feasible & (length - true_length > margin)).sum())
    too_short = int((true_length - length > margin).sum())
    infeasible = int((~feasible).sum())
    correct = paths - too_long - too_short - infeasible
    return PathTotals(correct=correct, too_long=too_long, too_short=too_short, infeasible=infeasible)


def _draw(
    network: Network, true_network: Network, settings: PathSettings, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw n paths in the true network; return their lengths there and in the other, shape (n,), inf without a path."""
    everywhere = settings.draw_from == "target"
    true_lengths, lengths, missing = [], [], settings.paths
    for _ in range(1 if everywhere else DRAWS):
        starts, stops = true_network.draw(settings.paths, rng)
        found_starts, start_found = network.snap(true_network.positions(starts), settings.radius)
        found_stops, stop_found = network.snap(true_network.positions(stops), settings.radius)
        found = np.flatnonzero(start_found & stop_found)[:missing]
        length = np.full(settings.paths, np.inf)
        length[found] = network.pair_distances(found_starts[found], found_stops[found])
        kept = slice(None) if everywhere else found
        true_lengths.append(true_network.pair_distances(starts[kept], stops[kept]))
        lengths.append(length[kept])
        missing -= len(found)
        if missing == 0:
            break
    if missing == settings.paths:
        return np.ones(settings.paths), np.full(settings.paths, np.inf)
    return np.concatenate(true_lengths), np.concatenate(lengths)
