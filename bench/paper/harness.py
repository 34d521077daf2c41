"""Train networks that differ in the loss alone, and keep them and their scores, so that an interrupted table goes on.

All methods of a seed that predict the same, distances or probabilities, go on from one warm-up with the base loss, over
the same batches. The two warm-ups start from the same weights.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from bench.paper.methods import BASE, Method, candidates, lines_of, thresholds, truth
from bench.paper.scores import HIGHER_IS_BETTER, score
from bench.train.crops import Crops, distance_map
from bench.train.evaluation import predict
from bench.train.folder import load_folder
from bench.train.network import PRESETS, Branch, Loss
from bench.train.neurons import hemibrain
from bench.train.roads import DECOYS, FEW_DECOYS, helsinki
from bench.train.scenes import Scene

Scores = dict[str, dict[str, float]]  # of each metric, by threshold
CHOOSING = ("APLS", "CCQ")  # the metrics that a cut may be chosen by
CHOSEN_ON = 8  # training scenes at most: scoring a folder's all would take longer than training
# The last scene is held out.
RENDERED = {
    "roads": helsinki,
    "roads and decoys": partial(helsinki, decoys=DECOYS),
    "roads and few decoys": partial(helsinki, decoys=FEW_DECOYS),
    "neurons": hemibrain,
}


@dataclass(frozen=True)
class Plan:
    """What all rows of a table have in common.

    Attributes
    ----------
    data : str
        "folder", or of `RENDERED`.
    warmup, steps : int
        Of the common start, and of each method after it.
    seeds : tuple of int
        Each decides rendering, first weights, batches and what losses draw.
    rows : int, optional
        Only so many rows of the rendered scenes.
    images, masks : str, optional
        The directories of a "folder", of which the share `held_out` is held out.
    preset : str
        Of `bench.train.network.PRESETS`.
    device : str
        Where it runs.
    """

    data: str
    warmup: int
    steps: int
    seeds: tuple[int, ...]
    rows: int | None = None
    images: str | None = None
    masks: str | None = None
    held_out: float = 0.4
    preset: str = "small"
    device: str = "cpu"

    @property
    def rank(self) -> int:
        return 3 if self.data == "neurons" else 2

    def scenes(self, seed: int) -> tuple[list[Scene], list[Scene]]:
        """Those to train on, and those held out."""
        if self.data == "folder":
            assert self.images is not None and self.masks is not None
            return load_folder(Path(self.images), Path(self.masks), self.held_out)
        *training, last = RENDERED[self.data](seed, self.rows)
        return training, [last]


class InputError(ValueError):
    """What a user gave cannot be trained on."""


class Data:
    """The scenes of one seed. Raises InputError if they are not what the network needs."""

    def __init__(self, plan: Plan, seed: int) -> None:
        preset, self.device = PRESETS[plan.preset][plan.rank], torch.device(plan.device)
        try:
            training, self.held_out = plan.scenes(seed)
            self.crops = Crops(training, preset.crop, preset.batch, seed, self.device)
        except (OSError, ValueError) as error:
            raise InputError(str(error)) from error
        self.channels, self.choosing = len(self.held_out[0].image), training[:CHOSEN_ON]

    @cached_property
    def targets(self) -> list[Tensor]:
        """True distance maps (*size) of the held-out scenes."""
        return [distance_map(scene) for scene in self.held_out]

    @cached_property
    def choosing_targets(self) -> list[Tensor]:
        """True distance maps (*size) of the training scenes that a cut is chosen on."""
        return [distance_map(scene) for scene in self.choosing]


class Harness:
    """Runs methods of a plan, or reads what an earlier run of the same found, from the directory `work`.

    `seconds` is what the runs took, those read included.
    """

    def __init__(self, plan: Plan, work: Path) -> None:
        self.plan, self.work = plan, work
        self.seconds = 0.0
        self.data: dict[int, Data] = {}
        work.mkdir(parents=True, exist_ok=True)

    def run(self, methods: dict[str, Method]) -> dict[str, list[Scores]]:
        """Scores of each method, by threshold, for each seed."""
        scores: dict[str, list[Scores]] = {name: [] for name in methods}
        for seed, name in self.pairs(methods):
            scores[name].append(self.kept("method", methods[name], seed, self.scored)["scores"])
        return scores

    def choose(self, methods: dict[str, Method]) -> dict[str, list[dict[str, Any]]]:
        """What `chosen` finds for each method, for each seed."""
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in methods}
        for seed, name in self.pairs(methods):
            found[name].append(self.kept("chosen", methods[name], seed, self.chosen)["by"])
        return found

    def pairs(self, methods: dict[str, Method]) -> Iterator[tuple[int, str]]:
        """Each seed and the name of each method; data of one seed at a time are kept."""
        every = [(seed, name) for seed in self.plan.seeds for name in methods]
        for seed, name in tqdm(every, unit="network", dynamic_ncols=True):
            self.data = {known: data for known, data in self.data.items() if known == seed}
            yield seed, name

    def kept(
        self, kind: str, method: Method, seed: int, find: Callable[[Method, int], dict[str, Any]]
    ) -> dict[str, Any]:
        """What `find` finds of one network, or an earlier run of the same has found."""
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
        """Train and score one network; its first held-out scene's lines are kept for the figure."""
        predicts, rank, data = method.predicts, self.plan.rank, self.of(seed)
        predictions = self.predictions(method, seed, data.held_out)
        scores = by_cut(predictions, data.targets, predicts, thresholds(predicts, rank), seed)
        np.savez_compressed(self.path_of_lines(method, seed), lines=lines_of(predictions[0], predicts, rank).numpy())
        return {"scores": scores}

    def chosen(self, method: Method, seed: int) -> dict[str, Any]:
        """Cut one network's predictions where the training scenes are scored best, and score the held-out scenes so.

        Of the candidates' scores on the training scenes, each metric in `CHOOSING` decides once; of equals the first.
        """
        predicts, data = method.predicts, self.of(seed)
        predictions, cuts = self.predictions(method, seed, data.choosing), candidates(predicts, self.plan.rank)
        training = by_cut(predictions, data.choosing_targets, predicts, cuts, seed, CHOOSING)
        best = {name: max(training, key=lambda cut, name=name: training[cut][name]) for name in CHOOSING}
        predictions = self.predictions(method, seed, data.held_out)
        held_out = by_cut(predictions, data.targets, predicts, {float(cut) for cut in best.values()}, seed)
        return {"training": training, "by": {name: {"cut": cut, "scores": held_out[cut]} for name, cut in best.items()}}

    def path_of_lines(self, method: Method, seed: int) -> Path:
        return self.path("method", self.settings(method, seed), ".npz")

    def kept_lines(self, method: Method, seed: int) -> np.ndarray:
        """The lines that a network found in the first held-out scene, (*size), bool."""
        with np.load(self.path_of_lines(method, seed)) as file:
            return file["lines"]

    def untrained(self, predicts: str, seed: int) -> Branch:
        """The network before the warm-up."""
        data = self.of(seed)
        torch.manual_seed(seed)
        return Branch(self.plan.rank, data.channels, PRESETS[self.plan.preset][self.plan.rank], data.device, predicts)

    def start(self, predicts: str, seed: int) -> Branch:
        """The network after the warm-up."""
        path = self.path("start", self.common(seed) | {"predicts": predicts}, ".pt")
        branch = self.untrained(predicts, seed)
        if path.exists():
            branch.load_state_dict(torch.load(path, map_location=self.plan.device, weights_only=True))
        else:
            self.train(branch, predicts, BASE[predicts], 0, self.plan.warmup, seed)
            _save(path, branch.state_dict())
        return branch

    def train(self, branch: Branch, predicts: str, loss: Loss, first: int, steps: int, seed: int) -> None:
        crops = self.of(seed).crops
        for number in tqdm(range(first, first + steps), unit="update", leave=False, dynamic_ncols=True):
            images, target = crops.batch(number)
            branch.update(images, truth(target, predicts, self.plan.rank), loss)

    def network(self, method: Method, seed: int) -> nn.Module:
        """The trained network, as it is evaluated."""
        path = self.path("network", self.settings(method, seed), ".pt")
        if path.exists():
            network = self.untrained(method.predicts, seed).average
            network.load_state_dict(torch.load(path, map_location=self.plan.device, weights_only=True))
        else:
            branch, loss = self.start(method.predicts, seed), method.loss(seed, self.plan.device)
            self.train(branch, method.predicts, loss, self.plan.warmup, self.plan.steps, seed)
            network = branch.averaged(self.of(seed).crops)
            _save(path, network.state_dict())
        return network

    def predictions(self, method: Method, seed: int, scenes: list[Scene]) -> list[Tensor]:
        """What the trained network predicts of scenes, (*size), on the CPU."""
        network, device = self.network(method, seed), self.of(seed).device
        return [predict(network, torch.from_numpy(scene.image).to(device)).cpu() for scene in scenes]

    def of(self, seed: int) -> Data:
        if seed not in self.data:
            self.data[seed] = Data(self.plan, seed)
        return self.data[seed]

    def common(self, seed: int) -> dict[str, Any]:
        """What decides the common start."""
        shared = asdict(self.plan) | {"seed": seed}
        return {name: value for name, value in shared.items() if name not in ("seeds", "steps")}

    def settings(self, method: Method, seed: int) -> dict[str, Any]:
        """What decides a row of the table."""
        return self.common(seed) | {"steps": self.plan.steps, "predicts": method.predicts, "loss": str(method)}

    def path(self, kind: str, settings: dict[str, Any], suffix: str = ".json") -> Path:
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        return self.work / f"{kind}-{digest[:16]}{suffix}"


def by_cut(
    predictions: list[Tensor],
    targets: list[Tensor],
    predicts: str,
    cuts: Iterable[float],
    seed: int,
    names: Sequence[str] = tuple(HIGHER_IS_BETTER),
) -> Scores:
    """Score predictions (*size) against true distance maps, cut to lines at each threshold."""
    rank = targets[0].dim()
    true = [lines_of(target, "distance", rank) for target in targets]
    return {
        f"{cut:g}": score([lines_of(each, predicts, rank, cut) for each in predictions], true, seed, names)
        for cut in cuts
    }


def _save(path: Path, state: dict[str, Any]) -> None:
    """Save a state as a whole: an interrupted run leaves none."""
    torch.save(state, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").replace(path)


def _write(path: Path, content: bytes) -> None:
    """Write a file as a whole: an interrupted run leaves none."""
    path.with_suffix(".tmp").write_bytes(content)
    path.with_suffix(".tmp").replace(path)
