"""Triton kernels for volumes as PTX on the CPU: random schedules, checks for races and unwritten memory."""

from __future__ import annotations

import importlib
from unittest import mock

import numpy as np
import pytest
import torch

import gpuph
from bench.train import neurons
from gpuph.kernels import cells
from support import inputs
from support.emulation import CHAINS, SCHEDULES, needs_ptx, ptx
from support.engines import assert_same_localized, assert_same_pairs
from support.volume_stages import Grid

pytest.importorskip("triton")
pytestmark = needs_ptx

DIMS = (0, 1, 2)


def batch(kind: str, shape: tuple[int, ...], n: int = 1, dtype: type = np.float32, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.stack([inputs.image(kind, shape, seed + i, dtype) for i in range(n)]))


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_pairs_equal_the_cpu_on_any_schedule(seed: int) -> None:
    construction, switch_prob = "TV"[seed % 2], 0.02 + 0.3 * (seed % 3)
    for kind in ("noise", "integers", "smooth"):
        x = batch(kind, (11, 9, 13), 2, seed=seed)
        with ptx(seed, switch_prob=switch_prob):  # without loops, programs of a launch do not read what others write
            assert_same_pairs(x, (2, 0), construction)
        with ptx(seed, switch_prob=switch_prob, **CHAINS):
            assert_same_pairs(x, DIMS, construction)


@pytest.mark.parametrize("kind", inputs.KINDS)
@pytest.mark.parametrize("construction", ["T", "V"])
def test_pairs_of_odd_windows_equal_the_cpu(kind: str, construction: str) -> None:
    for seed, shape in enumerate(inputs.VOLUMES):
        for dtype in (np.float32, np.float64):
            with ptx(seed, **CHAINS):
                assert_same_pairs(batch(kind, shape, 2, dtype), DIMS, construction)


@pytest.mark.parametrize("construction", ["T", "V"])
def test_pairs_of_neurites_equal_the_cpu(construction: str) -> None:
    with ptx(1, **CHAINS):
        assert_same_pairs(neurons.windows(2, 24), DIMS, construction)


@pytest.mark.parametrize("dims", [(0,), (1,), (2,), (1, 0), (2, 1, 0)])
def test_dims_thresholds_and_capacities_equal_the_cpu(dims: tuple[int, ...]) -> None:
    for construction in "TV":
        x = batch("noise", (9, 11, 10), 2)
        with ptx(0, **CHAINS):
            assert_same_pairs(x, dims, construction, min_persistence=0.7)
            assert_same_pairs(x, dims, construction, capacity=5)
            assert_same_pairs(x, dims, construction, capacity=2000)


def test_nan_of_either_sign_affects_only_its_window() -> None:
    for seed, construction in enumerate("TVTV"):
        x = batch("noise", (9, 8, 7), 4)
        x[1, 8, 7, 6], x[2] = float("nan"), -float("nan")
        with ptx(seed, **CHAINS):
            assert_same_pairs(x, DIMS, construction, capacity=200)


@pytest.mark.parametrize("construction", ["T", "V"])
def test_cell_lists_of_windows_with_nans_stay_within_their_bounds(construction: str) -> None:
    gradient = importlib.import_module("gpuph.kernels.triton.volume.gradient").gradient
    rng = np.random.default_rng(0)
    for seed in range(40):
        shape = tuple(int(size) for size in rng.integers(1, 6, 3))
        x = batch("integers", shape, 1, seed=seed)
        x[torch.from_numpy(rng.random(x.shape)) < rng.random()] = float("nan")
        with ptx(seed, **CHAINS):
            assert_same_pairs(x, DIMS, construction, capacity=50)
            _, critical, trees = gradient(x, construction == "T")
        n_edges, n_squares, n_minima, n_maxima = trees.counters[0, :4].tolist()
        assert max(n_edges, n_squares) <= critical.edges.shape[1] and n_minima + n_maxima <= trees.extrema.shape[1]


