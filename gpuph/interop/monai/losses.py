"""Losses with the settings of MONAI's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from ... import checks, losses
from ...losses.base import reduce_windows, sum_pixels
from ...losses.soft_skeleton import soft_skeleton


class _Loss(torch.nn.Module):
    """A loss of one class, applied to each class by `gpuph.OneVsRest`.

    Parameters
    ----------
    include_background, to_onehot_y, sigmoid, softmax, other_act, reduction, weight
        As in `monai.losses.DiceLoss`; see `gpuph.OneVsRest` for the few differences.
    **settings
        Settings of the loss of this name in `gpuph`, such as `dims`.
    """

    of_one_class: ClassVar[type[losses.WindowLoss]]
    defaults: ClassVar[dict[str, Any]] = {}

    def __init__(
        self,
        include_background: bool = True,
        to_onehot_y: bool = False,
        sigmoid: bool = False,
        softmax: bool = False,
        other_act: Callable[[Tensor], Tensor] | None = None,
        reduction: str = "mean",
        weight: float | Sequence[float] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__()
        self.each = losses.OneVsRest(
            self.of_one_class(**{**self.defaults, **settings}),
            include_background=include_background,
            to_onehot_y=to_onehot_y,
            sigmoid=sigmoid,
            softmax=softmax,
            other_act=other_act,
            reduction=reduction,
            weight=weight,
        )

    def forward(self, input: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute the loss.

        Parameters
        ----------
        input : Tensor, shape (B, C, H, W) or (B, C, D, H, W), floating point
            Logits or probabilities.
        target : Tensor, of input's shape, or shape (B, 1, ...) with `to_onehot_y`
            Masks, or with `to_onehot_y` labels.
        mask : Tensor, shape (B, 1, ...), bool, optional
            The region of interest; see `gpuph.OneVsRest`.

        Returns
        -------
        Tensor
            A scalar, or all values if reduction="none".
        """
        loss: Tensor = self.each(input, target, mask)
        return loss


def _about(name: str) -> str:
    """Return the docstring of a loss."""
    return (_Loss.__doc__ or "").replace("A loss of one class", f"`gpuph.{name}`")


class TopoLoss(_Loss):
    __doc__ = _about("TopoLoss")
    of_one_class = losses.TopoLoss


class LikelihoodPHLoss(_Loss):
    __doc__ = _about("LikelihoodPHLoss")
    of_one_class = losses.LikelihoodPHLoss


class BettiMatchingLoss(_Loss):
    __doc__ = _about("BettiMatchingLoss(superlevel=True)")
    of_one_class = losses.BettiMatchingLoss
    defaults: ClassVar = {"superlevel": True}  # since MONAI's networks return probabilities, not distance maps


class CbDiceLoss(_Loss):
    __doc__ = _about("CbDiceLoss")
    of_one_class = losses.CbDiceLoss


class SkeletonRecallLoss(_Loss):
    __doc__ = _about("SkeletonRecallLoss")
    of_one_class = losses.SkeletonRecallLoss


class SoftclDiceLoss(torch.nn.Module):
    """MONAI's `SoftclDiceLoss`, with its values: sums are over all classes of an image.

    Parameters
    ----------
    iter_ : int
        Number of erosions.
    smooth_nr, smooth_dr, smooth : float
        Constants that are added to the numerators, to the denominators, and to the denominator of the harmonic mean.
    include_background, to_onehot_y, sigmoid, softmax, other_act
        As in MONAI.
    reduction : {"mean", "sum", "none"}
        What is done with the values of the images.

    Examples
    --------
    >>> import torch
    >>> from gpuph.interop.monai import SoftclDiceLoss
    >>> labels = torch.zeros(1, 1, 16, 16, dtype=torch.int64)
    >>> labels[..., 7:10, :] = 1
    >>> logits = torch.cat((1.0 - labels, labels), dim=1) * 20 - 10
    >>> SoftclDiceLoss(softmax=True, to_onehot_y=True, include_background=False)(logits, labels).round(decimals=3)
    tensor(0.)
    """

    def __init__(
        self,
        iter_: int = 3,
        smooth_nr: float = 1.0,
        smooth_dr: float = 1.0,
        smooth: float = 1e-4,
        include_background: bool = True,
        to_onehot_y: bool = False,
        sigmoid: bool = False,
        softmax: bool = False,
        other_act: Callable[[Tensor], Tensor] | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        self.iterations = checks.integer("iter_", iter_)
        self.smooth_nr = checks.number("smooth_nr", smooth_nr, 0.0)
        self.smooth_dr = checks.number("smooth_dr", smooth_dr, positive=True)
        self.smooth = checks.number("smooth", smooth, positive=True)
        self.reduction = checks.choice("reduction", reduction, ("mean", "sum", "none"))
        self.each = losses.OneVsRest(
            losses.SoftClDiceLoss(),
            include_background=include_background,
            to_onehot_y=to_onehot_y,
            sigmoid=sigmoid,
            softmax=softmax,
            other_act=other_act,
        )

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Compute the loss; `input` and `target` are those of MONAI."""
        p, t = self.each._probabilities_and_masks(input, target)
        skeleton_p, skeleton_t = (soft_skeleton(x.flatten(0, 1), self.iterations).view_as(x) for x in (p, t))
        precision = (sum_pixels(skeleton_p * t) + self.smooth_nr) / (sum_pixels(skeleton_p) + self.smooth_dr)
        sensitivity = (sum_pixels(skeleton_t * p) + self.smooth_nr) / (sum_pixels(skeleton_t) + self.smooth_dr)
        values = 1.0 - 2.0 * precision * sensitivity / (precision + sensitivity + self.smooth)
        return reduce_windows(values, self.reduction)
