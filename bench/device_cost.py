"""`python -m bench.device_cost`: what the Triton kernels do for a pixel, and the time that predicts on an H100.

The compiled kernels run as PTX on the CPU (tests/ptxrun), which counts, by stage, a stage being a kernel: instructions
of threads, sectors of 32 bytes that warps read and write, atomics and barriers. No GPU takes part. The counts are of
PTX, before its assembler merges and splits instructions; those of `merge` and `reduce` vary a little with the schedule.
Atomics and barriers are counted only: what they take is not published.

Trace runs within the kernels of `merge`. "trace in merge" is what stems from the lines of trace.py there, which the
compiler notes beside the instructions, and takes as long as its own tightest limit; the launch is that of `merge`.
A compiler moves and merges instructions, but little between files: `merge` with its joins taken out counts the same for
these lines, within 1 %, and for all others what a program starts with, 1.4 instructions a pixel.

The times are predictions from the counts and the limits below. A stage takes as long as the tightest of its limits,
and LAUNCH: each distinct sector comes from memory once, or goes there; every sector that a warp asks for comes from
the L2, none from a nearer cache; nothing waits for an answer, and work is spread evenly, but for the longest thread.
A GPU is least like that in `reduce`, where what a thread reads next depends on what it has read. PyTorch's own launches
are not counted.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import gpuph

from . import inputs3
from .counts import Counts, Scratch, count
from .inputs import KINDS, predictions, tiles
from .timing import machine

RESULTS = Path(__file__).parent / "results" / "device_cost.json"
BATCHES = (16, 64)
EXTRAPOLATED = 1024
SIZE = 64
# Of volumes, a window of which has as many voxels as eight of those have pixels:
BATCHES3 = (2, 4)
EXTRAPOLATED3 = 64
SIZE3 = 32

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

# Aims, of batches of EXTRAPOLATED windows and more: times in units of reading the input and writing the result once.
TRACED = ("gradient", "trace in merge", "ascents", "gradient3", "trace3 in merge3")
MOST_TRACED, MOST_TIME, MOST_INSTRUCTIONS, MOST_SCRATCH = 4, 10, 80, 24


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


def cost(
    run: Callable[[], list[Tensor]], inputs: list[Tensor], pixels: int, windows: int, later: int = EXTRAPOLATED
) -> dict[str, Any]:
    """Count what a function does that makes results of inputs, a pixel, and predict its time, with `later` windows too.

    The ideal is the time to read the inputs and write the results once.
    """
    results: list[Tensor] = []
    with Scratch() as scratch:
        stages, parts = count(lambda: results.extend(run()))
    moved = sum(tensor.nbytes for tensor in (*inputs, *results))
    times = later / windows
    ideal = 1e6 * times * moved / BANDWIDTH
    table = {}
    for name, counts in (stages | parts).items():
        (seconds, bound), (later_seconds, later_bound) = predicted(counts), predicted(counts, times)
        table[name] = {
            **{what: n if what in ("launches", "longest thread") else n / pixels for what, n in counts.items()},
            "predicted us": 1e6 * seconds,
            "bound": bound,
            f"predicted us, {later} windows": 1e6 * later_seconds,
            f"bound, {later} windows": later_bound,
        }
    us = {name: row[f"predicted us, {later} windows"] for name, row in table.items()}
    whole = sum(us[name] for name in stages)
    return {
        "windows": windows,
        "stages": {name: table[name] for name in stages},
        "parts of stages": {name: table[name] for name in parts},
        "scratch bytes": scratch.bytes / pixels,
        "input and result bytes": moved / pixels,
        f"predicted, {later} windows": {
            "us": whole,
            "ideal us": ideal,
            "times the ideal": whole / ideal,
            "gradient and trace, times the ideal": sum(us.get(name, 0.0) for name in TRACED) / ideal,
        },
    }


def persistence_cost(windows: Tensor, later: int = EXTRAPOLATED) -> dict[str, Any]:
    """Cost of the diagrams of windows (N, H, W) or (N, D, H, W), in all dimensions."""

    windows = windows.clone()  # begins at a sector, as on a device

    def run() -> list[Tensor]:
        return [part for diagram in gpuph.persistence(windows).values() for part in vars(diagram).values()]

    return cost(run, [windows], windows.numel(), len(windows), later)


def loss_cost(pred: Tensor, target: Tensor) -> dict[str, Any]:
    """Cost of the loss of maps (B, 1, H, W), and of its gradient, which is the result.

    Windows are those of both maps. What has no Triton kernel yet runs as on the CPU and counts nothing.
    """
    pred = pred.clone().requires_grad_()
    loss_fn = gpuph.LocalizedPHLoss(SIZE).eval()
    loss_fn(pred, target)  # draws the height function

    def run() -> list[Tensor]:
        return list(torch.autograd.grad(loss_fn(pred, target), pred))

    pixels = pred.numel() + target.numel()
    return cost(run, [pred, target], pixels, pixels // SIZE**2)


def show(title: str, case: dict[str, Any]) -> None:
    """Print the table of a case."""
    print(f"\n{title}, {case['windows']} windows: counts a pixel, and predicted microseconds")
    columns = ("instructions", "integer", "read", "written", "distinct", "atomics", "barriers", "us", "bound by")
    print(f"  {'stage':<17}" + "".join(f"{column:>13}" for column in columns))
    counted = ["instructions", "integer instructions", "sectors read", "sectors written", "distinct sectors"]
    counted += ["atomics", "barriers"]
    for name, stage in (case["stages"] | case["parts of stages"]).items():
        numbers = "".join(f"{stage[what]:>13.3f}" for what in counted)
        print(f"  {name:<17}{numbers}{stage['predicted us']:>13.2f}{stage['bound']:>16}")


def show_aims(title: str, case: dict[str, Any]) -> None:
    """Print a case's prediction for a larger batch, and for images, against the aims."""
    key = next(key for key in case if key.startswith("predicted"))
    whole, stages = case[key], case["stages"]
    slowest = max(stages, key=lambda name: stages[name][key.replace("predicted,", "predicted us,")])
    print(f"\n{title}: {key}, {whole['us']:.0f} us, longest in {slowest}")
    print(f"  ({case['input and result bytes']:.1f} bytes a pixel, read and written once: {whole['ideal us']:.0f} us)")
    if "gradient" not in stages:
        print(f"  {whole['times the ideal']:.1f} times that, with {case['scratch bytes']:.0f} bytes of scratch a pixel")
        return
    for what, value, most in (
        ("gradient and trace, times the ideal", whole["gradient and trace, times the ideal"], MOST_TRACED),
        ("everything, times the ideal", whole["times the ideal"], MOST_TIME),
        ("instructions a pixel, gradient", stages["gradient"]["instructions"], MOST_INSTRUCTIONS),
        ("bytes of scratch a pixel", case["scratch bytes"], MOST_SCRATCH),
    ):
        print(f"  {what:<38}{value:>8.1f}   aim: {most:>3}   {'reached' if value < most else 'MISSED'}")


