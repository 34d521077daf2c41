"""Tables that compare networks that differ in the loss alone, by five metrics, over several seeds."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure, SubFigure

from bench.paper.harness import CHOOSING, Harness
from bench.paper.methods import (
    Method,
    by_decoys,
    by_height,
    by_steadiness,
    by_weight,
    by_window,
    lines_of,
    main_table,
    of_distances,
    thresholds,
)
from bench.paper.plan import Plan
from bench.paper.scores import HIGHER_IS_BETTER, MEANING
from bench.train.figure import richest_crop
from bench.train.network import PRESETS


class Table(NamedTuple):
    """What a table is about."""

    data: str  # a key of plan.RENDERED
    title: str
    methods: Callable[[int], dict[str, Method]]  # by the number of axes
    dmax: float | None = None  # truncation of distance maps, pixels; by default that of the demo


TABLES = {
    "table1": Table("roads", "Methods, images", main_table),
    "table3": Table("neurons", "Methods, volumes", main_table),
    "table3_dmax8": Table("neurons", "Methods, volumes, dmax 8", of_distances, 8.0),
    "table3_dmax15": Table("neurons", "Methods, volumes, dmax 15", of_distances, 15.0),
    "table5": Table("roads", "Weight of the loss, with and without heights", by_weight),
    "table6": Table("roads", "Window of the localized loss, pixels", by_window),
    "table7": Table("roads", "Height function of the localized loss", by_height),
    "steadiness": Table("roads", "The localized loss, as strong and as steady as without heights", by_steadiness),
    "decoys": Table("roads and decoys", "The localized loss where tracks look like roads", by_decoys),
    "few_decoys": Table("roads and few decoys", "The localized loss where few tracks look like roads", by_decoys),
}
DATA = {name: table.data for name, table in TABLES.items()} | {
    "gradients": "roads",
    "decoys_gradients": "roads and decoys",
    "few_decoys_gradients": "roads and few decoys",
}
SEEDS = 3
QUICK_STEPS = {2: 200, 3: 30}  # of the warm-up and of each method, by the number of axes
QUICK_ROWS = 64  # of neurons


def plan_of(args: argparse.Namespace) -> Plan:
    """Return the plan that the command line asks for."""
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
        dmax=TABLES[args.name].dmax if args.name in TABLES else None,
    )


def run(args: argparse.Namespace, figure: Path) -> dict[str, Any]:
    """Train, score and draw a table, and return the contents of its JSON file."""
    table, plan = TABLES[args.name], plan_of(args)
    harness, methods = Harness(plan, args.work), table.methods(plan.rank)
    scores, chosen = harness.run(methods), harness.choose(methods)
    rows: dict[str, dict[str, Any]] = {}
    for name, found in scores.items():
        method = methods[name]
        cut, *others = (f"{threshold:g}" for threshold in thresholds(method.predicts, plan.rank, plan.dmax))
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
        print(f"The same networks, cut where {metric} is best on the training scenes:")
        print(text({name: row["cut_chosen_by"][metric] for name, row in rows.items()}))
    print("; ".join(f"{name}: {MEANING[name]}" for name in HIGHER_IS_BETTER) + ".")
    draw(figure, table, rows, harness)
    settings = {"data": plan.data, "preset": plan.preset, "warmup": plan.warmup, "steps": plan.steps}
    settings |= {} if plan.dmax is None else {"dmax": plan.dmax}
    return {"settings": settings | {"seeds": list(plan.seeds), "rows": plan.rows}, "methods": rows} | {
        "minutes": round(harness.seconds / 60, 1)
    }


def summary(scores: list[dict[str, float]], metrics: Iterable[str] = HIGHER_IS_BETTER) -> dict[str, dict[str, Any]]:
    """Return mean and sample standard deviation of each metric over the seeds. A single seed has no deviation."""
    found = {}
    for name in metrics:
        values = [round(score[name], 4) for score in scores]
        deviation = round(statistics.stdev(values), 4) if len(values) > 1 else None
        found[name] = {"mean": round(statistics.mean(values), 4), "deviation": deviation, "values": values}
    return found


def text(rows: dict[str, Any], metrics: Iterable[str] = HIGHER_IS_BETTER) -> str:
    """Format the table, one line per method."""
    width = max(map(len, rows)) + 2
    lines = [" " * width + "".join(f"{name:>16}" for name in metrics)]
    for name, row in rows.items():
        cells = []
        for metric in row["scores"].values():
            deviation = "" if metric["deviation"] is None else f" ± {metric['deviation']:.3f}"
            cells.append(f"{metric['mean']:.3f}{deviation}".rjust(16))
        lines.append(f"{name:<{width}}" + "".join(cells))
    return "\n".join(lines)


def draw(path: Path, table: Table, rows: dict[str, Any], harness: Harness) -> None:
    """Draw the metrics of all methods, and below them their lines in a crop of the first seed's held-out scene."""
    seed, *_ = harness.plan.seeds
    data, rank = harness.of(seed), harness.plan.rank
    methods = table.methods(rank)
    shown = len(methods) + 2
    columns = -(-shown // 2) if shown > 5 else shown
    figure = Figure(figsize=(10.5, 7.0), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(0.45, 0.55))
    above.suptitle(table.title)
    _draw_metrics(above, rows)

    panels = list(below.subplots(-(-shown // columns), columns, squeeze=False).flat)
    image_panel, truth_panel, *others = panels
    target, scene = data.targets[0], data.held_out[0]
    crop = richest_crop(target)
    image = scene.image[(slice(None), *crop)]
    cut, *_ = thresholds("distance", rank, harness.plan.dmax)
    true = lines_of(target, "distance", rank, cut).numpy()[crop]
    image_panel.imshow((image.max(1) if rank == 3 else image).transpose(1, 2, 0).clip(0, 1).squeeze(), cmap="gray")
    image_panel.set_title("image", fontsize=9)
    truth_panel.imshow(_errors(true, true))
    truth_panel.set_title("truth", fontsize=9)
    for panel, (name, method) in zip(others, methods.items(), strict=False):  # the last panels may be empty
        panel.imshow(_errors(harness.kept_lines(method, seed)[crop], true))
        panel.set_title(name, fontsize=8)
    for panel in panels:
        panel.set(xticks=[], yticks=[])
        panel.set_visible(panel.get_title() != "")
    below.supxlabel("Black: found. Red: missed. Blue: false.", fontsize=9)
    figure.savefig(path, dpi=100)


def _draw_metrics(figure: SubFigure, rows: dict[str, Any]) -> None:
    """Draw mean, deviation and values of each metric, one method per line."""
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
    """Return colours (H, W, 3) of found, missed and false lines. Volumes are projected along the first axis."""
    if found.ndim == 3:
        found, true = found.any(0), true.any(0)
    colours = np.ones((*found.shape, 3))
    colours[found & true] = (0.15, 0.15, 0.15)
    colours[true & ~found] = (0.84, 0.15, 0.16)
    colours[found & ~true] = (0.55, 0.7, 0.95)
    return colours
