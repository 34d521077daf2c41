"""Train the same methods in several conditions, over the same seeds, and compare them seed by seed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.stats import binomtest, ttest_rel, wilcoxon
from torch import nn
from torch.nn.functional import mse_loss

from bench.paper.gradients import gradients
from bench.paper.harness import Harness, TimeUp
from bench.paper.methods import Method, thresholds
from bench.paper.plan import InputError, Plan
from bench.paper.scores import WITH_PLACES
from bench.paper.tables import summary, text

Term = Callable[[torch.Generator], nn.Module]
Values = dict[str, dict[int, dict[str, Any]]]  # what is known of each network, by method and seed

WEIGHING_SEED = 100  # of no network that is compared
WEIGHING_BATCHES = 8
KINDS = ("chosen", "fixed")  # of cuts
SHOWN = ("APLS", "TLTS", "Betti", "Betti matching", "CCQ")  # metrics in the figure
STRENGTH = 0.4  # length of a weighted term's gradient in the network's parameters, relative to that of MSE


@dataclass(frozen=True)
class Condition:
    """What the networks of a comparison have in common.

    Attributes
    ----------
    harness : Harness
        Trains the networks.
    terms : dict of str to callable
        Returns the losses that are added to MSE, given the generator of their random draws.
    weighing : Harness
        Trains the network on which the weights of the terms are measured.
    """

    harness: Harness
    terms: dict[str, Term]
    weighing: Harness

    def methods(self) -> dict[str, Method]:
        """Return MSE alone, and MSE + each term with its weight, which is measured if it is not known yet."""
        weights = weigh(self.weighing, self.terms)
        with_terms = {name: Method("distance", term, weights[name]) for name, term in self.terms.items()}
        return {"MSE": Method("distance")} | with_terms


def weigh(harness: Harness, terms: dict[str, Term]) -> dict[str, float]:
    """Return the weight of each term with which its gradient is `STRENGTH` times as long as that of MSE.

    It is measured with a seed that no network of a comparison has, halfway through the training with MSE alone, and
    before any network is scored. It is the mean over several batches. Two digits are kept.
    """
    seed, path = WEIGHING_SEED, _weights_path(harness, terms)
    if not path.exists():
        crops, half = harness.of(seed).crops, harness.plan.warmup + harness.plan.steps // 2
        branch = harness.start("distance", seed)
        harness.train(branch, "distance", mse_loss, range(harness.plan.warmup, half), seed)
        branch.net.train()
        made = {name: make(torch.Generator().manual_seed(seed)) for name, make in terms.items()}
        lengths: dict[str, list[float]] = {name: [] for name in terms}
        for number in range(half, half + WEIGHING_BATCHES):
            images, target = crops.batch(number)
            pred = branch.net(images)
            base, _ = gradients(branch, pred, target, mse_loss)
            for name, loss in made.items():
                weights, _ = gradients(branch, pred, target, loss)
                lengths[name].append(float(weights.norm() / base.norm()))
        found = {name: float(f"{STRENGTH / np.mean(each):.2g}") for name, each in lengths.items()}
        path.write_text(json.dumps(found))
    return {name: float(weight) for name, weight in json.loads(path.read_text()).items()}


def _weights_path(harness: Harness, terms: dict[str, Term]) -> Path:
    settings = harness.settings(Method("distance"), WEIGHING_SEED)
    return harness.path("weights", settings | {"terms": sorted(terms), "strength": STRENGTH})


def networks(
    condition: Condition, seed: int, prepare: Callable[[Harness, int], Harness | None]
) -> dict[str, Any] | None:
    """Return the scores of all methods of a seed, or None if it is left out.

    A network is scored with the cut of the tables, and with the cut at which its training scenes have the best APLS.
    """
    harness = prepare(condition.harness, seed)
    if harness is None:
        return None
    methods = condition.methods()
    return {name: harness.kept("paired", method, seed, partial(_scored, harness)) for name, method in methods.items()}


def _scored(harness: Harness, method: Method, seed: int) -> dict[str, Any]:
    chosen = harness.chosen(method, seed)["by"]["APLS"]
    data, (cut, *_) = harness.of(seed), thresholds("distance", harness.plan.rank, harness.plan.dmax)
    predictions = harness.predictions(method, seed, data.held_out)
    fixed = harness.by_cut(predictions, data.targets, "distance", [cut], seed, harness.metrics)
    return {"chosen": chosen, "fixed": {"cut": f"{cut:g}", "scores": fixed[f"{cut:g}"]}}


def collect(
    conditions: dict[str, Condition],
    order: Iterable[tuple[int, str]],
    minutes: float | None,
    prepare: Callable[[Harness, int], Harness | None] = lambda harness, seed: harness,
) -> dict[str, Values]:
    """Train and score the networks of each seed and condition in the given order, and return what is known of them.

    `prepare` returns the harness that trains the networks of a seed, before any is scored, or None to leave the seed
    out. After `minutes`, no training starts, and a seed that lacks a method in a condition is left out there.
    """
    deadline = time.perf_counter() + (float("inf") if minutes is None else 60 * minutes)
    for condition in conditions.values():
        condition.harness.deadline = condition.weighing.deadline = deadline
    values: dict[str, Values] = {}
    for seed, name in order:
        for other in conditions.values():  # only the data of the current seed stay in memory
            other.harness.data = {known: data for known, data in other.harness.data.items() if known == seed}
        try:
            found = networks(conditions[name], seed, prepare)
        except TimeUp:
            continue
        if found is None:
            continue
        for method, scores in found.items():
            values.setdefault(name, {}).setdefault(method, {})[seed] = scores
        aplses = ", ".join(f"{method} {x['chosen']['scores']['APLS']:.3f}" for method, x in found.items())
        print(f"{name}, seed {seed}: APLS {aplses}", flush=True)
    return values


def report(plan: Plan, conditions: dict[str, Condition], found: dict[str, Values], figure: Path) -> dict[str, Any]:
    """Print and draw the scores, and return settings, scores and tests for a JSON file."""
    if not found:
        raise InputError("no seed is complete, so there is nothing to report")
    rows = {name: rows_of(values, conditions[name].methods()) for name, values in found.items()}
    print(printed(rows))
    draw(figure, rows)
    settings = {"data": plan.data, "preset": plan.preset, "warmup": plan.warmup, "steps": plan.steps}
    settings |= {"batch": plan.network.batch, "rows": plan.rows, "strength": STRENGTH}
    seconds = [each["seconds"] for values in found.values() for by_seed in values.values() for each in by_seed.values()]
    return {
        "settings": settings,
        "conditions": rows,
        "tests": {name: {kind: tests(methods, kind) for kind in KINDS} for name, methods in rows.items()},
        "minutes": round(sum(seconds) / 60, 1),
    }


def rows_of(values: Values, methods: dict[str, Method]) -> dict[str, Any]:
    """Return the scores of each method by either kind of cut, over the seeds that are known."""
    rows: dict[str, Any] = {}
    for name, by_seed in values.items():
        rows[name] = {"loss": str(methods[name]), "seeds": sorted(by_seed)}
        for kind in KINDS:
            found = [by_seed[seed][kind] for seed in sorted(by_seed)]
            cuts = [each["cut"] for each in found]
            rows[name][kind] = {"cuts": cuts, "scores": summary([each["scores"] for each in found], WITH_PLACES)}
    return rows


def tests(rows: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """Compare each pair of methods, metric by metric, over the seeds.

    Returns
    -------
    list of dict
        `first` and `second`, and for each metric the mean difference, positive where the first method is better; on how
        many seeds it is better and worse; and the two-sided p-values of the sign test, of the paired t-test and of
        Wilcoxon's signed-rank test. With fewer than two seeds there are none.
    """
    found = []
    for first, second in combinations(rows, 2):
        metrics = {}
        for metric, higher in WITH_PLACES.items():
            one, other = (np.array(rows[name][kind]["scores"][metric]["values"]) for name in (first, second))
            difference = (one - other) * (1 if higher else -1)
            metrics[metric] = paired(difference)
        found.append({"first": first, "second": second, "metrics": metrics})
    return found


def paired(difference: np.ndarray) -> dict[str, Any]:
    """Test whether differences (n,) of pairs are 0 on average."""
    better, worse = int((difference > 0).sum()), int((difference < 0).sum())
    row: dict[str, Any] = {"mean": round(float(difference.mean()), 4), "better": better, "worse": worse}
    row |= {"sign_p": None, "t_p": None, "wilcoxon_p": None}
    if len(difference) > 1:
        row["sign_p"] = round(float(binomtest(better, better + worse).pvalue), 4) if better + worse else 1.0
        if np.ptp(difference) > 0:
            row["t_p"] = round(float(ttest_rel(difference, np.zeros_like(difference)).pvalue), 4)
        if difference.any():
            row["wilcoxon_p"] = round(float(wilcoxon(difference).pvalue), 4)
    return row


def printed(found: dict[str, dict[str, Any]]) -> str:
    """Format the scores with chosen cuts, one table per condition."""
    lines = []
    for name, rows in found.items():
        lines.append(f"{name}, chosen cuts:")
        lines.append(text({method: row["chosen"] for method, row in rows.items()}, WITH_PLACES))
    return "\n".join(lines)


def draw(path: Path, found: dict[str, dict[str, Any]]) -> None:
    """Draw the scores with chosen cuts: one row of panels per condition, and in it one panel per metric."""
    figure = Figure(figsize=(10.5, 0.9 + 2.3 * len(found)), layout="constrained")
    grid = figure.subplots(len(found), len(SHOWN), sharey=True, sharex="col", squeeze=False)
    for panels, (condition, rows) in zip(grid, found.items(), strict=True):
        places = np.arange(len(rows))[::-1]
        for panel, metric in zip(panels, SHOWN, strict=True):
            for place, row in zip(places, rows.values(), strict=True):
                scores = row["chosen"]["scores"][metric]
                panel.plot(scores["values"], [place] * len(scores["values"]), ".", color="0.7", zorder=1)
                panel.errorbar(scores["mean"], place, xerr=scores["deviation"], fmt="o", color="tab:blue", capsize=3)
            better = "higher" if WITH_PLACES[metric] else "lower"
            panel.set_title(f"{metric}, {better} is better", fontsize=8)
            panel.set_yticks(places, list(rows))
            panel.grid(axis="x", alpha=0.3)
            panel.tick_params(labelsize=7)
        panels[0].set_ylabel(condition, fontsize=9)
    figure.savefig(path, dpi=100)
