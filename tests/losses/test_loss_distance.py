"""The loss on distance maps without heights: what it sees, what it cannot see, and weights of dimensions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import gpuph


def road(row: int, *gaps: slice) -> Tensor:
    """Distance map of a road along a row, with gaps."""
    mask = torch.zeros(1, 1, 64, 64, dtype=torch.bool)
    mask[..., row, :] = True
    for gap in gaps:
        mask[..., row, gap] = False
    return gpuph.truncated_distance_map(mask, 20.0)


def noisy(*shape: int) -> tuple[Tensor, Tensor]:
    pred, target = torch.randn(2, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return pred, target


@pytest.mark.parametrize("gap", [2, 6, 10, 14])
def test_a_gap_costs_the_square_of_half_its_width(gap: int) -> None:
    pred = road(32, slice(25, 25 + gap))
    assert gpuph.DistancePHLoss()(pred, road(32)) == (gap / 2) ** 2


def test_a_road_at_the_wrong_place_costs_nothing() -> None:
    """What `LocalizedPHLoss` is for."""
    north, south = road(20), road(43)
    assert gpuph.DistancePHLoss()(north, south) == 0.0
    assert gpuph.LocalizedPHLoss().eval()(north, south) > 1.0


@pytest.mark.parametrize("border", [True, False])
def test_is_the_localized_loss_without_heights(border: bool) -> None:
    pred, target = noisy(2, 1, 30, 20)
    for options in ({}, {"dims": (0, 1), "construction": "V", "unmatched": "distance", "stride": 5}):
        loss = gpuph.DistancePHLoss(window=16, border=border, reduction="none", **options)
        same = gpuph.LocalizedPHLoss(window=16, border=border, reduction="none", height=None, **options)
        assert torch.equal(loss(pred, target), same(pred, target))


@pytest.mark.parametrize("kind", [gpuph.DistancePHLoss, gpuph.LikelihoodPHLoss, gpuph.LocalizedPHLoss])
def test_weights_of_dimensions_are_those_of_a_sum_of_losses(kind: type) -> None:
    pred, target = noisy(2, 1, 20, 24)
    both = kind(window=12, dims={0: 0.25, 1: 3.0}).eval()(pred, target)
    components, loops = (kind(window=12, dims=(dim,)).eval()(pred, target) for dim in (0, 1))
    torch.testing.assert_close(both, 0.25 * components + 3.0 * loops)


def test_weights_share_one_computation_of_diagrams(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    inner = gpuph.ops.window_costs
    monkeypatch.setattr(gpuph.ops, "window_costs", lambda *args: calls.append(args) or inner(*args))
    gpuph.DistancePHLoss(window=8, dims={0: 1.0, 1: 2.0})(*noisy(1, 1, 16, 16))
    assert len(calls) == 1


def test_gradcheck_in_a_volume() -> None:
    pred, target = noisy(1, 1, 5, 6, 5)
    loss = gpuph.DistancePHLoss(window=(5, 4, 5), dims={0: 0.5, 1: 1.0, 2: 2.0})
    assert torch.autograd.gradcheck(loss, (pred.requires_grad_(), target), eps=1e-7, atol=1e-5)


@pytest.mark.parametrize(
    ("dims", "message"),
    [
        ({}, "dims must be distinct numbers from 0 to 2"),
        ({3: 1.0}, "dims must be distinct numbers from 0 to 2"),
        ({1: -1.0}, "the weight of dimension 1 must be a number of 0 or more, got -1.0"),
        ({1: float("nan")}, "the weight of dimension 1 must be a number of 0 or more, got nan"),
    ],
    ids=str,
)
def test_bad_weights_are_named(dims: dict[int, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gpuph.DistancePHLoss(dims=dims)
