"""The picture at the end of a training run: what each network sees, and what the topological loss sees in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

import gpuph
from gpuph.windows import cut_windows, frame, origin

CROP = 192  # pixels; three windows of the loss a side
WINDOW = 64
SHORTEST = 2.0  # pairs of smaller persistence are not drawn


def draw(path: Path, image: np.ndarray, target: Tensor, predictions: dict[str, Tensor], slope: float) -> None:
    """Draw a crop of a held-out scene: image (C, H, W), true distance map (H, W), and a row for each prediction.

    The crop is the one with the longest roads, whatever the predictions.
    """
    rows, columns = _richest_crop(target)
    image, target = image[:, rows, columns].transpose(1, 2, 0), target[rows, columns]
    figure = Figure(figsize=(9.6, 6.9), layout="constrained")
    panels = figure.subplots(2, 3)
    panels[0, 0].imshow(image.clip(0, 1).squeeze(), cmap="gray")
    panels[0, 0].set_title("image")
    _show_map(panels[1, 0], target, "true distance map")
    for panel, (name, prediction) in zip(panels[:, 1:], predictions.items(), strict=True):
        prediction = prediction[rows, columns]
        _show_map(panel[0], prediction, f"trained with {name}")
        _show_map(panel[1], prediction, "its critical pixels in windows of 64")
        _show_pairs(panel[1], prediction, target, slope)
    for panel in panels.flat:
        panel.set(xticks=[], yticks=[])
    handles, labels = panels[1, 2].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, dpi=120)


def _richest_crop(target: Tensor) -> tuple[slice, slice]:
    """Find the crop, on a grid of half its size, with the most road pixels."""
    height, width = target.shape
    road = (target == 0).float()[None, None]
    size = (min(CROP, height), min(CROP, width))
    count = torch.nn.functional.avg_pool2d(road, size, stride=CROP // 2)[0, 0]
    y, x = divmod(int(count.argmax()), count.shape[1])
    return tuple(slice(i * CROP // 2, i * CROP // 2 + side) for i, side in zip((y, x), size, strict=True))


def _show_map(panel: Axes, distance: Tensor, title: str) -> None:
    panel.imshow(distance.numpy(), cmap="gray", vmin=0, vmax=20)
    panel.set_title(title)


def _show_pairs(panel: Axes, prediction: Tensor, target: Tensor, slope: float) -> None:
    """Draw where the loops of a prediction are born and die, as `gpuph.LocalizedPHLoss` sees them."""
    size = (WINDOW, WINDOW)
    windows = cut_windows(torch.stack((prediction, target)), size, size)
    n = len(windows) // 2
    g = gpuph.RandomLinear(slope)(n, windows.shape[1:], windows, torch.Generator().manual_seed(0))
    windows = windows + g.repeat(2, 1, 1)
    lowest = windows.flatten(1).amin(1).view(2, n).amin(0)
    loops = gpuph.persistence(frame(windows, lowest.repeat(2)), dims=(1,))[1]
    predicted = loops[:n]
    matched = gpuph.match(predicted, loops[n:]).partner_a >= 0
    shown = predicted.mask & (predicted.death - predicted.birth > SHORTEST)
    corner, offset = origin(prediction.shape, size, size, border=True, device=prediction.device)
    for kind, of_kind, colour in (("matched", matched, "tab:cyan"), ("unmatched", ~matched, "tab:red")):
        for event, index, marker, face in (
            ("birth", predicted.birth_index, "o", "none"),
            ("death", predicted.death_index, "x", colour),
        ):
            pixel = (corner[:, None] + offset[index.clamp(min=0)])[shown & of_kind]
            y, x = np.divmod(pixel[pixel >= 0].numpy(), prediction.shape[1])  # a birth on the frame has no pixel
            label = f"{event}, {kind} loop"
            panel.plot(x, y, marker, color=colour, markerfacecolor=face, markersize=6, label=label)
    for draw_line, side in ((panel.axvline, prediction.shape[1]), (panel.axhline, prediction.shape[0])):
        for border in range(WINDOW, side, WINDOW):
            draw_line(border - 0.5, color="tab:blue", linewidth=0.6, alpha=0.7)
