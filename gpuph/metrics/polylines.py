"""The edges of a graph as arrays: how they are read, and joined where only two of them meet."""

from __future__ import annotations

from itertools import chain
from typing import Any, NamedTuple

import networkx as nx
import numpy as np
from torch import Tensor

# How far the ends of a path may be from their nodes, as a share of the diagonal of the path's bounding box.
END_TOLERANCE = 0.01


class Polylines(NamedTuple):
    """The nodes and edges of a graph.

    Edge i leads from node `ends[i, 0]` to node `ends[i, 1]` along `vertices[first[i]:first[i + 1]]`, of which the first
    and the last are the positions of these nodes.
    """

    nodes: list[Any]
    """Names of the nodes."""
    position: np.ndarray
    """Positions of the nodes, shape (n, ndim), float64."""
    ends: np.ndarray
    """Numbers of the nodes at the ends of each edge, shape (m, 2), int64."""
    vertices: np.ndarray
    """Vertices of all edges, one edge after another, shape (p, ndim), float64."""
    first: np.ndarray
    """Where the vertices of each edge begin, and the total number of vertices, shape (m + 1,), int64."""


def read(graph: nx.Graph) -> Polylines:
    """Check a graph and convert its positions and paths to arrays; see `simplified` for the errors."""
    if not isinstance(graph, nx.Graph) or graph.is_directed():
        raise TypeError(f"a graph must be an undirected networkx graph, got {type(graph).__name__}")
    nodes = list(graph)
    position = _positions(nodes, [data.get("pos") for _, data in graph.nodes(data=True)])
    ends, paths = _edges(graph, nodes)
    if all(path is None for path in paths):
        return Polylines(nodes, position, ends, position[ends.ravel()], 2 * np.arange(len(ends) + 1))
    names = [(nodes[u], nodes[v]) for u, v in ends.tolist()]
    straight = position[ends]
    ndim = position.shape[1]
    arrays = []
    for edge, path in enumerate(paths):
        array = straight[edge] if path is None else _path(path, names[edge])
        if array.ndim != 2 or array.shape[1] != ndim or len(array) < 2:
            raise ValueError(
                f"the `path` of edge {names[edge]!r} must have the shape (n > 1, {ndim}), got {array.shape}"
            )
        arrays.append(array)
    first = np.append(0, np.cumsum([len(array) for array in arrays]))
    vertices = np.concatenate(arrays)
    finite = np.isfinite(vertices).all(1)
    if not finite.all():
        vertex = int(finite.argmin())
        edge = int(np.searchsorted(first, vertex, side="right")) - 1
        raise ValueError(f"the `path` of edge {names[edge]!r} must be finite, got a vertex at {vertices[vertex]}")
    return Polylines(nodes, position, ends, _directed(names, straight, vertices, first), first)


def _edges(graph: nx.Graph, nodes: list[Any]) -> tuple[np.ndarray, list[Any]]:
    """Numbers of the nodes at both ends of each edge, shape (m, 2), and its `path` or None; `graph.edges` is slower."""
    number = {node: index for index, node in enumerate(nodes)}
    adjacent = [around for _, around in graph.adjacency()]
    starts = np.repeat(np.fromiter(map(number.__getitem__, graph.adj), int), list(map(len, adjacent)))
    stops = np.fromiter(map(number.__getitem__, chain.from_iterable(adjacent)), int)
    attributes = list(chain.from_iterable(around.values() for around in adjacent))
    if graph.is_multigraph():  # the attributes of parallel edges are in a dictionary
        counts = list(map(len, attributes))
        starts, stops = np.repeat(starts, counts), np.repeat(stops, counts)
        attributes = list(chain.from_iterable(parallel.values() for parallel in attributes))
    once = np.flatnonzero(starts <= stops)
    return np.stack((starts, stops), 1)[once], [attributes[index].get("path") for index in once.tolist()]


def _array(numbers: Any) -> np.ndarray:
    if isinstance(numbers, Tensor):
        numbers = numbers.detach().cpu().double().numpy()
    return np.array(numbers, float)


def _positions(nodes: list[Any], values: list[Any]) -> np.ndarray:
    """Positions as one array, shape (n, ndim)."""
    if not nodes:
        return np.zeros((0, 2))
    try:
        if any(issubclass(kind, Tensor) for kind in set(map(type, values))):  # NumPy would read number by number
            values = [_array(pos) if isinstance(pos, Tensor) else pos for pos in values]
        position = np.array(values, float)
        if position.ndim == 2 and position.shape[1] in (2, 3) and np.isfinite(position).all():
            return position
    except (TypeError, ValueError):
        pass  # the node at fault is looked for below
    for node, pos in zip(nodes, values, strict=True):
        try:
            place = np.array([]) if pos is None else _array(pos)
        except (TypeError, ValueError):
            place = np.array([])
        if place.shape not in ((2,), (3,)) or not np.isfinite(place).all():
            raise ValueError(f"node {node!r} must have a `pos` of 2 or 3 finite numbers, got {pos!r}")
    raise ValueError("the nodes of a graph must all have 2 coordinates, or all 3")