@pytest.mark.parametrize("top", [False, True])
@pytest.mark.parametrize("kind", ["noise", "integers"])
def test_lower_stars_and_critical_cells_equal_the_cpu(kind: str, top: bool) -> None:
    gradient, merge = (importlib.import_module(f"gpuph.kernels.triton.volume.{name}") for name in ("gradient", "merge"))
    x = batch(kind, (9, 7, 11))
    grid = Grid(x[0].numpy(), top)
    inner = np.full(grid.shape, -1)
    inner[1:-1, 1:-1, 1:-1] = np.arange(x.numel()).reshape(x.shape[1:])
    inner = inner.ravel()
    with ptx(0):
        stars, critical, trees = gradient.gradient(x, top)
        loops = merge.merge(x, stars, critical, trees, top, DIMS)
    expected = grid.star.reshape(grid.shape)[1:-1, 1:-1, 1:-1].astype(np.int32)
    assert np.array_equal(stars.star[0].numpy(), expected)
    rows = (
        (cells.EDGES3, grid.edges, grid.edge_directions, grid.merged(False), loops.claims == merge.KILLER.value),
        (cells.SQUARES3, grid.squares, grid.square_directions, grid.merged(True), loops.opened),
    )
    firsts = stars.first_edge, stars.first_square
    for column, (kinds, owners, directions, partner, marks) in enumerate(rows):
        bits = [bit for bit in range(27) if kinds >> bit & 1]
        n = int(trees.counters[0, column])
        found, owner = critical[column][0, :n].numpy(), critical[column][0, :n].numpy() // len(bits)
        numbers = inner[owners] * len(bits) + [bits.index(bit) for bit in directions]
        order = found.argsort(kind="stable")
        assert np.array_equal(found[order], numbers)
        assert np.array_equal(marks[0, :n].numpy()[order], partner >= 0)
        # The cells of an owner are consecutive and in order.
        assert (np.diff(found)[np.diff(owner) == 0] > 0).all()
        starts = np.flatnonzero(np.diff(owner, prepend=-1))
        assert len(starts) == len(set(owner.tolist()))
        assert np.array_equal(firsts[column][0].numpy()[owner[starts]], starts)


def test_empty_batch_launches_nothing() -> None:
    with ptx(0) as emulation:
        assert_same_pairs(torch.zeros(0, 5, 5, 5), DIMS)
        assert not emulation.launches


@pytest.mark.parametrize("sign", [1, -1])
def test_serpentine_valley_equals_the_cpu(sign: int) -> None:
    volume = np.full((7, 13, 17), 1e6, np.float32)
    step = 0
    for z in range(1, 7, 2):
        for y in range(1, 13, 2):
            for x in range(1, 16) if y % 4 == 1 else range(15, 0, -1):
                volume[z, y, x] = -(step := step + 1)
            if y < 11:
                volume[z, y + 1, 15 if y % 4 == 1 else 1] = -(step := step + 1)
    for construction in "TV":
        with ptx(0, **CHAINS):
            assert_same_pairs(torch.from_numpy(sign * volume)[None], DIMS, construction)


def test_large_windows_equal_the_cpu() -> None:
    """Many programs share one tree, and the longest lists of pairs are merged several times."""
    with ptx(3, checks=(), stats=False):
        assert_same_pairs(batch("noise", (33, 40, 35)), DIMS)
        assert_same_pairs(batch("smooth", (64, 64, 64)), DIMS, "V")
        assert_same_pairs(batch("noise", (64, 65, 66)), (2, 0), "V")


@pytest.mark.parametrize("construction", ["T", "V"])
def test_windows_at_the_limit_of_16_bit_codes_equal_the_cpu(construction: str) -> None:
    with ptx(0, checks=(), stats=False):
        for shape in ((5, 3, 4369), (4, 128, 128)):  # 65,535 voxels, and one more
            assert_same_pairs(batch("noise", shape), (0, 2), construction)


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_pairs_of_framed_windows_equal_the_cpu_on_any_schedule(seed: int) -> None:
    pred, target = (batch(kind, (8, 7, 19), 2, seed=seed) for kind in ("noise", "smooth"))
    shape = (5, 6, 14) if seed % 7 > 1 else (3,)  # a value per voxel, or slopes
    height = None if seed % 5 == 0 else torch.randn(16 if seed % 2 else 1, *shape)
    dims = ((2, 1), (1,))[seed % 2]
    with ptx(seed, **CHAINS):
        assert_same_localized(pred, target, height, (5, 6, 14), (3, 3, 9), seed % 3 > 0, dims=dims)


