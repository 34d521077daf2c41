"""Regions of interest: what losses see where a mask says that pixels do not count."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .. import checks
from .inputs import WHOLE


def checked(mask: Tensor, pred: Tensor) -> Tensor:
    """Return the mask of the pixels of `pred` (B, C, *image) that count, shape (B, 1, *image); raise unless it fits."""
    if not isinstance(mask, Tensor):
        raise TypeError(f"mask must be a bool tensor or None, got {checks.shown(mask)}")
    if mask.dtype != torch.bool:
        raise TypeError(
            f"mask must be a bool tensor, True on the pixels that count, got {mask.dtype}; mask != 0 makes one"
        )
    checks.dense("mask", mask)
    if mask.device != pred.device:
        raise ValueError(f"mask must be on pred's device {pred.device}, got {mask.device}")
    shape = (len(pred), 1, *pred.shape[2:])
    fits = all(size in (1, full) for size, full in zip(reversed(mask.shape), reversed(shape), strict=False))
    if mask.dim() > len(shape) or not fits:
        raise ValueError(f"mask must have the shape {shape}, or one that broadcasts to it, got {tuple(mask.shape)}")
    return mask.expand(shape)


def fill_unknown(target: Tensor, mask: Tensor, *, masks: bool) -> Tensor:
    """Return the truth with background at values outside the region that no truth can have.

    Such values are NaN, and integers other than 0 and 1. They mark pixels whose truth is unknown.

    Parameters
    ----------
    target : Tensor, shape (B, C, *image)
        The truth.
    mask : Tensor, shape (B, 1, *image), bool
        True inside the region.
    masks : bool
        Whether the truth is a mask, whose background is 0. The background of a distance map is its largest value.
    """
    if target.dtype == torch.bool:
        return target
    if target.dtype in WHOLE:
        return target.masked_fill(~mask & (target != 0) & (target != 1), 0)
    nan = target.isnan()
    if masks:
        return target.masked_fill(nan & ~mask, 0.0)
    largest = target.detach().masked_fill(nan, -math.inf).amax(dim=tuple(range(2, target.dim())), keepdim=True)
    return largest.where(largest > -math.inf, 0.0).where(nan & ~mask, target)


def replace_outside(pred: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Return the prediction with the truth outside the region, where its gradient is then 0."""
    return pred.where(mask, target.detach())
