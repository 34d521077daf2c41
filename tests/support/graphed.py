"""An emulation of CUDA graphs on the CPU, and losses to record with it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import gpuph
from gpuph.losses import graphs

LOSSES: dict[str, Callable[..., Any]] = {
    "localized": lambda **s: gpuph.LocalizedPHLoss(window=8, height=gpuph.Linear((0.2, 0.1)), capacity=32, **s),
    "distance": lambda **s: gpuph.DistancePHLoss(window=8, dims={0: 2.0, 1: 1.0}, capacity=32, **s),
    "paths": lambda **s: gpuph.DistancePHLoss(window=8, dims={0: 2.0, 1: 1.0}, capacity=32, spread="path", **s),
    "topo in paths": lambda **s: gpuph.TopoLoss(window=8, capacity=32, spread="path", **s),
    "betti": lambda **s: gpuph.BettiMatchingLoss(window=8, dims={0: 2.0, 1: 1.0}, capacity=32, **s),
    "likelihood": lambda **s: gpuph.LikelihoodPHLoss(window=8, capacity=32, **s),
    "topo": lambda **s: gpuph.TopoLoss(window=8, capacity=32, **s),
    "connectivity": lambda **s: gpuph.ConnectivityLoss(window=8, truncation=0.8, dilation=0, **s),
    "skeleton": lambda **s: gpuph.MorseSkeletonLoss(window=8, **s),
    "skeleton recall": lambda **s: gpuph.SkeletonRecallLoss(window=8, **s),
}


class Recording(TorchDispatchMode):
    """Stands in for `graphs.Recording`: repeats all operators on the same tensors, as a CUDA graph does on memory."""

    made = 0

    def __init__(self, run: Callable[[], Any], stream: str, before: Recording | None = None) -> None:
        super().__init__()
        assert stream == "side stream"
        self._steps: list[tuple[Any, Any, Any, Any]] = []
        with self:
            self.result = run()
        Recording.made += 1
        # A captured launch does not run: nothing may depend on what the results hold now.
        for x in tree_leaves([out for *_, out in self._steps]):
            if isinstance(x, Tensor) and x.is_floating_point():
                x.data.fill_(float("nan"))  # which does not count as a change

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if not any(r.alias_info is not None and not r.alias_info.is_write for r in func._schema.returns):  # not a view
            self._steps.append((func, args, kwargs or {}, out))
        return out

    def replay(self) -> None:
        with torch.no_grad():
            for func, args, kwargs, out in self._steps:
                again = func(*args, **kwargs)
                for x, new in zip(tree_leaves(out), tree_leaves(again), strict=True):
                    if isinstance(x, Tensor) and x is not new:
                        x.data.copy_(new)


def emulate_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat the CPU as a device that has graphs, and where nothing waits for values."""
    monkeypatch.setattr(graphs, "_on_graphs", lambda device: True)
    monkeypatch.setattr(graphs, "by_triton", lambda x: True)
    monkeypatch.setattr(graphs, "_stream", lambda device: 0)
    monkeypatch.setattr(graphs, "_side_stream", lambda device: contextlib.nullcontext("side stream"))
    monkeypatch.setattr(graphs, "Recording", Recording)
    monkeypatch.setattr("gpuph.debug.is_eager_cpu", lambda x: False)
    Recording.made = 0


def maps(seed: int, size: int = 16, batch: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    pred, target = torch.rand(2, batch, 1, size, size, generator=generator)
    return pred.requires_grad_(), (target > 0.5).float()


def gradient(loss_fn: Any, pred: Tensor, target: Tensor, factor: float = 1.0) -> tuple[Tensor, Tensor]:
    loss = loss_fn(pred, target)
    (grad,) = torch.autograd.grad((factor * loss).sum(), pred)
    return loss.detach(), grad


def equal(found: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
