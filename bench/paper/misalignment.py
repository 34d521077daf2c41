"""Which losses see an error where the roads of the prediction have moved?"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter
from torch import Tensor
from tqdm import tqdm

import gpuph
from bench.paper.errors import KINDS
from bench.paper.fig4 import richest_crops
from bench.speed.inputs import SLOPE, road_mask

SIDE, MARGIN = 256, 32  # of a crop and of what is moved around it, pixels
CROPS, QUICK_CROPS = 8, 1
MOVES = 4  # random displacements of a crop
ERRORS = 8  # of each kind, by displacement
DMAX = (5.0, 8.0, 12.0, 20.0)  # truncation, pixels
SHIFTS = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0)  # root mean square length of the displacement, pixels
SMOOTH = 24.0  # standard deviation of the Gaussian that smooths the displacement, pixels
LOSSES = ("MSE", "thresholding", "localized", "Betti matching")
WINDOWS = {"64": 64, "whole crop": SIDE}
MEASURES = {
    "raises": "share of errors that raise the loss",
    "signal": "signal: mean rise / its deviation",
    "misalignment_in_errors": "loss without errors / mean rise",
}


class Condition(NamedTuple):
    """A loss and what it is computed on."""

    loss: str
    window: str  # a key of WINDOWS
    dmax: float  # truncation of the distance maps, pixels
    shift: float  # pixels


def run(args: argparse.Namespace, figure: Path) -> dict[str, Any]:
    """Measure all conditions and draw the figure, and return the contents of its JSON file."""
    crops = richest_crops(road_mask()[0, 0].numpy(), SIDE + 2 * MARGIN, QUICK_CROPS if args.quick else CROPS)
    found: dict[Condition, list[np.ndarray]] = {}
    for place, move in tqdm([(i, j) for i in range(len(crops)) for j in range(MOVES)], unit="move", dynamic_ncols=True):
        for condition, losses in measure(crops[place], MARGIN, np.random.default_rng((args.seed, place, move))):
            found.setdefault(condition, []).append(losses)
    rows = [condition._asdict() | summary(np.stack(losses)) for condition, losses in found.items()]
    print(text(rows))
    draw(figure, rows)
    settings = {"crops": len(crops), "side": SIDE, "moves": MOVES, "errors": len(KINDS) * ERRORS, "smooth": SMOOTH}
    return {"settings": settings | {"slope": SLOPE, "seed": args.seed}, "conditions": rows}


def measure(mask: np.ndarray, margin: int, rng: np.random.Generator) -> Iterator[tuple[Condition, np.ndarray]]:
    """Yield the losses of the moved crop without errors and with one of 2 `ERRORS` errors each, by condition.

    The errors and the direction of the displacement are the same in all conditions. `mask` is the crop with `margin`
    pixels around it, from where roads move in.
    """
    masks = np.stack([mask, *with_errors(mask, margin, rng)])
    field = displacement(mask.shape, rng)
    draws = int(rng.integers(2**31))
    target = _crop(distances(mask[None]), margin)
    for shift in SHIFTS:
        moved = np.stack([displace(one, shift * field) for one in masks])
        pred = _crop(distances(moved), margin)
        for dmax in DMAX:
            maps, truth = pred.clamp(max=dmax), target.clamp(max=dmax).expand_as(pred)
            yield Condition("MSE", "whole crop", dmax, shift), ((maps - truth) ** 2).mean((1, 2, 3)).numpy()
            for window in WINDOWS:
                for loss, loss_fn in topological(window, draws).items():
                    yield Condition(loss, window, dmax, shift), loss_fn(maps, truth).sum(1).numpy()


def topological(window: str, seed: int) -> dict[str, gpuph.LocalizedPHLoss]:
    """Return the losses that return one value per window."""
    # One direction for the whole batch, so that losses with and without an error differ by the error alone.
    height, generator = gpuph.RandomLinear(SLOPE, per_window=False), torch.Generator().manual_seed(seed)
    size = WINDOWS[window]
    return {
        "thresholding": gpuph.DistancePHLoss(window=size, reduction="none"),
        "localized": gpuph.LocalizedPHLoss(window=size, height=height, generator=generator, reduction="none"),
        "Betti matching": gpuph.BettiMatchingLoss(window=size, reduction="none"),
    }


def with_errors(mask: np.ndarray, margin: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield the mask with one error each inside its margin: first breaks, then false connections."""
    inside = (slice(margin, mask.shape[0] - margin), slice(margin, mask.shape[1] - margin))
    for inject in KINDS.values():
        for _ in range(ERRORS):
            wrong = mask.copy()
            wrong[inside] = inject(mask[inside], rng)
            yield wrong


