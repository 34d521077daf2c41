"""Lines in the tables of GeoPandas, and thereby in GeoJSON, shapefiles and GeoPackages."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import networkx as nx
import numpy as np

from .. import checks
from ..metrics.road_graph import load
from . import georeference
from .georeference import Floats, Transform, length
from .optional import required

__all__ = ["from_geodataframe", "to_geodataframe"]

MEETS = ("vertices", "ends")
_OWN = ("geometry", "path", "length", "pos")  # not converted between columns and attributes of edges


def from_geodataframe(
    frame: Any, transform: Transform | None = None, crs: Any = None, *, meet: str = "vertices"
) -> nx.MultiGraph:
    """Convert the lines of a GeoDataFrame to a graph that `gpuph.metrics` takes. Needs geopandas.

    Parameters
    ----------
    frame : geopandas.GeoDataFrame or GeoSeries
        Lines, and points, which become nodes without edges. A z coordinate is dropped, and so are missing geometries.
    transform : Affine or sequence of six float, optional
        Where the image lies on the map: see `from_osmnx`. With it, positions are in pixels.
    crs : str, int or CRS, optional
        The CRS of the map that `transform` leads to, to which the lines are converted. By default, they stay in theirs.
    meet : {"vertices", "ends"}
        Which points of lines become nodes. With "vertices", these are the ends of lines and the vertices that two lines
        have in common or that a line has twice; with "ends", only the ends. Lines that cross between their vertices do
        not meet, as on a bridge. Vertices are in common if they are equal to the last bit.

    Returns
    -------
    networkx.MultiGraph
        Nodes are numbered and have `pos`, (row, column) in pixels with the centre of the first pixel at 0, or (y, x)
        without a transform. Edges have `path`, shape (n, 2), float64, and `length`, in the unit of the positions. The
        other columns of the frame, except `pos`, are their attributes. The graph's `crs` is that of the map.

    Raises
    ------
    TypeError, ValueError
        If `frame` is not of the classes above or holds geometries other than lines and points, `meet` is not one of the
        choices, or `transform` or `crs` is not as in `from_osmnx`.
    ImportError
        If geopandas is not installed.

    Examples
    --------
    >>> import geopandas, shapely
    >>> from gpuph.interop import from_geodataframe
    >>> lines = [shapely.LineString([(0, 0), (5, 0), (9, 0)]), shapely.LineString([(5, 0), (5, 7)])]
    >>> graph = from_geodataframe(geopandas.GeoDataFrame({"lanes": [2, 1]}, geometry=lines))
    >>> sorted((u, v, lanes) for u, v, lanes in graph.edges(data="lanes"))
    [(0, 1, 2), (1, 2, 2), (1, 3, 1)]
    >>> graph.nodes[3]["pos"]
    array([7., 5.])
    """
    geopandas, shapely = (required(name, "from_geodataframe", "geopandas") for name in ("geopandas", "shapely"))
    if not isinstance(frame, (geopandas.GeoDataFrame, geopandas.GeoSeries)):
        raise TypeError(f"frame must be a GeoDataFrame or GeoSeries, got {checks.shown(frame)}")
    meet = checks.choice("meet", meet, MEETS)
    reference = georeference.checked(transform)
    if isinstance(frame, geopandas.GeoDataFrame) and frame.active_geometry_name is None:
        raise ValueError("frame must have a geometry column, got none")
    parts, row = shapely.get_parts(np.asarray(frame.geometry.array), return_index=True)
    wanted = ~(shapely.is_missing(parts) | shapely.is_empty(parts))
    parts, row = parts[wanted], row[wanted]
    other = np.flatnonzero(~np.isin(shapely.get_type_id(parts), (0, 1, 2)))  # points, lines, closed lines
    if len(other):
        raise ValueError(f"frame must hold lines and points, got a {parts[other[0]].geom_type} in row {row[other[0]]}")
    vertices, part = shapely.get_coordinates(parts, return_index=True)
    # A line does not meet itself at a vertex that is repeated in a row.
    repeated = np.append(False, (np.diff(part) == 0) & (np.diff(vertices, axis=0) == 0).all(1))[: len(part)]
    vertices, part = vertices[~repeated], part[~repeated]
    if not np.isfinite(vertices).all():
        raise ValueError(f"frame must hold finite coordinates, got {vertices[~np.isfinite(vertices).all(1)][0]}")

    place, is_node = _nodes(vertices, part, meet)
    positions = reference.to_pixels(georeference.reproject(vertices, frame.crs, crs, "frame"))
    new = nx.MultiGraph(crs=frame.crs if crs is None else crs)
    for vertex in np.flatnonzero(is_node):
        if place[vertex] not in new:
            new.add_node(int(place[vertex]), pos=positions[vertex])
    attributes = _rows(frame)
    stops = np.flatnonzero(is_node)
    for start, stop in pairwise(stops):
        if part[start] == part[stop]:
            u, v, path = int(place[start]), int(place[stop]), positions[start : stop + 1]
            key = new.add_edge(u, v, path=path, length=length(path))
            new[u][v][key].update(attributes[row[part[start]]])  # a column may be called "key"
    return nx.convert_node_labels_to_integers(new)


def to_geodataframe(graph: nx.Graph, transform: Transform | None = None, crs: Any = None) -> Any:
    """Convert a graph that `gpuph.metrics` takes to a GeoDataFrame of lines. Needs geopandas.

    `from_geodataframe` converts it back, with numbers for the names of nodes. If edges share points that are not nodes,
    this needs `meet="ends"`.

    Parameters
    ----------
    graph : networkx.Graph or MultiGraph
        Nodes have `pos`, and edges may have `path`, in 2D: see `gpuph.metrics`.
    transform : Affine or sequence of six float, optional
        Where the image lies on the map: see `from_osmnx`. It converts positions from pixels. Without it, they are
        (y, x) on the map.
    crs : str, int or CRS, optional
        The CRS of the map; by default that of the graph, if it has one. Positions are not converted to it.

    Returns
    -------
    geopandas.GeoDataFrame
        A row for each edge, with a LineString and the edge's attributes except `path`, `length`, `pos` and `geometry`;
        then a row for each node without edges, with a Point.

    Raises
    ------
    TypeError, ValueError
        As for the graphs that metrics take: see `gpuph.metrics`. Also if the graph is not in 2D, or if `transform` or
        `crs` is not as in `from_osmnx`.
    ImportError
        If geopandas is not installed.

    Examples
    --------
    >>> import networkx as nx
    >>> from gpuph.interop import to_geodataframe
    >>> graph = nx.Graph([("a", "b")])
    >>> nx.set_node_attributes(graph, {"a": (0, 0), "b": (2, 4)}, "pos")
    >>> print(to_geodataframe(graph, transform=(0.5, 0, 100, 0, -0.5, 200)).geometry[0])
    LINESTRING (100.25 199.75, 102.25 198.75)
    """
    geopandas, shapely = (required(name, "to_geodataframe", "geopandas") for name in ("geopandas", "shapely"))
    reference = georeference.checked(transform)
    lines = load(graph)
    if lines.position.shape[1] != 2:
        raise ValueError(f"graph must be in 2D, got positions of {lines.position.shape[1]} coordinates")
    crs = graph.graph.get("crs") if crs is None else crs
    if crs is not None:
        crs = georeference.as_crs("crs", crs)
    counts = np.diff(lines.first)
    places = reference.to_map(lines.vertices)
    alone = np.flatnonzero(np.bincount(lines.ends.ravel(), minlength=len(lines.nodes)) == 0)
    geometry = [
        *shapely.linestrings(places, indices=np.repeat(np.arange(len(counts)), counts)),
        *shapely.points(reference.to_map(lines.position[alone])),
    ]
    # `load` has the edges in the same order.
    rows = [{name: data[name] for name in data if name not in _OWN} for _, _, data in graph.edges(data=True)]
    names = dict.fromkeys(name for data in rows for name in data)
    columns = {name: [data.get(name) for data in rows] + [None] * len(alone) for name in names}
    return geopandas.GeoDataFrame(columns, geometry=geometry, crs=crs)


def _nodes(vertices: Floats, part: Any, meet: str) -> tuple[Any, Any]:
    """Return a number for the place of each of the vertices (n, 2), and whether it is a node, shape (n,)."""
    if not len(vertices):
        return np.zeros(0, int), np.zeros(0, bool)
    _, place, counts = np.unique(vertices + 0.0, axis=0, return_inverse=True, return_counts=True)  # -0.0 is 0.0
    place = place.ravel()
    border = np.append(True, np.diff(part) != 0)
    is_node = border | np.append(border[1:], True)
    return place, is_node | (counts[place] > 1) if meet == "vertices" else is_node


def _rows(frame: Any) -> list[dict[str, Any]]:
    """Return the attributes in each row of a frame; those of a series are empty."""
    columns = getattr(frame, "columns", ())
    geometry = frame.geometry.name
    kept = [name for name in columns if name != geometry and name not in _OWN]
    values = [frame[name].tolist() for name in kept]
    names = [str(name) for name in kept]
    return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)] if kept else [{}] * len(frame)
