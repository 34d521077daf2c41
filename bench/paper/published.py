"""The numbers that the paper published, as rows for the pages of bench/results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.paper.scores import HIGHER_IS_BETTER

PUBLISHED = Path(__file__).parent / "published.json"

# The paper's rows on each page, in order: the row of ours that each stands below, and its name in the paper. Without a
# row of ours it stands below the paper's row before, or at the top.
SHOWN: dict[str, list[tuple[str | None, str]]] = {
    "table1": [(name, name) for name in ("CE", "MSE", "DMT", "ConnLoss", "Homo-Pre", "Homo-Reg", "Homo-Ours")],
    "table3": [(name, name) for name in ("CE", "MSE", "Homo-Pre", "Homo-Reg", "Homo-Ours")],
    "table5": [("Homo-Ours 1", "0.001"), (None, "0.01"), (None, "0.1"), (None, "1")],
    "table6": [(None, "8"), ("16", "16"), ("32", "32"), ("64", "64")],
    "table7": [
        ("fixed, down", "fixed linear"),
        ("random distance to a point", "distance to a point"),
        ("random square", "square"),
        ("random slope", "random linear"),
    ],
}
# Tables whose data are not here. Their rows stand alone.
ALONE = ("table2", "table4")


def load() -> dict[str, Any]:
    """Read the tables and where they are from."""
    found: dict[str, Any] = json.loads(PUBLISHED.read_text())
    return found


def row(table: str, name: str) -> str:
    """Format a row of the paper as a row of a page: shares instead of percent, and empty where the paper has no column.

    Raises
    ------
    KeyError
        If the paper has no such table or row.
    """
    found = load()["tables"][table]
    scores = dict(zip(found["columns"], found["rows"][name], strict=True))
    cells = [_cell(metric, scores[metric]) if metric in scores else "" for metric in HIGHER_IS_BETTER]
    label = name if table in ALONE else f"*paper: {name}*"
    return f"| {label} | " + " | ".join(cells) + " |"


def _cell(metric: str, score: float | Sequence[float]) -> str:
    """Format a mean, and its deviation if there is one, with the digits that the paper prints."""
    mean, *deviation = score if isinstance(score, Sequence) else (score,)
    if metric == "Betti":
        return " ± ".join([f"{mean:.2f}", *(f"{x:.1f}" for x in deviation)])
    return " ± ".join(f"{x / 100:.3f}" for x in (mean, *deviation))
