"""Labels of several classes, and the masks that they stand for."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .. import debug


def equal_to(target: Tensor, label: int) -> Tensor:
    """Return which pixels have a label, shape (B, 1, *image), in labels (B, 1, *image) or masks (B, C, *image)."""
    channels = target.shape[1]
    if channels == 1:
        # Compare with a tensor of int64, since a number is converted to the dtype of `target`: -1 to 255 for bytes.
        return target == torch.full((1,), label, device=target.device)
    if 0 <= label < channels:
        return target[:, label, None] > 0.5
    return (target == 0).all(dim=1, keepdim=True)


def one_hot(labels: Tensor, classes: int, ignored: Tensor | None) -> Tensor:
    """Return the masks (B, C, *image) of labels (B, 1, *image), with NaN at unknown labels; on the CPU, those raise."""
    numbers = torch.arange(classes, device=labels.device).view(-1, *[1] * (labels.dim() - 2))
    masks = labels == numbers
    known = masks.any(dim=1, keepdim=True)
    if ignored is not None:
        known = known | ignored
    if not debug.checks_now(labels):
        return masks.float().masked_fill(~known, math.nan)
    if not known.all():
        found = labels[~known][0].item()
        raise ValueError(f"target must hold the labels of {classes} classes, from 0 to {classes - 1}, got {found}")
    return masks
