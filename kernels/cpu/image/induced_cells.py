"""Induced matching of the classes of two images on all cells, in the construction V and for unions.

Classes whose image is empty are matched, too: those that a saddle of the compared function joins although it comes
before their birth. Which saddle that is depends on the order of cells that enter together, so this follows the order of
the implementation by Stucki et al.: cells of equal value are ordered by their least corner, and edges of one corner by
their axis, the vertical one first. A gradient would cancel such cells, so all cells are used instead.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..merge import merge
from ..records import MergeTree, Saddles
from ..runtime.jit import allocating, device
from ..runtime.jit import unsigned as _i
from ..runtime.primitives import halted
from ..runtime.sort import argsort, radix_buckets
from .induced import write_compared

Array = NDArray[Any]


class _Edges(NamedTuple):
    """All edges of a grid between pixels, ordered by the least corner and then by the axis."""

    ends: Array  # (2, m) int32
    beside: Array  # (2, m) int32: the squares beside each, by the least corner; for the outside, the last vertex
    order: Array  # (m,) int32: the edges, the least first
    owners: Array  # (m,) int32


@allocating
def induce_on_cells(size, task, workspace):
    """Find which extrema of one image have a class in common with which extrema of the other, in each dimension.

    The arguments are those of `image.induced.induce_images`.
    """
    height, width = size
    write_compared(workspace, False)
    a, b, both, linked = workspace.a.key, workspace.b.key, workspace.both.key, workspace.linked
    tree, wanted, halt = _tree(a.size), task.wanted, task.halt
    linked[:] = -1
    if wanted[0] and not halted(halt):
        edges = _edges(both, height, width)
        vertices = _corners(height - 2, width - 2, width, 0)
        merge(a, vertices, Saddles(edges.order, edges.ends), tree, False, halt)
        first = tree.partner[: edges.owners.size].copy()
        merge(b, vertices, Saddles(edges.order, edges.ends), tree, False, halt)
        for e in range(first.size):
            if first[e] >= 0:
                linked[0, first[e]] = tree.partner[e]
    if wanted[1] and not halted(halt):
        named = np.full((3, a.size), -1, np.int32)
        squares = _squares(both, height, width)
        for k, key in enumerate((a, b, both)):
            _name(key, squares, height, width, tree, named[k], halt)
        for z in range(a.size):
            if named[0, z] >= 0 and named[1, z] >= 0 and named[2, z] >= 0:
                linked[1, named[0, z]] = named[1, z]


@allocating
def _corners(rows, columns, width, more):
    """Return the positions of the first pixels of the first rows of a grid, and room for `more`."""
    corners = np.empty(rows * columns + more, np.int64)
    for i in range(rows * columns):
        corners[i] = (1 + i // columns) * width + 1 + i % columns
    return corners


@allocating
def _tree(cells):
    numbers = np.empty((2, cells), np.int32)
    return MergeTree(numbers[0], numbers[1], np.empty(2 * cells, np.int32))


@allocating
def _name(key, squares, height, width, tree, named, halt):
    """Find the maximum of an image whose class has the image class of each square of the compared function.

    squares : (cells,) order keys of the squares of the compared function. named : (cells,), written there.
    """
    edges, own = _edges(key, height, width), _squares(key, height, width)
    nodes = _corners(height - 3, width - 3, width, 1)
    nodes[-1] = key.size - 1
    saddles = Saddles(edges.order, edges.beside)
    merge(own, nodes, saddles, tree, True, halt)
    partner = tree.partner[: edges.owners.size].copy()
    merge(squares, nodes, saddles, tree, True, halt)
    for e in range(partner.size):
        # A class that dies at the vertex at which it is born does not count; several squares may have this vertex.
        if partner[e] >= 0:
            vertex = _owner(key, partner[e], width)
            if vertex != edges.owners[e]:
                named[tree.partner[e]] = vertex


@allocating
def _edges(key, height, width):
    """Return the edges of a grid, in the order of an image."""
    m = (height - 3) * (width - 2) + (height - 2) * (width - 3)
    edges = _Edges(np.empty((2, m), np.int32), np.empty((2, m), np.int32), np.empty(m, np.int32), np.empty(m, np.int32))
    keys, e = np.empty(m, key.dtype), 0
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            v = y * width + x
            for axis in range(2):
                if (y if axis == 0 else x) < (height if axis == 0 else width) - 2:
                    u, across = (v + width, v - 1) if axis == 0 else (v + 1, v - width)
                    edges.ends[0, e], edges.ends[1, e] = v, u
                    edges.owners[e] = u if key[_i(u)] >= key[_i(v)] else v
                    keys[e] = key[_i(edges.owners[e])]
                    edges.beside[0, e] = _square(v, height, width)
                    edges.beside[1, e] = _square(across, height, width)
                    e += 1
    argsort(keys, edges.order, np.empty(m, key.dtype), np.empty(m, np.int32), radix_buckets())
    return edges


@device
def _square(corner, height, width):
    """Return the number of the square with that least corner: the corner, or the last vertex for the outside."""
    y, x = corner // width, corner % width
    return corner if 1 <= y < height - 2 and 1 <= x < width - 2 else (height * width + 15) // 16 * 16 - 1


@device
def _owner(key, corner, width):
    """Return the latest vertex of a square."""
    v = np.int64(corner)
    for u in (corner + 1, corner + width, corner + width + 1):
        v = u if key[_i(u)] >= key[_i(v)] else v
    return v


@allocating
def _squares(key, height, width):
    """Return the order keys of squares by their least corners; the last one, of the outside, is the greatest."""
    found = key.copy()
    for y in range(1, height - 2):
        for x in range(1, width - 2):
            v = y * width + x
            found[v] = key[_owner(key, v, width)]
    return found
