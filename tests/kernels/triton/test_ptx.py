"""Triton kernels for images and matching as PTX on the CPU: random schedules, checks for races and unwritten memory."""

from __future__ import annotations

import contextlib
import importlib
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

import gpuph
from support import inputs
from support.diagrams import AROUND_REGISTERS, essential, long, mixed, pairs, places, real, with_outliers
from support.emulation import SCHEDULES, needs_ptx, ptx
from support.engines import (
    TILINGS,
    assert_same_distances,
    assert_same_gather,
    assert_same_localized,
    assert_same_matching,
    assert_same_pairs,
    assert_same_slopes,
)
from support.processes import python

pytest.importorskip("triton")
pytestmark = needs_ptx

SHAPES = ((1, 1), (1, 9), (2, 2), (9, 1), (12, 5), (19, 21))


def batch(kind: str, shape: tuple[int, int], n: int = 1, dtype: type = np.float32, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.stack([inputs.image(kind, shape, seed + i, dtype) for i in range(n)]))


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_pairs_equal_the_cpu_on_any_schedule(seed: int, roads: torch.Tensor) -> None:
    construction = "TV"[seed % 2]
    with ptx(seed, switch_prob=0.02 + 0.3 * (seed % 3)):
        for kind in ("noise", "integers", "smooth"):
            assert_same_pairs(batch(kind, (33, 40), 2), construction=construction)
        assert_same_pairs(roads[seed % 16 :][:1], construction=construction)


@pytest.mark.parametrize("kind", inputs.KINDS)
@pytest.mark.parametrize("construction", ["T", "V"])
def test_pairs_of_odd_windows_equal_the_cpu(kind: str, construction: str) -> None:
    for seed, shape in enumerate(SHAPES):
        for dtype in (np.float32, np.float64):
            with ptx(seed):
                assert_same_pairs(batch(kind, shape, 3, dtype), construction=construction)


@pytest.mark.parametrize("dims", [(0,), (1,), (1, 0)])
def test_dims_thresholds_and_capacities_equal_the_cpu(dims: tuple[int, ...]) -> None:
    for construction in "TV":
        x = batch("noise", (40, 31), 2)
        with ptx(0):
            assert_same_pairs(x, dims, construction, min_persistence=0.7)
            assert_same_pairs(x, dims, construction, capacity=5)
            assert_same_pairs(x, dims, construction, capacity=400)


def test_nan_of_either_sign_affects_only_its_window() -> None:
    for seed, construction in enumerate("TVTV"):
        x = batch("noise", (29, 31), 4)
        x[1, 8, 10], x[2] = float("nan"), -float("nan")
        with ptx(seed):
            assert_same_pairs(x, construction=construction, capacity=200)


def test_empty_batch_launches_nothing() -> None:
    with ptx(0) as emulation:
        assert_same_pairs(torch.zeros(0, 5, 5))
        assert not emulation.launches


def test_serpentine_valley_equals_the_cpu() -> None:
    image = np.full((41, 40), 1e6, np.float32)
    for y in range(0, 41, 2):
        image[y] = -40 * y - np.arange(40)[:: 1 if y % 4 == 0 else -1]
    for y in range(1, 40, 2):
        x = 39 if y % 4 == 1 else 0
        image[y, x] = (image[y - 1, x] + image[y + 1, x]) / 2
    for sign in (1, -1):
        with ptx(0):
            assert_same_pairs(torch.from_numpy(sign * image)[None])


def test_large_windows_equal_the_cpu() -> None:
    """Pixels exceed the bits of a sort key, and many programs share one tree."""
    with ptx(3, checks=(), stats=False):
        assert_same_pairs(batch("noise", (181, 181)))  # the largest square whose trees have words of 32 bits
        assert_same_pairs(batch("noise", (260, 261)))
        assert_same_pairs(batch("smooth", (255, 250)), construction="V")


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_pairs_of_framed_windows_equal_the_cpu_on_any_schedule(seed: int) -> None:
    pred, target = (batch(kind, (17, 70), 2) for kind in ("noise", "smooth"))
    shape = (12, 61) if seed % 7 > 1 else (2,)  # a value per pixel, or slopes
    height = None if seed % 5 == 0 else torch.randn(8 if seed % 2 else 1, *shape)
    with ptx(seed):
        assert_same_localized(pred, target, height, (12, 61), (5, 9), seed % 3 > 0, dims=((0, 1), (1,))[seed % 2])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_gather_and_scatter_equal_the_cpu(dtype: torch.dtype) -> None:
    for seed, (rows, size, columns) in enumerate([(1, 1, 1), (3, 40, 33), (2, 17_000, 1_100), (0, 4, 4), (2, 5, 0)]):
        with ptx(seed):
            assert_same_gather(rows, size, columns, dtype)


