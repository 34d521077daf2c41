"""Settings that several losses share: reduction, least persistence, and several draws of a random height."""

from __future__ import annotations

import copy
import functools
import importlib
import math
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor

import gpuph
from gpuph import LocalizedPHLoss, OneVsRest, RandomLinear, RandomQuadratic, RandomRadial
from gpuph.height import RandomHeight
from gpuph.matching import SOLVERS
from gpuph.windows import cut_windows
from support.classes import LOSSES, gradient, inputs_of

pytestmark = pytest.mark.filterwarnings("ignore:target must be a distance map")  # random masks are unlike curves

SHAPE = (3, 1, 17, 21)


def called(loss_fn: Any, maps: list[Tensor]) -> Tensor:
    torch.manual_seed(5)
    return loss_fn(*maps)


@pytest.mark.parametrize("name", LOSSES)
def test_image_reduction_adds_up_windows_and_averages_over_images(name: str) -> None:
    maps = inputs_of(name, SHAPE)
    values = called(LOSSES[name](reduction="none"), maps)
    expected = values.view(3, -1).sum(dim=1).mean()
    found = called(LOSSES[name](reduction="image"), maps)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradient(found, maps[0]), gradient(expected, maps[0]))
    if name not in ("LocalizedPHLoss", "BettiPriorLoss"):  # random heights; one window
        assert found > 2 * called(LOSSES[name](), maps)


@pytest.mark.parametrize("name", LOSSES)
def test_image_reduction_of_several_classes_averages_over_them(name: str) -> None:
    maps = inputs_of(name, (2, 3, 17, 21))
    values = called(OneVsRest(LOSSES[name](), reduction="none", weight=(1.0, 2.0, 0.5)), maps)
    found = called(OneVsRest(LOSSES[name](), reduction="image", weight=(1.0, 2.0, 0.5)), maps)
    torch.testing.assert_close(found, values.view(2, 3, -1).sum(dim=2).mean())


def test_image_reduction_does_not_depend_on_the_number_of_images() -> None:
    maps = inputs_of("DistancePHLoss", SHAPE)
    loss_fn = gpuph.DistancePHLoss(window=8, reduction="image")
    each = [loss_fn(*(x[i : i + 1] for x in maps)) for i in range(3)]
    torch.testing.assert_close(loss_fn(*maps), torch.stack(each).mean())
    torch.testing.assert_close(loss_fn(*(x[:1].repeat(4, 1, 1, 1) for x in maps)), each[0])


OF_DIAGRAMS: dict[str, Callable[..., Any]] = {
    "LocalizedPHLoss": functools.partial(LocalizedPHLoss, window=8, dims=(0, 1), height=gpuph.Linear((0.1, 0.2))),
    **{name: LOSSES[name] for name in ("DistancePHLoss", "LikelihoodPHLoss", "TopoLoss", "BettiPriorLoss")},
}


@pytest.mark.parametrize("name", OF_DIAGRAMS)
def test_least_persistence_of_0_changes_no_bit_and_a_large_one_leaves_no_finite_pair(name: str) -> None:
    maps = inputs_of(name, SHAPE)
    expected = OF_DIAGRAMS[name](reduction="none")(*maps)
    found = OF_DIAGRAMS[name](reduction="none", min_persistence=0)(*maps)
    assert torch.equal(found, expected) and torch.equal(gradient(found, maps[0]), gradient(expected, maps[0]))
    tiny = OF_DIAGRAMS[name](reduction="none", min_persistence=1e-30)(*maps)
    assert torch.equal(tiny, expected)
    noisy = OF_DIAGRAMS[name](reduction="none", min_persistence=0.3)(*maps)
    assert not torch.equal(noisy, expected)
    slopes = gradient(OF_DIAGRAMS[name](reduction="none", min_persistence=100.0)(*maps), maps[0])
    # What is left are the essential components of each window.
    assert slopes.count_nonzero() <= (3 if name == "BettiPriorLoss" else 3 * 9)


