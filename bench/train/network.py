"""The networks, and how they are trained."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from monai.networks.nets import BasicUNet
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from bench.train.crops import LAYOUT, TRUNCATION, Crops

Loss = Callable[[Tensor, Tensor], Tensor]  # of predicted and true maps, (B, 1, *size), as the network gives them

AVERAGING = 0.99  # of the weights, from step to step
STATISTICS_BATCHES = 30


def plus(term: Loss, weight: float, base: Loss = nn.functional.mse_loss) -> Loss:
    """A base loss with so much of another one."""
    return lambda pred, target: base(pred, target) + weight * term(pred, target)


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


def _unet(rank: int, channels: int, preset: Preset) -> BasicUNet:
    # Interpolation, as the transposed convolutions that are the default leave checkerboards, full of tiny loops.
    return BasicUNet(rank, channels, 1, features=preset.features, norm="batch", upsample="nontrainable")


class DistanceNet(nn.Module):
    """A U-Net that predicts the truncated distance map, in pixels: (B, 1, H, W) of images (B, C, H, W), or in 3D."""

    def __init__(self, rank: int, channels: int, preset: Preset) -> None:
        super().__init__()
        self.truncation = TRUNCATION[rank]
        self.unet = _unet(rank, channels, preset)

    def forward(self, images: Tensor) -> Tensor:
        # The U-Net starts near 0, and most pixels are far from any road; its outputs learn best around 1.
        return self.truncation * (1 - self.unet(images))


class ProbabilityNet(nn.Module):
    """The same U-Net for the probability of each pixel to be on a line: (B, 1, H, W), or in 3D."""

    def __init__(self, rank: int, channels: int, preset: Preset) -> None:
        super().__init__()
        self.unet = _unet(rank, channels, preset)

    def forward(self, images: Tensor) -> Tensor:
        return (self.unet(images) - 2).sigmoid()  # it starts near the share of lines among the pixels


NETWORKS = {"distance": DistanceNet, "probability": ProbabilityNet}  # by what they predict


class Branch:
    """A network in training: its weights, their running average, which is what gets evaluated, and the optimiser.

    The average takes the place of a learning rate that decays: it is as quiet, and training can go on at any time.
    """

    def __init__(
        self, rank: int, channels: int, preset: Preset, device: torch.device, predicts: str = "distance"
    ) -> None:
        self.net = NETWORKS[predicts](rank, channels, preset).to(device, memory_format=LAYOUT[rank])
        self.average = AveragedModel(self.net, multi_avg_fn=get_ema_multi_avg_fn(AVERAGING))
        self.optimiser = torch.optim.Adam(self.net.parameters(), lr=preset.learning_rate)

    def update(self, images: Tensor, target: Tensor, loss_fn: Loss = nn.functional.mse_loss) -> Tensor:
        """Take one step; returns the loss before it."""
        self.net.train()
        loss = loss_fn(self.net(images), target)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.average.update_parameters(self.net)
        return loss.detach()

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
