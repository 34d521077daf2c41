"""Bottleneck: the pair that decides the bottleneck distance of two diagrams, exactly, window by window."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...records import Points
from .assignment import distances, essential_pairs, finite_points, to_diagonal

Array = NDArray[Any]

NOTHING, INFINITE, NAN = -1, -2, -3  # in place of columns


def bottleneck(a: Points[Array], b: Points[Array]) -> Array:
    """Find the longest pair of a matching whose longest pair is as short as possible, in the maximum norm.

    The distance is that of two points, or of a point to the diagonal, so a binary search over these finds it exactly.

    Returns
    -------
    array, shape (N, 2)
        Columns of a and b; one of them is NOTHING for a point and the diagonal. Both are NOTHING where the distance is
        0 because there are no points, INFINITE where the essential classes differ in number, and NAN for a NaN.
    """
    return np.array([_window(a, b, w) for w in range(len(a.count))], np.int64).reshape(-1, 2)


def _window(a: Points[Array], b: Points[Array], window: int) -> tuple[int, int]:
    one, other, classes = finite_points(a, window), finite_points(b, window), essential_pairs(a, b, window)
    for side, finite in ((a, one), (b, other)):
        n = min(max(side.count[window], 0), side.birth.shape[1])
        if np.isnan(side.birth[window, :n]).any() or np.isnan(side.death[window, :n]).any():
            return NAN, NAN
        if len(finite.columns) + len(classes) < n:
            return INFINITE, INFINITE
    longest, (i, j) = _longest(one.points, other.points)
    i, j = (int(columns[k]) if k >= 0 else NOTHING for columns, k in ((one.columns, i), (other.columns, j)))
    for k, m in classes:
        coordinates = ((side[0][window, k], side[1][window, m]) for side in ((a.birth, b.birth), (a.death, b.death)))
        length = max(abs(float(x) - float(y)) if x != y else 0.0 for x, y in coordinates)
        if length > longest:
            longest, i, j = length, k, m
    return i, j


def _longest(x: Array, y: Array) -> tuple[float, tuple[int, int]]:
    """Return the bottleneck distance of finite points, and the rows of the pair that has it."""
    alone_x, alone_y, pairs = to_diagonal(x, np.inf), to_diagonal(y, np.inf), distances(x, y, np.inf)
    most = max(alone_x.max(initial=0.0), alone_y.max(initial=0.0))  # the distance if all stay unmatched
    candidates = np.unique(np.concatenate(([0.0], alone_x, alone_y, pairs[pairs < most])))
    low, high = 0, len(candidates) - 1  # the last one is enough
    while low < high:
        middle = (low + high) // 2
        if _is_enough(candidates[middle], alone_x, alone_y, pairs):
            high = middle
        else:
            low = middle + 1
    return float(candidates[low]), _pair_of_length(candidates[low], alone_x, alone_y, pairs)


def _is_enough(length: float, alone_x: Array, alone_y: Array, pairs: Array) -> bool:
    """Return whether a matching has no pair longer than that.

    There is one if one matching covers all points of x that are far from the diagonal, and another those of y: a third
    one then covers both (Mendelsohn and Dulmage 1958).
    """
    return all(_covers(pairs[far] <= length) for far, pairs in ((alone_x > length, pairs), (alone_y > length, pairs.T)))


def _covers(edges: Array) -> bool:
    """Return whether a bipartite graph has a matching of all rows, by Hopcroft and Karp (1973)."""
    if len(edges) == 0:
        return True
    return bool(edges.any(1).all()) and bool((_matching(edges) >= 0).all())


def _matching(edges: Array) -> Array:
    """Return the partner of each row in a largest matching, or -1."""
    from scipy.sparse import csr_matrix  # the imports are slow, and few need them
    from scipy.sparse.csgraph import maximum_bipartite_matching

    found: Array = maximum_bipartite_matching(csr_matrix(edges), perm_type="column")
    return found


def _pair_of_length(length: float, alone_x: Array, alone_y: Array, pairs: Array) -> tuple[int, int]:
    """Return a pair of exactly that length in a matching that has no longer one."""
    n, m = pairs.shape
    # Each point of x has a place on the diagonal among the last columns, and each of y one among the last rows.
    edges = np.zeros((n + m, m + n), bool)
    edges[:n, :m], edges[n:, m:] = pairs <= length, True
    edges[:n, m:][np.diag_indices(n)], edges[n:, :m][np.diag_indices(m)] = alone_x <= length, alone_y <= length
    for i, j in enumerate(_matching(edges).tolist()):
        if i < n and j < m and pairs[i, j] == length:
            return i, j
        if i < n and j >= m and alone_x[i] == length:
            return i, NOTHING
        if i >= n and j < m and alone_y[j] == length:
            return NOTHING, j
    return NOTHING, NOTHING
