"""Pictures over an image: the pixels that a loss pulls at, and those that pairs stand for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .. import arrays, checks
from ..arrays import ArrayLike
from ..representatives import Representatives
from . import canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RAISED, LOWERED = canvas.ORANGE, canvas.BLUE
FEW = 30  # at most this many pixels are marked by triangles, since more would hide one another
PAIRS = (canvas.BLUE, canvas.VERMILLION, canvas.GREEN, canvas.PURPLE, canvas.ORANGE, canvas.SKY, canvas.YELLOW)


def gradient(image: ArrayLike, gradient: ArrayLike, *, ax: Axes | None = None) -> Axes:
    """Draw which pixels a step of gradient descent raises, and which it lowers, over the image in grey.

    The stronger the gradient, the more opaque is the colour: orange for pixels that are raised and blue for those that
    are lowered. If there are at most 30 of them, each is also marked by a triangle, which points up or down, and whose
    area grows with the gradient.

    Parameters
    ----------
    image : array_like, shape (H, W)
        The prediction. Axes of size 1 before H are dropped, as in a batch of one image.
    gradient : array_like, of the same shape
        The gradient of the loss with respect to the prediction, such as `pred.grad`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes, with two images: the prediction in grey, and the colours.

    Raises
    ------
    TypeError
        If `image` or `gradient` is not an array of real numbers, or `ax` is not an Axes.
    ValueError
        If they are not one image, differ in shape, or the gradient has a value that is not finite.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    A gap in a road, which one pixel across it closes:

    >>> import torch, gpuph
    >>> from gpuph import plot
    >>> road = torch.zeros(1, 1, 64, 64, dtype=torch.bool)
    >>> road[..., 32, :] = True
    >>> broken = road.clone()
    >>> broken[..., 27:37] = False
    >>> target, pred = (gpuph.truncated_distance_map(mask, 20.0) for mask in (road, broken))
    >>> gpuph.DistancePHLoss()(pred.requires_grad_(), target).backward()
    >>> ax = plot.gradient(pred, pred.grad)
    >>> ax.collections[0].get_offsets().tolist()  # column and row
    [[31.0, 32.0]]
    """
    shown, slopes = _image("image", image), _image("gradient", gradient)
    if shown.shape != slopes.shape:
        raise ValueError(f"gradient must have the image's shape {shown.shape}, got {slopes.shape}")
    if not np.isfinite(slopes).all():
        raise ValueError("gradient must be finite, got a NaN or an infinite value")
    axes = canvas.axes_of(ax, (4.5, 4.8))
    _show(axes, shown)
    largest = float(np.abs(slopes).max(initial=0.0))
    strength = np.abs(slopes) / (largest or 1.0)
    colours = np.where((slopes < 0)[..., None], _rgb(RAISED), _rgb(LOWERED))
    alpha = np.where(slopes == 0, 0.0, 0.1 + 0.9 * np.sqrt(strength))
    axes.imshow(np.concatenate((colours, alpha[..., None]), axis=-1), interpolation="nearest")
    few, handles = np.count_nonzero(slopes) <= FEW, []
    for pulled, marker, colour, label in (
        (slopes < 0, "^", RAISED, "raised by descent"),
        (slopes > 0, "v", LOWERED, "lowered by descent"),
    ):
        if few and pulled.any():
            rows, columns = np.nonzero(pulled)
            sizes = 20 + 130 * strength[pulled]
            axes.scatter(columns, rows, s=sizes, c=colour, marker=marker, edgecolors="white", linewidths=0.8)
        if pulled.any():
            handles.append(canvas.key(label, colour, marker=marker, linestyle="none", markersize=7))
    canvas.legend_below(axes, 2, handles=handles)
    return axes


def representatives(
    image: ArrayLike,
    found: Representatives,
    *,
    pairs: Sequence[int] | None = None,
    window: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the pixels that pairs stand for, in one colour per pair, over the image in grey.

    Parameters
    ----------
    image : array_like, shape (H, W)
        The window. Axes of size 1 before H are dropped, as in a batch of one image.
    found : Representatives
        What `gpuph.representatives` returned for one dimension. For a batch, `window` must be given.
    pairs : sequence of int, optional
        The columns of the pairs in the diagram. By default, the first seven that have pixels, but not all pixels of the
        window: the longest ones, without the essential class. Later ones are drawn over earlier ones.
    window : int, optional
        Number of the window in `found`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes, with two images: the window in grey, and the colours.

    Raises
    ------
    TypeError
        If `image` is not an array of real numbers, `found` is not Representatives of one dimension, or another argument
        has a wrong type.
    ValueError
        If `image` is not one image, or differs in shape from the windows of `found`; if there are several windows and
        `window` is not the number of one of them; or if a column is not one of the diagram.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> import torch, gpuph
    >>> from gpuph import plot
    >>> image = torch.rand(32, 32, generator=torch.Generator().manual_seed(0))
    >>> diagrams = gpuph.persistence(image, batched=False)
    >>> found = gpuph.representatives(image, diagrams, batched=False)
    >>> ax = plot.representatives(image, found[1], pairs=[0, 1])
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['pair 0', 'pair 1']
    """
    shown = _image("image", image)
    if not isinstance(found, Representatives):
        raise TypeError(f"found must be gpuph.Representatives of one dimension, got {checks.shown(found)}")
    if found.window != shown.shape:
        raise ValueError(f"image must be one window of found, of shape {found.window}, got {shown.shape}")
    number = canvas.window_of("found", len(found), window)
    columns = _first(found.count[number].tolist(), shown.size) if pairs is None else _columns(pairs, found)
    axes = canvas.axes_of(ax, (4.5, 4.8))
    _show(axes, shown)
    overlay = np.zeros((*shown.shape, 4))
    handles = []
    for i, column in enumerate(columns):
        colour = PAIRS[i % len(PAIRS)]
        overlay[found.mask(number, column).cpu().numpy()] = (*_rgb(colour), 0.75)
        handles.append(canvas.key(f"pair {column}", colour, linewidth=4))
    axes.imshow(overlay, interpolation="nearest")
    canvas.legend_below(axes, 4, handles=handles[: len(PAIRS)])
    return axes


