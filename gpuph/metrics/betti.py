"""Errors of Betti numbers in random windows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import networkx as nx
import torch
from torch import Tensor
from torch.nn.functional import pad

from .. import checks
from ..arrays import ArrayLike
from ..persistence import check_windows, diagrams_of
from ..spacing import Spacing, per_axis
from ..spacing import checked as checked_spacing
from .inputs import as_drawn_masks


def betti_error(
    pred: ArrayLike | nx.Graph,
    target: ArrayLike | nx.Graph,
    dim: int = 1,
    window: float = 64,
    patches: int | None = None,
    trials: int = 10,
    border: bool = True,
    construction: str = "T",
    generator: torch.Generator | None = None,
    *,
    mask: ArrayLike | None = None,
    spacing: float | Sequence[float] = 1.0,
) -> Tensor:
    """Compute the mean absolute difference of the Betti numbers of two masks in random windows.

    Each trial draws `patches` windows uniformly, at the same places in prediction and truth. The Betti numbers are
    computed by `gpuph.persistence`, on the device of the masks.

    Parameters
    ----------
    pred, target : array_like, shape (*spatial) or (B, 1, *spatial); or networkx.Graph
        Masks: see `gpuph.metrics`. One of them may be a graph, which `draw_graph` draws on the grid of the other, with
        lines one pixel wide.
    dim : int
        The homology dimension: 0 counts components, 1 loops and, in 3D, 2 cavities.
    window : int, or float with `spacing`
        The size of a window, in pixels, or in units of `spacing`, rounded to at least one pixel. Along axes where the
        image is smaller, it is the size of the image.
    patches : int, optional
        The number of windows in a trial; by default as many as cover the batch next to each other.
    trials : int
        The number of trials to average over. More trials reduce the error of the mean, but do not change what it
        estimates.
    border : bool
        Surround each window with a frame of object, one pixel wide. The frame closes the loops that the window cuts
        open, so that Betti number 1 counts the regions into which the object divides the window. A road that crosses
        the window then counts, and so does a gap in it. Without the frame, only loops inside the window count.
    construction : {"T", "V"}
        The adjacency of pixels. "T" makes the object 8-connected in 2D and 26-connected in 3D, and the background 4- or
        6-connected; "V" swaps object and background.
    generator : torch.Generator, optional
        The random generator that draws the windows, on the device of the masks.
    mask : array_like, bool, shape (*spatial) or (B, 1, *spatial), optional
        The region of interest: see `gpuph.metrics`.
    spacing : float or sequence of float, one per axis
        Size of a pixel: see `gpuph.metrics`.

    Returns
    -------
    Tensor, shape (), float32
        The mean over windows and trials, on the device of the masks.

    Raises
    ------
    TypeError, ValueError
        As for all metrics: see `gpuph.metrics`. ValueError also if both inputs are graphs, the batch is empty,
        `window`, `patches` or `trials` is below 1, `dim` or `construction` is not one of the values above, or `spacing`
        is not positive or does not have one number for each axis.

    References
    ----------
    X. Hu, L. Fuxin, D. Samaras, C. Chen: Topology-preserving deep image segmentation. NeurIPS 2019.

    Examples
    --------
    A road divides the window into two regions. A gap in the prediction joins them:

    >>> import torch
    >>> from gpuph.metrics import betti_error
    >>> target = torch.zeros(64, 64, dtype=torch.bool)
    >>> target[30:33] = True
    >>> pred = target.clone()
    >>> pred[:, 20:25] = False
    >>> betti_error(pred, target)
    tensor(1.)
    """
    settings = BettiSettings.checked(dim, window, patches, trials, border, construction, spacing=spacing)
    return measure(pred, target, settings, generator, mask)


class BettiSettings(NamedTuple):
    """Settings of `betti_error`."""

    dim: int
    window: float
    patches: int | None
    trials: int
    border: bool
    construction: str
    spacing: Spacing

    @classmethod
    def checked(
        cls,
        dim: int,
        window: float,
        patches: int | None,
        trials: int,
        border: bool,
        construction: str,
        *,
        spacing: float | Sequence[float],
    ) -> BettiSettings:
        """Return the settings in the types of the fields; raise unless they are as documented."""
        size = checked_spacing(spacing)
        in_pixels = size == 1.0
        return cls(
            dim=checks.integer("dim", dim, 0, 2),
            window=checks.integer("window", window, 1) if in_pixels else checks.number("window", window, positive=True),
            patches=None if patches is None else checks.integer("patches", patches, 1),
            trials=checks.integer("trials", trials, 1),
            border=checks.boolean("border", border),
            construction=checks.construction(construction),
            spacing=size,
        )

    def windows(self, images: Sequence[int]) -> tuple[list[int], int]:
        """Return the sizes of windows of images (B, *spatial), in pixels, and the number of windows in a trial."""
        rank = len(images) - 1
        checks.integer("dim", self.dim, 0, rank - 1)
        each = per_axis(self.spacing, rank) or (1.0,) * rank
        pixels = [max(1, round(self.window / size)) for size in each]
        sizes = [min(window, size) for window, size in zip(pixels, images[1:], strict=True)]
        covering = math.prod(-(-full // size) for full, size in zip(images[1:], sizes, strict=True))
        return sizes, images[0] * covering if self.patches is None else self.patches


# A function that returns the errors of windows, shape (N,), of masks of shape (N, 2, *spatial).
Count: TypeAlias = Callable[[Tensor, BettiSettings], Tensor]


def count_difference(masks: Tensor, settings: BettiSettings) -> Tensor:
    """Return the absolute differences of Betti numbers."""
    pred, target = _betti_numbers(masks.flatten(0, 1), settings).view(-1, 2).unbind(1)
    return (pred - target).abs()


def measure(
    pred: ArrayLike | nx.Graph,
    target: ArrayLike | nx.Graph,
    settings: BettiSettings,
    generator: torch.Generator | None,
    mask: ArrayLike | None = None,
    count: Count = count_difference,
) -> Tensor:
    """Compute the metric with checked settings. count : the error of each window."""
    checks.generator(generator)
    pred, target = as_drawn_masks(pred, target, mask, settings.spacing)
    checks.generator_on(pred.device, generator)
    if len(pred) == 0:
        raise ValueError("pred and target must hold at least one image, got none")
    sizes, patches = settings.windows(pred.shape)
    both = torch.stack((pred, target), dim=1)
    errors = []
    for _ in range(settings.trials):
        places = draw_places(pred.shape, sizes, patches, generator, pred.device)
        errors.append(count(windows_at(both, places, sizes), settings).float().mean())
    return torch.stack(errors).mean()


def draw_places(
    images: Sequence[int], sizes: Sequence[int], count: int, generator: torch.Generator | None, device: torch.device
) -> list[Tensor]:
    """Draw `count` windows from images (B, *spatial): the numbers of their images, and their starts along each axis."""
    limits = [images[0], *(length - size + 1 for length, size in zip(images[1:], sizes, strict=True))]
    return [torch.randint(limit, (count,), generator=generator, device=device) for limit in limits]


def windows_at(images: Tensor, places: Sequence[Tensor], sizes: Sequence[int]) -> Tensor:
    """Cut windows from `images` (B, C, *spatial) at such places, and return them with shape (count, C, *sizes)."""
    # One index for each axis except C, in shapes that broadcast to (count, *sizes).
    index = [places[0].view(-1, *[1] * len(sizes))]
    for axis, (start, size) in enumerate(zip(places[1:], sizes, strict=True)):
        steps = start[:, None] + torch.arange(size, device=images.device)
        index.append(steps.view(-1, *[size if axis == other else 1 for other in range(len(sizes))]))
    return images.movedim(1, -1)[tuple(index)].movedim(-1, 1)


def _betti_numbers(masks: Tensor, settings: BettiSettings) -> Tensor:
    """Return the Betti number of each mask (N, *spatial), shape (N,)."""
    if settings.border:
        masks = pad(masks, (1, 1) * (masks.dim() - 1), value=1)
    # In -mask, each feature of the object is born at -1, and dies at 0 or never. Only in an empty mask is the essential
    # class a component of the background.
    x = -masks.float()
    check_windows(x)
    diagram = diagrams_of(x, (settings.dim,), settings.construction)[settings.dim]
    return diagram.count * masks.flatten(1).any(1)
