"""Skeletons of probabilities by morphology: what openings remove from ever stronger erosions."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d, max_pool3d

from .. import checks, hints
from .base import WindowLoss


class WholeImageLoss(WindowLoss):
    """Base of the losses on skeletons, which by default take each image whole."""

    default_window: ClassVar = {2: checks.LARGEST, 3: checks.LARGEST}
    takes_masks = True

    def _hint(self, pred: Tensor, target: Tensor) -> bool:
        """Warn if the maps are not probabilities and a mask."""
        return hints.probabilities_and_mask(pred, target)


def soft_skeleton(x: Tensor, iterations: int) -> Tensor:
    """Return the soft skeletons of probabilities.

    Parameters
    ----------
    x : Tensor, shape (N, *window), floating point
        Probabilities from 0 to 1.
    iterations : int
        Number of erosions after the first opening; objects thicker than about twice that many pixels keep a thick
        skeleton or none.

    Returns
    -------
    Tensor, of x's shape
        Values from 0 to 1; a mask for a mask.
    """
    x = x.unsqueeze(1)  # pooling expects channels
    skeleton = torch.zeros_like(x)
    for step in range(iterations + 1):
        eroded = _erode(x)
        ridge = (x - _dilate(eroded)).relu()
        skeleton = ridge if step == 0 else skeleton + (ridge - skeleton * ridge).relu()
        x = eroded
    return skeleton.squeeze(1)


def _erode(x: Tensor) -> Tensor:
    """Return the least value of each pixel and its neighbours along the axes, (N, 1, *window)."""
    rank = x.dim() - 2
    along = [-_pool(-x, [3 if i == axis else 1 for i in range(rank)]) for axis in range(rank)]
    least, *others = along
    for other in others:
        least = torch.minimum(least, other)
    return least


def _dilate(x: Tensor) -> Tensor:
    """Return the largest value of each pixel and all its neighbours."""
    return _pool(x, [3] * (x.dim() - 2))


def _pool(x: Tensor, sizes: list[int]) -> Tensor:
    pool = max_pool2d if len(sizes) == 2 else max_pool3d
    pooled: Tensor = pool(x, sizes, 1, [size // 2 for size in sizes])
    return pooled
