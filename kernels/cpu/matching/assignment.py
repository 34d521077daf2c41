"""Assignment: optimal matchings for other costs than squared Euclidean distances, by scipy, window by window."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...records import Points

Array = NDArray[Any]

_COARSE = 1e6  # the cost of a point alone, relative to what a matching costs, from which on digits are lost


class Finite(NamedTuple):
    """The points of a diagram with finite coordinates."""

    points: Array  # (n, 2), float64
    columns: Array  # (n,): their columns in the diagram


def assign(a: Points[Array], b: Points[Array], order: float, internal_p: float) -> tuple[Array, Array]:
    """Match the diagrams of N windows optimally, for pairs that cost the power `order` of their distance in the norm p.

    Returns
    -------
    partner_a, partner_b : array, shapes (N, K) and (N, L)
        Columns of partners, or -1.
    """
    partner_a, partner_b = np.full(a.birth.shape, -1), np.full(b.birth.shape, -1)
    for w in range(len(a.count)):
        one, other = finite_points(a, w), finite_points(b, w)
        scale = _power_of_two(one, other)
        x, y = scale * one.points, scale * other.points
        alone_x, alone_y = to_diagonal(x, internal_p) ** order, to_diagonal(y, internal_p) ** order
        i, j = _least(distances(x, y, internal_p) ** order, alone_x, alone_y)
        i, j = one.columns[i], other.columns[j]
        partner_a[w, i], partner_b[w, j] = j, i
        for left, right in essential_pairs(a, b, w):
            partner_a[w, left], partner_b[w, right] = right, left
    return partner_a, partner_b


def _least(costs: Array, alone_x: Array, alone_y: Array) -> tuple[Array, Array]:
    """Return the rows and columns of the pairs of a matching that costs least.

    Savings lose the digits of the small costs where points would cost far more alone. No optimal matching leaves a
    point alone that costs more than all of another matching, so such points may count less in a second search.
    """
    while True:
        i, j = _most(alone_x[:, None] + alone_y - costs)
        paid = costs[i, j].sum() + np.delete(alone_x, i).sum() + np.delete(alone_y, j).sum()
        if max(alone_x.max(initial=0.0), alone_y.max(initial=0.0)) <= _COARSE * paid or paid == 0.0:
            return i, j
        alone_x, alone_y = np.minimum(alone_x, 2.0 * paid), np.minimum(alone_y, 2.0 * paid)


def _most(saving: Array) -> tuple[Array, Array]:
    """Return the rows and columns of the pairs of a matching that saves most over leaving all points alone."""
    from scipy.optimize import linear_sum_assignment  # the import is slow, and few need it

    rows, columns = (saving > 0).any(1).nonzero()[0], (saving > 0).any(0).nonzero()[0]
    saving = np.maximum(saving[np.ix_(rows, columns)], 0.0)
    i, j = linear_sum_assignment(saving, maximize=True)
    gains = saving[i, j] > 0
    return rows[i[gains]], columns[j[gains]]


def finite_points(points: Points[Array], window: int) -> Finite:
    """Return the finite points of a window."""
    n = min(max(points.count[window], 0), points.birth.shape[1])
    both = np.stack((points.birth[window, :n], points.death[window, :n]), axis=1).astype(np.float64)
    columns = np.isfinite(both).all(1).nonzero()[0]
    return Finite(both[columns], columns)


def essential_pairs(a: Points[Array], b: Points[Array], window: int) -> list[tuple[int, int]]:
    """Match the essential classes of a window, kind by kind, in order of the finite coordinate."""
    pairs: list[tuple[int, int]] = []
    for one, other in zip(_essential(a, window), _essential(b, window), strict=True):
        pairs += zip(one, other, strict=False)
    return pairs


def _essential(points: Points[Array], window: int) -> list[list[int]]:
    """Return the columns of the essential classes (finite, inf), (-inf, finite) and (-inf, inf), sorted."""
    n = min(max(points.count[window], 0), points.birth.shape[1])
    birth, death = points.birth[window, :n], points.death[window, :n]
    endless, timeless = death == np.inf, birth == -np.inf
    kinds = (
        (np.isfinite(birth) & endless, birth),
        (timeless & np.isfinite(death), death),
        (timeless & endless, np.zeros(n)),
    )
    return [there.nonzero()[0][np.argsort(key[there], kind="stable")].tolist() for there, key in kinds]


def distances(x: Array, y: Array, internal_p: float) -> Array:
    """Return the distances of points (n, 2) and (m, 2) in the norm 1, 2 or inf, shape (n, m)."""
    across, along = (np.abs(x[:, None, axis] - y[None, :, axis]) for axis in range(2))
    if internal_p == 1:
        return across + along
    return np.maximum(across, along) if internal_p == np.inf else np.hypot(across, along)


def to_diagonal(x: Array, internal_p: float) -> Array:
    """Return the distances of points (n, 2) to the diagonal in that norm."""
    return np.abs(x[:, 1] - x[:, 0]) * 2.0 ** (1.0 / internal_p - 1.0)


def _power_of_two(*sides: Finite) -> float:
    """Return the power of two that scales the largest coordinate to about 1, so that its powers do not overflow."""
    largest = max(np.abs(side.points).max(initial=0.0) for side in sides)
    return float(2.0 ** np.clip(-np.frexp(largest)[1], -1022, 1022))
