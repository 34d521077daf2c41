"""The localized loss of volumes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import gpuph


def neurite(pieces: list[slice]) -> Tensor:
    """Distance map of a straight neurite along x, or of pieces of one, in a volume of 24^3."""
    mask = torch.zeros(1, 1, 24, 24, 24, dtype=torch.bool)
    for piece in pieces:
        mask[..., 11, 12, piece] = True
    return gpuph.truncated_distance_map(mask, 8.0)


WHOLE, BROKEN = neurite([slice(0, 24)]), neurite([slice(0, 8), slice(14, 24)])


def loss_fn(**options: object) -> gpuph.LocalizedPHLoss:
    return gpuph.LocalizedPHLoss(window=24, height=None, **options)  # type: ignore[arg-type]


def test_a_gap_moves_one_birth() -> None:
    """The neurite and the frame close one loop, from 0 on; across a gap of 6 it is born at 3 to 4 instead."""
    loss = loss_fn()(BROKEN, WHOLE)
    assert 3.0**2 <= loss <= 4.0**2


def test_a_false_bridge_adds_a_loop() -> None:
    mask = torch.zeros(1, 1, 24, 24, 24, dtype=torch.bool)
    mask[..., 11, 12, :] = True
    mask[..., 11, 12:18, 8] = mask[..., 11, 17, 8:16] = mask[..., 11, 12:18, 15] = True
    loss = loss_fn()(gpuph.truncated_distance_map(mask, 8.0), WHOLE)
    assert loss >= 2.0**2 / 2  # a loop that lives for 2 or more


def test_room_for_all_pairs_changes_nothing() -> None:
    for weights in ((1,), {0: 1.0, 1: 0.5, 2: 2.0}):
        assert torch.equal(loss_fn(dims=weights, capacity=900)(BROKEN, WHOLE), loss_fn(dims=weights)(BROKEN, WHOLE))


def test_the_gradient_is_where_the_gap_is() -> None:
    pred = BROKEN.clone().requires_grad_()
    loss_fn()(pred, WHOLE).backward()
    assert pred.grad is not None
    (hit,) = (pred.grad[0, 0].abs().amax(dim=(0, 1)) > 0).nonzero(as_tuple=True)
    assert len(hit) > 0 and hit.min() >= 8 and hit.max() < 14
    assert (pred.grad[..., 11, 12, 8:14] >= 0).all()


def test_the_loss_falls_to_nothing_by_gradient_descent() -> None:
    pred = BROKEN.clone().requires_grad_()
    fn, losses = loss_fn(), []
    for _ in range(40):
        loss = fn(pred, WHOLE)
        losses.append(float(loss.detach()))
        (grad,) = torch.autograd.grad(loss, pred)
        with torch.no_grad():
            pred -= 0.25 * grad
    assert losses[-1] < 0.01 * losses[0]


@pytest.mark.parametrize("dims", [(0,), (1,), (2,), (0, 1, 2)], ids=str)
@pytest.mark.parametrize("construction", ["T", "V"])
def test_gradcheck(dims: tuple[int, ...], construction: str) -> None:
    generator = torch.Generator().manual_seed(sum(dims))
    pred, target = torch.randn((2, 1, 1, 5, 6, 5), generator=generator, dtype=torch.float64)
    fn = gpuph.LocalizedPHLoss(window=(4, 4, 5), stride=2, dims=dims, construction=construction).eval()
    assert torch.autograd.gradcheck(lambda p: fn(p, target), (pred.requires_grad_(),), eps=1e-7, atol=1e-5)


def test_windows_are_one_number_or_three() -> None:
    pred, target = torch.rand(2, 2, 1, 9, 8, 10)
    one = gpuph.LocalizedPHLoss(window=4, reduction="none").eval()(pred, target)
    three = gpuph.LocalizedPHLoss(window=(4, 4, 4), reduction="none").eval()(pred, target)
    assert one.shape == (2, 3 * 2 * 3) and torch.equal(one, three)


def test_distances_of_volumes() -> None:
    mask = torch.zeros(2, 1, 3, 4, 5, dtype=torch.bool)
    mask[0, 0, 1, 1, 1] = True
    distances = gpuph.truncated_distance_map(mask, 3.0)
    assert distances[0, 0, 2, 3, 3] == 3.0 and distances[0, 0, 0, 1, 1] == 1.0
    assert (distances[1] == 3.0).all()
