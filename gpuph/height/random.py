"""Height functions that are drawn at random in each call; see `gpuph.height`."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .. import checks
from .. import spacing as sizes
from .fixed import Linear, Quadratic, Radial, coordinates, linear, per_pixel, shown


class RandomHeight(ABC):
    """A height that is drawn anew in each call, and is fixed where calls must be comparable.

    A height and its negative are equally likely, so the mean of a loss over both has no bias. Its gradient usually
    varies less than that of the mean over two independent draws, because an error that one height hides is likely to
    show with its negative. Statisticians call such draws antithetic.

    Parameters
    ----------
    slope : float, or (float, float)
        The slope, or the least and the largest of a range in which slopes are drawn uniformly.
    per_window : bool
        Whether each window has its own draw, or all windows of a call share one. With one call per training
        step, False means one draw per step.
    draws : int
        How many heights a window has: 1, or an even number, of which half are the negatives of the others. Losses are
        means over them, in one batched call that takes `draws` times as long.
    spacing : float or sequence of float, one per axis
        Size of a pixel.
    """

    def __init__(
        self,
        slope: float | Sequence[float],
        per_window: bool,
        draws: int,
        spacing: float | Sequence[float],
    ) -> None:
        self.slope = _slope(slope)
        self.per_window = checks.boolean("per_window", per_window)
        self.draws = checks.integer("draws", draws, 1)
        if self.draws > 1 and self.draws % 2:
            raise ValueError(f"draws must be 1 or even, as draws come with their negatives, got {self.draws}")
        self.spacing = sizes.checked(spacing)

    @abstractmethod
    def __call__(self, n: int, window: Sequence[int], like: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return `draws` heights for each of n windows, shape (draws * n, *window); or (1, *window) if shared."""

    @abstractmethod
    def fixed(self, axes: int) -> Linear | Radial | Quadratic:
        """Return a height that is the same in each call, so that evaluations can be compared."""

    def _drawn_apart(self, n: int) -> int:
        """Return how many heights are drawn for n windows."""
        return (n if self.per_window else 1) * -(-self.draws // 2)

    def _with_negatives(self, drawn: Tensor, n: int) -> Tensor:
        """Return the draws of n windows, given the first half of them (k, ...): shape (draws * n, ...) or (1, ...)."""
        if self.draws == 1:
            return drawn
        both = torch.cat((drawn, -drawn))
        return both if self.per_window else both.repeat_interleave(n, dim=0)

    def _lengths(self, like: Tensor, k: int, source: dict[str, Any]) -> float | Tensor:
        """Return the slope, or k random ones, shape (k, 1)."""
        if not isinstance(self.slope, tuple):
            return self.slope
        low, high = self.slope
        return low + (high - low) * torch.rand((k, 1), dtype=like.dtype, device=like.device, **source)

    def _middle(self) -> float:
        """Return the slope, or the middle of its range."""
        return sum(self.slope) / 2 if isinstance(self.slope, tuple) else self.slope

    def __repr__(self) -> str:
        draws = "" if self.draws == 1 else f", draws={self.draws}"
        name = type(self).__name__
        return f"{name}(slope={self.slope}, per_window={self.per_window}{draws}{shown(self.spacing)})"


class RandomLinear(RandomHeight):
    """The height g(p) = w . p with a random direction.

    This is the paper's choice: an error that one direction hides shows in another.

    Parameters
    ----------
    slope : float, or (float, float)
        Length of w, in filtration values per pixel, or per unit of `spacing`; or the least and the largest length, if
        it is random too. Over a window of 64 pixels, 0.2 adds about as much as a usual truncation. From 1 on, the
        height hides all loops of a distance map, whose own slope is at most 1.
    per_window : bool
        Whether each window has its own direction (the default), or all windows of a call share one. With one
        call per training step, False means one draw per step.
    draws : int
        How many directions a window has: 1, or an even number, of which half are opposite to the others. Losses are
        means over them, in one batched call that takes `draws` times as long.
    spacing : float or sequence of float, one per axis
        Size of a pixel. Directions are uniform in space, not in the grid.
    """

    def __init__(
        self,
        slope: float | Sequence[float] = 0.2,
        per_window: bool = True,
        *,
        draws: int = 1,
        spacing: float | Sequence[float] = 1.0,
    ) -> None:
        super().__init__(slope, per_window, draws, spacing)

    def slopes(self, n: int, window: Sequence[int], like: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return w per pixel, `draws` times for each of n windows: shape (draws * n, axes), or (1, axes) if shared."""
        w = _directions(self, n, window, like, generator)
        return per_pixel(self._with_negatives(w, n), self.spacing)

    def __call__(self, n: int, window: Sequence[int], like: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return `draws` heights for each of n windows, shape (draws * n, *window); or (1, *window) if shared."""
        return linear(self.slopes(n, window, like, generator), window)

    def fixed(self, axes: int) -> Linear:
        """Return the height of this slope in a fixed direction, so that evaluations can be compared.

        The direction is neither an axis nor a diagonal, along which many pixels would have equal heights.
        """
        return Linear(_fixed_direction(axes, self._middle()), spacing=self.spacing)


class RandomRadial(RandomHeight):
    """The height g(p) = a |p - q| with a random centre q in the window and a random sign of a.

    Parameters
    ----------
    slope : float, or (float, float)
        Absolute value of a, in filtration values per pixel, or per unit of `spacing`; or its least and largest value.
        See `RandomLinear` for sizes that make sense.
    per_window, draws, spacing
        See `RandomLinear`. With several draws, each centre comes with both signs.
    """

    def __init__(
        self,
        slope: float | Sequence[float] = 0.2,
        per_window: bool = True,
        *,
        draws: int = 1,
        spacing: float | Sequence[float] = 1.0,
    ) -> None:
        super().__init__(slope, per_window, draws, spacing)

    def __call__(self, n: int, window: Sequence[int], like: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return `draws` heights for each of n windows, shape (draws * n, *window); or (1, *window) if shared."""
        source = _source(generator)
        k = self._drawn_apart(n)
        axes = coordinates(window, like, sizes.per_axis(self.spacing, len(window)))
        share = torch.rand((k, len(window)), dtype=like.dtype, device=like.device, **source)
        a = self._lengths(like, k, source) * _signs(like, k, source)
        square: float | Tensor = 0.0
        for i, axis in enumerate(axes):
            line = axis.flatten()
            centre = line[0] + share[:, i] * (line[-1] - line[0])
            square = square + (axis - centre.view(-1, *[1] * len(window))) ** 2
        assert isinstance(square, Tensor)
        return self._with_negatives(a.view(-1, *[1] * len(window)) * square.sqrt(), n)

    def fixed(self, axes: int) -> Radial:
        """Return the height of this slope around a fixed centre: near the window's centre, and on no symmetry axis."""
        offset = _fixed_direction(axes, 1.0)
        size = sizes.per_axis(self.spacing, axes) or (1.0,) * axes
        centre = [part * each for part, each in zip(offset, size, strict=True)]
        return Radial(self._middle(), centre, spacing=self.spacing)


class RandomQuadratic(RandomHeight):
    """The height g(p) = (w . p)^2 or -(w . p)^2 with a random direction and sign: a valley, or a ridge.

    Parameters
    ----------
    slope : float, or (float, float)
        Length of w, in square roots of filtration values per pixel, or per unit of `spacing`; or its least and largest
        value. Over a window of 64 pixels, 0.1 adds about as much as a usual truncation.
    per_window, draws, spacing
        See `RandomLinear`. With several draws, each direction comes with both signs.
    """

    def __init__(
        self,
        slope: float | Sequence[float] = 0.1,
        per_window: bool = True,
        *,
        draws: int = 1,
        spacing: float | Sequence[float] = 1.0,
    ) -> None:
        super().__init__(slope, per_window, draws, spacing)

    def __call__(self, n: int, window: Sequence[int], like: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return `draws` heights for each of n windows, shape (draws * n, *window); or (1, *window) if shared."""
        w = per_pixel(_directions(self, n, window, like, generator), self.spacing)
        signs = _signs(like, len(w), _source(generator)).view(-1, *[1] * len(window))
        return self._with_negatives(signs * linear(w, window) ** 2, n)

    def fixed(self, axes: int) -> Quadratic:
        """Return the height of this slope in a fixed direction, which is neither an axis nor a diagonal."""
        return Quadratic(_fixed_direction(axes, self._middle()), spacing=self.spacing)


def _slope(value: float | Sequence[float]) -> float | tuple[float, float]:
    """Return a slope, or the least and the largest one; raise unless they are positive and in order."""
    if not checks.is_ordered(value):
        return checks.number("slope", value, positive=True)
    found = checks.numbers("slope", value)
    if len(found) != 2 or not 0 < found[0] <= found[1]:
        raise ValueError(f"slope must be a positive number, or a range (low, high) of them, got {checks.shown(value)}")
    low, high = found
    return low, high


def _source(generator: torch.Generator | None) -> dict[str, Any]:
    """Return the generator as an argument; with None as the argument, sizes could not be symbolic."""
    return {} if generator is None else {"generator": generator}


def _directions(
    height: RandomHeight, n: int, window: Sequence[int], like: Tensor, generator: torch.Generator | None
) -> Tensor:
    """Draw vectors of the height's slope, shape (k, axes), which are uniform on the sphere."""
    k, source = height._drawn_apart(n), _source(generator)
    # Normal deviates give directions that are uniform on the sphere, whatever the number of axes.
    w = torch.randn((k, len(window)), dtype=like.dtype, device=like.device, **source)
    norm = torch.linalg.vector_norm(w, dim=1, keepdim=True)  # `Tensor.norm` takes three times as long on the host
    directions: Tensor = w * (height._lengths(like, k, source) / norm.clamp_min(1e-12))
    return directions


def _signs(like: Tensor, k: int, source: dict[str, Any]) -> Tensor:
    """Draw 1 or -1, shape (k, 1)."""
    return 1 - 2 * torch.randint(2, (k, 1), dtype=like.dtype, device=like.device, **source)


def _fixed_direction(axes: int, length: float) -> list[float]:
    direction = [math.cos(1.0 + axis) for axis in range(checks.integer("axes", axes, 1, 3))]
    return [length * part / math.hypot(*direction) for part in direction]
