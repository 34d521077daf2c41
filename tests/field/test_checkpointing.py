"""Losses have the gradient of a plain call under activation checkpointing and other hooks on saved tensors."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

import gpuph

Loss = Callable[[Tensor, Tensor], Tensor]


def matching_cost(solver: str) -> Loss:
    def loss(pred: Tensor, target: Tensor) -> Tensor:
        a, b = (gpuph.persistence(x[:, 0])[1] for x in (pred, target))
        return gpuph.match(a, b, solver=solver).cost.sum()

    return loss


def two_halves(like: Tensor) -> Tensor:
    """Return a distance map of a curve that divides the image."""
    columns = torch.arange(like.shape[-1], dtype=like.dtype)
    return (columns - 6.0).abs().expand(like.shape).contiguous()


LOSSES: dict[str, Loss] = {
    "LocalizedPHLoss": gpuph.LocalizedPHLoss(window=8, dims=(0, 1)),
    "LocalizedPHLoss, fixed height": gpuph.LocalizedPHLoss(window=8).eval(),
    "DistancePHLoss": gpuph.DistancePHLoss(window=8),
    "BettiMatchingLoss": gpuph.BettiMatchingLoss(window=8),
    "LikelihoodPHLoss": gpuph.LikelihoodPHLoss(window=8),
    "TopoLoss": gpuph.TopoLoss(window=8, dims=(0, 1)),
    "BettiPriorLoss": lambda pred, target: gpuph.BettiPriorLoss({0: 1, 1: 2})(pred),
    "ConnectivityLoss": lambda pred, target: gpuph.ConnectivityLoss(window=16)(10 * pred, two_halves(pred)),
    "MorseSkeletonLoss": gpuph.MorseSkeletonLoss(window=8),
    "match": matching_cost("auto"),
    "match by auction": matching_cost("auction"),
    "wasserstein_distance": lambda pred, target: gpuph.wasserstein_distance(
        *(gpuph.persistence(x[:, 0])[1] for x in (pred, target))
    ).sum(),
}


@pytest.fixture(params=LOSSES)
def loss(request: pytest.FixtureRequest) -> Loss:
    return LOSSES[request.param]


def maps(both: bool = True) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    pred, target = torch.rand(2, 1, 1, 12, 13)
    return pred.requires_grad_(), target.requires_grad_(both)


def gradients(loss: Loss, both: bool = True) -> list[Tensor | None]:
    """Return the gradients of pred and target, with None for a missing or zero gradient."""
    images = maps(both)
    loss(*images).backward()
    return [None if x.grad is None or not x.grad.any() else x.grad for x in images]


def same(a: list[Tensor | None], b: list[Tensor | None]) -> bool:
    return all(x is y if x is None or y is None else torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointed_loss_has_the_same_gradient(loss: Loss, reentrant: bool, both: bool) -> None:
    def checkpointed(pred: Tensor, target: Tensor) -> Tensor:
        out = checkpoint(loss, pred, target, use_reentrant=reentrant)
        assert isinstance(out, Tensor)
        return out

    expected = gradients(loss, both)
    assert expected[0] is not None
    assert same(gradients(checkpointed, both), expected)


def test_saved_tensors_may_be_offloaded(loss: Loss) -> None:
    def offloaded(pred: Tensor, target: Tensor) -> Tensor:
        with torch.autograd.graph.save_on_cpu():
            return loss(pred, target)

    assert same(gradients(offloaded), gradients(loss))


def test_each_saved_tensor_is_unpacked_once(loss: Loss) -> None:
    packed, unpacked = [], []

    def pack(x: Tensor) -> Tensor:
        packed.append(x)
        return x

    def unpack(x: Tensor) -> Tensor:
        unpacked.append(x)
        return x

    def hooked(pred: Tensor, target: Tensor) -> Tensor:
        with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
            return loss(pred, target)

    gradients(hooked)
    assert 0 < len(unpacked) <= len(packed)


def test_retained_graph_gives_the_same_gradient_again(loss: Loss) -> None:
    pred, target = maps()
    out = loss(pred, target)
    first, second = (torch.autograd.grad(out, [pred, target], retain_graph=True, allow_unused=True) for _ in range(2))
    assert all(x is y is None or torch.equal(x, y) for x, y in zip(first, second, strict=True))


def test_backward_passes_accumulate(loss: Loss) -> None:
    (once, _), pred = gradients(loss), maps()[0]
    assert once is not None
    for _ in range(2):
        torch.manual_seed(1)
        torch.rand(2, 1, 1, 12, 13)  # so that random heights are the same
        loss(pred, maps()[1]).backward()
    assert pred.grad is not None
    torch.testing.assert_close(pred.grad, 2 * once)


@pytest.mark.parametrize("name", ["LocalizedPHLoss", "match"])
def test_second_derivatives_raise_a_clear_error(name: str) -> None:
    pred, target = maps()
    with pytest.raises(RuntimeError, match="differentiable once"):
        torch.autograd.grad(LOSSES[name](pred, target), pred, create_graph=True)


@pytest.mark.parametrize("name", ["LocalizedPHLoss", "match"])
def test_function_transforms_raise_a_clear_error(name: str) -> None:
    with pytest.raises(RuntimeError, match=r"setup_context|functorch|torch\.func"):
        torch.func.grad(LOSSES[name])(*(x.detach() for x in maps()))


@pytest.mark.slow
def test_compiled_loss_with_dynamic_shapes_has_the_same_gradient() -> None:
    loss = LOSSES["LocalizedPHLoss, fixed height"]
    compiled = torch.compile(loss, fullgraph=True, dynamic=True, backend="aot_eager")
    assert same(gradients(compiled, both=False), gradients(loss, both=False))
