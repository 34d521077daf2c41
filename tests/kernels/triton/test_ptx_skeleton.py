"""Triton kernels for `MorseSkeletonLoss` as PTX on the CPU: random schedules, checks for races and unwritten memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gpuph
from support import inputs
from support.emulation import SCHEDULES, needs_ptx, ptx
from support.engines import assert_same_skeleton

pytest.importorskip("triton")
pytestmark = needs_ptx

THRESHOLDS = (0.0, 0.05, 0.3, 2.0)


def batch(kind: str, shape: tuple[int, ...], n: int = 1, dtype: type = np.float32, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.stack([inputs.image(kind, shape, seed + i, dtype) for i in range(n)]))


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_skeletons_equal_the_cpu_on_any_schedule(seed: int, roads: torch.Tensor) -> None:
    with ptx(seed, switch_prob=0.02 + 0.3 * (seed % 3)):
        for kind in ("noise", "integers", "smooth"):
            assert_same_skeleton(batch(kind, (33, 40), 2, seed=seed), THRESHOLDS[seed % 4])
        assert_same_skeleton(roads[seed % 16 :][:1], 0.1)
        assert_same_skeleton(-roads[seed % 16 :][:1], 0.1)


@pytest.mark.parametrize("kind", inputs.KINDS)
def test_skeletons_of_odd_windows_equal_the_cpu(kind: str) -> None:
    for seed, shape in enumerate(((1, 1), (1, 9), (9, 1), (2, 2), (3, 3), (12, 5), (19, 21))):
        for dtype in (np.float32, np.float64):
            x = batch(kind, shape, 3, dtype)
            with ptx(seed):
                assert_same_skeleton(x, THRESHOLDS[seed % 4])
                assert_same_skeleton(x, THRESHOLDS[(seed + 1) % 4])


def test_nan_of_either_sign_affects_only_its_window() -> None:
    for seed, dtype in enumerate((np.float32, np.float64)):
        x = batch("noise", (29, 31), 4, dtype)
        x[1, 8, 10], x[2] = float("nan"), -float("nan")
        x[3, 3:9, 3:9] = float("nan")
        with ptx(seed):
            assert_same_skeleton(x, 0.1)


def test_long_chains_of_cancelled_saddles_equal_the_cpu() -> None:
    """Minima along a valley that winds, each shallower than the one before, and one that is deep, at its end."""
    image = np.full((41, 40), 1e3, np.float32)
    path: list[tuple[int, int]] = []
    for y in range(0, 41, 2):
        path += [(y, x) for x in (range(40) if y % 4 == 0 else range(39, -1, -1))]
        path += [(y + 1, path[-1][1])] if y < 40 else []
    for step, place in enumerate(path):
        image[place] = step / 1000 + step % 2
    image[path[-1]] = -50
    for seed in range(SCHEDULES):
        with ptx(seed, switch_prob=0.02 + 0.3 * (seed % 3)):
            for threshold in (0.5, 1.5, 900.0):
                assert_same_skeleton(torch.from_numpy(image)[None], threshold)
                assert_same_skeleton(-torch.from_numpy(image)[None], threshold)


def test_large_windows_equal_the_cpu() -> None:
    """Words have 64 bits, and several programs share a tree."""
    with ptx(3, checks=(), stats=False):
        assert_same_skeleton(batch("noise", (181, 181)), 0.5)
        assert_same_skeleton(batch("smooth", (255, 250)), 0.1)


def test_no_images_launch_nothing() -> None:
    with ptx(0) as emulation:
        assert_same_skeleton(torch.zeros(0, 5, 5), 0.1)
        assert not emulation.launches


@pytest.mark.parametrize("superlevel", [True, False])
def test_morse_skeleton_loss_and_gradient_equal_the_cpu(superlevel: bool, roads: torch.Tensor) -> None:
    def run(kernels: str) -> tuple[torch.Tensor, torch.Tensor]:
        with gpuph.use_kernels(kernels):
            pred = (roads[:2, None] / 40).clamp(0.01, 0.99).requires_grad_()
            target = (roads[2:4, None] / 40).clamp(0, 1)
            loss = gpuph.MorseSkeletonLoss(window=40, superlevel=superlevel)(pred, target)
            loss.backward()
        assert pred.grad is not None
        return loss.detach(), pred.grad

    expected = run("cpu")
    for seed in range(3):
        with ptx(seed):
            found = run("triton")
        assert torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1])
