"""Places on a graph, and the shortest ways between them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import networkx as nx
import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import cKDTree

from .road_graph import Polylines, join, read
from .shortest_paths import ContractionHierarchy, nearer


@dataclass(frozen=True)
class Places:
    """Points on edges.

    Attributes
    ----------
    edge : ndarray, shape (n,), int64
        Which edge.
    along : ndarray, shape (n,), float64
        How far along it, from 0 to its length.
    """

    edge: np.ndarray
    along: np.ndarray

    def __len__(self) -> int:
        return len(self.edge)

    def __getitem__(self, index: np.ndarray | slice) -> Places:
        return Places(self.edge[index], self.along[index])

    def __add__(self, other: Places) -> Places:
        return Places(np.concatenate((self.edge, other.edge)), np.concatenate((self.along, other.along)))


class Network:
    """The edges of a simplified graph, as arrays. Nodes without an edge are left out: nothing leads there.

    Attributes: `nodes`, how many there are, and `place` (nodes, ndim), where; `ends` (m, 2), the numbers of an edge's
    nodes; `length` (m,); and of the straight segments of all edges, one after another, `start`, `stop` (s, ndim),
    `edge` (s,), `step` (s,), their lengths, and `along` (s,), how far along their edge they start. Positions are
    relative to an origin. Differences of lengths up to `rounding`, 1e-12 of the largest coordinate, mean nothing, since
    coordinates are rounded.
    """

    def __init__(self, graph: nx.Graph | Polylines, scale: float = 1.0, origin: np.ndarray | float = 0.0) -> None:
        """Take over a graph, its positions relative to `origin` times `scale`."""
        lines = graph if isinstance(graph, Polylines) else join(read(graph))
        self.rounding = 1e-12 * scale * float(np.abs(lines.vertices).max(initial=0))
        degree = np.bincount(lines.ends.ravel(), minlength=len(lines.nodes))
        number = np.cumsum(degree > 0) - 1
        self.nodes = int((degree > 0).sum())
        # The edges in the order of `simplified(graph).edges`, which random draws go by.
        low, high = np.sort(lines.ends, axis=1).T
        _, earliest, pair = np.unique(low * len(lines.nodes) + high, return_index=True, return_inverse=True)
        order = np.lexsort((earliest[pair], low))
        self.ends = number[lines.ends[order]]
        self.place = (lines.position[degree > 0] - origin) * scale if self.nodes else lines.position[:0]
        counts = np.diff(lines.first)[order] - 1
        self._first = np.cumsum(counts) - counts  # an edge's first segment
        self._last = np.cumsum(counts) - 1
        self.edge = np.repeat(np.arange(len(order)), counts)
        vertex = np.arange(len(self.edge)) + (lines.first[order] - self._first)[self.edge]
        vertices = (lines.vertices - origin) * scale if len(lines.vertices) else lines.vertices
        self.start, self.stop = vertices.take(vertex, 0), vertices.take(vertex + 1, 0)
        self.step = np.sqrt(sum(((self.stop - self.start) ** 2).T))  # several times faster than np.linalg.norm
        self.length = np.bincount(self.edge, self.step, len(order))
        total = np.cumsum(self.step) - self.step
        self.along = total - total[self._first][self.edge]
        self._links = self._shortest_links()
        self._middles: tuple[float, _Middles] | None = None  # for the last radius of `snap`

    @cached_property
    def component(self) -> np.ndarray:
        """Which piece of the graph each edge belongs to, shape (m,)."""
        labels = connected_components(self._links, directed=False)[1] if self.nodes else np.zeros(0, int)
        return np.asarray(labels[self.ends[:, 0]])

    def _shortest_links(self) -> csr_matrix:
        """Lengths of the edges between nodes, (nodes, nodes), symmetric; of parallel edges the shortest."""
        low, high = np.sort(self.ends, axis=1).T
        order = np.lexsort((self.length, high, low))
        order = order[low[order] < high[order]]  # an edge from a node to itself is no way to another
        low, high, weight = low[order], high[order], self.length[order]
        first = (np.diff(low, prepend=-1) != 0) | (np.diff(high, prepend=-1) != 0)
        low, high, weight = low[first], high[first], weight[first]
        index = (np.append(low, high), np.append(high, low))
        return csr_matrix((np.append(weight, weight), index), (self.nodes, self.nodes))

    def positions(self, places: Places) -> np.ndarray:
        """Where places are, shape (n, ndim)."""
        # Segments of one edge after another, each edge a number above the last, so that one search finds all.
        unit = np.where(self.length > 0, 2 * self.length, 1)
        key = self.edge + self.along / unit[self.edge]
        index = np.searchsorted(key, places.edge + places.along / unit[places.edge], side="right") - 1
        index = index.clip(self._first[places.edge], self._last[places.edge])
        vector = self.stop[index] - self.start[index]
        norm = np.linalg.norm(vector, axis=1)
        share = ((places.along - self.along[index]) / np.where(norm > 0, norm, 1)).clip(0, 1)
        found: np.ndarray = self.start[index] + share[:, None] * vector
        return found

    def control_places(self, spacing: float) -> Places:
        """Each node once, and on each edge places at equal distances of at most `spacing`."""
        node = np.empty((self.nodes, 2), int)  # an edge of each node, and at which of its ends
        for side in (0, 1):
            node[self.ends[:, side], 0] = np.arange(len(self.ends))
            node[self.ends[:, side], 1] = side
        nodes = Places(node[:, 0], self.length[node[:, 0]] * node[:, 1])
        edge, piece, size = self._pieces(spacing)
        return nodes + Places(edge, piece * size)[piece > 0]

    def middles(self, spacing: float) -> tuple[Places, np.ndarray]:
        """The middles of equal pieces of each edge, at most `spacing` long; and the pieces' lengths, shape (n,)."""
        edge, piece, size = self._pieces(spacing)
        return Places(edge, (piece + 0.5) * size), size

    def _pieces(self, spacing: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Cut each edge into equal pieces: of every piece the edge, its number along it and its length."""
        counts = np.ceil((self.length - self.rounding) / spacing).astype(int).clip(1)
        edge = np.repeat(np.arange(len(counts)), counts)
        piece = np.arange(len(edge)) - (np.cumsum(counts) - counts)[edge]
        return edge, piece, (self.length / counts)[edge]

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Places, Places]:
        """Draw `count` pairs of places, each with equal chance along all edges, among the pairs that a way joins."""
        order = np.argsort(self.component, kind="stable")
        stop = np.cumsum(self.length[order])
        pieces = np.bincount(self.component, self.length)
        piece = rng.choice(len(pieces), count, p=pieces**2 / (pieces**2).sum())
        start = (np.cumsum(pieces) - pieces)[piece]

        def places() -> Places:
            position = start + rng.random(count) * pieces[piece]
            index = np.searchsorted(stop, position, side="right").clip(0, len(stop) - 1)
            edge = order[index]
            along = position - (stop[index] - self.length[edge])
            return Places(edge, along.clip(0, self.length[edge]))

        return places(), places()

    def near(self, points: np.ndarray, radius: float) -> np.ndarray:
        """Whether each of `points` (n, ndim) lies within `radius` of an edge, shape (n,) bool."""
        if len(self.edge) == 0 or len(points) == 0:
            return np.zeros(len(points), bool)
        middles = self._middles_of_segments(radius)
        nearest = middles.tree.query(points, distance_upper_bound=radius + middles.half + self.rounding)[0]
        found: np.ndarray = nearest <= radius
        unclear = np.flatnonzero(~found & np.isfinite(nearest))
        found[unclear] = self.snap(points[unclear], radius)[1]
        return found

    def snap(self, points: np.ndarray, radius: float) -> tuple[Places, np.ndarray]:
        """The nearest place to each of `points` (n, ndim), and whether it is within `radius`, shape (n,) bool.

        Of several places that are equally near the one on the first segment is taken.
        """
        found = np.zeros(len(points), bool)
        places = Places(np.zeros(len(points), int), np.zeros(len(points)))
        if len(self.edge) == 0 or len(points) == 0:
            return places, found
        tree, segment, half = self._middles_of_segments(radius)
        nearest = tree.query(points, distance_upper_bound=radius + half + self.rounding)[0]
        near = np.flatnonzero(np.isfinite(nearest))
        if len(near) == 0:
            return places, found
        # The nearest piece's middle is at most half a piece farther than the nearest middle of all.
        which, index = _within(tree, points[near], nearest[near] + half + self.rounding)
        index = segment[index]
        vector = self.stop[index] - self.start[index]
        square = (vector**2).sum(1)
        from_start = points[near[which]] - self.start[index]
        share = ((from_start * vector).sum(1) / np.where(square > 0, square, 1)).clip(0, 1)
        distance = np.linalg.norm(share[:, None] * vector - from_start, axis=1)
        begin = np.flatnonzero(np.diff(which, prepend=-1))
        least = np.minimum.reduceat(distance, begin)
        tied = np.flatnonzero(distance <= least[which] + self.rounding)
        best = tied[np.lexsort((index[tied], which[tied]))]
        best = best[np.diff(which[best], prepend=-1) > 0]  # the first of every point
        found[near] = least <= radius + self.rounding  # rounding must not cost a match
        places.edge[near] = self.edge[index[best]]
        places.along[near] = self.along[index[best]] + share[best] * self.step[index[best]]
        np.minimum(places.along, self.length[places.edge], out=places.along)
        return places, found

    def _middles_of_segments(self, radius: float) -> _Middles:
        """The middles of pieces of the segments, which are cut where they are longer than `radius` and their mean."""
        reach = max(radius, self.step.mean())
        if self._middles is None or self._middles[0] != reach:
            counts = np.ceil(self.step / (reach or 1.0)).astype(int).clip(1)
            segment = np.repeat(np.arange(len(counts)), counts)
            piece = np.arange(len(segment)) - (np.cumsum(counts) - counts).take(segment)
            share = (piece + 0.5) / counts.take(segment)
            middle = self.start.take(segment, 0) + share[:, None] * (self.stop - self.start).take(segment, 0)
            tree = cKDTree(middle, leafsize=64, balanced_tree=False, compact_nodes=False)  # built faster
            half = float((self.step / counts).max()) / 2
            self._middles = reach, _Middles(tree, segment, half)
        return self._middles[1]

    def distances(self, places: Places, sources: np.ndarray) -> np.ndarray:
        """Lengths of the shortest ways from some of the places to all, shape (len(sources), n), inf for no way."""
        if len(places) == 0 or len(sources) == 0:
            return np.zeros((len(sources), len(places)))
        begin = places[sources]
        ends = self._hierarchy.number[self.ends[places.edge]]
        ways = nearer(np.ascontiguousarray(self._to_nodes(begin)), ends, self._to_ends(places))
        order = np.argsort(places.edge, kind="stable")
        first, last = (np.searchsorted(places.edge[order], begin.edge, side) for side in ("left", "right"))
        column = np.repeat(np.arange(len(begin)), last - first)
        row = order[np.arange(len(column)) - (np.cumsum(last - first) - last)[column]]
        ways[row, column] = np.minimum(ways[row, column], np.abs(begin.along[column] - places.along[row]))
        from_sources: np.ndarray = ways.T
        return from_sources

    def pair_distances(self, starts: Places, stops: Places) -> np.ndarray:
        """Lengths of the shortest ways from `starts` to `stops`, pair by pair, shape (n,), inf for no way."""
        along = np.abs(starts.along - stops.along)
        lengths = np.where(starts.edge == stops.edge, along, np.inf)
        ends, rest = self._hierarchy.number[self.ends[stops.edge]], self._to_ends(stops)
        size = max(256, 2**22 // max(self.nodes, 1))  # so that memory grows with n only
        for first in range(0, len(starts), size):
            some = slice(first, first + size)
            ways = np.take_along_axis(self._to_nodes(starts[some]), ends[some].T, 0) + rest[some].T
            lengths[some] = np.minimum(lengths[some], ways.min(0))
        return lengths

    def node_distances(self, starts: np.ndarray, stops: np.ndarray, limit: float) -> np.ndarray:
        """Lengths of the shortest ways between nodes, pair by pair, shape (n,), inf for those beyond a `limit`."""
        lengths = np.empty(len(starts))
        rows, row = np.unique(starts, return_inverse=True)
        size = 2**22 // max(self.nodes, 1) + 1  # so that memory grows with n only
        for first in range(0, len(rows), size):
            some = np.flatnonzero((row >= first) & (row < first + size))
            table = dijkstra(self._links, indices=rows[first : first + size], limit=limit)
            lengths[some] = table[row[some] - first, stops[some]]
        return lengths

    def _to_ends(self, places: Places) -> np.ndarray:
        """How far places are from the ends of their edges, shape (n, 2)."""
        return np.stack((places.along, self.length[places.edge] - places.along), 1)

    def _to_nodes(self, places: Places) -> np.ndarray:
        """Lengths of the shortest ways from places to all nodes, by their number in the hierarchy, (nodes, n)."""
        return self._hierarchy.search(self._hierarchy.number[self.ends[places.edge]], self._to_ends(places))

    @cached_property
    def _hierarchy(self) -> ContractionHierarchy:
        return ContractionHierarchy(self._links)


def _within(tree: cKDTree, points: np.ndarray, radius: np.ndarray, count: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of a point and an entry of the tree that are within a `radius` for each point, in the points' order.

    Most points have few such entries: up to `count` are found at once.
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


class _Middles(NamedTuple):
    """Middles of pieces of segments: a tree of them, the segment of each, and half the length of the longest piece."""

    tree: cKDTree
    segment: np.ndarray
    half: float


def networks(graph: nx.Graph, true_graph: nx.Graph, scale: float = 1.0) -> tuple[Network, Network]:
    """Both graphs as networks with one origin, near the graphs, so that results do not depend on where that is."""
    lines, true_lines = join(read(graph)), join(read(true_graph))
    if lines.nodes and true_lines.nodes and lines.position.shape[1] != true_lines.position.shape[1]:
        axes = f"{lines.position.shape[1]} and {true_lines.position.shape[1]}"
        raise ValueError(f"the nodes of pred and target must have as many coordinates, got {axes}")
    origin = (true_lines if true_lines.nodes else lines).position.min(0, initial=np.inf)
    pair = Network(lines, scale, origin), Network(true_lines, scale, origin)
    pair[0].rounding = pair[1].rounding = max(pair[0].rounding, pair[1].rounding)
    return pair
