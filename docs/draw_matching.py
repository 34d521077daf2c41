"""Draw the figures of docs/matching.md: `python docs/draw_matching.py` writes matching.png and union.png."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from scipy.ndimage import label
from torch import Tensor

import gpuph
from gpuph import plot
from gpuph.plot import canvas

FOLDER = Path(__file__).parent / "drawings"
SHAPE = (64, 96)
TRUNCATION, SLOPE, SHORTEST = 12.0, 0.2, 1.0
PAIRS = (canvas.BLUE, canvas.GREEN)  # colours of matched loops
UNMATCHED = canvas.VERMILLION


class Matched(NamedTuple):
    """The loops of two windows, and their partners."""

    name: str
    maps: tuple[Tensor, Tensor]  # the truth and the prediction, each of shape SHAPE, whose sublevel sets are taken
    true: gpuph.Diagram
    pred: gpuph.Diagram
    matching: gpuph.Matching  # of the predicted loops with the true ones


def ring(row: int, column: int, radius: float) -> Tensor:
    y, x = torch.meshgrid(*[torch.arange(float(side)) for side in SHAPE], indexing="ij")
    return (torch.hypot(y - row, x - column) - radius).abs() < 0.6


def scene() -> tuple[Tensor, Tensor]:
    """Return the true and the predicted mask: one ring is found 2 pixels away, one is missing, and one is false."""
    return ring(20, 18, 9) | ring(40, 48, 14), ring(42, 80, 9) | ring(41, 50, 14)


def loops(window: Tensor) -> gpuph.Diagram:
    return gpuph.persistence(window[None], dims=1, min_persistence=SHORTEST)[1]


def diagrams_matched(name: str, true: Tensor, pred: Tensor) -> Matched:
    """Match the loops by their births and deaths alone."""
    a, b = loops(pred), loops(true)
    return Matched(name, (true, pred), b, a, gpuph.match(a, b))


def places_matched(name: str, true: Tensor, pred: Tensor) -> Matched:
    """Match the loops in the union."""
    matching = gpuph.betti_match(pred[None], true[None], dims=1, min_persistence=SHORTEST)
    return Matched(name, (true, pred), matching.target[1], matching.pred[1], matching[1])


def colours(row: Matched) -> tuple[list[str], list[str]]:
    """Return the colours of the true and of the predicted loops. Those of a pair have one colour."""
    true = [UNMATCHED] * int(row.true.count)
    pred = [UNMATCHED] * int(row.pred.count)
    free = iter(PAIRS)
    for i, partner in enumerate(row.matching.partner_a[0, : len(pred)].tolist()):
        if partner >= 0:
            true[partner] = pred[i] = next(free)
    return true, pred


def fill(axes: Axes, mask: Tensor, shown: Tensor, diagram: gpuph.Diagram, colour: list[str]) -> None:
    """Draw the roads on the map, and fill each loop, which contains the pixel where it dies."""
    regions, _ = label(~mask.numpy())
    image = np.ones((*SHAPE, 3)) * (0.75 + 0.25 * _scaled(shown))[..., None]
    for index, of in zip(diagram.death_index[0].tolist(), colour, strict=False):
        image[regions == regions.flat[index]] = to_rgb(of)
    image[mask] = 0.1
    axes.imshow(image)
    axes.set(xticks=[], yticks=[])


def _scaled(x: Tensor) -> np.ndarray:
    return ((x - x.min()) / (x.max() - x.min())).numpy()


def points(axes: Axes, row: Matched) -> None:
    """Draw both diagrams and their matching, with the same limits in all rows."""
    plot.matching(row.pred, row.true, row.matching, colors=PAIRS, ax=axes)
    axes.get_legend().remove()
    axes.set(xlim=(-6, 16), ylim=(-6, 16), xticks=[0, 10], yticks=[0, 10])
    axes.tick_params(labelsize=7)
    axes.set_title(f"loss {float(row.matching.cost):.1f}", fontsize=9)


def draw_matchings() -> None:
    """Draw one row each for thresholding, a height function, and Betti matching."""
    masks = scene()
    true, pred = gpuph.truncated_distance_map(torch.stack(masks)[:, None], TRUNCATION)[:, 0]
    ramp = gpuph.Linear((0.0, SLOPE))(1, SHAPE, true, None)[0]
    rows = [
        diagrams_matched("thresholding", true, pred),
        diagrams_matched("with heights", true + ramp, pred + ramp),
        places_matched("Betti matching", true, pred),
    ]
    figure, panels = plt.subplots(3, 3, figsize=(8.2, 6.4), width_ratios=(1.5, 1.5, 1), layout="constrained")
    for row, (left, middle, right) in zip(rows, panels, strict=True):
        of_true, of_pred = colours(row)
        for axes, mask, shown, diagram, colour in zip(
            (left, middle), masks, row.maps, (row.true, row.pred), (of_true, of_pred), strict=True
        ):
            fill(axes, mask, shown, diagram, colour)
        points(right, row)
        left.set_ylabel(row.name, fontsize=10)
        right.set_xlabel("birth", fontsize=8, labelpad=1)
        right.set_ylabel("death", fontsize=8, labelpad=1)
    panels[0, 0].set_title("truth", fontsize=9)
    panels[0, 1].set_title("prediction", fontsize=9)
    figure.supxlabel("Blue, green: matched. Red: unmatched. Squares: truth. Dots: prediction.", fontsize=9)
    figure.savefig(FOLDER / "matching.png", dpi=100)
    plt.close(figure)


def draw_union() -> None:
    """Draw sublevel sets of the truth, of the prediction, and of their minimum."""
    true, pred = gpuph.truncated_distance_map(torch.stack(scene())[:, None], TRUNCATION)[:, 0]
    figure, panels = plt.subplots(2, 3, figsize=(8.2, 4.0), layout="constrained")
    for level, row in zip((1.0, 4.0), panels, strict=True):
        below = (true <= level).numpy(), (pred <= level).numpy()
        for axes, shown in zip(row, ((True, False), (False, True), (True, True)), strict=True):
            image = np.ones((*SHAPE, 3))
            for mask, visible, colour in zip(below, shown, ("#2b6cb0", "#dd6b20"), strict=True):
                image[mask & visible] = to_rgb(colour)
            if all(shown):
                image[below[0] & below[1]] = to_rgb("#4a5568")
            axes.imshow(image)
            axes.set(xticks=[], yticks=[])
        row[0].set_ylabel(f"up to {level:g}", fontsize=9)
    for axes, title in zip(panels[0], ("truth", "prediction", "union"), strict=True):
        axes.set_title(title, fontsize=9)
    figure.savefig(FOLDER / "union.png", dpi=100)
    plt.close(figure)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    draw_matchings()
    draw_union()
