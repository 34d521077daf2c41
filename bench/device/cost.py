"""`python -m bench.device.cost`: count what the Triton kernels do, and predict their times on an H100.

The compiled kernels run as PTX on the CPU (tests/ptxrun). Each kernel is a stage, for which instructions of threads,
32-byte sectors that warps read and write, atomics and barriers are counted, per pixel. No GPU is involved. Counts are
of PTX, before the assembler merges and splits instructions; those of `merge` and `reduce` vary slightly with the
schedule. Throughput does not include atomics and barriers.

Trace runs inside the kernels of `merge`. "trace in merge" counts the instructions that the compiler attributes to lines
of trace.py, and its time is its own tightest limit; the launch belongs to `merge`. Compilers move and merge
instructions, but rarely between files: `merge` without its joins has the same counts for these lines, within 1 %, and
for all others the 1.4 instructions per pixel with which programs start.

Two times are predicted for each stage. "Throughput" is a lower bound: the tightest of the limits in
bench/device/h100.py, plus LAUNCH. Each distinct sector is transferred from or to memory once, and every sector that a
warp accesses comes from the L2 cache. There are no waits, and work is distributed evenly, except for the longest
thread, of which a warp issues one instruction per cycle.

"With latency" is what to expect. ptxrun's model of latency gives the cycles of each block when it is alone on a
multiprocessor (tests/ptxrun/ptxrun/latency.py has the latencies and their sources). bench/device/schedule.py starts the
blocks in order, as many at a time as registers and warps permit; they share the L1 cache. A stage lasts until its last
block ends, or as long as its tightest limit, whichever is longer, plus LAUNCH. Latencies are accurate to 20 %; where
chains of dependent loads dominate, expect the times to be within 0.7 to 1.8 of the truth. Warps on one multiprocessor
do not delay each other, and all reads are assumed to hit the L2 cache, so that stages bound by memory may take longer.

For larger batches the same blocks are repeated. PyTorch's own launches are not counted. "Host us a call" is the CPU
time of this machine until all kernels are launched (bench/device/host.py).
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

import gpuph
from bench.speed import volume_inputs
from bench.speed.inputs import KINDS, bars, predictions, tiles
from bench.speed.timing import machine

from .counts import Launch, Scratch, by_stage, launches
from .h100 import BANDWIDTH, CLOCK, INTEGERS, ISSUE, L2, LAUNCH, predicted, with_latency
from .host import host_costs
from .schedule import H100
from .shown import show, show_aims
from .workloads import betti_matching

RESULTS = Path(__file__).parents[1] / "results" / "device_cost.json"
BATCHES = (16, 64)
EXTRAPOLATED = 1024
SIZE = 64
# Volumes, each with as many voxels as eight windows have pixels.
BATCHES3 = (2, 4)
EXTRAPOLATED3 = 64
SIZE3 = 32
# Sides of a volume that is alone in its batch and has to fill a device.
SIZES_OF_ONE = (64, 128)
# Numbers of pairs of diagrams, by their number of points. A pair can take as long as thousands of windows.
PAIRS = {20: 16, 100: 4, 300: 2, 1000: 1}
EXTRAPOLATED_PAIRS = (256, 1024)
MAPS = (256, 512)
MASKS, EXTRAPOLATED_MASKS = 2, 32

# The stages of gradient and trace.
TRACED = ("gradient", "trace in merge", "ascents")


def cost(
    run: Callable[[], list[Tensor]], inputs: list[Tensor], pixels: int, windows: int, later: int = EXTRAPOLATED
) -> dict[str, Any]:
    """Count what a function does per pixel, and predict its times for this batch and for `later` windows.

    "Ideal" is the time to read the inputs and write the results once.
    """
    return costs(run, inputs, pixels, windows, (later,))[0]


def costs(
    run: Callable[[], list[Tensor]], inputs: list[Tensor], pixels: int, windows: int, later: Sequence[int]
) -> list[dict[str, Any]]:
    """Return what `cost` does, for several numbers of windows."""
    results: list[Tensor] = []
    with Scratch() as scratch:
        made = launches(lambda: results.extend(run()))
    moved = sum(tensor.nbytes for tensor in (*inputs, *results))
    return [_predict(made, Batch(pixels, windows, moved, scratch.bytes), n) for n in later]


class Batch(NamedTuple):
    """What was counted besides the launches."""

    pixels: int
    windows: int
    moved: int  # bytes of the inputs and results
    scratch: int  # bytes


def _predict(made: list[Launch], batch: Batch, later: int) -> dict[str, Any]:
    """Return counts per pixel, and times for the batch and for `later` windows."""
    pixels, windows, moved, scratch = batch
    stages, parts = by_stage(made)
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
    for name in stages:
        own = [launch for launch in made if launch.stage == name]
        table[name] |= with_latency(own) | {
            f"{what}, {later} windows": n for what, n in with_latency(own, times).items() if "with latency" in what
        }
    us = {name: row[f"predicted us, {later} windows"] for name, row in table.items()}
    whole = sum(us[name] for name in stages)
    latent = sum(table[name][f"us with latency, {later} windows"] for name in stages)
    return {
        "windows": windows,
        "stages": {name: table[name] for name in stages},
        "parts of stages": {name: table[name] for name in parts},
        "scratch bytes": scratch / pixels,
        "input and result bytes": moved / pixels,
        f"predicted, {later} windows": {
            "us": whole,
            "us with latency": latent,
            "ideal us": ideal,
            "times the ideal": whole / ideal,
            "times the ideal, with latency": latent / ideal,
            "gradient and trace, times the ideal": sum(us.get(name, 0.0) for name in TRACED) / ideal,
        },
    }


def persistence_cost(windows: Tensor, later: int = EXTRAPOLATED) -> dict[str, Any]:
    """Return the cost of the diagrams of windows (N, H, W) or (N, D, H, W), in all dimensions."""
    windows = windows.clone()  # starts at a sector, as on a device

    def run() -> list[Tensor]:
        return [part for diagram in gpuph.persistence(windows).values() for part in vars(diagram).values()]

    return cost(run, [windows], windows.numel(), len(windows), later)


def matching_costs(short: bool, pairs: int, points: int) -> list[dict[str, Any]]:
    """Return the costs of matching pairs of diagrams. Windows are pairs here, and pixels are points."""
    sides = bars(short, pairs, points)
    coordinates = [coordinate for side in sides for coordinate in (side.birth, side.death)]

    def run() -> list[Tensor]:
        return list(vars(gpuph.match(*sides)).values())

    return costs(run, coordinates, sum(side.birth.numel() for side in sides), pairs, EXTRAPOLATED_PAIRS)


def distance_map_cost(size: int, masks: int = MASKS) -> dict[str, Any]:
    """Return the cost of the distance maps of masks of roads (N, 1, size, size)."""
    _, target = predictions(masks, size)
    roads = target == 0
    return cost(lambda: [gpuph.truncated_distance_map(roads, 20.0)], [roads], roads.numel(), masks, EXTRAPOLATED_MASKS)


def mask_skeleton_cost(size: int, masks: int = MASKS) -> dict[str, Any]:
    """Return the cost of the skeletons of masks (N, 1, size, size) of roads that are about 6 pixels wide."""
    _, target = predictions(masks, size)
    roads = target < 3
    return cost(lambda: [gpuph.skeleton_tubes(roads, 0)], [roads], roads.numel(), masks, EXTRAPOLATED_MASKS)


def loss_cost(
    pred: Tensor,
    target: Tensor,
    loss_fn: torch.nn.Module | None = None,
    size: int = SIZE,
    later: int = EXTRAPOLATED,
) -> dict[str, Any]:
    """Return the cost of the loss of maps (B, 1, H, W) or (B, 1, D, H, W) and of its gradient, which is the result.

    Windows with edges of that size are counted in both maps. Operators without a Triton kernel run on the CPU and are
    not counted.
    """
    pred = pred.clone().requires_grad_()
    loss_fn = loss_fn or gpuph.LocalizedPHLoss(window=size).eval()
    loss_fn(pred, target)  # draws the height function once

    def run() -> list[Tensor]:
        return list(torch.autograd.grad(loss_fn(pred, target), pred))

    pixels = pred.numel() + target.numel()
    return cost(run, [pred, target], pixels, pixels // size ** (pred.dim() - 2), later)


def probabilities(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Turn distance maps into probabilities of curves, as a network might predict them, and the mask of the truth."""
    return (1 - pred / pred.amax()).clamp(1e-3, 1 - 1e-3), (target < 1).to(pred.dtype)


