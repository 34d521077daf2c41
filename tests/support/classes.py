"""Losses of one class, and predictions and truths of several classes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

import gpuph
from gpuph import BettiPriorLoss

square = functools.partial(mse_loss, reduction="none")
Make = Callable[..., Any]
OF_MASKS: dict[str, Make] = {
    "LikelihoodPHLoss": functools.partial(gpuph.LikelihoodPHLoss, window=8, dims=(0, 1)),
    "TopoLoss": functools.partial(gpuph.TopoLoss, window=8, dims=(0, 1)),
    "BettiMatchingLoss of masks": functools.partial(
        gpuph.BettiMatchingLoss, window=8, stride=7, dims=(0, 1), superlevel=True
    ),
    "MorseSkeletonLoss": functools.partial(gpuph.MorseSkeletonLoss, window=8, min_persistence=0.01),
    "SoftClDiceLoss": functools.partial(gpuph.SoftClDiceLoss, window=8),
    "CbDiceLoss": functools.partial(gpuph.CbDiceLoss, window=8),
    "SkeletonRecallLoss": functools.partial(gpuph.SkeletonRecallLoss, window=8, radius=1),
}
OF_DISTANCES: dict[str, Make] = {
    "LocalizedPHLoss": functools.partial(
        gpuph.LocalizedPHLoss, window=8, stride=7, dims={0: 0.5, 1: 2.0}, height=gpuph.RandomLinear(per_window=False)
    ),
    "LocalizedPHLoss, fixed height": functools.partial(gpuph.LocalizedPHLoss, window=8, height=gpuph.Radial(0.1)),
    "DistancePHLoss": functools.partial(gpuph.DistancePHLoss, window=8),
    "BettiMatchingLoss": functools.partial(gpuph.BettiMatchingLoss, window=8, dims={0: 0.5, 1: 2.0}),
    "ConnectivityLoss": functools.partial(gpuph.ConnectivityLoss, window=8, truncation=4.0, dilation=0),
    "MorseSkeletonLoss of distances": functools.partial(
        gpuph.MorseSkeletonLoss, window=8, superlevel=False, base=square
    ),
}
PRIOR: dict[str, Make] = {"BettiPriorLoss": functools.partial(BettiPriorLoss, {0: 2, 1: 3})}
LOSSES = {**OF_MASKS, **OF_DISTANCES, **PRIOR}
ACTIVATIONS: dict[str, tuple[dict[str, Any], Callable[[Tensor], Tensor]]] = {
    "softmax": ({"softmax": True}, lambda x: x.softmax(dim=1)),
    "sigmoid": ({"sigmoid": True}, torch.sigmoid),
    "other_act": ({"other_act": lambda x: x.tanh() / 2 + 0.5}, lambda x: x.tanh() / 2 + 0.5),
}
SHAPE = (2, 3, 17, 21)


def some_labels(shape: tuple[int, ...]) -> Tensor:
    """Return labels (B, 1, *image) of as many classes as the shape (B, C, *image) has channels."""
    images, classes, *image = shape
    return torch.randint(classes, (images, 1, *image), generator=torch.Generator().manual_seed(1))


def masks_of(labels: Tensor, classes: int) -> Tensor:
    return labels == torch.arange(classes).view(-1, *[1] * (labels.dim() - 2))


def inputs_of(name: str, shape: tuple[int, ...] = SHAPE, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Return a prediction and, if the loss has one, a target; the first class is smoother than the others."""
    generator = torch.Generator().manual_seed(0)
    pred = torch.rand(shape, generator=generator, dtype=torch.float64)
    pred[:, 0] = pred[:, 0].cumsum(dim=-1) / shape[-1]
    masks = torch.rand(shape, generator=generator) < 0.3
    if name in OF_DISTANCES:
        distances = gpuph.truncated_distance_map(masks.flatten(0, 1)[:, None], 4.0).view(shape)
        return [(4 * pred).to(dtype).requires_grad_(), distances.to(dtype)]
    return [pred.to(dtype).requires_grad_(), *([masks] if name in OF_MASKS else [])]


def looped(make: Make, maps: list[Tensor], first: int = 0) -> Tensor:
    """Return the values of each class by itself, shape (B, C, windows)."""
    values = []
    for i in range(first, maps[0].shape[1]):
        torch.manual_seed(5)
        values.append(make(reduction="none")(*(x[:, i : i + 1] for x in maps)))
    return torch.stack(values, dim=1)


def gradient(loss: Tensor, pred: Tensor) -> Tensor:
    weights = torch.rand(loss.shape, generator=torch.Generator().manual_seed(2), dtype=loss.dtype)
    return torch.autograd.grad(loss, pred, weights, retain_graph=True)[0]
