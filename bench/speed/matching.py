"""`python -m bench.speed.matching`: optimal matchings of diagrams by gpuph, scipy and GUDHI, on one CPU thread.

Batches of 256 windows of n points against n points, and against the few points of a binary truth. scipy solves the
clipped n x m matrix of savings; it is timed with and without filling the matrix. GUDHI's distance, which uses POT, runs
on some of the windows, and its time is scaled up.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import NamedTuple

import gudhi.wasserstein
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from bench.speed.timing import in_turn, machine
from gpuph import Diagram, match

WINDOWS = 256
SIZES = (20, 100, 300)
GUDHI_WINDOWS = {20: 64, 100: 16, 300: 4}  # by size
RESULTS = Path(__file__).parents[1] / "results" / "matching.json"

Points = NDArray[np.float64]  # (n, 2)


class Pair(NamedTuple):
    """Two diagrams to match."""

    a: Points
    b: Points


def predicted(n: int, rng: np.random.Generator) -> Points:
    """Return n points like a network's prediction: many short-lived ones and few long-lived ones."""
    birth = rng.uniform(0, 20, n)
    return np.stack((birth, birth + rng.exponential(1.0, n)), axis=1)


def against_equal(n: int, rng: np.random.Generator) -> Pair:
    """Return two diagrams of n points each."""
    return Pair(predicted(n, rng), predicted(n, rng))


def against_truth(n: int, rng: np.random.Generator) -> Pair:
    """Return a prediction of n points and a binary truth, whose few loops die at the truncation.

    Loops of the truth are born at 0, or where the frame closes them.
    """
    m = max(n // 20, 2)
    truth = np.stack((np.where(rng.random(m) < 0.5, 0.0, rng.integers(0, 5, m)), np.full(m, 20.0)), axis=1)
    found = np.sort(truth + rng.normal(0, 1, truth.shape), axis=1)
    return Pair(np.concatenate((found, predicted(n - m, rng))), truth)


def unmatched_costs(points: Points) -> NDArray[np.float64]:
    """Return the cost of leaving each point unmatched."""
    birth, death = points.T
    return (death - birth) ** 2 / 2


def savings(pair: Pair) -> NDArray[np.float64]:
    """Return what matching each pair of points saves over leaving both unmatched, at least 0: shape (n, m)."""
    a, b = pair
    unmatched_a, unmatched_b = unmatched_costs(a), unmatched_costs(b)
    matched = (a[:, None, 0] - b[None, :, 0]) ** 2 + (a[:, None, 1] - b[None, :, 1]) ** 2
    return np.maximum(unmatched_a[:, None] + unmatched_b[None] - matched, 0.0)


def measure(name: str, n: int, pairs: list[Pair]) -> dict[str, float | int | str]:
    """Time all contenders on the same windows, once their answers agree."""
    a, b = (Diagram.from_list([torch.from_numpy(points) for points in side]) for side in zip(*pairs, strict=True))
    matrices = [savings(pair) for pair in pairs]
    some = pairs[: GUDHI_WINDOWS[n]]

    def scipy_fills_and_solves() -> None:
        for pair in pairs:
            linear_sum_assignment(savings(pair), maximize=True)

    def scipy_solves() -> list[float]:
        return [matrix[linear_sum_assignment(matrix, maximize=True)].sum() for matrix in matrices]

    def gudhi_solves() -> list[float]:
        return [gudhi.wasserstein.wasserstein_distance(pair.a, pair.b, order=2, internal_p=2) for pair in some]

    cost = match(a, b).cost.numpy()
    unmatched = [sum(unmatched_costs(points).sum() for points in pair) for pair in pairs]
    np.testing.assert_allclose(cost, np.subtract(unmatched, scipy_solves()), rtol=1e-9)
    np.testing.assert_allclose(np.sqrt(cost[: len(some)]), gudhi_solves(), rtol=1e-6)

    seconds = in_turn(
        {
            "gpuph": lambda: match(a, b),
            "scipy": scipy_fills_and_solves,
            "scipy, solving only": scipy_solves,
            "gudhi": gudhi_solves,
        },
        repeats=5,
    )
    seconds["gudhi"] *= WINDOWS / len(some)
    row: dict[str, float | int | str] = {"diagrams": name, "n": n, "m": b.birth.shape[1], "windows": WINDOWS}
    row |= {f"{contender} ms": round(1e3 * time, 3) for contender, time in seconds.items()}
    row |= {f"{c} / gpuph": round(time / seconds["gpuph"], 2) for c, time in seconds.items() if c != "gpuph"}
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--save", action="store_true", help="write bench/results/matching.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name, make in (("equal", against_equal), ("truth", against_truth)):
        for n in SIZES:
            rng = np.random.default_rng(n)
            rows.append(measure(name, n, [make(n, rng) for _ in range(WINDOWS)]))
            print("  ".join(f"{key}: {value}" for key, value in rows[-1].items()), flush=True)
    about = machine()
    windows = ", ".join(f"{windows} windows of {n} points" for n, windows in GUDHI_WINDOWS.items())
    print(f"GUDHI ran on {windows}; its times are scaled to {WINDOWS} windows.")
    print(json.dumps(about))
    if options.save:
        results = {"machine": about, "gudhi_windows": GUDHI_WINDOWS, "rows": rows}
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
