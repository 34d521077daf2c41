"""The five metrics of the tables, of thresholded predictions, on the held-out scenes."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.crops import WINDOW
from bench.evaluate import TOLERANCE
from gpuph.metrics import apls, betti_error, ccq, junction_score, skeleton_graph, too_long_too_short

RADIUS = {2: 25.0, 3: 10.0}  # pixels, by the number of axes: of TLTS and JCT; neurites lie closer than roads
HIGHER_IS_BETTER = {"APLS": True, "TLTS": True, "JCT": True, "Betti": False, "CCQ": True}
MEANING = {
    "APLS": "both ways, harmonic mean",
    "TLTS": "share of correct paths",
    "JCT": "F1",
    "Betti": "error of Betti-1 a window",
    "CCQ": "quality",
}


def score(predicted: list[Tensor], true: list[Tensor], seed: int) -> dict[str, float]:
    """Compare masks (*size) with the true ones; means over the scenes."""
    rows = []
    for lines, true_lines in zip(predicted, true, strict=True):
        rank = lines.dim()
        graph, true_graph = skeleton_graph(lines), skeleton_graph(true_lines)
        windows = torch.Generator(lines.device).manual_seed(seed)
        rows.append(
            {
                "APLS": apls(graph, true_graph, seed=seed).score,
                "TLTS": too_long_too_short(graph, true_graph, RADIUS[rank], seed=seed).correct,
                "JCT": junction_score(graph, true_graph, RADIUS[rank]).f1,
                "Betti": float(betti_error(lines, true_lines, window=WINDOW[rank], generator=windows)),
                "CCQ": ccq(lines, true_lines, TOLERANCE[rank]).quality,
            }
        )
    return {name: sum(row[name] for row in rows) / len(rows) for name in HIGHER_IS_BETTER}
