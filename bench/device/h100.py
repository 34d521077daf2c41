"""Predict how long a launch takes on an H100, from its throughput alone and with latency."""

from __future__ import annotations

from typing import Any

from .counts import Counts, Launch
from .schedule import H100, makespan, resident

# Limits per second of an H100 SXM. From "NVIDIA H100 Tensor Core GPU Architecture" and the H100's data sheet: 3.35 TB/s
# of memory; 132 multiprocessors with 66.9 TFLOPS in float32 and 33.5 TOPS in int32, where a multiply-add counts twice:
# 128 lanes for floats and other instructions, and 64 for integers, at 1.98 GHz.
BANDWIDTH = 3.35e12
ISSUE = 66.9e12 / 2
INTEGERS = 33.5e12 / 2
CLOCK = 1.98e9  # a warp issues one instruction per cycle
# From "NVIDIA A100 Tensor Core GPU Architecture", as the H100's is not published: 5,120 bytes per cycle at 1.41 GHz.
L2 = 5120 * 1.41e9
# From "Getting Started with CUDA Graphs", NVIDIA's technical blog: a kernel of 2.9 us takes 3.8 us where launches
# overlap (V100). It takes longer where the host does not keep ahead of the device.
LAUNCH = 1e-6


def limits(counts: Counts, times: float = 1.0) -> dict[str, float]:
    """Return the lower bounds of a stage's duration in seconds, by limit, for a batch `times` times as large."""
    return {
        "memory": times * 32 * counts["distinct sectors"] / BANDWIDTH,
        "L2": times * 32 * counts["sectors"] / L2,
        "instructions": times * counts["instructions"] / ISSUE,
        "integers": times * counts["integer instructions"] / INTEGERS,
        "longest thread": counts["longest thread"] / CLOCK,
    }


def predicted(counts: Counts, times: float = 1.0) -> tuple[float, str]:
    """Return the predicted seconds of a stage by throughput alone, and the limit that determines them."""
    seconds, bound = max((seconds, name) for name, seconds in limits(counts, times).items())
    return seconds + LAUNCH * counts["launches"], bound


def predicted_with_latency(launch: Launch, times: float = 1.0) -> tuple[float, str]:
    """Return the predicted seconds of a launch whose blocks are repeated, and the limit, which may be "latency"."""
    bounds = limits(launch.counts, times)
    del bounds["longest thread"]  # contained in the cycles of its block
    slots = H100.multiprocessors * resident(launch.warps, launch.registers, launch.shared)
    bounds["latency"] = makespan(launch.cycles.tolist(), slots, max(1, round(times))) / CLOCK
    seconds, bound = max((seconds, name) for name, seconds in bounds.items())
    return seconds + LAUNCH, bound


def with_latency(own: list[Launch], times: float = 1.0) -> dict[str, Any]:
    """Summarise the launches of a stage with latency, with their blocks repeated `times` times."""
    took = [predicted_with_latency(launch, times) for launch in own]
    (_, bound), slowest = max(zip(took, own, strict=True), key=lambda pair: pair[0])
    return {
        "us with latency": 1e6 * sum(seconds for seconds, _ in took),
        "bound with latency": bound,
        "blocks": sum(len(launch.cycles) for launch in own),
        "cycles of the longest block": max(int(launch.cycles.max()) for launch in own),
        "warps": slowest.warps,
        "registers": slowest.registers,
        "blocks on a multiprocessor": resident(slowest.warps, slowest.registers, slowest.shared),
    }
