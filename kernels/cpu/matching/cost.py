"""Cost: what a matching costs, and how that changes with each birth and death."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...records import Costs, Points
from ..runtime.interrupt import halt_word, interruptible
from ..runtime.jit import device, kernel
from ..runtime.primitives import halted
from ..runtime.threads import over_windows

Array = NDArray[Any]

_SQRT_HALF = 0.5**0.5


@interruptible(lambda a, b, *_: a.birth.size + b.birth.size >= 1 << 23)
def cost(
    a: Points[Array], b: Points[Array], partner_a: Array, partner_b: Array, squared: bool, padded: bool = True
) -> Costs[Array]:
    """Add up what matchings cost; slopes behind the points are 0 if `padded`, and anything otherwise."""
    (n, size_a), size_b, dtype = a.birth.shape, b.birth.shape[1], a.birth.dtype
    new = np.zeros if padded else np.empty
    out, halt = Costs(np.empty(n, dtype), new((n, 2, size_a), dtype), new((n, 2, size_b), dtype)), halt_word()

    for name, partner, points in (("partner_a", partner_a, a), ("partner_b", partner_b, b)):
        if partner.shape != points.birth.shape:
            raise ValueError(f"{name} must have shape {points.birth.shape}, got {partner.shape}")

    def run(start: int, stop: int) -> bool:
        points = [x[start:stop] for x in (*a, *b, partner_a, partner_b)]
        within: bool = _windows(*points, squared, *(x[start:stop] for x in out), halt)
        return within

    if not all(over_windows(n, run, 1 + 20_000 // (1 + size_a + size_b))):
        raise IndexError(f"partner_a must be less than the number of columns of b, {size_b}, got {partner_a.max()}")
    return out


@kernel
def _windows(
    birth_a, death_a, count_a, birth_b, death_b, count_b, partner_a, partner_b, squared, cost, slopes_a, slopes_b, halt
):
    """Costs of the windows of a slice, added up in order of the columns.

    halt : see `halted`. Returns whether all partners are columns; the others cost nothing.
    """
    within = True
    for w in range(birth_a.shape[0]):
        if halted(halt):
            break
        total = 0.0
        for i in range(min(count_a[w], birth_a.shape[1])):
            j = partner_a[w, i]
            if j < 0:
                length = _apart(death_a[w, i], birth_a[w, i])
                slope = _slope(length, squared)
                total += _alone(length, squared)
                slopes_a[w, 0, i], slopes_a[w, 1, i] = -slope, slope
            elif j >= birth_b.shape[1]:
                within = False
            else:
                x, y = _apart(birth_a[w, i], birth_b[w, j]), _apart(death_a[w, i], death_b[w, j])
                total += x * x + y * y
                slopes_a[w, 0, i], slopes_a[w, 1, i] = 2 * x, 2 * y
                slopes_b[w, 0, j], slopes_b[w, 1, j] = -2 * x, -2 * y
        for j in range(min(count_b[w], birth_b.shape[1])):
            if partner_b[w, j] < 0:
                length = _apart(death_b[w, j], birth_b[w, j])
                slope = _slope(length, squared)
                total += _alone(length, squared)
                slopes_b[w, 0, j], slopes_b[w, 1, j] = -slope, slope
        cost[w] = total
    return within


@device
def _apart(a, b):
    """Difference of two coordinates, of which infinite ones are equal."""
    return np.float64(a) - np.float64(b) if a != b else 0.0


@device
def _alone(length, squared):
    """Cost of a point without a partner; inf for an essential class, and NaN for a point that is none."""
    return 0.5 * length * length if squared else _SQRT_HALF * abs(length)


@device
def _slope(length, squared):
    """Change of that cost with the death; none where it stays what it is, inf or NaN."""
    if not np.isfinite(length):
        return 0.0
    return length if squared else _SQRT_HALF * np.sign(length)
