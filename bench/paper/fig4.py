"""Figure 4: does the loss rise with every error? Errors are injected one after another into true distance maps."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from tqdm import tqdm

import gpuph
from bench.paper.errors import KINDS, inject
from bench.speed.inputs import road_mask

SIDE = 384  # of a crop, pixels
CROPS, ERRORS, RUNS, QUICK_RUNS = 2, 30, 10, 2
SLOPES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)  # filtration values a pixel; 0 is thresholding alone
DMAX = (10.0, 15.0, 20.0, 30.0)  # pixels
QUICK_DMAX = (20.0,)
UNMATCHED = ("half_squared", "distance")
WINDOWS = {"64": 64, "whole crop": SIDE}
MANY = 8  # directions of g that a loss is averaged over, beside single ones, for SHOWN_DMAX
PAPER = {"thresholding": 0.4, "localized": 0.2}  # how often the loss falls there
SHOWN_DMAX, SHOWN_SLOPES = 20.0, (0.0, 0.2, 0.8)  # what the distributions are drawn for


def run(args: argparse.Namespace, figure: Path) -> dict[str, Any]:
    """Measure and draw; returns what goes into the JSON."""
    runs, truncations = (QUICK_RUNS, QUICK_DMAX) if args.quick else (RUNS, DMAX)
    changes: dict[tuple[Any, ...], list[np.ndarray]] = {}
    kinds: list[str] = []
    crops = richest_crops(road_mask()[0, 0].numpy(), SIDE, CROPS)
    for place, seed in tqdm([(i, j) for i in range(CROPS) for j in range(runs)], unit="run", dynamic_ncols=True):
        rng = np.random.default_rng((args.seed, place, seed))
        masks, injected = inject(crops[place], ERRORS, rng)
        kinds += injected
        angles = rng.uniform(0, 2 * np.pi, MANY)
        for condition, values in losses(masks, truncations, angles).items():
            changes.setdefault(condition, []).append(np.diff(values))
    rows = [summary(condition, np.concatenate(found), np.array(kinds)) for condition, found in changes.items()]
    print(text(rows))
    draw(figure, rows, {condition: np.concatenate(found) for condition, found in changes.items()})
    settings = {"crops": CROPS, "side": SIDE, "runs": runs, "errors": ERRORS, "seed": args.seed}
    return {"settings": settings, "paper": PAPER, "conditions": rows}


def richest_crops(mask: np.ndarray, side: int, count: int) -> list[np.ndarray]:
    """The crops, on a grid of `side` pixels, with the longest roads."""
    corners = [(y, x) for y in range(0, len(mask) - side + 1, side) for x in range(0, mask.shape[1] - side + 1, side)]
    crops = [mask[y : y + side, x : x + side] for y, x in corners]
    return sorted(crops, key=lambda crop: -int(crop.sum()))[:count]


def losses(masks: np.ndarray, truncations: tuple[float, ...], angles: np.ndarray) -> dict[tuple[Any, ...], np.ndarray]:
    """The loss of each mask (errors + 1, H, W) against the first, summed over windows: shape (errors + 1,).

    By truncation, unmatched cost, window, slope, and the number of directions that it is averaged over.
    """
    distances = gpuph.truncated_distance_map(torch.from_numpy(masks)[:, None], max(truncations))
    found = {}
    for dmax in truncations:
        maps = distances.clamp(max=dmax)
        target = maps[:1].expand_as(maps)
        for unmatched in UNMATCHED:
            for name, window in WINDOWS.items():
                for slope in SLOPES:
                    counts = directions_of(dmax, slope)
                    rows = [_loss(maps, target, window, unmatched, slope, angle) for angle in angles[: max(counts)]]
                    for count in counts:
                        found[dmax, unmatched, name, slope, count] = np.mean(rows[:count], axis=0)
    return found


def directions_of(dmax: float, slope: float) -> tuple[int, ...]:
    """How many directions of g the loss is averaged over; thresholding has none."""
    return (1, MANY) if slope and dmax == SHOWN_DMAX else (1,)


def _loss(maps: Tensor, target: Tensor, window: int, unmatched: str, slope: float, angle: float) -> np.ndarray:
    height = gpuph.Linear((slope * np.sin(angle), slope * np.cos(angle))) if slope else None
    loss_fn = gpuph.LocalizedPHLoss(window=window, height=height, unmatched=unmatched, reduction="none")
    return loss_fn(maps, target).sum(1).numpy()


def summary(condition: tuple[Any, ...], changes: np.ndarray, kinds: np.ndarray) -> dict[str, Any]:
    """What the changes of the loss (errors of all runs,) come to."""
    dmax, unmatched, window, slope, directions = condition
    rounding = 1e-3 * float(np.abs(changes).mean())
    falls, same = changes < -rounding, np.abs(changes) <= rounding
    return {
        "dmax": dmax,
        "unmatched": unmatched,
        "window": window,
        "slope": slope,
        "directions": directions,
        "falls": round(float(falls.mean()), 4),
        "unchanged": round(float(same.mean()), 4),
        "falls_by_kind": {kind: round(float(falls[kinds == kind].mean()), 4) for kind in KINDS},
        "mean_change": round(float(changes.mean()), 3),
        "median_change": round(float(np.median(changes)), 3),
        "mean_change_by_kind": {kind: round(float(changes[kinds == kind].mean()), 3) for kind in KINDS},
        "deviation_of_change": round(float(changes.std(ddof=1)), 3),
    }


def text(rows: list[dict[str, Any]]) -> str:
    """How often the loss falls, one line a condition, one column a slope."""
    lines = ["how often the loss falls with an error; the paper: 0.4 by thresholding, 0.2 localized"]
    lines.append(f"{'unmatched':<14}{'window':<12}{'directions':<12}{'dmax':<6}" + "".join(f"{s:>8g}" for s in SLOPES))
    for unmatched in UNMATCHED:
        for window in WINDOWS:
            for dmax in sorted({row["dmax"] for row in rows}):
                for directions in directions_of(dmax, max(SLOPES)):
                    cells = series(rows, "falls", dmax, unmatched, window, directions)
                    head = f"{unmatched:<14}{window:<12}{directions:<12}{dmax:<6g}"
                    lines.append(head + "".join(f"{cell:>8.3f}" for cell in cells))
    return "\n".join(lines)


def series(
    rows: list[dict[str, Any]], name: str, dmax: float, unmatched: str, window: str, directions: int
) -> list[float]:
    """What a condition has under `name` for each slope; thresholding has no direction."""
    found = {(r["dmax"], r["unmatched"], r["window"], r["slope"], r["directions"]): r[name] for r in rows}
    return [found[dmax, unmatched, window, slope, directions if slope else 1] for slope in SLOPES]


def draw(path: Path, rows: list[dict[str, Any]], changes: dict[tuple[Any, ...], np.ndarray]) -> None:
    """Draw the distributions of the change, how often the loss falls by slope, and how much it rises on the whole."""
    figure = Figure(figsize=(10.5, 6.4), layout="constrained")
    (histogram, *first), (size, *second) = figure.subplots(2, 3)
    _draw_distributions(histogram, changes)
    labels = [f"{slope:g}" for slope in SLOPES]
    truncations = sorted({row["dmax"] for row in rows})
    conditions = [(window, unmatched) for unmatched in UNMATCHED for window in WINDOWS]
    for panel, (window, unmatched) in zip((*first, *second), conditions, strict=True):
        for i, dmax in enumerate(truncations):
            for directions, style in zip(directions_of(dmax, max(SLOPES)), ("-o", ":"), strict=False):
                shown = series(rows, "falls", dmax, unmatched, window, directions)
                panel.plot(labels, shown, style, color=f"C{i}", markersize=3)
        for height in PAPER.values():
            panel.axhline(height, color="0.7", linewidth=0.8, linestyle="--")
        panel.set(ylim=(0, 0.5), xlabel="slope (0: thresholding)", ylabel="share of errors that lower the loss")
        cost = "squared" if unmatched == "half_squared" else "distance"
        panel.set_title(f"{'windows of ' if window == '64' else ''}{window}, unmatched: {cost}", fontsize=9)
    for i, dmax in enumerate(truncations):
        for name, style in (("mean_change", "-o"), ("median_change", "--s")):
            shown = series(rows, name, dmax, "half_squared", "64", 1)
            label = f"dmax {dmax:g}" if name == "mean_change" else None
            size.plot(labels, np.array(shown) / shown[0], style, color=f"C{i}", markersize=3, label=label)
    size.set(ylim=(0, None), xlabel="slope (0: thresholding)", ylabel="change, share of thresholding's")
    size.set_title("the same: mean change, dashed median", fontsize=9)
    size.legend(fontsize=8)
    figure.supxlabel(
        "Dotted: the loss is the mean over several directions. Dashed: the paper's 0.4 and 0.2.", fontsize=9
    )
    figure.savefig(path, dpi=100)


def _draw_distributions(panel: Axes, changes: dict[tuple[Any, ...], np.ndarray]) -> None:
    shown = {slope: changes[SHOWN_DMAX, "half_squared", "64", slope, 1] for slope in SHOWN_SLOPES}
    limit = float(np.quantile(np.abs(shown[0.0]), 0.95))
    for slope, values in shown.items():
        label = f"slope {slope:g}" if slope else "thresholding"
        panel.hist(values.clip(-limit, limit), np.linspace(-limit, limit, 42).tolist(), histtype="step", label=label)
    panel.axvline(0, color="0.6", linewidth=0.8)
    panel.set(xlabel="change of the loss with one error", ylabel="errors")
    panel.set_title(f"windows of 64, unmatched: squared, dmax {SHOWN_DMAX:g}", fontsize=9)
    panel.legend(fontsize=8)
