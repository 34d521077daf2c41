"""`graphed=True`: what cannot be captured is computed without a graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor

import gpuph
from gpuph.losses import graphs
from support.graphed import LOSSES, gradient, maps

pytestmark = pytest.mark.usefixtures("graphs_on_the_cpu")


class Subclass(Tensor):
    pass


def _fallbacks() -> dict[str, Callable[[Any, Tensor, Tensor], Any]]:
    def on_the_cpu(loss_fn: Any, pred: Tensor, target: Tensor) -> Any:
        with mock.patch.object(graphs, "_on_graphs", lambda device: device.type == "cuda"):
            return loss_fn(pred, target)

    def with_cpu_kernels(loss_fn: Any, pred: Tensor, target: Tensor) -> Any:
        with mock.patch.object(graphs, "by_triton", lambda x: False):
            return loss_fn(pred, target)

    def in_autocast(loss_fn: Any, pred: Tensor, target: Tensor) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            return loss_fn(pred, target)

    def while_capturing(loss_fn: Any, pred: Tensor, target: Tensor) -> Any:
        with mock.patch.object(graphs, "is_capturing", lambda device: True):
            return loss_fn(pred, target)

    def in_debug_mode(loss_fn: Any, pred: Tensor, target: Tensor) -> Any:
        gpuph.set_debug(True)
        try:
            return loss_fn(pred, target)
        finally:
            gpuph.set_debug(False)

    def with_hooks(loss_fn: Any, pred: Tensor, target: Tensor) -> Any:
        with torch.autograd.graph.save_on_cpu():
            return loss_fn(pred, target)

    def with_anomaly_detection(loss_fn: Any, pred: Tensor, target: Tensor) -> Any:
        with pytest.warns(UserWarning, match="Anomaly Detection"), torch.autograd.detect_anomaly():
            return loss_fn(pred, target)

    def compiled(loss_fn: Any, pred: Tensor, target: Tensor) -> Any:
        return torch.compile(loss_fn, backend="aot_eager")(pred, target)

    return {
        "CPU tensors": on_the_cpu,
        "the kernels of the CPU": with_cpu_kernels,
        "autocast": in_autocast,
        "another capture": while_capturing,
        "debug mode": in_debug_mode,
        "torch.compile": compiled,
        "a target that requires a gradient": lambda f, pred, target: f(pred, target.detach().requires_grad_()),
        "a subclass of Tensor": lambda f, pred, target: f(pred.detach().as_subclass(Subclass), target),
        "hooks of saved tensors": with_hooks,
        "anomaly detection": with_anomaly_detection,
        "no images": lambda f, pred, target: f(pred[:0], target[:0]).sum(),
    }


@pytest.mark.parametrize("situation", _fallbacks())
def test_what_cannot_be_captured_is_computed_without_a_graph(situation: str) -> None:
    loss_fn = LOSSES["localized"](graphed=True)
    pred, target = maps(0)
    for _ in range(3):
        loss = _fallbacks()[situation](loss_fn, pred, target)
    assert len(loss_fn._graphs) == 0
    if situation != "no images":
        assert torch.allclose(torch.as_tensor(loss.detach()), LOSSES["localized"]()(pred, target).detach())


def test_heights_of_a_generator_are_drawn_without_a_graph() -> None:
    generator = torch.Generator().manual_seed(0)
    loss_fn = gpuph.LocalizedPHLoss(window=8, capacity=32, generator=generator, graphed=True)
    for _ in range(3):
        gradient(loss_fn, *maps(0))
    assert len(loss_fn._graphs) == 0
    for _ in range(2):  # the height of evaluations is fixed
        gradient(loss_fn.eval(), *maps(0))
    assert len(loss_fn._graphs) == 1


def test_skeletons_of_volumes_are_recorded_like_those_of_images() -> None:
    loss_fn = gpuph.MorseSkeletonLoss(window=4, graphed=True)
    pred, target = (x.detach().view(2, 1, 4, 8, 8) for x in maps(0))
    for _ in range(2):
        gradient(loss_fn, *maps(0))
        gradient(loss_fn, pred.requires_grad_(), target)
    assert len(loss_fn._graphs) == 2


def test_subclass_that_cannot_be_captured_has_no_graphs() -> None:
    class Waiting(gpuph.LocalizedPHLoss):
        def _is_capturable(self, pred: torch.Tensor) -> bool:
            return False

    loss_fn = Waiting(window=8, capacity=32, graphed=True)
    for _ in range(3):
        gradient(loss_fn, *maps(0))
    assert len(loss_fn._graphs) == 0