def test_loss_and_gradient_equal_the_cpu_and_repeat() -> None:
    maps = neurons.windows(4, 16)[:, None]

    def run(kernels: str) -> tuple[torch.Tensor, torch.Tensor]:
        with gpuph.use_kernels(kernels):
            pred = maps[:2].clone().requires_grad_()
            loss = gpuph.LocalizedPHLoss(window=12, dims=(1, 2)).eval()(pred, maps[2:])
            loss.backward()
        assert pred.grad is not None
        return loss.detach(), pred.grad

    expected, results = run("cpu"), []
    for seed in range(3):
        with ptx(seed, **CHAINS):
            results.append(run("triton"))
    for loss, grad in results:
        torch.testing.assert_close(loss, expected[0], rtol=1e-6, atol=0)
        torch.testing.assert_close(grad, expected[1], rtol=1e-6, atol=1e-8)
        assert torch.equal(loss, results[0][0]) and torch.equal(grad, results[0][1])


def test_overflowing_loops_are_reported_and_other_dims_are_complete() -> None:
    module = importlib.import_module("gpuph.kernels.triton.volume.reduce")  # the function has the module's name
    x = batch("noise", (9, 11, 10), 2)
    x[0] = batch("ramp", (9, 11, 10))[0]
    with ptx(0, **CHAINS), mock.patch.object(module, "_WORDS", 0), gpuph.use_kernels("triton"):
        status, index, _, count = torch.ops.gpuph.persistence(x, list(DIMS), True, 0.0, 500)
        assert status.tolist() == [0, 2] and count[1].tolist()[1] == 0 and (index[1] == -1).all()
        with pytest.raises(
            RuntimeError, match=r"x: the loops of its window 1 outgrew .* raise capacity, which was 256"
        ):
            gpuph.persistence(x)
    expected = torch.ops.gpuph.persistence(x, list(DIMS), True, 0.0, 500)
    for dim in (0, 2):
        assert torch.equal(index[dim], expected[1][dim]) and torch.equal(count[dim], expected[3][dim])


def long_front(height: int, width: int) -> torch.Tensor:
    """Return a plane (1, 1, height, width) whose only loop in V goes around a comb, all of it in one chain."""
    y, x = np.indices((height, width))
    plane = np.where(x % 3 == 0, 1e6, 5e5) - y - 0.4 * (x % 3 == 1)
    plane[1] = 2e6 - x[1]
    plane[-2] = -5e5
    plane[0] = plane[-1] = plane[:, 0] = plane[:, -1] = -1e6
    return torch.from_numpy(plane.astype(np.float32))[None, None]


def test_larger_capacity_gives_loops_more_memory() -> None:
    x = long_front(64, 66)
    with ptx(0, **CHAINS), gpuph.use_kernels("triton"):
        with pytest.raises(RuntimeError, match=r"x: the loops of its window 0 .* raise capacity, which was 1056,"):
            gpuph.persistence(x, DIMS, "V").check()
        with pytest.raises(
            RuntimeError, match=r"raise capacity, which was 1056,"
        ):  # a small capacity does not lower the memory
            gpuph.persistence(x, DIMS, "V", capacity=3).check()
        gpuph.persistence(x, DIMS, "V", capacity=2 * 1056).check()
    with ptx(1, **CHAINS):
        assert_same_pairs(x, DIMS, "V", capacity=2 * 1056)


@pytest.mark.parametrize("kind", inputs.KINDS)
def test_cell_lists_hold_all_critical_cells(kind: str) -> None:
    loops_of = importlib.import_module("gpuph.kernels.triton.volume.gradient").loops_of
    rng = np.random.default_rng(0)
    for seed in range(60):
        shape = tuple(int(size) for size in rng.integers(1, 8, 3))
        for top in (False, True):
            grid = Grid(inputs.image(kind, shape, seed), top)
            closing = len(grid.edges) - np.count_nonzero(grid.merged(False) >= 0)
            assert closing <= loops_of(*shape)
            most = loops_of(*shape) + -(-grid.key.size // 2)
            assert max(len(grid.edges), len(grid.squares)) <= most


def test_gradient_stage_stays_within_its_instruction_budget() -> None:
    """PTX instructions per voxel on realistic data: 297 when this was written."""
    x = neurons.windows(1, 32)
    with ptx(0, checks=()) as emulation:
        assert_same_pairs(x, (2, 0))
    stars = next(launch for launch in emulation.launches if launch.kernel == "_gradient")
    assert stars.instructions < 350 * x.numel()