def betti_matching_cost(pred: Tensor, target: Tensor, size: int = SIZE) -> dict[str, Any]:
    """Return the cost of a Betti matching of the loops of maps (B, 1, H, W), counted as by `loss_cost`."""
    pred, target = pred.clone(), target.clone()
    pixels = pred.numel() + target.numel()
    return cost(lambda: betti_matching(pred, target, size), [pred, target], pixels, pixels // size**2)


def images() -> dict[str, list[dict[str, Any]]]:
    """Return the cases of images, each with two batches."""
    cases = {
        f"persistence of {kind}": [persistence_cost(make(n, SIZE)) for n in BATCHES] for kind, make in KINDS.items()
    }
    pred, target = (tiles(maps, SIZE) for maps in predictions(2))
    cases["loss and its gradient, of predictions and truth"] = [
        loss_cost(pred[: n // 2], target[: n // 2]) for n in BATCHES
    ]
    for size in MAPS:
        cases[f"loss and its gradient, maps of {size} x {size}"] = [loss_cost(*predictions(1, size))]
    cases["Betti matching and its gradient, of predictions and truth"] = [
        betti_matching_cost(pred[: n // 2], target[: n // 2]) for n in BATCHES
    ]
    cases[f"Betti matching and its gradient, maps of {MAPS[0]} x {MAPS[0]}"] = [
        betti_matching_cost(*predictions(1, MAPS[0]))
    ]
    return cases


def volumes() -> dict[str, list[dict[str, Any]]]:
    """Return the cases of volumes, each with two batches."""
    cases = {
        f"persistence of volumes, {kind}": [persistence_cost(make(n, SIZE3), EXTRAPOLATED3) for n in BATCHES3]
        for kind, make in volume_inputs.KINDS.items()
    }
    neurites = volume_inputs.KINDS["neurites"]
    for size in SIZES_OF_ONE:
        cases[f"persistence of one volume of {size}^3, neurites"] = [persistence_cost(neurites(1, size), 1)]
    return cases


def matchings() -> dict[str, list[dict[str, Any]]]:
    """Return the cases of matching, each for both numbers of pairs."""
    kinds = {"short bars": True, "long bars": False}
    return {
        f"matching of pairs of {points} points, {kind}": matching_costs(short, pairs, points)
        for points, pairs in PAIRS.items()
        for kind, short in kinds.items()
    }


def distance_maps() -> dict[str, list[dict[str, Any]]]:
    """Return the case of distance maps."""
    return {f"distance maps of {MAPS[1]} x {MAPS[1]}": [distance_map_cost(MAPS[1])]}


def other_losses() -> dict[str, list[dict[str, Any]]]:
    """Return the cases of losses with kernels of their own, and of the skeletons that `SkeletonRecallLoss` needs."""
    pred, target = predictions(1, MAPS[0])
    size, title = gpuph.ConnectivityLoss.default_window[2], f"and its gradient, maps of {MAPS[0]} x {MAPS[0]}"
    volumes = (volume_inputs.KINDS[kind](1, SIZE3)[:, None] for kind in ("neurites + noise", "neurites"))
    return {
        f"ConnectivityLoss {title}": [loss_cost(pred, target, gpuph.ConnectivityLoss(), size)],
        f'DistancePHLoss, spread="path", {title}': [
            loss_cost(pred, target, gpuph.DistancePHLoss(window=SIZE, spread="path"))
        ],
        f"MorseSkeletonLoss {title}": [loss_cost(*probabilities(pred, target), gpuph.MorseSkeletonLoss(window=SIZE))],
        f"MorseSkeletonLoss and its gradient, volumes of {SIZE3}^3, neurites": [
            loss_cost(*probabilities(*volumes), gpuph.MorseSkeletonLoss(window=SIZE3), SIZE3, EXTRAPOLATED3)
        ],
        f"skeletons of masks of {MAPS[1]} x {MAPS[1]}": [mask_skeleton_cost(MAPS[1])],
    }


GROUPS = {f.__name__.replace("_", " "): f for f in (images, volumes, matchings, distance_maps, other_losses)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--save", action="store_true", help="write bench/results/device_cost.json")
    parser.add_argument("--only", choices=GROUPS, help="run one group of cases, and keep what is saved otherwise")
    options = parser.parse_args()
    if not shutil.which("gcc") or sys.platform != "linux":
        sys.exit("bench.device.cost runs PTX on the CPU, which needs Linux and gcc.")
    cases: dict[str, list[dict[str, Any]]] = {}
    for group, make in GROUPS.items():
        if options.only in (None, group):
            cases |= make()
    for title, batches in cases.items():
        for case in batches:
            show(title, case)
    for title, batches in cases.items():
        show_aims(title, batches[-1])
    of_host = {}
    if not options.only:
        of_host = {"machine": machine(), "host": host_costs()}
        print(f"\nCPU microseconds per call on one core of {of_host['host']['processor']}, and launches")
        for name, of_call in of_host["host"]["calls"].items():
            print(f"  {name:<25}{of_call['host us a call']:>8.0f}{of_call['launches']:>4}")
    if options.save:
        if options.only:
            saved = json.loads(RESULTS.read_text())
            cases = saved["cases"] | cases
            of_host = {name: saved[name] for name in ("machine", "host")}
        assumed = {
            "bandwidth": BANDWIDTH,
            "L2": L2,
            "issue": ISSUE,
            "integers": INTEGERS,
            "clock": CLOCK,
            "launch": LAUNCH,
        }
        results = {"machine": of_host["machine"], "predicted for": "H100 SXM", "limits a second": assumed}
        results |= {"resident": H100._asdict(), "host": of_host["host"], "cases": cases}
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
