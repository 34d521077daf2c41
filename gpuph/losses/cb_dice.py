"""The loss of Shi et al. 2024 on soft skeletons that are weighted by radii."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .. import checks, ops
from .base import Compared, Maps, nan_status, sum_pixels
from .soft_skeleton import WholeImageLoss, soft_skeleton


class _Weighted(NamedTuple):
    """An object and its skeleton, with weights, shape (N, *window)."""

    inside: Tensor  # distances to the boundary
    radius: Tensor  # distances to the boundary on the skeleton, 0 elsewhere
    centre: Tensor  # weights of the skeleton: large where the object is thin


class CbDiceLoss(WholeImageLoss):
    """Centerline boundary Dice: clDice with weights that know how thick an object is.

    A point of a skeleton counts by how deep it lies in the other object, so that a skeleton off the centre costs
    something, and by how thin its own object is, so that thick objects do not dominate.

    Parameters
    ----------
    iterations, smooth, window, stride, reduction, graphed
        See `SoftClDiceLoss`.

    Raises
    ------
    TypeError, ValueError
        See `SoftClDiceLoss`.

    Warns
    -----
    UserWarning
        See `SoftClDiceLoss`.

    Notes
    -----
    The value is 1 - 2 P S / (P + S), with weighted precision P and sensitivity S as in the authors' code, whose loss is
    lower by 1. Let r be the distance of a pixel to the boundary, in pixels, and R the largest on the skeleton, at least
    1. In the object, weights are min(r / R, 1), and on the skeleton, (R - r + 1) / R, or its square in volumes. A
    skeleton is that of min- and max-pooling of a mask, the prediction at 0.5. All weights are constants for the
    gradient, which flows through the probabilities that they multiply. It is therefore 0 where the probability is at
    most 0.5: add another loss that can join what is broken, as the authors do.

    References
    ----------
    P. Shi, J. Hu, Y. Yang, Z. Gao, W. Liu, T. Ma: Centerline boundary Dice loss for vascular segmentation. MICCAI 2024.

    Examples
    --------
    Of two predictions in the true object, only the one along its centre is right.

    >>> import torch, gpuph
    >>> target = torch.zeros(1, 1, 16, 16)
    >>> target[..., 4:11, :] = 1.0
    >>> aside = torch.zeros_like(target)
    >>> aside[..., 4:7, :] = 1.0
    >>> float(gpuph.CbDiceLoss()(target, target))
    0.0
    >>> bool(gpuph.CbDiceLoss()(aside, target) > gpuph.CbDiceLoss()(aside.roll(2, dims=2), target))
    True
    """

    settings = ("iterations", "smooth")

    def __init__(
        self,
        *,
        iterations: int = 10,
        smooth: float = 1.0,
        window: int | Sequence[int] | None = None,
        stride: int | Sequence[int] | None = None,
        reduction: str = "mean",
        graphed: bool = False,
    ) -> None:
        super().__init__(window=window, stride=stride, reduction=reduction, graphed=graphed)
        self.iterations = checks.integer("iterations", iterations)
        self.smooth = checks.number("smooth", smooth, positive=True)

    def compare(self, maps: Maps) -> Compared:
        """Return one minus the centerline boundary Dice of each window."""
        p, t = maps.windows()
        pred, target = self._weigh(p), self._weigh(t)
        precision = self._ratio(pred, target)
        sensitivity = self._ratio(target, pred)
        loss = 1.0 - 2.0 * precision * sensitivity / (precision + sensitivity)
        return Compared(loss, nan_status(p, t))

    def _weigh(self, x: Tensor) -> _Weighted:
        """Return the weighted object and skeleton of probabilities (N, *window)."""
        rank = x.dim() - 1
        with torch.no_grad():
            mask = x > 0.5
            skeleton = soft_skeleton(mask.to(x.dtype), self.iterations)
            farthest = math.hypot(*x.shape[1:])
            distance = ops.distance_map(~mask, farthest, [1.0] * rank).to(x.dtype)
            radius = distance * skeleton
            largest = radius.flatten(1).amax(dim=1).clamp(min=1.0).view(-1, *[1] * rank)
            inside, on_skeleton = torch.minimum(distance / largest, torch.ones_like(x)), radius / largest
            thin = (largest - radius + 1.0) / largest
            thin = (thin if rank == 2 else thin.square()) * skeleton
        return _Weighted(inside * x, on_skeleton * x, thin * x)

    def _ratio(self, one: _Weighted, other: _Weighted) -> Tensor:
        """Return how much of the skeleton of one object lies in the other, out of what could, shape (N,)."""
        found = sum_pixels(one.centre * other.inside)
        # Beside the other's skeleton, where its radius is 0, a point could be as deep as it is in its own object.
        own = (one.radius != 0) & (other.radius == 0)
        possible = sum_pixels(one.centre * one.radius.where(own, other.radius))
        return (found + self.smooth) / (possible + self.smooth)
