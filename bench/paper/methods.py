"""The methods that the tables compare: what a network predicts, and the loss it is trained with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy, mse_loss

import gpuph
from bench.train.crops import TRUNCATION, WINDOW
from bench.train.evaluation import THRESHOLD
from bench.train.network import Loss, plus
from gpuph.height import Height

BASE: dict[str, Loss] = {"probability": binary_cross_entropy, "distance": mse_loss}  # by what the network predicts
BASE_NAME = {"probability": "CE", "distance": "MSE"}

# Weights of the terms. The localized loss has the weight of `bench.train.network.PRESETS`. With it, its gradient in the
# network's parameters after the warm-up is 0.21 (in 3D 0.27) times as long as that of the base loss. The weights of the
# other terms give them the same length, up to a factor of 2. They were set with seed 100, which no table uses.
WEIGHTS = {
    2: {"DMT": 2.0, "ConnLoss": 0.1, "Homo-Pre": 0.1, "Homo-Reg": 0.1, "Homo-Ours": 0.1},
    3: {"Homo-Pre": 0.002, "Homo-Reg": 0.01, "Homo-Ours": 0.01},
}


@dataclass(frozen=True)
class Method:
    """The settings that differ between the rows of a table.

    Attributes
    ----------
    predicts : str
        "distance" or "probability".
    term : callable, optional
        Returns the loss that is added to the base loss, given the generator of its random draws.
    weight : float
        The weight of that term.
    """

    predicts: str
    term: Callable[[torch.Generator], nn.Module] | None = None
    weight: float = 0.0

    def loss(self, seed: int, device: str = "cpu") -> Loss:
        """Return the loss of predicted and true maps on a device."""
        base = BASE[self.predicts]
        if self.term is None:
            return base
        return plus(self.term(torch.Generator(device).manual_seed(seed)), self.weight, base)

    def __str__(self) -> str:
        base = BASE_NAME[self.predicts]
        return base if self.term is None else f"{base} + {self.weight:g} {self.term(torch.Generator())}"


class MeanOfDraws(nn.Module):
    """The mean over several calls of a loss that draws new height functions in each call."""

    def __init__(self, loss: nn.Module, draws: int) -> None:
        super().__init__()
        self.each, self.draws = loss, draws

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        return torch.stack([self.each(pred, target) for _ in range(self.draws)]).mean()

    def __repr__(self) -> str:
        return f"mean of {self.draws} x {self.each}"


def truth(distance: Tensor, predicts: str, rank: int) -> Tensor:
    """Return what a network should predict: the true distance maps, or 1 on the lines and 0 elsewhere."""
    return distance if predicts == "distance" else lines_of(distance, "distance", rank).float()


def thresholds(predicts: str, rank: int, dmax: float | None = None) -> tuple[float, ...]:
    """Return the cuts of a prediction to lines: the one of the tables first, then others for comparison.

    Cuts of distances are the same shares of every truncation `dmax`.
    """
    if predicts == "probability":
        return (0.5, 0.3, 0.7)
    middle = _middle(rank, dmax)
    return (middle, middle / 2, middle * 1.5, middle * 2)


def candidates(predicts: str, rank: int, dmax: float | None = None) -> tuple[float, ...]:
    """Return the cuts of a prediction that the training scenes may choose."""
    if predicts == "probability":
        return (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
    return tuple(_middle(rank, dmax) * quarters / 4 for quarters in range(2, 10))


def _middle(rank: int, dmax: float | None) -> float:
    """Return the cut of the tables, in pixels."""
    return THRESHOLD[rank] if dmax is None else THRESHOLD[rank] * dmax / TRUNCATION[rank]


def lines_of(prediction: Tensor, predicts: str, rank: int, threshold: float | None = None) -> Tensor:
    """Return the mask of a prediction's lines, by default with the cut of the tables."""
    if threshold is None:
        threshold, *_ = thresholds(predicts, rank)
    return prediction > threshold if predicts == "probability" else prediction < threshold


