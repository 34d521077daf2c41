"""The methods that the tables compare: what a network predicts, and what it is trained with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy, mse_loss

import gpuph
from bench.train.crops import WINDOW
from bench.train.evaluation import THRESHOLD
from bench.train.network import Loss, plus
from gpuph.height import Height

BASE = {"probability": binary_cross_entropy, "distance": mse_loss}  # by what the network predicts
BASE_NAME = {"probability": "CE", "distance": "MSE"}

# What each term counts. The localized loss has the weight of `bench.train.network.PRESETS`, with which its gradient in
# the network's parameters is, after the warm-up, 0.21 (in 3D 0.27) times as long as that of the base loss. The others'
# weights give them the same share, to a factor of 2: found with seed 100, which no table uses, and not tuned further.
WEIGHTS = {
    2: {"DMT": 2.0, "ConnLoss": 0.1, "Homo-Pre": 0.1, "Homo-Reg": 0.1, "Homo-Ours": 0.1},
    3: {"Homo-Pre": 0.002, "Homo-Reg": 0.01, "Homo-Ours": 0.01},
}


@dataclass(frozen=True)
class Method:
    """What differs between the rows of a table.

    Attributes
    ----------
    predicts : str
        "distance" or "probability".
    term : callable, optional
        Makes the loss that is added to the base loss, from the generator that it may draw from.
    weight : float
        Of that term.
    """

    predicts: str
    term: Callable[[torch.Generator], nn.Module] | None = None
    weight: float = 0.0

    def loss(self, seed: int, device: str = "cpu") -> Loss:
        """The loss of predicted and true maps on a device."""
        base = BASE[self.predicts]
        if self.term is None:
            return base
        return plus(self.term(torch.Generator(device).manual_seed(seed)), self.weight, base)

    def __str__(self) -> str:
        base = BASE_NAME[self.predicts]
        return base if self.term is None else f"{base} + {self.weight:g} {self.term(torch.Generator())}"


class MeanOfDraws(nn.Module):
    """The mean over several calls of a loss that draws a height anew in each."""

    def __init__(self, loss: nn.Module, draws: int) -> None:
        super().__init__()
        self.each, self.draws = loss, draws

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        return torch.stack([self.each(pred, target) for _ in range(self.draws)]).mean()

    def __repr__(self) -> str:
        return f"mean of {self.draws} x {self.each}"


def truth(distance: Tensor, predicts: str, rank: int) -> Tensor:
    """What a network should predict, of true distance maps: themselves, or 1 on the lines and 0 elsewhere."""
    return distance if predicts == "distance" else lines_of(distance, "distance", rank).float()


def thresholds(predicts: str, rank: int) -> tuple[float, ...]:
    """Where a prediction is cut to lines: first where the tables cut it, then others, to see what depends on that."""
    if predicts == "probability":
        return (0.5, 0.3, 0.7)
    middle = THRESHOLD[rank]
    return (middle, middle / 2, middle * 1.5, middle * 2)


def candidates(predicts: str, rank: int) -> tuple[float, ...]:
    """Where a prediction may be cut instead, if the training scenes decide."""
    if predicts == "probability":
        return (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
    return tuple(THRESHOLD[rank] * quarters / 4 for quarters in range(2, 10))


def lines_of(prediction: Tensor, predicts: str, rank: int, threshold: float | None = None) -> Tensor:
    """The mask that a prediction is scored by; by default cut where the tables cut it."""
    threshold = thresholds(predicts, rank)[0] if threshold is None else threshold
    return prediction > threshold if predicts == "probability" else prediction < threshold


def localized(
    rank: int,
    weight: float | None = None,
    window: int | None = None,
    height: Height | None = None,
    unmatched: str = "half_squared",
) -> Method:
    """The localized loss beside the mean squared error, with what is not given as in `main_table`."""
    make = partial(_localized, window or WINDOW[rank], height or gpuph.RandomLinear(), unmatched)
    return Method("distance", make, WEIGHTS[rank]["Homo-Ours"] if weight is None else weight)


def mean_of_draws(rank: int, weight: float, draws: int = 8) -> Method:
    """The localized loss, averaged over several directions of its ramp in each step."""
    one = localized(rank).term
    assert one is not None
    return Method("distance", lambda generator: MeanOfDraws(one(generator), draws), weight)


def without_heights(rank: int, weight: float) -> Method:
    """The same loss without a height function."""
    return Method("distance", lambda _: gpuph.DistancePHLoss(window=WINDOW[rank]), weight)


def main_table(rank: int) -> dict[str, Method]:
    """The methods of tables 1 (images) and 3 (volumes), in the paper's order."""
    window, weights = WINDOW[rank], WEIGHTS[rank]
    methods = {
        "CE": Method("probability"),
        "MSE": Method("distance"),
        "DMT": Method("probability", lambda _: gpuph.MorseSkeletonLoss(), weights.get("DMT", 0.0)),
        "ConnLoss": Method("distance", lambda _: gpuph.ConnectivityLoss(), weights.get("ConnLoss", 0.0)),
        "Homo-Pre": Method("probability", lambda _: gpuph.LikelihoodPHLoss(window=window), weights["Homo-Pre"]),
        "Homo-Reg": without_heights(rank, weights["Homo-Reg"]),
        "Homo-Ours": localized(rank),
    }
    return {name: method for name, method in methods.items() if method.term is None or name in weights}


