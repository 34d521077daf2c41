"""Draw what each network predicts on a held-out scene, and the critical pixels of the localized loss.

Volumes are shown as projections along the first axis: the maximum of the image, and the minimum of distance maps.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import avg_pool2d, avg_pool3d

import gpuph
from bench.train.crops import WINDOW
from gpuph.windows import cut_windows, frame, origin

# By the number of axes.
WIDE = {2: 3, 3: 2}  # windows of the loss along a side of the crop that is drawn; one along a volume's first axis
WHITE = {2: 20.0, 3: 5.0}  # distance drawn as white, pixels; in a projection most pixels are near some neurite
SHORTEST = 2.0  # pairs of smaller persistence are not drawn, pixels


def draw(path: Path, image: np.ndarray, target: Tensor, predictions: dict[str, Tensor], slope: float) -> None:
    """Draw the crop of a held-out scene with the longest roads or neurites.

    Parameters
    ----------
    path : Path
        The file to write.
    image : ndarray, shape (C, *size)
    target : Tensor, shape (*size)
        The true distance map.
    predictions : dict of str to Tensor, shape (*size)
        Two predicted distance maps by the name of the loss, one row each.
    slope : float
        Slope of the localized loss's height function, per pixel.
    """
    crop, window = richest_crop(target), WINDOW[target.dim()]
    points = "pixels" if target.dim() == 2 else "voxels"
    image, target = image[(slice(None), *crop)], target[crop]
    image = image.max(1) if target.dim() == 3 else image
    figure = Figure(figsize=(9.6, 6.9), layout="constrained")
    panels = figure.subplots(2, 3)
    panels[0, 0].imshow(image.transpose(1, 2, 0).clip(0, 1).squeeze(), cmap="gray")
    panels[0, 0].set_title("image")
    _show_map(panels[1, 0], target, "true distance map")
    for (map_panel, pairs_panel), (name, prediction) in zip(panels[:, 1:], predictions.items(), strict=True):
        shown = prediction[crop]
        _show_map(map_panel, shown, f"trained with {name}")
        _show_map(pairs_panel, shown, f"its critical {points} in windows of {window}")
        _show_pairs(pairs_panel, shown, target, slope)
    for panel in panels.flat:
        panel.set(xticks=[], yticks=[])
    handles, labels = panels[1, 2].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, dpi=120)


def richest_crop(target: Tensor) -> tuple[slice, ...]:
    """Return the crop with the most pixels on roads or neurites, among crops that overlap by half."""
    rank = target.dim()
    lines, window = (target == 0).float()[None, None], WINDOW[rank]
    wanted = (window,) * (rank - 2) + (WIDE[rank] * window,) * 2
    size = tuple(min(side, length) for side, length in zip(wanted, target.shape, strict=True))
    stride = tuple(side // 2 for side in wanted)
    count = (avg_pool2d if rank == 2 else avg_pool3d)(lines, size, stride)[0, 0]
    first = np.unravel_index(int(count.argmax()), count.shape)
    return tuple(slice(int(i) * step, int(i) * step + side) for i, step, side in zip(first, stride, size, strict=True))


def _show_map(panel: Axes, distance: Tensor, title: str) -> None:
    projection = distance.amin(0) if distance.dim() == 3 else distance
    panel.imshow(projection.numpy(), cmap="gray", vmin=0, vmax=WHITE[distance.dim()])
    panel.set_title(title)


def _show_pairs(panel: Axes, prediction: Tensor, target: Tensor, slope: float) -> None:
    """Mark the pixels where loops of a prediction are born and die in the windows of `gpuph.LocalizedPHLoss`."""
    rank = prediction.dim()
    size = (WINDOW[rank],) * rank
    windows = cut_windows(torch.stack((prediction, target)), size, size)
    n = len(windows) // 2
    height = gpuph.RandomLinear(slope)(n, windows.shape[1:], windows, torch.Generator().manual_seed(0))
    windows = windows + torch.cat((height, height))
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
            pixel = pixel[pixel >= 0].numpy()  # a birth on the frame has no pixel
            y, x = np.unravel_index(pixel, prediction.shape)[-2:]
            label = f"{event}, {kind} loop"
            panel.plot(x, y, marker, color=colour, markerfacecolor=face, markersize=6, label=label)
    for draw_line, side in ((panel.axvline, prediction.shape[-1]), (panel.axhline, prediction.shape[-2])):
        for edge in range(size[-1], side, size[-1]):
            draw_line(edge - 0.5, color="tab:blue", linewidth=0.6, alpha=0.7)
