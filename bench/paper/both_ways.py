"""Which loss corrects networks whose errors go both ways: false roads as often as missed ones?"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

import gpuph
from bench.paper import paired
from bench.paper.harness import Harness
from bench.paper.methods import BASE, candidates, thresholds
from bench.paper.paired import Condition, Term
from bench.paper.plan import PRESETS, Plan
from bench.paper.scores import WITH_PLACES
from bench.train.crops import WINDOW, distance_map
from bench.train.evaluation import TOLERANCE, predict
from bench.train.network import Branch
from bench.train.roads import MISREAD_TRACKS, UNLABELLED
from gpuph.metrics.ccq import CCQSettings, measure

RANK = 2
DMAX = (8.0, 20.0, 12.0)  # truncation, pixels, in the order in which networks are trained
FIRST = 3  # seeds of the first two truncations, which are trained before the third truncation and the other seeds
SEEDS = 5
ROWS = 600  # of Helsinki, pixels
PRESET, QUICK_STEPS = "brief", 10
FACTOR = 2.0  # the largest ratio of the lengths of false and of missed roads after the warm-up
# Steps of the shortest warm-up, steps that are added until `FACTOR` is met, and steps at most.
SHORTEST, MORE, LONGEST = PRESETS[PRESET][RANK].warmup, 150, 900
STEPS = PRESETS[PRESET][RANK].steps  # of each method after the warm-up
DRAWS = 8


def run(args: argparse.Namespace, figure: Path) -> dict[str, Any]:
    """Train, score and draw, and return the contents of the JSON file."""
    plan = plan_of(args, "misread roads")
    conditions = {}
    for dmax in DMAX:
        harness = harness_of(replace(plan, dmax=dmax), args.work)
        conditions[f"dmax {dmax:g}"] = Condition(harness, terms(dmax), harness)
    found = paired.collect(conditions, order(plan.seeds), args.minutes, balanced)
    warmups = {name: balances(conditions[name].harness) for name in found}
    labels = {"tracks": MISREAD_TRACKS, "unlabelled": UNLABELLED, "factor": FACTOR}
    return paired.report(plan, conditions, found, figure) | {"labels": labels, "after_warmup": warmups}


def plan_of(args: argparse.Namespace, data: str, warmup: int = SHORTEST, steps: int = STEPS) -> Plan:
    """Return the plan that the command line asks for, by default with that many steps, and without a truncation."""
    return Plan(
        data=data,
        warmup=args.warmup if args.warmup is not None else QUICK_STEPS if args.quick else warmup,
        steps=args.steps if args.steps is not None else QUICK_STEPS if args.quick else steps,
        seeds=tuple(range(args.seed, args.seed + (args.seeds or (1 if args.quick else SEEDS)))),
        rows=args.rows or ROWS,
        device=args.device,
        preset=PRESET,
    )


def harness_of(plan: Plan, work: Path) -> Harness:
    """Return a harness that scores by all metrics, and chooses cuts by APLS."""
    return Continued(plan, work, tuple(WITH_PLACES), ("APLS",))


def terms(dmax: float) -> dict[str, Term]:
    """Return the losses that are added to MSE, each as a function of the generator of its random draws."""
    window = WINDOW[RANK]

    def localized(draws: int) -> Callable[[torch.Generator], nn.Module]:
        height = gpuph.RandomLinear(draws=draws)
        return lambda generator: gpuph.LocalizedPHLoss(window=window, height=height, generator=generator)

    return {
        "Homo-Reg": lambda _: gpuph.DistancePHLoss(window=window),
        "Homo-Ours": localized(1),
        f"Homo-Ours, {DRAWS} draws": localized(DRAWS),
        "ConnLoss": lambda _: gpuph.ConnectivityLoss(truncation=dmax),
        "Betti matching": lambda _: gpuph.BettiMatchingLoss(window=window),
        "Betti matching, paths": lambda _: gpuph.BettiMatchingLoss(window=window, spread="path"),
    }


def order(seeds: tuple[int, ...]) -> list[tuple[int, str]]:
    """Return seeds and conditions in the order in which networks are trained."""
    names = [f"dmax {dmax:g}" for dmax in DMAX]
    first = [(seed, name) for seed in seeds[:FIRST] for name in names[:2]]
    return first + [(seed, names[2]) for seed in seeds[:FIRST]] + [(s, name) for s in seeds[FIRST:] for name in names]


class Continued(Harness):
    """A harness whose warm-up continues that of a plan with a shorter one."""

    def start(self, predicts: str, seed: int) -> Branch:
        path = self.path("start", self.common(seed) | {"predicts": predicts}, ".pt")
        shorter = self.plan.warmup - MORE
        if path.exists() or shorter < SHORTEST:
            return super().start(predicts, seed)
        before = Continued(replace(self.plan, warmup=shorter), self.work)
        before.deadline = self.deadline
        branch = before.start(predicts, seed)
        self.train(branch, predicts, BASE[predicts], range(shorter, self.plan.warmup), seed)
        torch.save(branch.state_dict(), path)
        return branch


def balanced(harness: Harness, seed: int) -> Harness | None:
    """Return a harness with the shortest warm-up after which false and missed roads are within `FACTOR` of one another.

    Returns None if there is none of at most `LONGEST` steps.
    """
    while harness.plan.warmup <= LONGEST:
        path = _path(harness, seed)
        if not path.exists():
            path.write_text(json.dumps(balance(harness, seed)))
        found = json.loads(path.read_text())
        print(f"dmax {harness.plan.dmax:g}, seed {seed}, after the warm-up: {found}", flush=True)
        shortest, longest = sorted((found["false"], found["missed"]))
        if longest <= FACTOR * shortest:
            return harness
        longer = replace(harness.plan, warmup=harness.plan.warmup + MORE)
        continued = harness_of(longer, harness.work)
        continued.deadline = harness.deadline
        harness = continued
    return None


def balances(harness: Harness) -> dict[int, dict[str, float]]:
    """Return what `balance` found for each seed after the longest warm-up that was tried."""
    found = {}
    while harness.plan.warmup <= LONGEST:
        for seed in harness.plan.seeds:
            if _path(harness, seed).exists():
                found[seed] = json.loads(_path(harness, seed).read_text())
        harness = harness_of(replace(harness.plan, warmup=harness.plan.warmup + MORE), harness.work)
    return found


def balance(harness: Harness, seed: int) -> dict[str, float]:
    """Return the lengths of false and of missed roads after the warm-up on the training scene, in pixels.

    A piece of a centre line is false or missed if it is further from the other lines than the tolerance of CCQ. Of the
    candidate cuts, the one is taken at which the network agrees best with the labels of the warm-up, by CCQ.
    """
    data, settings = harness.of(seed), CCQSettings.checked(TOLERANCE[RANK], 1.0)
    middle, *_ = thresholds("distance", RANK, harness.plan.dmax)
    network = harness.start("distance", seed).averaged(data.warmup_crops)
    (scene,), (target,) = data.choosing, data.choosing_targets
    labels = scene if scene.warmup is None else replace(scene, mask=scene.warmup)
    learned = distance_map(labels, harness.plan.dmax) < middle
    pred = predict(network, torch.from_numpy(scene.image).to(data.device)).cpu()
    qualities = {
        cut: measure(pred < cut, learned, settings).result().quality
        for cut in candidates("distance", RANK, harness.plan.dmax)
    }
    cut = max(qualities, key=lambda cut: qualities[cut])
    lengths = measure(pred < cut, target < middle, settings)
    return {
        "warmup": harness.plan.warmup,
        "cut": round(cut, 4),
        "quality": round(qualities[cut], 4),
        "false": lengths.pred - lengths.pred_matched,
        "missed": lengths.target - lengths.target_matched,
        "roads": lengths.target,
    }


def _path(harness: Harness, seed: int) -> Path:
    return harness.path("balance", harness.common(seed))
