"""Deferred errors: on devices, results report them, and `check` and debug mode raise them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
import torch

import gpuph
from gpuph.kernels import Found, Status


@pytest.fixture
def device() -> Iterator[None]:
    """Treat tensors on the CPU like those of another device, whose data are not read unless asked for."""
    with mock.patch("gpuph.debug.is_eager_cpu", lambda x: False):
        yield


@pytest.fixture
def debug() -> Iterator[None]:
    gpuph.set_debug(True)
    yield
    gpuph.set_debug(False)


def windows_with_a_nan() -> torch.Tensor:
    x = torch.rand(3, 8, 9)
    x[1, 4, 4] = float("nan")
    return x


def test_nan_sets_the_status_and_raises_in_check(device: None) -> None:
    diagrams = gpuph.persistence(windows_with_a_nan())
    assert diagrams.status.tolist() == [0, 1, 0]
    assert diagrams[0].count[1] == 0 and diagrams[0].count[0] > 0
    with pytest.raises(ValueError, match="x must have no NaN, but its window 1 has one"):
        diagrams.check()


def test_debug_mode_raises_immediately(device: None, debug: None) -> None:
    with pytest.raises(ValueError, match="x must have no NaN"):
        gpuph.persistence(windows_with_a_nan())
    clean = torch.rand(3, 1, 8, 9)
    with pytest.raises(ValueError, match="target must have no NaN, but its window 1 has one"):
        gpuph.LocalizedPHLoss(window=8, stride=9)(clean[..., :8], windows_with_a_nan()[:, None, :, :8])


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_nan_in_a_window_makes_the_loss_nan(device: None, reduction: str) -> None:
    clean = torch.rand(3, 1, 8, 9)
    loss = gpuph.LocalizedPHLoss(window=9, reduction=reduction)(windows_with_a_nan()[:, None], clean)
    assert loss.isnan().tolist() == ([[False], [True], [False]] if reduction == "none" else True)


@pytest.mark.parametrize(
    "loss_fn",
    [
        gpuph.TopoLoss(window=9, reduction="none"),
        gpuph.BettiPriorLoss({0: 1}, reduction="none"),
        gpuph.ConnectivityLoss(reduction="none"),
        gpuph.MorseSkeletonLoss(reduction="none"),
    ],
    ids=lambda loss_fn: type(loss_fn).__name__,
)
def test_every_loss_is_nan_in_the_window_with_a_nan_only(device: None, loss_fn: torch.nn.Module) -> None:
    pred, target = windows_with_a_nan()[:, None], torch.rand(3, 1, 8, 9).round()
    loss = loss_fn(pred) if isinstance(loss_fn, gpuph.BettiPriorLoss) else loss_fn(pred, target)
    assert loss.isnan().flatten().tolist() == [False, True, False]


def test_lost_loops_raise_in_check_and_make_the_loss_nan(device: None) -> None:
    found = gpuph.ops.persistence

    def losing(*arguments: Any) -> Found[torch.Tensor]:
        status, pairs = found(*arguments)
        return Found(status.index_fill(0, torch.tensor(1), Status.LOOPS_LOST), pairs)

    x = torch.rand(2, 3, 4, 5)
    with mock.patch("gpuph.ops.persistence", losing):
        outgrew = "x: the loops of its window 1 outgrew .* raise capacity, which was {},.* smaller windows"
        with pytest.raises(RuntimeError, match=outgrew.format(256)):
            gpuph.persistence(x).check()
        with pytest.raises(RuntimeError, match=outgrew.format(300)):
            gpuph.persistence(x, capacity=300).check()
        loss = gpuph.BettiPriorLoss({0: 1, 1: 0}, reduction="none")(x[:, None])
    assert loss.isnan().flatten().tolist() == [False, True]


def diagrams_with_a_nan() -> tuple[gpuph.Diagram, gpuph.Diagram]:
    """Return diagrams of three windows: a point of the second has a NaN, and the padding of the third has one."""
    points = [torch.tensor(p) for p in ([[0.0, 2.0]], [[0.0, 8.0], [1.0, float("nan")]], [[0.0, 6.0]])]
    a = gpuph.Diagram.from_list(points)
    a.birth[2, 1] = float("nan")
    return a, gpuph.Diagram.from_list([torch.tensor([[1.0, 8.0]])] * 3)


def test_nan_point_makes_the_cost_of_its_window_nan(device: None) -> None:
    a, b = diagrams_with_a_nan()
    for cost in (gpuph.match(a, b).cost, gpuph.match(b, a, "distance").cost, gpuph.wasserstein_distance(a, b)):
        assert cost.isnan().tolist() == [False, True, False]
    assert gpuph.match(a, b).partner_a.tolist() == [[-1, -1], [0, -1], [0, -1]]
    a.birth.requires_grad_()
    gpuph.match(a, b).cost.sum().backward()
    assert a.birth.grad is not None and a.birth.grad.tolist() == [[-2.0, 0.0], [-2.0, 0.0], [-2.0, 0.0]]


def test_nan_point_raises_on_the_cpu() -> None:
    a, b = diagrams_with_a_nan()
    with pytest.raises(ValueError, match="b must have no NaN, but a point of its window 1 has one"):
        gpuph.match(b, a)


def test_nan_point_raises_in_debug_mode(device: None, debug: None) -> None:
    with pytest.raises(ValueError, match="a must have no NaN, but a point of its window 1 has one"):
        gpuph.wasserstein_distance(*diagrams_with_a_nan())


@pytest.mark.parametrize(
    "make",
    [
        lambda capacity: gpuph.LocalizedPHLoss(window=6, dims=(0, 1), capacity=capacity),
        lambda capacity: gpuph.DistancePHLoss(window=6, dims=(0, 1), capacity=capacity),
        lambda capacity: gpuph.LikelihoodPHLoss(window=6, dims=(0, 1), capacity=capacity),
        lambda capacity: gpuph.TopoLoss(window=6, dims=(0, 1), capacity=capacity),
        lambda capacity: gpuph.BettiPriorLoss({0: 1, 1: 0}, capacity=capacity),
    ],
    ids=["localized", "distance", "likelihood", "topo", "betti"],
)
def test_losses_name_the_capacity_to_increase(device: None, debug: None, make: Any) -> None:
    def losing(found: Any) -> Any:
        def find(*arguments: Any) -> Any:
            result = found(*arguments)
            return result._replace(status=torch.full_like(result.status, Status.LOOPS_LOST))

        return find

    maps = torch.rand(1, 1, 6, 6, 6), torch.rand(1, 1, 6, 6, 6)
    ops = {name: losing(getattr(gpuph.ops, name)) for name in ("persistence", "window_costs")}
    for capacity, named in ((None, 256), (50, 256), (300, 300)):
        loss_fn = make(capacity)
        with (
            mock.patch.multiple("gpuph.ops", **ops),
            pytest.raises(RuntimeError, match=f"pred: the loops of its window 0 .* raise capacity, which was {named},"),
        ):
            loss_fn(*maps[: 1 if isinstance(loss_fn, gpuph.BettiPriorLoss) else 2])
    with pytest.raises(ValueError, match="capacity must be an int of 1 or more, got 0"):
        make(0)


def test_overflow_warns_in_check() -> None:
    diagrams = gpuph.persistence(torch.rand(2, 20, 20), dims=(1,), capacity=3)
    with pytest.warns(RuntimeWarning, match="dimension 1 of x: only the 3 longest of [0-9]+ pairs of window 0"):
        diagrams.check()


def test_overflow_warns_immediately_in_debug_mode(device: None, debug: None) -> None:
    x = torch.rand(1, 1, 64, 64)
    with mock.patch.object(importlib.import_module("gpuph.persistence"), "_columns", lambda window: 4):
        with pytest.warns(RuntimeWarning, match="dimension 1 of x: only the 4 longest"):
            gpuph.persistence(x[0], dims=(1,))
        with pytest.warns(RuntimeWarning, match="dimension 1 of pred: only the 4 longest"):
            gpuph.LocalizedPHLoss(window=64)(x, torch.zeros_like(x))


def test_debug_mode_is_silent_on_valid_input(device: None, debug: None, recwarn: pytest.WarningsRecorder) -> None:
    gpuph.persistence(torch.rand(2, 9, 9)).check()
    gpuph.LocalizedPHLoss(window=9)(torch.rand(1, 1, 9, 9), torch.rand(1, 1, 9, 9))
    assert not recwarn.list
