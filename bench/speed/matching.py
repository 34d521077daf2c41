"""Matching against scipy and GUDHI, on one thread: `python -m bench.speed.matching [--save]`.

Batches of 256 windows of n points against n points, and against the few points of a binary truth. scipy solves the
clipped n x m matrix of savings, with and without the time that it takes to fill it; GUDHI's distance, by POT, runs on a
part of the windows and is scaled up.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import gudhi.wasserstein
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from bench.speed.timing import in_turn, machine
from gpuph import Diagram, match

WINDOWS = 256
SIZES = (20, 100, 300)
GUDHI_WINDOWS = {20: 64, 100: 16, 300: 4}
RESULTS = Path(__file__).parents[1] / "results" / "matching.json"

Points = NDArray[np.float64]  # (n, 2)


def predicted(n: int, rng: np.random.Generator) -> Points:
    """Many short-lived points and few long-lived ones."""
    birth = rng.uniform(0, 20, n)
    return np.stack((birth, birth + rng.exponential(1.0, n)), axis=1)


def against_equal(n: int, rng: np.random.Generator) -> tuple[Points, Points]:
    """Two diagrams of n points each."""
    return predicted(n, rng), predicted(n, rng)


def against_truth(n: int, rng: np.random.Generator) -> tuple[Points, Points]:
    """Loops of a binary truth, born at 0 or where the border joins them, dead at the truncation; and a prediction."""
    m = max(n // 20, 2)
    truth = np.stack((np.where(rng.random(m) < 0.5, 0.0, rng.integers(0, 5, m)), np.full(m, 20.0)), axis=1)
    found = np.sort(truth + rng.normal(0, 1, truth.shape), axis=1)
    return np.concatenate((found, predicted(n - m, rng))), truth


def savings(a: Points, b: Points) -> Points:
    """What each pair saves over leaving both alone, 0 or more."""
    alone_a, alone_b = ((x[:, 1] - x[:, 0]) ** 2 / 2 for x in (a, b))
    apart = (a[:, None, 0] - b[None, :, 0]) ** 2 + (a[:, None, 1] - b[None, :, 1]) ** 2
    return np.maximum(alone_a[:, None] + alone_b[None] - apart, 0.0)


def measure(name: str, n: int, pairs: list[tuple[Points, Points]]) -> dict[str, float | int | str]:
    """Time all contenders on the same windows, after a check that they agree."""
    left, right = (
        Diagram.from_list([torch.from_numpy(points) for points in side]) for side in zip(*pairs, strict=True)
    )
    matrices = [savings(a, b) for a, b in pairs]
    some = pairs[: GUDHI_WINDOWS[n]]

    def scipy_fills_and_solves() -> None:
        for a, b in pairs:
            linear_sum_assignment(savings(a, b), maximize=True)

    def scipy_solves() -> list[float]:
        return [matrix[linear_sum_assignment(matrix, maximize=True)].sum() for matrix in matrices]

    def gudhi_solves() -> list[float]:
        return [gudhi.wasserstein.wasserstein_distance(a, b, order=2, internal_p=2) for a, b in some]

    cost = match(left, right).cost.numpy()
    total = [sum(((x[:, 1] - x[:, 0]) ** 2).sum() / 2 for x in pair) for pair in pairs]
    np.testing.assert_allclose(cost, np.subtract(total, scipy_solves()), rtol=1e-9)
    np.testing.assert_allclose(np.sqrt(cost[: len(some)]), gudhi_solves(), rtol=1e-6)

    seconds = in_turn(
        {
            "gpuph": lambda: match(left, right),
            "scipy": scipy_fills_and_solves,
            "scipy, solving only": scipy_solves,
            "gudhi": gudhi_solves,
        },
        repeats=5,
    )
    seconds["gudhi"] *= WINDOWS / len(some)
    row: dict[str, float | int | str] = {"diagrams": name, "n": n, "m": right.birth.shape[1], "windows": WINDOWS}
    row |= {f"{contender} ms": round(1e3 * s, 3) for contender, s in seconds.items()}
    row |= {f"{c} / gpuph": round(s / seconds["gpuph"], 2) for c, s in seconds.items() if c != "gpuph"}
    return row


def main() -> None:
    """Print the table, and write it to bench/results/matching.json with --save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", action="store_true", help=f"write {RESULTS}")
    save = parser.parse_args().save
    torch.set_num_threads(1)
    rows = []
    for name, make in (("equal", against_equal), ("truth", against_truth)):
        for n in SIZES:
            rng = np.random.default_rng(n)
            rows.append(measure(name, n, [make(n, rng) for _ in range(WINDOWS)]))
            print("  ".join(f"{key}: {value}" for key, value in rows[-1].items()), flush=True)
    about = machine()
    print(f"GUDHI ran on {GUDHI_WINDOWS} windows of a size, and its time is scaled to {WINDOWS}.")
    print(json.dumps(about))
    if save:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(
            json.dumps({"machine": about, "gudhi_windows": GUDHI_WINDOWS, "rows": rows}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
