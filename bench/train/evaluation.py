"""Score trained networks on held-out scenes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from monai.inferers import sliding_window_inference
from torch import Tensor, nn

from bench.train.crops import WINDOW
from gpuph.metrics import betti_error, ccq

# By the number of axes.
SIGHT = {2: 256, 3: 96}  # side of the patches that a network is applied to, pixels
OVERLAP = {2: 0.25, 3: 0.5}  # of neighbouring patches, as a share; less leaves seams where patches of volumes meet
THRESHOLD = {2: 6.0, 3: 2.0}  # a pixel is on a line where its predicted distance is below this, pixels
TOLERANCE = {2: 5.0, 3: 3.0}  # of CCQ, pixels


@dataclass(frozen=True)
class Scores:
    """Means over the held-out scenes.

    Attributes
    ----------
    mse : float
        Mean squared error of the truncated distance map, pixels squared.
    betti : float
        Mean absolute difference of Betti-1 in random framed windows of the loss's size.
    correctness, completeness, quality : float
        CCQ.
    """

    mse: float
    betti: float
    correctness: float
    completeness: float
    quality: float


@torch.no_grad()
def predict(net: nn.Module, image: Tensor) -> Tensor:
    """Apply `net` to an image (C, *size) of any size, patch by patch, and return the distance map (*size)."""
    net.eval()
    rank = image.dim() - 1
    sight, overlap = (SIGHT[rank],) * rank, OVERLAP[rank]
    prediction = sliding_window_inference(image[None], sight, 4, net, overlap=overlap, mode="gaussian")
    return prediction[0, 0]


def score(predictions: list[Tensor], targets: list[Tensor], seed: int) -> Scores:
    """Score predicted distance maps (*size) against the true ones. Betti-1 and CCQ compare thresholded maps."""
    rows = []
    for prediction, target in zip(predictions, targets, strict=True):
        rank = target.dim()
        lines, true_lines = prediction < THRESHOLD[rank], target < THRESHOLD[rank]
        generator = torch.Generator(target.device).manual_seed(seed)
        betti = betti_error(lines, true_lines, window=WINDOW[rank], generator=generator)
        mse = nn.functional.mse_loss(prediction, target)
        rows.append([float(mse), float(betti), *ccq(lines, true_lines, TOLERANCE[rank])])
    return Scores(*torch.tensor(rows).mean(0).tolist())


def table(scores: dict[str, Scores], rank: int) -> str:
    """Format the scores of all networks, one network per line."""
    lines = [f"{'held out':<18}{'MSE':>8}{'Betti-1 error':>16}{'correctness':>14}{'completeness':>14}{'quality':>10}"]
    for name, s in scores.items():
        lines.append(
            f"{name:<18}{s.mse:>8.3f}{s.betti:>16.3f}{s.correctness:>14.3f}{s.completeness:>14.3f}{s.quality:>10.3f}"
        )
    lines.append(
        f"A pixel is on a line where the distance is below {THRESHOLD[rank]:g} pixels. Betti-1 is counted in random"
        f" framed windows of {WINDOW[rank]}^{rank}; correctness, completeness and quality have a tolerance of"
        f" {TOLERANCE[rank]:g} pixels."
    )
    return "\n".join(lines)
