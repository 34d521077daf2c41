"""Lengths of shortest paths from many points of a graph to all its nodes."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

# A node with d neighbours has d links. Its contraction can add d * (d - 1) / 2 links, too many for larger d.
MOST_NEIGHBOURS = 6
# Smaller graphs are searched faster than contracted.
FEWEST_NODES = 100


class _Level(NamedTuple):
    """Nodes that are contracted together. No two of them are neighbours."""

    first: int
    """The number of the first node. The others follow it, in descending order of how many neighbours they have."""
    counts: list[int]
    """How many of the nodes have at least 1, 2, ... MOST_NEIGHBOURS neighbours."""
    neighbours: np.ndarray
    """The numbers of each node's neighbours, all higher than its own, shape (MOST_NEIGHBOURS, counts[0])."""
    lengths: np.ndarray
    """Lengths of the links to these neighbours, inf where a node has fewer."""


class ContractionHierarchy:
    """A graph in which nodes with few neighbours are contracted, level by level.

    Contracting a node means that links between its neighbours replace the paths through it. A shortest path then climbs
    to the last contracted of its nodes, or to the nodes that are left, and descends from there. Dijkstra's algorithm
    only has to climb, so that it visits few nodes. One pass down through the levels then completes the lengths, for
    many sources at once.

    Attributes
    ----------
    number : ndarray, shape (nodes,), int64
        The number of each node, in the order of contraction.

    References
    ----------
    R. Geisberger, P. Sanders, D. Schultes, D. Delling: Contraction hierarchies: faster and simpler hierarchical routing
    in road networks. WEA 2008.

    D. Delling, A. V. Goldberg, A. Nowatzyk, R. F. Werneck: PHAST: hardware-accelerated shortest path trees. Journal of
    Parallel and Distributed Computing 73(7), 2013.
    """

    def __init__(self, links: csr_matrix) -> None:
        """Contract a graph, given by the lengths of its links, shape (nodes, nodes), symmetric, indices sorted."""
        self.number = np.arange(links.shape[0])
        self._levels: list[_Level] = []
        self._climbs = links
        if links.shape[0] > FEWEST_NODES:
            self._contract(links)

    def _contract(self, links: csr_matrix) -> None:
        nodes = links.shape[0]
        start, stop, length = np.repeat(np.arange(nodes), np.diff(links.indptr)), links.indices, links.data
        # A regular order could contract the nodes of a long row one by one.
        rank = np.random.default_rng(0).permutation(nodes)
        climbs = []
        self.number = np.full(nodes, -1)
        contracted = 0
        while True:
            first = np.flatnonzero(np.diff(start, prepend=-1))
            node, degree = start[first], np.diff(first, append=len(start))
            chosen = _independent(node, degree, stop, first, rank)
            if len(chosen) <= len(node) / 20:  # the level would take longer than it saves
                break
            node, degree, first = node[chosen], degree[chosen], first[chosen]
            slot = np.arange(MOST_NEIGHBOURS)[:, None]
            link = np.minimum(first + slot, len(start) - 1)
            neighbours, lengths = stop[link], np.where(slot < degree, length[link], np.inf)
            self._levels.append(_Level(contracted, (slot < degree).sum(1).tolist(), neighbours, lengths))
            self.number[node] = np.arange(contracted, contracted + len(node))
            from_here, to_here = self.number[start] >= contracted, self.number[stop] >= contracted
            contracted += len(node)
            climbs.append((start[from_here], stop[from_here], length[from_here]))
            one, other = np.nonzero(slot != slot.T)
            through = lengths[one] + lengths[other]
            known, rest = np.isfinite(through), ~(from_here | to_here)
            start = np.append(start[rest], neighbours[one][known])
            stop = np.append(stop[rest], neighbours[other][known])
            length = np.append(length[rest], through[known])
            # Sort the links, and keep the shortest of parallel ones.
            pair = start * nodes + stop
            order = np.lexsort((length, pair))
            order = order[np.diff(pair[order], prepend=-1) > 0]
            start, stop, length = start[order], stop[order], length[order]
        self.number[self.number < 0] = np.arange(contracted, nodes)
        for level in self._levels:
            level.neighbours[:] = self.number[level.neighbours]
        start, stop, length = (np.concatenate(parts) for parts in zip(*climbs, (start, stop, length), strict=True))
        self._climbs = csr_matrix((length, (self.number[start], self.number[stop])), (nodes, nodes))

    def search(self, ends: np.ndarray, reach: np.ndarray) -> np.ndarray:
        """Find the lengths of the shortest paths from points on links to all nodes.

        A point is as far as `reach` (p, 2) from the two nodes `ends` (p, 2). The result has the shape (nodes, p), inf
        for no path. Nodes go by `number`, also in `ends`.
        """
        if len(ends) < len(self.number):
            return self._search(ends, reach)
        found: np.ndarray = nearer(self._table, ends, reach).T
        return found

    @cached_property
    def _table(self) -> np.ndarray:
        """Lengths of the shortest paths between all nodes."""
        node = np.arange(len(self.number))[:, None]
        return self._search(node, np.zeros(node.shape))

    def _search(self, ends: np.ndarray, reach: np.ndarray) -> np.ndarray:
        """Search as `search` does, but from points with any number of ends, shape (p, k)."""
        # Each point is one more node, with links to its ends.
        nodes, size = len(self.number), len(self.number) + len(ends)
        links = csr_matrix(
            (
                np.append(self._climbs.data, reach),
                np.append(self._climbs.indices, ends),
                np.append(self._climbs.indptr, self._climbs.nnz + ends.shape[1] * np.arange(1, len(ends) + 1)),
            ),
            (size, size),
        )
        found: np.ndarray = np.ascontiguousarray(dijkstra(links, indices=np.arange(nodes, size))[:, :nodes].T)
        for level in reversed(self._levels):
            for count, neighbours, lengths in zip(level.counts, level.neighbours, level.lengths, strict=True):
                here = found[level.first : level.first + count]
                there = found[neighbours[:count]]
                there += lengths[:count, None]
                np.minimum(here, there, out=here)
        return found


def _independent(
    node: np.ndarray, degree: np.ndarray, stop: np.ndarray, first: np.ndarray, rank: np.ndarray
) -> np.ndarray:
    """Choose nodes with few neighbours, no two of which are neighbours; return their indices, most neighbours first.

    The links of node i lead to the nodes `stop[first[i] : first[i + 1]]`.
    """
    priority = np.full(len(rank), np.inf)
    priority[node] = np.where(degree <= MOST_NEIGHBOURS, degree * len(rank) + rank[node], np.inf)
    chosen = np.flatnonzero(priority[node] < np.minimum.reduceat(priority[stop], first))
    return chosen[np.argsort(-degree[chosen], kind="stable")]


def nearer(table: np.ndarray, rows: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Take the smaller of two rows of a table, each plus an offset, for each entry of `rows` (n, 2)."""
    one, other = table.take(rows[:, 0], 0), table.take(rows[:, 1], 0)
    one += offsets[:, :1]
    other += offsets[:, 1:]
    smaller: np.ndarray = np.minimum(one, other, out=one)
    return smaller
