"""Train networks that differ in the loss alone, and keep them and their scores, so that a table can be resumed.

All methods of a seed that predict the same quantity, distances or probabilities, continue from one warm-up with the
base loss, over the same batches. The two warm-ups start from the same weights.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from bench.paper.methods import BASE, Method, candidates, lines_of, thresholds, truth
from bench.paper.plan import Data, Plan
from bench.paper.scores import HIGHER_IS_BETTER, score
from bench.train.evaluation import predict
from bench.train.network import Branch, Loss
from bench.train.scenes import Scene

Scores = dict[str, dict[str, float]]  # of each metric, by cut
CHOOSING = ("APLS", "CCQ")  # metrics that cuts are chosen by


class TimeUp(Exception):
    """A network was to be trained after the deadline."""


class Harness:
    """Train and score the methods of a plan, and keep all results in a directory.

    Results that an earlier run has kept are read instead of being computed again.

    Parameters
    ----------
    plan : Plan
    work : Path
        The directory. It is created if necessary.
    metrics, choosing : sequence of str
        The metrics that networks are scored by, and those that cuts are chosen by.

    Attributes
    ----------
    seconds : float
        Time that training and scoring took, including results that were read.
    deadline : float
        The reading of `time.perf_counter` after which no training starts.
    """

    def __init__(
        self,
        plan: Plan,
        work: Path,
        metrics: Sequence[str] = tuple(HIGHER_IS_BETTER),
        choosing: Sequence[str] = CHOOSING,
    ) -> None:
        self.plan, self.work, self.metrics, self.choosing = plan, work, tuple(metrics), tuple(choosing)
        self.seconds, self.deadline = 0.0, float("inf")
        self.data: dict[int, Data] = {}
        work.mkdir(parents=True, exist_ok=True)

    def run(self, methods: dict[str, Method]) -> dict[str, list[Scores]]:
        """Return the scores of each method by cut, for each seed."""
        scores: dict[str, list[Scores]] = {name: [] for name in methods}
        for seed, name in self.pairs(methods):
            scores[name].append(self.kept("method", methods[name], seed, self.scored)["scores"])
        return scores

    def choose(self, methods: dict[str, Method]) -> dict[str, list[dict[str, Any]]]:
        """Return the result of `chosen` of each method, for each seed."""
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in methods}
        for seed, name in self.pairs(methods):
            found[name].append(self.kept("chosen", methods[name], seed, self.chosen)["by"])
        return found

    def pairs(self, methods: dict[str, Method]) -> Iterator[tuple[int, str]]:
        """Yield each seed with the name of each method. Only the data of the current seed stay in memory."""
        every = [(seed, name) for seed in self.plan.seeds for name in methods]
        for seed, name in tqdm(every, unit="network", dynamic_ncols=True):
            self.data = {known: data for known, data in self.data.items() if known == seed}
            yield seed, name

    def kept(
        self, kind: str, method: Method, seed: int, find: Callable[[Method, int], dict[str, Any]]
    ) -> dict[str, Any]:
        """Return the result of `find` for one network, computed now or read from an earlier run."""
        settings = self.settings(method, seed)
        path = self.path(kind, settings)
        if path.exists():
            found = json.loads(path.read_text())
        else:
            started = time.perf_counter()
            found = {"settings": settings} | find(method, seed)
            found["seconds"] = time.perf_counter() - started
            _write(path, json.dumps(found, indent=1).encode())
        self.seconds += found["seconds"]
        return found

    def scored(self, method: Method, seed: int) -> dict[str, Any]:
        """Train and score one network, and keep its lines in the first held-out scene for the figure."""
        predicts, rank, data = method.predicts, self.plan.rank, self.of(seed)
        predictions, cuts = self.predictions(method, seed, data.held_out), thresholds(predicts, rank, self.plan.dmax)
        scores = self.by_cut(predictions, data.targets, predicts, cuts, seed, self.metrics)
        lines = lines_of(predictions[0], predicts, rank, cuts[0])
        np.savez_compressed(self.path_of_lines(method, seed), lines=lines.numpy())
        return {"scores": scores}

    def chosen(self, method: Method, seed: int) -> dict[str, Any]:
        """Cut one network's predictions where the training scenes have the best score, and score the held-out scenes.

        Each metric of `choosing` chooses one of the candidates. Among equal scores the first candidate is chosen.
        """
        predicts, data = method.predicts, self.of(seed)
        cuts = candidates(predicts, self.plan.rank, self.plan.dmax)
        predictions = self.predictions(method, seed, data.choosing)
        training = self.by_cut(predictions, data.choosing_targets, predicts, cuts, seed, self.choosing)
        best = {name: max(training, key=lambda cut, name=name: training[cut][name]) for name in self.choosing}
        predictions, chosen = self.predictions(method, seed, data.held_out), {float(cut) for cut in best.values()}
        held_out = self.by_cut(predictions, data.targets, predicts, chosen, seed, self.metrics)
        return {"training": training, "by": {name: {"cut": cut, "scores": held_out[cut]} for name, cut in best.items()}}

    def path_of_lines(self, method: Method, seed: int) -> Path:
        """Return the file that keeps the lines of `kept_lines`."""
        return self.path("method", self.settings(method, seed), ".npz")

    def kept_lines(self, method: Method, seed: int) -> np.ndarray:
        """Return the lines that a network found in the first held-out scene, (*size), bool."""
        with np.load(self.path_of_lines(method, seed)) as file:
            return file["lines"]

    def untrained(self, predicts: str, seed: int) -> Branch:
        """Return the network before the warm-up."""
        data = self.of(seed)
        torch.manual_seed(seed)
        return Branch(self.plan.rank, data.channels, self.plan.network, data.device, predicts)

    def start(self, predicts: str, seed: int) -> Branch:
        """Return the network after the warm-up."""
        path = self.path("start", self.common(seed) | {"predicts": predicts}, ".pt")
        branch = self.untrained(predicts, seed)
        if path.exists():
            branch.load_state_dict(torch.load(path, map_location=self.plan.device, weights_only=True))
        else:
            self.train(branch, predicts, BASE[predicts], range(self.plan.warmup), seed)
            _save(path, branch.state_dict())
        return branch

    def train(self, branch: Branch, predicts: str, loss: Loss, steps: range, seed: int) -> None:
        """Train a network on the batches of the given steps. Raises `TimeUp` after the deadline."""
        if time.perf_counter() > self.deadline:
            raise TimeUp
        data = self.of(seed)
        for number in tqdm(steps, unit="update", leave=False, dynamic_ncols=True):
            crops = data.warmup_crops if number < self.plan.warmup else data.crops
            images, target = crops.batch(number)
            branch.update(images, truth(target, predicts, self.plan.rank), loss)

    def network(self, method: Method, seed: int) -> nn.Module:
        """Return the trained network with averaged weights."""
        path = self.path("network", self.settings(method, seed), ".pt")
        if path.exists():
            network = self.untrained(method.predicts, seed).average
            network.load_state_dict(torch.load(path, map_location=self.plan.device, weights_only=True))
        else:
            branch, loss = self.start(method.predicts, seed), method.loss(seed, self.plan.device)
            steps = range(self.plan.warmup, self.plan.warmup + self.plan.steps)
            self.train(branch, method.predicts, loss, steps, seed)
            network = branch.averaged(self.of(seed).crops)
            _save(path, network.state_dict())
        return network

    def predictions(self, method: Method, seed: int, scenes: list[Scene]) -> list[Tensor]:
        """Return the trained network's predictions of scenes, (*size) each, on the CPU."""
        network, device = self.network(method, seed), self.of(seed).device
        return [predict(network, torch.from_numpy(scene.image).to(device)).cpu() for scene in scenes]

    def by_cut(
        self,
        predictions: list[Tensor],
        targets: list[Tensor],
        predicts: str,
        cuts: Iterable[float],
        seed: int,
        names: Sequence[str],
    ) -> Scores:
        """Score predictions (*size) against true distance maps, for each cut of the predictions to lines."""
        rank = self.plan.rank
        middle, *_ = thresholds("distance", rank, self.plan.dmax)
        true = [lines_of(target, "distance", rank, middle) for target in targets]
        return {
            f"{cut:g}": score([lines_of(each, predicts, rank, cut) for each in predictions], true, seed, names)
            for cut in cuts
        }

    def of(self, seed: int) -> Data:
        """Return the data of a seed."""
        if seed not in self.data:
            self.data[seed] = Data(self.plan, seed)
        return self.data[seed]

    def common(self, seed: int) -> dict[str, Any]:
        """Return the settings that determine the warm-up."""
        shared = asdict(self.plan) | {"seed": seed}
        return {name: value for name, value in shared.items() if name not in ("seeds", "steps")}

    def settings(self, method: Method, seed: int) -> dict[str, Any]:
        """Return the settings that determine a network."""
        return self.common(seed) | {"steps": self.plan.steps, "predicts": method.predicts, "loss": str(method)}

    def path(self, kind: str, settings: dict[str, Any], suffix: str = ".json") -> Path:
        """Return the file that keeps a result of these settings."""
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        return self.work / f"{kind}-{digest[:16]}{suffix}"


def _save(path: Path, state: dict[str, Any]) -> None:
    """Save a state. An interrupted run leaves no incomplete file."""
    torch.save(state, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").replace(path)


def _write(path: Path, content: bytes) -> None:
    """Write a file. An interrupted run leaves no incomplete file."""
    path.with_suffix(".tmp").write_bytes(content)
    path.with_suffix(".tmp").replace(path)
