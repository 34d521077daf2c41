"""Train networks that differ in the loss alone, and keep what was found, so that an interrupted table goes on.

All methods of a seed that predict the same, distances or probabilities, go on from one warm-up with the base loss, over
the same batches. The two warm-ups start from the same weights.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from bench.crops import Crops, distance_map
from bench.evaluate import predict
from bench.folder import load_folder
from bench.network import PRESETS, Branch, Loss
from bench.neurons import hemibrain
from bench.paper.methods import BASE, Method, lines_of, thresholds, truth
from bench.paper.scores import score
from bench.roads import helsinki
from bench.scenes import Scene

Scores = dict[str, dict[str, float]]  # of each metric, by threshold
RENDERED = {"roads": helsinki, "neurons": hemibrain}  # the last scene is held out


@dataclass(frozen=True)
class Plan:
    """What all rows of a table have in common.

    Attributes
    ----------
    data : str
        "roads", "neurons" or "folder".
    warmup, steps : int
        Of the common start, and of each method after it.
    seeds : tuple of int
        Each decides rendering, first weights, batches and what losses draw.
    rows : int, optional
        Only so many rows of the rendered scenes.
    images, masks : str, optional
        The directories of a "folder", of which the share `held_out` is held out.
    preset : str
        Of `bench.network.PRESETS`.
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
        self.channels = len(self.held_out[0].image)

    @cached_property
    def targets(self) -> list[Tensor]:
        """True distance maps (*size) of the held-out scenes."""
        return [distance_map(scene) for scene in self.held_out]


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
        networks = [(seed, name) for seed in self.plan.seeds for name in methods]
        for seed, name in tqdm(networks, unit="network", dynamic_ncols=True):
            self.data = {known: data for known, data in self.data.items() if known == seed}
            scores[name].append(self.scored(methods[name], seed)["scores"])
        return scores

    def scored(self, method: Method, seed: int) -> dict[str, Any]:
        """Train and score one network; its first held-out scene's lines are kept for the figure."""
        settings = self.settings(method, seed)
        path = self.path("method", settings)
        if path.exists():
            found = json.loads(path.read_text())
        else:
            started = time.perf_counter()
            branch = self.start(method.predicts, seed)
            self.train(branch, method.predicts, method.loss(seed), self.plan.warmup, self.plan.steps, seed)
            rank, predictions = self.plan.rank, self.predictions(branch, seed)
            true = [lines_of(target, "distance", rank) for target in self.of(seed).targets]
            scores = {}
            for threshold in thresholds(method.predicts, rank):
                lines = [lines_of(prediction, method.predicts, rank, threshold) for prediction in predictions]
                scores[f"{threshold:g}"] = score(lines, true, seed)
            found = {"settings": settings, "scores": scores, "seconds": time.perf_counter() - started}
            lines = lines_of(predictions[0], method.predicts, rank)
            np.savez_compressed(path.with_suffix(".npz"), lines=lines.numpy())
            _write(path, json.dumps(found, indent=1).encode())
        self.seconds += found["seconds"]
        return found

    def kept_lines(self, method: Method, seed: int) -> np.ndarray:
        """The lines that a network found in the first held-out scene, (*size), bool."""
        with np.load(self.path("method", self.settings(method, seed)).with_suffix(".npz")) as file:
            return file["lines"]

    def start(self, predicts: str, seed: int) -> Branch:
        """The network after the warm-up."""
        path = self.path("start", self.common(seed) | {"predicts": predicts}, ".pt")
        data = self.of(seed)
        torch.manual_seed(seed)
        branch = Branch(self.plan.rank, data.channels, PRESETS[self.plan.preset][self.plan.rank], data.device, predicts)
        if path.exists():
            branch.load_state_dict(torch.load(path, map_location=data.device, weights_only=True))
        else:
            self.train(branch, predicts, BASE[predicts], 0, self.plan.warmup, seed)
            torch.save(branch.state_dict(), path.with_suffix(".tmp"))
            path.with_suffix(".tmp").replace(path)
        return branch

    def train(self, branch: Branch, predicts: str, loss: Loss, first: int, steps: int, seed: int) -> None:
        crops = self.of(seed).crops
        for number in tqdm(range(first, first + steps), unit="update", leave=False, dynamic_ncols=True):
            images, target = crops.batch(number)
            branch.update(images, truth(target, predicts, self.plan.rank), loss)

    def predictions(self, branch: Branch, seed: int) -> list[Tensor]:
        """What a network predicts of the held-out scenes, (*size), on the CPU."""
        data = self.of(seed)
        network = branch.averaged(data.crops)
        images = [torch.from_numpy(scene.image).to(data.device) for scene in data.held_out]
        return [predict(network, image).cpu() for image in images]

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


def _write(path: Path, content: bytes) -> None:
    """Write a file as a whole: an interrupted run leaves none."""
    path.with_suffix(".tmp").write_bytes(content)
    path.with_suffix(".tmp").replace(path)
