"""Batches of crops to train on."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bench.scenes import Scene
from gpuph import truncated_distance_map

TRUNCATION = 20.0  # pixels


class Crops:
    """Batches of `count` random crops, `side` pixels a side, flipped and turned at random.

    Batch number i of a seed is always the same, so that a run can be resumed anywhere.
    """

    def __init__(self, scenes: list[Scene], side: int, count: int, seed: int, device: torch.device) -> None:
        self.scenes = [torch.cat((torch.from_numpy(scene.image), distance_map(scene)[None])) for scene in scenes]
        for scene in scenes:
            height, width = scene.mask.shape
            if min(height, width) < side:
                raise ValueError(f"an image is {height} x {width} pixels, smaller than a crop of {side}")
        areas = np.array([scene[0].numel() for scene in self.scenes], float)
        self.chances = areas / areas.sum()
        self.side, self.count, self.seed, self.device = side, count, seed, device

    def batch(self, number: int) -> tuple[Tensor, Tensor]:
        """Return images (count, C, side, side) and their distance maps (count, 1, side, side)."""
        rng = np.random.default_rng((self.seed, number))
        side, crops = self.side, []
        for i in rng.choice(len(self.scenes), self.count, p=self.chances):
            scene = self.scenes[i]
            y, x = (int(rng.integers(0, length - side + 1)) for length in scene.shape[1:])
            crop = torch.rot90(scene[:, y : y + side, x : x + side], int(rng.integers(4)), (1, 2))
            crops.append(crop.flip(2) if rng.integers(2) else crop)
        batch = torch.stack(crops).to(self.device)
        return batch[:, :-1].contiguous(memory_format=torch.channels_last), batch[:, -1:]


def distance_map(scene: Scene) -> Tensor:
    """The truncated distance map (H, W) that the network is to learn."""
    return truncated_distance_map(torch.from_numpy(scene.mask)[None, None], TRUNCATION)[0, 0]
