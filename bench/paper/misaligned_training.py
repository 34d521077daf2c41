"""Which loss trains best on labels that have moved? Networks are scored against the labels that have not."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.paper import paired
from bench.paper.both_ways import harness_of, plan_of, terms
from bench.paper.paired import Condition
from bench.paper.plan import SHIFTS, shifted
from bench.train.crops import TRUNCATION

TERMS = ("Homo-Reg", "Homo-Ours", "Betti matching")
WARMUP, STEPS = 1500, 300  # with the 300 + 100 of `both_ways`, networks learn next to nothing from these scenes


def run(args: argparse.Namespace, figure: Path) -> dict[str, Any]:
    """Train, score and draw, and return the contents of the JSON file."""
    dmax = TRUNCATION[2]
    plans = {shift: replace(plan_of(args, shifted(shift), WARMUP, STEPS), dmax=dmax) for shift in SHIFTS}
    harnesses = {shift: harness_of(plan, args.work) for shift, plan in plans.items()}
    made = {name: term for name, term in terms(dmax).items() if name in TERMS}
    # Weights are measured where labels have not moved, so that they are the same for all shifts.
    conditions = {shifted(shift): Condition(harness, made, harnesses[0.0]) for shift, harness in harnesses.items()}
    order = [(seed, name) for seed in plans[0.0].seeds for name in conditions]
    found = paired.collect(conditions, order, args.minutes)
    return paired.report(plans[0.0], conditions, found, figure) | {"dmax": dmax}
