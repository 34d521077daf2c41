"""Street networks of OSMnx."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np

from .. import checks
from . import georeference
from .georeference import Floats, Transform, length

__all__ = ["from_osmnx"]

_OWN = ("geometry", "path", "length")  # attributes of edges that are replaced


def from_osmnx(graph: nx.Graph, transform: Transform | None = None, crs: Any = None) -> nx.MultiGraph:
    """Convert a street network of OSMnx to a graph that `gpuph.metrics` takes.

    The two directions of a street become one edge, with the attributes of the direction that comes first. Carriageways
    that are mapped apart, and so have geometries of their own, remain two edges.

    Parameters
    ----------
    graph : networkx.MultiDiGraph or any other networkx graph
        What OSMnx returns: nodes have `x` and `y`, edges may have `geometry`, a LineString, and the graph has `crs`.
    transform : Affine or sequence of six float, optional
        Where the image lies on the map, as in rasterio: (a, b, c, d, e, f) takes the column and the row of a corner of
        a pixel to x = a column + b row + c and y = d column + e row + f. With it, positions are in pixels. Without it,
        they stay in the unit of the map.
    crs : str, int or CRS, optional
        The CRS of the map that `transform` leads to. The network is converted to it; this needs pyproj. By default, it
        stays in its own CRS, which must then be that of the image.

    Returns
    -------
    networkx.MultiGraph
        Nodes have `pos`, (row, column) in pixels with the centre of the first pixel at 0, or (y, x) without a
        transform. Edges have `path`, shape (n, 2), float64, and `length`, in the unit of the positions. Names of nodes
        and all other attributes are kept. The graph's `crs` is that of the map.

    Raises
    ------
    TypeError, ValueError
        If `graph` is not a networkx graph, a node has no finite `x` and `y`, `transform` is not six finite numbers or
        cannot be inverted, or `crs` is not a CRS or is given for a network without one.
    ImportError
        If `crs` is given and pyproj is not installed.

    References
    ----------
    G. Boeing: Modeling and analyzing urban networks and amenities with OSMnx. Geographical Analysis 57, 2025.

    Examples
    --------
    >>> import networkx as nx
    >>> from gpuph.interop import from_osmnx
    >>> streets = nx.MultiDiGraph(crs="EPSG:32635")
    >>> streets.add_node(1, x=500003.0, y=6999997.0)
    >>> streets.add_node(2, x=500009.0, y=6999997.0)
    >>> streets.add_edges_from([(1, 2), (2, 1)])
    [0, 0]
    >>> graph = from_osmnx(streets, transform=(2.0, 0.0, 500000.0, 0.0, -2.0, 7000000.0))
    >>> [pos.tolist() for _, pos in graph.nodes(data="pos")], graph.number_of_edges()
    ([[1.0, 1.0], [1.0, 4.0]], 1)
    """
    if not isinstance(graph, nx.Graph):
        raise TypeError(f"graph must be a networkx graph, got {checks.shown(graph)}")
    reference = georeference.checked(transform)
    source = graph.graph.get("crs")
    number = {node: index for index, node in enumerate(graph)}
    places = _places(graph)
    edges, lines = _streets(graph, number, places)

    points = np.concatenate([places, *lines]) if lines else places
    points = reference.to_pixels(georeference.reproject(points, source, crs, "graph"))
    position, *paths = georeference.split(points, [len(places), *map(len, lines)])
    new = nx.MultiGraph(crs=source if crs is None else crs)
    for (node, data), pos in zip(graph.nodes(data=True), position, strict=True):
        new.add_node(node)
        new.nodes[node].update({name: data[name] for name in data if name not in ("x", "y")} | {"pos": pos})
    for (u, v, data), path in zip(edges, paths, strict=True):
        key = new.add_edge(u, v, path=path, length=length(path))
        new[u][v][key].update({name: value for name, value in data.items() if name not in _OWN})
    return new


def _places(graph: nx.Graph) -> Floats:
    """Return the x and y of all nodes, shape (n, 2)."""
    places = np.empty((len(graph), 2))
    for index, (node, data) in enumerate(graph.nodes(data=True)):
        try:
            places[index] = float(data["x"]), float(data["y"])
        except (KeyError, TypeError, ValueError):
            places[index] = np.nan
        if not np.isfinite(places[index]).all():
            given = {name: data.get(name) for name in ("x", "y")}
            raise ValueError(f"graph must have finite `x` and `y` at every node, as in osmnx; got {given} at {node!r}")
    return places


def _streets(graph: nx.Graph, number: dict[Any, int], places: Floats) -> tuple[list[Any], list[Floats]]:
    """Return each street once, in one direction: its nodes and attributes, and its vertices (n, 2)."""
    edges, lines, known = [], [], set()
    for u, v, data in graph.edges(data=True):
        geometry = data.get("geometry")
        if geometry is None:
            line = places[[number[u], number[v]]]
        else:
            try:
                line = np.array(geometry.coords, float)[:, :2]
            except (AttributeError, NotImplementedError, TypeError, ValueError, IndexError) as error:
                given = checks.shown(geometry)
                raise ValueError(f"graph must have a LineString as `geometry`; edge {(u, v)!r} got {given}") from error
            if len(line) < 2 or not np.isfinite(line).all():
                raise ValueError(f"graph must have finite lines as `geometry`; edge {(u, v)!r} got {geometry}")
        directions = sorted((line.tobytes(), line[::-1].tobytes()))
        street = (*sorted((number[u], number[v])), directions[0])
        if street not in known:
            known.add(street)
            edges.append((u, v, data))
            lines.append(line)
    return edges, lines
