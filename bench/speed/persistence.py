"""`python -m bench.speed.persistence`: diagrams of images, H0 and H1, by gpuph, GUDHI and cripser on the CPU.

All contenders run in turn in one process, each on one thread. GUDHI's CubicalPersistence returns values only; the
others also return the pixels of births and deaths. The diagrams are compared before anything is timed.
"""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Callable
from pathlib import Path

import cripser
import numpy as np
import torch
from gudhi.sklearn.cubical_persistence import CubicalPersistence
from torch import Tensor

import gpuph
from bench.speed.diagrams import cofaces, finite_points, sorted_points
from bench.speed.inputs import KINDS
from bench.speed.timing import in_turn, machine

RESULTS = Path(__file__).parents[1] / "results" / "persistence.json"
GPUPH, VALUES_ONLY, COFACES, CRIPSER = "gpuph", "gudhi CubicalPersistence", "gudhi CubicalComplex + cofaces", "cripser"
FEW = 16  # windows for the slow contenders


def contenders() -> dict[str, Callable[[Tensor], object]]:
    """Return the contenders by name, each a function of windows (N, H, W)."""
    values_only = CubicalPersistence(homology_dimensions=[0, 1], homology_coeff_field=2, n_jobs=1)
    return {
        GPUPH: gpuph.persistence,
        VALUES_ONLY: lambda x: values_only.fit_transform(x.numpy()),
        COFACES: cofaces,
        CRIPSER: lambda x: [cripser.computePH_T(window, maxdim=1) for window in x.double().numpy()],
    }


def check(windows: Tensor) -> None:
    """Raise unless gpuph's diagrams equal GUDHI's, and their finite points equal cripser's."""
    ours = gpuph.persistence(windows)
    theirs = CubicalPersistence(homology_dimensions=[0, 1], homology_coeff_field=2, n_jobs=1).fit_transform(
        windows.numpy()
    )
    for i, window in enumerate(windows.double().numpy()):
        bars = cripser.computePH_T(window, maxdim=1)
        for dim in (0, 1):
            points = sorted_points(ours[dim].to_list()[i].numpy())
            np.testing.assert_array_equal(points, sorted_points(theirs[i][dim]))
            finite = points[np.isfinite(points[:, 1])]
            np.testing.assert_array_equal(finite, sorted_points(finite_points(bars, dim)))


def compare(windows: Tensor, repeats: int) -> dict[str, float]:
    """Return the microseconds per window of each contender on one thread."""
    torch.set_num_threads(1)
    counts = {name: FEW if name in (COFACES, CRIPSER) else len(windows) for name in contenders()}
    runs = {name: functools.partial(run, windows[: counts[name]]) for name, run in contenders().items()}
    seconds = in_turn(runs, repeats)
    return {name: 1e6 * seconds[name] / counts[name] for name in runs}


def gain_of_second_thread(windows: Tensor, repeats: int) -> float:
    """Return by which factor gpuph is faster on two threads than on one."""

    def on(threads: int) -> None:
        torch.set_num_threads(threads)
        gpuph.persistence(windows)

    seconds = in_turn({"one": lambda: on(1), "two": lambda: on(2)}, repeats)
    return seconds["one"] / seconds["two"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=256, help="64 x 64 windows in a batch (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=9, help="runs that the median is of (default: %(default)s)")
    parser.add_argument("--save", action="store_true", help="write bench/results/persistence.json")
    options = parser.parse_args()
    results: dict[str, object] = {"machine": machine(), "windows": options.windows}
    for kind, make in KINDS.items():
        windows = make(options.windows)
        check(windows[:16])
        each = compare(windows, options.repeats)
        print(f"\n{kind}: microseconds per window of 64 x 64 on one thread, and multiples of gpuph's time")
        for name, time in each.items():
            print(f"  {name:<34}{time:>10.1f}{time / each[GPUPH]:>10.1f}")
        gain = gain_of_second_thread(windows, 3 * options.repeats)
        print(f"  {'two threads against one':<34}{'':>10}{gain:>10.2f}")
        results[kind] = {"microseconds a window": each, "two threads": gain}
    if options.save:
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
