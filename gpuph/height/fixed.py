"""Height functions that are the same in each window and call; see `gpuph.height`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .. import checks
from .. import spacing as sizes


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
        return per_pixel(like.new_tensor(per_axis("w", self.w, window))[None], self.spacing)

    def __call__(self, n: int, window: Sequence[int], like: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return g on a window, shape (1, *window)."""
        return linear(self.slopes(n, window, like, generator), window)

    def __repr__(self) -> str:
        return f"Linear(w={self.w}{shown(self.spacing)})"


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
        axes = coordinates(window, like, sizes.per_axis(self.spacing, len(window)))
        if self.q is None:
            square = sum((axis - axis.flatten()[0]) ** 2 for axis in axes)
        else:
            centre = per_axis("q", self.q, window)
            square = sum((axis - place) ** 2 for axis, place in zip(axes, centre, strict=True))
        assert isinstance(square, Tensor)
        return (self.a * square.sqrt())[None]

    def __repr__(self) -> str:
        return f"Radial(a={self.a}, q={self.q}{shown(self.spacing)})"


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
        w = per_pixel(like.new_tensor(per_axis("w", self.w, window))[None], self.spacing)
        return linear(w, window) ** 2

    def __repr__(self) -> str:
        return f"Quadratic(w={self.w}{shown(self.spacing)})"


def coordinates(window: Sequence[int], like: Tensor, spacing: tuple[float, ...] | None = None) -> list[Tensor]:
    """Return the distances from the window's centre along each axis, in shapes that broadcast to the window."""
    axes = []
    for axis, size in enumerate(window):
        line = torch.arange(size, dtype=like.dtype, device=like.device) - (size - 1) / 2
        line = line if spacing is None else line * spacing[axis]
        axes.append(line.view([-1 if i == axis else 1 for i in range(len(window))]))
    return axes


def linear(w: Tensor, window: Sequence[int]) -> Tensor:
    """Return w . p for n slopes (n, axes), shape (n, *window)."""
    first, *others = (w[:, i].view(-1, *[1] * len(window)) * line for i, line in enumerate(coordinates(window, w)))
    for other in others:
        first = first + other
    return first


def per_pixel(w: Tensor, spacing: sizes.Spacing) -> Tensor:
    """Return slopes per pixel, given those per unit (n, axes)."""
    each = sizes.per_axis(spacing, w.shape[1])
    if each is None:
        return w
    return torch.stack([part * size for part, size in zip(w.unbind(dim=1), each, strict=True)], dim=1)


def shown(spacing: sizes.Spacing) -> str:
    """Return the setting as `repr` shows it: not at all if it has the default value."""
    return "" if spacing == 1.0 else f", spacing={spacing}"


def per_axis(name: str, values: tuple[float, ...], window: Sequence[int]) -> tuple[float, ...]:
    if len(values) != len(window):
        raise ValueError(f"{name} must have one number for each of {len(window)} axes, got {values}")
    return values
