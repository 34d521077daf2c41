"""Draw the pictures of docs/plots.md: `python docs/draw_plots.py` writes diagrams.png, pull.png and pixels.png."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from torch import Tensor

import gpuph
from gpuph import plot

FOLDER = Path(__file__).parent / "drawings"
SIZE, TRUNCATION = 64, 12.0


def masks() -> tuple[Tensor, Tensor]:
    """Return two true rings, and a prediction with a gap in one of them and a false ring."""
    y, x = torch.meshgrid(torch.arange(float(SIZE)), torch.arange(float(SIZE)), indexing="ij")

    def ring(row: float, column: float, radius: float) -> Tensor:
        return (torch.hypot(y - row, x - column) - radius).abs() < 0.8

    upper, lower, false = ring(18, 19, 12), ring(44, 38, 14), ring(13, 49, 7)
    return upper | lower, upper & ~((x < 19) & ((y - 18).abs() < 5)) | lower | false


def maps() -> tuple[Tensor, Tensor]:
    """Return the true and the predicted distance map, shape (1, 1, 64, 64) each, the latter with smooth noise."""
    true, pred = gpuph.truncated_distance_map(torch.stack(masks())[:, None], TRUNCATION).split(1)
    noise = torch.randn(1, 1, SIZE // 4, SIZE // 4, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.interpolate(noise, size=SIZE, mode="bicubic")
    return true, (pred + 0.6 * smooth).clamp(0, TRUNCATION)


def panels(width: float, height: float) -> tuple[plt.Figure, list[Axes]]:
    figure, axes = plt.subplots(1, 3, figsize=(width, height), layout="constrained")
    return figure, [*axes]


def save(figure: plt.Figure, name: str) -> None:
    figure.savefig(FOLDER / f"{name}.png", dpi=100)
    plt.close(figure)


def draw_diagrams() -> None:
    """Draw the diagram of the prediction, its bars, and the matching of its loops with the true ones."""
    true, pred = maps()
    figure, (left, middle, right) = panels(10.5, 3.6)
    diagrams = gpuph.persistence(pred[:, 0], min_persistence=0.2)
    loops, true_loops = (gpuph.persistence(x[:, 0], dims=1, min_persistence=0.2)[1] for x in (pred, true))
    plot.diagram(diagrams, ax=left)
    plot.barcode(diagrams, ax=middle)
    plot.matching(loops, true_loops, gpuph.match(loops, true_loops), ax=right)
    save(figure, "diagrams")


def draw_pull() -> None:
    """Draw what a loss pulls at in the prediction, by single pixels and by whole paths."""
    true, pred = maps()
    figure, (left, middle, right) = panels(10.5, 4.1)
    left.imshow(true[0, 0], cmap="gray")
    left.set(xticks=[], yticks=[], title="truth")
    for ax, spread in ((middle, "pixel"), (right, "path")):
        x = pred.clone().requires_grad_()
        gpuph.DistancePHLoss(min_persistence=1.0, spread=spread)(x, true).backward()
        plot.gradient(pred, x.grad, ax=ax)
        ax.set_title(f'spread="{spread}"')
    save(figure, "pull")


def draw_pixels() -> None:
    """Draw the components, loops and cavities that the longest pairs of the prediction stand for."""
    _, pred = maps()
    window = pred[:, 0]
    diagrams = gpuph.persistence(window, min_persistence=1.0)
    found = gpuph.representatives(window, diagrams)
    cavities = gpuph.representatives(window, diagrams, dims=1, filled=True)
    figure, axes = panels(10.5, 4.0)
    titles = "components", "loops", "loops, filled=True"
    for ax, each, title in zip(axes, (found[0], found[1], cavities[1]), titles, strict=True):
        plot.representatives(window, each, ax=ax)
        ax.set_title(title)
    save(figure, "pixels")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    draw_diagrams()
    draw_pull()
    draw_pixels()
