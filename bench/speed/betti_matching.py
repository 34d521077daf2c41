"""`python -m bench.speed.betti_matching`: Betti matchings by gpuph and by topolosses, on one CPU thread.

Batches of 256 pairs of windows of 64 x 64, in both dimensions and in the construction V, which is that of topolosses:
predicted and true distance maps of roads, smooth fields, and noise. topolosses, which wraps the C++ implementation of
Stucki et al., runs on some of the windows, and its time is scaled up. First, the pairs that both match in these windows
are compared, with `match_empty=True`. The diagrams of both maps alone are timed, too.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import gpuph
from bench.speed import inputs
from bench.speed.loss import prepare_topolosses
from bench.speed.timing import in_turn, machine

WINDOWS, FEW = 256, 8
RESULTS = Path(__file__).parents[1] / "results" / "betti_matching.json"


def pairs() -> dict[str, tuple[Tensor, Tensor]]:
    """Return the predictions and truths of each kind, (256, 64, 64) each."""
    maps = inputs.predictions(WINDOWS // 16)
    pred, target = (inputs.tiles(x, 64)[:, 0] for x in maps)
    smooth, noise = inputs.smooth(2 * WINDOWS), inputs.noise(2 * WINDOWS)
    return {
        "roads": (pred.contiguous(), target.contiguous()),
        "smooth": (smooth[:WINDOWS], 0.5 * (smooth[:WINDOWS] + smooth[WINDOWS:])),
        "noise": (noise[:WINDOWS], noise[WINDOWS:]),
    }


def check(pred: Tensor, target: Tensor, topolosses: ModuleType) -> None:
    """Raise unless both find the same matched pairs, by their births and deaths."""
    found = gpuph.betti_match(pred, target, construction="V", match_empty=True)
    for i, (f, g) in enumerate(zip(pred.double().numpy(), target.double().numpy(), strict=True)):
        theirs = topolosses.compute_matching(f, g)
        for dim in found:
            ends = (
                *((f, theirs.input1_matched_birth_coordinates), (f, theirs.input1_matched_death_coordinates)),
                *((g, theirs.input2_matched_birth_coordinates), (g, theirs.input2_matched_death_coordinates)),
            )
            values = [x[tuple(np.asarray(of[dim]).reshape(-1, 2).T)] for x, of in ends]
            lasting = (values[0] < values[1]) & (values[2] < values[3])
            np.testing.assert_array_equal(_matched_values(found, dim, i), _sorted(np.stack(values, 1)[lasting]))


def _matched_values(found: gpuph.BettiMatching, dim: int, i: int) -> NDArray[np.float64]:
    """Return birth, death, birth and death of the matched pairs of a window that have finite deaths, sorted."""
    a = (found[dim].partner_a[i] >= 0).nonzero()[:, 0]
    b = found[dim].partner_a[i, a]
    of_pred, of_target = found.pred[dim], found.target[dim]
    values = torch.stack((of_pred.birth[i, a], of_pred.death[i, a], of_target.birth[i, b], of_target.death[i, b]), 1)
    return _sorted(values[values.isfinite().all(1)].double().numpy())


def _sorted(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return rows[np.lexsort(rows.T[::-1])]


def measure(name: str, pred: Tensor, target: Tensor) -> dict[str, float | int | str]:
    """Return the milliseconds of a batch by each contender."""
    prepare_topolosses()
    from topolosses.losses.betti_matching.src import betti_matching as topolosses

    check(pred[:FEW], target[:FEW], topolosses)
    few = [(f.double().numpy(), g.double().numpy()) for f, g in zip(pred[:FEW], target[:FEW], strict=True)]

    def diagrams() -> None:
        gpuph.persistence(pred, construction="V")
        gpuph.persistence(target, construction="V")

    def by_topolosses() -> list[Any]:
        return [topolosses.compute_matching(f, g) for f, g in few]

    seconds = in_turn(
        {
            "gpuph": lambda: gpuph.betti_match(pred, target, construction="V"),
            "diagrams": diagrams,
            "topolosses": by_topolosses,
        }
    )
    seconds["topolosses"] *= len(pred) / FEW
    row: dict[str, float | int | str] = {"windows": name, "batch": len(pred)}
    row |= {f"{contender} ms": round(1e3 * time, 3) for contender, time in seconds.items()}
    row["gpuph / diagrams"] = round(seconds["gpuph"] / seconds["diagrams"], 2)
    row["topolosses / gpuph"] = round(seconds["topolosses"] / seconds["gpuph"], 1)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--save", action="store_true", help="write bench/results/betti_matching.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name, (pred, target) in pairs().items():
        rows.append(measure(name, pred, target))
        print("  ".join(f"{key}: {value}" for key, value in rows[-1].items()), flush=True)
    about = machine()
    print(json.dumps(about))
    if options.save:
        RESULTS.write_text(json.dumps({"machine": about, "topolosses_windows": FEW, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
