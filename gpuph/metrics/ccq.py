"""Correctness, completeness and quality of a delineation (Wiedemann, Heipke, Mayer, Jamet 1998)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import networkx as nx
import numpy as np
from scipy.spatial import cKDTree

from .. import checks
from .. import spacing as sizes
from ..arrays import ArrayLike
from ..skeletons import curves, pixel_counts
from .fine_grid import resample
from .inputs import as_graphs, as_masks
from .network import Network, networks
from .totals import add_up


class CCQ(NamedTuple):
    """Correctness, completeness and quality, each in [0, 1]; 1 is best."""

    correctness: float
    """The share of the predicted length that is matched."""
    completeness: float
    """The share of the true length that is matched."""
    quality: float
    """The matched predicted length, as a share of the predicted and the missed true length together."""


def ccq(
    pred: ArrayLike | nx.Graph,
    target: ArrayLike | nx.Graph,
    tolerance: float = 5.0,
    *,
    mask: ArrayLike | None = None,
    spacing: float | Sequence[float] = 1.0,
) -> CCQ:
    """Compare the skeletons of two masks, or two graphs, up to small displacements.

    A piece of a skeleton is matched if the other skeleton comes within `tolerance` of it:

    - correctness: the share of the predicted skeleton that is matched (precision);
    - completeness: the share of the true skeleton that is matched (recall);
    - quality: matched predicted length / (predicted length + length of the true skeleton that is not matched).

    If both inputs are masks, the length of a skeleton is its number of pixels; where a skeleton runs between pixels, it
    is the number of pixels along it. Long pixels, see `spacing` of `skeleton_graph`, count as several. If one input is
    a graph, the length is that of the edges. They are cut into pieces of at most a fifth of the tolerance (by default
    one pixel), and a piece is matched if its middle is; isolated nodes have no length. The lengths of all images of a
    batch are added up. The computation runs on the CPU, for masks on any device.

    Parameters
    ----------
    pred, target : array_like, shape (*spatial) or (B, 1, *spatial); or networkx.Graph
        Masks or graphs: see `gpuph.metrics`.
    tolerance : float
        The largest distance between a piece and the other skeleton at which the piece is matched, in pixels or units of
        `spacing`.
    mask : array_like, bool, shape (*spatial) or (B, 1, *spatial), optional
        The region of interest: see `gpuph.metrics`.
    spacing : float or sequence of float, one per axis
        Size of a pixel: see `gpuph.metrics`.

    Returns
    -------
    CCQ
        A named tuple of three floats. All are 1 if both skeletons are empty. If only one is, all are 0.

    Raises
    ------
    TypeError, ValueError
        As for all metrics: see `gpuph.metrics`. ValueError also if `tolerance` is negative, or `spacing` is not
        positive or does not have one number for each axis.

    References
    ----------
    C. Wiedemann, C. Heipke, H. Mayer, O. Jamet: Empirical evaluation of automatically extracted road axes. In:
    Empirical Evaluation Techniques in Computer Vision, 1998.

    Examples
    --------
    The prediction is two pixels away from the road, and the last quarter of the road is missing:

    >>> import torch
    >>> from gpuph.metrics import ccq
    >>> target = torch.zeros(32, 40, dtype=torch.bool)
    >>> target[16] = True
    >>> pred = torch.zeros_like(target)
    >>> pred[18, :30] = True
    >>> ccq(pred, target, tolerance=2.0)
    CCQ(correctness=1.0, completeness=0.75, quality=0.75)
    """
    return measure(pred, target, CCQSettings.checked(tolerance, spacing), mask).result()


class CCQSettings(NamedTuple):
    """Settings of `ccq`."""

    tolerance: float
    spacing: sizes.Spacing

    @classmethod
    def checked(cls, tolerance: float, spacing: float | Sequence[float]) -> CCQSettings:
        """Return the settings as floats; raise unless they are as documented."""
        return cls(tolerance=checks.number("tolerance", tolerance, 0.0), spacing=sizes.checked(spacing))


class CCQTotals(NamedTuple):
    """Lengths, summed over images, in pixels or units."""

    pred: float
    target: float
    pred_matched: float
    target_matched: float

    def result(self) -> CCQ:
        """Return the metric; a share of nothing is 0."""
        if self.pred == self.target == 0:
            return CCQ(1.0, 1.0, 1.0)
        return CCQ(
            correctness=self.pred_matched / self.pred if self.pred else 0.0,
            completeness=self.target_matched / self.target if self.target else 0.0,
            quality=self.pred_matched / (self.pred + self.target - self.target_matched) if self.pred_matched else 0.0,
        )


def measure(
    pred: ArrayLike | nx.Graph, target: ArrayLike | nx.Graph, settings: CCQSettings, mask: ArrayLike | None = None
) -> CCQTotals:
    """Compute the sums over a pair of inputs."""
    tolerance = settings.tolerance
    if isinstance(pred, nx.Graph) or isinstance(target, nx.Graph):
        graphs = as_graphs(pred, target, mask, settings.spacing)
        parts = [_compare_networks(*networks(*pair), tolerance) for pair in graphs]
    else:
        masks = [images.cpu().numpy() for images in as_masks(pred, target, mask)]
        each = sizes.per_axis(settings.spacing, masks[0].ndim - 1)
        parts = [_compare_masks(one, true, tolerance, each) for one, true in zip(*masks, strict=True)]
    return add_up(CCQTotals, parts)


def _compare_masks(
    mask: np.ndarray, true_mask: np.ndarray, tolerance: float, spacing: tuple[float, ...] | None
) -> CCQTotals:
    (places, count), (true_places, true_count) = (_pieces(each, spacing) for each in (mask, true_mask))
    near = _near(places, true_places, tolerance)
    true_near = _near(true_places, places, tolerance)
    return CCQTotals(
        pred=float(count.sum()),
        target=float(true_count.sum()),
        pred_matched=float(count[near].sum()),
        target_matched=float(true_count[true_near].sum()),
    )


def _pieces(mask: np.ndarray, spacing: tuple[float, ...] | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of the pieces of a skeleton (n, ndim), and their lengths (n,)."""
    if spacing is None:
        curve = curves(mask)
        return curve.places, pixel_counts(curve)
    grid = resample(mask, spacing)
    curve = curves(grid.mask)
    return grid.in_units(curve.places), pixel_counts(curve) * grid.fine_size()


def _near(points: np.ndarray, others: np.ndarray, tolerance: float) -> np.ndarray:
    """Return which of the points (n, ndim) lie within `tolerance` of one of the others, shape (n,)."""
    if len(points) == 0 or len(others) == 0:
        return np.zeros(len(points), bool)
    near: np.ndarray = cKDTree(others).query(points)[0] <= tolerance
    return near


def _compare_networks(network: Network, true_network: Network, tolerance: float) -> CCQTotals:
    length, matched = _length_near(network, true_network, tolerance)
    true_length, true_matched = _length_near(true_network, network, tolerance)
    return CCQTotals(pred=length, target=true_length, pred_matched=matched, target_matched=true_matched)


def _length_near(network: Network, other: Network, tolerance: float) -> tuple[float, float]:
    """Return the length of all edges, and the length of the pieces that lie within `tolerance` of the other's edges."""
    # Pieces are at least a millionth of all edges long, which bounds their number.
    places, length = network.middles(max(tolerance / 5, 1e-6 * network.length.sum()) or 1.0)
    return float(length.sum()), float(length[other.near(network.positions(places), tolerance)].sum())
