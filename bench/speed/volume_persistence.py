"""`python -m bench.speed.volume_persistence`: diagrams of volumes, H0, H1 and H2, by gpuph and others on the CPU.

The others are cripser and GUDHI. All contenders run in turn in one process, each on one thread, and return the voxels
of births and deaths. The diagrams are compared before anything is timed. Then gpuph alone is measured: the gain of a
second thread, the time per voxel in volumes of 64^3 and 256^3, and the memory.
"""

from __future__ import annotations

import argparse
import functools
import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path

import cripser
import numpy as np
import torch
from torch import Tensor

import gpuph
from bench.speed.diagrams import cofaces, finite_points, sorted_points
from bench.speed.timing import in_turn, machine, peak_memory
from bench.speed.volume_inputs import KINDS
from bench.train import neurons

RESULTS = Path(__file__).parents[1] / "results" / "volume_persistence.json"
GPUPH, CRIPSER_T, CRIPSER_V, COFACES = "gpuph T", "cripser T", "cripser V", "gudhi CubicalComplex + cofaces"
WINDOWS = {32: 4, 64: 2, 128: 1}  # in a batch, by size
REPEATS = {32: 9, 64: 5, 128: 1}
FINE = 68.0  # size of a voxel in the skeletons' units, at which the neurons fill more than 256^3 voxels

CONTENDERS: dict[str, Callable[[Tensor], object]] = {
    GPUPH: gpuph.persistence,
    CRIPSER_T: lambda x: [cripser.computePH_T(window, maxdim=2) for window in x.double().numpy()],
    CRIPSER_V: lambda x: [cripser.computePH(window, maxdim=2) for window in x.double().numpy()],
    COFACES: cofaces,
}


def check(windows: Tensor) -> None:
    """Raise unless the finite points of gpuph's diagrams equal cripser's, for the T and V constructions."""
    for construction, compute in (("T", cripser.computePH_T), ("V", cripser.computePH)):
        ours = gpuph.persistence(windows, construction=construction)
        for i, window in enumerate(windows.double().numpy()):
            bars = compute(window, maxdim=2)
            for dim in range(3):
                points = ours[dim].to_list()[i].double().numpy()
                finite = points[np.isfinite(points[:, 1])]
                np.testing.assert_array_equal(sorted_points(finite), sorted_points(finite_points(bars, dim)))


def compare(sizes: list[int]) -> dict[str, object]:
    """Return the milliseconds per window of each contender, by kind and size."""
    results: dict[str, object] = {}
    for size in sizes:
        for kind, make in KINDS.items():
            windows = make(WINDOWS[size], size)
            check(windows)
            torch.set_num_threads(1)
            runs = {name: functools.partial(run, windows) for name, run in CONTENDERS.items()}
            seconds = in_turn(runs, REPEATS[size])
            each = {name: 1e3 * time / len(windows) for name, time in seconds.items()}
            print(f"\n{kind}, {size}^3: milliseconds per window on one thread, and multiples of gpuph's time")
            for name, time in each.items():
                print(f"  {name:<34}{time:>10.2f}{time / each[GPUPH]:>10.1f}", flush=True)
            results[f"{kind}, {size}^3"] = each
    return results


def scaling() -> dict[str, float]:
    """Measure the gain of a second thread, the time per voxel of large volumes, and the memory."""

    def on(threads: int, x: Tensor) -> None:
        torch.set_num_threads(threads)
        gpuph.persistence(x)

    many, large, huge = neurons.windows(16, 32), neurons.windows(1, 128), neurons.windows(1, 256, unit=FINE)
    small = neurons.windows(4, 64)
    runs = {"16 of 32^3": many, "one of 128^3": large}
    times = in_turn({f"{name}, {n}": functools.partial(on, n, x) for name, x in runs.items() for n in (1, 2)}, 15)
    results = {f"gain of a second thread, {name}": times[f"{name}, 1"] / times[f"{name}, 2"] for name in runs}
    times = in_turn({"64": lambda: on(1, small), "256": lambda: on(1, huge), "2": lambda: on(2, huge)}, 3)
    results["nanoseconds a voxel, 4 of 64^3, one thread"] = 1e9 * times["64"] / small.numel()
    results["nanoseconds a voxel, 256^3, one thread"] = 1e9 * times["256"] / huge.numel()
    results["seconds, 256^3, two threads"] = times["2"]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        for kind in ("neurites", "noise"):
            results[f"bytes a voxel beyond the input, {kind}, 128^3"] = pool.apply(_memory, (kind,))
    for name, value in results.items():
        print(f"{name:<60}{value:>8.2f}")
    return results


def _memory(kind: str) -> float:
    """Return the peak of this process's memory beyond the input, in bytes per voxel."""
    x = KINDS[kind](1, 128)
    gpuph.persistence(x[:, :8, :8, :8].contiguous())  # loads and compiles everything
    return peak_memory(lambda: gpuph.persistence(x)) / x.numel()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sizes", type=int, nargs="*", choices=WINDOWS, default=[32, 64], help="(default: %(default)s)"
    )
    parser.add_argument(
        "--save", action="store_true", help="write bench/results/volume_persistence.json; other sizes in it are kept"
    )
    options = parser.parse_args()
    times = json.loads(RESULTS.read_text())["milliseconds a window"] if RESULTS.exists() else {}
    times |= compare(options.sizes)
    results = {"machine": machine(), "milliseconds a window": times, "scaling": scaling()}
    if options.save:
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
