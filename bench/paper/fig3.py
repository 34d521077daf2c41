"""Figure 3: three filtrations of a window that lacks one road and has a false one in its place."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

import gpuph
from gpuph.windows import frame

SIDE = 64
DMAX = 20.0
W = (0.2, 0.1)  # slopes of the height function g, down and to the right
SHORTEST = 0.5  # pairs of smaller persistence, which arise where the ramp meets the pixel grid, are left out
NEVER = 40.0  # larger than g on any road: where other pixels enter the filtration by height alone


def run(args: argparse.Namespace, figure: Path) -> dict[str, Any]:
    """Compute and draw the figure, and return the contents of its JSON file."""
    masks = torch.stack(example())
    distance = gpuph.truncated_distance_map(masks[:, None], DMAX)[:, 0]
    g = gpuph.Linear(W)(1, (SIDE, SIDE), distance, None)
    filtrations = {
        "thresholding: Y": distance,
        "height alone: g on roads": torch.where(masks, g, NEVER),
        "localized: Y + g": distance + g,
    }
    canvas = Figure(figsize=(8.6, 9.0), layout="constrained")
    found: dict[str, dict[str, Any]] = {}
    for (name, maps), (truth_panel, prediction_panel, matching_panel) in zip(
        filtrations.items(), canvas.subplots(3, 3), strict=True
    ):
        true, predicted = loops(maps)
        matching = gpuph.match(predicted, true)
        cost = float(matching.cost)
        found[name] = {"true": points(true), "predicted": points(predicted), "cost": round(cost, 3)}
        found[name]["partners"] = matching.partner_a[0, : len(found[name]["predicted"])].tolist()
        for panel, shown, title in zip((truth_panel, prediction_panel), maps, ("truth", "prediction"), strict=True):
            panel.imshow(shown.numpy(), cmap="viridis", vmax=float(maps[maps < NEVER].max()))
            panel.set_title(f"{name},\n{title}", fontsize=9)
            panel.set(xticks=[], yticks=[])
        draw_matching(matching_panel, found[name])
    canvas.savefig(figure, dpi=100)
    for name, row in found.items():
        print(f"{name:<28} loss {row['cost']:.2f}; true {row['true']}, predicted {row['predicted']}")
    return {"settings": {"side": SIDE, "dmax": DMAX, "w": W}, "filtrations": found}


def example() -> tuple[Tensor, Tensor]:
    """Return the true and the predicted mask of a window that roads cross."""
    true, predicted = torch.zeros(2, SIDE, SIDE, dtype=torch.bool)
    true[:, 32] = predicted[:, 32] = True
    true[16, :32] = True  # missing in the prediction
    predicted[47, 33:] = True  # false
    return true, predicted


def loops(maps: Tensor) -> tuple[gpuph.Diagram, gpuph.Diagram]:
    """Return the diagrams of the loops of a true and a predicted window (2, H, W), in the frame of the loss."""
    diagram = gpuph.persistence(frame(maps, maps.min().expand(2)), dims=(1,), min_persistence=SHORTEST)[1]
    return diagram[:1], diagram[1:]


def points(diagram: gpuph.Diagram) -> list[list[float]]:
    """Return births and deaths of the first window's pairs."""
    count = int(diagram.count[0])
    return [[round(float(x), 3) for x in pair] for pair in torch.stack((diagram.birth, diagram.death), 2)[0, :count]]


def draw_matching(panel: Axes, found: dict[str, Any]) -> None:
    """Draw both diagrams and their matching. Unmatched points are connected to the diagonal."""
    values = np.array(found["true"] + found["predicted"])
    low, high = values.min() - 2, values.max() + 2
    panel.plot([low, high], [low, high], color="0.6", linewidth=0.8)
    partners = found["partners"]
    unmatched = [p for i, p in enumerate(found["true"]) if i not in partners]
    for point, partner in zip(found["predicted"], partners, strict=True):
        if partner >= 0:
            panel.plot(*zip(point, found["true"][partner], strict=True), color="tab:green", linewidth=1.2, zorder=1)
        else:
            unmatched.append(point)
    for birth, death in unmatched:
        middle = (birth + death) / 2
        panel.plot((birth, middle), (death, middle), color="tab:red", linewidth=1.2, linestyle=":", zorder=1)
    for name, marker, size in (("true", "s", 9), ("predicted", "o", 5)):
        panel.plot(*np.array(found[name]).T, marker, markersize=size, markerfacecolor="none", label=name)
    panel.set(xlabel="birth", ylabel="death", aspect="equal", xlim=(low, high), ylim=(low, high))
    panel.set_title(f"matching, loss {found['cost']:.1f}", fontsize=9)
    panel.legend(fontsize=8, loc="lower right")