def _image(name: str, x: ArrayLike) -> NDArray[np.float64]:
    """Return an argument as one image (H, W)."""
    image = arrays.as_floats(name, x)
    shape = tuple(image.shape)
    while image.dim() > 2 and image.shape[0] == 1:
        image = image[0]
    if image.dim() != 2 or 0 in image.shape:
        hint = f"; choose one, such as {name}[0]" if image.dim() > 2 else ""
        raise ValueError(f"{name} must be one image, of shape (H, W), got {shape}{hint}")
    return image.detach().cpu().double().numpy()


def _show(ax: Axes, image: NDArray[np.float64]) -> None:
    """Show an image in grey, from its least to its largest finite value."""
    finite = image[np.isfinite(image)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    ax.imshow(image, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    ax.set(xticks=[], yticks=[])


def _first(counts: list[int], pixels: int) -> list[int]:
    """Return the first pairs that have pixels but are not the whole window, as an essential class is."""
    return [column for column, count in enumerate(counts) if 0 < count < pixels][: len(PAIRS)]


def _columns(pairs: object, found: Representatives) -> list[int]:
    if not checks.is_ordered(pairs):
        raise TypeError(f"pairs must be a sequence of columns, got {checks.shown(pairs)}")
    last = found.start.shape[1] - 1
    return [checks.integer("pairs: a column", each, 0, last) for each in pairs]  # type: ignore[attr-defined]


def _rgb(colour: str) -> tuple[float, float, float]:
    """Return a colour #rrggbb as numbers from 0 to 1."""
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue
