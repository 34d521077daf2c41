"""Correctness, completeness and quality of a delineation (Wiedemann, Heipke, Mayer, Jamet 1998)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from .masks import as_batches


class CCQ(NamedTuple):
    """Correctness, completeness and quality, each in [0, 1]; 1 is best."""

    correctness: float
    completeness: float
    quality: float


def ccq(pred: Tensor, target: Tensor, tolerance: float = 5.0) -> CCQ:
    """Compare the skeletons of two masks, with a tolerance for their place.

    A skeleton pixel is matched if the other mask's skeleton comes within `tolerance` of it:

    - correctness: the share of the predicted skeleton that is matched (precision);
    - completeness: the share of the true skeleton that is matched (recall);
    - quality: matched predicted length / (predicted length + length of the true skeleton that is not matched).

    Length is counted in pixels, and the images of a batch are pooled. Computed on the CPU, wherever the masks are.

    Parameters
    ----------
    pred, target : Tensor, bool, shape (*spatial) or (B, 1, *spatial)
        Masks, True on the object; `spatial` is (H, W) or (D, H, W).
    tolerance : float
        How far apart two pixels may be to count as the same place, in pixels.

    Returns
    -------
    CCQ
        A named tuple of three floats. All are 1 where both masks are empty; a share of one empty skeleton is 0.

    Raises
    ------
    TypeError
        If a mask is not a bool tensor.
    ValueError
        If the shapes or devices differ, a shape is none of the above, or `tolerance` is negative.
    ImportError
        If scikit-image is not installed.

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
    if not tolerance >= 0:
        raise ValueError(f"tolerance must be at least 0 pixels, got {tolerance}")
    pred, target = as_batches(pred, target)
    predicted = true = matched_predicted = matched_true = 0
    for mask, true_mask in zip(pred.cpu().numpy(), target.cpu().numpy(), strict=True):
        skeleton, true_skeleton = _skeleton(mask), _skeleton(true_mask)
        predicted += int(skeleton.sum())
        true += int(true_skeleton.sum())
        matched_predicted += _count_near(skeleton, true_skeleton, tolerance)
        matched_true += _count_near(true_skeleton, skeleton, tolerance)
    if predicted == true == 0:
        return CCQ(1.0, 1.0, 1.0)
    # max(1, .): a share of nothing is 0.
    return CCQ(
        correctness=matched_predicted / max(1, predicted),
        completeness=matched_true / max(1, true),
        quality=matched_predicted / (predicted + true - matched_true),
    )


def _skeleton(mask: np.ndarray) -> np.ndarray:
    try:
        from skimage.morphology import skeletonize
    except ImportError as error:
        raise ImportError("ccq needs scikit-image, which comes with `pip install gpuph[demo]`") from error
    return np.asarray(skeletonize(mask), bool)


def _count_near(points: np.ndarray, others: np.ndarray, tolerance: float) -> int:
    """Count the True pixels of `points` that lie within `tolerance` of one in `others`."""
    if not others.any():  # the distance transform has no meaning without one
        return 0
    return int((distance_transform_edt(~others)[points] <= tolerance).sum())