@pytest.mark.parametrize("shape", [SHAPE, (2, 1, 9, 8, 11)])
@pytest.mark.parametrize("least", [0.05, 0.2, 0.5])
def test_least_persistence_is_that_of_the_diagrams(least: float, shape: tuple[int, ...]) -> None:
    pred, target = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
    rank, pred = len(shape) - 2, pred.requires_grad_()
    dims = tuple(range(rank))
    a, b = (
        gpuph.persistence(cut_windows(x[:, 0], (8,) * rank, (8,) * rank), dims=dims, min_persistence=least)
        for x in (pred, target)
    )
    expected = torch.stack([gpuph.match(a[dim], b[dim]).cost for dim in dims]).sum(dim=0)
    loss_fn = gpuph.DistancePHLoss(window=8, border=False, dims=dims, min_persistence=least, reduction="none")
    found = loss_fn(pred, target).flatten()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradient(found, pred), gradient(expected, pred))


@pytest.mark.parametrize("capacity", [1, 3, 100])
def test_least_persistence_agrees_with_a_capacity(capacity: int) -> None:
    pred, target = torch.rand(2, *SHAPE, generator=torch.Generator().manual_seed(0))
    make = functools.partial(gpuph.DistancePHLoss, window=8, capacity=capacity)
    least = torch.stack([make(min_persistence=m)(pred, target) for m in (0.0, 0.1, 0.4, 5.0)])
    assert least[-1] == 0.0 and (least[1] <= least[0] + 0.5) and least.isfinite().all()
    if capacity == 1:  # each window keeps its longest pair, which is longer than this
        assert least[1] == least[0]


def test_least_persistence_compiles_and_needs_no_data() -> None:
    torch._dynamo.reset()
    pred, target = torch.rand(2, *SHAPE, generator=torch.Generator().manual_seed(0))
    loss_fn = gpuph.DistancePHLoss(window=8, min_persistence=0.2)
    compiled = torch.compile(loss_fn, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(pred, target), loss_fn(pred, target))
    assert loss_fn(pred.to("meta"), target.to("meta")).shape == ()


RANDOM: dict[str, Callable[..., RandomHeight]] = {
    "RandomLinear": RandomLinear,
    "RandomRadial": RandomRadial,
    "RandomQuadratic": RandomQuadratic,
}


