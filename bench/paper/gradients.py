"""Gradients of the losses on distance maps after the warm-up: their length, their steadiness, and where they pull."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import cosine_similarity, mse_loss
from tqdm import tqdm

import gpuph
from bench.paper.harness import Harness
from bench.paper.methods import MeanOfDraws
from bench.paper.tables import plan_of
from bench.train.crops import WINDOW
from bench.train.evaluation import THRESHOLD
from bench.train.network import Branch, Loss

RANK = 2
BATCHES, QUICK_BATCHES = 40, 2
DRAWS = 8
CENTRE, FAR = 2.0, 2 * THRESHOLD[RANK]  # pixels with true distances below or above are on a road, or far from roads
NUMBERS = ("length", "agreement", "with_mse")
PLACES = ("missed roads", "found roads", "false roads", "elsewhere")


def terms() -> dict[str, Callable[[torch.Generator], Loss]]:
    """Return the losses to compare, each as a function of the generator of its random draws."""
    window = WINDOW[RANK]

    def localized(slope: float, unmatched: str, generator: torch.Generator) -> gpuph.LocalizedPHLoss:
        height = gpuph.RandomLinear(slope)
        return gpuph.LocalizedPHLoss(window=window, height=height, unmatched=unmatched, generator=generator)

    default = gpuph.RandomLinear().slope
    found: dict[str, Callable[[torch.Generator], Loss]] = {"Homo-Reg": lambda _: gpuph.DistancePHLoss(window=window)}
    for slope in (0.1, 0.2, 0.4, 0.8):
        found[f"Homo-Ours, slope {slope:g}"] = partial(localized, slope, "half_squared")
    found[f"Homo-Ours, {DRAWS} draws"] = lambda g: MeanOfDraws(localized(default, "half_squared", g), DRAWS)
    found["Homo-Reg, distance"] = lambda _: gpuph.DistancePHLoss(window=window, unmatched="distance")
    found["Homo-Ours, distance"] = partial(localized, default, "distance")
    return found


def run(args: argparse.Namespace, figure: Path) -> dict[str, Any]:
    """Measure all terms and draw the figure, and return the contents of its JSON file."""
    plan = plan_of(args)
    harness, batches = Harness(plan, args.work), QUICK_BATCHES if args.quick else BATCHES
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in terms()}
    for seed in plan.seeds:
        branch, crops = harness.start("distance", seed), harness.of(seed).crops
        numbers = range(plan.warmup, plan.warmup + batches)
        for name, of_batches in measured(branch, map(crops.batch, numbers), seed).items():
            found[name] += of_batches
    rows = {name: summary(of_batches) for name, of_batches in found.items()}
    print(text(rows))
    draw(figure, rows)
    settings = {"data": plan.data, "preset": plan.preset, "warmup": plan.warmup, "seeds": list(plan.seeds)}
    return {"settings": settings | {"rows": plan.rows, "batches": batches}, "terms": rows}


def measured(branch: Branch, batches: Iterable[tuple[Tensor, Tensor]], seed: int) -> dict[str, list[dict[str, Any]]]:
    """Measure each term on each batch of images (B, C, H, W) and true distance maps (B, 1, H, W), for `summary`."""
    device = next(branch.net.parameters()).device
    made = {
        name: [make(torch.Generator(device).manual_seed(2 * seed + i)) for i in range(2)]
        for name, make in terms().items()
    }
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in made}
    branch.net.train()
    for images, target in tqdm(batches, unit="batch", leave=False, dynamic_ncols=True):
        pred = branch.net(images)
        base, _ = gradients(branch, pred, target, mse_loss)
        for name, (one, other) in made.items():
            weights, pixels = gradients(branch, pred, target, one)
            again, _ = gradients(branch, pred, target, other)
            rows[name].append(
                {
                    "length": float(weights.norm() / base.norm()),
                    "agreement": float(cosine_similarity(weights, again, 0)),
                    "with_mse": float(cosine_similarity(weights, base, 0)),
                    **by_place(pixels, pred.detach(), target),
                }
            )
    return rows


def gradients(branch: Branch, pred: Tensor, target: Tensor, loss: Loss) -> tuple[Tensor, Tensor]:
    """Return the gradient of a loss in the network's parameters, as one vector, and in the prediction (B, 1, H, W)."""
    leaf = pred.detach().requires_grad_()
    (pixels,) = torch.autograd.grad(loss(leaf, target), leaf)
    weights = torch.autograd.grad(pred, list(branch.net.parameters()), pixels, retain_graph=True)
    return torch.cat([part.flatten() for part in weights]), pixels


