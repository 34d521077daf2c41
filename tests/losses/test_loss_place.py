"""`place` in the losses of diagrams: the partners of `gpuph.match` with `place`, window by window."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import gpuph
from gpuph import DistancePHLoss, LikelihoodPHLoss, LocalizedPHLoss
from gpuph.windows import cut_windows


def matched(pred: Tensor, target: Tensor, place: float | tuple[float, ...], *, superlevel: bool = False) -> Tensor:
    """Return the costs of the windows of two batches, with components where they are born and the rest where they die.

    Images of the loss are larger than its windows, so that pixels have other numbers there.
    """
    total = torch.zeros(len(pred), dtype=pred.dtype)
    a, b = (gpuph.persistence(x, superlevel=superlevel) for x in (pred, target))
    for dim in a:
        pixel = "birth" if dim == 0 else "death"
        total = total + gpuph.match(a[dim], b[dim], place=place, shape=pred.shape[1:], pixel=pixel).cost
    return total


@pytest.mark.parametrize("place", [0.05, (0.2, 0.01)])
@pytest.mark.parametrize("kind,superlevel", [(DistancePHLoss, False), (LikelihoodPHLoss, True)])
def test_loss_is_the_cost_of_partners_that_are_chosen_by_place(kind, superlevel, place):
    generator = torch.Generator().manual_seed(0)
    pred, target = torch.randint(0, 4, (2, 2, 1, 24, 36), generator=generator).double() / 3
    windows = [cut_windows(x[:, 0], (12, 12), (12, 12)) for x in (pred, target)]
    loss_fn = kind(window=12, dims=(0, 1), border=False, reduction="none", place=place)
    found = loss_fn(pred, target)
    torch.testing.assert_close(found.flatten(), matched(*windows, place, superlevel=superlevel))
    assert not torch.equal(found, kind(window=12, dims=(0, 1), border=False, reduction="none")(pred, target))


def test_loss_of_volumes_weighs_each_axis():
    generator = torch.Generator().manual_seed(1)
    pred, target = torch.randint(0, 4, (2, 1, 1, 6, 9, 8), generator=generator).double() / 3
    loss_fn = DistancePHLoss(window=16, dims=(0, 1, 2), border=False, reduction="none", place=(0.4, 0.1, 0.1))
    found = loss_fn(pred, target)
    torch.testing.assert_close(found.flatten(), matched(pred[:, 0], target[:, 0], (0.4, 0.1, 0.1)))


def test_gradient_pulls_on_the_loop_that_is_in_the_place_of_the_true_one():
    target = torch.zeros(1, 1, 9, 24)
    target[..., 4, 19] = 5.0
    pred = torch.zeros_like(target)
    pred[..., 4, 4], pred[..., 4, 19] = 5.0, 3.0  # a false loop like the true one, and a weak one in the right place
    near = DistancePHLoss(place=0.5, reduction="sum")
    gradients = []
    for loss_fn in (DistancePHLoss(reduction="sum"), near):
        x = pred.clone().requires_grad_()
        loss_fn(x, target).backward()
        gradients.append([float(x.grad[..., 4, column]) for column in (4, 19)])
    assert gradients == [[0.0, 3.0], [5.0, -4.0]]


def test_place_is_a_setting_like_others():
    loss_fn = LocalizedPHLoss(place=(0.1, 0.2))
    assert "place=(0.1, 0.2)" in repr(loss_fn)
    with pytest.raises(ValueError, match=r"place must be from 0 to 1e\+30"):
        LocalizedPHLoss(place=(0.1, -0.2))
    maps = torch.rand(2, 1, 1, 4, 8, 8)
    with pytest.raises(ValueError, match="place must be a number, or have one for each of 3 axes"):
        loss_fn(*maps)
