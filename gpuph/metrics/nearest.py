"""Nearest points on straight segments."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree


class Nearest(NamedTuple):
    """The nearest point on the segments for each given point; each array has the shape (n,).

    `segment` and `share` are 0 for points that are far from all segments.
    """

    found: np.ndarray
    """Whether it is within the radius."""
    segment: np.ndarray
    """The number of its segment."""
    share: np.ndarray
    """Its position on the segment, from 0 at the start to 1 at the stop."""


class _Middles(NamedTuple):
    """Middles of pieces of segments."""

    tree: cKDTree
    segment: np.ndarray
    """The segment of each piece."""
    half: float
    """Half the length of the longest piece."""
    longest: float
    """The length above which segments were cut."""


class SegmentSearch:
    """A search among straight segments by the middles of their pieces."""

    def __init__(self, start: np.ndarray, stop: np.ndarray, length: np.ndarray) -> None:
        """Prepare a search among segments, given their ends (s, ndim) and lengths (s,)."""
        self._start, self._stop, self._length = start, stop, length
        self._last: _Middles | None = None  # kept for the next search with the same radius

    def near(self, points: np.ndarray, radius: float, rounding: float) -> np.ndarray:
        """Return whether each of the points (n, ndim) lies within `radius` of a segment, shape (n,)."""
        if len(self._length) == 0 or len(points) == 0:
            return np.zeros(len(points), bool)
        middles = self._middles(radius)
        distance, _ = middles.tree.query(points, distance_upper_bound=radius + middles.half + rounding)
        found: np.ndarray = distance <= radius
        unclear = np.flatnonzero(~found & np.isfinite(distance))
        found[unclear] = self.nearest(points[unclear], radius, rounding).found
        return found

    def nearest(self, points: np.ndarray, radius: float, rounding: float) -> Nearest:
        """Find the point on the segments that is nearest to each of the points (n, ndim).

        Distances that differ by up to `rounding` count as equal; of equally near segments, the first is returned.
        """
        result = Nearest(np.zeros(len(points), bool), np.zeros(len(points), int), np.zeros(len(points)))
        if len(self._length) == 0 or len(points) == 0:
            return result
        middles = self._middles(radius)
        bound, _ = middles.tree.query(points, distance_upper_bound=radius + middles.half + rounding)
        near = np.flatnonzero(np.isfinite(bound))
        if len(near) == 0:
            return result
        # The middle of the nearest piece is at most half a piece farther away than the nearest middle.
        which, index = _within(middles.tree, points[near], bound[near] + middles.half + rounding)
        index = middles.segment[index]
        vector = self._stop[index] - self._start[index]
        square = (vector**2).sum(1)
        from_start = points[near[which]] - self._start[index]
        share = ((from_start * vector).sum(1) / np.where(square > 0, square, 1)).clip(0, 1)
        distance = np.linalg.norm(share[:, None] * vector - from_start, axis=1)
        begin = np.flatnonzero(np.diff(which, prepend=-1))
        least = np.minimum.reduceat(distance, begin)
        tied = np.flatnonzero(distance <= least[which] + rounding)
        best = tied[np.lexsort((index[tied], which[tied]))]
        best = best[np.diff(which[best], prepend=-1) > 0]  # the first one for each point
        result.found[near] = least <= radius + rounding  # rounding must not exclude a point at the radius
        result.segment[near] = index[best]
        result.share[near] = share[best]
        return result

    def _middles(self, radius: float) -> _Middles:
        """Return the middles of pieces of the segments, no longer than the larger of `radius` and the mean length."""
        longest = float(max(radius, self._length.mean()))
        if self._last is None or self._last.longest != longest:
            counts = np.ceil(self._length / (longest or 1.0)).astype(int).clip(1)
            segment = np.repeat(np.arange(len(counts)), counts)
            piece = np.arange(len(segment)) - (np.cumsum(counts) - counts).take(segment)
            share = (piece + 0.5) / counts.take(segment)
            middle = self._start.take(segment, 0) + share[:, None] * (self._stop - self._start).take(segment, 0)
            tree = cKDTree(middle, leafsize=64, balanced_tree=False, compact_nodes=False)  # built faster
            half = float((self._length / counts).max()) / 2
            self._last = _Middles(tree, segment, half, longest)
        return self._last


def _within(tree: cKDTree, points: np.ndarray, radius: np.ndarray, count: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Return all pairs of a point and an entry of the tree within the `radius` (n,) of the point, sorted by points.

    Most points have few such entries, so that up to `count` are queried at first.
    """
    distance, index = tree.query(points, min(count, tree.n))
    distance, index = distance.reshape(len(points), -1), index.reshape(len(points), -1)
    inside = distance <= radius[:, None]
    more = np.flatnonzero(inside.all(1)) if tree.n > count else np.zeros(0, int)
    inside[more] = False
    which, column = np.nonzero(inside)
    index = index[which, column]
    if len(more):
        lists = tree.query_ball_point(points[more], radius[more])
        which = np.append(which, np.repeat(more, [len(entries) for entries in lists]))
        index = np.append(index, np.concatenate(lists).astype(int))
        order = np.argsort(which, kind="stable")
        which, index = which[order], index[order]
    return which, index
