"""Height functions, which the localized loss adds to prediction and truth so that filtration values depend on position.

A height g(p) is in filtration values. Coordinates are from the window's centre, in the order of the axes: (y, x), or
(z, y, x) in a volume. They are in pixels, or in the unit of `spacing`, the size of a pixel: a number, or one per axis.
Slopes are then per unit, as are those of `gpuph.truncated_distance_map` with the same `spacing`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from . import checks
from . import spacing as sizes


class Linear:
    """The height g(p) = w . p.

    Parameters
    ----------
    w : sequence of float, one per axis
        Slope, in filtration values per pixel, or per unit of `spacing`.
    spacing : float or sequence of float, one per axis
        Size of a pixel.
    """

    def __init__(self, w: Sequence[float], *, spacing: float | Sequence[float] = 1.0) -> None:
        self.w = checks.numbers("w", w)
        self.spacing = sizes.checked(spacing)

    def slopes(self, n: int, window: Sequence[int], like: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return w per pixel, shape (1, axes)."""
        return _per_pixel(like.new_tensor(_per_axis("w", self.w, window))[None], self.spacing)

    def __call__(self, n: int, window: Sequence[int], like: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return g on a window, shape (1, *window)."""
        return _linear(self.slopes(n, window, like, generator), window)

    def __repr__(self) -> str:
        return f"Linear(w={self.w}{_shown(self.spacing)})"


class RandomLinear:
    """The height g(p) = w . p with a random direction.

    This is the paper's best choice: an error that one direction hides is seen in another.

    Parameters
    ----------
    slope : float
        Length of w, in filtration values per pixel, or per unit of `spacing`. Over a window of 64 pixels, 0.2 adds
        about as much as a usual truncation. From 1 on, the height hides all loops of a distance map, whose own slope is
        at most 1.
    per_window : bool
        Whether each window has its own direction (the default), or all windows of a call share one.
    spacing : float or sequence of float, one per axis
        Size of a pixel. Directions are uniform in space, not in the grid.
    """

    def __init__(self, slope: float = 0.2, per_window: bool = True, *, spacing: float | Sequence[float] = 1.0) -> None:
        self.slope = checks.number("slope", slope, positive=True)
        self.per_window = checks.boolean("per_window", per_window)
        self.spacing = sizes.checked(spacing)

    def slopes(self, n: int, window: Sequence[int], like: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return w of n windows per pixel, shape (n, axes) or (1, axes)."""
        shape = (n if self.per_window else 1, len(window))
        # None is not passed as the generator: with that argument, sizes could not be symbolic.
        source: dict[str, Any] = {} if generator is None else {"generator": generator}
        # Normal deviates give directions that are uniform on the sphere, whatever the number of axes.
        w = torch.randn(shape, dtype=like.dtype, device=like.device, **source)
        return _per_pixel(w * (self.slope / w.norm(dim=1, keepdim=True).clamp_min(1e-12)), self.spacing)

    def __call__(self, n: int, window: Sequence[int], like: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return g on n windows, shape (n, *window) or (1, *window)."""
        return _linear(self.slopes(n, window, like, generator), window)

    def fixed(self, axes: int) -> Linear:
        """Return the height of this slope in a fixed direction, so that evaluations can be compared.

        The direction is neither an axis nor a diagonal, along which many pixels would have equal heights.
        """
        direction = [math.cos(1.0 + axis) for axis in range(checks.integer("axes", axes, 1, 3))]
        return Linear([self.slope * part / math.hypot(*direction) for part in direction], spacing=self.spacing)

    def __repr__(self) -> str:
        return f"RandomLinear(slope={self.slope}, per_window={self.per_window}{_shown(self.spacing)})"


class Radial:
    """The height g(p) = a |p - q|.

    Parameters
    ----------
    a : float
        Slope, in filtration values per pixel, or per unit of `spacing`.
    q : sequence of float, one per axis, optional
        Centre, in pixels or units of `spacing` from the window's centre; by default the window's first pixel.
    spacing : float or sequence of float, one per axis
        Size of a pixel.
    """

    def __init__(self, a: float, q: Sequence[float] | None = None, *, spacing: float | Sequence[float] = 1.0) -> None:
        self.a = checks.number("a", a)
        self.q = None if q is None else checks.numbers("q", q)
        self.spacing = sizes.checked(spacing)

    def __call__(self, n: int, window: Sequence[int], like: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return g on a window, shape (1, *window)."""
        axes = _coordinates(window, like, sizes.per_axis(self.spacing, len(window)))
        if self.q is None:
            square = sum((axis - axis.flatten()[0]) ** 2 for axis in axes)
        else:
            centre = _per_axis("q", self.q, window)
            square = sum((axis - place) ** 2 for axis, place in zip(axes, centre, strict=True))
        assert isinstance(square, Tensor)
        return (self.a * square.sqrt())[None]

    def __repr__(self) -> str:
        return f"Radial(a={self.a}, q={self.q}{_shown(self.spacing)})"


class Quadratic:
    """The height g(p) = p' W p with W = w' w, which is (w . p)^2.

    Parameters
    ----------
    w : sequence of float, one per axis
        Slope of the square root, in square roots of filtration values per pixel, or per unit of `spacing`.
    spacing : float or sequence of float, one per axis
        Size of a pixel.
    """

    def __init__(self, w: Sequence[float], *, spacing: float | Sequence[float] = 1.0) -> None:
        self.w = checks.numbers("w", w)
        self.spacing = sizes.checked(spacing)

    def __call__(self, n: int, window: Sequence[int], like: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return g on a window, shape (1, *window)."""
        w = _per_pixel(like.new_tensor(_per_axis("w", self.w, window))[None], self.spacing)
        return _linear(w, window) ** 2

    def __repr__(self) -> str:
        return f"Quadratic(w={self.w}{_shown(self.spacing)})"


Height = Linear | RandomLinear | Radial | Quadratic


def _coordinates(window: Sequence[int], like: Tensor, spacing: tuple[float, ...] | None = None) -> list[Tensor]:
    """Return the distances from the window's centre along each axis, in shapes that broadcast to the window."""
    axes = []
    for axis, size in enumerate(window):
        line = torch.arange(size, dtype=like.dtype, device=like.device) - (size - 1) / 2
        line = line if spacing is None else line * spacing[axis]
        axes.append(line.view([-1 if i == axis else 1 for i in range(len(window))]))
    return axes


def _linear(w: Tensor, window: Sequence[int]) -> Tensor:
    """Return w . p for n slopes (n, axes), shape (n, *window)."""
    first, *others = (w[:, i].view(-1, *[1] * len(window)) * line for i, line in enumerate(_coordinates(window, w)))
    for other in others:
        first = first + other
    return first


def _per_pixel(w: Tensor, spacing: sizes.Spacing) -> Tensor:
    """Return slopes per pixel, given those per unit (n, axes)."""
    each = sizes.per_axis(spacing, w.shape[1])
    if each is None:
        return w
    return torch.stack([part * size for part, size in zip(w.unbind(dim=1), each, strict=True)], dim=1)


def _shown(spacing: sizes.Spacing) -> str:
    return "" if spacing == 1.0 else f", spacing={spacing}"


def _per_axis(name: str, values: tuple[float, ...], window: Sequence[int]) -> tuple[float, ...]:
    if len(values) != len(window):
        raise ValueError(f"{name} must have one number for each of {len(window)} axes, got {values}")
    return values
