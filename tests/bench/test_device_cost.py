"""Counts of `bench.device.cost` on small batches, and the times that it predicts from them."""

from __future__ import annotations

import shutil
import sys

import numpy as np
import pytest
import torch

import gpuph
from bench.device import cost, counts, h100, host
from bench.speed import inputs, volume_inputs
from bench.train import neurons

triton = pytest.importorskip("triton")
import triton.language as tl  # noqa: E402

from gpuph.kernels.triton.counters import EDGES  # noqa: E402
from gpuph.kernels.triton.image.gradient import gradient  # noqa: E402
from gpuph.kernels.triton.image.trace import trace  # noqa: E402

ptx = [
    pytest.mark.ptx,
    pytest.mark.skipif(not shutil.which("gcc"), reason="ptxrun needs gcc"),
    pytest.mark.skipif(sys.platform != "linux", reason="ptxrun needs Linux"),
]


class TestCounts:
    pytestmark = ptx

    def test_cost_per_pixel_does_not_depend_on_the_batch(self, roads: torch.Tensor) -> None:
        one, four = (cost.persistence_cost(roads[:1].repeat(n, 1, 1)) for n in (1, 4))
        assert list(one["stages"]) == ["gradient", "merge", "ascents", "pairs", "merge_runs"]
        for what in ("instructions", "sectors written", "distinct sectors", "barriers"):
            assert four["stages"]["gradient"][what] == pytest.approx(one["stages"]["gradient"][what], rel=0.02)
        assert four["stages"]["merge"]["instructions"] == pytest.approx(one["stages"]["merge"]["instructions"], rel=0.1)
        assert four["scratch bytes"] == pytest.approx(one["scratch bytes"], rel=0.02)

    def test_memory_traffic_is_counted_in_sectors(self, roads: torch.Tensor) -> None:
        """The gradient reads 4 bytes per pixel, and writes at least two bits for each of 4 edges and 4 squares."""
        stages = cost.persistence_cost(roads[:2])["stages"]
        assert 5 / 32 <= stages["gradient"]["distinct sectors"] < 6 / 32
        assert stages["gradient"]["sectors read"] > 4 / 32 and stages["merge_runs"]["sectors written"] >= 12 / 32
        assert stages["gradient"]["atomics"] * 64**2 >= 3 and stages["merge_runs"]["atomics"] == 0

    def test_input_and_result_bytes_count_values_and_pairs(self, roads: torch.Tensor) -> None:
        """4 bytes per value; in both dimensions one column of births, deaths and their indices per 4 pixels."""
        moved = cost.persistence_cost(roads[:2])["input and result bytes"]
        assert moved == pytest.approx(4 + 2 * 2 * (4 + 8) / 4, rel=0.01)

    def test_stages_of_volumes_are_counted(self) -> None:
        one, two = (cost.persistence_cost(neurons.windows(1, 16).repeat(n, 1, 1, 1), 64) for n in (1, 2))
        loops = ["boundaries", "reduce", "reduce_in_memory"]
        assert list(one["stages"]) == ["gradient", "merge", "mark", *loops, "pairs", "sort_runs", "merge_runs"]
        for stage, rel in (("gradient", 0.02), ("merge", 0.1), ("boundaries", 0.1), ("reduce", 0.1)):
            instructions = two["stages"][stage]["instructions"]
            assert instructions > 0 and instructions == pytest.approx(one["stages"][stage]["instructions"], rel=rel)
        assert two["scratch bytes"] == pytest.approx(one["scratch bytes"], rel=0.02)
        assert list(one["parts of stages"]) == ["trace in merge"]
        # 4 bytes per value; in each dimension one column of births, deaths and their indices per 4 voxels.
        assert two["input and result bytes"] == pytest.approx(4 + 3 * 2 * (4 + 8) / 4, rel=0.01)
        later = sum(stage["predicted us, 64 windows"] for stage in two["stages"].values())
        assert two["predicted, 64 windows"]["us"] == pytest.approx(later)

    def test_trace_counts_the_same_in_merge_and_alone(self, roads: torch.Tensor) -> None:
        x = roads[:1]
        case = cost.persistence_cost(x)
        assert list(case["parts of stages"]) == ["trace in merge"]
        part = counts.count(lambda: gpuph.persistence(x, dims=(1,)))[1]["trace in merge"]
        stages, parts = counts.count(lambda: trace_alone(x))
        for what in ("instructions", "integer instructions", "sectors", "distinct sectors"):
            assert part[what] == pytest.approx(parts["trace in trace_alone"][what], rel=0.02)
            assert part[what] == pytest.approx(stages["trace_alone"][what], rel=0.1)  # plus the start of each program
            assert 0 < case["parts of stages"]["trace in merge"][what] < case["stages"]["merge"][what]
        of_roads = case["predicted, 1024 windows"]["gradient and trace, times the ideal"]
        assert 0 < of_roads < case["predicted, 1024 windows"]["times the ideal"]

    def test_loss_is_counted_with_its_gradient(self, roads: torch.Tensor) -> None:
        case = cost.loss_cost(roads[:1, None], roads[1:2, None])
        assert case["windows"] == 2 and {"gradient", "merge", "scatter_slopes"} <= set(case["stages"])
        assert case["input and result bytes"] == pytest.approx(6, rel=0.01)  # two maps and the gradient of one

    def test_distance_maps_are_counted(self) -> None:
        case = cost.distance_map_cost(64, masks=1)
        assert case["windows"] == 1 and case["stages"]
        assert case["input and result bytes"] == pytest.approx(5, rel=0.01)  # a mask and a map

    def test_skeletons_of_masks_are_counted(self) -> None:
        case = cost.mask_skeleton_cost(64, masks=1)
        assert case["windows"] == 1 and {"peel_tiles", "peel", "restore_ends"} <= set(case["stages"])
        assert case["input and result bytes"] == pytest.approx(2, rel=0.01)  # a mask and its skeleton

    def test_skeletons_of_volumes_are_counted(self) -> None:
        maps = (volume_inputs.KINDS[kind](1, 16)[:, None] for kind in ("neurites + noise", "neurites"))
        loss_fn = gpuph.MorseSkeletonLoss(window=16)
        case = cost.loss_cost(*cost.probabilities(*maps), loss_fn, 16, cost.EXTRAPOLATED3)
        assert case["windows"] == 2 and {"steepest_gradient", "merge", "boundaries", "prune"} <= set(case["stages"])

    def test_betti_matching_is_counted_with_its_gradient(self, roads: torch.Tensor) -> None:
        case = cost.betti_matching_cost(roads[:1, None], roads[1:2, None])
        stages = {name: stage["launches"] for name, stage in case["stages"].items()}
        images = ["compare", "lead", "merge_images", "list_partners", "link", "link_named"]
        assert [stages[name] for name in images] == [1] * len(images)
        assert (stages["gradient"], stages["merge"], stages["cost"]) == (3, 2, 1)
        assert case["input and result bytes"] == pytest.approx(6, rel=0.01)  # two maps and the gradient of one

    def test_times_with_latency_are_consistent_with_throughput(self, roads: torch.Tensor) -> None:
        case = cost.persistence_cost(roads[:2])
        whole, stages = case["predicted, 1024 windows"], case["stages"]
        assert whole["us with latency"] == pytest.approx(
            sum(s["us with latency, 1024 windows"] for s in stages.values())
        )
        assert whole["times the ideal, with latency"] == pytest.approx(whole["us with latency"] / whole["ideal us"])
        for name, stage in stages.items():
            assert stage["us with latency"] <= stage["us with latency, 1024 windows"], name
            assert (
                8 < stage["registers"] <= 255
                and stage["warps"] in (1, 4)
                and 1 <= stage["blocks on a multiprocessor"] <= 32
            )
            # An instruction of a chain takes at least 2 cycles, and rarely more than an access to the L2 cache.
            cycles = stage["cycles of the longest block"]
            assert 2 * stage["longest thread"] < cycles < 280 * stage["longest thread"] * stage["launches"], name
            assert stage["us with latency"] > stage["predicted us"] or stage["bound with latency"] != "latency"
        assert stages["merge"]["bound with latency, 1024 windows"] == "latency"

    def test_blocks_of_a_larger_batch_repeat_those_of_a_smaller_one(self, roads: torch.Tensor) -> None:
        one, four = (cost.persistence_cost(roads[:1].repeat(n, 1, 1)) for n in (1, 4))
        for name in ("gradient", "merge_runs"):
            a, b = (case["stages"][name] for case in (one, four))
            assert b["blocks"] == 4 * a["blocks"]
            assert b["us with latency, 1024 windows"] == pytest.approx(a["us with latency, 1024 windows"], rel=0.1)

    def test_gradients_of_maps_and_of_their_tiles_take_equally_long(self) -> None:
        """A block sums the gradient of a part of a window, and other windows of the map do not matter."""
        pred, target = (maps[..., :128, :128] for maps in inputs.predictions(1))
        of_maps = cost.loss_cost(pred, target)
        of_tiles = cost.loss_cost(inputs.tiles(pred, 64), inputs.tiles(target, 64))
        assert of_maps["windows"] == of_tiles["windows"] == 8
        assert of_maps["stages"]["merge"]["blocks"] == of_tiles["stages"]["merge"]["blocks"]
        assert all(maps.shape == (4, 1, 512, 512) for maps in inputs.predictions(4, 512))
        stages = [case["stages"]["scatter_slopes"] for case in (of_maps, of_tiles)]
        assert stages[0]["blocks"] == stages[1]["blocks"]
        cycles = [stage["cycles of the longest block"] for stage in stages]
        assert cycles[0] == pytest.approx(cycles[1], rel=0.1)

    def test_matching_counts_pairs_of_diagrams_as_windows(self) -> None:
        few, many = (cost.matching_costs(True, 2, n)[-1] for n in (8, 40))
        assert few["windows"] == 2 and list(few["stages"]) == ["match", "cost"]
        assert few["stages"]["match"]["blocks"] == 2
        key = "predicted, 1024 windows"
        assert 3 * few[key]["us with latency"] < many[key]["us with latency"] and few[key]["us"] < many[key]["us"]

    def test_host_time_and_launches_of_a_call_are_measured(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(host, "ROUNDS", 1)
        monkeypatch.setattr(host, "CALLS", 2)
        threads = torch.get_num_threads()
        costs = host.host_costs()
        assert torch.get_num_threads() == threads and costs["processor"]
        launches = {name: call["launches"] for name, call in costs["calls"].items()}
        assert launches == {"persistence": 6, "loss": 7, "loss and its gradient": 8}
        assert all(50 < call["host us a call"] < 1e6 for call in costs["calls"].values())
        gradient, loss = (costs["calls"][name]["host us a call"] for name in ("loss and its gradient", "loss"))
        assert gradient > loss


def trace_alone(x: torch.Tensor) -> None:
    """Trace the edges of a window down to minima in a kernel of its own."""
    found, trees = gradient(x, True)
    programs, lists = 8, (found.descents, found.edges, torch.empty_like(found.edges), trees.counters)
    _trace_alone[(programs,)](*lists, *x.shape[1:], programs, BLOCK=32, num_warps=1)


@triton.jit(do_not_specialize=["height", "width", "programs"])
def _trace_alone(ways, edges, ends, counters, height, width, programs, BLOCK: tl.constexpr):
    n = tl.load(counters + EDGES)
    share = tl.maximum(tl.cdiv(n, programs), BLOCK)  # distributed as in `merge`
    head = tl.program_id(0) * share
    trace(
        ways, edges, ends, head, tl.minimum(head + share, n), tl.arange(0, BLOCK), ways, height, width, True, 0, False
    )


def test_scratch_is_the_peak_of_memory_that_is_freed_again() -> None:
    x = torch.zeros(50)
    with counts.Scratch() as scratch:
        kept = x + 1
        first = torch.empty(100, dtype=torch.int64)  # 800 bytes
        second = kept.new_empty(75)  # 300 bytes, at the same time
        total = first.view(10, 10).sum() + second.sum().long()  # 8, 4 and 8 bytes
        del first, second
        later = torch.empty(250)  # 1000 bytes
        del later
        x.add_(1)
    assert scratch.bytes == 800 + 300 + 8 + 4 + 8 and total.nbytes == 8


def test_prediction_is_the_tightest_limit() -> None:
    counts = dict.fromkeys(("sectors", "distinct sectors", "instructions", "integer instructions"), 0.0)
    counts |= {"launches": 2, "longest thread": 1.98e4, "distinct sectors": 1e6}
    launches, thread, memory = 2e-6, 1e-5, 32e6 / 3.35e12
    assert cost.predicted(counts) == (pytest.approx(launches + thread), "longest thread")
    assert cost.predicted(counts, 4) == (pytest.approx(launches + 4 * memory), "memory")
    counts["integer instructions"] = 16.75e12
    assert cost.predicted(counts) == (pytest.approx(launches + 1), "integers")


def launch(cycles: list[int], sectors: float = 0.0, warps: int = 1, registers: int = 32) -> counts.Launch:
    """Return a launch whose blocks take the given cycles, and read the given sectors together."""
    did = dict.fromkeys(("sectors", "instructions", "integer instructions"), 0.0)
    did |= {"launches": 1, "longest thread": 1e12, "distinct sectors": sectors}
    return counts.Launch("kernel", did, {}, np.array(cycles, np.uint64), warps, registers, 0)


def test_launch_with_latency_ends_with_its_last_block() -> None:
    slots, launching = 132 * 32, 1e-6
    one = h100.predicted_with_latency(launch([1000, 3960]))
    assert one == (pytest.approx(3960 / 1.98e9 + launching), "latency")
    assert h100.predicted_with_latency(launch([1000]), slots)[0] == pytest.approx(1000 / 1.98e9 + launching)
    assert h100.predicted_with_latency(launch([1000]), slots + 1)[0] == pytest.approx(2000 / 1.98e9 + launching)
    fat = launch([1000], warps=4, registers=168)  # three fit on a multiprocessor
    assert h100.predicted_with_latency(fat, 132 * 3 + 1)[0] == pytest.approx(2000 / 1.98e9 + launching)


def test_launch_with_latency_is_not_faster_than_its_throughput() -> None:
    seconds, bound = h100.predicted_with_latency(launch([1000], sectors=1e6), 10)
    assert (seconds, bound) == (pytest.approx(32e7 / 3.35e12 + 1e-6), "memory")


def test_times_of_a_stage_are_summed_over_its_launches() -> None:
    own = [launch([1980] * 3), launch([3960], sectors=1e6, registers=64)]
    stage = h100.with_latency(own)
    assert stage["us with latency"] == pytest.approx(1 + 1 + 1e6 * 32e6 / 3.35e12 + 1)
    assert (stage["bound with latency"], stage["registers"], stage["blocks"]) == ("memory", 64, 4)


def test_missing_gcc_ends_the_command_with_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["cost"])
    with pytest.raises(SystemExit, match="needs Linux and gcc"):
        cost.main()
