"""The units in which distances are computed, the same on all devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

_LARGEST = 2.0**127  # of float32's powers of two; its reciprocal is a float32 too


class Scale(NamedTuple):
    """Sizes of a pixel and the largest distance, for kernels that compute squared distances in float32.

    Squares are in units of the finest spacing. Where all axes have the same, they are integers, exact up to 2^24, which
    is the square of 4,096 pixels.
    """

    unit: float  # the finest spacing
    steps: tuple[float, ...]  # the spacing of each axis, in that unit
    truncation: float  # in units of length, as the spacing is
    limit: float  # its square, in the unit of squares; squares from it on are truncated

    @staticmethod
    def of(truncation: float, spacing: Sequence[float]) -> Scale:
        """Return the scale of distances up to a truncation, between pixels of a size."""
        unit, truncation = _float32(min(spacing)), _float32(truncation)
        steps = tuple([_float32(each / unit) for each in spacing])
        return Scale(unit, steps, truncation, _float32(_float32(truncation / unit) ** 2))

    def pixels(self) -> float:
        """Return the truncation in pixels of the last axis."""
        return self.truncation / self.unit / self.steps[-1]


def _float32(x: float) -> float:
    """Return x, or the nearest number in float32's range if it is outside."""
    return min(max(x, 1 / _LARGEST), _LARGEST)