@pytest.mark.parametrize("case", inputs.DISTANCES)
def test_distances_equal_the_cpu_on_any_schedule(case: tuple[Any, ...]) -> None:
    shape, density, truncation, spacing = case
    for seed in range(3):
        mask = torch.from_numpy(inputs.masks((shape[0] + 1, *shape[1:]), density, seed))
        with ptx(seed):
            assert_same_distances(mask[1:], truncation, spacing)  # begins anywhere in memory


def test_any_nonzero_byte_of_a_mask_is_true_in_any_layout() -> None:
    mask = torch.from_numpy(np.random.default_rng(0).integers(0, 9, (2, 20, 35), np.uint8) // 8 * 7).view(torch.bool)
    with ptx(0):
        assert_same_distances(mask, 4.0, (1.0, 1.0))
        assert_same_distances(mask.transpose(1, 2), 4.0, (1.0, 1.0))
        assert_same_distances(mask[:, ::2, 1::3], 4.0, (1.0, 1.0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scatter_slopes_equals_the_cpu(dtype: torch.dtype) -> None:
    for seed, tiling in enumerate(TILINGS):
        with ptx(seed):
            assert_same_slopes(2, tiling, 45, dtype)
    for images, columns in ((0, 4), (2, 0), (1, 1)):
        with ptx(0):
            assert_same_slopes(images, TILINGS[2], columns, dtype)


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_matchings_equal_the_cpu_on_any_schedule(seed: int) -> None:
    sizes = ((0, 3), (1, 17), (12, 9), (3, 140))
    dtype = (torch.float32, torch.float64)[seed // 4 % 2]
    with ptx(seed, switch_prob=0.02 + 0.3 * (seed % 3)):
        assert_same_matching(*mixed(sizes, seed, dtype), seed % 2 == 0, ("auto", "auction")[seed // 2 % 2])


@pytest.mark.parametrize("seed", range(2))
def test_matchings_with_places_equal_the_cpu_on_any_schedule(seed: int) -> None:
    points = mixed(((1, 5), (6, 9)), seed, (torch.float32, torch.float64)[seed])
    with ptx(seed, switch_prob=0.05):
        assert_same_matching(*points, seed % 2 == 0, ("auction", "auto")[seed % 2], *places(points, seed, seed))


@pytest.mark.parametrize("seed", range(4))
def test_matchings_with_outliers_equal_the_cpu_on_any_schedule(seed: int) -> None:
    rng = np.random.default_rng(seed)
    left, right = zip(*(with_outliers(rng) for _ in range(12)), strict=True)
    with ptx(seed, switch_prob=0.02 + 0.3 * (seed % 3)):
        assert_same_matching(*pairs([*left], [*right], torch.float64), True, ("auto", "auction")[seed % 2])


def test_matchings_of_hundreds_of_points_equal_the_cpu() -> None:
    """Sweeps take several blocks, and trees exceed one block."""
    rng = np.random.default_rng(0)
    for solver, n in (("auto", 200), ("auction", 20)):
        left, right = [np.sort(rng.uniform(0, 20, (size, 2)), axis=1) for size in (n, 620)]
        with ptx(0):
            assert_same_matching(*pairs([left], [right]), True, solver)


@pytest.mark.parametrize("seed", range(2))
def test_matchings_of_as_many_points_as_registers_hold_equal_the_cpu(seed: int) -> None:
    rng = np.random.default_rng(seed)
    left, right = zip(*((long(n, rng, 2), long(m, rng, 40)) for n, m in AROUND_REGISTERS[seed::2]), strict=True)
    with ptx(seed):
        assert_same_matching(*pairs([*left], [*right], (torch.float32, torch.float64)[seed]), seed == 0, "auto")


@pytest.mark.parametrize("seed", range(3))
def test_auto_runs_each_solver_on_its_windows(seed: int) -> None:
    """Two launches write to the same results. The threshold is lowered, as thousands of points would take minutes."""
    modules = [importlib.import_module(f"gpuph.kernels.{device}.matching.match") for device in ("cpu", "triton")]
    with contextlib.ExitStack() as stack:
        for module in modules:
            stack.enter_context(mock.patch.dict(module.AUCTION_FROM, auto=7))
        stack.enter_context(ptx(seed))
        assert_same_matching(*mixed(((3, 30), (25, 28), (9, 8), (6, 6), (40, 12)), seed), True, "auto")


ODD_BATCHES = """
import sys
sys.path[:0] = [sys.argv[1], sys.argv[2]]
import ptxrun.triton, torch, gpuph
from bench.device import counts

compiled = []
initialise = ptxrun.triton.Launcher.__init__
ptxrun.triton.Launcher.__init__ = lambda self, kernel: compiled.append(kernel.name) or initialise(self, kernel)
loss_fn = gpuph.LocalizedPHLoss(window=12, dims=(0, 1), height=gpuph.Linear((0.25, 0.125))).eval()
maps = torch.rand(4, 1, 12, 12)
with ptxrun.triton.emulated(checks=(), stats=False), counts.as_on_a_device():
    for batch in (4, 1, 3):
        pred = maps[:batch].clone().requires_grad_()
        loss_fn(pred, maps[:batch]).backward()
        print(len(compiled))
"""


def test_odd_batch_sizes_reuse_compiled_kernels() -> None:
    """The second half of a batch of odd size does not start at a multiple of 16 bytes."""
    root = Path(__file__).parents[3]  # a process in which nothing is compiled yet
    run = python("-c", ODD_BATCHES, root, root / "tests" / "ptxrun", timeout=1800.0)
    assert run.returncode == 0, run.stderr
    four, one, three = map(int, run.stdout.split())
    assert 0 < four == one == three


def test_matching_workspace_is_bounded() -> None:
    workspace = importlib.import_module("gpuph.kernels.triton.matching.workspace")
    for n, size in ((1, 300), (100_000, 300), (1024, 65_536)):
        buffers = workspace.allocate_workspaces(n, size, torch.empty(0, device="meta"))
        assert 1 <= buffers.programs() <= min(n, 1024)
        assert sum(buffer.nbytes for buffer in buffers) <= 2**30


def test_one_program_processes_several_windows() -> None:
    workspace = importlib.import_module("gpuph.kernels.triton.matching.workspace")
    with ptx(0), mock.patch.object(workspace, "_PROGRAMS", 3):
        assert_same_matching(*mixed(((2, 3), (5, 4))), True, "auto")


def test_overflow_nan_and_infinite_points_are_matched_like_the_cpu() -> None:
    rng = np.random.default_rng(0)
    a = pairs([real(9, rng), essential(3, rng, (9, 1, 1))], [essential(4, rng, (8, 3, 0))] * 2)
    a[0][0, 0], a[1][0, 1], a[0][1, 1], a[1][0, 2] = float("nan"), float("nan"), float("inf"), -float("inf")
    with ptx(0):
        assert_same_matching(a[0], a[1], a[2] + 20, *a[3:], True, "auto")


def test_loss_and_gradient_equal_the_cpu_and_repeat(roads: torch.Tensor) -> None:
    def run(kernels: str) -> tuple[torch.Tensor, torch.Tensor]:
        with gpuph.use_kernels(kernels):
            pred = roads[:2, None].clone().requires_grad_()
            loss = gpuph.LocalizedPHLoss(window=32).eval()(pred, roads[2:4, None])
            loss.backward()
        assert pred.grad is not None
        return loss.detach(), pred.grad

    expected, results = run("cpu"), []
    for seed in range(SCHEDULES):
        with ptx(seed):
            results.append(run("triton"))
    for loss, grad in results:
        torch.testing.assert_close(loss, expected[0], rtol=1e-6, atol=0)
        torch.testing.assert_close(grad, expected[1], rtol=1e-6, atol=1e-8)
        assert torch.equal(loss, results[0][0]) and torch.equal(grad, results[0][1])


def test_loss_with_place_equals_the_cpu_and_repeats() -> None:
    pred, target = torch.randint(0, 5, (2, 1, 1, 10, 12), generator=torch.Generator().manual_seed(0)).float()
    settings = {"window": 6, "dims": (0, 1), "height": None, "reduction": "none"}
    results = []
    for kernels in ("cpu", "triton", "triton"):
        with gpuph.use_kernels(kernels), ptx(0) if kernels == "triton" else contextlib.nullcontext():
            x = pred.clone().requires_grad_()
            loss = gpuph.LocalizedPHLoss(place=0.3, **settings)(x, target)
            loss.sum().backward()
        results.append((loss.detach(), x.grad))
    for found in results[1:]:
        assert all(torch.equal(ours, expected) for ours, expected in zip(found, results[0], strict=True))
    assert not torch.equal(results[0][0], gpuph.LocalizedPHLoss(**settings)(pred, target))


def test_gradient_stage_stays_within_its_instruction_budget(roads: torch.Tensor) -> None:
    """PTX instructions per pixel: 53 for roads and 72 for noise when this was written."""
    for windows, most in ((roads, 60), (batch("noise", (64, 64), 16), 80)):
        with ptx(0, checks=()) as emulation:
            assert_same_pairs(windows)
        stars = next(launch for launch in emulation.launches if launch.kernel == "_gradient")
        assert stars.instructions < most * windows.numel()
