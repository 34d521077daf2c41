"""`python -m bench.speed.spread`: what gradients in whole paths gain, and how long they take.

Gaps in 1,000 windows are closed by one step, and breaks and false connections repaired by the loss alone. The loss and
its gradient are timed with and without paths in turn, on one thread, for four maps of 256 x 256 in windows of 64 x 64.
"""

from __future__ import annotations

import argparse
import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from skimage.draw import disk, line
from torch import Tensor
from torch.nn.functional import pad

import gpuph
from bench.paper.errors import KINDS
from bench.speed.inputs import predictions
from bench.speed.timing import in_turn, machine
from gpuph import DistancePHLoss

RESULTS = Path(__file__).parents[1] / "results" / "spread.json"
SPREADS = ("pixel", "path")


def broken_roads(n: int, size: int) -> tuple[Tensor, Tensor]:
    """Return distance maps (n, 1, size, size) of roads with a gap, with some noise, and of the roads themselves."""
    rng = np.random.default_rng(0)
    roads = np.zeros((2, n, size, size), bool)
    for i in range(n):
        left, middle, right, bend = rng.integers(10, size - 10, 4)
        road = np.zeros((size, size), bool)
        road[line(left, 0, middle, bend)] = road[line(middle, bend, right, size - 1)] = True
        roads[1, i] = road if i % 2 else road.T
        places = np.argwhere(roads[1, i])
        inside = places[((places >= 9) & (places < size - 9)).all(axis=1)]
        roads[0, i] = roads[1, i]
        roads[0, i][disk(inside[rng.integers(len(inside))], rng.uniform(3, 7), shape=road.shape)] = False
    pred, target = (gpuph.truncated_distance_map(torch.from_numpy(road)[:, None], 20.0) for road in roads)
    return pred + 0.1 * torch.from_numpy(rng.standard_normal(pred.shape)).float(), target


def last_birth(x: Tensor) -> Tensor:
    """Return the latest birth of the loops of framed windows that last longer than 2."""
    loops = gpuph.persistence(pad(x[:, 0], (1, 1, 1, 1), value=-1.0), 1)[1]
    return loops.birth.masked_fill(loops.death - loops.birth <= 2.0, -1.0).amax(dim=1)


def step(x: Tensor, target: Tensor, rate: float, **settings: Any) -> Tensor:
    """Return a map after one step of gradient descent on the loss alone."""
    x = x.detach().requires_grad_()
    loss = DistancePHLoss(window=x.shape[-1], reduction="sum", **settings)(x, target)
    return (x - rate * torch.autograd.grad(loss, x)[0]).detach()


def closed(n: int, spread: str) -> float:
    """Return the share of late loops in n windows that one step of 1/2 moves to their goal."""
    pred, target = broken_roads(n, 32)
    goal = last_birth(target)
    late = last_birth(pred) - goal > 1.0
    after = last_birth(step(pred, target, 0.5, spread=spread, min_persistence=2.0))
    return float(((after - goal).abs() < 1e-3)[late].float().mean())


def steps_until_repaired(kind: str, seed: int, **settings: Any) -> int:
    """Return how many steps the loss alone takes to remove an injected error: to fall to a twentieth."""
    rng = np.random.default_rng(seed)
    places, road = rng.integers(12, 52, 4), np.zeros((64, 64), bool)
    road[line(places[0], 0, places[1], 63)] = road[line(0, places[2], 63, places[3])] = True
    masks = torch.from_numpy(np.stack((KINDS[kind](road, rng), road)))
    x, target = gpuph.truncated_distance_map(masks[:, None], 20.0).split(1)
    loss_fn = DistancePHLoss(window=64)
    start = loss_fn(x, target)
    assert start > 2.0
    for n in range(1, 61):
        x = step(x, target, 0.4, **settings)
        if loss_fn(x, target) <= start / 20:
            return n
    return 60


def times(repeats: int) -> dict[str, float]:
    """Return the milliseconds per window of the loss and its gradient."""
    pred, target = predictions(4)

    def run(spread: str) -> None:
        x = pred.clone().requires_grad_()
        gpuph.LocalizedPHLoss(window=64, spread=spread)(x, target).backward()

    seconds = in_turn({spread: functools.partial(run, spread) for spread in SPREADS}, repeats)
    return {spread: 1e3 * time / 64 for spread, time in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9, help="runs that the median is of (default: %(default)s)")
    parser.add_argument("--save", action="store_true", help="write bench/results/spread.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    results: dict[str, Any] = {
        "share of gaps closed by one step": {spread: closed(1000, spread) for spread in SPREADS},
        "steps until repaired": {
            kind: {spread: [steps_until_repaired(kind, seed, spread=spread) for seed in range(8)] for spread in SPREADS}
            for kind in KINDS
        },
        "milliseconds a window": times(options.repeats),
    }
    for name, found in results.items():
        print(name, found)
    if options.save:
        RESULTS.write_text(json.dumps({"machine": machine(), **results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
