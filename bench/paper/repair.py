"""Which losses repair roads? Gradient descent on a distance map by the loss alone, without a network."""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.stats import binomtest
from torch import Tensor
from tqdm import tqdm

import gpuph
from bench.paper.errors import break_road, join_roads
from bench.paper.fig4 import richest_crops
from bench.paper.plan import InputError
from bench.paper.repair_figure import draw
from bench.speed.inputs import SLOPE, road_mask
from gpuph.metrics.betti import BettiSettings
from gpuph.metrics.betti_matching import count_unmatched

SIDE = 128  # of a crop, pixels
CROPS, QUICK_CROPS = 100, 4
EACH = 2  # errors of each kind in a crop
TRIES = 50  # draws of a crop's errors
ROUNDS = 4  # at most, that the same crops are taken with other errors
ERRORS = {"both": 2 * EACH, "breaks": EACH, "false roads": EACH}  # wrong loops before the first step
WINDOWS = (64, 128)
DMAX = (8.0, 20.0, 5.0, 12.0)  # truncation, pixels, in the order in which crops are repaired
CUT = 2.0  # roads are where the distance is smaller, pixels
STEP = 0.25  # of gradient descent on the sum over windows
STEPS = 200  # at most
COUNTED = (1, 2, 3, *range(5, STEPS + 1, 5))  # steps after which wrong loops are counted
STUCK = 1e-3  # a crop is given up once no pixel moves further than this between two counts, pixels
PLACE = SLOPE  # what a distance of one pixel weighs in the choice of partners: as much as in a height

# The losses that are compared, by window and source of random heights. All have dims=(1,) and the same costs.
CONTENDERS: dict[str, Callable[[int, torch.Generator], torch.nn.Module]] = {
    "thresholding": lambda window, _: gpuph.DistancePHLoss(window=window, reduction="sum"),
    "place": lambda window, _: gpuph.DistancePHLoss(window=window, place=PLACE, reduction="sum"),
    "localized": lambda window, generator: localized(window, generator),
    "localized, 8 draws": lambda window, generator: localized(window, generator, draws=8),
    "Betti matching": lambda window, _: gpuph.BettiMatchingLoss(window=window, reduction="sum"),
    "thresholding, paths": lambda window, _: gpuph.DistancePHLoss(window=window, spread="path", reduction="sum"),
    "place, paths": lambda window, _: gpuph.DistancePHLoss(window=window, place=PLACE, spread="path", reduction="sum"),
    "localized, paths": lambda window, generator: localized(window, generator, spread="path"),
    "localized, 8 draws, paths": lambda window, generator: localized(window, generator, draws=8, spread="path"),
    "Betti matching, paths": lambda window, _: gpuph.BettiMatchingLoss(window=window, spread="path", reduction="sum"),
}
# Pairs of a rival and the loss with heights that `against` compares with it.
RIVALS = (
    ("thresholding", "localized"),
    ("place", "localized"),
    ("Betti matching", "localized"),
    ("Betti matching, paths", "localized, paths"),
    ("localized, paths", "localized"),
    ("localized, 8 draws", "localized"),
    ("localized, 8 draws, paths", "localized, paths"),
)


class Scene(NamedTuple):
    """The roads of a crop, and the same with each set of errors."""

    truth: np.ndarray  # (H, W), bool
    wrong: dict[str, np.ndarray]  # by key of ERRORS


class Condition(NamedTuple):
    """What is repaired, and by which loss."""

    errors: str  # a key of ERRORS
    window: int  # pixels
    dmax: float  # truncation of the distance maps, pixels
    loss: str  # a key of CONTENDERS


class Repair(NamedTuple):
    """What gradient descent left of the errors of each crop."""

    wrong: np.ndarray  # (crops,), loops that are missing or false
    steps: np.ndarray  # (crops,), until none was wrong, or STEPS


