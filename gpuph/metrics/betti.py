"""Errors of Betti numbers in random windows."""

from __future__ import annotations

from typing import Any

import networkx as nx
import torch
from torch import Tensor
from torch.nn.functional import pad

from .. import checks
from ..persistence import check_windows, diagrams_of
from .inputs import as_drawn


def betti_error(
    pred: Tensor | nx.Graph,
    target: Tensor | nx.Graph,
    dim: int = 1,
    window: int = 64,
    patches: int | None = None,
    trials: int = 10,
    border: bool = True,
    construction: str = "T",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Mean difference of Betti numbers between two masks, |b(pred) - b(target)|, in random windows.

    A trial draws `patches` windows, at any place with equal chance, the same from prediction and truth. Computed by
    `gpuph.persistence`, on the device of the masks.

    Parameters
    ----------
    pred, target : Tensor, bool, shape (*spatial) or (B, 1, *spatial); or networkx.Graph
        Masks: see `gpuph.metrics`. One may be a graph, which is drawn on the other's grid, with lines one pixel wide,
        by `draw_graph`.
    dim : int
        Which Betti number: 0 counts components, 1 loops, and in 3D 2 cavities.
    window : int
        Sides of a window, in pixels; where an image is smaller, its own side.
    patches : int, optional
        Windows in a trial; by default as many as would cover the batch side by side.
    trials : int
        Trials to average over. More make the error of the mean smaller, not the result.
    border : bool
        Lay a frame of object, one pixel wide, around each window. It closes the loops that the window cuts open, so
        that Betti-1 counts the regions into which the object divides a window: a road that crosses the window is seen
        and so is a gap in it. Without the frame only loops that lie inside the window as a whole are counted.
    construction : {"T", "V"}
        How pixels touch: "T" makes the object 8-connected in 2D and 26-connected in 3D (and the background 4- or
        6-connected), "V" the other way round.
    generator : torch.Generator, optional
        Where the windows are drawn from, on the device of the masks.

    Returns
    -------
    Tensor, shape (), float32
        The mean over windows and trials, on the masks' device.

    Raises
    ------
    TypeError, ValueError
        As all metrics do: see `gpuph.metrics`. ValueError also if both are graphs, the batch is empty, `window`,
        `patches` or `trials` is below 1, or `dim` or `construction` is none of the above.

    References
    ----------
    X. Hu, L. Fuxin, D. Samaras, C. Chen: Topology-preserving deep image segmentation. NeurIPS 2019.

    Examples
    --------
    A road crosses the window and cuts it in two; a gap in it makes one region of them:

    >>> import torch
    >>> from gpuph.metrics import betti_error
    >>> target = torch.zeros(64, 64, dtype=torch.bool)
    >>> target[30:33] = True
    >>> pred = target.clone()
    >>> pred[:, 20:25] = False
    >>> betti_error(pred, target)
    tensor(1.)
    """
    return measure(pred, target, generator=generator, **settings(dim, window, patches, trials, border, construction))


def settings(
    dim: int, window: int, patches: int | None, trials: int, border: bool, construction: str
) -> dict[str, Any]:
    """Return the settings of `measure` by name; raise unless they are what `betti_error` documents."""
    return {
        "dim": checks.integer("dim", dim, 0, 2),
        "window": checks.integer("window", window, 1),
        "patches": None if patches is None else checks.integer("patches", patches, 1),
        "trials": checks.integer("trials", trials, 1),
        "border": checks.boolean("border", border),
        "construction": checks.construction(construction),
    }


def measure(
    pred: Tensor | nx.Graph,
    target: Tensor | nx.Graph,
    generator: torch.Generator | None,
    dim: int,
    window: int,
    patches: int | None,
    trials: int,
    border: bool,
    construction: str,
) -> Tensor:
    """The metric, of settings that were checked."""
    checks.generator(generator)
    pred, target = as_drawn(pred, target)
    checks.integer("dim", dim, 0, pred.dim() - 2)
    checks.generator_on(pred.device, generator)
    if len(pred) == 0:
        raise ValueError("pred and target must hold at least one image, got none")
    sides = [min(window, side) for side in pred.shape[1:]]
    if patches is None:
        patches = len(pred)
        for side, full in zip(sides, pred.shape[1:], strict=True):
            patches *= -(-full // side)
    both = torch.stack((pred, target), dim=1)
    errors = []
    for _ in range(trials):
        windows = _random_windows(both, sides, patches, generator).flatten(0, 1)
        betti = _betti(windows, dim, border, construction).view(patches, 2)
        errors.append((betti[:, 0] - betti[:, 1]).abs().float().mean())
    return torch.stack(errors).mean()


def _random_windows(images: Tensor, sides: list[int], count: int, generator: torch.Generator | None) -> Tensor:
    """Cut `count` windows out of `images` (B, C, *spatial) at random; returns (count, C, *sides)."""

    def draw(limit: int) -> Tensor:
        return torch.randint(limit, (count,), generator=generator, device=images.device)

    # One index for each axis but C, shaped so that they broadcast to (count, *sides).
    index = [draw(len(images)).view(-1, *[1] * len(sides))]
    for axis, side in enumerate(sides):
        start = draw(images.shape[2 + axis] - side + 1)
        steps = start[:, None] + torch.arange(side, device=images.device)
        index.append(steps.view(-1, *[side if axis == other else 1 for other in range(len(sides))]))
    return images.movedim(1, -1)[tuple(index)].movedim(-1, 1)


def _betti(masks: Tensor, dim: int, border: bool, construction: str) -> Tensor:
    """Betti number of every mask (N, *spatial), shape (N,)."""
    if border:
        masks = pad(masks, (1, 1) * (masks.dim() - 1), value=1)
    # In -mask every feature is born at -1, with the object, and dies at 0, with the background, or never.
    # Only where there is no object is the essential component one of the background.
    x = -masks.float()
    check_windows(x)
    diagram = diagrams_of(x, (dim,), construction)[dim]
    return diagram.count * masks.flatten(1).any(1)
