"""The value of an image does not depend on the others in the batch, not even in its last bit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

import gpuph
from gpuph.losses import WindowLoss


@pytest.fixture
def two_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


def noise(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def few_and_many(seed: int) -> Tensor:
    """Return two images; the second has more pairs, which give the diagrams of both more columns to add over."""
    images = noise(seed, 2, 1, 40, 40)
    images[0, 0, 4 + seed :] = 0.0
    return images


@pytest.mark.parametrize("betti", [{0: 3, 1: 500}, {1: 2}], ids=str)
def test_costs_of_bars_have_one_order_in_the_betti_prior(betti: dict[int, int]) -> None:
    loss_fn = gpuph.BettiPriorLoss(betti, reduction="none")
    for seed in range(20):
        images = few_and_many(seed)
        assert torch.equal(loss_fn(images)[:1], loss_fn(images[:1]))


def test_costs_of_bars_have_one_order_in_the_topo_loss() -> None:
    loss_fn = gpuph.TopoLoss(dims=(0, 1), reduction="none")
    for seed in range(20):
        images = few_and_many(seed)
        target = images[1:].expand(2, -1, -1, -1) > 0.5
        assert torch.equal(loss_fn(images, target)[:1], loss_fn(images[:1], target[:1]))


@pytest.mark.parametrize(
    "loss_fn",
    [
        gpuph.MorseSkeletonLoss(window=200, min_persistence=0.0, reduction="none"),
        gpuph.ConnectivityLoss(window=200, truncation=1.0, reduction="none"),
    ],
    ids=lambda loss_fn: type(loss_fn).__name__,
)
def test_pixels_of_a_large_window_have_one_order(loss_fn: WindowLoss, two_threads: None) -> None:
    """PyTorch divides the sum over one large window among threads."""
    for seed in range(4):
        pred = noise(seed, 2, 1, 200, 200)
        target = (noise(seed + 10, 2, 1, 200, 200) > 0.1).double()
        assert torch.equal(loss_fn(pred, target)[:1], loss_fn(pred[:1], target[:1]))
