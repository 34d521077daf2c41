"""Losses on masks take floats, booleans and integers as a target; losses on distance maps take floats alone."""

from __future__ import annotations

import functools
from unittest import mock

import pytest
import torch
from torch import Tensor
from torch.nn.functional import mse_loss

import gpuph
from gpuph.losses import WindowLoss

WHOLE = [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]
SHAPES = [(19, 17), (7, 9, 8)]
square = functools.partial(mse_loss, reduction="none")
OF_MASKS: dict[str, WindowLoss] = {
    "LikelihoodPHLoss": gpuph.LikelihoodPHLoss(window=8, dims=(0, 1)),
    "TopoLoss": gpuph.TopoLoss(window=8, dims=(0, 1)),
    "MorseSkeletonLoss": gpuph.MorseSkeletonLoss(window=8, min_persistence=0.0),
    "MorseSkeletonLoss of valleys": gpuph.MorseSkeletonLoss(window=8, min_persistence=0.0, superlevel=False),
    "MorseSkeletonLoss of squares": gpuph.MorseSkeletonLoss(window=8, min_persistence=0.0, base=square),
    "LocalizedPHLoss": gpuph.LocalizedPHLoss(window=8, superlevel=True).eval(),
    "BettiMatchingLoss": gpuph.BettiMatchingLoss(window=8, dims=(0, 1), superlevel=True),
}
OF_DISTANCES: dict[str, WindowLoss] = {
    "LocalizedPHLoss": gpuph.LocalizedPHLoss(window=8),
    "BettiMatchingLoss": gpuph.BettiMatchingLoss(window=8),
    "DistancePHLoss": gpuph.DistancePHLoss(window=8),
    "ConnectivityLoss": gpuph.ConnectivityLoss(window=8),
    "MorseSkeletonLoss": gpuph.MorseSkeletonLoss(window=8, superlevel=False, base=square),
}


def maps(shape: tuple[int, ...] = SHAPES[0], dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    pred, noise = torch.rand(2, 2, 1, *shape, generator=generator)
    return pred.to(dtype).requires_grad_(), noise > 0.5


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
@pytest.mark.parametrize("name", OF_MASKS)
def test_mask_of_any_dtype_has_the_loss_and_gradient_of_floats(
    name: str, dtype: torch.dtype, shape: tuple[int, ...]
) -> None:
    pred, mask = maps(shape, dtype)
    expected = OF_MASKS[name](pred, mask.to(dtype))
    (gradient,) = torch.autograd.grad(expected, pred)
    assert gradient.any()
    for whole in WHOLE:
        found = OF_MASKS[name](pred, mask.to(whole))
        assert found.dtype == expected.dtype and torch.equal(found, expected)
        assert torch.equal(torch.autograd.grad(found, pred)[0], gradient)


@pytest.mark.parametrize("dtype", WHOLE)
@pytest.mark.parametrize("name", OF_DISTANCES)
def test_losses_on_distance_maps_refuse_masks_with_a_hint(name: str, dtype: torch.dtype) -> None:
    pred, mask = maps()
    with pytest.raises(TypeError, match=rf"target must be float16, .* got {dtype}; .* gpuph\.truncated_distance_map"):
        OF_DISTANCES[name](pred, mask.to(dtype))


@pytest.mark.parametrize("name", OF_MASKS)
def test_integers_other_than_0_and_1_raise(name: str) -> None:
    pred, mask = maps()
    with pytest.raises(
        ValueError, match=r"target must be a mask of 0 and 1, got torch\.uint8 from 0 to 255; .* by 255"
    ):
        OF_MASKS[name](pred, 255 * mask.byte())
    with pytest.raises(ValueError, match=r"got torch\.int64 from -1 to 3; .* gpuph\.OneVsRest"):
        OF_MASKS[name](pred, 4 * mask.long() - 1)
    OF_MASKS[name](pred[:0], mask[:0].byte())


@pytest.mark.parametrize("name", ["LikelihoodPHLoss", "TopoLoss", "LocalizedPHLoss"])
def test_integers_are_not_read_on_devices_unless_debugging(name: str) -> None:
    pred, mask = maps()
    with mock.patch("gpuph.debug.is_eager_cpu", lambda x: False):
        OF_MASKS[name](pred.detach(), 2 * mask.byte())
        gpuph.set_debug(True)
        try:
            with pytest.raises(ValueError, match="target must be a mask of 0 and 1"):
                OF_MASKS[name](pred, 2 * mask.byte())
        finally:
            gpuph.set_debug(False)


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_MASKS)
def test_loss_of_a_boolean_mask_compiles(name: str) -> None:
    torch._dynamo.reset()  # else, the modules of all tests count as compilations of one function
    pred, mask = maps()
    expected = OF_MASKS[name](pred, mask)
    found = torch.compile(OF_MASKS[name], fullgraph=True, backend="aot_eager")(pred, mask)
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(loss, pred)[0] for loss in (found, expected)]
    torch.testing.assert_close(*gradients)


def test_sparse_masks_raise() -> None:
    pred, mask = maps()
    with pytest.raises(TypeError, match="target must be a dense tensor"):
        gpuph.LikelihoodPHLoss()(pred, mask.to_sparse())
