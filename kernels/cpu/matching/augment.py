"""Match by shortest augmenting paths (Jonker & Volgenant 1987), where a point may also stay alone. Exact."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..runtime.jit import allocating, device
from ..runtime.primitives import halted
from .savings import copy, lowest, place_of, relax, saving

Array = NDArray[np.generic]


class Tree(NamedTuple):
    """The alternating tree of a search. A node is a row and its partner, through which it was reached; node 0 is the
    root, which has none."""

    row: Array
    partner: Array
    distance: Array  # length of the path to the partner
    base: Array  # length of the path to the row, less the profit that the row has now
    price: Array  # of the partner, which counts as infinite during the search


@allocating
def no_tree(size):
    """Room for a tree of `size` nodes and the root."""
    i, x = np.empty((2, size + 1), np.int64), np.empty((3, size + 1))
    i[1, 0] = -1
    x[:, 0] = 0.0
    return Tree(i[0], i[1], x[0], x[1], x[2])


@device
def augment(rows, columns, m, order, near, far, tree):
    """Match row by row, in the order given, each along the path by which the matching gains most.

    A path ends at a column that is still free, or where a row of the tree leaves its partner and stays alone. Its
    length is what the matching loses, at most the root's opt_out, the length of the path that leaves the root alone.
    near and far are infinite, before and after.
    """
    for root in order:
        if halted(rows.halt):
            return
        tree.row[0] = root
        row, base, size = root, 0.0, 1
        leaver, shortest = 0, rows.opt_out[root]  # the node whose row best stays alone, and the length of that path
        first, last = m, 0  # the columns that have been reached lie in between
        while True:
            lo, hi = rows.first[row], rows.last[row]
            relax(rows, row, base, columns, lo, hi, near, far)
            copy(near, far, first, min(lo, last))
            copy(near, far, max(hi, first), last)
            first, last = min(first, lo), max(last, hi)
            distance = lowest(far, first, last)
            if not distance < shortest:
                distance, node = shortest, leaver
                rows.partner[tree.row[node]] = -1
                end = tree.partner[node]
                break
            j = place_of(distance, far, columns, first, last)
            row = columns.partner[j]
            if row < 0:
                end, node = j, size
                tree.distance[node], tree.price[node] = distance, columns.price[j]
                break
            base = distance + (saving(rows, row, columns, j) - columns.price[j])
            tree.row[size], tree.partner[size], tree.base[size] = row, j, base
            tree.distance[size], tree.price[size] = distance, columns.price[j]
            if base + rows.opt_out[row] < shortest:
                leaver, shortest = size, base + rows.opt_out[row]
            size += 1
            if halted(rows.halt):
                return
            columns.price[j] = far[j] = np.inf  # reached for good
            near, far = far, near
        near[first:last] = far[first:last] = np.inf
        for k in range(1, size):  # so much that every matched row is content; rounding must not make it negative
            j = tree.partner[k]
            columns.price[j] = max(0.0 - columns.opt_out[j], tree.price[k] + (distance - tree.distance[k]))
        while end >= 0:
            # The row before a column on the path is the first that gave it its distance, to the bit.
            k, length, price = 0, tree.distance[node], tree.price[node]
            while k < node - 1 and tree.base[k] + (price - saving(rows, tree.row[k], columns, end)) != length:
                k += 1
            rows.partner[tree.row[k]], columns.partner[end] = end, tree.row[k]
            end, node = tree.partner[k], k
