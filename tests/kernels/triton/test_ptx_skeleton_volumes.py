"""Skeletons of volumes in Triton as PTX on the CPU: random schedules, checks for races and unwritten memory."""

from __future__ import annotations

import importlib
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

import gpuph
from gpuph.kernels import Status, cells
from gpuph.kernels.cpu.order import order_keys
from gpuph.kernels.cpu.volume.steepest import sorted_critical_cells, steepest_gradient
from gpuph.kernels.cpu.volume.trace import offsets_of
from support import inputs
from support.emulation import CHAINS, SCHEDULES, needs_ptx, ptx
from support.engines import assert_same_skeleton

pytest.importorskip("triton")
pytestmark = needs_ptx

THRESHOLDS, MANIFOLDS = (0.0, 0.05, 0.3, 2.0), ((1,), (2,), (1, 2))
VOLUME = "gpuph.kernels.triton.volume"
reduction = importlib.import_module(f"{VOLUME}.reduce")  # the function has the module's name
# Many programs compete for the same pivots.
CROWDED = {"_VOXELS_PER_WALK": 64, "_VOXELS_PER_PROGRAM": 32, "_SLOTS_PER_VOXEL": 8}


def batch(kind: str, shape: tuple[int, ...], n: int = 1, dtype: type = np.float32, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.stack([inputs.image(kind, shape, seed + i, dtype) for i in range(n)]))


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_skeletons_equal_the_cpu_on_any_schedule(seed: int) -> None:
    options: dict[str, Any] = {"switch_prob": 0.02 + 0.3 * (seed % 3), **CHAINS}
    for kind in ("noise", "integers", "smooth"):
        with ptx(seed, **options), mock.patch.multiple(reduction, **CROWDED):
            assert_same_skeleton(batch(kind, (9, 7, 10), 2, seed=seed), THRESHOLDS[seed % 4], MANIFOLDS[seed % 3])


@pytest.mark.parametrize("small", [{"_BLOCK": 4}, {"_TURNS": 2}])
@pytest.mark.parametrize("seed", range(5))
def test_skeletons_with_loops_reduced_in_memory_equal_the_cpu(seed: int, small: dict[str, int]) -> None:
    """With few registers, long columns are finished in memory; with few turns, columns with long paths are."""
    for kind in ("noise", "integers"):
        x = batch(kind, (8, 9, 7), 2, (np.float32, np.float64)[seed % 2], seed)
        with ptx(seed, **CHAINS) as emulation, mock.patch.multiple(reduction, **small, **CROWDED):
            assert_same_skeleton(x, THRESHOLDS[seed % 4], (1, 2))
        if kind == "noise":
            assert emulation.launches[5].max_thread_instructions > 1000


@pytest.mark.parametrize("kind", inputs.KINDS)
def test_skeletons_of_odd_windows_equal_the_cpu(kind: str) -> None:
    for seed, shape in enumerate(inputs.VOLUMES):
        with ptx(seed, **CHAINS):
            for i, manifolds in enumerate(MANIFOLDS):
                dtype = (np.float32, np.float64)[(seed + i) % 2]
                assert_same_skeleton(batch(kind, shape, 2, dtype), THRESHOLDS[(seed + i) % 4], manifolds)


def test_nan_of_either_sign_affects_only_its_window() -> None:
    for seed, dtype in enumerate((np.float32, np.float64)):
        x = batch("noise", (7, 8, 6), 4, dtype)
        x[1, 3, 4, 5], x[2] = float("nan"), -float("nan")
        x[3, 2:5, 2:5, 2:5] = float("nan")
        with ptx(seed, **CHAINS):
            assert_same_skeleton(x, 0.1, (1, 2))


def test_cell_lists_of_windows_with_nans_stay_within_their_bounds() -> None:
    gradient = importlib.import_module(f"{VOLUME}.steepest").steepest_gradient
    rng = np.random.default_rng(0)
    for seed in range(40):
        x = batch("integers", tuple(int(size) for size in rng.integers(1, 6, 3)), 1, seed=seed)
        x[torch.from_numpy(rng.random(x.shape)) < rng.random()] = float("nan")
        with ptx(seed):
            _, _, trees = gradient(x)
        assert trees.counters[0, 2:4].sum() <= trees.extrema.shape[1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["noise", "integers", "infinities"])
