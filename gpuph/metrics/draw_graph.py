"""Drawings of graphs as masks."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import networkx as nx
import numpy as np

from .. import checks
from .. import spacing as sizes
from .road_graph import cut, load


def draw_graph(graph: nx.Graph, shape: tuple[int, ...], *, spacing: float | Sequence[float] = 1.0) -> np.ndarray:
    """Draw a graph with lines one pixel wide, whose pixels touch at least across corners.

    Parameters
    ----------
    graph : networkx.Graph or MultiGraph
        Nodes have `pos`, and edges may have `path`: see `skeleton_graph`. A coordinate half way between two pixels is
        drawn on the higher one.
    shape : tuple of int
        (H, W) or (D, H, W), with as many axes as the positions have coordinates. What lies outside is not drawn.
    spacing : float or sequence of float, one per axis
        Size of a pixel, in the unit of the positions; 0 is the centre of the first pixel.

    Returns
    -------
    ndarray, shape `shape`, bool
        True on the lines and on nodes without edges.

    Raises
    ------
    TypeError, ValueError
        As for the graphs that metrics take: see `gpuph.metrics`. TypeError also if `shape` is not a sequence of ints;
        ValueError also if `shape` is not 2 or 3 ints of 0 or more, or not as many as the positions have coordinates;
        or if `spacing` is not positive or does not have one number for each axis.

    Examples
    --------
    >>> import networkx as nx
    >>> from gpuph.metrics import draw_graph
    >>> graph = nx.Graph([("a", "b")])
    >>> nx.set_node_attributes(graph, {"a": (0, 0), "b": (2, 4)}, "pos")
    >>> draw_graph(graph, (3, 5)).astype(int)
    array([[1, 0, 0, 0, 0],
           [0, 1, 1, 0, 0],
           [0, 0, 0, 1, 1]])
    """
    shape = checks.shape(shape)
    each = sizes.per_axis(sizes.checked(spacing), len(shape))
    lines = load(graph)
    mask = np.zeros(shape, bool)
    if not lines.nodes:
        return mask
    axes = lines.position.shape[1]
    if axes != len(shape):
        raise ValueError(f"a graph with {axes} coordinates cannot be drawn in the shape {shape}")
    if each is not None:
        lines = lines._replace(position=lines.position / each, vertices=lines.vertices / each)
    within_edge = np.ones(len(lines.vertices), bool)  # whether the next vertex is of the same edge
    within_edge[lines.first[1:] - 1] = False
    index = np.flatnonzero(within_edge)
    starts, stops = _clip(lines.vertices[index], lines.vertices[index + 1], shape)
    # Steps of at most 1 along each axis. A step that is that short is not cut, or rounding could leave the line.
    counts = np.ceil(np.abs(stops - starts).max(1, initial=0)).astype(int).clip(1)
    points = cut(starts, stops, counts)
    pixels = np.floor(np.concatenate((lines.position, points)) + 0.5)
    inside = ((pixels >= 0) & (pixels < shape)).all(1)
    mask[tuple(pixels[inside].astype(int).T)] = True
    return mask


def _clip(starts: np.ndarray, stops: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Drop the segments (n, ndim) outside an image, and shorten the long ones to what lies inside.

    The inside extends to the centres of the pixels just beyond the image.
    """
    high = np.array(shape, float)
    outside = (np.maximum(starts, stops) < -1) | (np.minimum(starts, stops) > high)
    starts, stops = starts[~outside.any(1)], stops[~outside.any(1)]
    # The halves are subtracted because the difference of two finite numbers may be infinite.
    reach = np.abs(stops / 2 - starts / 2).max(1, initial=0)
    kept = np.ones(len(starts), bool)
    for index in np.flatnonzero(reach > sum(shape) + 1000):
        # Exact, since the rounding error of a coordinate far away may be larger than the image.
        start, stop = ([Fraction(x) for x in end.tolist()] for end in (starts[index], stops[index]))
        first, last = Fraction(0), Fraction(1)
        for a, b, size in zip(start, stop, shape, strict=True):
            if a != b:
                near, far = sorted(((-1 - a) / (b - a), (size - a) / (b - a)))
                first, last = max(first, near), min(last, far)
        kept[index] = first <= last
        if kept[index]:
            starts[index] = [float(a + first * (b - a)) for a, b in zip(start, stop, strict=True)]
            stops[index] = [float(a + last * (b - a)) for a, b in zip(start, stop, strict=True)]
    return starts[kept], stops[kept]
