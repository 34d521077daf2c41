"""What the trained networks are worth on the held-out area."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from monai.inferers import sliding_window_inference
from torch import Tensor, nn

from gpuph.metrics import betti_error, ccq

THRESHOLD = 6.0  # pixels: a predicted distance below it is road
TOLERANCE = 5.0  # pixels, of CCQ


@dataclass(frozen=True)
class Scores:
    """Means over the held-out scenes.

    Attributes
    ----------
    mse : float
        Mean squared error of the truncated distance map, pixels squared.
    betti : float
        Mean |difference of Betti-1| over random framed windows of 64 x 64 pixels.
    correctness, completeness, quality : float
        CCQ with a tolerance of 5 pixels.
    """

    mse: float
    betti: float
    correctness: float
    completeness: float
    quality: float


@torch.no_grad()
def predict(net: nn.Module, image: Tensor) -> Tensor:
    """Run `net` over an image (C, H, W) of any size, window by window; returns the distance map (H, W)."""
    net.eval()
    prediction = sliding_window_inference(image[None], (256, 256), 4, net, overlap=0.25, mode="gaussian")
    return prediction[0, 0]


def score(predictions: list[Tensor], targets: list[Tensor], seed: int) -> Scores:
    """Score distance maps (H, W) against the true ones, both thresholded at 6 pixels for Betti-1 and CCQ."""
    rows = []
    for prediction, target in zip(predictions, targets, strict=True):
        roads, true_roads = prediction < THRESHOLD, target < THRESHOLD
        generator = torch.Generator(target.device).manual_seed(seed)
        betti = betti_error(roads, true_roads, generator=generator)
        rows.append(
            [float(nn.functional.mse_loss(prediction, target)), float(betti), *ccq(roads, true_roads, TOLERANCE)]
        )
    return Scores(*torch.tensor(rows).mean(0).tolist())


def table(scores: dict[str, Scores]) -> str:
    """Format the scores of the networks, one a line."""
    lines = [
        f"{'held-out area':<18}{'MSE':>8}{'Betti-1 error':>16}{'correctness':>14}{'completeness':>14}{'quality':>10}"
    ]
    for name, s in scores.items():
        lines.append(
            f"{name:<18}{s.mse:>8.3f}{s.betti:>16.3f}{s.correctness:>14.3f}{s.completeness:>14.3f}{s.quality:>10.3f}"
        )
    lines.append(
        f"Road is where the distance is below {THRESHOLD:g} pixels. Betti-1 in random framed windows of 64 x 64;"
        f" correctness, completeness, quality with a tolerance of {TOLERANCE:g} pixels."
    )
    return "\n".join(lines)