def by_weight(rank: int) -> dict[str, Method]:
    """The localized loss, and the one without heights, with weights around the preset's: table 5."""
    weights = [WEIGHTS[rank]["Homo-Ours"] * factor for factor in (0.3, 1, 3, 10)]
    ours = {f"Homo-Ours {weight:g}": localized(rank, weight) for weight in weights}
    plain = {f"Homo-Reg {weight:g}": without_heights(rank, weight) for weight in weights}
    return {"MSE": Method("distance")} | ours | plain


def by_window(rank: int) -> dict[str, Method]:
    """With windows of several sizes: table 6."""
    return {f"{window}": localized(rank, window=window) for window in (16, 32, 64, 128)}


def by_height(rank: int) -> dict[str, Method]:
    """With each height function: table 7. Slopes are 0.2 a pixel where not said, the quadratic one's at the border."""
    slope = gpuph.RandomLinear().slope
    heights = {
        "fixed, down": gpuph.Linear((slope, 0.0)),
        "fixed, oblique": gpuph.Linear((slope * 0.8, slope * 0.6)),
        "random": gpuph.RandomLinear(slope),
        "random, slope 0.4": gpuph.RandomLinear(0.4),
        "random, slope 0.8": gpuph.RandomLinear(0.8),
        "random, one a batch": gpuph.RandomLinear(slope, per_window=False),
        "distance to a corner": gpuph.Radial(slope),
        "quadratic": gpuph.Quadratic(((slope / WINDOW[rank]) ** 0.5, 0.0)),
    }
    return {"none": without_heights(rank, WEIGHTS[rank]["Homo-Ours"])} | {
        name: localized(rank, height=height) for name, height in heights.items()
    }


def by_steadiness(rank: int) -> dict[str, Method]:
    """The localized loss as it is, as steady and as strong as the one without heights, and with the other cost."""
    weight = WEIGHTS[rank]["Homo-Ours"]
    return {
        "MSE": Method("distance"),
        "Homo-Reg": without_heights(rank, weight),
        "Homo-Ours": localized(rank),
        "twice the weight": localized(rank, 2 * weight),
        "8 draws": mean_of_draws(rank, weight),
        "8 draws, twice the weight": mean_of_draws(rank, 2 * weight),
        "distance, twice the weight": localized(rank, 2 * weight, unmatched="distance"),
    }


def by_decoys(rank: int) -> dict[str, Method]:
    """Without a term, without heights, and the localized loss as it is, and as steady and as strong."""
    rows = by_steadiness(rank)
    return {name: rows[name] for name in ("MSE", "Homo-Reg", "Homo-Ours", "8 draws, twice the weight")}


def _localized(window: int, height: Height, unmatched: str, generator: torch.Generator) -> nn.Module:
    return gpuph.LocalizedPHLoss(window=window, height=height, unmatched=unmatched, generator=generator)
