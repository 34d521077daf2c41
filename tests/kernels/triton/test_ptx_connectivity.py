"""Triton kernels for `ConnectivityLoss` as PTX on the CPU: random schedules, checks for races and unwritten memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gpuph
from support import inputs
from support.emulation import SCHEDULES, needs_ptx, ptx
from support.engines import assert_same_maximin, assert_same_regions

pytest.importorskip("triton")
pytestmark = needs_ptx


@pytest.mark.parametrize("window", inputs.CONNECTED)
def test_regions_equal_the_cpu_on_any_schedule(window: tuple[int, ...]) -> None:
    for seed, density in enumerate((0.0, 0.02, 0.2, 0.6, 1.0)):
        mask = torch.from_numpy(inputs.masks((3, *window), density, seed))
        with ptx(seed, switch_prob=0.02 + 0.3 * (seed % 3)):
            for radius in (0, 1, 3, 50):
                assert_same_regions(mask[1:], radius)  # begins anywhere in memory


def test_regions_that_wind_equal_the_cpu() -> None:
    mask = torch.zeros(1, 41, 40, dtype=torch.bool)
    mask[:, 1::4, 1:] = mask[:, 3::4, :-1] = True
    for seed in range(SCHEDULES):
        with ptx(seed):
            assert_same_regions(mask, 0)
            assert_same_regions(mask.transpose(1, 2), 0)


@pytest.mark.parametrize("kind", inputs.COSTS)
@pytest.mark.parametrize("window", inputs.CONNECTED)
def test_pairs_of_edges_equal_the_cpu_on_any_schedule(window: tuple[int, ...], kind: str) -> None:
    rng = np.random.default_rng(0)
    for seed, (dtype, regions) in enumerate(((np.float32, 3), (np.float64, 100), (np.float32, 1))):
        region = torch.from_numpy(rng.integers(0, regions, (2, *window)).astype(np.int32))
        with ptx(seed, switch_prob=0.02 + 0.3 * (seed % 3)):
            assert_same_maximin(torch.from_numpy(inputs.costs(kind, window, seed, dtype)), region)


def test_pairs_in_windows_with_words_of_64_bits_equal_the_cpu() -> None:
    """Pixels exceed the 15 bits that a word of 32 has for them, or the numbers of edges exceed its 17."""
    for window in ((181, 182), (36, 36, 36)):
        region = torch.randint(0, 900, (1, *window), dtype=torch.int32)
        with ptx(1, checks=(), stats=False):
            assert_same_maximin(torch.rand(1, len(window), *window), region)


def test_no_windows_launch_nothing() -> None:
    with ptx(0) as emulation:
        assert_same_regions(torch.zeros(0, 4, 5, dtype=torch.bool), 1)
        assert_same_maximin(torch.zeros(0, 2, 4, 5), torch.zeros(0, 4, 5, dtype=torch.int32))
        assert not emulation.launches


def test_steps_of_a_pixel_do_not_grow_with_a_plateau() -> None:
    """A component gets a new eldest pixel about as often as its size doubles, in whatever order edges come."""
    longest = []
    for size in (32, 128):
        with ptx(0, checks=()) as emulation:
            assert_same_maximin(torch.zeros(1, 2, size, size), torch.ones(1, size, size, dtype=torch.int32))
        longest.append({launch.kernel: launch.max_thread_instructions for launch in emulation.launches})
    for kernel in ("_join", "_find_parents", "_add_up", "_position", "_count"):
        assert longest[1][kernel] < 3 * longest[0][kernel], kernel


def test_connectivity_loss_and_gradient_equal_the_cpu_and_repeat(roads: torch.Tensor) -> None:
    def run(kernels: str) -> tuple[torch.Tensor, torch.Tensor]:
        with gpuph.use_kernels(kernels):
            pred = roads[:2, None].clone().requires_grad_()
            loss = gpuph.ConnectivityLoss(dilation=2)(pred, roads[2:4, None])
            loss.backward()
        assert pred.grad is not None
        return loss.detach(), pred.grad

    expected = run("cpu")
    for seed in range(3):
        with ptx(seed):
            found = run("triton")
        assert torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1])
