"""`python -m bench.speed.persistence`: gpuph against GUDHI and cripser, 2D windows, H0 and H1, on the CPU.

All contenders run in turn in one process, each on one thread. GUDHI's CubicalPersistence gives values only; the others
say which pixels gave birth and death. The answers are compared before a time is believed.
"""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Callable
from pathlib import Path

import cripser
import gudhi
import numpy as np
import torch
from gudhi.sklearn.cubical_persistence import CubicalPersistence
from torch import Tensor

import gpuph
from bench.speed.inputs import KINDS
from bench.speed.timing import in_turn, machine

RESULTS = Path(__file__).parents[1] / "results" / "persistence.json"
GPUPH, VALUES_ONLY, COFACES, CRIPSER = "gpuph", "gudhi CubicalPersistence", "gudhi CubicalComplex + cofaces", "cripser"


def contenders() -> dict[str, Callable[[Tensor], object]]:
    """The contenders by name, each a function of windows (N, H, W)."""
    values_only = CubicalPersistence(homology_dimensions=[0, 1], n_jobs=1)

    def cofaces(x: Tensor) -> list[object]:
        found = []
        for window in x.double().numpy():
            complex_ = gudhi.CubicalComplex(top_dimensional_cells=window)
            complex_.compute_persistence(homology_coeff_field=2, min_persistence=0)
            found.append(complex_.cofaces_of_persistence_pairs())
        return found

    return {
        GPUPH: gpuph.persistence,
        VALUES_ONLY: lambda x: values_only.fit_transform(x.numpy()),
        COFACES: cofaces,
        CRIPSER: lambda x: [cripser.computePH_T(w, maxdim=1) for w in x.double().numpy()],
    }


def check(windows: Tensor) -> None:
    """Raise unless gpuph's diagrams are GUDHI's and, up to its way of closing the essential class, cripser's."""
    ours = gpuph.persistence(windows)
    theirs = CubicalPersistence(homology_dimensions=[0, 1], n_jobs=1).fit_transform(windows.numpy())
    for i, window in enumerate(windows.double().numpy()):
        bars = cripser.computePH_T(window, maxdim=1)
        for dim in (0, 1):
            points = _sorted(ours[dim].to_list()[i].numpy())
            np.testing.assert_array_equal(points, _sorted(theirs[i][dim]))
            other = bars[bars[:, 0] == dim, 1:3]
            other = other[(other[:, 0] < other[:, 1]) & (other[:, 1] < 1e300)]
            np.testing.assert_array_equal(points[np.isfinite(points[:, 1])], _sorted(other))


def _sorted(points: np.ndarray) -> np.ndarray:
    points = np.asarray(points, np.float64).reshape(-1, 2)
    return points[np.lexsort(points.T[::-1])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=256, help="windows of 64 x 64 in a batch (%(default)s)")
    parser.add_argument("--repeats", type=int, default=9, help="the median of so many runs (%(default)s)")
    parser.add_argument("--save", action="store_true", help="write bench/results/persistence.json")
    options = parser.parse_args()
    results: dict[str, object] = {"machine": machine(), "windows": options.windows}
    for kind, make in KINDS.items():
        x = make(options.windows)
        check(x[:16])
        torch.set_num_threads(1)
        some = {name: 16 if name in (COFACES, CRIPSER) else options.windows for name in contenders()}
        runs = {name: functools.partial(f, x[: some[name]]) for name, f in contenders().items()}
        seconds = in_turn(runs, options.repeats)
        each = {name: 1e6 * seconds[name] / some[name] for name in runs}
        print(f"\n{kind}: microseconds a window of 64 x 64, one thread, and times gpuph")
        for name, time in each.items():
            print(f"  {name:<34}{time:>10.1f}{time / each[GPUPH]:>10.1f}")

        def threaded(n: int, x: Tensor = x) -> None:
            torch.set_num_threads(n)
            gpuph.persistence(x)

        scaling = in_turn({"1": lambda: threaded(1), "2": lambda: threaded(2)}, 3 * options.repeats)
        gain = scaling["1"] / scaling["2"]
        print(f"  {'two threads against one':<34}{'':>10}{gain:>10.2f}")
        results[kind] = {"microseconds a window": each, "two threads": gain}
    if options.save:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
