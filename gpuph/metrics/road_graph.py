"""Graphs of roads as arrays.

A graph is an undirected networkx graph whose nodes have `pos`, their position, and whose edges may have `path`, their
vertices: see `gpuph.metrics`.
"""

from __future__ import annotations

from itertools import chain, pairwise
from typing import Any, NamedTuple

import networkx as nx
import numpy as np
from torch import Tensor

# How far the ends of a path may be from their nodes, as a share of the diagonal of the bounding box of the path.
END_TOLERANCE = 0.01


class RoadGraph(NamedTuple):
    """The nodes and edges of a graph.

    Edge i leads from node `ends[i, 0]` to node `ends[i, 1]` along `vertices[first[i]:first[i + 1]]`. The first and the
    last of these vertices are the positions of the nodes.
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
    """The index of the first vertex of each edge, and the number of all vertices, shape (m + 1,), int64."""


def load(graph: nx.Graph) -> RoadGraph:
    """Check a graph and convert its positions and paths to arrays; see `simplified` for the errors."""
    if not isinstance(graph, nx.Graph) or graph.is_directed():
        raise TypeError(f"a graph must be an undirected networkx graph, got {type(graph).__name__}{_advice(graph)}")
    nodes = list(graph)
    position = _positions(nodes, [data.get("pos") for _, data in graph.nodes(data=True)], _advice(graph))
    ends, paths = _edges(graph, nodes)
    if all(path is None for path in paths):
        return RoadGraph(nodes, position, ends, position[ends.ravel()], 2 * np.arange(len(ends) + 1))
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
    return RoadGraph(nodes, position, ends, _directed(names, straight, vertices, first), first)


def to_networkx(lines: RoadGraph) -> nx.MultiGraph:
    """Return the graph whose positions and paths are in such arrays."""
    graph = nx.MultiGraph()
    graph.add_nodes_from((node, {"pos": pos}) for node, pos in zip(lines.nodes, lines.position, strict=True))
    for (u, v), (start, stop) in zip(lines.ends.tolist(), pairwise(lines.first.tolist()), strict=True):
        graph.add_edge(lines.nodes[u], lines.nodes[v], path=lines.vertices[start:stop])
    return graph


def _edges(graph: nx.Graph, nodes: list[Any]) -> tuple[np.ndarray, list[Any]]:
    """Return the nodes at the ends of each edge, shape (m, 2), and its `path` or None; faster than `graph.edges`."""
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


def _advice(graph: object) -> str:
    """Return which function converts a graph that another library made, as the end of an error message."""
    data: dict[str, Any] = next((data for _, data in graph.nodes(data=True)), {}) if isinstance(graph, nx.Graph) else {}
    if "pos" in data:
        return ""
    if "x" in data and "y" in data:
        return "; gpuph.interop.from_osmnx converts the graphs of osmnx"
    if "o" in data:
        return "; gpuph.interop.from_sknw converts the graphs of sknw"
    functions = "from_osmnx, from_geodataframe, from_sknw, from_skan and read_swc"
    return f"; gpuph.interop has {functions}, which make graphs with positions"


def _positions(nodes: list[Any], values: list[Any], advice: str) -> np.ndarray:
    """Return the positions as one array, shape (n, ndim)."""
    if not nodes:
        return np.zeros((0, 2))
    try:
        if any(
            issubclass(kind, Tensor) for kind in set(map(type, values))
        ):  # NumPy would read a tensor number by number
            values = [_array(pos) if isinstance(pos, Tensor) else pos for pos in values]
        position = np.array(values, float)
        if position.ndim == 2 and position.shape[1] in (2, 3) and np.isfinite(position).all():
            return position
    except (TypeError, ValueError):
        pass  # the loop below finds the node at fault
    for node, pos in zip(nodes, values, strict=True):
        try:
            place = np.array([]) if pos is None else _array(pos)
        except (TypeError, ValueError):
            place = np.array([])
        if place.shape not in ((2,), (3,)) or not np.isfinite(place).all():
            raise ValueError(f"node {node!r} must have a `pos` of 2 or 3 finite numbers, got {pos!r}{advice}")
    raise ValueError("the nodes of a graph must all have 2 coordinates, or all 3")


def _path(path: Any, names: tuple[Any, Any]) -> np.ndarray:
    try:
        return _array(path)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the `path` of edge {names!r} must be an array of numbers, got {path!r}") from error


def _directed(names: list[tuple[Any, Any]], ends: np.ndarray, vertices: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return the vertices so that those of each edge lead exactly from its first end to its second.

    networkx does not keep the direction of an edge, so that a path may start at either end. `ends` (m, 2, ndim) are the
    positions of the nodes.
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


def simplified(graph: nx.Graph) -> nx.MultiGraph:
    """Join the edges that meet in nodes of degree 2, and set `path` and `length` of each edge.

    A `path` may start at either end of its edge: of the two directions, the one is used in which the distances of its
    ends from their nodes have the smaller sum. Each end may differ from the position of its node by up to 1 % of the
    diagonal of the path's bounding box, and is moved there.

    Parameters
    ----------
    graph : networkx.Graph or MultiGraph
        Nodes have `pos`, and edges may have `path`: see `gpuph.metrics`. A ring of nodes of degree 2 keeps one of them,
        with an edge to itself.

    Returns
    -------
    networkx.MultiGraph
        A new graph, with the remaining nodes under their names; `pos` (ndim,) and `path` (n, ndim) are float64. A path
        begins and ends exactly at the positions of its nodes.

    Raises
    ------
    TypeError
        If `graph` is not a networkx graph, or is directed.
    ValueError
        If a node does not have a `pos` of 2 or 3 finite numbers, as many as all others; or if a `path` is not an array
        of at least two such points, or does not lead from one end of its edge to the other.
    """
    lines = join(load(graph))
    new = nx.MultiGraph()
    new.add_nodes_from((node, {"pos": pos}) for node, pos in zip(lines.nodes, lines.position, strict=True))
    steps = np.linalg.norm(np.diff(lines.vertices, axis=0), axis=1)
    for (u, v), (start, stop) in zip(lines.ends.tolist(), pairwise(lines.first.tolist()), strict=True):
        length = float(steps[start : stop - 1].sum())
        new.add_edge(lines.nodes[u], lines.nodes[v], path=lines.vertices[start:stop], length=length)
    return new


def join(lines: RoadGraph) -> RoadGraph:
    """Join the edges that meet in nodes of degree 2. A ring of such nodes keeps the first end of its first edge."""
    halves = lines.ends.ravel()
    degree = np.bincount(halves, minlength=len(lines.nodes))
    walk = _walk(lines.ends, degree)
    kept = np.append(np.flatnonzero(degree != 2), walk.rings)
    number = np.full(len(lines.nodes), -1)
    number[kept] = np.arange(len(kept))
    last = np.append(walk.start, len(walk.halves))[1:] - 1
    joined = np.stack((halves[walk.halves[walk.start]], halves[walk.halves[last] ^ 1]), 1)
    # The vertices of each half-edge in its direction, without the last one; then the last one of each chain.
    edges, backwards = walk.halves // 2, walk.halves % 2 == 1
    counts = np.diff(lines.first)[edges] - 1
    sums = np.append(0, np.cumsum(counts))
    which = np.repeat(np.arange(len(walk.halves)), counts)
    step = np.arange(len(which)) - sums[which]
    forth, back = lines.first[edges][which] + step, lines.first[edges + 1][which] - 1 - step
    vertices = lines.vertices[np.where(backwards[which], back, forth)]
    stops = sums[last + 1]
    return RoadGraph(
        nodes=[lines.nodes[i] for i in kept.tolist()],
        position=lines.position[kept],
        ends=number[joined],
        vertices=np.insert(vertices, stops, lines.position[joined[:, 1]], axis=0),
        first=np.append(0, stops + np.arange(1, len(last) + 1)),
    )


class _Walk(NamedTuple):
    """Chains of half-edges. Half-edge 2 * i leaves the first end of edge i, and 2 * i + 1 leaves the second."""

    halves: np.ndarray
    """The half-edges of all chains, one chain after another, shape (m,), int64."""
    start: np.ndarray
    """Where each chain starts, shape (chains,), int64."""
    rings: np.ndarray
    """The first node of each ring, shape (rings,), int64."""


def _walk(ends: np.ndarray, degree: np.ndarray) -> _Walk:
    """Follow the edges (m, 2) through nodes of degree 2, first from all other nodes and then around the rings."""
    leaves = ends.ravel()
    around = np.argsort(leaves, kind="stable")
    pairs = around[degree[leaves[around]] == 2].reshape(-1, 2)
    partner = np.full(len(leaves), -1)
    partner[pairs], partner[pairs[:, ::-1]] = pairs[:, ::-1], pairs
    following = partner.reshape(-1, 2)[:, ::-1].ravel().tolist()  # -1 where a half-edge ends at a node that is kept
    halves: list[int] = []
    start: list[int] = []
    used = [False] * len(ends)

    def follow(half: int) -> None:
        start.append(len(halves))
        while half >= 0 and not used[half // 2]:
            used[half // 2] = True
            halves.append(half)
            half = following[half]

    for half in around[degree[leaves[around]] != 2].tolist():
        if not used[half // 2]:
            follow(half)
    rings = []
    for edge in range(len(ends)):
        if not used[edge]:
            rings.append(int(ends[edge, 0]))
            follow(2 * edge)
    return _Walk(np.array(halves, int), np.array(start, int), np.array(rings, int))


def cut(starts: np.ndarray, stops: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Cut each of the segments (n, ndim) into `counts` (n,) equal pieces; return their starts, (counts.sum(), ndim)."""
    which = np.repeat(np.arange(len(counts)), counts)
    step = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    fraction = (step / counts[which])[:, None]
    pieces: np.ndarray = starts[which] + fraction * (stops - starts)[which]
    return pieces
