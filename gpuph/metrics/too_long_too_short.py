"""Paths that are too long or too short (Wegner, Montoya-Zegarra, Schindler 2013)."""

from __future__ import annotations

from typing import Any, NamedTuple

import networkx as nx
import numpy as np
from torch import Tensor

from .. import checks
from .inputs import as_graphs
from .network import Network, networks


class TooLongTooShort(NamedTuple):
    """Shares of paths; they add up to 1."""

    correct: float
    too_long: float
    """Detours: a connection is missing."""
    too_short: float
    """Shortcuts: a connection is false."""
    infeasible: float
    """There is no way, or an end point of the path was not found."""


def too_long_too_short(
    pred: Tensor | nx.Graph,
    target: Tensor | nx.Graph,
    radius: float = 25.0,
    tolerance: float = 0.05,
    paths: int = 1000,
    seed: int = 0,
) -> TooLongTooShort:
    """Compare the lengths of random shortest paths of the truth with those of the prediction.

    The end points of a path are drawn with equal chance along all true edges, among the pairs that a path joins, and
    each is matched with the nearest place of the prediction.

    Parameters
    ----------
    pred, target : Tensor, bool, shape (*spatial) or (B, 1, *spatial); or networkx.Graph
        Graphs, or masks, compared by their skeletons: see `gpuph.metrics`.
    radius : float
        How far an end point may be from the prediction, in pixels.
    tolerance : float
        By what share of its length the path of a correct pair may be longer or shorter.
    paths : int
        How many paths to draw in each image.
    seed : int
        Decides the drawing.

    Returns
    -------
    TooLongTooShort
        A named tuple of four floats, over all images. Where the truth has no path, all count as correct if the
        prediction has none either, also if both are empty, and else as infeasible.

    Raises
    ------
    TypeError, ValueError
        As all metrics do: see `gpuph.metrics`. ValueError also if `radius` is not positive, `tolerance` is
        negative, or `paths` is below 1.

    References
    ----------
    J. D. Wegner, J. A. Montoya-Zegarra, K. Schindler: A higher-order CRF model for road network extraction. CVPR 2013.

    Examples
    --------
    A square of roads, of which one side is missing. Points on it are not found, and what led along it is longer now:

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
    return result(totals(pred, target, **settings(radius, tolerance, paths, seed)))


def settings(radius: float, tolerance: float, paths: int, seed: int) -> dict[str, Any]:
    """Return the settings of `totals` by name; raise unless they are what `too_long_too_short` documents."""
    return {
        "radius": checks.number("radius", radius, positive=True),
        "tolerance": checks.number("tolerance", tolerance, 0.0),
        "paths": checks.integer("paths", paths, 1),
        "seed": checks.seed(seed),
    }


def totals(
    pred: Tensor | nx.Graph, target: Tensor | nx.Graph, radius: float, tolerance: float, paths: int, seed: int
) -> np.ndarray:
    """Numbers of paths, over the images, in the order of TooLongTooShort's fields."""
    rng = np.random.default_rng(seed)
    counts = np.zeros(4)
    for graph, true_graph in as_graphs(pred, target):
        counts += _count(*networks(graph, true_graph), radius, tolerance, paths, rng)
    return counts


def result(counts: np.ndarray) -> TooLongTooShort:
    """The metric of such numbers."""
    if counts.sum() == 0:
        return TooLongTooShort(1.0, 0.0, 0.0, 0.0)
    return TooLongTooShort(*(counts / counts.sum()).tolist())


def _count(
    network: Network, true_network: Network, radius: float, tolerance: float, paths: int, rng: np.random.Generator
) -> tuple[int, int, int, int]:
    if not true_network.length.any():
        return (0, 0, 0, paths) if network.length.any() else (paths, 0, 0, 0)
    starts, stops = true_network.draw(paths, rng)
    true_length = true_network.pair_distances(starts, stops)
    found_starts, start_found = network.snap(true_network.positions(starts), radius)
    found_stops, stop_found = network.snap(true_network.positions(stops), radius)
    found = start_found & stop_found
    length = np.full(paths, np.inf)
    length[found] = network.pair_distances(found_starts[found], found_stops[found])
    feasible = np.isfinite(length)
    # A prediction that is the truth must be correct with a tolerance of 0, too.
    margin = tolerance * true_length + true_network.rounding
    too_long = int((feasible & (length - true_length > margin)).sum())
    too_short = int((true_length - length > margin).sum())
    infeasible = int((~feasible).sum())
    return paths - too_long - too_short - infeasible, too_long, too_short, infeasible
