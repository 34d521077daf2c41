"""What all pictures share: axes, colours, the choice of a window, and the place of infinite values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import checks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

# The colours of M. Okabe and K. Ito, "Color Universal Design" (2008), which colour-blind readers can tell apart.
BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, YELLOW = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7"),
    *("#E69F00", "#56B4E9", "#F0E442"),
)
GREY, PALE = "#707070", "#f0f0f0"
COLOURS = (BLUE, VERMILLION, GREEN)  # by dimension
MARKERS = ("o", "s", "^")  # likewise, for prints in black and white


def axes_of(ax: object, size: tuple[float, float]) -> Axes:
    """Return the axes to draw into: `ax`, or those of a new figure whose size is in inches."""
    try:
        from matplotlib import pyplot
        from matplotlib.axes import Axes
    except ModuleNotFoundError as error:
        raise ImportError("gpuph.plot needs matplotlib, which comes with `pip install gpuph[plot]`") from error
    if ax is None:
        new: Axes = pyplot.subplots(figsize=size, layout="constrained")[1]
        return new
    if not isinstance(ax, Axes):
        raise TypeError(f"ax must be a matplotlib Axes or None, got {checks.shown(ax)}")
    return ax


def window_of(name: str, windows: int, window: object) -> int:
    """Return the number of the window that is drawn; raise if there are several and none was chosen."""
    if window is not None:
        return checks.integer("window", window, 0, max(windows - 1, 0))
    if windows != 1:
        raise ValueError(f"{name} must be of one window, got {windows}; window=0 draws the first one")
    return 0


class Edges(NamedTuple):
    """The limits of an axis, and where it shows the values -inf and inf."""

    limits: tuple[float, float]
    below: float
    above: float

    def place(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the positions of values; those of infinite values are near the edges."""
        return np.clip(values, self.below, self.above)


def edges_of(values: NDArray[np.float64]) -> Edges:
    """Return the limits of an axis with room for all values, which may be infinite."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    margin = 0.05 * ((high - low) or 1.0)
    below, above = low - 2.5 * margin, high + 2.5 * margin
    first = below if (values == -np.inf).any() else low
    last = above if (values == np.inf).any() else high
    return Edges((first - margin, last + margin), below, above)


def draw_plane(ax: Axes, edges: Edges, infinite: NDArray[np.float64], *, superlevel: bool) -> None:
    """Draw the plane of births and deaths: its diagonal, the half without points, and lines for infinite deaths."""
    high, span = edges.limits[1], edges.limits[1] - edges.limits[0]
    first, last = high - 100 * span, high + 100 * span  # so that wider limits may be set afterwards
    ax.plot([first, last], [first, last], color=GREY, linewidth=0.8, zorder=1)
    corner = (first, last) if superlevel else (last, first)
    ax.fill([first, last, corner[0]], [first, last, corner[1]], color=PALE, zorder=0)
    for value in np.unique(infinite):
        height = float(edges.place(np.array(value)))
        ax.axhline(height, color=GREY, linewidth=0.8, linestyle="--", zorder=1)
        sign, shift, side = ("∞", -2, "top") if value > 0 else ("-∞", 2, "bottom")
        ax.annotate(sign, (high, height), (-4, shift), textcoords="offset points", ha="right", va=side, color=GREY)
    ax.set(xlim=edges.limits, ylim=edges.limits, aspect="equal", xlabel="birth", ylabel="death")


def key(label: str, color: str, **settings: Any) -> Line2D:
    """Return an entry of a legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color=color, label=label, **settings)


def legend(ax: Axes, **settings: Any) -> None:
    """Add a legend if there is anything to explain."""
    if settings.get("handles") or ax.get_legend_handles_labels()[1]:
        ax.legend(**{"fontsize": "small", "framealpha": 0.9, **settings})


def legend_below(ax: Axes, columns: int, **settings: Any) -> None:
    """Add a legend below an image, where it hides no pixels."""
    place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.01), "ncols": columns, "frameon": False}
    legend(ax, **place, handlelength=1.0, columnspacing=1.2, **settings)
