"""Places on a graph of roads, and the shortest paths between them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import networkx as nx
import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components, dijkstra

from .nearest import SegmentSearch
from .road_graph import RoadGraph, join, load
from .shortest_paths import ContractionHierarchy, nearer


@dataclass(frozen=True)
class Places:
    """Points on edges.

    Attributes
    ----------
    edge : ndarray, shape (n,), int64
        The number of the edge.
    along : ndarray, shape (n,), float64
        The distance from the first end of the edge, from 0 to the length of the edge.
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
    """The edges of a simplified graph, as arrays. Nodes without edges are left out: no path leads to them.

    Attributes
    ----------
    nodes : int
        The number of nodes.
    place : ndarray, shape (nodes, ndim), float64
        Their positions, relative to an origin.
    ends : ndarray, shape (m, 2), int64
        The nodes at the ends of each edge.
    length : ndarray, shape (m,), float64
        The length of each edge.
    start, stop : ndarray, shape (s, ndim), float64
        The ends of the straight segments of all edges, one edge after another.
    edge : ndarray, shape (s,), int64
        The edge of each segment.
    step : ndarray, shape (s,), float64
        The length of each segment.
    along : ndarray, shape (s,), float64
        The distance from the first end of its edge to the start of each segment.
    rounding : float
        Lengths that differ by no more than this are equal up to rounding: 1e-12 of the largest coordinate.
    """

    def __init__(self, graph: nx.Graph | RoadGraph, scale: float = 1.0, origin: np.ndarray | float = 0.0) -> None:
        """Convert a graph, whose positions are taken relative to `origin` and multiplied by `scale`."""
        lines = graph if isinstance(graph, RoadGraph) else join(load(graph))
        self.rounding = 1e-12 * scale * float(np.abs(lines.vertices).max(initial=0))
        degree = np.bincount(lines.ends.ravel(), minlength=len(lines.nodes))
        number = np.cumsum(degree > 0) - 1
        self.nodes = int((degree > 0).sum())
        # Random draws depend on the order of the edges, which is that of `simplified(graph).edges`.
        low, high = np.sort(lines.ends, axis=1).T
        _, earliest, pair = np.unique(low * len(lines.nodes) + high, return_index=True, return_inverse=True)
        order = np.lexsort((earliest[pair], low))
        self.ends = number[lines.ends[order]]
        self.place = (lines.position[degree > 0] - origin) * scale if self.nodes else lines.position[:0]
        counts = np.diff(lines.first)[order] - 1
        self._first = np.cumsum(counts) - counts  # the first segment of each edge
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
        self._segments = SegmentSearch(self.start, self.stop, self.step)

    @cached_property
    def component(self) -> np.ndarray:
        """The number of the connected component that each edge belongs to, shape (m,)."""
        labels = connected_components(self._links, directed=False)[1] if self.nodes else np.zeros(0, int)
        return np.asarray(labels[self.ends[:, 0]])

    def _shortest_links(self) -> csr_matrix:
        """Return the lengths of the shortest edges between nodes, shape (nodes, nodes), symmetric."""
        low, high = np.sort(self.ends, axis=1).T
        order = np.lexsort((self.length, high, low))
        order = order[low[order] < high[order]]  # without loop edges, which shorten no path
        low, high, weight = low[order], high[order], self.length[order]
        first = (np.diff(low, prepend=-1) != 0) | (np.diff(high, prepend=-1) != 0)
        low, high, weight = low[first], high[first], weight[first]
        index = (np.append(low, high), np.append(high, low))
        return csr_matrix((np.append(weight, weight), index), (self.nodes, self.nodes))

    def positions(self, places: Places) -> np.ndarray:
        """Return the positions of places, shape (n, ndim)."""
        # The keys of the segments of edge i lie between i and i + 1, so that one search finds all places.
        unit = np.where(self.length > 0, 2 * self.length, 1)
        key = self.edge + self.along / unit[self.edge]
        index = np.searchsorted(key, places.edge + places.along / unit[places.edge], side="right") - 1
        index = index.clip(self._first[places.edge], self._last[places.edge])
        vector = self.stop[index] - self.start[index]
        norm = np.linalg.norm(vector, axis=1)
        share = ((places.along - self.along[index]) / np.where(norm > 0, norm, 1)).clip(0, 1)
        found: np.ndarray = self.start[index] + share[:, None] * vector
        return found

    def control_places(self, spacing: float, min_curvature: float | None = None) -> Places:
        """Return each node once, and evenly spaced places on each edge, at most `spacing` apart; see `apls`."""
        node = np.empty((self.nodes, 2), int)  # an edge of each node, and which of its ends the node is
        for end in (0, 1):
            node[self.ends[:, end], 0] = np.arange(len(self.ends))
            node[self.ends[:, end], 1] = end
        nodes = Places(node[:, 0], self.length[node[:, 0]] * node[:, 1])
        counts = self._counts(spacing)
        if min_curvature is not None:
            counts[(counts == 1) & (self.length >= 0.75 * spacing)] = 2
            counts[self._curvature() < min_curvature] = 1
        edge, piece, size = self._pieces(counts)
        return nodes + Places(edge, piece * size)[piece > 0]

    def _curvature(self) -> np.ndarray:
        """Return by which share of its length each edge differs from the diagonal of its bounding box, shape (m,)."""
        if len(self.edge) == 0:
            return np.zeros(0)
        low = np.minimum.reduceat(np.minimum(self.start, self.stop), self._first)
        high = np.maximum.reduceat(np.maximum(self.start, self.stop), self._first)
        diagonal = np.linalg.norm(high - low, axis=1)
        curvature: np.ndarray = np.abs(self.length - diagonal) / np.where(self.length > 0, self.length, 1)
        return curvature

    def middles(self, spacing: float) -> tuple[Places, np.ndarray]:
        """Cut each edge into equal pieces, at most `spacing` long; return their middles and lengths, shape (n,)."""
        edge, piece, size = self._pieces(self._counts(spacing))
        return Places(edge, (piece + 0.5) * size), size

    def _counts(self, spacing: float) -> np.ndarray:
        """Return the smallest number of equal pieces of each edge that are at most `spacing` long, shape (m,)."""
        counts: np.ndarray = np.ceil((self.length - self.rounding) / spacing).astype(int).clip(1)
        return counts

    def _pieces(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Cut edges into `counts` equal pieces; return the edge of each, its number along the edge, and its length."""
        edge = np.repeat(np.arange(len(counts)), counts)
        piece = np.arange(len(edge)) - (np.cumsum(counts) - counts)[edge]
        return edge, piece, (self.length / counts)[edge]

    def spread(self, positions: np.ndarray) -> Places:
        """Return the places at these positions (n,) along all edges, laid end to end, as shares of their length."""
        stop = np.cumsum(self.length)
        position = positions * stop[-1]
        edge = np.searchsorted(stop, position, side="right").clip(0, len(stop) - 1)
        return Places(edge, (position - stop[edge] + self.length[edge]).clip(0, self.length[edge]))

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Places, Places]:
        """Draw `count` pairs of places uniformly along all edges, from the pairs that a path joins."""
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
        """Return whether each of the points (n, ndim) lies within `radius` of an edge, shape (n,)."""
        return self._segments.near(points, radius, self.rounding)

    def snap(self, points: np.ndarray, radius: float) -> tuple[Places, np.ndarray]:
        """Return the nearest place to each of the points (n, ndim), and whether it is within `radius`, shape (n,).

        Of several places that are equally near, the one on the first segment is returned.
        """
        nearest = self._segments.nearest(points, radius, self.rounding)
        if len(self.edge) == 0:
            return Places(np.zeros(len(points), int), np.zeros(len(points))), nearest.found
        edge = self.edge[nearest.segment]
        along = self.along[nearest.segment] + nearest.share * self.step[nearest.segment]
        return Places(edge, np.minimum(along, self.length[edge])), nearest.found

    def distances(self, places: Places, sources: np.ndarray) -> np.ndarray:
        """Return the lengths of the shortest paths from some places to all, shape (sources, n), inf without a path."""
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
        """Return the lengths of the shortest paths between pairs of places, shape (n,), inf without a path."""
        along = np.abs(starts.along - stops.along)
        lengths = np.where(starts.edge == stops.edge, along, np.inf)
        ends, rest = self._hierarchy.number[self.ends[stops.edge]], self._to_ends(stops)
        size = max(256, 2**22 // max(self.nodes, 1))  # bounds the memory for distances to all nodes
        for first in range(0, len(starts), size):
            some = slice(first, first + size)
            ways = np.take_along_axis(self._to_nodes(starts[some]), ends[some].T, 0) + rest[some].T
            lengths[some] = np.minimum(lengths[some], ways.min(0))
        return lengths

    def node_distances(self, starts: np.ndarray, stops: np.ndarray, limit: float) -> np.ndarray:
        """Return the lengths of the shortest paths between pairs of nodes, shape (n,), inf above `limit`."""
        lengths = np.empty(len(starts))
        rows, row = np.unique(starts, return_inverse=True)
        size = 2**22 // max(self.nodes, 1) + 1  # bounds the memory for distances to all nodes
        for first in range(0, len(rows), size):
            some = np.flatnonzero((row >= first) & (row < first + size))
            table = dijkstra(self._links, indices=rows[first : first + size], limit=limit)
            lengths[some] = table[row[some] - first, stops[some]]
        return lengths

    def distances_to_nodes(self, places: Places) -> np.ndarray:
        """Return the lengths of the shortest paths from places to all nodes, shape (nodes, n), inf without a path."""
        lengths: np.ndarray = self._to_nodes(places)[self._hierarchy.number]
        return lengths

    def _to_ends(self, places: Places) -> np.ndarray:
        """Return the distances of places from the ends of their edges, shape (n, 2)."""
        return np.stack((places.along, self.length[places.edge] - places.along), 1)

    def _to_nodes(self, places: Places) -> np.ndarray:
        """Return the lengths of the shortest paths from places to all nodes, (nodes, n), in the hierarchy's order."""
        return self._hierarchy.search(self._hierarchy.number[self.ends[places.edge]], self._to_ends(places))

    @cached_property
    def _hierarchy(self) -> ContractionHierarchy:
        return ContractionHierarchy(self._links)


def networks(graph: nx.Graph, true_graph: nx.Graph, scale: float = 1.0) -> tuple[Network, Network]:
    """Convert two graphs to networks with the same origin near the graphs, so that results do not depend on it."""
    lines, true_lines = join(load(graph)), join(load(true_graph))
    if lines.nodes and true_lines.nodes and lines.position.shape[1] != true_lines.position.shape[1]:
        axes = f"{lines.position.shape[1]} and {true_lines.position.shape[1]}"
        raise ValueError(f"pred and target must have as many coordinates as each other, got {axes}")
    origin = (true_lines if true_lines.nodes else lines).position.min(0, initial=np.inf)
    network, true_network = Network(lines, scale, origin), Network(true_lines, scale, origin)
    network.rounding = true_network.rounding = max(network.rounding, true_network.rounding)
    return network, true_network
