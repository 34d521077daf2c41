"""The counts of `bench.device_cost`, on small batches, and what it predicts from them."""

from __future__ import annotations

import shutil
import sys

import pytest
import torch

import gpuph
from bench import counts, device_cost, neurons

triton = pytest.importorskip("triton")
import triton.language as tl  # noqa: E402
from gpuph.kernels.triton.gradient import SADDLES, gradient  # noqa: E402
from gpuph.kernels.triton.trace import trace  # noqa: E402

ptx = [
    pytest.mark.ptx,
    pytest.mark.skipif(not shutil.which("gcc"), reason="ptxrun needs gcc"),
    pytest.mark.skipif(sys.platform != "linux", reason="ptxrun needs Linux"),
]


class TestCounts:
    pytestmark = ptx

    def test_a_pixel_of_a_larger_batch_costs_the_same(self, roads: torch.Tensor) -> None:
        one, four = (device_cost.persistence_cost(roads[:1].repeat(n, 1, 1)) for n in (1, 4))
        assert list(one["stages"]) == ["gradient", "merge", "ascents", "pairs", "place"]
        for what in ("instructions", "sectors written", "distinct sectors", "barriers"):
            assert four["stages"]["gradient"][what] == pytest.approx(one["stages"]["gradient"][what], rel=0.02)
        assert four["stages"]["merge"]["instructions"] == pytest.approx(one["stages"]["merge"]["instructions"], rel=0.1)
        assert four["scratch bytes"] == pytest.approx(one["scratch bytes"], rel=0.02)

    def test_memory_is_counted_in_sectors(self, roads: torch.Tensor) -> None:
        """The gradient reads 4 bytes a pixel, and writes two bits for each of 4 edges and 4 squares, at least."""
        stages = device_cost.persistence_cost(roads[:2])["stages"]
        assert 5 / 32 <= stages["gradient"]["distinct sectors"] < 6 / 32
        assert stages["gradient"]["sectors read"] > 4 / 32 and stages["place"]["sectors written"] >= 12 / 32
        assert stages["gradient"]["atomics"] * 64**2 >= 3 and stages["place"]["atomics"] == 0

    def test_inputs_and_results_are_all_that_must_move(self, roads: torch.Tensor) -> None:
        """4 bytes of a value; in both dimensions, birth, death and their indices of a column for each 4 pixels."""
        moved = device_cost.persistence_cost(roads[:2])["input and result bytes"]
        assert moved == pytest.approx(4 + 2 * 2 * (4 + 8) / 4, rel=0.01)

    def test_volumes_are_counted_stage_by_stage_too(self) -> None:
        one, two = (device_cost.persistence_cost(neurons.windows(1, 16).repeat(n, 1, 1, 1), 64) for n in (1, 2))
        assert list(one["stages"]) == ["gradient3", "merge3", "mark", "reduce", "pairs3", "sort_runs", "merge_runs"]
        assert one["stages"]["reduce"]["launches"] == 2
        for stage, rel in (("gradient3", 0.02), ("merge3", 0.1), ("reduce", 0.1)):
            instructions = two["stages"][stage]["instructions"]
            assert instructions > 0 and instructions == pytest.approx(one["stages"][stage]["instructions"], rel=rel)
        assert two["scratch bytes"] == pytest.approx(one["scratch bytes"], rel=0.02)
        assert list(one["parts of stages"]) == ["trace3 in merge3"]
        # 4 bytes of a value; in all dimensions, birth, death and their indices of a column for each 4 voxels.
        assert two["input and result bytes"] == pytest.approx(4 + 3 * 2 * (4 + 8) / 4, rel=0.01)
        later = sum(stage["predicted us, 64 windows"] for stage in two["stages"].values())
        assert two["predicted, 64 windows"]["us"] == pytest.approx(later)

    def test_what_trace_does_in_merge_is_what_it_does_alone(self, roads: torch.Tensor) -> None:
        x = roads[:1]
        case = device_cost.persistence_cost(x)
        assert list(case["parts of stages"]) == ["trace in merge"]
        part = counts.count(lambda: gpuph.persistence(x, dims=(1,)))[1]["trace in merge"]
        stages, parts = counts.count(lambda: trace_alone(x))
        for what in ("instructions", "integer instructions", "sectors", "distinct sectors"):
            assert part[what] == pytest.approx(parts["trace in trace_alone"][what], rel=0.02)
            assert part[what] == pytest.approx(stages["trace_alone"][what], rel=0.1)  # with what programs start with
            assert 0 < case["parts of stages"]["trace in merge"][what] < case["stages"]["merge"][what]
        of_roads = case["predicted, 1024 windows"]["gradient and trace, times the ideal"]
        assert 0 < of_roads < case["predicted, 1024 windows"]["times the ideal"]

    def test_the_loss_is_counted_with_its_gradient(self, roads: torch.Tensor) -> None:
        case = device_cost.loss_cost(roads[:1, None], roads[1:2, None])
        assert case["windows"] == 2 and {"gradient", "merge", "scatter_slopes"} <= set(case["stages"])
        assert case["input and result bytes"] == pytest.approx(6, rel=0.01)  # two maps, and the gradient of one


def trace_alone(x: torch.Tensor) -> None:
    """Trace the saddles of a window down to minima, in a kernel that does nothing else."""
    descents, _, saddles, _, _, counters = gradient(x, True)
    programs = 8
    _trace_alone[(programs,)](
        descents, saddles, torch.empty_like(saddles), counters, *x.shape[1:], programs, BLOCK=32, num_warps=1
    )


@triton.jit(do_not_specialize=["height", "width", "programs"])
def _trace_alone(ways, saddles, ends, counters, height, width, programs, BLOCK: tl.constexpr):
    n = tl.load(counters + SADDLES)
    share = tl.maximum(tl.cdiv(n, programs), BLOCK)  # as `merge` shares them out
    head = tl.program_id(0) * share
    trace(saddles, ends, head, tl.minimum(head + share, n), tl.arange(0, BLOCK), ways, height, width, True, 0)


def test_scratch_is_what_was_allocated_and_is_gone() -> None:
    x = torch.zeros(50)
    with counts.Scratch() as scratch:
        kept = x + 1
        first = torch.empty(100, dtype=torch.int64)  # 800 bytes
        second = kept.new_empty(75)  # and 300, at the same time
        total = first.view(10, 10).sum() + second.sum().long()  # and 8, 4 and 8 of sums
        del first, second
        later = torch.empty(250)  # 1000 bytes
        del later
        x.add_(1)
    assert scratch.bytes == 800 + 300 + 8 + 4 + 8 and total.nbytes == 8


def test_the_tightest_limit_is_the_prediction() -> None:
    counts = dict.fromkeys(("sectors", "distinct sectors", "instructions", "integer instructions"), 0.0)
    counts |= {"launches": 2, "longest thread": 1.98e4, "distinct sectors": 1e6}
    launches, thread, memory = 2e-6, 1e-5, 32e6 / 3.35e12
    assert device_cost.predicted(counts) == (pytest.approx(launches + thread), "longest thread")
    assert device_cost.predicted(counts, 4) == (pytest.approx(launches + 4 * memory), "memory")
    counts["integer instructions"] = 16.75e12
    assert device_cost.predicted(counts) == (pytest.approx(launches + 1), "integers")


def test_it_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["device_cost"])
    with pytest.raises(SystemExit, match="needs Linux and gcc"):
        device_cost.main()
