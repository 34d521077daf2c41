"""Two diagrams, and the matching of their points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .. import checks
from ..diagram import Diagram
from ..diagram.diagram import is_superlevel
from ..matching import Matching, check_pair
from . import canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

UNMATCHED = canvas.VERMILLION


def matching(
    a: Diagram,
    b: Diagram,
    matching: Matching,
    *,
    names: Sequence[str] = ("prediction", "truth"),
    colors: Sequence[str] | None = None,
    window: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw two diagrams of one dimension, with a line between the points of each pair.

    The points of `a` are dots, and those of `b` are squares. Unmatched points are red, and a dotted line leads from
    each of them to the diagonal. Classes that never die are on a dashed line at the edge.

    Parameters
    ----------
    a, b : Diagram
        The diagrams of one window. For a batch, `window` must be given.
    matching : Matching
        What `gpuph.match` returned for them, or one dimension of `gpuph.betti_match`.
    names : sequence of str
        What `a` and `b` are, for the legend.
    colors : sequence of str, optional
        The colours of pairs, in the order of the points of `a`. They repeat if there are more pairs. By default, all
        pairs are blue.
    window : int, optional
        Number of the window that is drawn.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes. Their first two collections are the points of `b` and of `a`.

    Raises
    ------
    TypeError
        If `a` or `b` is not a Diagram, they are of different kinds, `matching` is not a Matching, or another argument
        has a wrong type.
    ValueError
        If there are several windows and `window` is not the number of one of them, or the matching is of other
        diagrams.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> import torch, gpuph
    >>> from gpuph import plot
    >>> a = gpuph.Diagram.from_list([torch.tensor([[0.0, 1.0], [0.0, 8.0]])])
    >>> b = gpuph.Diagram.from_list([torch.tensor([[1.0, 8.0], [4.0, 5.0], [9.0, 9.5]])])
    >>> ax = plot.matching(a, b, gpuph.match(a, b), names=("before", "after"))
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['before', 'after', 'matched', 'unmatched']
    """
    check_pair(a, b)
    if not isinstance(matching, Matching):
        raise TypeError(f"matching must be a gpuph.Matching, got {checks.shown(matching)}")
    shapes = tuple(matching.partner_a.shape), tuple(matching.partner_b.shape)
    if shapes != (tuple(a.birth.shape), tuple(b.birth.shape)):
        raise ValueError(f"matching must be of a and b, got partners of shapes {shapes[0]} and {shapes[1]}")
    _check_strings("names", names, 2)
    if colors is not None:
        _check_strings("colors", colors)
    number = canvas.window_of("a and b", len(a), window)
    points = [each[number].to_gudhi()[0] for each in (a, b)]
    partners = [each[number].tolist() for each in (matching.partner_a, matching.partner_b)]
    partners = [each[: len(of)] for each, of in zip(partners, points, strict=True)]
    colour = _colours(partners, colors or (canvas.BLUE,))

    everything = np.concatenate(points)
    edges, deaths = canvas.edges_of(everything), everything[:, 1]
    ax = canvas.axes_of(ax, (4.5, 4.5))
    canvas.draw_plane(ax, edges, deaths[np.isinf(deaths)], superlevel=is_superlevel(a))
    at = [edges.place(each) for each in points]
    for side, size, marker, inside in ((1, 80, "s", "none"), (0, 24, "o", colour[0])):
        x, y = at[side].T
        ax.scatter(x, y, s=size, marker=marker, linewidths=1.4, edgecolors=colour[side], facecolors=inside, zorder=3)
        for (birth, death), partner, of in zip(points[side], partners[side], colour[side], strict=True):
            if partner < 0 and np.isfinite(death - birth):
                middle = (birth + death) / 2
                ax.plot([birth, middle], [death, middle], ":", color=of, linewidth=1.2, zorder=2)
    for i, partner in enumerate(partners[0]):
        if partner >= 0:
            ax.plot(*np.stack((at[0][i], at[1][partner]), axis=1), color=colour[0][i], linewidth=1.2, zorder=2)
    _legend(ax, names, (colors or (canvas.BLUE,))[0], superlevel=is_superlevel(a))
    return ax


def _colours(partners: list[list[int]], of_pairs: Sequence[str]) -> list[list[str]]:
    """Return the colours of the points of both diagrams, given their partners."""
    a, b = ([UNMATCHED] * len(each) for each in partners)
    matched = [(i, partner) for i, partner in enumerate(partners[0]) if partner >= 0]
    for pair, (i, partner) in enumerate(matched):
        a[i] = b[partner] = of_pairs[pair % len(of_pairs)]
    return [a, b]


def _legend(ax: Axes, names: Sequence[str], matched: str, *, superlevel: bool) -> None:
    a, b = names
    handles = [
        canvas.key(a, canvas.GREY, marker="o", linestyle="none", markersize=5),
        canvas.key(b, canvas.GREY, marker="s", linestyle="none", markersize=8, fillstyle="none"),
        canvas.key("matched", matched),
        canvas.key("unmatched", UNMATCHED, linestyle=":"),
    ]
    canvas.legend(ax, handles=handles, loc="upper right" if superlevel else "lower right")


def _check_strings(name: str, value: object, count: int | None = None) -> None:
    """Raise unless the value is a sequence of `count` strings, or by default of one or more."""
    if not isinstance(value, (list, tuple)) or not all(isinstance(each, str) for each in value):
        raise TypeError(f"{name} must be a sequence of strings, got {checks.shown(value)}")
    if not value or (count is not None and len(value) != count):
        raise ValueError(f"{name} must have {count or 'one or more'} strings, got {checks.shown(value)}")
