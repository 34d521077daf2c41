"""Masks and distance maps as graphs, and back.

A graph here is an undirected networkx graph whose nodes carry `pos`, their place in pixels, in the order of the image's
axes. An edge is straight unless it carries `path`, its vertices from one end to the other, shape (n, 2 or 3).
"""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
from scipy.ndimage import find_objects, label
from scipy.spatial import cKDTree
from torch import Tensor

from .. import checks
from .polylines import join, read


def skeleton_graph(image: Tensor | np.ndarray, threshold: float | None = None) -> nx.MultiGraph:
    """Thin an object to its skeleton, by scikit-image, and return that as a graph.

    The graph has the components and the loops of the skeleton's pixels, which touch across corners: Betti numbers 0
    and 1 of the skeleton in construction "T", in 2D and, where nothing encloses a cavity, in 3D.

    Parameters
    ----------
    image : Tensor or ndarray, shape (H, W) or (D, H, W)
        A bool mask, True on the object; or a distance map, of float, to be cut at `threshold`.
    threshold : float, optional
        The object is where a distance map is below this. For distance maps only, and required there.

    Returns
    -------
    networkx.MultiGraph
        Nodes are the skeleton's junctions, ends and single pixels, and one pixel of each ring without any of them.
        A node has `pos`, shape (ndim,), float64; an edge has `path`, shape (n, ndim), float64, from one end to the
        other, and `length`, the sum of its steps; all in pixels.

    Raises
    ------
    TypeError
        If `image` is not an array of bools or real numbers, or `threshold` is not a number.
    ValueError
        If `image` is not 2D or 3D, if `threshold` is not finite, or if there is a threshold for a mask or none for a
        distance map.
    ImportError
        If scikit-image is not installed.

    References
    ----------
    J.-D. Boissonnat, S. Pritam: Edge collapse and persistence of flag complexes. SoCG 2020.

    Examples
    --------
    >>> import torch
    >>> from gpuph.metrics import skeleton_graph
    >>> cross = torch.zeros(9, 9, dtype=torch.bool)
    >>> cross[4] = cross[:, 4] = True
    >>> graph = skeleton_graph(cross)
    >>> sorted(degree for _, degree in graph.degree)
    [1, 1, 1, 1, 4]
    >>> [length for _, _, length in graph.edges(data="length")]
    [4.0, 4.0, 4.0, 4.0]
    """
    array = image.detach().cpu().numpy() if isinstance(image, Tensor) else np.asarray(image)
    if array.dtype.kind not in "biuf" or array.ndim == 0:
        raise TypeError(f"image must be an array of bools or real numbers, got {checks.shown(image)}")
    if array.ndim not in (2, 3):
        raise ValueError(f"image must have the shape (H, W) or (D, H, W), got {array.shape}")
    threshold = None if threshold is None else checks.number("threshold", threshold)
    if (array.dtype == bool) != (threshold is None):
        raise ValueError(f"a threshold is for distance maps, and only for them; got {threshold} for {array.dtype}")
    pixels = np.argwhere(skeleton(array if threshold is None else array < threshold))
    adjacency = _collapsed(pixels)
    graph = nx.Graph()
    graph.add_nodes_from((index, {"pos": pixel}) for index, pixel in enumerate(pixels.astype(float)))
    graph.add_edges_from((index, other) for index, others in enumerate(adjacency) for other in others if other > index)
    return nx.convert_node_labels_to_integers(simplified(graph))


def skeleton(mask: np.ndarray) -> np.ndarray:
    """Thin a bool mask (H, W) or (D, H, W) to lines one pixel wide, by scikit-image; a bool array of that shape."""
    try:
        from skimage.morphology import skeletonize
    except ImportError as error:
        raise ImportError("skeletons need scikit-image, which comes with `pip install gpuph[metrics]`") from error
    thin = np.asarray(skeletonize(mask), bool)
    if mask.ndim == 2:
        return thin
    # Thinning in 3D loses whole pieces whose sides are even (issue 3757 of scikit-image). These are thinned again, by
    # themselves and one voxel larger on one side of each axis. Of the few, tiny ones that are lost again the voxel in
    # the middle stays.
    labels, count = label(mask, np.ones((3, 3, 3)))
    boxes = find_objects(labels)
    for number in np.setdiff1d(np.arange(1, count + 1), labels[thin]):
        box = boxes[number - 1]
        piece = labels[box] == number
        larger = np.pad(piece, (0, 1))
        for axis in range(3):
            larger |= np.roll(larger, 1, axis)
        thinned = np.asarray(skeletonize(larger), bool)[:-1, :-1, :-1]
        if not thinned.any():
            voxels = np.argwhere(piece)
            thinned[tuple(voxels[((voxels - voxels.mean(0)) ** 2).sum(1).argmin()])] = True
        thin[box] |= thinned
    return thin


