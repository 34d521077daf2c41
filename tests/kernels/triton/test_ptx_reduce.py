"""The Triton kernels of `reduce` on inputs from the CPU's stages: as PTX on random schedules, and compiled."""

from __future__ import annotations

import importlib
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

from bench.train import neurons
from gpuph.kernels import Status
from support import inputs
from support.emulation import CHAINS, SCHEDULES, needs_ptx, ptx
from support.engines import Launch, stubbed
from support.reduce_inputs import inputs_of, pairs_of
from support.resources import TARGETS, compile_for, resources

pytest.importorskip("triton")
from gpuph.kernels.triton.counters import STATUS
from gpuph.kernels.triton.volume.merge import Loops

module = importlib.import_module("gpuph.kernels.triton.volume.reduce")  # the function has the module's name
# Many programs compete for the same pivots.
CROWDED = {"_VOXELS_PER_WALK": 64, "_VOXELS_PER_PROGRAM": 32, "_SLOTS_PER_VOXEL": 8}


def on_ptx(test: Any) -> Any:
    for mark in needs_ptx:
        test = mark(test)
    return test


def volumes(kind: str, shape: tuple[int, ...], n: int = 1, seed: int = 0, dtype: type = np.float32) -> np.ndarray:
    return np.stack([inputs.image(kind, shape, seed + i, dtype) for i in range(n)])


def assert_same_loops(windows: np.ndarray, top: bool, seed: int = 0, **options: Any) -> Any:
    """Assert that Triton's pairs of voxels are the CPU's on a random schedule, and return the emulation."""
    arguments, edges, expected = inputs_of(windows, top, seed)
    before = arguments.counters.clone()
    with ptx(seed, **CHAINS, **options) as emulation:
        square_of = module.reduce(*arguments)
    assert square_of.shape == edges.shape and square_of.dtype == torch.int32
    assert torch.equal(arguments.counters, before)
    assert pairs_of(square_of, edges, arguments) == expected
    return emulation