def run(args: argparse.Namespace, figure: Path) -> dict[str, Any]:
    """Repair all crops in all conditions and draw the figure, and return the contents of its JSON file."""
    count = args.crops or (QUICK_CROPS if args.quick else CROPS)
    found = scenes(count, args.seed)
    deadline = time.perf_counter() + (float("inf") if args.minutes is None else 60 * args.minutes)
    args.work.mkdir(parents=True, exist_ok=True)
    repairs: dict[Condition, Repair] = {}
    for dmax in DMAX:
        conditions = [Condition(e, window, dmax, loss) for e in ERRORS for window in WINDOWS for loss in CONTENDERS]
        of_dmax = {}
        for condition in tqdm(conditions, desc=f"dmax {dmax:g}", unit="condition", dynamic_ncols=True):
            path = kept_path(condition, len(found), args.seed, args.work)
            if not path.exists() and time.perf_counter() > deadline:
                break
            of_dmax[condition] = kept(condition, found, args.seed, path)
        else:
            repairs |= of_dmax
    if not repairs:
        raise InputError("no truncation is complete, so there is nothing to report")
    rows = summary(repairs)
    print(text(rows))
    draw(figure, against(repairs))
    settings = {
        "crops": len(found),
        "side": SIDE,
        "cut": CUT,
        "step": STEP,
        "most_steps": STEPS,
        "counted_after": COUNTED,
        "place": PLACE,
    }
    settings |= {"slope": SLOPE, "seed": args.seed}
    return {"settings": settings, "conditions": rows, "heights_against": against(repairs)}


def localized(
    window: int, generator: torch.Generator, *, draws: int = 1, spread: str = "pixel"
) -> gpuph.LocalizedPHLoss:
    """Return the localized loss with random ramps in each window, as many as there are draws."""
    height = gpuph.RandomLinear(SLOPE, draws=draws)
    return gpuph.LocalizedPHLoss(window=window, height=height, generator=generator, spread=spread, reduction="sum")


