"""Tables of the paper and of ours: networks that differ in the loss alone, by five metrics, with several seeds."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from bench.paper.harness import CHOOSING, Harness, Plan
from bench.paper.methods import (
    Method,
    by_decoys,
    by_height,
    by_steadiness,
    by_weight,
    by_window,
    lines_of,
    main_table,
    thresholds,
)
from bench.paper.scores import HIGHER_IS_BETTER, MEANING
from bench.train.figure import richest_crop
from bench.train.network import PRESETS

TABLES: dict[str, tuple[str, str, Callable[[int], dict[str, Method]]]] = {
    "table1": ("roads", "Methods, images", main_table),
    "table3": ("neurons", "Methods, volumes", main_table),
    "table5": ("roads", "Weight of the loss, with and without heights", by_weight),
    "table6": ("roads", "Window of the localized loss, pixels", by_window),
    "table7": ("roads", "Height function of the localized loss", by_height),
    "steadiness": ("roads", "The localized loss, as steady and as strong as the one without heights", by_steadiness),
    "decoys": ("roads and decoys", "The localized loss where tracks look like roads", by_decoys),
    "few_decoys": ("roads and few decoys", "The localized loss where few tracks look like roads", by_decoys),
}
DATA = {name: data for name, (data, _, _) in TABLES.items()} | {
    "gradients": "roads",
    "decoys_gradients": "roads and decoys",
    "few_decoys_gradients": "roads and few decoys",
}
SEEDS = 3
QUICK_STEPS = {2: 200, 3: 30}  # of warm-up and method, by the number of axes
QUICK_ROWS = 64  # of neurons


def plan_of(args: argparse.Namespace) -> Plan:
    """What is trained, from the command line."""
    data = "folder" if args.images is not None else DATA[args.name]
    rank = 3 if data == "neurons" else 2
    preset, quick = PRESETS["small"][rank], QUICK_STEPS[rank]
    return Plan(
        data=data,
        warmup=args.warmup if args.warmup is not None else quick if args.quick else preset.warmup,
        steps=args.steps if args.steps is not None else quick if args.quick else preset.steps,
        seeds=tuple(range(args.seed, args.seed + (args.seeds or (1 if args.quick else SEEDS)))),
        rows=QUICK_ROWS if args.quick and args.rows is None and data == "neurons" else args.rows,
        images=None if args.images is None else str(args.images),
        masks=None if args.masks is None else str(args.masks),
        held_out=args.held_out,
        device=args.device,
    )


def run(args: argparse.Namespace, figure: Path) -> dict[str, Any]:
    """Train, score and draw a table; returns what goes into its JSON."""
    _, title, make = TABLES[args.name]
    plan = plan_of(args)
    harness, methods = Harness(plan, args.work), make(plan.rank)
    scores, chosen = harness.run(methods), harness.choose(methods)
    rows = {}
    for name, found in scores.items():
        method = methods[name]
        cut, *others = (f"{threshold:g}" for threshold in thresholds(method.predicts, plan.rank))
        rows[name] = {"loss": str(method), "predicts": method.predicts, "threshold": cut}
        rows[name]["scores"] = summary([by_threshold[cut] for by_threshold in found])
        rows[name]["other_thresholds"] = {
            other: {m: s["mean"] for m, s in summary([by_threshold[other] for by_threshold in found]).items()}
            for other in others
        }
        rows[name]["cut_chosen_by"] = {
            metric: {
                "cuts": [by[metric]["cut"] for by in chosen[name]],
                "scores": summary([by[metric]["scores"] for by in chosen[name]]),
            }
            for metric in CHOOSING
        }
    print(text(rows))
    for metric in CHOOSING:
        print(f"The same, cut where {metric} is best on the training scenes:")
        print(text({name: row["cut_chosen_by"][metric] for name, row in rows.items()}))
    print("; ".join(f"{name}: {MEANING[name]}" for name in HIGHER_IS_BETTER) + ".")
    draw(figure, title, rows, harness, methods)
    settings = {"data": plan.data, "preset": plan.preset, "warmup": plan.warmup, "steps": plan.steps}
    return {"settings": settings | {"seeds": list(plan.seeds), "rows": plan.rows}, "methods": rows} | {
        "minutes": round(harness.seconds / 60, 1)
    }


def summary(scores: list[dict[str, float]]) -> dict[str, dict[str, Any]]:
    """Mean and sample deviation over the seeds of each metric; one seed has no deviation."""
    found = {}
    for name in HIGHER_IS_BETTER:
        values = [round(score[name], 4) for score in scores]
        deviation = round(statistics.stdev(values), 4) if len(values) > 1 else None
        found[name] = {"mean": round(statistics.mean(values), 4), "deviation": deviation, "values": values}
    return found


def text(rows: dict[str, Any]) -> str:
    """The table, one method a line."""
    width = max(map(len, rows)) + 2
    lines = [" " * width + "".join(f"{name:>16}" for name in HIGHER_IS_BETTER)]
    for name, row in rows.items():
        cells = []
        for metric in row["scores"].values():
            deviation = "" if metric["deviation"] is None else f" ± {metric['deviation']:.3f}"
            cells.append(f"{metric['mean']:.3f}{deviation}".rjust(16))
        lines.append(f"{name:<{width}}" + "".join(cells))
    return "\n".join(lines)


def draw(path: Path, title: str, rows: dict[str, Any], harness: Harness, methods: dict[str, Method]) -> None:
    """Draw the metrics of all methods, and below what each found in a crop of the first seed's held-out scene."""
    seed = harness.plan.seeds[0]
    data, rank = harness.of(seed), harness.plan.rank
    shown = len(methods) + 2
    columns = -(-shown // 2) if shown > 5 else shown
    figure = Figure(figsize=(10.5, 7.0), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(0.45, 0.55))
    above.suptitle(title)
    _draw_metrics(above, rows)

    panels = list(below.subplots(-(-shown // columns), columns, squeeze=False).flat)
    crop = richest_crop(data.targets[0])
    image = data.held_out[0].image[(slice(None), *crop)]
    true = lines_of(data.targets[0], "distance", rank).numpy()[crop]
    panels[0].imshow((image.max(1) if rank == 3 else image).transpose(1, 2, 0).clip(0, 1).squeeze(), cmap="gray")
    panels[0].set_title("image", fontsize=9)
    panels[1].imshow(_errors(true, true))
    panels[1].set_title("truth", fontsize=9)
    for panel, (name, method) in zip(panels[2:shown], methods.items(), strict=True):
        panel.imshow(_errors(harness.kept_lines(method, seed)[crop], true))
        panel.set_title(name, fontsize=8)
    for panel in panels:
        panel.set(xticks=[], yticks=[])
        panel.set_visible(panel.get_title() != "")
    below.supxlabel("Black: found. Red: missed. Blue: false.", fontsize=9)
    figure.savefig(path, dpi=100)


def _draw_metrics(figure: Any, rows: dict[str, Any]) -> None:
    places = np.arange(len(rows))[::-1]
    for panel, (metric, higher) in zip(
        figure.subplots(1, len(HIGHER_IS_BETTER), sharey=True), HIGHER_IS_BETTER.items(), strict=True
    ):
        for place, row in zip(places, rows.values(), strict=True):
            found = row["scores"][metric]
            panel.plot(found["values"], [place] * len(found["values"]), ".", color="0.7", zorder=1)
            panel.errorbar(found["mean"], place, xerr=found["deviation"], fmt="o", color="tab:blue", capsize=3)
        panel.set_title(f"{metric}, {'higher' if higher else 'lower'} is better", fontsize=9)
        panel.set_yticks(places, list(rows))
        panel.grid(axis="x", alpha=0.3)
        panel.tick_params(labelsize=8)


def _errors(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Colours (H, W, 3) of lines found, missed and false; of volumes, projected along the first axis."""
    if found.ndim == 3:
        found, true = found.any(0), true.any(0)
    colours = np.ones((*found.shape, 3))
    colours[found & true] = (0.15, 0.15, 0.15)
    colours[true & ~found] = (0.84, 0.15, 0.16)
    colours[found & ~true] = (0.55, 0.7, 0.95)
    return colours
