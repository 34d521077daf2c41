"""The loss on class probabilities."""

from __future__ import annotations

import torch
from torch import Tensor

import gpuph


def road(value: float = 1.0, spot: float = 1.0) -> Tensor:
    """Probabilities of a road across a window, with a weak spot."""
    p = torch.zeros(1, 1, 64, 64)
    p[..., 32, :] = value
    p[..., 32, 30:33] = spot
    return p


def test_a_weak_spot_costs_its_squared_lack_of_probability() -> None:
    assert gpuph.LikelihoodPHLoss()(road(spot=0.5), road()) == 0.5**2
    # Where it is weaker than 1/3, to leave both loops alone is cheaper.
    assert gpuph.LikelihoodPHLoss()(road(spot=0.25), road()) == (0.25**2 + 1.0) / 2


def test_a_false_road_costs_half_its_squared_probability() -> None:
    """The frame, at the highest probability of both, closes a loop without it too."""
    torch.testing.assert_close(gpuph.LikelihoodPHLoss()(road(), road(0.0, 0.0)), torch.tensor(0.5))


def test_the_gradient_raises_the_weak_spot() -> None:
    pred = road(spot=0.5).requires_grad_()
    gpuph.LikelihoodPHLoss()(pred, road()).backward()
    assert pred.grad is not None
    (rows, columns) = pred.grad[0, 0].nonzero(as_tuple=True)
    assert rows.tolist() == [32] and 30 <= int(columns) < 33 and pred.grad[0, 0, 32, int(columns)] == -1.0


def test_is_the_loss_of_distances_turned_over() -> None:
    p, q = torch.rand(2, 2, 1, 20, 20, generator=torch.Generator().manual_seed(0))
    for dims in ((0,), (1,), (0, 1)):
        likelihood = gpuph.LikelihoodPHLoss(window=8, dims=dims, reduction="none")(p, q)
        assert torch.equal(likelihood, gpuph.DistancePHLoss(window=8, dims=dims, reduction="none")(-p, -q))


def test_gradcheck() -> None:
    p, q = torch.rand(2, 1, 1, 9, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    loss = gpuph.LikelihoodPHLoss(window=6, stride=3, dims=(0, 1))
    assert torch.autograd.gradcheck(loss, (p.requires_grad_(), q), eps=1e-7, atol=1e-5)
