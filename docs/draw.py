"""Draw the figures of README.md and kernels/README.md: `python docs/draw.py` writes docs/drawings/.

The gradient and the merge tree are those of a real window, computed here in the plainest way.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

import gpuph

FOLDER = Path(__file__).parent / "drawings"
BLUE, RED, GREEN, GREY, PALE = "#2b6cb0", "#c53030", "#2f855a", "#718096", "#edf2f7"
# Two basins, two peaks inside a rim: small enough to follow every arrow by eye.
WINDOW = np.array(
    [
        [31, 34, 33, 29, 35, 32],
        [30, 11, 14, 25, 17, 28],
        [36, 13, 41, 22, 16, 27],
        [37, 12, 15, 24, 40, 19],
        [38, 20, 18, 10, 23, 21],
        [39, 43, 42, 26, 44, 45],
    ]
)
Cell = tuple[float, float]  # (y, x) of its centre: halves are between two pixels


def box(axes: Axes, x: float, y: float, title: str, below: str, colour: str = PALE) -> None:
    axes.add_patch(FancyBboxPatch((x - 0.78, y - 0.3), 1.56, 0.6, boxstyle="round,pad=0.04", fc=colour, ec=GREY))
    axes.text(x, y + 0.08, title, ha="center", va="center", fontsize=10, weight="bold")
    axes.text(x, y - 0.15, below, ha="center", va="center", fontsize=6.5, color=GREY)


def arrow(axes: Axes, start: Cell, end: Cell, label: str = "") -> None:
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=10, color=GREY, shrinkA=0, shrinkB=0))
    if label:
        x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
        axes.text(x, y + 0.06, label, ha="center", va="bottom", fontsize=6.5, color=BLUE)


def pipeline(axes: Axes) -> None:
    """The stages from the image to its gradient, and the records between them."""
    stages = ["framed", "gradient", "trace", "merge", "emit"]
    what = ["cut, add height", "Morse matching", "saddles to extrema", "elder rule", "sort, values"]
    for i, (title, below) in enumerate(zip(stages, what, strict=True)):
        box(axes, 2.4 * i, 2, title, below)
    for i, label in enumerate(["windows", "critical\ncells", "triplets", "merge\ntree"]):
        arrow(axes, (2.4 * i + 0.84, 2), (2.4 * i + 1.56, 2), label)
    box(axes, 7.2, 1, "reduce", "loops of volumes")
    arrow(axes, (4.8, 1.66), (6.36, 1.1))
    arrow(axes, (7.2, 1.66), (7.2, 1.34))
    arrow(axes, (8.04, 1.1), (9.0, 1.66))
    for i, (title, below) in enumerate(
        [("match", "optimal partners"), ("cost", "and its slopes"), ("scatter", "slopes to pixels")]
    ):
        box(axes, 9.6 - 2.4 * i, 0, title, below, "#e6fffa")
    arrow(axes, (9.6, 1.66), (9.6, 0.34))
    axes.text(9.65, 1.0, "Pairs", ha="left", va="center", fontsize=6.5, color=BLUE)
    arrow(axes, (8.76, 0), (8.04, 0), "Matched")
    arrow(axes, (6.36, 0), (5.64, 0), "Costs")
    arrow(axes, (3.96, 0), (2.6, 0))
    axes.text(2.5, 0, "gradient of the image", ha="right", va="center", fontsize=9)
    arrow(axes, (-1.3, 2), (-0.84, 2))
    axes.text(-1.35, 2, "image", ha="right", va="center", fontsize=9)
    axes.set(xlim=(-2.2, 10.8), ylim=(-0.5, 2.5))


def before(a: tuple[int, int], b: tuple[int, int]) -> bool:
    """Whether pixel a comes before b: by value, then by index."""
    return (WINDOW[a], a) < (WINDOW[b], b)


def lower_star(v: tuple[int, int]) -> set[tuple[int, int]]:
    """The cells around v, as directions, whose other vertices all come before v."""
    directions = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]
    inside = [(dy, dx) for dy, dx in directions if 0 <= v[0] + dy < 6 and 0 <= v[1] + dx < 6]
    lower = {d for d in inside if before((v[0] + d[0], v[1] + d[1]), v)}
    squares = {(dy, dx) for dy, dx in lower if dy and dx and {(dy, 0), (0, dx)} <= lower}
    return {(0, 0)} | {d for d in lower if 0 in d} | squares


def matching() -> tuple[list[tuple[Cell, Cell]], list[Cell]]:
    """Pairs of cells (face, coface) of the discrete gradient, and the critical cells."""
    pairs, critical = [], []
    for y, x in np.ndindex(6, 6):
        star = lower_star((y, x))
        for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):  # E, W, S, N
            for face in sorted(star):
                coface = (face[0] + dy, face[1] + dx)
                if face[0] * dy == 0 and face[1] * dx == 0 and {face, coface} <= star and _is_free(face, dy):
                    pairs.append(((y + face[0] / 2, x + face[1] / 2), (y + coface[0] / 2, x + coface[1] / 2)))
                    star -= {face, coface}
        critical += [(y + c[0] / 2, x + c[1] / 2) for c in star]
    return pairs, critical


def _is_free(face: tuple[int, int], dy: int) -> bool:
    """Whether a cell has no part along the axis of the matching."""
    return face[0] == 0 if dy else face[1] == 0


def grid(axes: Axes) -> None:
    for i in range(6):
        axes.plot([0, 5], [i, i], color="#cbd5e0", lw=1, zorder=0)
        axes.plot([i, i], [0, 5], color="#cbd5e0", lw=1, zorder=0)
    axes.set(xlim=(-0.5, 5.5), ylim=(5.5, -0.5))


def lower_stars(axes: Axes) -> None:
    """The lower star of one pixel, and the four matchings that are tried in it."""
    v = (3, 3)
    grid(axes)
    for dy, dx in lower_star(v):
        if dy and dx:
            axes.add_patch(Rectangle((v[1] + min(dx, 0), v[0] + min(dy, 0)), 1, 1, fc=BLUE, alpha=0.2))
        elif dy or dx:
            axes.plot([v[1], v[1] + dx], [v[0], v[0] + dy], color=BLUE, lw=4)
    for y, x in np.ndindex(6, 6):
        lower = before((y, x), v)
        near = max(abs(y - v[0]), abs(x - v[1])) == 1
        colour = "#bee3f8" if lower and near else "white"
        axes.text(x, y, str(WINDOW[y, x]), ha="center", va="center", fontsize=8,
                  bbox={"boxstyle": "circle,pad=0.25", "fc": RED if (y, x) == v else colour, "ec": GREY},
                  color="white" if (y, x) == v else "black")  # fmt: skip
    axes.set_title("The lower star of the pixel of value 24", fontsize=9)


def gradient(axes: Axes) -> None:
    """The discrete gradient of the window and its critical cells."""
    pairs, critical = matching()
    grid(axes)
    for (y, x), (v, u) in pairs:
        axes.annotate("", (u, v), (x, y), arrowprops={"arrowstyle": "->", "color": GREY, "lw": 1.2})
    for y, x in critical:
        if y % 1 and x % 1:
            axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fc=RED, alpha=0.35))
        elif y % 1 or x % 1:
            dy, dx = (0.5, 0) if y % 1 else (0, 0.5)
            axes.plot([x - dx, x + dx], [y - dy, y + dy], color=GREEN, lw=4)
        else:
            axes.plot(x, y, "o", color=BLUE, ms=10)
    for y, x in np.ndindex(6, 6):
        axes.text(x + 0.08, y - 0.12, str(WINDOW[y, x]), fontsize=6, color="black")
    axes.set_title("Minima (blue), saddles (green), maxima (red)", fontsize=9)


def merge_tree(axes: Axes) -> None:
    """Draw three minima, two saddles, and the words of their merge tree."""
    x = np.linspace(0, 10, 400)
    height = np.interp(x, [0, 1.5, 3.2, 5, 6.8, 8.5, 10], [5, 1, 3, 0.2, 4, 2, 5])
    axes.plot(x, height, color=GREY, lw=2)
    for name, at, low in (("b", 1.5, 1), ("a", 5, 0.2), ("c", 8.5, 2)):
        axes.plot(at, low, "o", color=BLUE)
        axes.text(at, low - 0.35, name, ha="center", va="top", fontsize=10, color=BLUE)
    for name, at, high in (("s", 3.2, 3), ("t", 6.8, 4)):
        axes.plot(at, high, "s", color=GREEN)
        axes.text(at, high + 0.25, name, ha="center", va="bottom", fontsize=10, color=GREEN)
    for at, low, high in ((1.5, 1, 3), (8.5, 2, 4)):
        axes.annotate("", (at, high), (at, low), arrowprops={"arrowstyle": "<->", "color": RED})
    words = [
        "T[b] = (s, a)    b dies at s, in a",
        "T[c] = (t, a)    c dies at t, in a",
        "T[a] = (-, a)    a is the root: an essential class",
    ]
    axes.text(11, 4, "\n".join(words), fontsize=9, va="top", family="monospace")
    axes.set(xlim=(-0.2, 19), ylim=(-1, 5.5))


def frame(axes: Axes) -> None:
    """A road that leaves its window closes loops along the frame."""
    axes.add_patch(Rectangle((0, 0), 10, 10, fc=BLUE))
    axes.add_patch(Rectangle((0.7, 0.7), 8.6, 8.6, fc="white"))
    axes.plot([0.7, 3, 6, 9.3], [5, 5.6, 4.6, 5.2], color=BLUE, lw=6)
    axes.text(5, 7.2, "one loop", ha="center", fontsize=9, color=RED)
    axes.text(5, 2.4, "another loop", ha="center", fontsize=9, color=RED)
    axes.add_patch(Rectangle((12, 0), 10, 10, fc=BLUE))
    axes.add_patch(Rectangle((12.7, 0.7), 8.6, 8.6, fc="white"))
    axes.plot([12.7, 15, 16], [5, 5.6, 5.3], color=BLUE, lw=6)
    axes.plot([18.4, 21.3], [4.8, 5.2], color=BLUE, lw=6)
    axes.text(17, 7.2, "a single loop: the gap shows", ha="center", fontsize=9, color=RED)
    axes.set(xlim=(-0.5, 22.5), ylim=(-0.5, 10.5))


def road() -> None:
    """A gap in a predicted distance map, and the map after gradient descent on the loss alone."""
    torch.manual_seed(0)
    truncation, steps = 20.0, 200
    x = np.arange(64)
    line = np.round(32 + 6 * np.sin(x / 9)).astype(int)
    mask = torch.zeros(1, 1, 64, 64, dtype=torch.bool)
    mask[0, 0, line, x] = True
    broken = mask.clone()
    broken[..., 26:40] = False
    target = gpuph.truncated_distance_map(mask, truncation)
    noise = torch.nn.functional.interpolate(torch.randn(1, 1, 16, 16), size=64, mode="bicubic")
    start = (gpuph.truncated_distance_map(broken, truncation) + 0.7 * noise).clamp(0, truncation)

    pred = start.clone().requires_grad_()
    loss_fn = gpuph.LocalizedPHLoss()
    optimizer = torch.optim.SGD([pred], lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        loss_fn(pred, target).backward()
        optimizer.step()

    figure, panels = plt.subplots(1, 3, figsize=(7.2, 2.7))
    titles = "true distance map", "prediction with a gap", f"after {steps} steps on the loss"
    for axes, image, title in zip(panels, (target, start, pred.detach()), titles, strict=True):
        axes.imshow(image[0, 0], cmap="gray", vmin=0, vmax=truncation)
        axes.set_title(title, fontsize=9)
        axes.axis("off")
    figure.tight_layout()
    figure.savefig(FOLDER / "road.png", dpi=120)
    plt.close(figure)


def draw(name: str, size: tuple[float, float], *panels: Callable[[Axes], None]) -> None:
    figure, rows = plt.subplots(1, len(panels), figsize=size, squeeze=False)
    for axes, panel in zip(rows[0], panels, strict=True):
        panel(axes)
        axes.set_aspect("equal")
        axes.axis("off")
    figure.tight_layout()
    figure.savefig(FOLDER / f"{name}.svg", metadata={"Date": None})
    plt.close(figure)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "gpuph", "font.family": "sans-serif"})
    draw("pipeline", (9, 2.4), pipeline)
    draw("gradient", (8, 4), lower_stars, gradient)
    draw("merge", (8, 2.8), merge_tree)
    draw("frame", (6, 2.8), frame)
    road()


if __name__ == "__main__":
    main()
