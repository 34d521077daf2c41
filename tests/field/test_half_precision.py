"""Losses of half-precision maps equal those of float64 on the same numbers, and their gradients are finite."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import l1_loss, mse_loss

import gpuph
from gpuph import losses
from gpuph.height import Linear

HALVES = [torch.float16, torch.bfloat16]
Loss = Callable[[Tensor, Tensor], Tensor]
square = functools.partial(mse_loss, reduction="none")


def probabilities(loss_fn: Callable[..., torch.nn.Module], **settings: object) -> Callable[[str], Loss]:
    return lambda reduction: loss_fn(**settings, reduction=reduction)


def betti(reduction: str) -> Loss:
    loss_fn = losses.BettiPriorLoss({0: 1, 1: 2}, reduction=reduction)
    return lambda pred, _: loss_fn(pred)


ON_PROBABILITIES = {
    "betti": betti,
    "likelihood": probabilities(losses.LikelihoodPHLoss, window=16, dims=(0, 1)),
    "morse": probabilities(losses.MorseSkeletonLoss, window=16, min_persistence=0.0),
    "morse of valleys": probabilities(losses.MorseSkeletonLoss, window=16, superlevel=False),
    "morse of squares": probabilities(losses.MorseSkeletonLoss, window=16, base=square),
    "betti matching": probabilities(losses.BettiMatchingLoss, window=16, dims=(0, 1), superlevel=True),
    "topo": probabilities(losses.TopoLoss, window=16, dims=(0, 1)),
}
ON_DISTANCES = {
    "connectivity": probabilities(losses.ConnectivityLoss, window=16, dilation=0),
    "betti matching": probabilities(losses.BettiMatchingLoss, window=16, dims=(0, 1)),
    "distance": probabilities(losses.DistancePHLoss, window=16, dims=(0, 1)),
    "localized": probabilities(losses.LocalizedPHLoss, window=16, height=Linear((0.1, 0.2))),
    "morse": probabilities(losses.MorseSkeletonLoss, window=16, superlevel=False, base=square),
}


def maps(dtype: torch.dtype, scale: float) -> tuple[Tensor, Tensor]:
    """Return noise up to a scale, without ties, which float64 would break otherwise, and a truth with a curve of 0."""
    generator = torch.Generator().manual_seed(0)
    values = 1 + torch.randperm(32 * 16, generator=generator).view(2, 1, 16, 16)
    pred = (values * 2.0**-9 if dtype == torch.float16 else values % 200 * 2.0**-8) * scale
    target = (torch.rand(2, 1, 16, 16, generator=generator) > 0.5) * scale
    target[..., 8, :] = 0.0
    return pred.to(dtype), target.to(dtype)


def check(make: Callable[[str], Loss], pred: Tensor, target: Tensor) -> None:
    """Compare values (float32) and gradients (in the dtype of the maps) with those of float64."""
    most = torch.finfo(pred.dtype).max
    for reduction in ("mean", "sum", "none"):
        fine = pred.double().requires_grad_()
        half = pred.clone().requires_grad_()
        expected, found = make(reduction)(fine, target.double()), make(reduction)(half, target)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected.float(), rtol=1e-5, atol=1e-6)
        expected.sum().backward()
        found.sum().backward()
        assert fine.grad is not None and half.grad is not None and half.grad.dtype == pred.dtype
        assert half.grad.isfinite().all()
        torch.testing.assert_close(half.grad, fine.grad.clamp(-most, most).to(pred.dtype), rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("name", ON_PROBABILITIES)
def test_half_precision_losses_on_probabilities_equal_float64(name: str, dtype: torch.dtype) -> None:
    check(ON_PROBABILITIES[name], *maps(dtype, 1.0))


@pytest.mark.parametrize("scale", [8.0, 30000.0])
@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("name", ON_DISTANCES)
def test_half_precision_losses_on_distances_equal_float64(name: str, dtype: torch.dtype, scale: float) -> None:
    """The larger scale has squares beyond the range of float16."""
    check(ON_DISTANCES[name], *maps(dtype, scale))


@pytest.mark.parametrize("least", [0.0, 6e-8, 1e-4])
@pytest.mark.parametrize("dtype", HALVES)
def test_cross_entropy_of_extreme_probabilities_has_finite_gradients(dtype: torch.dtype, least: float) -> None:
    """Probabilities are 0, 1 and the smallest float16, and the truth is the opposite."""
    pred, _ = maps(dtype, 1.0)
    pred[..., ::2, ::3] = least
    pred[..., 1::4, 1::3] = 1.0
    target = (pred < 0.5).to(dtype)
    for settings in ({"window": 2}, {"window": 16}, {"window": (16, 2), "superlevel": False}):
        check(probabilities(losses.MorseSkeletonLoss, min_persistence=0.0, **settings), pred, target)


@pytest.mark.parametrize("dtype", HALVES)
def test_loss_above_the_range_of_float16_is_finite(dtype: torch.dtype) -> None:
    pred, target = maps(dtype, 30000.0)
    loss = losses.MorseSkeletonLoss(min_persistence=0.0, base=square, reduction="sum", window=16)(pred, target)
    assert loss.isfinite() and loss > 65504


@pytest.mark.parametrize("dtype", HALVES)
def test_sum_over_a_large_window_does_not_stagnate(dtype: torch.dtype) -> None:
    """In half precision, a sum of small numbers stops growing."""
    pred = torch.rand(1, 1, 256, 256, generator=torch.Generator().manual_seed(0)).to(dtype)
    base = functools.partial(l1_loss, reduction="none")
    found, expected = (
        losses.MorseSkeletonLoss(min_persistence=0.0, window=256, base=base)(x, torch.zeros_like(x))
        for x in (pred, pred.double())
    )
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=0.0)


def test_infinite_incoming_gradient_stays_infinite() -> None:
    """A GradScaler must see that its scale is too large."""
    pred, target = maps(torch.float16, 1.0)
    pred.requires_grad_()
    gpuph.MorseSkeletonLoss(window=16)(pred, target).backward(torch.tensor(float("inf")))
    assert pred.grad is not None and not pred.grad.isfinite().all()


def test_half_precision_loss_compiles() -> None:
    pred, target = maps(torch.float16, 1.0)
    eager, traced = pred.clone().requires_grad_(), pred.clone().requires_grad_()
    loss_fn = losses.MorseSkeletonLoss(window=16)
    loss_fn(eager, target).backward()
    torch.compile(loss_fn, backend="aot_eager", fullgraph=True)(traced, target).backward()
    assert eager.grad is not None and traced.grad is not None
    torch.testing.assert_close(traced.grad, eager.grad)
