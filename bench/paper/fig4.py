"""Figure 4: errors are injected one after another into true distance maps, and each should raise the loss."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from torch import Tensor
from tqdm import tqdm

import gpuph
from bench.paper.errors import KINDS, inject
from bench.speed.inputs import road_mask

SIDE = 384  # of a crop, pixels
CROPS, ERRORS, RUNS, QUICK_RUNS = 2, 30, 10, 2
SLOPES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)  # of the height function, per pixel; 0 is thresholding alone
DMAX = (5.0, 8.0, 10.0, 12.0, 15.0, 20.0, 30.0)  # truncation, pixels
QUICK_DMAX = (20.0,)
UNMATCHED = ("half_squared", "distance")
WINDOWS = {"64": 64, "whole crop": SIDE}
MANY = 8  # directions of the height function that the loss is averaged over, besides one, for SHOWN_DMAX
PIXELS = (1.0, 0.6)  # size of a pixel, metres: that of the tables, and that of the paper's crops of RTracer
REDUCED = 0.2  # the slope whose share of falls is compared with that of thresholding
PAPER = {"thresholding": 0.4, "localized": 0.2}  # share of errors that lower the loss in the paper
SHOWN_DMAX, SHOWN_SLOPES = 20.0, (0.0, 0.2, 0.8)  # whose distributions are drawn


class Condition(NamedTuple):
    """The settings of one loss."""

    dmax: float  # truncation of the distance maps, pixels
    unmatched: str  # cost of unmatched points
    window: str  # a key of WINDOWS
    slope: float  # of the height function, per pixel
    directions: int  # of the height function, that the loss is averaged over
    matching: str = "optimal"  # or "Betti", which has no height function and half squared costs
    pixel: float = PIXELS[0]  # metres


def run(args: argparse.Namespace, figure: Path) -> dict[str, Any]:
    """Measure all conditions and draw the figure, and return the contents of its JSON file."""
    runs, truncations = (QUICK_RUNS, QUICK_DMAX) if args.quick else (RUNS, DMAX)
    by_run: dict[Condition, list[np.ndarray]] = {}
    kinds: dict[float, list[str]] = {pixel: [] for pixel in PIXELS}
    crops = {pixel: richest_crops(road_mask(pixel)[0, 0].numpy(), SIDE, CROPS) for pixel in PIXELS}
    every = [(pixel, i, j) for pixel in PIXELS for i in range(CROPS) for j in range(runs)]
    for pixel, place, seed in tqdm(every, unit="run", dynamic_ncols=True):
        rng = np.random.default_rng((args.seed, place, seed))
        masks, injected = inject(crops[pixel][place], ERRORS, rng)
        kinds[pixel] += injected
        angles = rng.uniform(0, 2 * np.pi, MANY)
        for condition, values in losses(masks, truncations, angles).items():
            by_run.setdefault(condition._replace(pixel=pixel), []).append(values)
    rows = [summary(condition, found, np.array(kinds[condition.pixel])) for condition, found in by_run.items()]
    for pixel in PIXELS:
        print(f"{pixel:g} m a pixel")
        print(text(of_pixel(rows, pixel)))
    draw(figure, rows, {condition: np.diff(found).ravel() for condition, found in by_run.items()})
    settings = {"crops": CROPS, "side": SIDE, "runs": runs, "errors": ERRORS, "seed": args.seed}
    return {"settings": settings, "paper": PAPER, "conditions": rows, "reductions": reductions(rows)}


def richest_crops(mask: np.ndarray, side: int, count: int) -> list[np.ndarray]:
    """Return the `count` crops with the most pixels on roads, on a grid of `side` pixels."""
    height, width = mask.shape
    corners = [(y, x) for y in range(0, height - side + 1, side) for x in range(0, width - side + 1, side)]
    crops = [mask[y : y + side, x : x + side] for y, x in corners]
    return sorted(crops, key=lambda crop: -int(crop.sum()))[:count]


def losses(masks: np.ndarray, truncations: tuple[float, ...], angles: np.ndarray) -> dict[Condition, np.ndarray]:
    """Return the loss of each mask (errors + 1, H, W) against the first one, summed over windows, by condition."""
    distances = gpuph.truncated_distance_map(torch.from_numpy(masks)[:, None], max(truncations))
    found = {}
    for dmax in truncations:
        maps = distances.clamp(max=dmax)
        for unmatched in UNMATCHED:
            for window in WINDOWS:
                for slope in SLOPES:
                    counts = directions_of(dmax, slope)
                    condition = Condition(dmax, unmatched, window, slope, directions=1)
                    rows = [_loss(maps, condition, angle) for angle in angles[: max(counts)]]
                    for count in counts:
                        found[condition._replace(directions=count)] = np.mean(rows[:count], axis=0)
        for window in WINDOWS:
            condition = betti(dmax, window)
            found[condition] = _loss(maps, condition, 0.0)
    return found


def betti(dmax: float, window: str) -> Condition:
    """Return the condition of Betti matching."""
    return Condition(dmax, "half_squared", window, slope=0.0, directions=1, matching="Betti")


def directions_of(dmax: float, slope: float) -> tuple[int, ...]:
    """Return the numbers of directions that the loss is averaged over. Thresholding has no direction."""
    return (1, MANY) if slope and dmax == SHOWN_DMAX else (1,)


def _loss(maps: Tensor, condition: Condition, angle: float) -> np.ndarray:
    """Return the loss of each map against the first one, with one direction of the height function."""
    slope, window = condition.slope, WINDOWS[condition.window]
    height = gpuph.Linear((slope * np.sin(angle), slope * np.cos(angle))) if slope else None
    if condition.matching == "Betti":
        loss_fn: gpuph.LocalizedPHLoss = gpuph.BettiMatchingLoss(window=window, reduction="none")
    else:
        loss_fn = gpuph.LocalizedPHLoss(window=window, height=height, unmatched=condition.unmatched, reduction="none")
    by_window: Tensor = loss_fn(maps, maps[:1].expand_as(maps))
    return by_window.sum(1).numpy()


def summary(condition: Condition, found: list[np.ndarray], kinds: np.ndarray) -> dict[str, Any]:
    """Summarise the losses of each run, shape (errors + 1,), given the kinds of all errors, shape (runs * errors,)."""
    changes = np.diff(found).ravel()
    rounding = 1e-3 * float(np.abs(changes).mean())
    falls, same = changes < -rounding, np.abs(changes) <= rounding
    return condition._asdict() | {
        "falls": round(float(falls.mean()), 4),
        "unchanged": round(float(same.mean()), 4),
        "correlation": correlation(found),
        "falls_by_kind": {kind: round(float(falls[kinds == kind].mean()), 4) for kind in KINDS},
        "mean_change": round(float(changes.mean()), 3),
        "median_change": round(float(np.median(changes)), 3),
        "mean_change_by_kind": {kind: round(float(changes[kinds == kind].mean()), 3) for kind in KINDS},
        "deviation_of_change": round(float(changes.std(ddof=1)), 3),
    }


def of_pixel(rows: list[dict[str, Any]], pixel: float) -> list[dict[str, Any]]:
    """Return the results for one pixel size, labelled with the default size, so that conditions need not name it."""
    return [row | {"pixel": PIXELS[0]} for row in rows if row["pixel"] == pixel]


def correlation(found: list[np.ndarray]) -> float | None:
    """Return the mean correlation of the loss with the number of errors over runs, or None if a loss is constant."""
    if any(np.ptp(values) == 0 for values in found):
        return None
    return round(float(np.mean([np.corrcoef(values, np.arange(len(values)))[0, 1] for values in found])), 4)


def reductions(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return how many times as often the loss falls with thresholding as with the slope `REDUCED`, by condition."""
    found = []
    for row in rows:
        if row["slope"] != 0 or row["matching"] != "optimal":
            continue
        condition = Condition(*(row[field] for field in Condition._fields))
        falls = value(rows, "falls", condition._replace(slope=REDUCED))
        times = round(row["falls"] / falls, 3) if falls else None
        where = {name: row[name] for name in ("pixel", "unmatched", "window", "dmax")}
        found.append(where | {"thresholding": row["falls"], "localized": falls, "times": times})
    return found


