"""The loss on prior Betti numbers: against GUDHI's bars, by hand, and what descent makes of an image."""

from __future__ import annotations

import gudhi
import numpy as np
import pytest
import torch
from torch import Tensor

from gpuph.losses import BettiPriorLoss


def probabilities(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def restated(p: np.ndarray, betti: dict[int, int]) -> float:
    """The loss of one image, with bars by GUDHI."""
    complex_ = gudhi.CubicalComplex(top_dimensional_cells=-p)
    complex_.persistence(min_persistence=0.0)
    total = 0.0
    for dim, k in betti.items():
        lengths = [min(death, 0.0) - birth for birth, death in complex_.persistence_intervals_in_dimension(dim)]
        lengths = sorted(lengths, reverse=True) + [0.0] * k
        total += sum(1 - length**2 for length in lengths[:k]) + sum(length**2 for length in lengths[k:])
    return total


@pytest.mark.parametrize("betti", [{0: 1}, {0: 3, 1: 1}, {1: 0}, {0: 0, 1: 200}], ids=str)
@pytest.mark.parametrize("shape", [(9, 13), (1, 7), (1, 1)], ids=str)
def test_bars_are_those_of_gudhi(betti: dict[int, int], shape: tuple[int, int]) -> None:
    p = probabilities(3, 1, *shape)
    loss = BettiPriorLoss(betti, reduction="none")(p)
    expected = [restated(image, betti) for image in p[:, 0].numpy()]
    torch.testing.assert_close(loss, torch.tensor(expected, dtype=torch.float64))


def test_volumes_have_cavities() -> None:
    p = probabilities(2, 1, 5, 6, 7)
    betti = {0: 2, 1: 3, 2: 1}
    expected = torch.tensor([restated(image, betti) for image in p[:, 0].numpy()], dtype=torch.float64)
    torch.testing.assert_close(BettiPriorLoss(betti, reduction="none")(p), expected)
    shell = torch.zeros(1, 1, 5, 5, 5)
    shell[..., 1:4, 1:4, 1:4] = 1.0
    shell[..., 2, 2, 2] = 0.0
    assert BettiPriorLoss({0: 1, 1: 0, 2: 1})(shell) == 0.0
    assert BettiPriorLoss({0: 2, 1: 1, 2: 0})(shell) == 3.0


def test_a_perfect_prediction_costs_nothing_and_each_error_one() -> None:
    p = torch.zeros(1, 1, 7, 12)
    p[..., 1:6, 1:6] = 1.0
    p[..., 3, 3] = 0.0
    p[..., 3, 9] = 1.0  # a ring and a spot
    for components, loops in ((2, 1), (1, 1), (2, 0), (4, 2)):
        assert BettiPriorLoss({0: components, 1: loops})(p) == abs(components - 2) + abs(loops - 1)


@pytest.mark.parametrize("shape", [(7, 9), (4, 5, 4)], ids=str)
def test_gradcheck(shape: tuple[int, ...]) -> None:
    p = probabilities(2, 1, *shape).requires_grad_()
    for construction in ("T", "V"):
        loss = BettiPriorLoss({0: 2, 1: 1}, weights={1: 0.3}, construction=construction)
        assert torch.autograd.gradcheck(loss, (p,), eps=1e-7, atol=1e-5)


def test_weights_are_those_of_a_sum() -> None:
    p = probabilities(2, 1, 12, 12)
    both = BettiPriorLoss({0: 1, 1: 2}, weights={0: 0.5, 1: 3.0})(p)
    torch.testing.assert_close(both, 0.5 * BettiPriorLoss({0: 1})(p) + 3.0 * BettiPriorLoss({1: 2})(p))


def test_descent_makes_one_ring_of_noise() -> None:
    y, x = torch.meshgrid(torch.arange(20.0), torch.arange(20.0), indexing="ij")
    ring = torch.exp(-((((y - 9.5) ** 2 + (x - 9.5) ** 2).sqrt() - 6) ** 2) / 4)
    p = (0.6 * ring + 0.3 * torch.rand(20, 20, generator=torch.Generator().manual_seed(0)))[None, None].requires_grad_()
    loss_fn = BettiPriorLoss({0: 1, 1: 1})
    first = float(loss_fn(p.detach()))
    for _ in range(300):
        (grad,) = torch.autograd.grad(loss_fn(p), p)
        with torch.no_grad():
            p.sub_(0.05 * grad).clamp_(0, 1)
    assert first > 1.0 and float(loss_fn(p.detach())) < 0.02


def test_reductions_strides_and_half_precision() -> None:
    p = probabilities(4, 1, 12, 24)[..., ::2]
    betti = {0: 1, 1: 0}
    values = BettiPriorLoss(betti, reduction="none")(p)
    assert values.shape == (4,) and torch.equal(values, BettiPriorLoss(betti, reduction="none")(p.contiguous()))
    torch.testing.assert_close(BettiPriorLoss(betti)(p), values.mean())
    torch.testing.assert_close(BettiPriorLoss(betti, reduction="sum")(p), values.sum())
    half = p.half().requires_grad_()
    loss = BettiPriorLoss(betti)(half)
    loss.backward()
    assert loss.dtype == torch.float32 and half.grad is not None and half.grad.dtype == torch.float16
    assert BettiPriorLoss(betti, reduction="none")(p[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("betti", "weights", "message"),
    [
        ({}, None, "betti's dimensions must be distinct numbers"),
        ({3: 1}, None, "betti's dimensions must be distinct numbers from 0 to 2"),
        ({0: -1}, None, "the Betti number of dimension 0 must be an int of 0 or more, got -1"),
        ({0: 1.5}, None, "the Betti number of dimension 0 must be an int"),
        ({0: 1}, {1: 1.0}, r"weights must be of dimensions of betti, \(0,\), got one of 1"),
        ({0: 1}, {0: -2.0}, "the weight of dimension 0 must be a number of 0 or more"),
    ],
    ids=str,
)
def test_bad_settings_are_named(betti: dict[int, int], weights: dict[int, float] | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BettiPriorLoss(betti, weights=weights)


def test_bad_input_is_named() -> None:
    with pytest.raises(TypeError, match=r"betti must be a mapping of dimensions to Betti numbers, got \[1, 0\]"):
        BettiPriorLoss([1, 0])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"betti's dimensions must be distinct numbers from 0 to 1, got \[2\]"):
        BettiPriorLoss({2: 0})(probabilities(1, 1, 4, 4))
    with pytest.raises(ValueError, match=r"pred must have the shape \(B, 1, H, W\)"):
        BettiPriorLoss({0: 1})(probabilities(4, 4))
    with pytest.raises(TypeError, match=r"pred must be float16, .* got torch\.int64"):
        BettiPriorLoss({0: 1})(torch.zeros(1, 1, 4, 4, dtype=torch.int64))
    with pytest.raises(ValueError, match="pred must have no NaN, but its window 0 has one"):
        BettiPriorLoss({0: 1})(torch.full((1, 1, 4, 4), float("nan")))
