"""The size of a pixel or voxel along each axis, in units of length."""

from __future__ import annotations

from collections.abc import Sequence

from . import checks

Spacing = float | tuple[float, ...]


def checked(value: float | Sequence[float], name: str = "spacing") -> Spacing:
    """Return one size for all axes, or one per axis, whose number is not known yet; raise unless they are positive."""
    if not checks.is_ordered(value):
        return checks.number(name, value, positive=True)
    found = checks.numbers(name, value)
    if min(found) <= 0:
        raise ValueError(f"{name} must be positive, got {checks.shown(value)}")
    return found


def per_axis(spacing: Spacing, rank: int, name: str = "spacing") -> tuple[float, ...] | None:
    """Return the size along each of `rank` axes; None if all are 1, so that nothing is computed with them."""
    sizes = spacing if isinstance(spacing, tuple) else (spacing,) * rank
    if len(sizes) != rank:
        raise ValueError(f"{name} must be a number, or have one for each of {rank} axes, got {spacing}")
    return None if set(sizes) == {1.0} else sizes