def by_place(gradient: Tensor, pred: Tensor, target: Tensor) -> dict[str, list[float]]:
    """Return, for each of `PLACES`, the pixels, the gradient's absolute sum, and the part of it towards the truth.

    Parameters
    ----------
    gradient, pred, target : Tensor, shape (B, 1, H, W)
    """
    cut = THRESHOLD[RANK]
    on = [(target < CENTRE) & (pred >= cut), (target < CENTRE) & (pred < cut), (target > FAR) & (pred < cut)]
    on.append(~torch.stack(on).any(0))
    size, right = gradient.abs(), gradient * (pred - target) > 0
    return {
        "pixels": [float(place.sum()) for place in on],
        "pull": [float(size[place].sum()) for place in on],
        "right": [float(size[place & right].sum()) for place in on],
    }


def summary(of_batches: list[dict[str, Any]]) -> dict[str, Any]:
    """Return means over the batches, and for each place its share of the pixels and of the pull, and what is right."""
    means = {key: round(float(np.mean([row[key] for row in of_batches])), 4) for key in NUMBERS}
    pixels, pull, right = (np.sum([row[key] for row in of_batches], 0) for key in ("pixels", "pull", "right"))
    places = {
        place: {
            "pixels": round(float(pixels[i] / pixels.sum()), 5),
            "pull": round(float(pull[i] / pull.sum()), 5) if pull.sum() else None,
            "towards_truth": round(float(right[i] / pull[i]), 4) if pull[i] else None,
        }
        for i, place in enumerate(PLACES)
    }
    return means | {"places": places}


def text(rows: dict[str, dict[str, Any]]) -> str:
    """Format the table, one line per term."""
    width = max(map(len, rows)) + 2
    lines = [" " * width + "length  agreement  with MSE" + "".join(f"{place:>22}" for place in PLACES)]
    for name, row in rows.items():
        shown = [(place["pull"] or 0, place["towards_truth"]) for place in row["places"].values()]
        cells = "".join(
            ("none" if right is None else f"{pull:.1%}, right {right:.0%}").rjust(22) for pull, right in shown
        )
        lines.append(f"{name:<{width}}{row['length']:>6.2f}{row['agreement']:>11.2f}{row['with_mse']:>10.2f}{cells}")
    lines.append(
        "length: of the gradient in the network's parameters, relative to MSE's; agreement: cosine between two draws;"
        " with MSE: cosine; then the share of the pull at each place, and how much of it is towards the truth"
    )
    return "\n".join(lines)


def draw(path: Path, rows: dict[str, dict[str, Any]]) -> None:
    """Draw lengths, agreements, and the share that is right by place."""
    figure = Figure(figsize=(10.5, 3.6), layout="constrained")
    first, second, third = figure.subplots(1, 3, sharey=True)
    places = np.arange(len(rows))[::-1]
    first.barh(places, [row["length"] for row in rows.values()], color="tab:blue")
    first.set_title("length, relative to MSE's", fontsize=9)
    first.set_yticks(places, list(rows))
    second.barh(places, [row["agreement"] for row in rows.values()], color="tab:blue")
    second.set_title("agreement of two draws, cosine", fontsize=9)
    for place, colour in zip(PLACES, ("tab:red", "0.3", "tab:blue", "0.8"), strict=True):
        right = [row["places"][place]["towards_truth"] for row in rows.values()]
        right = [np.nan if share is None else share for share in right]
        third.plot(right, places, "o", color=colour, label=place)
    third.axvline(0.5, color="0.7", linewidth=0.8, linestyle="--")
    third.set_title("share that pulls towards the truth", fontsize=9)
    third.legend(fontsize=8)
    figure.savefig(path, dpi=100)
