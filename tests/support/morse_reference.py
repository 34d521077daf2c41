"""A plain reference for Morse skeletons of images and volumes: cell by cell, straight from the definitions."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable

import networkx as nx
import numpy as np

Cell = frozenset[int]  # flat indices of its vertices: 1 for a vertex, 2 for an edge, 4 for a square, 8 for a cube


class Gradient:
    """The steepest discrete gradient of a field whose pixels are vertices."""

    def __init__(self, field: np.ndarray) -> None:
        self.field = field
        self.value = field.ravel()
        order = np.lexsort((np.arange(field.size), self.value))
        self.rank = np.argsort(order)  # by value, then by index
        self.upper: dict[Cell, Cell] = {}  # a cell -> the cell of one more dimension that it is matched with
        self.critical: list[Cell] = []
        for vertex in range(field.size):
            self._match(vertex)
        self.lower = {above: below for below, above in self.upper.items()}
        self.critical.sort(key=lambda cell: (self.rank[self.owner(cell)], len(cell), self.rank[self.far_corner(cell)]))

    def owner(self, cell: Cell) -> int:
        """Return the latest vertex of a cell, which gives the cell its value."""
        return max(cell, key=self.rank.__getitem__)

    def far_corner(self, cell: Cell) -> int:
        """Return the vertex opposite to the owner; for an edge, its other end."""
        positions = {v: np.array(np.unravel_index(v, self.field.shape)) for v in cell}
        here = positions[self.owner(cell)]
        return max(cell, key=lambda v: int(abs(positions[v] - here).sum()))

    def star(self, vertex: int) -> dict[tuple[int, ...], Cell]:
        """Return the lower star of a vertex, which is the cells that it owns, by direction."""
        here = np.array(np.unravel_index(vertex, self.field.shape))
        found = {}
        for direction in itertools.product((-1, 0, 1), repeat=self.field.ndim):
            corners = [here + np.array(part) for part in itertools.product(*({0, d} for d in direction))]
            if all(((c >= 0) & (c < self.field.shape)).all() for c in corners):
                cell = frozenset(int(np.ravel_multi_index(c, self.field.shape)) for c in corners)
                if self.owner(cell) == vertex:
                    found[direction] = cell
        return found

    def _match(self, vertex: int) -> None:
        """Match the cells of a lower star along its edges in turn, starting with the edge whose other end is lowest."""
        star = self.star(vertex)
        left = set(star)
        edges = sorted(
            (direction for direction in star if sum(map(abs, direction)) == 1),
            key=lambda direction: self.rank[self.far_corner(star[direction])],
        )
        for edge in edges:
            for direction in sorted(left):
                ahead = tuple(d + e for d, e in zip(direction, edge, strict=True))
                straight = all(d == 0 or e == 0 for d, e in zip(direction, edge, strict=True))
                if straight and direction in left and ahead in left:
                    self.upper[star[direction]] = star[ahead]
                    left -= {direction, ahead}
        self.critical += [star[direction] for direction in left]

    def faces(self, cell: Cell) -> list[Cell]:
        """Return the faces of one dimension less."""
        corners = np.array([np.unravel_index(v, self.field.shape) for v in sorted(cell)])
        return [
            frozenset(v for v, corner in zip(sorted(cell), corners, strict=True) if corner[axis] == end)
            for axis in range(self.field.ndim)
            for end in np.unique(corners[:, axis])
            if len(np.unique(corners[:, axis])) == 2
        ]

    def boundary(self, cell: Cell) -> set[Cell]:
        """Return the critical cells that the gradient leads to from the faces of a cell, modulo 2."""
        chain, found = set(self.faces(cell)), set[Cell]()
        while chain:
            face = chain.pop()
            if face in self.upper:
                chain ^= {other for other in self.faces(self.upper[face]) if other != face}
            elif face not in self.lower:
                found ^= {face}
        return found

    @functools.cached_property
    def pairs(self) -> dict[Cell, Cell]:
        """Map each critical cell but the essential one to its partner, by textbook reduction of a matrix."""
        place = {cell: i for i, cell in enumerate(self.critical)}
        pairs: dict[Cell, Cell] = {}
        columns: dict[Cell, set[Cell]] = {}  # by their latest cell
        for cell in self.critical:
            column = self.boundary(cell)
            while column and (latest := max(column, key=place.__getitem__)) in columns:
                column = column ^ columns[latest]
            if column:
                columns[latest] = column
                pairs[latest], pairs[cell] = cell, latest
        return pairs

    def lasts(self, cell: Cell, threshold: float) -> bool:
        """Return whether the persistence of a critical cell that has a partner exceeds a threshold."""
        values = self.value[[self.owner(cell), self.owner(self.pairs[cell])]]
        with np.errstate(invalid="ignore"):
            return bool(abs(values[0] - values[1]) > threshold)

    def descent(self, vertex: int) -> list[int]:
        """Return the path down to a minimum; each vertex is the lowest lower neighbour of the one before."""
        path = [vertex]
        while (cell := frozenset(path[-1:])) in self.upper:
            (below,) = self.upper[cell] - cell
            path.append(below)
        return path


def skeleton(field: np.ndarray, threshold: float, manifolds: Iterable[int]) -> np.ndarray:
    """Return the mask that `gpuph.ops.skeleton` must give."""
    return skeleton_of(Gradient(field), threshold, manifolds)


def skeleton_of(gradient: Gradient, threshold: float, manifolds: Iterable[int]) -> np.ndarray:
    """Return the skeleton of a gradient that has been computed."""
    marked: set[int] = set()
    if 1 in manifolds:
        marked |= _curves(gradient, threshold)
    if 2 in manifolds:
        marked |= _surfaces(gradient, threshold)
    mask = np.zeros(gradient.field.size, bool)
    mask[[*marked]] = True
    return mask.reshape(gradient.field.shape)


def _curves(gradient: Gradient, threshold: float) -> set[int]:
    """Return the paths down from the edges that last, continued across cancelled pairs to minima that last."""
    forest, taken = nx.Graph(), set()
    edges = [cell for cell in gradient.critical if len(cell) == 2]
    for edge in edges:
        partner = gradient.pairs[edge]
        if len(partner) == 1 and not gradient.lasts(edge, threshold):
            a, b = edge
            forest.add_edge(gradient.descent(a)[-1], gradient.descent(b)[-1], ends=(a, b))
            taken |= partner
    marked = set()
    for a, b in (edge for edge in edges if gradient.lasts(edge, threshold)):
        for vertex in (a, b):
            path = gradient.descent(vertex)
            marked |= {*path}
            if path[-1] in forest:
                (lasting,) = nx.node_connected_component(forest, path[-1]) - taken
                for u, v in itertools.pairwise(nx.shortest_path(forest, path[-1], lasting)):
                    for end in forest.edges[u, v]["ends"]:
                        marked |= {*gradient.descent(end)}
    return marked


def _surfaces(gradient: Gradient, threshold: float) -> set[int]:
    """Return the vertices of the squares reached from those that last, continued across cancelled pairs."""
    squares = [cell for cell in gradient.critical if len(cell) == 4 and gradient.lasts(cell, threshold)]
    seen = set(squares)
    while squares:
        for edge in gradient.faces(squares.pop()):
            after = gradient.upper.get(edge)
            if edge in gradient.pairs and len(gradient.pairs[edge]) == 4 and not gradient.lasts(edge, threshold):
                after = gradient.pairs[edge]
            if after is not None and after not in seen:
                seen.add(after)
                squares.append(after)
    return {vertex for square in seen for vertex in square}
