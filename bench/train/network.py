"""Networks that predict distance maps or probabilities, and one training step."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from monai.networks.nets import BasicUNet
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from bench.train.crops import LAYOUT, TRUNCATION, Crops

Loss = Callable[[Tensor, Tensor], Tensor]  # of predicted and true maps (B, 1, *size)

AVERAGING = 0.99  # decay of the running average of the weights, per step
STATISTICS_BATCHES = 30  # that the averaged network's batch-norm statistics are computed on


def plus(term: Loss, weight: float, base: Loss = nn.functional.mse_loss) -> Loss:
    """Return the loss base + weight * term."""
    return lambda pred, target: base(pred, target) + weight * term(pred, target)


@dataclass(frozen=True)
class Preset:
    """A network and its training. `weight`, `warmup` and `steps` are the defaults of the command line."""

    features: tuple[int, ...]  # channels of BasicUNet: five levels down, and the last level up
    learning_rate: float
    batch: int  # crops
    crop: int  # side, pixels
    weight: float  # of the localized loss
    warmup: int  # steps with the base loss alone
    steps: int  # after the warm-up
    truncation: float | None = None  # of distance maps, pixels; by default `TRUNCATION`
    averaging: float = AVERAGING
    light: bool = False  # `LightUNet`: one convolution per level instead of two, and one level less


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


class LightUNet(nn.Module):
    """A U-Net for images with one convolution per level, which takes a fifth of the time of BasicUNet.

    Parameters
    ----------
    channels : int
        Of the images.
    features : sequence of int
        Channels of the levels, from the finest to the coarsest. The finest level has as many after the way up.
    """

    def __init__(self, channels: int, features: Sequence[int]) -> None:
        super().__init__()
        pairs = [*pairwise((channels, *features))]
        self.down = nn.ModuleList(_convolution(x, y) for x, y in pairs)
        self.up = nn.ModuleList(_convolution(x + y, x) for x, y in pairs[:0:-1])
        self.last = nn.Conv2d(features[0], 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        x, skipped = images, []
        for i, layer in enumerate(self.down):
            x = layer(nn.functional.avg_pool2d(x, 2) if i else x)
            skipped.append(x)
        skipped.pop()
        for layer in self.up:
            x = nn.functional.interpolate(x, scale_factor=2, mode="bilinear")
            x = layer(torch.cat((x, skipped.pop()), dim=1))
        return self.last(x)


def _convolution(channels: int, features: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, features, 3, padding=1, bias=False), nn.BatchNorm2d(features), nn.LeakyReLU(0.1)
    )


def _unet(rank: int, channels: int, preset: Preset) -> nn.Module:
    if preset.light:
        return LightUNet(channels, preset.features)
    # Upsample by interpolation: the default, transposed convolutions, leaves checkerboards full of tiny loops.
    return BasicUNet(rank, channels, 1, features=preset.features, norm="batch", upsample="nontrainable")


class DistanceNet(nn.Module):
    """A U-Net that predicts the truncated distance map (B, 1, *size), in pixels, of images (B, C, *size)."""

    def __init__(self, rank: int, channels: int, preset: Preset) -> None:
        super().__init__()
        self.truncation = preset.truncation or TRUNCATION[rank]
        self.unet = _unet(rank, channels, preset)

    def forward(self, images: Tensor) -> Tensor:
        # The U-Net's output starts near 0, which stands for the truncation, the distance of most pixels.
        return self.truncation * (1 - self.unet(images))


class ProbabilityNet(nn.Module):
    """A U-Net that predicts the probability that a pixel is on a line, (B, 1, *size), of images (B, C, *size)."""

    def __init__(self, rank: int, channels: int, preset: Preset) -> None:
        super().__init__()
        self.unet = _unet(rank, channels, preset)

    def forward(self, images: Tensor) -> Tensor:
        return (self.unet(images) - 2).sigmoid()  # starts near the share of pixels that are on lines


NETWORKS = {"distance": DistanceNet, "probability": ProbabilityNet}  # by what they predict


class Branch:
    """A network in training: its weights, their running average, and the optimiser.

    The average is what gets evaluated. It replaces a decaying learning rate: it fluctuates as little, and training can
    continue at any time.
    """

    def __init__(
        self, rank: int, channels: int, preset: Preset, device: torch.device, predicts: str = "distance"
    ) -> None:
        self.net = NETWORKS[predicts](rank, channels, preset).to(device, memory_format=LAYOUT[rank])
        self.average = AveragedModel(self.net, multi_avg_fn=get_ema_multi_avg_fn(preset.averaging))
        self.optimiser = torch.optim.Adam(self.net.parameters(), lr=preset.learning_rate)

    def update(self, images: Tensor, target: Tensor, loss_fn: Loss = nn.functional.mse_loss) -> Tensor:
        """Take one optimiser step, and return the loss before it."""
        self.net.train()
        loss = loss_fn(self.net(images), target)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.average.update_parameters(self.net)
        return loss.detach()

    def averaged(self, crops: Crops) -> nn.Module:
        """Return the averaged network, with its batch-norm statistics computed on some training batches."""
        net = copy.deepcopy(self.average)
        update_bn((crops.batch(number) for number in range(STATISTICS_BATCHES)), net)
        return net

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name).state_dict() for name in ("net", "average", "optimiser")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, part in state.items():
            getattr(self, name).load_state_dict(part)