def text(rows: list[dict[str, Any]]) -> str:
    """Format the shares of errors that lower the loss: one line per condition, one column per slope."""
    lines = ["share of errors that lower the loss; in the paper 0.4 with thresholding alone, 0.2 localized"]
    lines.append(
        f"{'unmatched':<14}{'window':<12}{'directions':<12}{'dmax':<6}"
        + "".join(f"{s:>8g}" for s in SLOPES)
        + f"{'Betti':>8}"
    )
    for unmatched in UNMATCHED:
        for window in WINDOWS:
            for dmax in sorted({row["dmax"] for row in rows}):
                for directions in directions_of(dmax, max(SLOPES)):
                    cells = series(rows, "falls", Condition(dmax, unmatched, window, max(SLOPES), directions))
                    head = f"{unmatched:<14}{window:<12}{directions:<12}{dmax:<6g}"
                    if unmatched == "half_squared" and directions == 1:
                        cells.append(value(rows, "falls", betti(dmax, window)))
                    lines.append(head + "".join(f"{cell:>8.3f}" for cell in cells))
    return "\n".join(lines)


def series(rows: list[dict[str, Any]], name: str, condition: Condition) -> list[float]:
    """Return the value `name` of a condition for each slope in place of its own."""
    conditions = [condition._replace(slope=slope, directions=condition.directions if slope else 1) for slope in SLOPES]
    return [value(rows, name, condition) for condition in conditions]


