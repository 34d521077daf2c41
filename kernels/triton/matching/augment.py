"""Match by shortest augmenting paths (Jonker & Volgenant 1987), where points may also stay unmatched. Exact.

All threads of a program take each step of the search together: a sweep over the columns, then a few scalars, which all
of them compute.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .position import less_apart
from .savings import load_point, opt_out, saving
from .search import augment_in_registers, most_columns, take_best
from .workspace import again, candidates_of, tree_of, with_share


@triton.jit
def augment(work, side, share, m, waiting, meta):
    """Match the rows of a side with m columns of the other one.

    Row by row, in the order of the columns' record, each is matched along the path by which the matching gains most.
    A path ends at an unmatched column, or at a row of the tree that gives up its partner and stays unmatched. The
    length of a path is the loss of the matching. It is at most the root's opt_out, which is the length of the path
    that leaves the root unmatched. The gains of both sides are overwritten.
    side : the side that becomes the rows.
    waiting : how many rows are in the order: see `take_best`.
    """
    if meta.PLACED:
        _augment_in_memory(work, side, share, m, waiting, meta)  # positions would not fit into registers
    else:
        if (meta.AUCTION == 0) & (m <= most_columns(meta)):
            augment_in_registers(work, side, share, m, waiting, meta)
        else:
            _augment_in_memory(work, side, share, m, waiting, meta)


@triton.jit(noinline=True)  # compiles in less time: see kernels/README.md
def _augment_in_memory(work, side, share, m, waiting, meta):
    """Match row by row as `augment` does, with the columns in memory."""
    first = 0
    while first < waiting:
        tl.debug_barrier()  # other threads have written prices and partners, and may still read the tree
        root, first = take_best(work, side, waiting, first, meta)
        if root >= 0:
            tl.debug_barrier()  # the search reads partners
            new = again(work)
            rows = with_share(candidates_of(new, side), share)
            columns = with_share(candidates_of(new, 1 - side), share)
            _search_in_memory(rows, root, columns, m, columns.gain, rows.gain, tree_of(new), meta)


@triton.jit
def _search_in_memory(rows, root, columns, m, near, far, tree, meta):
    """Find the path from an unmatched row, and change the partners along it.

    The compiler chooses the layouts in which a sweep reads and writes, so a sweep never writes what it reads.
    """
    base = tl.full((), 0.0, tl.float64)
    distance, end = _sweep(rows, root, base, columns, m, near, far, meta, FIRST=True)
    birth, death, _ = load_point(rows, root, True, meta)
    loss_alone = opt_out(rows, birth, death, meta)
    found = distance < loss_alone
    row = tl.load(columns.partner + end, mask=found, other=-1)
    if row >= 0:
        _search(rows, root, row, loss_alone, distance, end, columns, m, near, far, tree, meta)
        found = row < 0
    tl.debug_barrier()  # all threads have read the partner of the column
    tl.store(rows.partner + root, end, mask=found)
    tl.store(columns.partner + end, root, mask=found)


@triton.jit
def _search(rows, root, row, shortest, distance, end, columns, m, near, far, tree, meta):
    """Continue from a first column whose partner is `row`, and change the partners along the path that is found.

    shortest : length of the path that leaves the root unmatched. far : the distances along paths through the root.
    """
    tl.store(tree.row, root)
    tl.store(tree.partner, -1)
    tl.store(tree.base, 0.0)
    size = 1
    leaver = 0  # the node whose row best gives up its partner
    found, searching = size > 0, size > 0
    while searching:
        price = tl.load(columns.price + end)
        birth, death, alone = load_point(rows, row, True, meta)
        birth_end, death_end, alone_end = load_point(columns, end, True, meta)
        saved = saving(birth, death, alone, birth_end, death_end, alone_end)
        base = distance + (less_apart(saved, rows, row, True, columns, end, True, meta) - price)
        tl.store(tree.row + size, row)
        tl.store(tree.partner + size, end)
        tl.store(tree.base + size, base)
        tl.store(tree.distance + size, distance)
        tl.store(tree.price + size, price)
        length = base + opt_out(rows, birth, death, meta)
        leaver, shortest = tl.where(length < shortest, size, leaver), tl.where(length < shortest, length, shortest)
        size += 1
        near, far = far, near
        tl.debug_barrier()  # all threads have read the price
        tl.store(columns.price + end, float("inf"))  # its distance is final
        tl.debug_barrier()  # the next sweep reads this price, and distances in another layout
        distance, end = _sweep(rows, row, base, columns, m, near, far, meta, FIRST=False)
        found = distance < shortest
        row = tl.load(columns.partner + end, mask=found, other=-1)
        searching = found & (row >= 0)
    price = tl.load(columns.price + end)
    tl.debug_barrier()  # the tree is complete, and all threads have read the prices and partners

    node, length = size, distance
    if found == 0:
        node, distance = leaver, shortest
        end = tl.load(tree.partner + node)
        length = tl.load(tree.distance + node, mask=end >= 0, other=0.0)
        price = tl.load(tree.price + node, mask=end >= 0, other=0.0)
        tl.store(rows.partner + tl.load(tree.row + node), -1)
    for start in range(1, size, meta.BLOCK):  # raise prices until every matched row prefers its partner
        k = start + tl.arange(0, meta.BLOCK)
        rise = distance - tl.load(tree.distance + k, mask=k < size, other=0.0)
        j = tl.load(tree.partner + k, mask=k < size, other=0)
        birth, death, _ = load_point(columns, j, k < size, meta)
        risen = tl.load(tree.price + k, mask=k < size, other=0.0) + rise
        risen = tl.maximum(risen, 0.0 - opt_out(columns, birth, death, meta))  # not negative by rounding
        tl.store(columns.price + j, risen, mask=k < size)
    while end >= 0:
        node = _before(rows, columns, end, node, length, price, tree, meta)
        row = tl.load(tree.row + node)
        tl.store(rows.partner + row, end)
        tl.store(columns.partner + end, row)
        end = tl.load(tree.partner + node)
        length = tl.load(tree.distance + node, mask=end >= 0, other=0.0)
        price = tl.load(tree.price + node, mask=end >= 0, other=0.0)


@triton.jit
def _sweep(rows, row, base, columns, m, near, far, meta, FIRST: tl.constexpr):
    """Write the distances of the columns along paths through a row, or known paths in near unless FIRST, into far.

    Return the lowest distance and the first index of it. Columns with an infinite price are part of the tree.
    """
    birth, death, alone = load_point(rows, row, True, meta)
    low = tl.full((meta.BLOCK,), float("inf"), tl.float64)
    place = tl.zeros((meta.BLOCK,), tl.int32)
    for start in range(0, m, meta.BLOCK):
        j = start + tl.arange(0, meta.BLOCK)
        birth_other, death_other, alone_other = load_point(columns, j, j < m, meta)
        price = tl.load(columns.price + j, mask=j < m, other=float("inf"))
        saved = saving(birth, death, alone, birth_other, death_other, alone_other)
        length = base + (price - less_apart(saved, rows, row, True, columns, j, j < m, meta))
        if not FIRST:
            present = tl.load(near + j, mask=(j < m) & (price < float("inf")), other=float("inf"))
            length = tl.where(length < present, length, present)
        tl.store(far + j, length, mask=j < m)
        place = tl.where(length < low, j, place)
        low = tl.where(length < low, length, low)
    lowest = tl.min(low, 0)
    return lowest, tl.min(tl.where(low == lowest, place, m), 0)


@triton.jit
def _before(rows, columns, end, node, length, price, tree, meta):
    """Return the node before a column on the path: the first from which its distance, bit for bit, was computed."""
    birth_end, death_end, alone_end = load_point(columns, end, True, meta)
    first = tl.zeros((meta.BLOCK,), tl.int32) + (node - 1)
    for start in range(0, node - 1, meta.BLOCK):
        k = start + tl.arange(0, meta.BLOCK)
        row = tl.load(tree.row + k, mask=k < node - 1, other=0)
        birth, death, alone = load_point(rows, row, k < node - 1, meta)
        saved = saving(birth, death, alone, birth_end, death_end, alone_end)
        saved = less_apart(saved, rows, row, k < node - 1, columns, end, True, meta)
        gave = tl.load(tree.base + k, mask=k < node - 1, other=0.0) + (price - saved) == length
        first = tl.minimum(first, tl.where(gave & (k < node - 1), k, first))
    return tl.min(first, 0)