def scenes(count: int, seed: int) -> list[Scene]:
    """Return the crops with the most roads in which errors have a place, and then the same with other errors.

    Raises
    ------
    InputError
        If there are fewer than `count`.
    """
    roads, found = road_mask()[0, 0].numpy(), []
    crops = richest_crops(roads, SIDE, (roads.shape[0] // SIDE) * (roads.shape[1] // SIDE))
    for again in range(ROUNDS):
        for i, mask in enumerate(crops):
            scene = injected(mask, np.random.default_rng((seed, again, i)))
            if scene is not None:
                found.append(scene)
            if len(found) == count:
                return found
    raise InputError(f"--crops must be at most {len(found)}, the crops in which errors have a place, got {count}")


def injected(mask: np.ndarray, rng: np.random.Generator) -> Scene | None:
    """Inject errors each of which makes one loop wrong, or return None where there is no place for them."""
    truth = distances(mask[None])
    for _ in range(TRIES):
        try:
            broken, joined = mask, mask
            for _ in range(EACH):
                broken, joined = break_road(broken, rng), join_roads(joined, rng)
        except ValueError:
            return None
        wrong = {"both": broken | (joined & ~mask), "breaks": broken, "false roads": joined}
        maps = distances(np.stack([wrong[errors] for errors in ERRORS]))
        if wrong_loops(maps, truth.expand_as(maps)).tolist() == list(ERRORS.values()):
            return Scene(mask, wrong)
    return None


def repair(condition: Condition, found: list[Scene], seed: int) -> Repair:
    """Descend from the wrong maps of all crops along the gradient of the loss until no loop is wrong.

    A crop is left alone as soon as it is right, or no longer moves. Crops do not influence each other, except for the
    heights that are drawn for them.
    """
    pred = distances(np.stack([scene.wrong[condition.errors] for scene in found])).clamp(max=condition.dmax)
    truth = distances(np.stack([scene.truth for scene in found])).clamp(max=condition.dmax)
    loss_fn = CONTENDERS[condition.loss](condition.window, torch.Generator().manual_seed(seed))
    wrong = wrong_loops(pred, truth)
    steps, moving = np.where(wrong == 0, 0, STEPS), np.ones(len(wrong), bool)
    for done, step in pairwise((0, *COUNTED)):
        todo = np.flatnonzero((wrong > 0) & moving)
        if len(todo) == 0:
            break
        maps, target = pred[todo], truth[todo]
        for _ in range(step - done):
            (gradient,) = torch.autograd.grad(loss_fn(maps.requires_grad_(), target), maps)
            maps = maps.detach() - STEP * gradient
        moving[todo] = ((maps - pred[todo]).abs().amax(dim=(1, 2, 3)) > STUCK).numpy()
        pred[todo], wrong[todo] = maps, wrong_loops(maps, target)
        steps[todo[wrong[todo] == 0]] = step
    return Repair(wrong, steps)


def kept_path(condition: Condition, crops: int, seed: int, work: Path) -> Path:
    """Return the file that keeps a result of `repair`."""
    settings = f"{condition} {crops} {seed} {COUNTED} {STEP} {STUCK} {PLACE}"
    return work / f"repair-{hashlib.sha256(settings.encode()).hexdigest()[:16]}.npz"


def kept(condition: Condition, found: list[Scene], seed: int, path: Path) -> Repair:
    """Return the result of `repair`, computed now or read from an interrupted run."""
    if not path.exists():
        result = repair(condition, found, seed)
        with path.with_suffix(".tmp").open("wb") as file:
            np.savez(file, **result._asdict())
        path.with_suffix(".tmp").replace(path)  # so that an interrupted run leaves no incomplete file
    with np.load(path) as file:
        return Repair(file["wrong"], file["steps"])


def distances(masks: np.ndarray) -> Tensor:
    """Return the distance maps (N, 1, H, W) of masks (N, H, W), with the largest truncation."""
    return gpuph.truncated_distance_map(torch.from_numpy(masks)[:, None], max(DMAX))


def wrong_loops(pred: Tensor, truth: Tensor) -> np.ndarray:
    """Count the missing and false loops of each map (N, 1, H, W), as `gpuph.metrics.betti_matching_error` does.

    The metric is the mean over windows; here each crop is one window. None is wrong only if Betti numbers are right.
    """
    settings = BettiSettings.checked(1, SIDE, 1, 1, True, "T", spacing=1.0)
    return count_unmatched(torch.cat((pred, truth), dim=1) < CUT, settings).numpy()


def summary(repairs: dict[Condition, Repair]) -> list[dict[str, Any]]:
    """Summarise each condition, and compare each crop with what thresholding left of it."""
    rows = []
    for condition, found in repairs.items():
        other = repairs[condition._replace(loss="thresholding")].wrong
        repaired = found.steps[found.wrong == 0]
        row: dict[str, Any] = {
            "repaired": round(len(repaired) / len(found.wrong), 4),
            "wrong_left": round(float(found.wrong.mean()), 4),
            "standard_error": round(float(found.wrong.std(ddof=1)) / len(found.wrong) ** 0.5, 4),
            "median_steps_of_repaired": float(np.median(repaired)) if len(repaired) else None,
            "fewer_than_thresholding": int((found.wrong < other).sum()),
            "more_than_thresholding": int((found.wrong > other).sum()),
        }
        rows.append(condition._asdict() | row)
    return rows


def against(repairs: dict[Condition, Repair]) -> list[dict[str, Any]]:
    """Compare the wrong loops that losses with heights leave with those that their rivals leave, crop by crop."""
    rows = []
    for condition, other in repairs.items():
        for rival, ours in RIVALS:
            if condition.loss != rival:
                continue
            left = repairs[condition._replace(loss=ours)].wrong
            fewer, more = int((left < other.wrong).sum()), int((left > other.wrong).sum())
            p = float(binomtest(fewer, fewer + more).pvalue) if fewer + more else 1.0
            mean = round(float((left - other.wrong).mean()), 4)
            row = condition._replace(loss=ours)._asdict() | {"rival": rival, "mean_difference": mean}
            rows.append(row | {"fewer": fewer, "more": more, "sign_p": round(p, 5)})
    return rows


def text(rows: list[dict[str, Any]]) -> str:
    """Format the results: one line per set of errors, window and loss, and three columns per truncation."""
    lines = ["wrong loops left, share of crops repaired, and median steps of those; by dmax"]
    lines.append(" " * 46 + "".join(f"{dmax:>20g}" for dmax in sorted({row["dmax"] for row in rows})))
    for errors in ERRORS:
        for window in WINDOWS:
            for loss in CONTENDERS:
                cells = []
                for row in series(rows, errors, window, loss):
                    steps = row["median_steps_of_repaired"]
                    shown = "-" if steps is None else f"{steps:g}"
                    cells.append(f"{row['wrong_left']:>9.2f}{row['repaired']:>6.2f}{shown:>5}")
                lines.append(f"{errors:<14}{window:<6}{loss:<26}" + "".join(cells))
    return "\n".join(lines)


def series(rows: list[dict[str, Any]], errors: str, window: int, loss: str) -> list[dict[str, Any]]:
    """Return the results of a loss, one row per truncation."""
    found = [row for row in rows if (row["errors"], row["window"], row["loss"]) == (errors, window, loss)]
    return sorted(found, key=lambda row: row["dmax"])
