"""Overlap of each skeleton with the other mask (Shit et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import networkx as nx
import numpy as np

from .. import spacing as sizes
from ..arrays import ArrayLike
from ..skeletons import curves, pixel_counts
from .fine_grid import resample
from .inputs import as_drawn_masks
from .totals import add_up, harmonic_mean


class ClDice(NamedTuple):
    """Overlap of skeletons with masks, each number in [0, 1]; 1 is best."""

    score: float
    """The harmonic mean of the other two."""
    precision: float
    """The share of the predicted skeleton that lies in the true mask."""
    sensitivity: float
    """The share of the true skeleton that lies in the predicted mask."""


def cl_dice(
    pred: ArrayLike | nx.Graph,
    target: ArrayLike | nx.Graph,
    *,
    mask: ArrayLike | None = None,
    spacing: float | Sequence[float] = 1.0,
) -> ClDice:
    """Compute the centreline Dice score of two masks of curves or tubes.

    The length of a skeleton is its number of pixels, as in `ccq`. There is no tolerance except the thickness of the
    masks: a skeleton may be displaced by up to half the thickness of the other mask.

    Parameters
    ----------
    pred, target : array_like, shape (*spatial) or (B, 1, *spatial); or networkx.Graph
        Masks: see `gpuph.metrics`. One of them may be a graph, which `draw_graph` draws on the grid of the other, with
        lines one pixel wide.
    mask : array_like, bool, shape (*spatial) or (B, 1, *spatial), optional
        The region of interest: see `gpuph.metrics`.
    spacing : float or sequence of float, one per axis
        Size of a pixel: see `gpuph.metrics`. Only the ratios of the axes matter, unless an input is a graph.

    Returns
    -------
    ClDice
        A named tuple of three floats, each the mean over the batch. For an image, all are 1 if both masks are empty,
        and all are 0 if only one is.

    Raises
    ------
    TypeError, ValueError
        As for all metrics: see `gpuph.metrics`. ValueError also if both inputs are graphs, or `spacing` is not positive
        or does not have one number for each axis.

    Notes
    -----
    Skeletons are those of `skeleton_graph`. They may run between pixels, along the middle of a mask of even thickness.
    A point between pixels lies in a mask if one of the pixels that it touches does. The skeletons of scikit-image,
    which Shit et al. use, consist of pixels and end elsewhere, so that scores differ by up to 0.02 on noisy roads.
    `gpuph.SoftClDiceLoss` is the loss; its skeletons are soft, and its value is not 1 minus this score.

    References
    ----------
    S. Shit, J. C. Paetzold, A. Sekuboyina, I. Ezhov, A. Unger, A. Zhylka, J. P. W. Pluim, U. Bauer, B. H. Menze:
    clDice - a novel topology-preserving loss function for tubular structure segmentation. CVPR 2021.

    Examples
    --------
    A quarter of a thick road is missing:

    >>> import torch
    >>> from gpuph.metrics import cl_dice
    >>> target = torch.zeros(32, 40, dtype=torch.bool)
    >>> target[15:18] = True
    >>> pred = target.clone()
    >>> pred[:, 30:] = False
    >>> [round(value, 3) for value in cl_dice(pred, target)]
    [0.866, 1.0, 0.763]
    """
    return measure(pred, target, ClDiceSettings.checked(spacing), mask).result()


class ClDiceSettings(NamedTuple):
    """Settings of `cl_dice`."""

    spacing: sizes.Spacing

    @classmethod
    def checked(cls, spacing: float | Sequence[float]) -> ClDiceSettings:
        """Return the settings as floats; raise unless they are as documented."""
        return cls(spacing=sizes.checked(spacing))


class ClDiceTotals(NamedTuple):
    """Sums over images of the fields of `ClDice`, and the number of images."""

    score: float
    precision: float
    sensitivity: float
    images: float

    def result(self) -> ClDice:
        """Return the metric; without any image, all fields are 1."""
        if not self.images:
            return ClDice(1.0, 1.0, 1.0)
        return ClDice(self.score / self.images, self.precision / self.images, self.sensitivity / self.images)


def measure(
    pred: ArrayLike | nx.Graph, target: ArrayLike | nx.Graph, settings: ClDiceSettings, mask: ArrayLike | None = None
) -> ClDiceTotals:
    """Compute the sums over a pair of inputs."""
    masks = [images.cpu().numpy() for images in as_drawn_masks(pred, target, mask, settings.spacing)]
    each = sizes.per_axis(settings.spacing, masks[0].ndim - 1)
    return add_up(ClDiceTotals, (_compare(one, true, each) for one, true in zip(*masks, strict=True)))


def _compare(mask: np.ndarray, true_mask: np.ndarray, spacing: tuple[float, ...] | None) -> ClDiceTotals:
    if spacing is not None:
        mask, true_mask = resample(mask, spacing).mask, resample(true_mask, spacing).mask
    if not mask.any() and not true_mask.any():
        return ClDiceTotals(1, 1, 1, 1)
    precision, sensitivity = _share(mask, true_mask), _share(true_mask, mask)
    score = harmonic_mean(precision, sensitivity)
    return ClDiceTotals(score=score, precision=precision, sensitivity=sensitivity, images=1)


def _share(mask: np.ndarray, other: np.ndarray) -> float:
    """Return the share of the skeleton of a mask that lies in another mask; it is 0 for an empty skeleton."""
    curve = curves(mask)
    counts = pixel_counts(curve)
    if counts.sum() == 0:
        return 0.0
    padded = np.pad(other, 1)
    low, high = (np.int64(end(curve.places)) + 1 for end in (np.floor, np.ceil))
    inside = np.zeros(len(counts), bool)
    for corner in product((low, high), repeat=mask.ndim):  # the pixels that a place between pixels touches
        inside |= padded[tuple(index[:, axis] for axis, index in enumerate(corner))]
    return float(counts[inside].sum() / counts.sum())
