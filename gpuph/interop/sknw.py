"""Skeletons of sknw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import networkx as nx
import numpy as np

from .. import checks
from .. import spacing as sizes
from .georeference import Floats, length

__all__ = ["from_sknw"]

_OWN = ("pts", "weight", "path", "length")


def from_sknw(graph: nx.Graph, *, spacing: float | Sequence[float] = 1.0) -> nx.MultiGraph:
    """Convert a graph of sknw to one that `gpuph.metrics` takes.

    Call `sknw.build_sknw(skeleton, multi=True)`: without `multi`, only one of the branches between two junctions is in
    the graph.

    Parameters
    ----------
    graph : networkx.Graph or MultiGraph
        What `sknw.build_sknw` returns: nodes have `o`, their position, and edges have `pts`, their pixels.
    spacing : float or sequence of float, one per axis
        Size of a pixel; positions are returned in its unit. With the default, they are in pixels, as in sknw.

    Returns
    -------
    networkx.MultiGraph
        Nodes have `pos`. Edges have `path`, shape (n, ndim), float64, from node to node, and `length`. Names of nodes
        and other attributes are kept.

    Raises
    ------
    TypeError, ValueError
        If `graph` is not an undirected networkx graph; if a node has no `o`, an edge no `pts`, or their numbers of
        coordinates differ; or if `spacing` is not positive or does not have one number for each axis. ValueError also
        if a pixel is negative: sknw stores pixels in 16 bits, which images of more than 32767 rows or columns exceed.

    References
    ----------
    The graphs are those of sknw by Y. Xiaolong.

    Examples
    --------
    >>> import networkx as nx
    >>> from gpuph.interop import from_sknw
    >>> graph = nx.MultiGraph()
    >>> graph.add_node(0, o=[1, 1], pts=[[1, 1]])
    >>> graph.add_node(1, o=[1, 4], pts=[[1, 4]])
    >>> graph.add_edge(0, 1, pts=[[1, 1], [1, 2], [1, 3], [1, 4]], weight=3.0)
    0
    >>> from_sknw(graph).edges[0, 1, 0]["length"]
    3.0
    """
    if not isinstance(graph, nx.Graph) or graph.is_directed():
        raise TypeError(f"graph must be an undirected networkx graph, got {checks.shown(graph)}")
    size = sizes.checked(spacing)
    new = nx.MultiGraph(**graph.graph)
    position = {
        node: _points("an `o` of 2 or 3 coordinates", f"node {node!r}", [data.get("o")])[0]
        for node, data in graph.nodes(data=True)
    }
    ranks = {len(pos) for pos in position.values()}
    if len(ranks) > 1:
        raise ValueError(f"graph must have nodes with as many coordinates as each other, got {sorted(ranks)}")
    each: Any = sizes.per_axis(size, ranks.pop()) if ranks else None
    scale = 1.0 if each is None else np.array(each)
    for node, data in graph.nodes(data=True):
        new.add_node(node)
        kept = {name: value for name, value in data.items() if name not in ("o", "pts")}
        new.nodes[node].update(kept | {"pos": position[node] * scale})
    for u, v, data in graph.edges(data=True):
        where = f"edge {(u, v)!r}"
        pixels = _points("`pts` of 2 or 3 coordinates", where, data.get("pts"))
        if pixels.shape[1] != len(position[u]):
            raise ValueError(f"graph must have `pts` of {len(position[u])} coordinates, got {pixels.shape} at {where}")
        path = _between(position[u], pixels, position[v]) * scale
        key = new.add_edge(u, v, path=path, length=length(path))
        new[u][v][key].update({name: value for name, value in data.items() if name not in _OWN})
    return new


def _points(expected: str, where: str, values: Any) -> Floats:
    """Return pixels as an array (n, ndim); raise with what was expected and where."""
    try:
        points: Floats = np.array(values, float)
    except (TypeError, ValueError):
        points = np.zeros(0)
    if points.ndim != 2 or points.shape[1] not in (2, 3) or not np.isfinite(points).all():
        given = checks.shown(values)
        raise ValueError(f"graph must have {expected}, got {given} at {where}; sknw.build_sknw sets them")
    if (points < 0).any():
        raise ValueError(
            f"graph must have pixels of 0 or more, got {points.min():g} at {where}; sknw stores pixels in 16 bits,"
            " which an image of more than 32767 rows or columns exceeds: cut it into tiles"
        )
    return points


def _between(start: Floats, pixels: Floats, stop: Floats) -> Floats:
    """Return the path from one node to another along pixels that may be in reverse order and not reach the nodes."""
    if not len(pixels):
        return np.stack((start, stop))
    forth = np.linalg.norm(pixels[0] - start) + np.linalg.norm(pixels[-1] - stop)
    back = np.linalg.norm(pixels[-1] - start) + np.linalg.norm(pixels[0] - stop)
    path = np.concatenate((start[None], pixels[::-1] if back < forth else pixels, stop[None]))
    moves = np.append(True, (np.diff(path, axis=0) != 0).any(1))
    return path[moves] if moves.sum() > 1 else path[[0, -1]]
