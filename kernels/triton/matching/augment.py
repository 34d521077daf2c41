"""Match by shortest augmenting paths (Jonker & Volgenant 1987), where a point may also stay alone. Exact.

All threads of the program take a step of the search together: a sweep over the columns, then the same few scalars.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import triton
import triton.language as tl

from .savings import load_point, opt_out, saving


class Tree(NamedTuple):
    """The alternating tree of a search. A node is a row and its partner, through which it was reached; node 0 is the
    root, which has none."""

    distance: Any  # float64, length of the path to the partner
    base: Any  # float64, length of the path to the row, less the profit that the row has now
    price: Any  # float64, of the partner, which counts as infinite during the search
    row: Any  # int32
    partner: Any  # int32


@triton.jit
def augment(rows, n, columns, m, order, best, near, far, tree, SQUARED: tl.constexpr, BLOCK: tl.constexpr):
    """Match row by row, in the order given, each along the path by which the matching gains most.

    A path ends at a column that is still free, or where a row of the tree leaves its partner and stays alone. Its
    length is what the matching loses, at most the root's opt_out, the length of the path that leaves the root alone.
    order, best : (n,) int32, the rows in that order, and the column that each gains most by as long as all are free.
    near, far : (m,) float64, used up.

    A sweep reads and writes in layouts of the compiler's choice, so it never writes what it reads.
    """
    for i_root in range(0, n):
        tl.debug_barrier()  # the search before has left prices and partners, and may still be reading the tree
        root = tl.load(order + i_root)
        # Prices only rise, and those of free columns have not. Most rows find their best column free.
        end = tl.load(best + root)
        row = tl.load(columns.partner + end)
        found = row < 0
        if row >= 0:
            base = tl.full((), 0.0, tl.float64)
            distance, end = _sweep(rows, root, base, columns, m, near, far, True, SQUARED, BLOCK)
            birth, death, _ = load_point(rows, root, True, SQUARED)
            loss_alone = opt_out(rows, birth, death, SQUARED)
            found = distance < loss_alone
            row = tl.load(columns.partner + end, mask=found, other=-1)
            if row >= 0:
                _search(rows, root, row, loss_alone, distance, end, columns, m, near, far, tree, SQUARED, BLOCK)
                found = row < 0
        tl.debug_barrier()  # all threads have looked whether the column is free
        tl.store(rows.partner + root, end, mask=found)
        tl.store(columns.partner + end, root, mask=found)


@triton.jit
def _search(
    rows, root, row, shortest, distance, end, columns, m, near, far, tree, SQUARED: tl.constexpr, BLOCK: tl.constexpr
):
    """Go on from a first column that has a partner, row, and change partners along the path that is found.

    shortest : length of the path that leaves the root alone. far : the distances by paths through the root.
    """
    tl.store(tree.row, root)
    tl.store(tree.partner, -1)
    tl.store(tree.base, 0.0)
    size = 1
    leaver = 0  # the node whose row best stays alone
    found, searching = size > 0, size > 0
    while searching:
        price = tl.load(columns.price + end)
        birth, death, alone = load_point(rows, row, True, SQUARED)
        birth_end, death_end, alone_end = load_point(columns, end, True, SQUARED)
        base = distance + (saving(birth, death, alone, birth_end, death_end, alone_end) - price)
        tl.store(tree.row + size, row)
        tl.store(tree.partner + size, end)
        tl.store(tree.base + size, base)
        tl.store(tree.distance + size, distance)
        tl.store(tree.price + size, price)
        length = base + opt_out(rows, birth, death, SQUARED)
        leaver, shortest = tl.where(length < shortest, size, leaver), tl.where(length < shortest, length, shortest)
        size += 1
        near, far = far, near
        tl.debug_barrier()  # all threads have the price
        tl.store(columns.price + end, float("inf"))  # reached for good
        tl.debug_barrier()  # the next sweep reads that price, and distances in another layout
        distance, end = _sweep(rows, row, base, columns, m, near, far, False, SQUARED, BLOCK)
        found = distance < shortest
        row = tl.load(columns.partner + end, mask=found, other=-1)
        searching = found & (row >= 0)
    price = tl.load(columns.price + end)
    tl.debug_barrier()  # the tree is complete, and nobody looks at the prices or partners any longer

    node, length = size, distance
    if found == 0:
        node, distance = leaver, shortest
        end = tl.load(tree.partner + node)
        length = tl.load(tree.distance + node, mask=end >= 0, other=0.0)
        price = tl.load(tree.price + node, mask=end >= 0, other=0.0)
        tl.store(rows.partner + tl.load(tree.row + node), -1)
    for start in range(1, size, BLOCK):  # so much that every matched row is content with its partner
        k = start + tl.arange(0, BLOCK)
        rise = distance - tl.load(tree.distance + k, mask=k < size, other=0.0)
        j = tl.load(tree.partner + k, mask=k < size, other=0)
        birth, death, _ = load_point(columns, j, k < size, SQUARED)
        risen = tl.load(tree.price + k, mask=k < size, other=0.0) + rise
        risen = tl.maximum(risen, 0.0 - opt_out(columns, birth, death, SQUARED))  # rounding must not make it negative
        tl.store(columns.price + j, risen, mask=k < size)
    while end >= 0:
        node = _before(rows, columns, end, node, length, price, tree, SQUARED, BLOCK)
        row = tl.load(tree.row + node)
        tl.store(rows.partner + row, end)
        tl.store(columns.partner + end, row)
        end = tl.load(tree.partner + node)
        length = tl.load(tree.distance + node, mask=end >= 0, other=0.0)
        price = tl.load(tree.price + node, mask=end >= 0, other=0.0)


@triton.jit
def _sweep(rows, row, base, columns, m, near, far, FIRST: tl.constexpr, SQUARED: tl.constexpr, BLOCK: tl.constexpr):
    """Write the columns' distances by paths through a row, or by the paths known before, if there are, into far.

    Returns the lowest distance and the first place of it. Columns at an infinite price have been reached.
    """
    birth, death, alone = load_point(rows, row, True, SQUARED)
    low = tl.full((BLOCK,), float("inf"), tl.float64)
    place = tl.zeros((BLOCK,), tl.int32)
    for start in range(0, m, BLOCK):
        j = start + tl.arange(0, BLOCK)
        birth_other, death_other, alone_other = load_point(columns, j, j < m, SQUARED)
        price = tl.load(columns.price + j, mask=j < m, other=float("inf"))
        length = base + (price - saving(birth, death, alone, birth_other, death_other, alone_other))
        if not FIRST:
            present = tl.load(near + j, mask=(j < m) & (price < float("inf")), other=float("inf"))
            length = tl.where(length < present, length, present)
        tl.store(far + j, length, mask=j < m)
        place = tl.where(length < low, j, place)
        low = tl.where(length < low, length, low)
    lowest = tl.min(low, 0)
    return lowest, tl.min(tl.where(low == lowest, place, m), 0)


@triton.jit
def _before(rows, columns, end, node, length, price, tree, SQUARED: tl.constexpr, BLOCK: tl.constexpr):
    """The node before a column on the path: the first whose row gave it its distance, to the bit."""
    birth_end, death_end, alone_end = load_point(columns, end, True, SQUARED)
    first = tl.zeros((BLOCK,), tl.int32) + (node - 1)
    for start in range(0, node - 1, BLOCK):
        k = start + tl.arange(0, BLOCK)
        row = tl.load(tree.row + k, mask=k < node - 1, other=0)
        birth, death, alone = load_point(rows, row, k < node - 1, SQUARED)
        saved = saving(birth, death, alone, birth_end, death_end, alone_end)
        gave = tl.load(tree.base + k, mask=k < node - 1, other=0.0) + (price - saved) == length
        first = tl.minimum(first, tl.where(gave & (k < node - 1), k, first))
    return tl.min(first, 0)
