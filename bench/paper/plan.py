"""What is trained on: the settings that all rows of a table have in common, and the scenes of each seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import torch
from torch import Tensor

from bench.train.crops import Crops, distance_map
from bench.train.folder import load_folder
from bench.train.network import PRESETS, Preset
from bench.train.neurons import hemibrain
from bench.train.roads import DECOYS, FEW_DECOYS, helsinki
from bench.train.scenes import Scene

CHOSEN_ON = 8  # training scenes at most: scoring all scenes of a large folder would take longer than training
# Renderers by name of the data. The last scene is held out.
RENDERED: dict[str, Callable[[int, int | None], tuple[Scene, ...]]] = {
    "roads": helsinki,
    "roads and decoys": partial(helsinki, decoys=DECOYS),
    "roads and few decoys": partial(helsinki, decoys=FEW_DECOYS),
    "neurons": hemibrain,
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
        A key of `bench.train.network.PRESETS`.
    device : str
        The device to train on.
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
        """The number of axes."""
        return 3 if self.data == "neurons" else 2

    @property
    def network(self) -> Preset:
        """The network and its optimiser."""
        return PRESETS[self.preset][self.rank]

    def scenes(self, seed: int) -> tuple[list[Scene], list[Scene]]:
        """Return the scenes to train on and the scenes held out."""
        if self.data == "folder":
            assert self.images is not None and self.masks is not None
            return load_folder(Path(self.images), Path(self.masks), self.held_out)
        *training, last = RENDERED[self.data](seed, self.rows)
        return training, [last]


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
            self.crops = Crops(training, plan.network.crop, plan.network.batch, seed, self.device)
        except (OSError, ValueError) as error:
            raise InputError(str(error)) from error
        self.channels, self.choosing = len(self.held_out[0].image), training[:CHOSEN_ON]

    @cached_property
    def targets(self) -> list[Tensor]:
        """The true distance maps (*size) of the held-out scenes."""
        return [distance_map(scene) for scene in self.held_out]

    @cached_property
    def choosing_targets(self) -> list[Tensor]:
        """The true distance maps (*size) of the training scenes that cuts are chosen on."""
        return [distance_map(scene) for scene in self.choosing]
