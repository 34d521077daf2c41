"""Cost of a matching, and its derivatives in each birth and death."""

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
_LONG = 1 << 23  # coordinates of births, which take a few hundredths of a second; see `interruptible`
_COLUMNS_PER_SLICE = 20_000  # columns below which another thread costs more than it saves


@interruptible(lambda a, b, *_: a.birth.size + b.birth.size >= _LONG)
def cost(
    a: Points[Array], b: Points[Array], partner_a: Array, partner_b: Array, *, squared: bool, padded: bool = True
) -> Costs[Array]:
    """Add up the costs of matchings.

    Slopes in columns without a point are 0 if `padded` is True, and unspecified otherwise.
    """
    for name, partner, points in (("partner_a", partner_a, a), ("partner_b", partner_b, b)):
        if partner.shape != points.birth.shape:
            raise ValueError(f"{name} must have shape {points.birth.shape}, got {partner.shape}")
    (n, size_a), size_b, dtype = a.birth.shape, b.birth.shape[1], a.birth.dtype
    new = np.zeros if padded else np.empty
    out, halt = Costs(np.empty(n, dtype), new((n, 2, size_a), dtype), new((n, 2, size_b), dtype)), halt_word()

    def run(start: int, stop: int) -> bool:
        parts = [x[start:stop] for x in (*a, *b, partner_a, partner_b, *out)]
        within: bool = _cost(*parts, squared, halt)
        return within

    if not all(over_windows(n, run, 1 + _COLUMNS_PER_SLICE // (1 + size_a + size_b))):
        raise IndexError(f"partner_a must be less than the number of columns of b, {size_b}, got {partner_a.max()}")
    return out


@kernel  # takes a flat list, because Numba recognizes the types of records slowly
def _cost(
    birth_a,
    death_a,
    count_a,
    birth_b,
    death_b,
    count_b,
    partner_a,
    partner_b,
    cost,
    slopes_a,
    slopes_b,
    squared,
    halt,
):
    """Compute the costs of the windows of a slice, added up in order of the columns.

    cost, slopes_a, slopes_b : written. halt : see `halted`. Return whether all partners are valid columns; others cost
    nothing.
    """
    a, b = Points(birth_a, death_a, count_a), Points(birth_b, death_b, count_b)
    return _cost_windows(a, b, partner_a, partner_b, squared, Costs(cost, slopes_a, slopes_b), halt)


@device  # where reading a field of a record does not count references
def _cost_windows(a, b, partner_a, partner_b, squared, costs, halt):
    """Compute the costs of all windows. Return whether all partners are valid columns."""
    slopes_a, slopes_b, within = costs.slopes_a, costs.slopes_b, True
    for w in range(len(a.count)):
        if halted(halt):
            break
        total = 0.0
        for i in range(min(a.count[w], a.birth.shape[1])):
            j = partner_a[w, i]
            if j < 0:
                length = _difference(a.death[w, i], a.birth[w, i])
                slope = _slope(length, squared)
                total += _alone(length, squared)
                slopes_a[w, 0, i], slopes_a[w, 1, i] = -slope, slope
            elif j >= b.birth.shape[1]:
                within = False
            else:
                x, y = _difference(a.birth[w, i], b.birth[w, j]), _difference(a.death[w, i], b.death[w, j])
                total += x * x + y * y
                slopes_a[w, 0, i], slopes_a[w, 1, i] = 2 * x, 2 * y
                slopes_b[w, 0, j], slopes_b[w, 1, j] = -2 * x, -2 * y
        for j in range(min(b.count[w], b.birth.shape[1])):
            if partner_b[w, j] < 0:
                length = _difference(b.death[w, j], b.birth[w, j])
                slope = _slope(length, squared)
                total += _alone(length, squared)
                slopes_b[w, 0, j], slopes_b[w, 1, j] = -slope, slope
        costs.cost[w] = total
    return within


@device
def _difference(a, b):
    """Return the difference of two coordinates; 0 if they are equal, even if both are infinite."""
    return np.float64(a) - np.float64(b) if a != b else 0.0


@device
def _alone(length, squared):
    """Return the cost of an unmatched point: inf for an essential class, and NaN for a point with a NaN."""
    return 0.5 * length * length if squared else _SQRT_HALF * abs(length)


@device
def _slope(length, squared):
    """Return the derivative of that cost in the death; 0 where the cost is inf or NaN."""
    if not np.isfinite(length):
        return 0.0
    return length if squared else _SQRT_HALF * np.sign(length)