def images() -> dict[str, list[dict[str, Any]]]:
    """The cases of images, each in two batches."""
    cases = {
        f"persistence of {kind}": [persistence_cost(make(n, SIZE)) for n in BATCHES] for kind, make in KINDS.items()
    }
    pred, target = (tiles(maps, SIZE) for maps in predictions(2))
    cases["loss and its gradient, of predictions and truth"] = [
        loss_cost(pred[: n // 2], target[: n // 2]) for n in BATCHES
    ]
    return cases


def volumes() -> dict[str, list[dict[str, Any]]]:
    """The cases of volumes."""
    return {
        f"persistence of volumes, {kind}": [persistence_cost(make(n, SIZE3), EXTRAPOLATED3) for n in BATCHES3]
        for kind, make in inputs3.KINDS.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--save", action="store_true", help="write bench/results/device_cost.json")
    parser.add_argument("--only", choices=("images", "volumes"), help="leave the other cases as they were saved")
    options = parser.parse_args()
    if not shutil.which("gcc") or sys.platform != "linux":
        sys.exit("bench.device_cost runs PTX on the CPU, which needs Linux and gcc.")
    cases: dict[str, list[dict[str, Any]]] = {}
    if options.only != "volumes":
        cases |= images()
    if options.only != "images":
        cases |= volumes()
    for title, batches in cases.items():
        for case in batches:
            show(title, case)
    for title, batches in cases.items():
        show_aims(title, batches[-1])
    if options.save:
        if options.only:
            cases = json.loads(RESULTS.read_text())["cases"] | cases
        assumed = {
            "bandwidth": BANDWIDTH,
            "L2": L2,
            "issue": ISSUE,
            "integers": INTEGERS,
            "clock": CLOCK,
            "launch": LAUNCH,
        }
        results = {"machine": machine(), "predicted for": "H100 SXM", "limits a second": assumed, "cases": cases}
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