def _path(path: Any, names: tuple[Any, Any]) -> np.ndarray:
    try:
        return _array(path)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the `path` of edge {names!r} must be an array of numbers, got {path!r}") from error


def _directed(names: list[tuple[Any, Any]], ends: np.ndarray, vertices: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Vertices that lead from the first of an edge's `ends` (m, 2, ndim) to the second, and begin and stop there.

    networkx does not keep the direction of an edge, so that a path may start at either end.
    """
    start, stop = first[:-1], first[1:] - 1
    low, high = np.minimum.reduceat(vertices, start), np.maximum.reduceat(vertices, start)
    forth = np.linalg.norm(vertices[np.stack((start, stop), 1)] - ends, axis=2)
    back = np.linalg.norm(vertices[np.stack((stop, start), 1)] - ends, axis=2)
    reverse = back.sum(1) < forth.sum(1)
    gap = np.where(reverse[:, None], back, forth).max(1)
    apart = gap > END_TOLERANCE * np.linalg.norm(high - low, axis=1)
    if apart.any():
        index = int(apart.argmax())
        raise ValueError(
            f"the `path` of edge {names[index]!r} must lead from {ends[index, 0]} to {ends[index, 1]}, "
            f"got {vertices[start[index]]} to {vertices[stop[index]]}"
        )
    if reverse.any():
        edge = np.repeat(np.arange(len(start)), np.diff(first))
        order = np.arange(len(vertices))
        vertices = vertices[np.where(reverse[edge], (start + stop)[edge] - order, order)]
    vertices[start], vertices[stop] = ends[:, 0], ends[:, 1]
    return vertices


def join(lines: Polylines) -> Polylines:
    """Join the edges that meet in nodes of degree 2; a ring of such nodes keeps the first end of its first edge."""
    # Half-edge 2 * i leaves the first end of edge i, and 2 * i + 1 the second.
    nodes, position, ends, vertices, first = lines
    leaves = ends.ravel()
    degree = np.bincount(leaves, minlength=len(nodes))
    around = np.argsort(leaves, kind="stable")
    pairs = around[degree[leaves[around]] == 2].reshape(-1, 2)
    partner = np.full(len(leaves), -1)
    partner[pairs], partner[pairs[:, ::-1]] = pairs[:, ::-1], pairs
    following = partner.reshape(-1, 2)[:, ::-1].ravel().tolist()  # of a half-edge, or -1 where it reaches a kept node
    walk: list[int] = []
    chains: list[int] = []  # where each chain starts in the walk
    used = [False] * len(ends)

    def follow(half: int) -> None:
        chains.append(len(walk))
        while half >= 0 and not used[half // 2]:
            used[half // 2] = True
            walk.append(half)
            half = following[half]

    for half in around[degree[leaves[around]] != 2].tolist():
        if not used[half // 2]:
            follow(half)
    rings = []
    for edge in range(len(ends)):
        if not used[edge]:
            rings.append(int(ends[edge, 0]))
            follow(2 * edge)

    kept = np.append(np.flatnonzero(degree != 2), np.array(rings, int))
    number = np.full(len(nodes), -1)
    number[kept] = np.arange(len(kept))
    halves, begins = np.array(walk, int), np.array(chains, int)
    stops = np.append(begins, len(halves))[1:] - 1
    joined = np.stack((leaves[halves[begins]], leaves[halves[stops] ^ 1]), 1)
    # The vertices of each half-edge in its direction, without its last; then the last of each chain.
    edges, backwards = halves // 2, halves % 2 == 1
    counts = np.diff(first)[edges] - 1
    sums = np.append(0, np.cumsum(counts))
    which = np.repeat(np.arange(len(halves)), counts)
    step = np.arange(len(which)) - sums[which]
    index = np.where(backwards[which], first[edges + 1][which] - 1 - step, first[edges][which] + step)
    chain_stops = sums[stops + 1]
    path = np.insert(vertices[index], chain_stops, position[joined[:, 1]], axis=0)
    offsets = np.append(0, chain_stops + np.arange(1, len(begins) + 1))
    return Polylines([nodes[i] for i in kept.tolist()], position[kept], number[joined], path, offsets)


def cut(starts: np.ndarray, stops: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut segments (n, ndim) each into `counts` (n,) equal pieces.

    Returns where the pieces start, shape (counts.sum(), ndim), and which segment each is of.
    """
    which = np.repeat(np.arange(len(counts)), counts)
    step = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    fraction = (step / counts[which])[:, None]
    return starts[which] + fraction * (stops - starts)[which], which
