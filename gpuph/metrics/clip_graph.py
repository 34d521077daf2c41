"""Parts of graphs that lie in a region of interest."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import networkx as nx
import numpy as np

from .road_graph import RoadGraph, load

# Pieces of a segment that are shorter than this share of it are rounding errors, where it crosses a corner.
_SLIVER = 1e-12


def clip_graph(graph: nx.Graph, mask: np.ndarray, spacing: tuple[float, ...] | None = None) -> nx.MultiGraph:
    """Return the parts of a graph that lie on the True pixels of a mask.

    Edges are cut where they cross the border of a pixel on one side of which the mask ends, and get a new node there.

    Parameters
    ----------
    graph : networkx.Graph or MultiGraph
        Nodes have `pos`, and edges may have `path`: see `gpuph.metrics`.
    mask : ndarray, shape (H, W) or (D, H, W), bool
        True in the region, which ends with the image.
    spacing : tuple of float, one per axis, optional
        Size of a pixel, in the unit of the positions; by default, positions are in pixels.

    Returns
    -------
    networkx.MultiGraph
        Nodes have `pos`, and edges have `path`. What lies inside keeps the names, the order and the exact positions.

    Raises
    ------
    TypeError, ValueError
        As for all metrics: see `gpuph.metrics`. ValueError also if the graph does not have as many axes as the mask.
    """
    lines = load(graph)
    new = nx.MultiGraph()
    if not lines.nodes:
        return new
    axes = lines.position.shape[1]
    if axes != mask.ndim:
        raise ValueError(f"mask must have the {axes} axes of the graph, got the shape {mask.shape}")
    size = 1.0 if spacing is None else np.array(spacing)
    inside = _is_inside(lines.position / size, mask)
    new.add_nodes_from((lines.nodes[i], {"pos": lines.position[i]}) for i in np.flatnonzero(inside).tolist())
    chains = _chains(lines, mask, size)
    for edge, (first, stop), at_ends in zip(
        chains.edge.tolist(), pairwise(chains.first.tolist()), chains.at_ends.tolist(), strict=True
    ):
        path = chains.vertices[first:stop]
        names = []
        for end, is_node, pos in zip(lines.ends[edge].tolist(), at_ends, (path[0], path[-1]), strict=True):
            name = lines.nodes[end] if is_node else object()  # a name that no other node has
            new.add_node(name, pos=pos)  # a node on the border of a pixel may lie in the next one, outside
            names.append(name)
        new.add_edge(*names, path=path)
    return new


def _is_inside(points: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return which points (n, ndim) lie on True pixels, shape (n,); half way between two, they lie on the higher."""
    pixels = np.floor(points + 0.5)
    inside = np.asarray(((pixels >= 0) & (pixels < mask.shape)).all(1))
    inside[inside] = mask[tuple(pixels[inside].astype(int).T)]
    return inside


class _Chains(NamedTuple):
    """Parts of edges."""

    edge: np.ndarray
    """The edge that each is a part of, shape (n,), int64."""
    vertices: np.ndarray
    """Vertices of all parts, one part after another, shape (p, ndim), float64."""
    first: np.ndarray
    """The index of the first vertex of each part, and the number of all vertices, shape (n + 1,), int64."""
    at_ends: np.ndarray
    """Whether it begins with the first node of the edge, and ends with the second, shape (n, 2), bool."""


def _chains(lines: RoadGraph, mask: np.ndarray, size: np.ndarray | float) -> _Chains:
    """Cut edges at the borders of pixels, and join the pieces on True pixels."""
    within_edge = np.ones(len(lines.vertices), bool)  # whether the next vertex is of the same edge
    within_edge[lines.first[1:] - 1] = False
    index = np.flatnonzero(within_edge)
    edge = np.searchsorted(lines.first, index, side="right") - 1
    start, stop = lines.vertices[index], lines.vertices[index + 1]
    segment, share = _cuts(start / size, stop / size, mask.shape)
    # Pieces between neighbouring cuts of a segment.
    piece = np.flatnonzero(np.diff(segment) == 0)
    length = share[piece + 1] - share[piece]
    piece = piece[length > _SLIVER]
    segment, begin, end = segment[piece], share[piece], share[piece + 1]
    kept = np.flatnonzero(_is_inside(_points(start, stop, segment, (begin + end) / 2) / size, mask))

    # A chain goes on where the next piece is kept as well and belongs to the same edge.
    goes_on = (np.diff(kept) == 1) & (np.diff(edge[segment[kept]]) == 0)
    opens = np.flatnonzero(np.append(True, ~goes_on)[: len(kept)])
    closes = np.append(opens[1:], len(kept))[: len(opens)] - 1
    segment, begin, end = segment[kept], begin[kept], end[kept]

    # The vertices of a chain: where it begins, the stops of its segments, and where it ends.
    is_vertex = end == 1
    is_vertex[closes] = True
    sums = np.append(0, np.cumsum(is_vertex))[np.append(opens, len(kept))]
    stops = _points(start, stop, segment[is_vertex], end[is_vertex])
    vertices = np.insert(stops, sums[:-1], _points(start, stop, segment[opens], begin[opens]), axis=0)
    first_segment = lines.first - np.arange(len(lines.first))  # of each edge
    chain_edge = edge[segment[opens]]
    at_start = (segment[opens] == first_segment[chain_edge]) & (begin[opens] == 0)
    at_stop = (segment[closes] == first_segment[chain_edge + 1] - 1) & (end[closes] == 1)
    return _Chains(chain_edge, vertices, sums + np.arange(len(sums)), np.stack((at_start, at_stop), 1))


def _points(start: np.ndarray, stop: np.ndarray, segment: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return points on segments, shape (n, ndim), which are exactly the ends at the shares 0 and 1."""
    a, b = start[segment], stop[segment]
    points: np.ndarray = np.where((share == 1)[:, None], b, a + 2 * share[:, None] * (b / 2 - a / 2))
    return points


def _cuts(start: np.ndarray, stop: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return where segments (n, ndim) cross borders of pixels of an image, and their ends, in order.

    Returns
    -------
    segment : ndarray, shape (m,), int64
        The segment of each cut.
    share : ndarray, shape (m,), float64
        Its place on the segment, from 0 to 1.
    """
    every = np.arange(len(start))
    segments, shares = [every, every], [np.zeros(len(start)), np.ones(len(start))]
    for a, b, size in zip(start.T, stop.T, shape, strict=True):
        # Border k, at k - 0.5, lies between the pixels k - 1 and k.
        low, high = (np.clip(np.floor(end + 0.5), -1, size) for end in (np.minimum(a, b), np.maximum(a, b)))
        counts = (high - low).astype(int)
        which = np.repeat(every, counts)
        step = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
        segments.append(which)
        # In halves, because the difference of two finite numbers may be infinite.
        shares.append((low[which] / 2 + step / 2 + 0.25 - a[which] / 2) / (b / 2 - a / 2)[which])
    segment, share = np.concatenate(segments), np.concatenate(shares)
    share[share < _SLIVER], share[share > 1 - _SLIVER] = 0, 1
    order = np.lexsort((share, segment))
    return segment[order], share[order]
