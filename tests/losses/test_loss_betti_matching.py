"""`BettiMatchingLoss` is the cost of `betti_match` on windows inside frames, and knows where loops are."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import gpuph


def road(*rows: int, gap: slice | None = None, truncation: float = 8.0) -> Tensor:
    """Return the distance map of horizontal roads, shape (1, 1, 64, 64)."""
    mask = torch.zeros(1, 1, 64, 64, dtype=torch.bool)
    for row in rows:
        mask[..., row, :] = True
    if gap is not None:
        mask[..., rows[0], gap] = False
    return gpuph.truncated_distance_map(mask, truncation)


def noise(*shape: int) -> tuple[Tensor, Tensor]:
    return torch.rand(2, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).unbind()


@pytest.mark.parametrize("superlevel", [False, True])
@pytest.mark.parametrize("comparison", ["union", "intersection"])
@pytest.mark.parametrize("construction", ["T", "V"])
def test_loss_without_frames_is_the_cost_of_betti_match(construction: str, comparison: str, superlevel: bool) -> None:
    pred, target = noise(3, 1, 16, 24)
    settings = {"construction": construction, "comparison": comparison, "superlevel": superlevel}
    loss_fn = gpuph.BettiMatchingLoss(window=8, dims={0: 0.5, 1: 2.0}, border=False, reduction="none", **settings)
    target = (target > 0.5).double() if superlevel else target
    windows = [gpuph.windows.cut_windows(x[:, 0], (8, 8), (8, 8)) for x in (pred, target)]
    matching = gpuph.betti_match(*windows, **settings)
    assert torch.allclose(loss_fn(pred, target), (0.5 * matching[0].cost + 2 * matching[1].cost).view(3, 6))


def test_frame_is_at_the_least_value_of_both() -> None:
    pred, target = noise(1, 1, 9, 10)
    least = float(torch.min(pred.min(), target.min()))
    framed = [torch.nn.functional.pad(x[0], (1, 1, 1, 1), value=least) for x in (pred, target)]
    loss = gpuph.BettiMatchingLoss(window=16, dims=(0, 1))(pred, target)
    matching = gpuph.betti_match(*framed)
    assert torch.allclose(loss, matching[0].cost + matching[1].cost)


def test_false_road_does_not_make_up_for_a_missing_one() -> None:
    truth, elsewhere = road(16), road(48)
    assert gpuph.DistancePHLoss()(elsewhere, truth) == 0
    assert gpuph.BettiMatchingLoss()(elsewhere, truth) > 10
    assert gpuph.BettiMatchingLoss()(truth, truth) == 0


def test_road_that_is_moved_a_little_keeps_its_loops() -> None:
    truth, broken = road(32), road(32, gap=slice(24, 40))
    moved = gpuph.BettiMatchingLoss()(road(34), truth)
    assert moved < 1
    assert gpuph.BettiMatchingLoss()(broken, truth) > 30


def test_gradient_is_that_of_differences() -> None:
    pred, target = (x.requires_grad_() for x in noise(1, 1, 9, 8))
    loss_fn = gpuph.BettiMatchingLoss(window=6, dims={0: 0.5, 1: 2.0})
    assert torch.autograd.gradcheck(loss_fn, (pred, target), eps=1e-6)


def test_steps_along_the_gradient_mend_a_gap() -> None:
    truth = road(32)
    pred = road(32, gap=slice(28, 36)).requires_grad_()
    loss_fn = gpuph.BettiMatchingLoss()
    before = loss_fn(pred, truth)
    for _ in range(40):
        (grad,) = torch.autograd.grad(loss_fn(pred, truth), pred)
        pred = (pred - 0.5 * grad).detach().requires_grad_()
    assert loss_fn(pred, truth) < 0.01 * before


def test_short_classes_are_left_out() -> None:
    pred, target = noise(2, 1, 20, 20)
    for least in (0.0, 0.3, 2.0):
        loss = gpuph.BettiMatchingLoss(window=20, border=False, min_persistence=least)(pred, target)
        matching = gpuph.betti_match(pred[:, 0], target[:, 0], 1, min_persistence=least)
        assert torch.allclose(loss, matching[1].cost.mean())
    assert loss == 0


def test_settings_are_shown_and_checked() -> None:
    assert "comparison='union'" in repr(gpuph.BettiMatchingLoss())
    with pytest.raises(ValueError, match=r"comparison must be one of \('union', 'intersection'\), got 'both'"):
        gpuph.BettiMatchingLoss(comparison="both")
