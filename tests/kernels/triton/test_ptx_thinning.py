"""Triton kernels for skeletons of masks as PTX on the CPU: random schedules, checks for races and unwritten memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

import gpuph
from support import inputs
from support.emulation import SCHEDULES, needs_ptx, ptx
from support.engines import assert_same_curves

triton_thinning = pytest.importorskip("gpuph.kernels.triton.thinning", reason="Triton is not installed")
pytestmark = needs_ptx

# Around the size of a tile, which has 16 x 32 or 4 x 8 x 8 vertices.
IMAGES = ((1, 1), (1, 9), (9, 1), (2, 2), (3, 3), (12, 5), (15, 31), (16, 32), (33, 40))
VOLUMES = ((1, 1, 1), (1, 1, 7), (1, 6, 1), (5, 1, 1), (2, 2, 2), (1, 4, 5), (3, 7, 7), (4, 8, 8), (9, 10, 11))


def blobs(shape: tuple[int, ...], sigma: float, seed: int = 0) -> torch.Tensor:
    """Return thick objects with holes, which touch the rim."""
    return torch.from_numpy(ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), sigma) > 0)


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_skeletons_of_masks_equal_the_cpu_on_any_schedule(
    seed: int, roads: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(triton_thinning, "_WIDE_STEPS", (0, 1, 5, 16)[seed // 3 % 4])
    with ptx(seed, switch_prob=0.02 + 0.3 * (seed % 3)):
        assert_same_curves(torch.from_numpy(inputs.masks((2, 18, 21), (0.2, 0.5, 0.8, 0.95)[seed % 4], seed)))
        assert_same_curves(roads[seed % 16 :][:1] < (1.5, 3.0, 6.0)[seed % 3])  # of up to 12 pixels
        assert_same_curves(blobs((40, 50), 3.0, seed)[None])


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_skeletons_of_volumes_equal_the_cpu_on_any_schedule(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton_thinning, "_WIDE_STEPS", (0, 1, 5, 16)[seed // 3 % 4])
    with ptx(seed, switch_prob=0.02 + 0.3 * (seed % 3)):
        assert_same_curves(torch.from_numpy(inputs.masks((2, 6, 7, 9), (0.2, 0.5, 0.8, 0.95)[seed % 4], seed)))
        assert_same_curves(blobs((10, 12, 11), 1.5, seed)[None])


@pytest.mark.parametrize("window", IMAGES + VOLUMES)
def test_skeletons_of_odd_masks_equal_the_cpu(window: tuple[int, ...]) -> None:
    for seed, density in enumerate((0.1, 0.5, 0.8, 0.97, 1.0)):
        mask = torch.from_numpy(inputs.masks((3, *window), density, seed))
        with ptx(seed, switch_prob=0.02 + 0.3 * (seed % 3)):
            assert_same_curves(mask[1:])  # begins anywhere in memory
            if seed == 2:
                assert_same_curves(mask.transpose(1, 2))


def test_cavities_are_filled_as_on_the_cpu() -> None:
    """Balls are filled, if no object is in them. One with an object and a tunnel has a ball's Euler characteristic."""
    mask = torch.ones(6, 7, 8, 9, dtype=torch.bool)
    mask[0, 3, 3, 3] = False
    mask[1, 2:5, 2:5, 2:5] = False
    mask[1, 3, 3, 3] = True
    mask[2, 1:6, 1:6, 1:6] = False
    mask[2, 2:5, 2:5, 2:5] = True
    mask[2, 2:5, 3, 3] = False
    mask[3, 1:6, 1:6, 1:6] = mask[2, 1:6, 1:6, 1:6]
    mask[3, 5, 6, 7] = False  # is not filled either
    mask[4, 1:3, 1:3, 1:3] = mask[4, 3:5, 3:5, 3:5] = False  # two that touch at a corner
    mask[5, 0:3, 1:3, 1:3] = mask[5, 5, 5, 5] = False  # one is open
    for seed in range(3):
        with ptx(seed, switch_prob=0.02 + 0.3 * seed):
            assert_same_curves(mask)


def test_solids_have_the_skeletons_of_the_cpu() -> None:
    for mask, _ in inputs.shapes().values():
        with ptx(1, checks=(), stats=False):
            assert_same_curves(torch.from_numpy(mask)[None, ::2, ::2, ::2])


def test_thick_objects_take_more_steps_than_are_launched() -> None:
    disc = np.hypot(*(np.indices((61, 64)) - 30)) < 29
    for mask in (disc, disc & ~np.roll(disc, 40, 1), np.ones((40, 70), bool)):
        with ptx(1, checks=(), stats=False):
            assert_same_curves(torch.from_numpy(mask)[None])


def test_the_last_step_is_that_of_the_cpu() -> None:
    """In one step more, cells would be kept that are not, and a curve would be longer."""
    mask = torch.zeros(1, 3, 3, 7, dtype=torch.bool)
    for z, y, x in ((0, 0, 3), (0, 0, 4), (0, 0, 6), (0, 2, 1), (1, 1, 5), (1, 2, 2), (2, 0, 2), (2, 0, 6), (2, 2, 2)):
        mask[0, z, y, x] = True
    with ptx(0):
        assert_same_curves(mask)


def test_no_masks_launch_nothing() -> None:
    with ptx(0) as emulation:
        assert_same_curves(torch.zeros(0, 5, 5, dtype=torch.bool))
        assert_same_curves(torch.zeros(0, 5, 4, 3, dtype=torch.bool))
        assert not emulation.launches


def test_skeleton_recall_loss_equals_the_cpu(roads: torch.Tensor) -> None:
    def run(kernels: str) -> torch.Tensor:
        with gpuph.use_kernels(kernels):
            return gpuph.SkeletonRecallLoss(window=32)((roads[:2, None] / 40).clamp(0, 1), roads[2:4, None] < 4)

    expected = run("cpu")
    with ptx(0):
        assert torch.equal(run("triton"), expected)
