"""Height functions, which the localized loss adds to prediction and truth so that filtration values depend on position.

A height g(p) is in filtration values. Coordinates are from the window's centre, in the order of the axes: (y, x), or
(z, y, x) in a volume. They are in pixels, or in the unit of `spacing`, the size of a pixel: a number, or one per axis.
Slopes are then per unit, as are those of `gpuph.truncated_distance_map` with the same `spacing`.
"""

from __future__ import annotations

from .fixed import Linear, Quadratic, Radial
from .random import RandomHeight, RandomLinear, RandomQuadratic, RandomRadial

Height = Linear | Radial | Quadratic | RandomHeight

__all__ = [
    "Height",
    "Linear",
    "Quadratic",
    "Radial",
    "RandomHeight",
    "RandomLinear",
    "RandomQuadratic",
    "RandomRadial",
]