@on_ptx
@pytest.mark.parametrize(("block", "turns"), [(128, 4096), (4, 4096), (128, 2)])
@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_loops_equal_the_cpu_on_any_schedule(seed: int, block: int, turns: int) -> None:
    """With few registers, long columns are finished in memory; with few turns, columns with long paths are."""
    dtype = (np.float32, np.float64)[seed // 2 % 2]
    options = {"switch_prob": 0.02 + 0.3 * (seed % 3), "resident_blocks": 4 + seed % 9}
    for kind in ("noise", "integers", "smooth"):
        with mock.patch.multiple(module, _BLOCK=block, _TURNS=turns, **CROWDED):
            emulation = assert_same_loops(volumes(kind, (9, 8, 11), 2, seed, dtype), seed % 2 == 0, seed, **options)
        if kind == "noise" and block * turns < 128 * 4096:
            assert emulation.launches[2].max_thread_instructions > 1000  # without columns it takes 28


@on_ptx
@pytest.mark.parametrize("top", [True, False])
@pytest.mark.parametrize("kind", inputs.KINDS)
def test_loops_of_odd_windows_equal_the_cpu(kind: str, top: bool) -> None:
    for seed, shape in enumerate(inputs.VOLUMES):
        for dtype in (np.float32, np.float64):
            assert_same_loops(volumes(kind, shape, 2, dtype=dtype), top, seed)


@on_ptx
@pytest.mark.parametrize("top", [True, False])
def test_loops_of_solids_equal_the_cpu(top: bool) -> None:
    """Tori, linked rings and a knot, as distance maps and as masks, which consist of ties."""
    for seed, (solid, _) in enumerate(inputs.shapes().values()):
        distance = inputs.ndimage.distance_transform_edt(~solid) - inputs.ndimage.distance_transform_edt(solid)
        assert_same_loops(np.stack((distance, 1.0 - solid)).astype(np.float32), top, seed)


@on_ptx
@pytest.mark.parametrize("top", [True, False])
def test_columns_of_hundreds_of_edges_equal_the_cpu(top: bool) -> None:
    noise, smooth = volumes("noise", (28, 28, 28)), volumes("smooth", (50, 30, 40))
    for x in (noise, smooth):
        assert_same_loops(x, top, checks=(), resident_blocks=64)


@on_ptx
def test_windows_with_a_nan_are_skipped() -> None:
    x = volumes("noise", (5, 6, 7), 4)
    x[1, 2, 3, 4], x[2, 0, 0, 0] = np.nan, -np.nan
    for top in (True, False):
        assert_same_loops(x, top)


@on_ptx
@pytest.mark.parametrize(
    "small",
    [
        {"_WORDS": 0},
        {"_WORDS": 0, "_TURNS": 2},
        {"_WORDS": 1, "_TURNS": 2},
        {"_TURNS": 2, "_SLOTS": (64, 64)},
    ],
)
@pytest.mark.parametrize("top", [True, False])
def test_overflow_is_reported_and_affects_only_its_window(small: dict[str, Any], top: bool) -> None:
    """Nothing is written elsewhere, and other windows are complete."""
    shape = (15, 16, 17)
    windows = np.concatenate((volumes("noise", shape), volumes("constant", shape), volumes("noise", shape, seed=1)))
    windows[1, 7, 7:10, 7:10] = 0
    windows[1, 7, 8, 8] = 1
    arguments, edges, expected = inputs_of(windows, top)
    assert len(expected[1]) == 1
    for seed in range(2):
        fresh = arguments.copy()
        with ptx(seed, **CHAINS), mock.patch.multiple(module, **small, **CROWDED):
            square_of = module.reduce(*fresh)
        assert fresh.counters[:, STATUS.value].tolist() == [Status.LOOPS_LOST, Status.OK, Status.LOOPS_LOST]
        assert pairs_of(square_of, edges, arguments)[1] == expected[1]


@on_ptx
@pytest.mark.parametrize("small", [{"_WORDS": 1, "_TURNS": 2}, {"_TURNS": 2, "_SLOTS": (64, 64)}])
@pytest.mark.parametrize("top", [True, False])
def test_larger_capacity_resolves_the_overflow(small: dict[str, Any], top: bool) -> None:
    arguments, edges, expected = inputs_of(volumes("noise", (15, 16, 17), 2), top)
    usual = 15 * 16 * 17 // 4
    for capacity, status in ((usual, Status.LOOPS_LOST), (16 * usual, Status.OK)):
        fresh = arguments.copy()._replace(capacity=capacity)
        with ptx(0, **CHAINS), mock.patch.multiple(module, **small, **CROWDED):
            square_of = module.reduce(*fresh)
        assert fresh.counters[:, STATUS.value].tolist() == [status] * 2
    assert pairs_of(square_of, edges, arguments) == expected


@on_ptx
def test_empty_batch_launches_nothing() -> None:
    none, claims = torch.empty(0, 3, dtype=torch.int32), torch.empty(0, 3, dtype=torch.int64)
    with ptx(0) as emulation:
        square_of = module.reduce(torch.empty(0, 2, 3, 4), Loops(none, none, none, claims, none, none), none, True, 0)
    assert square_of.shape == (0, 3) and not emulation.launches


@on_ptx
@pytest.mark.parametrize(("scale", "most"), [(0.3, 3_100), (100.0, 2_000)])
def test_reduction_stays_within_its_instruction_budget(scale: float, most: int) -> None:
    """Instructions per pair on neurites with noise and on noise: 2,800 and 1,700 when this was written."""
    x = neurons.windows(1, 32).numpy()
    x = x + scale * np.random.default_rng(0).standard_normal(x.shape).astype(np.float32)
    arguments, _, expected = inputs_of(x, True)
    with ptx(0, checks=()) as emulation:
        module.reduce(*arguments)
    assert sum(launch.instructions for launch in emulation.launches) < 32 * most * len(expected[0])


def launches(side: int, top: bool, dtype: torch.dtype, capacity: int = 0) -> list[Launch]:
    """Return the launches for volumes on the device "meta", where only shapes are known."""
    n, voxels, shape = 3, side**3, (side,) * 3

    def new(*size: int, dtype: torch.dtype = torch.int32) -> torch.Tensor:
        return torch.empty(size, dtype=dtype, device="meta")

    loops = Loops(
        star=new(n, *shape),
        first_edge=new(n, voxels),
        squares=new(n, 3 * voxels),
        claims=new(n, 3 * voxels, dtype=torch.int64),
        opened=new(n, 3 * voxels),
        used=new(n, dtype=torch.int64),
    )
    with stubbed() as made:
        square_of = module.reduce(new(n, *shape, dtype=dtype), loops, new(n, 8), top, capacity)
    assert square_of.shape == (n, 3 * voxels) and square_of.is_meta
    return made


@pytest.mark.device_only
@pytest.mark.parametrize("side", [1, 33, 512])
def test_reduction_is_three_launches_for_any_window_size(side: int) -> None:
    names = [launch.stage for launch in launches(side, True, torch.float32)]
    assert names == ["volume boundaries", "volume reduce", "volume reduce_in_memory"]


@pytest.mark.device_only
def test_workspace_of_loops_grows_in_proportion_to_the_capacity() -> None:
    def sizes(capacity: int, side: int = 64) -> tuple[int, ...]:
        *_, in_memory = launches(side, True, torch.float32, capacity)
        names = in_memory.arguments
        return names["pool"].shape[1], names["table"].numel(), names["TABLE"], names["BLOCK"]

    usual = 8 * 64**3 + 64, 3 * 2 * 64**3, 64**3 // 32, 128
    assert sizes(0) == sizes(1) == sizes(64**3 // 4) == usual
    assert sizes(64**3) == (4 * 8 * 64**3 + 64, 4 * usual[1], 4 * usual[2], 512)
    assert sizes(2**30) == (2**31 - 1, 3 * 2 * 2**32, 2**18, 512)
    assert sizes(5000, side=1)[1:] == sizes(0, side=1)[1:] == (3 * 2 * 1024, 1024, 16)


@pytest.mark.compile
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_reduction_does_not_spill(dtype: torch.dtype, target: str) -> None:
    for side, top, capacity in ((32, True, 0), (64, False, 0), (128, True, 0), (128, False, 64 * 128**3)):
        for launch in launches(side, top, dtype, capacity):
            registers, _, spilled = resources(compile_for(launch, target), target)
            assert registers > 0 and spilled == 0, f"{spilled} bytes of {registers} registers, {launch.arguments}"
