"""Sums over images, from which metrics are computed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeVar

import numpy as np

Totals = TypeVar("Totals", bound=NamedTuple)


def add_up(kind: type[Totals], parts: Iterable[Totals]) -> Totals:
    """Return the sums of the totals of all images, field by field; without any image, they are 0."""
    sums = np.zeros(len(kind._fields))
    for part in parts:
        sums += part
    return kind._make(sums.tolist())


def harmonic_mean(a: float, b: float) -> float:
    """Return the harmonic mean of two shares; it is 0 if both are."""
    return 2 * a * b / (a + b) if a + b > 0 else 0.0