def test_words_and_critical_cells_equal_the_cpu(kind: str, dtype: type) -> None:
    gradient = importlib.import_module(f"{VOLUME}.steepest").steepest_gradient
    x = batch(kind, (7, 6, 8), 1, dtype)
    bits = x[0].numpy().view(np.int32 if dtype == np.float32 else np.int64)
    most = np.iinfo(bits.dtype).max
    shape = tuple(size + 2 for size in bits.shape)
    key, word = np.full(shape, most, bits.dtype), np.zeros(shape, np.int64)
    for z in range(len(bits)):
        order_keys(x[0, z].numpy(), bits[z], most, False, key[z + 1])
    owners, masks = steepest_gradient(key, word, 1, shape[0] - 1)
    offsets = offsets_of(shape[2], shape[1] * shape[2])
    expected, _ = sorted_critical_cells(owners, masks, key.ravel(), offsets)
    inner = np.full(shape, -1)
    inner[1:-1, 1:-1, 1:-1] = np.arange(bits.size).reshape(bits.shape)
    inner = inner.ravel()
    with ptx(0):
        stars, critical, trees = gradient(x)
    assert np.array_equal(stars.star[0].numpy(), word[1:-1, 1:-1, 1:-1])
    n_minima, n_maxima = trees.counters[0, 2:4].tolist()
    extrema = trees.extrema[0].numpy()
    assert np.array_equal(np.sort(extrema[:n_minima]), inner[expected.minima[1:]])
    assert np.array_equal(np.sort(extrema[extrema.size - n_maxima :]), inner[expected.maxima[1:]])
    kinds = (
        (cells.EDGES3, critical.edges, expected.edges, expected.edge_bits, stars.first_edge),
        (cells.SQUARES3, critical.squares, expected.squares, expected.square_bits, stars.first_square),
    )
    for column, (mask, listed, of_owners, directions, first) in enumerate(kinds):
        numbers = [bit for bit in range(27) if mask >> bit & 1]
        found = listed[0, : int(trees.counters[0, column])].numpy()
        owner, rank, direction = found >> 8, found >> 4 & 15, found & 15
        order = found.argsort()
        assert np.array_equal(owner[order], inner[of_owners])
        assert np.array_equal(np.array(numbers)[direction[order]], directions)
        assert np.array_equal(first[0].numpy()[owner] + rank, np.arange(len(found)))


def test_surfaces_through_many_squares_equal_the_cpu() -> None:
    """A sphere with noise: one square floods most of it, in many rounds."""
    away = np.sqrt(((np.indices((17, 17, 17)) - 8.0) ** 2).sum(axis=0))
    x = abs(away - 5.5) + 0.2 * np.random.default_rng(0).random(away.shape)
    for seed in range(3):
        with ptx(seed, **CHAINS):
            assert_same_skeleton(torch.from_numpy(x.astype(np.float32))[None], 1.5, (2,))


def test_large_windows_equal_the_cpu() -> None:
    """Links have 64 bits, and several programs share a tree."""
    with ptx(3, checks=(), stats=False, resident_blocks=64):
        assert_same_skeleton(batch("noise", (22, 25, 61)), 0.5, (1, 2))
        assert_same_skeleton(batch("smooth", (31, 30, 40)), 0.1, (1, 2))


def test_no_volumes_launch_nothing() -> None:
    with ptx(0) as emulation:
        assert_same_skeleton(torch.zeros(0, 5, 5, 4), 0.1, (1, 2))
        assert not emulation.launches


def test_volume_whose_loops_exceed_the_workspace_is_reported() -> None:
    """It has no skeleton, and other volumes have theirs."""
    x = batch("noise", (9, 11, 10), 2)
    x[0] = batch("ramp", (9, 11, 10))[0]
    expected = gpuph.ops.skeleton(x, 0.0, (1, 2))
    with ptx(0, **CHAINS), mock.patch.object(reduction, "_WORDS", 0), gpuph.use_kernels("triton"):
        mask, status = gpuph.ops.skeleton_and_status(x, 0.0, (1, 2))
        with pytest.raises(RuntimeError, match=r"pred: .* window 1 outgrew .* missing; take smaller"):
            gpuph.MorseSkeletonLoss(superlevel=False, base=lambda p, t: (p - t) ** 2)(x[:, None], x[:, None])
    assert status.tolist() == [Status.OK, Status.LOOPS_LOST]
    assert torch.equal(mask[0], expected[0]) and expected[1].any() and not mask[1].any()


@pytest.mark.parametrize("superlevel", [True, False])
def test_morse_skeleton_loss_and_gradient_equal_the_cpu(superlevel: bool) -> None:
    pred, target = (batch("smooth", (8, 8, 8), 2, seed=seed)[:, None].sigmoid() for seed in (0, 2))

    def run(kernels: str) -> tuple[torch.Tensor, torch.Tensor]:
        leaf = pred.clone().requires_grad_()
        with gpuph.use_kernels(kernels):
            loss_fn = gpuph.MorseSkeletonLoss(window=8, superlevel=superlevel, manifolds=(1, 2), min_persistence=0.01)
            loss = loss_fn(leaf, target)
            loss.backward()
        assert leaf.grad is not None
        return loss.detach(), leaf.grad

    expected = run("cpu")
    assert expected[1].any()
    for seed in range(3):
        with ptx(seed, **CHAINS):
            found = run("triton")
        assert torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1])