def localized(
    rank: int,
    weight: float | None = None,
    *,
    window: int | None = None,
    height: Height | None = None,
    unmatched: str = "half_squared",
) -> Method:
    """Return MSE + the localized loss. Settings that are not given are those of `main_table`."""
    make = partial(_localized, window or WINDOW[rank], height or gpuph.RandomLinear(), unmatched)
    return Method("distance", make, WEIGHTS[rank]["Homo-Ours"] if weight is None else weight)


def mean_of_draws(rank: int, weight: float, draws: int = 8) -> Method:
    """Return MSE + the mean of the localized loss over several directions of its ramp in each step."""
    one = localized(rank).term
    assert one is not None
    return Method("distance", lambda generator: MeanOfDraws(one(generator), draws), weight)


def without_heights(rank: int, weight: float) -> Method:
    """Return MSE + the same loss without a height function."""
    return Method("distance", lambda _: gpuph.DistancePHLoss(window=WINDOW[rank]), weight)


def main_table(rank: int) -> dict[str, Method]:
    """Return the methods of tables 1 (images) and 3 (volumes), in the paper's order."""
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


def of_distances(rank: int) -> dict[str, Method]:
    """Return the methods of `main_table` that predict distances, which depend on their truncation."""
    return {name: method for name, method in main_table(rank).items() if method.predicts == "distance"}


def by_weight(rank: int) -> dict[str, Method]:
    """Return the methods of table 5: the loss with and without heights, with weights around the preset's."""
    weights = [WEIGHTS[rank]["Homo-Ours"] * factor for factor in (0.3, 1, 3, 10)]
    ours = {f"Homo-Ours {weight:g}": localized(rank, weight) for weight in weights}
    plain = {f"Homo-Reg {weight:g}": without_heights(rank, weight) for weight in weights}
    return {"MSE": Method("distance")} | ours | plain


def by_window(rank: int) -> dict[str, Method]:
    """Return the methods of table 6: windows of several sizes."""
    return {f"{window}": localized(rank, window=window) for window in (16, 32, 64, 128)}


def by_height(rank: int) -> dict[str, Method]:
    """Return the methods of table 7, one per height function.

    Slopes are 0.2 per pixel unless the name says otherwise; that of quadratic functions is reached at the edge of a
    window. In the paper all parameters of a height function are drawn anew in each step: the point of the distance
    function, and the direction and the slope of the quadratic and the linear function.
    """
    slope = gpuph.RandomLinear().slope
    heights: dict[str, Height] = {
        "fixed, down": gpuph.Linear((slope, 0.0)),
        "fixed, oblique": gpuph.Linear((slope * 0.8, slope * 0.6)),
        "random": gpuph.RandomLinear(slope),
        "random, slope 0.4": gpuph.RandomLinear(0.4),
        "random, slope 0.8": gpuph.RandomLinear(0.8),
        "random, one a batch": gpuph.RandomLinear(slope, per_window=False),
        "distance to a corner": gpuph.Radial(slope),
        "quadratic": gpuph.Quadratic(((slope / WINDOW[rank]) ** 0.5, 0.0)),
        "random distance to a point": gpuph.RandomRadial(slope),
        "random square": gpuph.RandomQuadratic((slope / WINDOW[rank]) ** 0.5),
        "random slope": gpuph.RandomLinear((0.5 * slope, 1.5 * slope)),
    }
    return {"none": without_heights(rank, WEIGHTS[rank]["Homo-Ours"])} | {
        name: localized(rank, height=height) for name, height in heights.items()
    }


def by_steadiness(rank: int) -> dict[str, Method]:
    """Return variants of the localized loss that are as strong and as steady as the loss without heights."""
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
    """Return MSE, the loss without heights, and the localized loss, also as strong and as steady."""
    rows = by_steadiness(rank)
    return {name: rows[name] for name in ("MSE", "Homo-Reg", "Homo-Ours", "8 draws, twice the weight")}


def _localized(window: int, height: Height, unmatched: str, generator: torch.Generator) -> nn.Module:
    return gpuph.LocalizedPHLoss(window=window, height=height, unmatched=unmatched, generator=generator)
