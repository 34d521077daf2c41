"""Batches of random crops to train on."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from bench.train.scenes import Scene
from gpuph import truncated_distance_map

# By the number of axes. Neurites lie closer together than roads, and volumes have more pixels than images.
TRUNCATION = {2: 20.0, 3: 10.0}  # of distance maps, pixels
WINDOW = {2: 64, 3: 48}  # of the loss and of the Betti error, pixels
LAYOUT = {2: torch.channels_last, 3: torch.channels_last_3d}


class Crops:
    """Batches of random crops of images or volumes, rotated and flipped at random.

    A batch depends only on the seed and its number, so that training can be resumed at any step.

    Parameters
    ----------
    scenes : list of Scene
        A scene is drawn with a probability proportional to its size.
    side : int
        Side length of a crop, pixels.
    count : int
        Crops in a batch.
    seed : int
        Seed of all random choices.
    device : torch.device
        Where batches are placed.
    truncation : float, optional
        Of the distance maps, pixels. The default depends on the number of axes.

    Raises
    ------
    ValueError
        If a scene is smaller than a crop.
    """

    def __init__(
        self,
        scenes: list[Scene],
        side: int,
        count: int,
        seed: int,
        device: torch.device,
        truncation: float | None = None,
    ) -> None:
        maps = [distance_map(scene, truncation)[None] for scene in scenes]
        self.scenes = [torch.cat((torch.from_numpy(x.image), y)) for x, y in zip(scenes, maps, strict=True)]
        for scene in scenes:
            if min(scene.mask.shape) < side:
                size = " x ".join(map(str, scene.mask.shape))
                raise ValueError(f"an image is {size} pixels, smaller than a crop of {side}")
        sizes = np.array([scene.mask.size for scene in scenes], float)
        self.probabilities = sizes / sizes.sum()
        self.side, self.count, self.seed, self.device = side, count, seed, device

    def batch(self, number: int) -> tuple[Tensor, Tensor]:
        """Return images (count, C, *crop) and their distance maps (count, 1, *crop)."""
        rng = np.random.default_rng((self.seed, number))
        side, crops = self.side, []
        for i in rng.choice(len(self.scenes), self.count, p=self.probabilities):
            scene = self.scenes[i]
            starts = [int(rng.integers(0, length - side + 1)) for length in scene.shape[1:]]
            crop = scene[(slice(None), *(slice(start, start + side) for start in starts))]
            for plane in combinations(range(1, crop.ndim), 2):
                crop = torch.rot90(crop, int(rng.integers(4)), plane)
            crops.append(crop.flip(-1) if rng.integers(2) else crop)
        batch = torch.stack(crops).to(self.device)
        return batch[:, :-1].contiguous(memory_format=LAYOUT[batch.dim() - 2]), batch[:, -1:]


def distance_map(scene: Scene, truncation: float | None = None) -> Tensor:
    """Return the truncated distance map, shape (H, W) or (D, H, W), that a network learns to predict."""
    truncation = truncation or TRUNCATION[scene.mask.ndim]
    return truncated_distance_map(torch.from_numpy(scene.mask)[None, None], truncation)[0, 0]