@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.parametrize("per_window", [True, False])
@pytest.mark.parametrize("draws", [2, 4])
@pytest.mark.parametrize("superlevel", [True, False])
def test_loss_of_several_draws_is_their_mean(name: str, draws: int, per_window: bool, superlevel: bool) -> None:
    maps = inputs_of("DistancePHLoss", (2, 1, 17, 21))
    height = RANDOM[name](per_window=per_window, draws=draws)
    make = functools.partial(LocalizedPHLoss, window=8, dims={0: 0.5, 1: 2.0}, superlevel=superlevel, reduction="none")
    found = called(make(height=height), maps)
    assert found.shape == (2, 9)
    torch.manual_seed(5)
    heights = height(18, (8, 8), torch.zeros(0), None).view(draws, 18, 8, 8)
    assert torch.equal(heights[draws // 2 :], -heights[: draws // 2])

    class Drawn(RandomLinear):
        """One of the draws."""

        def slopes(self, n: int, *_: Any) -> Tensor:
            return heights[self.which]

    values = []
    for i in range(draws):
        one = Drawn()
        one.which = i  # type: ignore[attr-defined]
        values.append(make(height=one)(*maps))
    expected = torch.stack(values).mean(dim=0)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradient(found, maps[0]), gradient(expected, maps[0]))


@pytest.mark.parametrize("name", RANDOM)
def test_draws_of_volumes_in_one_call(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    maps = inputs_of("DistancePHLoss", (2, 1, 9, 8, 11))
    calls = []
    engine = gpuph.ops.window_costs
    monkeypatch.setattr(gpuph.ops, "window_costs", lambda *args: calls.append(args) or engine(*args))
    loss = called(LocalizedPHLoss(window=8, height=RANDOM[name](draws=6), reduction="none"), maps)
    assert len(calls) == 1 and loss.shape == (2, 4) and loss.isfinite().all()
    assert gradient(loss, maps[0]).any()


@pytest.mark.parametrize("name", RANDOM)
def test_evaluation_has_one_fixed_height_of_any_kind(name: str) -> None:
    maps = inputs_of("DistancePHLoss", (2, 1, 17, 21))
    loss_fn = LocalizedPHLoss(window=8, height=RANDOM[name](slope=(0.05, 0.15), draws=2), reduction="none").eval()
    fixed = LocalizedPHLoss(window=8, height=RANDOM[name](slope=0.1).fixed(2), reduction="none")
    assert torch.equal(loss_fn(*maps), loss_fn(*maps)) and torch.equal(loss_fn(*maps), fixed(*maps))
    training = copy.deepcopy(loss_fn).train()
    assert not torch.equal(called(training, maps), loss_fn(*maps))
    assert torch.equal(called(training, maps), called(training, maps))


def test_antithetic_draws_have_less_variance_than_as_many_independent_ones() -> None:
    road = torch.zeros(1, 1, 32, 32, dtype=torch.bool)
    road[..., 20, :] = True
    false = road.clone()
    false[..., :, 8] = True
    pred, target = (gpuph.truncated_distance_map(x, 15.0).expand(400, 1, 32, 32) for x in (false, road))
    pred = pred.clone().requires_grad_()
    losses, noise = [], []
    for draws in (1, 2):
        torch.manual_seed(0)
        loss = LocalizedPHLoss(window=32, reduction="none", height=RandomLinear(draws=draws))(pred, target)
        losses.append(loss.detach())
        noise.append(torch.autograd.grad(loss.sum(), pred)[0].var(dim=0).sum())
    torch.testing.assert_close(losses[1].mean(), losses[0].mean(), rtol=0.1, atol=0.0)
    assert losses[1].var() < 0.5 * losses[0].var() / 2 and noise[1] < 0.9 * noise[0] / 2


def test_nan_is_found_in_its_window_with_several_draws() -> None:
    pred, target = inputs_of("DistancePHLoss", (2, 1, 16, 16))
    pred = pred.detach()
    pred[1, 0, 12, 3] = math.nan
    loss_fn = LocalizedPHLoss(window=8, height=RandomLinear(draws=4), reduction="none")
    with pytest.raises(ValueError, match="pred must have no NaN, but its window 6 has one"):
        loss_fn(pred, target)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gpuph.debug.is_eager_cpu", lambda x: False)
        bad = loss_fn(pred, target).isnan()
    assert bad.sum() == 1 and bad[1, 2]


@pytest.mark.slow
def test_several_draws_compile_into_one_graph() -> None:
    torch._dynamo.reset()
    maps = inputs_of("DistancePHLoss", (2, 1, 17, 21))
    for height in (RandomLinear((0.1, 0.3), draws=2), RandomRadial(draws=2, per_window=False), RandomQuadratic()):
        compiled = torch.compile(LocalizedPHLoss(window=8, height=height), fullgraph=True, backend="aot_eager")
        assert compiled(*maps).isfinite()


def test_classes_have_draws_of_their_own() -> None:
    maps = inputs_of("DistancePHLoss", (2, 3, 17, 21))
    loss_fn = OneVsRest(LocalizedPHLoss(window=8, height=RandomLinear(draws=2)), reduction="none")
    assert called(loss_fn, maps).shape == (2, 3, 9)


@pytest.mark.parametrize("spread", ["pixel", "path"])
@pytest.mark.parametrize("name", ["LocalizedPHLoss", "DistancePHLoss", "LikelihoodPHLoss"])
def test_losses_match_by_the_solver_they_are_asked_for(name: str, spread: str) -> None:
    known = importlib.import_module("gpuph.kernels.cpu.matching.match").AUCTION_FROM
    maps = inputs_of(name, SHAPE)
    values = []
    for solver in SOLVERS:
        with mock.patch.dict(known, {solver: known[solver]}, clear=True):  # any other one raises
            values.append(called(LOSSES[name](solver=solver, spread=spread), maps))
    torch.testing.assert_close(values[1:], values[:1] * 2)
