"""Skeletons of masks, as graphs."""

from __future__ import annotations

from itertools import pairwise

import networkx as nx
import numpy as np

from gpuph.kernels import cpu

from .polylines import cut
from .skeletons import curves


def curve_graph(mask: np.ndarray) -> nx.MultiGraph:
    """Return the graph of the curves of a bool mask; see `skeleton_graph`."""
    places, links = curves(mask)
    degree = np.bincount(links.ravel(), minlength=len(places))
    both = np.concatenate((links, links[:, ::-1]))
    both = both[np.lexsort((both[:, 1], both[:, 0]))]
    walked, start = cpu.thinning.chains(np.append(0, np.cumsum(degree)), both[:, 1], degree)
    ends = np.stack((walked[start[:-1]], walked[start[1:] - 1]), 1)
    nodes = np.union1d(ends, np.flatnonzero(degree != 2))
    kept = _bends(places[walked], start)
    start = np.append(0, np.cumsum(kept))[start]
    line = places[walked[kept]]
    steps = np.linalg.norm(np.diff(line, axis=0, append=line[-1:]), axis=1)
    steps[start[1:] - 1] = 0
    lengths = np.add.reduceat(steps, start[:-1]) if len(ends) else steps
    # Points from bend to bend, at most a pixel apart along each axis.
    pieces = np.ceil(np.abs(np.diff(line, axis=0, append=line[-1:])).max(1)).astype(int)
    pieces[start[1:] - 1] = 1
    line = cut(line, np.append(line[1:], line[-1:], 0), pieces)[0]
    start = np.append(0, np.cumsum(pieces))[start]

    graph = nx.MultiGraph()
    graph.add_nodes_from((number, {"pos": pos}) for number, pos in enumerate(places[nodes]))
    numbers = np.searchsorted(nodes, ends).tolist()
    for (u, v), (first, stop), length in zip(numbers, pairwise(start.tolist()), lengths.tolist(), strict=True):
        graph.add_edge(u, v, path=line[first:stop], length=length)
    return graph


def _bends(line: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Return which points of chains to keep: the ends and the bends, but not the corners of stairs.

    Parameters
    ----------
    line : ndarray, shape (n, ndim), float64
        The points of all chains, one chain after another.
    start : ndarray, shape (chains + 1,), int64
        The index of the first point of each chain, and the number of all points.
    """
    kept = np.ones(len(line), bool)
    inner = np.ones(len(line), bool)
    inner[start[:-1]] = inner[start[1:] - 1] = False
    index = np.flatnonzero(inner)
    before, after = (np.zeros_like(line) for _ in range(2))
    before[index], after[index] = line[index] - line[index - 1], line[index + 1] - line[index]
    turns = inner & ((before * after).sum(1) == 0)
    # Stairs are two right angles in a row, a pixel or less apart, unless the chain turns back.
    for gap in (1, 2):
        first = np.flatnonzero(turns)
        first = first[first + gap < len(line)]
        second = first + gap
        stairs = turns[second] & inner[first + gap - 1] & (after[first] == before[second]).all(1)
        stairs &= (before[first] + after[second]).any(1)
        kept[first[stairs]] = kept[second[stairs]] = False
    # Of the other points, drop those on straight lines.
    rest = np.flatnonzero(kept)
    index = np.flatnonzero(inner[rest])
    before, after = line[rest[index]] - line[rest[index - 1]], line[rest[index + 1]] - line[rest[index]]
    sizes = np.abs(before).max(1, keepdims=True), np.abs(after).max(1, keepdims=True)
    kept[rest[index[(before * sizes[1] == after * sizes[0]).all(1)]]] = False
    return kept