def _collapsed(pixels: np.ndarray) -> list[set[int]]:
    """Neighbours of each pixel (n, ndim), without those edges that only close a triangle: a list of n sets.

    Three pixels that all touch are no loop. An edge may go, and the shape stays what it is up to homotopy, when one
    of its ends' common neighbours is a neighbour of all the others (Boissonnat & Pritam 2020). The longest go first, so
    that lines run through corners.
    """
    adjacency: list[set[int]] = [set() for _ in pixels]
    if len(pixels) == 0:
        return adjacency
    pairs = cKDTree(pixels).query_pairs(1, p=np.inf, output_type="ndarray")
    for a, b in pairs.tolist():
        adjacency[a].add(b)
        adjacency[b].add(a)
    steps = np.abs(pixels[pairs[:, 0]] - pixels[pairs[:, 1]]).sum(1)
    edges = [(a, b) for a, b in pairs[np.argsort(-steps, kind="stable")].tolist() if adjacency[a] & adjacency[b]]
    while True:
        kept = []
        for a, b in edges:
            common = adjacency[a] & adjacency[b]
            if any(common <= adjacency[c] | {c} for c in common):
                adjacency[a].remove(b)
                adjacency[b].remove(a)
            else:
                kept.append((a, b))
        if len(kept) == len(edges):
            return adjacency
        edges = kept


def simplified(graph: nx.Graph) -> nx.MultiGraph:
    """Join the edges that meet in nodes of degree 2, and give each its `path` and `length`.

    A `path` may start at either end of its edge: its direction is the one in which the distances of its ends from their
    nodes have the smaller sum. Each end may be up to 1 % of the path's extent, the diagonal of its bounding box, away
    from its node, wherever the origin is, and is moved to the node.

    Parameters
    ----------
    graph : networkx.Graph or MultiGraph
        As this module has them. A ring of nodes of degree 2 keeps one of them, with an edge to itself.

    Returns
    -------
    networkx.MultiGraph
        New, with the remaining nodes under their names; `pos` (ndim,) and `path` (n, ndim) are float64. A path begins
        and ends exactly at the positions of its nodes.

    Raises
    ------
    TypeError
        If `graph` is no networkx graph, or is directed.
    ValueError
        If a node has no `pos` of 2 or 3 finite numbers, as many as the others, or a `path` is not an array of at least
        two such points, or does not lead from one end of its edge to the other.
    """
    nodes, position, ends, vertices, first = join(read(graph))
    new = nx.MultiGraph()
    new.add_nodes_from((node, {"pos": pos}) for node, pos in zip(nodes, position, strict=True))
    steps = np.linalg.norm(np.diff(vertices, axis=0), axis=1)
    for (u, v), start, stop in zip(ends.tolist(), first[:-1].tolist(), first[1:].tolist(), strict=True):
        new.add_edge(nodes[u], nodes[v], path=vertices[start:stop], length=float(steps[start : stop - 1].sum()))
    return new


def _checked(graph: nx.Graph) -> tuple[dict[Any, np.ndarray], list[tuple[Any, Any, np.ndarray]]]:
    """Positions of a graph's nodes, and its edges as (u, v, vertices from u to v)."""
    nodes, position, ends, vertices, first = read(graph)
    paths = np.split(vertices, first[1:-1])
    edges = [(nodes[u], nodes[v], path) for (u, v), path in zip(ends.tolist(), paths, strict=False)]
    return dict(zip(nodes, position, strict=True)), edges


def draw_graph(graph: nx.Graph, shape: tuple[int, ...]) -> np.ndarray:
    """Draw a graph with lines one pixel wide, whose pixels touch at least across corners.

    Parameters
    ----------
    graph : networkx.Graph or MultiGraph
        Nodes have `pos`, and edges may have `path`; see `skeleton_graph`, whose result is drawn on the skeleton itself.
    shape : tuple of int
        (H, W) or (D, H, W), as many axes as the positions have. What lies outside is not drawn.

    Returns
    -------
    ndarray, shape `shape`, bool

    Raises
    ------
    TypeError, ValueError
        As the metrics do for what is not a graph, or if `shape` is not 2 or 3 ints of 0 or more, as many as positions
        have coordinates.
    """
    shape = checks.shape(shape)
    position, edges = _checked(graph)
    points = list(position.values())
    if points and len(points[0]) != len(shape):
        raise ValueError(f"a graph with {len(points[0])} coordinates cannot be drawn in the shape {tuple(shape)}")
    mask = np.zeros(shape, bool)
    lines = [np.stack(points)] if points else []
    for _, _, vertices in edges:
        # Steps of at most 1 along each axis; a pixel's step is not cut, or rounding could leave the line.
        counts = np.ceil(np.abs(np.diff(vertices, axis=0)).max(1)).astype(int).clip(1)
        lines.append(cut(vertices[:-1], vertices[1:], counts)[0])
    for line in lines:
        pixels = np.floor(line + 0.5).astype(int)
        inside = ((pixels >= 0) & (pixels < shape)).all(1)
        mask[tuple(pixels[inside].T)] = True
    return mask


def cut(starts: np.ndarray, stops: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut segments (n, ndim) each into `counts` (n,) equal pieces.

    Returns where the pieces start, shape (counts.sum(), ndim), and which segment each is of.
    """
    which = np.repeat(np.arange(len(counts)), counts)
    step = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    fraction = (step / counts[which])[:, None]
    return starts[which] + fraction * (stops - starts)[which], which
