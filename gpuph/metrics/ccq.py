"""Correctness, completeness and quality of a delineation (Wiedemann, Heipke, Mayer, Jamet 1998)."""

from __future__ import annotations

from typing import NamedTuple

import networkx as nx
import numpy as np
from scipy.spatial import cKDTree
from torch import Tensor

from .. import checks
from .inputs import as_batches, as_graphs
from .network import Network, networks
from .skeletons import curves, weights


class CCQ(NamedTuple):
    """Correctness, completeness and quality, each in [0, 1]; 1 is best."""

    correctness: float
    completeness: float
    quality: float


def ccq(pred: Tensor | nx.Graph, target: Tensor | nx.Graph, tolerance: float = 5.0) -> CCQ:
    """Compare the skeletons of two masks, or two graphs, with a tolerance for their place.

    A piece of a skeleton is matched if the other skeleton comes within `tolerance` of it:

    - correctness: the share of the predicted skeleton that is matched (precision);
    - completeness: the share of the true skeleton that is matched (recall);
    - quality: matched predicted length / (predicted length + length of the true skeleton that is not matched).

    Of two masks the length is the number of the skeletons' pixels; where a skeleton runs between pixels, half a pixel
    beside them, their number along it. If one of them is a graph, it is the length of the edges, cut into pieces of at
    most a fifth of the tolerance (a pixel by default), whose middles are looked at; single nodes have none. The images
    of a batch are pooled. Computed on the CPU, wherever the masks are.

    Parameters
    ----------
    pred, target : Tensor, bool, shape (*spatial) or (B, 1, *spatial); or networkx.Graph
        Masks or graphs: see `gpuph.metrics`.
    tolerance : float
        How far apart two pieces may be to count as the same place, in pixels.

    Returns
    -------
    CCQ
        A named tuple of three floats. All are 1 where both are empty; a share of one empty skeleton is 0.

    Raises
    ------
    TypeError, ValueError
        As all metrics do: see `gpuph.metrics`. ValueError also if `tolerance` is negative.

    References
    ----------
    C. Wiedemann, C. Heipke, H. Mayer, O. Jamet: Empirical evaluation of automatically extracted road axes. In:
    Empirical Evaluation Techniques in Computer Vision, 1998.

    Examples
    --------
    A road was found two pixels aside, but for its last quarter:

    >>> import torch
    >>> from gpuph.metrics import ccq
    >>> target = torch.zeros(32, 40, dtype=torch.bool)
    >>> target[16] = True
    >>> pred = torch.zeros_like(target)
    >>> pred[18, :30] = True
    >>> ccq(pred, target, tolerance=2.0)
    CCQ(correctness=1.0, completeness=0.75, quality=0.75)
    """
    return result(totals(pred, target, checks.number("tolerance", tolerance, 0.0)))


def totals(pred: Tensor | nx.Graph, target: Tensor | nx.Graph, tolerance: float) -> np.ndarray:
    """Sums over the images: lengths of the prediction, of the truth, and of what is matched of each."""
    sums = np.zeros(4)
    if isinstance(pred, nx.Graph) or isinstance(target, nx.Graph):
        for graph, true_graph in as_graphs(pred, target):
            network, true_network = networks(graph, true_graph)
            length, matched = _length_near(network, true_network, tolerance)
            true_length, true_matched = _length_near(true_network, network, tolerance)
            sums += (length, true_length, matched, true_matched)
        return sums
    pred, target = as_batches(pred, target)
    for mask, true_mask in zip(pred.cpu().numpy(), target.cpu().numpy(), strict=True):
        curve, true_curve = curves(mask), curves(true_mask)
        count, true_count = weights(curve), weights(true_curve)
        near = _near(curve.places, true_curve.places, tolerance)
        true_near = _near(true_curve.places, curve.places, tolerance)
        sums += (count.sum(), true_count.sum(), count[near].sum(), true_count[true_near].sum())
    return sums


def result(sums: np.ndarray) -> CCQ:
    """The metric of such sums."""
    predicted, true, matched_predicted, matched_true = sums.tolist()
    if predicted == true == 0:
        return CCQ(1.0, 1.0, 1.0)
    # A share of nothing is 0.
    return CCQ(
        correctness=matched_predicted / predicted if predicted else 0.0,
        completeness=matched_true / true if true else 0.0,
        quality=matched_predicted / (predicted + true - matched_true) if matched_predicted else 0.0,
    )


def _near(points: np.ndarray, others: np.ndarray, tolerance: float) -> np.ndarray:
    """Which of some points (n, ndim) lie within `tolerance` of one of the others, shape (n,)."""
    if len(points) == 0 or len(others) == 0:
        return np.zeros(len(points), bool)
    near: np.ndarray = cKDTree(others).query(points)[0] <= tolerance
    return near


def _length_near(network: Network, other: Network, tolerance: float) -> tuple[float, float]:
    """The length of all edges, and of those pieces that lie within `tolerance` of the other's edges."""
    # A millionth of all edges at least, so that the number of pieces is bounded.
    places, length = network.middles(max(tolerance / 5, 1e-6 * network.length.sum()) or 1.0)
    return float(length.sum()), float(length[other.near(network.positions(places), tolerance)].sum())
