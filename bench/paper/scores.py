"""Score thresholded predictions by the five metrics of the tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from bench.train.crops import WINDOW
from bench.train.evaluation import TOLERANCE
from gpuph.metrics import (
    apls,
    betti_error,
    betti_matching_error,
    ccq,
    junction_score,
    skeleton_graph,
    too_long_too_short,
)

RADIUS = {2: 25.0, 3: 10.0}  # of TLTS and JCT by the number of axes, pixels; neurites lie closer together than roads
HIGHER_IS_BETTER = {"APLS": True, "TLTS": True, "JCT": True, "Betti": False, "CCQ": True}
WITH_PLACES = HIGHER_IS_BETTER | {"Betti matching": False}  # for experiments that ask where errors are
MEANING = {
    "APLS": "both ways, harmonic mean",
    "TLTS": "share of correct paths",
    "JCT": "F1",
    "Betti": "error of Betti-1 per window",
    "CCQ": "quality",
    "Betti matching": "false and missing loops per window, matched by their places",
}


def score(
    predicted: list[Tensor], true: list[Tensor], seed: int, names: Sequence[str] = tuple(HIGHER_IS_BETTER)
) -> dict[str, float]:
    """Return the mean of the metrics `names` over scenes, from predicted and true masks (*size)."""
    rows = [_score(lines, true_lines, seed, names) for lines, true_lines in zip(predicted, true, strict=True)]
    return {name: sum(row[name] for row in rows) / len(rows) for name in names}


def _score(lines: Tensor, true: Tensor, seed: int, names: Sequence[str]) -> dict[str, float]:
    rank = lines.dim()
    graph, true_graph = skeleton_graph(lines), skeleton_graph(true)

    def windows() -> torch.Generator:  # both errors have the same windows
        return torch.Generator(lines.device).manual_seed(seed)

    metrics: dict[str, Callable[[], float]] = {
        "APLS": lambda: apls(graph, true_graph, seed=seed).score,
        "TLTS": lambda: too_long_too_short(graph, true_graph, RADIUS[rank], seed=seed).correct,
        "JCT": lambda: junction_score(graph, true_graph, RADIUS[rank]).f1,
        "Betti": lambda: float(betti_error(lines, true, window=WINDOW[rank], generator=windows())),
        "CCQ": lambda: ccq(lines, true, TOLERANCE[rank]).quality,
        "Betti matching": lambda: float(betti_matching_error(lines, true, window=WINDOW[rank], generator=windows())),
    }
    return {name: metrics[name]() for name in names}
