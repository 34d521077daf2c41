"""How long an H100 takes for what a launch did: by what limits its throughput, and with latency."""

from __future__ import annotations

from typing import Any

from .counts import Counts, Launch
from .schedule import H100, makespan, resident

# An H100 SXM, a second. From "NVIDIA H100 Tensor Core GPU Architecture" and the H100's data sheet: 3.35 TB/s; 132
# multiprocessors with 66.9 TFLOPS in float32 and 33.5 TOPS in int32, where a multiply-add is two: 128 lanes of floats,
# or of any instructions, and 64 of integers, at 1.98 GHz.
BANDWIDTH = 3.35e12
ISSUE = 66.9e12 / 2
INTEGERS = 33.5e12 / 2
CLOCK = 1.98e9  # a warp issues one instruction at a time
# From "NVIDIA A100 Tensor Core GPU Architecture", as the H100's is not published: 5,120 bytes a cycle of 1.41 GHz.
L2 = 5120 * 1.41e9
# From "Getting Started with CUDA Graphs", NVIDIA's technical blog: a kernel of 2.9 us takes 3.8 us where launches
# overlap (V100). Host code that cannot keep ahead costs more.
LAUNCH = 1e-6


def limits(counts: Counts, times: float = 1.0) -> dict[str, float]:
    """Seconds that a stage takes at least, by each limit, with a batch so many times larger."""
    return {
        "memory": times * 32 * counts["distinct sectors"] / BANDWIDTH,
        "L2": times * 32 * counts["sectors"] / L2,
        "instructions": times * counts["instructions"] / ISSUE,
        "integers": times * counts["integer instructions"] / INTEGERS,
        "longest thread": counts["longest thread"] / CLOCK,
    }


def predicted(counts: Counts, times: float = 1.0) -> tuple[float, str]:
    """Predicted seconds of a stage, with a batch so many times larger, and which limit it is."""
    seconds, bound = max((seconds, name) for name, seconds in limits(counts, times).items())
    return seconds + LAUNCH * counts["launches"], bound


def predicted_with_latency(launch: Launch, times: float = 1.0) -> tuple[float, str]:
    """Predicted seconds of a launch whose blocks repeat so many times, and which limit it is, or "latency"."""
    bounds = limits(launch.counts, times)
    del bounds["longest thread"]  # is in its block's cycles
    slots = H100.multiprocessors * resident(launch.warps, launch.registers, launch.shared)
    bounds["latency"] = makespan(launch.cycles.tolist(), slots, max(1, round(times))) / CLOCK
    seconds, bound = max((seconds, name) for name, seconds in bounds.items())
    return seconds + LAUNCH, bound


def with_latency(own: list[Launch], times: float = 1.0) -> dict[str, Any]:
    """What the launches of a stage take with latency, of blocks that repeat so many times, and what decides that."""
    took = [predicted_with_latency(launch, times) for launch in own]
    longest = max(range(len(own)), key=lambda i: took[i])
    return {
        "us with latency": 1e6 * sum(seconds for seconds, _ in took),
        "bound with latency": took[longest][1],
        "blocks": sum(len(launch.cycles) for launch in own),
        "cycles of the longest block": max(int(launch.cycles.max()) for launch in own),
        "warps": own[longest].warps,
        "registers": own[longest].registers,
        "blocks on a multiprocessor": resident(own[longest].warps, own[longest].registers, own[longest].shared),
    }
