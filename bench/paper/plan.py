"""What is trained on: the settings that all rows of a table have in common, and the scenes of each seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.paper.misalignment import displace, displacement
from bench.train import network
from bench.train.crops import Crops, distance_map
from bench.train.folder import load_folder
from bench.train.network import Preset
from bench.train.neurons import hemibrain
from bench.train.roads import DECOYS, FEW_DECOYS, helsinki, misread
from bench.train.scenes import Scene

PRESETS = network.PRESETS | {  # "brief" is for comparisons of many networks, on crops of one window
    "brief": {2: Preset(*((8, 16, 32, 64), 5e-3, 4, 64), weight=0.1, warmup=300, steps=100, averaging=0.95, light=True)}
}
SHIFTS = (0.0, 3.0, 6.0)  # root mean square lengths of the displacements of labels, pixels
CHOSEN_ON = 8  # training scenes at most: scoring all scenes of a large folder would take longer than training


def moved(seed: int, rows: int | None, shift: float) -> tuple[Scene, ...]:
    """Render Helsinki, and move the labels of all scenes but the last one by a smooth random displacement."""
    *training, last = helsinki(seed, rows)
    rng = np.random.default_rng((seed, 3))
    fields = [shift * displacement(scene.mask.shape, rng) for scene in training]
    return *(replace(x, mask=displace(x.mask, field)) for x, field in zip(training, fields, strict=True)), last


def shifted(shift: float) -> str:
    """Return the name of the data whose training labels have moved by `shift` pixels."""
    return f"labels moved by {shift:g}"


# Renderers by name of the data. The last scene is held out.
RENDERED: dict[str, Callable[[int, int | None], tuple[Scene, ...]]] = {
    "roads": helsinki,
    "roads and decoys": partial(helsinki, decoys=DECOYS),
    "roads and few decoys": partial(helsinki, decoys=FEW_DECOYS),
    "misread roads": misread,
    "neurons": hemibrain,
    **{shifted(shift): partial(moved, shift=shift) for shift in SHIFTS},
}


@dataclass(frozen=True)
class Plan:
    """The settings that all rows of a table have in common.

    Attributes
    ----------
    data : str
        "folder", or a key of `RENDERED`.
    warmup, steps : int
        Steps of the warm-up, and of each method after it.
    seeds : tuple of int
        Each is the seed of rendering, initial weights, batches and the losses' random draws.
    rows : int, optional
        Render only this many rows of the scenes.
    images, masks : str, optional
        The directories of a "folder".
    held_out : float
        The share of a "folder" that is held out.
    preset : str
        A key of `PRESETS`.
    device : str
        The device to train on.
    dmax : float, optional
        The truncation of distance maps, pixels. Cuts of predictions and truth change with it.
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
    dmax: float | None = None

    @property
    def rank(self) -> int:
        """The number of axes."""
        return 3 if self.data == "neurons" else 2

    @property
    def network(self) -> Preset:
        """The network and its optimiser."""
        return replace(PRESETS[self.preset][self.rank], truncation=self.dmax)

    def scenes(self, seed: int) -> tuple[list[Scene], list[Scene]]:
        """Return the scenes to train on and the scenes held out."""
        if self.data == "folder":
            assert self.images is not None and self.masks is not None
            return load_folder(Path(self.images), Path(self.masks), self.held_out)
        *training, last = rendered(self.data, seed, self.rows)
        return training, [last]


@lru_cache(maxsize=1)  # plans that differ in the truncation take turns at a seed
def rendered(data: str, seed: int, rows: int | None) -> tuple[Scene, ...]:
    """Return the rendered scenes of a seed."""
    return RENDERED[data](seed, rows)


class InputError(ValueError):
    """The given data cannot be trained on."""


class Data:
    """The scenes of one seed.

    Raises
    ------
    InputError
        If the scenes do not fit the network.
    """

    def __init__(self, plan: Plan, seed: int) -> None:
        self.device = torch.device(plan.device)
        try:
            training, self.held_out = plan.scenes(seed)
            network = plan.network
            cut = partial(Crops, side=network.crop, count=network.batch, seed=seed, device=self.device)
            self.crops = cut(training, truncation=plan.dmax)
            self.warmup_crops = self.crops
            if any(scene.warmup is not None for scene in training):
                misread = [scene if scene.warmup is None else replace(scene, mask=scene.warmup) for scene in training]
                self.warmup_crops = cut(misread, truncation=plan.dmax)
        except (OSError, ValueError) as error:
            raise InputError(str(error)) from error
        self.channels, self.choosing, self.dmax = len(self.held_out[0].image), training[:CHOSEN_ON], plan.dmax

    @cached_property
    def targets(self) -> list[Tensor]:
        """The true distance maps (*size) of the held-out scenes."""
        return [distance_map(scene, self.dmax) for scene in self.held_out]

    @cached_property
    def choosing_targets(self) -> list[Tensor]:
        """The true distance maps (*size) of the training scenes that cuts are chosen on."""
        return [distance_map(scene, self.dmax) for scene in self.choosing]