def displacement(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Return a smooth random displacement (2, H, W) whose root mean square length is 1."""
    field = gaussian_filter(rng.standard_normal((2, *shape)), (0, SMOOTH, SMOOTH), mode="reflect")
    return np.asarray(field / np.sqrt((field**2).sum(0).mean()))


def displace(mask: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Move lines by a displacement (2, H, W), in pixels. Neighbours stay connected, and what leaves the mask is lost.

    Neighbours may move apart by less than half a pixel along an axis.
    """
    places = np.argwhere(mask)
    moved = [places + field[:, mask].T]
    for step in ((0, 1), (1, 0), (1, 1), (1, -1)):
        others = places + step
        inside = ((others >= 0) & (others < mask.shape)).all(1)
        starts, ends = places[inside], others[inside]
        joined = mask[tuple(ends.T)]
        start, end = (x[joined] + field[:, x[joined, 0], x[joined, 1]].T for x in (starts, ends))
        moved += [start + part * (end - start) for part in (1 / 3, 2 / 3)]
    pixels = np.round(np.concatenate(moved)).astype(int)
    pixels = pixels[((pixels >= 0) & (pixels < mask.shape)).all(1)]
    result = np.zeros_like(mask)
    result[tuple(pixels.T)] = True
    return result


def distances(masks: np.ndarray) -> Tensor:
    """Return the distance maps (N, 1, H, W) of masks (N, H, W), with the largest truncation."""
    return gpuph.truncated_distance_map(torch.from_numpy(masks)[:, None], max(DMAX))


def _crop(maps: Tensor, margin: int) -> Tensor:
    height, width = maps.shape[2:]
    return maps[..., margin : height - margin, margin : width - margin].contiguous()


def summary(losses: np.ndarray) -> dict[str, Any]:
    """Summarise losses, shape (moves, 1 + errors): without an error, then with one break or false connection each."""
    rises = losses[:, 1:] - losses[:, :1]
    rounding = 1e-3 * float(np.abs(rises).mean())
    raises, mean, deviation = rises > rounding, float(rises.mean()), float(rises.std(ddof=1))
    alone = float(losses[:, 0].mean())
    kinds = dict(zip(KINDS, np.split(np.arange(rises.shape[1]), len(KINDS)), strict=True))
    return {
        "raises": round(float(raises.mean()), 4),
        "raises_by_kind": {kind: round(float(raises[:, i].mean()), 4) for kind, i in kinds.items()},
        "signal": round(mean / deviation, 3),
        "misalignment_in_errors": round(alone / mean, 3) if mean > 0 else None,
        "loss_without_errors": _rounded(alone),
        "mean_rise": _rounded(mean),
        "mean_rise_by_kind": {kind: _rounded(float(rises[:, i].mean())) for kind, i in kinds.items()},
        "deviation_of_rise": _rounded(deviation),
    }


def _rounded(x: float) -> float:
    return float(f"{x:.4g}")


def text(rows: list[dict[str, Any]]) -> str:
    """Format the measures: one line per loss, window and truncation, one column per shift."""
    lines = []
    for measure, title in MEASURES.items():
        lines.append(f"{title}, by shift")
        lines.append(" " * 34 + "".join(f"{shift:>9g}" for shift in SHIFTS))
        for dmax in DMAX:
            for loss, window in _series():
                cells = series(rows, measure, loss, window, dmax)
                lines.append(f"{loss:<16}{window:<12}{dmax:<6g}" + "".join(f"{cell:>9.3f}" for cell in cells))
    return "\n".join(lines)


def _series() -> list[tuple[str, str]]:
    """Return the losses and windows that are compared. The mean squared error does not depend on windows."""
    return [(loss, window) for loss in LOSSES for window in WINDOWS if loss != "MSE" or window == "whole crop"]


def series(rows: list[dict[str, Any]], measure: str, loss: str, window: str, dmax: float) -> list[float]:
    """Return a measure for each shift; NaN where it is undefined."""
    found = {
        row["shift"]: row[measure] for row in rows if (row["loss"], row["window"], row["dmax"]) == (loss, window, dmax)
    }
    return [float("nan") if found[shift] is None else found[shift] for shift in SHIFTS]


def draw(path: Path, rows: list[dict[str, Any]]) -> None:
    """Draw the measures by shift: one row of panels per measure, one column per truncation."""
    figure = Figure(figsize=(10.5, 7.6), layout="constrained")
    for measure, panels in zip(MEASURES, figure.subplots(len(MEASURES), len(DMAX), sharey="row"), strict=True):
        for dmax, panel in zip(DMAX, panels, strict=True):
            _draw_measure(panel, rows, measure, dmax)
        panels[0].set_ylabel(MEASURES[measure], fontsize=8)
    panel.legend(fontsize=7)
    figure.supxlabel("shift, pixels. Solid: windows of 64 (MSE: all pixels). Dashed: whole crop.", fontsize=9)
    figure.savefig(path, dpi=100)


def _draw_measure(panel: Axes, rows: list[dict[str, Any]], measure: str, dmax: float) -> None:
    for loss, window in _series():
        solid = window == "64" or loss == "MSE"
        values = np.array(series(rows, measure, loss, window, dmax))
        label = loss if solid else None
        panel.plot(SHIFTS, values, "-o" if solid else "--", color=f"C{LOSSES.index(loss)}", markersize=3, label=label)
    if measure == "raises":
        panel.set_title(f"dmax {dmax:g}", fontsize=9)
        panel.axhline(0.5, color="0.7", linewidth=0.8)
        panel.set(ylim=(0, 1.02))
    elif measure == "misalignment_in_errors":
        panel.set_yscale("symlog", linthresh=1.0)
        panel.set(ylim=(0, 60))
    else:
        panel.axhline(0, color="0.7", linewidth=0.8)
    panel.tick_params(labelsize=8)
