"""Places on a graph, and the shortest ways between them."""

from __future__ import annotations

from dataclasses import dataclass

import networkx as nx
import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import cKDTree

from .graph import cut, simplified


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

    Attributes: `ends` (m, 2), the numbers of an edge's nodes; `length` (m,); `nodes`, how many there are; `component`
    (m,), which piece of the graph an edge belongs to; and of the straight segments of all edges, one after another,
    `start`, `stop` (s, ndim), `edge` (s,) and `along` (s,), how far along their edge they start.
    """

    def __init__(self, graph: nx.Graph, scale: float = 1.0) -> None:
        """Take over a graph, its positions times `scale`."""
        graph = simplified(graph)
        places = {node: pos for (node, pos) in graph.nodes(data="pos") if graph.degree[node]}
        numbers = {node: number for number, node in enumerate(places)}
        self.nodes = len(numbers)
        ends, paths = [], []
        for u, v, path in graph.edges(data="path"):
            # networkx does not keep the direction of an edge: its path may start at either end.
            ends.append((numbers[u], numbers[v]) if (path[0] == places[u]).all() else (numbers[v], numbers[u]))
            paths.append(path * scale)
        self.ends = np.array(ends, int).reshape(-1, 2)
        lines = paths or [np.zeros((1, 2))]  # a point has no segment
        self.start = np.concatenate([line[:-1] for line in lines])
        self.stop = np.concatenate([line[1:] for line in lines])
        counts = np.array([len(path) - 1 for path in paths], int)
        self.edge = np.repeat(np.arange(len(ends)), counts)
        self._first = np.cumsum(counts) - counts  # an edge's first segment
        self._last = np.cumsum(counts) - 1
        steps = np.linalg.norm(self.stop - self.start, axis=1)
        self.length = np.bincount(self.edge, steps, len(ends))
        total = np.cumsum(steps) - steps
        self.along = total - total[self._first][self.edge] if ends else total
        links = csr_matrix((np.ones(len(ends)), (self.ends[:, 0], self.ends[:, 1])), (self.nodes, self.nodes))
        labels = connected_components(links, directed=False)[1] if self.nodes else np.zeros(0, int)
        self.component = labels[self.ends[:, 0]]

    def positions(self, places: Places) -> np.ndarray:
        """Where places are, shape (n, ndim)."""
        # Segments of one edge after another, each edge a number above the last, so that one search finds all.
        unit = 2 * np.maximum(self.length, 1e-300)
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
        counts = np.ceil(self.length / spacing).astype(int).clip(1)
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

    def snap(self, points: np.ndarray, radius: float) -> tuple[Places, np.ndarray]:
        """The nearest place to each of `points` (n, ndim), and whether it is within `radius`, shape (n,) bool."""
        found = np.zeros(len(points), bool)
        places = Places(np.zeros(len(points), int), np.zeros(len(points)))
        if len(self.edge) == 0 or len(points) == 0:
            return places, found
        # Look among the middles of short pieces, at most `reach` long. The nearest piece's middle is at most half a
        # piece farther than the nearest middle of all.
        steps = np.linalg.norm(self.stop - self.start, axis=1)
        reach = max(radius, steps.mean()) or 1.0
        counts = np.ceil(steps / reach).astype(int).clip(1)
        piece_start, segment = cut(self.start, self.stop, counts)
        half = (self.stop - self.start)[segment] / (2 * counts[segment])[:, None]
        tree = cKDTree(piece_start + half)
        nearest = tree.query(points, distance_upper_bound=radius + reach / 2 + 1e-6)[0]
        near = np.flatnonzero(np.isfinite(nearest))
        if len(near) == 0:
            return places, found
        candidates = tree.query_ball_point(points[near], nearest[near] + reach / 2 + 1e-6)
        which = np.repeat(near, [len(pieces) for pieces in candidates])
        index = segment[np.concatenate(candidates).astype(int)]
        vector = self.stop[index] - self.start[index]
        share = ((points[which] - self.start[index]) * vector).sum(1) / np.maximum((vector**2).sum(1), 1e-300)
        share = share.clip(0, 1)
        distance = np.linalg.norm(self.start[index] + share[:, None] * vector - points[which], axis=1)
        best = np.lexsort((distance, which))
        best = best[np.diff(which[best], prepend=-1) > 0]  # the first of every point
        found[near] = distance[best] <= radius + 1e-9  # rounding must not cost a match
        places.edge[near] = self.edge[index[best]]
        places.along[near] = self.along[index[best]] + share[best] * steps[index[best]]
        np.minimum(places.along, self.length[places.edge], out=places.along)
        return places, found

    def distances(self, places: Places, sources: np.ndarray) -> np.ndarray:
        """Lengths of the shortest ways from some of the places to all, shape (len(sources), n), inf for no way."""
        if len(places) == 0 or len(sources) == 0:
            return np.zeros((len(sources), len(places)))
        # All that lies on an edge in turn: its start, places, its end. Places at an end are its node.
        edges = np.arange(len(self.ends))
        inner = (places.along > 0) & (places.along < self.length[places.edge])
        vertex = np.where(places.along > 0, self.ends[places.edge, 1], self.ends[places.edge, 0])
        vertex[inner] = self.nodes + np.arange(inner.sum())
        edge = np.concatenate((edges, places.edge[inner], edges))
        along = np.concatenate((np.zeros(len(edges)), places.along[inner], self.length))
        label = np.concatenate((self.ends[:, 0], vertex[inner], self.ends[:, 1]))
        order = np.lexsort((along, edge))
        edge, along, label = edge[order], along[order], label[order]
        same = edge[1:] == edge[:-1]
        low, high = np.minimum(label[1:], label[:-1])[same], np.maximum(label[1:], label[:-1])[same]
        weight = np.diff(along)[same]
        # Of parallel edges the shortest: a sparse matrix would add them up.
        order = np.lexsort((weight, high, low))
        low, high, weight = low[order], high[order], weight[order]
        first = np.append(True, (np.diff(low) != 0) | (np.diff(high) != 0))
        size = self.nodes + len(places)
        links = csr_matrix((weight[first], (low[first], high[first])), (size, size))
        starts, back = np.unique(vertex[sources], return_inverse=True)
        return np.asarray(dijkstra(links, directed=False, indices=starts)[:, vertex][back])

    def pair_distances(self, starts: Places, stops: Places) -> np.ndarray:
        """Lengths of the shortest ways from `starts` to `stops`, pair by pair, shape (n,), inf for no way."""
        lengths = np.empty(len(starts))
        for first in range(0, len(starts), 256):  # so that memory grows with n only
            some = slice(first, first + 256)
            sources = np.arange(len(starts[some]))
            table = self.distances(starts[some] + stops[some], sources)
            lengths[some] = table[sources, len(sources) + sources]
        return lengths
