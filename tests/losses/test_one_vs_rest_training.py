"""The loss of several classes in training: checkpoints, compilation, half precision, gradients."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from gpuph import LikelihoodPHLoss, OneVsRest, TopoLoss
from support.classes import (
    ACTIVATIONS,
    LOSSES,
    OF_MASKS,
    SHAPE,
    inputs_of,
    some_labels,
)

pytestmark = pytest.mark.filterwarnings("ignore:target must be a distance map")  # random masks are unlike curves

TRAINING: dict[str, Any] = {
    "softmax": True,
    "to_onehot_y": True,
    "include_background": False,
    "ignore_index": 255,
    "weight": (1.0, 3.0),
}


def training_case(
    name: str, dtype: torch.dtype = torch.float32
) -> tuple[OneVsRest, Callable[[], Tensor], list[Tensor]]:
    """Return a loss, a function that makes its prediction, and what it takes besides that."""
    (pred, *others) = inputs_of(name, dtype=dtype)
    if name in OF_MASKS:
        labels = some_labels(SHAPE)
        labels[..., 2:6, 5:9] = 255
        loss_fn, others = OneVsRest(LOSSES[name](), **TRAINING), [labels]
    else:
        loss_fn = OneVsRest(LOSSES[name](), weight=(1.0, 3.0), include_background=False)
    return loss_fn, lambda: pred.detach().clone().requires_grad_(), others


def value_and_gradient(loss_fn: Callable[..., Any], pred: Tensor, others: list[Tensor]) -> tuple[Tensor, Tensor]:
    torch.manual_seed(5)
    loss = loss_fn(pred, *others)
    loss.backward()
    assert pred.grad is not None and pred.grad.any()
    return loss.detach(), pred.grad


@pytest.mark.parametrize("name", LOSSES)
def test_checkpointed_loss_has_the_same_gradient(name: str) -> None:
    loss_fn, pred, others = training_case(name)
    expected = value_and_gradient(loss_fn, pred(), others)
    for reentrant in (True, False):
        checkpointed = functools.partial(checkpoint, loss_fn, use_reentrant=reentrant)
        for found, right in zip(value_and_gradient(checkpointed, pred(), others), expected, strict=True):
            assert torch.equal(found, right)


@pytest.mark.slow
@pytest.mark.parametrize("name", LOSSES)
def test_compiled_loss_has_the_same_gradient(name: str) -> None:
    loss_fn, pred, others = training_case(name)
    torch._dynamo.reset()  # else, the modules of all tests count as compilations of one function
    loss_fn.eval()  # random heights are drawn by other operators under tracing
    expected = value_and_gradient(loss_fn, pred(), others)
    compiled = torch.compile(loss_fn, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(value_and_gradient(compiled, pred(), others), expected)


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 4])
def test_loss_compiles_for_any_number_of_classes_and_dynamic_shapes(channels: int) -> None:
    torch._dynamo.reset()
    loss_fn = OneVsRest(LikelihoodPHLoss(window=8), softmax=True, to_onehot_y=True, include_background=False)
    compiled = torch.compile(loss_fn, fullgraph=True, dynamic=True, backend="aot_eager")
    for size in (17, 23):
        pred, labels = torch.rand(2, channels, size, 19), some_labels((2, channels, size, 19))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.testing.assert_close(compiled(pred, labels), loss_fn(pred, labels))


@pytest.mark.parametrize("name", LOSSES)
def test_half_precision_has_the_loss_of_float32(name: str) -> None:
    loss_fn, pred, others = training_case(name, torch.float16)
    loss, slopes = value_and_gradient(loss_fn, pred(), others)
    fine, fine_slopes = value_and_gradient(loss_fn, pred().detach().float().requires_grad_(), others)
    assert loss.dtype == torch.float32 and torch.equal(loss, fine)
    assert slopes.dtype == torch.float16 and torch.equal(slopes, fine_slopes.half())


@pytest.mark.parametrize("name", LOSSES)
def test_autocast_does_not_change_the_loss(name: str) -> None:
    loss_fn, pred, others = training_case(name)
    expected = value_and_gradient(loss_fn, pred(), others)
    with torch.autocast("cpu", torch.bfloat16):
        found = value_and_gradient(loss_fn, pred(), others)
    assert torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1])


@pytest.mark.parametrize("name", sorted(LOSSES.keys() - {"MorseSkeletonLoss"}))  # PyTorch has no autocast for "meta"
def test_loss_runs_where_no_data_can_be_read(name: str) -> None:
    """On the device "meta", a value that is read, or a copy that waits, is an error."""
    loss_fn, pred, others = training_case(name)
    loss = loss_fn(pred().detach().to("meta").requires_grad_(), *(x.to("meta") for x in others))
    loss.backward()
    assert loss.shape == () and loss.device.type == "meta"


@pytest.mark.slow
@pytest.mark.parametrize("activation", [None, *ACTIVATIONS])
@pytest.mark.parametrize("shape", [(1, 3, 7, 9), (2, 2, 4, 5, 4)])
def test_gradcheck(shape: tuple[int, ...], activation: str | None) -> None:
    pred = torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    labels = some_labels(shape)
    labels[..., 1, 1:3] = 255
    settings = ACTIVATIONS[activation][0] if activation else {}
    for loss in (TopoLoss(threshold=0.0, perfect=1.0), LikelihoodPHLoss(dims=(0, 1))):
        loss_fn = OneVsRest(loss, to_onehot_y=True, ignore_index=255, weight=[0.5, 1.0, 2.0][: shape[1]], **settings)
        assert torch.autograd.gradcheck(lambda x, f=loss_fn: f(x, labels), (pred,), eps=1e-7, atol=1e-5)
