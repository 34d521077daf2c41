"""Height functions: what the localized loss adds to prediction and truth so that a loop's place shows in its values.

A height g(p) grows over a window, in filtration values. Coordinates are in pixels from the window's centre, in the
order of the axes: (y, x), or (z, y, x) in a volume.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from . import checks


class Linear:
    """g(p) = w . p.

    Parameters
    ----------
    w : sequence of float, one an axis
        Slope, in filtration values a pixel.
    """

    def __init__(self, w: Sequence[float]) -> None:
        self.w = checks.numbers("w", w)

    def slopes(self, n: int, window: Sequence[int], like: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return w, shape (1, axes)."""
        return like.new_tensor(_fitting("w", self.w, window))[None]

    def __call__(self, n: int, window: Sequence[int], like: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return g on a window, shape (1, *window)."""
        return _linear(self.slopes(n, window, like, generator), window)

    def __repr__(self) -> str:
        return f"Linear(w={self.w})"


class RandomLinear:
    """g(p) = w . p with a random direction.

    The paper's best choice: whatever direction hides an error, the next one shows it.

    Parameters
    ----------
    slope : float
        Length of w, in filtration values a pixel. 0.2 adds about as much over 64 pixels as a usual truncation. From 1
        on, the ramp drowns all loops of a distance map, which itself changes by at most 1 a pixel.
    per_window : bool
        Whether each window has a direction of its own (the default), or all those of a call have one.
    """

    def __init__(self, slope: float = 0.2, per_window: bool = True) -> None:
        self.slope = checks.number("slope", slope, positive=True)
        self.per_window = checks.boolean("per_window", per_window)

    def slopes(self, n: int, window: Sequence[int], like: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return w of n windows, shape (n, axes) or (1, axes)."""
        shape = (n if self.per_window else 1, len(window))
        # Directions are uniform on the sphere, whatever the number of axes.
        drawn_from: dict[str, Any] = (
            {} if generator is None else {"generator": generator}
        )  # without one, sizes may be symbols
        w = torch.randn(shape, dtype=like.dtype, device=like.device, **drawn_from)
        slopes: Tensor = w * (self.slope / w.norm(dim=1, keepdim=True).clamp_min(1e-12))
        return slopes

    def __call__(self, n: int, window: Sequence[int], like: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return g on n windows, shape (n, *window) or (1, *window)."""
        return _linear(self.slopes(n, window, like, generator), window)

    def fixed(self, axes: int) -> Linear:
        """The height of this slope in a direction that is always the same, for evaluations that are to be compared.

        Neither an axis nor a diagonal, along which the pixels of a row would be level.
        """
        direction = [math.cos(1.0 + axis) for axis in range(checks.integer("axes", axes, 1, 3))]
        return Linear([self.slope * part / math.hypot(*direction) for part in direction])

    def __repr__(self) -> str:
        return f"RandomLinear(slope={self.slope}, per_window={self.per_window})"


class Radial:
    """g(p) = a |p - q|.

    Parameters
    ----------
    a : float
        Slope, in filtration values a pixel.
    q : sequence of float, one an axis, optional
        Centre, in pixels from the window's centre; by default the window's first corner.
    """

    def __init__(self, a: float, q: Sequence[float] | None = None) -> None:
        self.a = checks.number("a", a)
        self.q = None if q is None else checks.numbers("q", q)

    def __call__(self, n: int, window: Sequence[int], like: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return g on a window, shape (1, *window)."""
        q = [-(size - 1) / 2 for size in window] if self.q is None else _fitting("q", self.q, window)
        axes = _coordinates(window, like)
        square = sum((axis - centre) ** 2 for axis, centre in zip(axes, q, strict=True))
        assert isinstance(square, Tensor)
        return (self.a * square.sqrt())[None]

    def __repr__(self) -> str:
        return f"Radial(a={self.a}, q={self.q})"


class Quadratic:
    """g(p) = p' W p with W = w' w, which is (w . p)^2.

    Parameters
    ----------
    w : sequence of float, one an axis
        Square root of filtration values a pixel.
    """

    def __init__(self, w: Sequence[float]) -> None:
        self.w = checks.numbers("w", w)

    def __call__(self, n: int, window: Sequence[int], like: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return g on a window, shape (1, *window)."""
        return _linear(like.new_tensor(_fitting("w", self.w, window))[None], window) ** 2

    def __repr__(self) -> str:
        return f"Quadratic(w={self.w})"


Height = Linear | RandomLinear | Radial | Quadratic


def _coordinates(window: Sequence[int], like: Tensor) -> list[Tensor]:
    """Pixels from the window's centre, for each axis, in shapes that broadcast to the window."""
    axes = []
    for axis, size in enumerate(window):
        line = torch.arange(size, dtype=like.dtype, device=like.device) - (size - 1) / 2
        axes.append(line.view([-1 if i == axis else 1 for i in range(len(window))]))
    return axes


def _linear(w: Tensor, window: Sequence[int]) -> Tensor:
    """w . p for n slopes (n, axes): shape (n, *window)."""
    first, *others = (w[:, i].view(-1, *[1] * len(window)) * line for i, line in enumerate(_coordinates(window, w)))
    for other in others:
        first = first + other
    return first


def _fitting(name: str, values: tuple[float, ...], window: Sequence[int]) -> tuple[float, ...]:
    if len(values) != len(window):
        raise ValueError(f"{name} must have one number for each of {len(window)} axes, got {values}")
    return values
