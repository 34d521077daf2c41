"""Diagrams as points of a plane, and as bars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .. import checks
from ..diagram import Diagram, Diagrams
from ..diagram.diagram import check_diagram, is_superlevel
from . import canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def diagram(diagrams: Diagrams | Diagram, *, window: int | None = None, ax: Axes | None = None) -> Axes:
    """Draw the points of a persistence diagram, in one colour and shape for each dimension.

    Classes that never die are on a dashed line at the edge.

    Parameters
    ----------
    diagrams : Diagrams or Diagram
        Diagrams of one window, in several dimensions or in one. A legend names the dimensions of Diagrams; a Diagram
        has none. For a batch, `window` must be given.
    window : int, optional
        Number of the window that is drawn.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes, with one collection of points per dimension.

    Raises
    ------
    TypeError
        If `diagrams` is neither Diagrams nor a Diagram, or `ax` is not an Axes.
    ValueError
        If there are several windows and `window` is not the number of one of them.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> import torch, gpuph
    >>> from gpuph import plot
    >>> diagrams = gpuph.persistence(torch.rand(4, 16, 16))
    >>> ax = plot.diagram(diagrams, window=2)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['dimension 0', 'dimension 1']
    """
    points, superlevel = points_of(diagrams, window)
    everything = np.concatenate([*points.values(), np.zeros((0, 2))])
    edges = canvas.edges_of(everything)
    ax = canvas.axes_of(ax, (4.5, 4.5))
    deaths = everything[:, 1]
    canvas.draw_plane(ax, edges, deaths[np.isinf(deaths)], superlevel=superlevel)
    for dim, each in points.items():
        birth, death = edges.place(each).T
        label, number = _label(dim)
        colour, marker = canvas.COLOURS[number], canvas.MARKERS[number]
        ax.scatter(birth, death, s=28, c=colour, marker=marker, alpha=0.75, linewidths=0, label=label)
    canvas.legend(ax, loc="upper right" if superlevel else "lower right")
    return ax


def barcode(diagrams: Diagrams | Diagram, *, window: int | None = None, ax: Axes | None = None) -> Axes:
    """Draw the bars of a persistence diagram, from birth to death.

    Bars are in the order of their births, and the longest comes first among those that are born together. Dimensions
    are below each other, in different colours, and named beside the bars of Diagrams. Bars that never end lead to an
    arrow at the edge.

    Parameters
    ----------
    diagrams, window, ax
        See `diagram`.

    Returns
    -------
    matplotlib.axes.Axes
        The axes, with one collection of lines per dimension.

    Raises
    ------
    TypeError, ValueError, ImportError
        See `diagram`.

    Examples
    --------
    >>> import torch, gpuph
    >>> from gpuph import plot
    >>> ax = plot.barcode(gpuph.persistence([0, 3, 1, 2, 0], batched=False)[0])
    >>> [segment.tolist() for segment in ax.collections[0].get_segments()][1:]  # the first one never ends
    [[[0.0, 1.0], [3.0, 1.0]], [[1.0, 2.0], [2.0, 2.0]]]
    """
    points, superlevel = points_of(diagrams, window)
    edges = canvas.edges_of(np.concatenate([*points.values(), np.zeros((0, 2))]))
    ax = canvas.axes_of(ax, (6.0, 4.0))
    total = sum(map(len, points.values()))
    width, row = float(np.clip(150 / max(total, 1), 0.6, 5.0)), 0
    names: dict[float, str] = {}
    for dim, each in points.items():
        label, number = _label(dim)
        colour = canvas.COLOURS[number]
        birth, death = -each.T if superlevel else each.T
        bars = each[np.lexsort((-death, birth))]
        rows = row + np.arange(len(bars))
        row += len(bars)
        lengths = np.clip(bars, *edges.limits)
        ax.hlines(rows, lengths[:, 0], lengths[:, 1], colors=colour, linewidths=width)
        if label is not None and len(bars):
            names[float(rows.mean())] = label
        for infinite, end, arrow in ((np.inf, 1, ">"), (-np.inf, 0, "<")):
            endless = (bars == infinite).any(axis=1)
            if endless.any():
                x = np.full(endless.sum(), edges.limits[end])
                ax.plot(x, rows[endless], arrow, color=colour, markersize=7, clip_on=False)
    ax.set(xlim=edges.limits, ylim=(row - 0.4, -0.6), xlabel="value")
    ax.set_yticks([*names], [*names.values()], rotation=90, va="center")
    ax.tick_params(axis="y", length=0)
    if superlevel:
        ax.invert_xaxis()  # so that bars begin at the left
    return ax


def points_of(diagrams: object, window: object) -> tuple[dict[int | None, NDArray[np.float64]], bool]:
    """Return the points (n, 2) of one window by dimension, None if unknown, and whether births are above deaths."""
    if not isinstance(diagrams, (Diagram, Mapping)) or (isinstance(diagrams, Mapping) and not diagrams):
        raise TypeError(f"diagrams must be gpuph.Diagrams or a gpuph.Diagram, got {checks.shown(diagrams)}")
    by_dim: dict[int | None, Diagram] = {None: diagrams} if isinstance(diagrams, Diagram) else dict(diagrams)
    for each in by_dim.values():
        check_diagram("diagrams", each)
    first = next(iter(by_dim.values()))
    number = canvas.window_of("diagrams", len(first), window)
    points = {dim: of_dim[number].to_gudhi()[0] for dim, of_dim in by_dim.items()}
    return points, is_superlevel(first)


def _label(dim: int | None) -> tuple[str | None, int]:
    """Return the name of a dimension, None if unknown, and the number of its colour and marker."""
    return (None, 0) if dim is None else (f"dimension {dim}", dim % len(canvas.COLOURS))
