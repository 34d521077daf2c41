"""Gradients in whole paths, `spread="path"`, in every loss of diagrams."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

import gpuph
from bench.paper.errors import KINDS
from bench.speed.spread import closed, step, steps_until_repaired
from gpuph import DistancePHLoss, LocalizedPHLoss, OneVsRest
from support.classes import LOSSES, gradient, inputs_of

pytestmark = pytest.mark.filterwarnings("ignore:target must be a distance map")  # random masks are unlike curves

SHAPE = (2, 1, 17, 21)
OF_DIAGRAMS: dict[str, Callable[..., Any]] = {
    "LocalizedPHLoss": functools.partial(LocalizedPHLoss, window=8, stride=5, dims={0: 0.5, 1: 2.0}),
    "LocalizedPHLoss of distances": functools.partial(LocalizedPHLoss, window=8, unmatched="distance", superlevel=True),
    **{name: LOSSES[name] for name in ("DistancePHLoss", "LikelihoodPHLoss", "TopoLoss", "BettiPriorLoss")},
}


def called(loss_fn: Any, maps: list[Tensor]) -> Tensor:
    torch.manual_seed(5)
    return loss_fn(*maps)


def some_maps(name: str, shape: tuple[int, ...] = SHAPE, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    return inputs_of("LikelihoodPHLoss" if name == "LocalizedPHLoss of distances" else name, shape, dtype)


def test_a_step_of_a_half_closes_gaps_in_1000_windows() -> None:
    assert closed(1000, "pixel") < 0.2
    assert closed(1000, "path") > 0.95


@pytest.mark.parametrize("kind", KINDS)
def test_injected_errors_are_repaired_in_at_most_half_the_steps(kind: str) -> None:
    path = [steps_until_repaired(kind, seed, spread="path") for seed in range(8)]
    pixel = [steps_until_repaired(kind, seed, spread="pixel") for seed in range(8)]
    assert max(path) < 60
    assert all(2 * few <= many for few, many in zip(path, pixel, strict=True)), (path, pixel)


@pytest.mark.parametrize("kind", ["gap", "false connection"])
def test_a_step_of_a_half_repairs_volumes(kind: str) -> None:
    road = torch.zeros(1, 1, 20, 20, 20, dtype=torch.bool)
    road[..., 10, 10, :] = road[..., 10, :, 6] = True
    wrong = road.clone()
    if kind == "gap":
        wrong[..., 10, 10, 10:15] = False
    else:
        wrong[..., 10, 4, 6:17] = wrong[..., 10, 4:10, 16] = True
    pred, target = (gpuph.truncated_distance_map(mask, 15.0) for mask in (wrong, road))
    pred = pred + 0.1 * torch.randn(pred.shape, generator=torch.Generator().manual_seed(0))
    loss_fn = DistancePHLoss(window=20)
    start = loss_fn(pred, target)
    assert loss_fn(step(pred, target, 0.5, spread="path"), target) < 0.02 * start
    assert loss_fn(step(pred, target, 0.5, spread="pixel"), target) > 0.4 * start


@pytest.mark.parametrize("shape", [SHAPE, (1, 1, 9, 8, 7)])
@pytest.mark.parametrize("name", OF_DIAGRAMS)
def test_values_are_the_same_bits_and_normalised_gradients_have_the_same_sum(name: str, shape: tuple[int, ...]) -> None:
    maps = some_maps(name, shape, torch.float64)
    default, pixel = (called(OF_DIAGRAMS[name](reduction="none", **s), maps) for s in ({}, {"spread": "pixel"}))
    assert torch.equal(default, pixel) and torch.equal(gradient(default, maps[0]), gradient(pixel, maps[0]))
    path = called(OF_DIAGRAMS[name](reduction="none", spread="path"), maps)
    assert torch.equal(path, pixel)
    assert gradient(path, maps[0]).count_nonzero() > gradient(pixel, maps[0]).count_nonzero()
    normalised = called(OF_DIAGRAMS[name](reduction="none", spread="path", normalise=True), maps)
    torch.testing.assert_close(gradient(normalised, maps[0]).sum(), gradient(pixel, maps[0]).sum())


@pytest.mark.parametrize("name", OF_DIAGRAMS)
def test_lasting_pairs_are_the_only_ones_that_pull(name: str) -> None:
    maps = some_maps(name)
    make = functools.partial(OF_DIAGRAMS[name], min_persistence=100.0)
    path, pixel = (gradient(called(make(spread=spread), maps), maps[0]) for spread in ("path", "pixel"))
    if name == "BettiPriorLoss":  # the essential component counts
        assert path.count_nonzero() >= pixel.count_nonzero() > 0
    else:
        assert not path.any() and not pixel.any()


@pytest.mark.parametrize("name", OF_DIAGRAMS)
def test_pixels_outside_the_region_of_interest_have_no_gradient(name: str) -> None:
    maps, mask = some_maps(name), torch.ones(SHAPE[2:], dtype=torch.bool)
    mask[4:9, 3:15] = False
    slopes = gradient(called(OF_DIAGRAMS[name](spread="path"), [*maps, mask]), maps[0])
    assert not slopes[..., ~mask].any() and slopes[..., mask].any()


@pytest.mark.parametrize("name", OF_DIAGRAMS)
def test_half_precision_has_the_gradient_of_float32(name: str) -> None:
    maps = some_maps(name, dtype=torch.float16)
    loss_fn = OF_DIAGRAMS[name](spread="path")
    half = gradient(called(loss_fn, maps), maps[0])
    wide = [x.detach().float().requires_grad_(x.requires_grad) if x.is_floating_point() else x for x in maps]
    assert torch.equal(half, gradient(called(loss_fn, wide), wide[0]).half())


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_DIAGRAMS)
def test_checkpoints_and_compiled_losses_have_the_same_gradient(name: str) -> None:
    maps, loss_fn = some_maps(name), OF_DIAGRAMS[name](spread="path")
    expected = gradient(called(loss_fn, maps), maps[0])
    assert torch.equal(
        gradient(called(functools.partial(checkpoint, loss_fn, use_reentrant=False), maps), maps[0]), expected
    )
    if not name.startswith("LocalizedPHLoss"):  # whose heights a compiled function draws differently
        compiled = torch.compile(loss_fn, backend="aot_eager", fullgraph=True)
        torch.testing.assert_close(gradient(called(compiled, maps), maps[0]), expected)


def test_several_classes_and_draws_add_up() -> None:
    maps = inputs_of("LikelihoodPHLoss", (2, 3, 17, 21))
    make = functools.partial(OF_DIAGRAMS["LikelihoodPHLoss"], spread="path")
    found = gradient(OneVsRest(make(), reduction="none")(*maps), maps[0])
    each = torch.stack([make(reduction="none")(*(x[:, i : i + 1] for x in maps)) for i in range(3)], dim=1)
    assert torch.equal(found, gradient(each, maps[0]))
    maps = inputs_of("DistancePHLoss", SHAPE)
    loss_fn = LocalizedPHLoss(window=8, spread="path", height=gpuph.RandomLinear(draws=2))
    assert gradient(called(loss_fn, maps), maps[0]).any()


def test_the_truth_has_a_gradient_too() -> None:
    pred, target = inputs_of("DistancePHLoss", SHAPE, torch.float64)
    loss_fn = DistancePHLoss(window=8, spread="path", reduction="sum")
    swapped = loss_fn(target, pred)
    expected = torch.autograd.grad(loss_fn(pred, target), pred)[0]
    torch.testing.assert_close(torch.autograd.grad(swapped, pred)[0], expected)


@pytest.mark.usefixtures("graphs_on_the_cpu")
def test_no_graph_records_a_loss_of_volumes_with_paths() -> None:
    maps = inputs_of("DistancePHLoss", (1, 1, 9, 8, 7))
    loss_fn = DistancePHLoss(window=8, spread="path", graphed=True)
    expected = gradient(DistancePHLoss(window=8, spread="path")(*maps), maps[0])
    for _ in range(3):
        assert torch.equal(gradient(loss_fn(*maps), maps[0]), expected)
    assert len(loss_fn._graphs) == 0


@pytest.mark.parametrize("name", OF_DIAGRAMS)
def test_wrong_settings_and_second_derivatives_raise(name: str) -> None:
    make, maps = OF_DIAGRAMS[name], some_maps(name)
    with pytest.raises(ValueError, match=r"spread must be one of \('pixel', 'path'\), got 'paths'"):
        make(spread="paths")
    with pytest.raises(TypeError, match="normalise must be"):
        make(normalise=1)
    assert "spread='path'" in repr(make(spread="path")) and "normalise=False" in repr(make())
    with pytest.raises(RuntimeError, match="differentiable once"):
        torch.autograd.grad(called(make(spread="path"), maps), maps[0], create_graph=True)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_pixels_leave_gradients_without_nan_elsewhere(value: float) -> None:
    pred, target = inputs_of("DistancePHLoss", SHAPE)
    with torch.no_grad():
        pred[0, 0, 3, 3:6] = value
    slopes = gradient(DistancePHLoss(window=8, spread="path")(pred, target), pred)
    assert slopes[1].isfinite().all() and not slopes[0].isnan().any()