def value(rows: list[dict[str, Any]], name: str, condition: Condition) -> float:
    """Return the value `name` of a condition."""
    (found,) = (row[name] for row in rows if Condition(*(row[field] for field in Condition._fields)) == condition)
    return float(found)


def draw(path: Path, rows: list[dict[str, Any]], changes: dict[Condition, np.ndarray]) -> None:
    """Draw distributions of the change, and by slope the share of falls and the size of the change, by pixel size."""
    figure = Figure(figsize=(10.5, 6.4 * len(PIXELS)), layout="constrained")
    for pixel, part in zip(PIXELS, figure.subfigures(len(PIXELS), 1, squeeze=False).flat, strict=True):
        part.suptitle(f"{pixel:g} m a pixel", fontsize=10)
        here = {condition._replace(pixel=PIXELS[0]): x for condition, x in changes.items() if condition.pixel == pixel}
        _draw_pixel(part, of_pixel(rows, pixel), here)
    figure.savefig(path, dpi=100)


def _draw_pixel(figure: SubFigure, rows: list[dict[str, Any]], changes: dict[Condition, np.ndarray]) -> None:
    (histogram, *first), (size, *second) = figure.subplots(2, 3)
    _draw_distributions(histogram, changes)
    truncations = sorted({row["dmax"] for row in rows})
    conditions = [(window, unmatched) for unmatched in UNMATCHED for window in WINDOWS]
    for panel, (window, unmatched) in zip((*first, *second), conditions, strict=True):
        _draw_falls(panel, rows, truncations, window, unmatched)
    labels = [f"{slope:g}" for slope in SLOPES]
    for i, dmax in enumerate(truncations):
        for name, style in (("mean_change", "-o"), ("median_change", "--s")):
            shown = series(rows, name, Condition(dmax, "half_squared", "64", max(SLOPES), directions=1))
            label = f"dmax {dmax:g}" if name == "mean_change" else None
            size.plot(labels, np.array(shown) / shown[0], style, color=f"C{i}", markersize=3, label=label)
            matched = value(rows, name, betti(dmax, "64")) / shown[0]
            size.plot(["Betti"], [matched], "D" if label else "d", color=f"C{i}", markersize=4, fillstyle="none")
    size.set(ylim=(0, None), xlabel="slope (0: thresholding)", ylabel="change, relative to thresholding")
    size.set_title("the same: mean change, dashed median", fontsize=9)
    size.legend(fontsize=7, ncols=2)
    figure.supxlabel(
        "Dotted: mean of the loss over several directions. Diamonds: Betti matching. Dashed: the paper's 0.4 and 0.2.",
        fontsize=9,
    )


def _draw_falls(panel: Axes, rows: list[dict[str, Any]], truncations: list[float], window: str, unmatched: str) -> None:
    labels = [f"{slope:g}" for slope in SLOPES]
    for i, dmax in enumerate(truncations):
        for directions, style in zip(directions_of(dmax, max(SLOPES)), ("-o", ":"), strict=False):
            shown = series(rows, "falls", Condition(dmax, unmatched, window, max(SLOPES), directions))
            panel.plot(labels, shown, style, color=f"C{i}", markersize=3)
        if unmatched == "half_squared":
            panel.plot(["Betti"], [value(rows, "falls", betti(dmax, window))], "D", color=f"C{i}", markersize=4)
    for share in PAPER.values():
        panel.axhline(share, color="0.7", linewidth=0.8, linestyle="--")
    panel.set(ylim=(0, 0.5), xlabel="slope (0: thresholding)", ylabel="share of errors that lower the loss")
    cost = "squared" if unmatched == "half_squared" else "distance"
    panel.set_title(f"{'windows of ' if window == '64' else ''}{window}, unmatched: {cost}", fontsize=9)


def _draw_distributions(panel: Axes, changes: dict[Condition, np.ndarray]) -> None:
    slopes = {f"slope {s:g}" if s else "thresholding": s for s in SHOWN_SLOPES}
    of = {label: Condition(SHOWN_DMAX, "half_squared", "64", slope, directions=1) for label, slope in slopes.items()}
    shown = {label: changes[condition] for label, condition in (of | {"Betti": betti(SHOWN_DMAX, "64")}).items()}
    limit = float(np.quantile(np.abs(shown["thresholding"]), 0.95))
    for label, values in shown.items():
        panel.hist(values.clip(-limit, limit), np.linspace(-limit, limit, 42).tolist(), histtype="step", label=label)
    panel.axvline(0, color="0.6", linewidth=0.8)
    panel.set(xlabel="change of the loss with one error", ylabel="errors")
    panel.set_title(f"windows of 64, unmatched: squared, dmax {SHOWN_DMAX:g}", fontsize=9)
    panel.legend(fontsize=8)
