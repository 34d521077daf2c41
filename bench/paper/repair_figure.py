"""The figure of `bench.paper.repair`: where heights leave fewer wrong loops than a rival, and where more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLUMNS = 3
LEVEL = 0.05  # of the sign test
LIMIT = 1.5  # wrong loops; larger differences have the same colour


def draw(path: Path, against: list[dict[str, Any]]) -> None:
    """Draw one panel per rival: sets of errors and windows from top to bottom, truncations from left to right."""
    pairs = list(dict.fromkeys((row["loss"], row["rival"]) for row in against))
    rows = -(-len(pairs) // COLUMNS)
    figure = Figure(figsize=(10.5, 0.9 + 2.7 * rows), layout="constrained")
    grid = figure.subplots(rows, COLUMNS, squeeze=False)
    for i, (panel, pair) in enumerate(zip(grid.flat, pairs, strict=False)):
        _draw_pair(panel, [row for row in against if (row["loss"], row["rival"]) == pair], labels=i % COLUMNS == 0)
    for panel in list(grid.flat)[len(pairs) :]:
        panel.set_visible(False)
    figure.supxlabel(
        "Mean difference of the wrong loops that are left. Blue: fewer with the first loss. Red: more."
        f"\nBold: more crops have fewer (or more), by a sign test at {LEVEL:g}; thin numbers may be chance.",
        fontsize=9,
    )
    figure.savefig(path, dpi=100)


def _draw_pair(panel: Axes, found: list[dict[str, Any]], *, labels: bool) -> None:
    places = list(dict.fromkeys((row["errors"], row["window"]) for row in found))
    truncations = sorted({row["dmax"] for row in found})
    values = np.zeros((len(places), len(truncations)))
    for row in found:
        i, j = places.index((row["errors"], row["window"])), truncations.index(row["dmax"])
        values[i, j] = row["mean_difference"]
        weight = "bold" if row["sign_p"] < LEVEL else "normal"
        dark = abs(values[i, j]) > 0.7 * LIMIT
        shown = f"{values[i, j]:+.2f}"
        panel.text(j, i, shown, ha="center", va="center", fontsize=8, weight=weight, color="w" if dark else "k")
    panel.imshow(values, cmap="RdBu_r", vmin=-LIMIT, vmax=LIMIT, aspect="auto")
    panel.set_xticks(range(len(truncations)), [f"dmax {dmax:g}" for dmax in truncations], fontsize=8)
    names = [f"{errors}, {window}" for errors, window in places] if labels else [""] * len(places)
    panel.set_yticks(range(len(places)), names, fontsize=8)
    panel.tick_params(length=0)
    panel.set_title(f"{found[0]['loss']} - {found[0]['rival']}", fontsize=9)
