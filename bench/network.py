"""The networks, and how they are trained."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from monai.networks.nets import BasicUNet
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from bench.crops import LAYOUT, TRUNCATION, Crops
from gpuph import LocalizedPHLoss

AVERAGING = 0.99  # of the weights, from step to step
STATISTICS_BATCHES = 30


@dataclass(frozen=True)
class Preset:
    """A network and how it is trained; `weight`, `warmup` and `steps` are defaults of the command line."""

    features: tuple[int, ...]  # of BasicUNet: five levels down, and the last one up
    learning_rate: float
    batch: int
    crop: int  # pixels
    weight: float
    warmup: int
    steps: int


# By name and number of axes.
PRESETS = {
    "small": {
        2: Preset((8, 8, 16, 32, 64, 8), 2e-3, batch=4, crop=128, weight=0.1, warmup=600, steps=800),
        3: Preset((8, 16, 32, 64, 128, 8), 2e-3, batch=2, crop=48, weight=0.01, warmup=400, steps=400),
    },
    "paper": {
        2: Preset((32, 64, 128, 256, 512, 32), 1e-4, batch=8, crop=128, weight=0.01, warmup=0, steps=20_000),
        3: Preset((32, 64, 128, 256, 512, 32), 1e-4, batch=2, crop=96, weight=0.01, warmup=0, steps=20_000),
    },
}


class DistanceNet(nn.Module):
    """A U-Net that predicts the truncated distance map, in pixels: (B, 1, H, W) of images (B, C, H, W), or in 3D."""

    def __init__(self, rank: int, channels: int, preset: Preset) -> None:
        super().__init__()
        self.truncation = TRUNCATION[rank]
        # Interpolation, as the transposed convolutions that are the default leave checkerboards, full of tiny loops.
        self.unet = BasicUNet(rank, channels, 1, features=preset.features, norm="batch", upsample="nontrainable")

    def forward(self, images: Tensor) -> Tensor:
        # The U-Net starts near 0, and most pixels are far from any road; its outputs learn best around 1.
        return self.truncation * (1 - self.unet(images))


class Branch:
    """A network in training: its weights, their running average, which is what gets evaluated, and the optimiser.

    The average takes the place of a learning rate that decays: it is as quiet, and training can go on at any time.
    """

    def __init__(self, rank: int, channels: int, preset: Preset, device: torch.device) -> None:
        self.net = DistanceNet(rank, channels, preset).to(device, memory_format=LAYOUT[rank])
        self.average = AveragedModel(self.net, multi_avg_fn=get_ema_multi_avg_fn(AVERAGING))
        self.optimiser = torch.optim.Adam(self.net.parameters(), lr=preset.learning_rate)

    def update(
        self, images: Tensor, target: Tensor, topology: LocalizedPHLoss | None = None, weight: float = 0.0
    ) -> Tensor:
        """Take one step; returns the mean squared error before it."""
        self.net.train()
        prediction = self.net(images)
        mse = nn.functional.mse_loss(prediction, target)
        loss = mse if topology is None else mse + weight * topology(prediction, target)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.average.update_parameters(self.net)
        return mse.detach()

    def averaged(self, crops: Crops) -> nn.Module:
        """The averaged network, with batch-norm statistics of its own, counted on some training batches."""
        net = copy.deepcopy(self.average)
        update_bn((crops.batch(number) for number in range(STATISTICS_BATCHES)), net)
        return net

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name).state_dict() for name in ("net", "average", "optimiser")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, part in state.items():
            getattr(self, name).load_state_dict(part)
