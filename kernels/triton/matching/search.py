"""A search for a shortest augmenting path in which a warp holds the columns in registers."""

from __future__ import annotations

from typing import Any, NamedTuple

import triton
import triton.language as tl

from .savings import cost_alone, first_lowest, load_point, opt_out, saving
from .workspace import again, candidates_of, nodes_of, tree_of, with_share

# Columns of a thread: five groups of them. A group is skipped if no column is in it.
_WIDTH, _GROUPS = tl.constexpr(2), tl.constexpr(5)
# Groups whose costs alone are in registers, too. Those of the others are read in each step, or registers would spill.
_KEPT = tl.constexpr(2)
# Bit of a row in an order whose best column is that of a row before it.
AFTER = tl.constexpr(1 << 30)


class Group(NamedTuple):
    """What a search knows about _WIDTH columns of each thread, shape (_WIDTH, THREADS)."""

    birth: Any  # float64
    death: Any  # float64
    alone: Any  # float64, the part of their cost alone that savings include; of the first _KEPT groups


@triton.jit
def most_columns(meta):
    """Return how many columns the registers of a program hold."""
    return _GROUPS * _WIDTH * meta.THREADS


@triton.jit(noinline=True)  # compiles in less time: see kernels/README.md
def augment_in_registers(work, side, share, m, waiting, meta):
    """Match row by row as `augment` does, with the columns in registers.

    Nothing but the workspace's first addresses is kept in registers over a search: see `again`.
    """
    tl.debug_barrier()  # other threads may still read the gains that are overwritten
    new = again(work)
    columns, losses = with_share(candidates_of(new, 1 - side), share), candidates_of(new, side).gain
    a = _load_group(columns, m, losses, meta, GROUP=0)
    b = _load_group(columns, m, losses, meta, GROUP=1)
    c = _load_group(columns, m, losses, meta, GROUP=2)
    d = _load_group(columns, m, losses, meta, GROUP=3)
    e = _load_group(columns, m, losses, meta, GROUP=4)
    first = 0
    while first < waiting:
        tl.debug_barrier()  # other threads have written partners, and may still read the tree
        root, first = take_best(work, side, waiting, first, meta)
        if root >= 0:
            tl.debug_barrier()  # the search reads partners
            _search(work, side, share, root, m, a, b, c, d, e, meta)


@triton.jit
def take_best(work, side, waiting, first, meta):
    """Match rows, from the first one in the order, with the columns that they gain most from while all are unmatched.

    Stop at a row whose column is matched, or is that of a row before it. Return this row or -1, and the next place in
    the order. Prices only rise, and those of unmatched columns have not risen, so most rows take their best column.
    The order is that of the columns' record: (waiting,) rows, with AFTER for those whose best column is that of a row
    before it.
    """
    work = again(work)
    rows, columns = candidates_of(work, side), candidates_of(work, 1 - side)
    place = first + tl.arange(0, meta.THREADS)
    entry = tl.load(columns.order + place, mask=place < waiting, other=AFTER)
    row = entry & ~AFTER
    end = tl.load(rows.order + row, mask=place < waiting, other=0)
    taken = tl.load(columns.partner + end, mask=place < waiting, other=0) >= 0
    stop = tl.min(tl.where(taken | (entry >= AFTER), place, 0x7FFFFFFF), 0)
    stop = tl.minimum(stop, first + meta.THREADS)
    tl.debug_barrier()  # all threads have read the partners
    tl.store(rows.partner + row, end, mask=place < stop)
    tl.store(columns.partner + end, row, mask=place < stop)
    searches = (stop < waiting) & (stop < first + meta.THREADS)
    root = tl.load(columns.order + stop, mask=searches, other=-1)
    return tl.where(searches, root & ~AFTER, -1), tl.where(searches, stop + 1, stop)


@triton.jit
def _search(work, side, share, root, m, a, b, c, d, e, meta):
    """Find the path from an unmatched row by which the matching gains most, and change the partners along it.

    The steps are those of `augment` on the CPU. The predecessor of a column is the column through which the row was
    reached from which its distance was first computed, or -1 if that is the root. The price of a column in the tree is
    infinite, so that its distance never changes again.
    """
    new = again(work)
    rows, columns = with_share(candidates_of(new, side), share), candidates_of(new, 1 - side)
    nodes, losses = nodes_of(new), rows.gain
    price_a = _load_prices(rows, a, columns, m, nodes, meta, GROUP=0)
    price_b = _load_prices(rows, b, columns, m, nodes, meta, GROUP=1)
    price_c = _load_prices(rows, c, columns, m, nodes, meta, GROUP=2)
    price_d = _load_prices(rows, d, columns, m, nodes, meta, GROUP=3)
    price_e = _load_prices(rows, e, columns, m, nodes, meta, GROUP=4)
    infinite = tl.full((_WIDTH, meta.THREADS), float("inf"), tl.float64)
    none = tl.full((_WIDTH, meta.THREADS), -1, tl.int32)
    near_a, near_b, near_c, near_d, near_e = infinite, infinite, infinite, infinite, infinite
    before_a, before_b, before_c, before_d, before_e = none, none, none, none, none
    birth, death, alone = load_point(rows, root, True, meta)
    base = tl.full((), 0.0, tl.float64)
    shortest = opt_out(rows, birth, death, meta)
    leaver = tl.full((), -1, tl.int32)  # the column whose partner best stays unmatched instead of the root
    joined = tl.full((), -1, tl.int32)  # the column that has joined the tree
    distance, found, searching = base, m < 0, m > 0
    tl.debug_barrier()  # other threads read the nodes
    while searching:
        low, slot = infinite, none + 1
        near_a, before_a, price_a, low, slot = _relax(
            a, price_a, near_a, before_a, birth, death, alone, base, joined, low, slot, m, losses, meta, GROUP=0
        )
        near_b, before_b, price_b, low, slot = _relax(
            b, price_b, near_b, before_b, birth, death, alone, base, joined, low, slot, m, losses, meta, GROUP=1
        )
        near_c, before_c, price_c, low, slot = _relax(
            c, price_c, near_c, before_c, birth, death, alone, base, joined, low, slot, m, losses, meta, GROUP=2
        )
        near_d, before_d, price_d, low, slot = _relax(
            d, price_d, near_d, before_d, birth, death, alone, base, joined, low, slot, m, losses, meta, GROUP=3
        )
        near_e, before_e, price_e, low, slot = _relax(
            e, price_e, near_e, before_e, birth, death, alone, base, joined, low, slot, m, losses, meta, GROUP=4
        )
        least = tl.min(low, 0)
        slot = tl.min(tl.where(low == least[None], slot, 0x7FFFFF), 0)
        distance, joined = first_lowest(least, slot * meta.THREADS + tl.arange(0, meta.THREADS))
        # Loads on the chance that the search goes on, all of them under way before any is used.
        found = distance < shortest
        node = nodes + 3 * joined
        birth, death = tl.load(node, mask=found, other=0.0), tl.load(node + 1, mask=found, other=0.0)
        profit = tl.load(node + 2, mask=found, other=float("inf"))
        searching = found & (profit < float("inf"))
        loss = cost_alone(birth, death, meta)
        base, alone = distance + profit, loss * share
        if searching:
            tl.store(columns.gain + joined, distance)
            length = base + loss * (1.0 - share)
            leaver, shortest = tl.where(length < shortest, joined, leaver), tl.minimum(length, shortest)
    distance = tl.where(found, distance, shortest)
    last = tl.where(found, joined, leaver)
    new = again(work)  # not the one from above, or the addresses would stay in registers
    rows, columns, tree = candidates_of(new, side), with_share(candidates_of(new, 1 - side), share), tree_of(new)
    tl.debug_barrier()  # other threads read the distances of the tree
    _close_group(a, price_a, before_a, columns, root, m, distance, tree, meta, GROUP=0)
    _close_group(b, price_b, before_b, columns, root, m, distance, tree, meta, GROUP=1)
    _close_group(c, price_c, before_c, columns, root, m, distance, tree, meta, GROUP=2)
    _close_group(d, price_d, before_d, columns, root, m, distance, tree, meta, GROUP=3)
    _close_group(e, price_e, before_e, columns, root, m, distance, tree, meta, GROUP=4)
    leaves = (found == 0) & (last >= 0)
    row = tl.load(columns.partner + last, mask=leaves, other=0)
    tl.debug_barrier()  # other threads read the predecessors, and change the partners
    tl.store(rows.partner + row, -1, mask=leaves)
    while last >= 0:
        end = last
        row, last = tl.load(tree.row + end), tl.load(tree.partner + end)
        tl.store(rows.partner + row, end)
        tl.store(columns.partner + end, row)


@triton.jit
def _columns(meta, GROUP: tl.constexpr):
    """Return the indices (_WIDTH, THREADS) of the columns of a group."""
    j = (tl.arange(0, _WIDTH) + GROUP * _WIDTH)[:, None] * meta.THREADS + tl.arange(0, meta.THREADS)[None]
    return tl.max_contiguous(j, (1, 1))  # prevents vector loads, whose layout would distribute the columns differently


@triton.jit
def _load_group(columns, m, losses, meta, GROUP: tl.constexpr):
    """Return a group of columns, and write what `_alone` reads."""
    j = _columns(meta, GROUP)
    birth, death, alone = load_point(columns, j, j < m, meta)
    if GROUP >= _KEPT:
        tl.store(losses + j, alone, mask=j < m)
    return Group(birth, death, tl.where(j < m, alone, -float("inf")))


@triton.jit
def _alone(group, m, losses, meta, GROUP: tl.constexpr):
    """Return the part of the cost alone of a group's columns that savings include, minus infinity for no column."""
    alone = group.alone
    if GROUP >= _KEPT:
        j = _columns(meta, GROUP)
        alone = tl.load(losses + j, mask=j < m, other=-float("inf"))
    return alone


@triton.jit
def _load_prices(rows, group, columns, m, nodes, meta, GROUP: tl.constexpr):
    """Return the prices of a group's columns, and write what each step of a search needs about one of them.

    That is the partner's coordinates, and what the partner saves less what it pays; infinite if there is no partner.
    """
    j = _columns(meta, GROUP)
    price = tl.load(columns.price + j, mask=j < m, other=0.0)
    if m > GROUP * _WIDTH * meta.THREADS:
        row = tl.load(columns.partner + j, mask=j < m, other=-1)
        birth, death, alone = load_point(rows, row, row >= 0, meta)
        alone_of_columns = _alone(group, m, rows.gain, meta, GROUP)
        saved = saving(birth, death, alone, group.birth, group.death, alone_of_columns)
        tl.store(nodes + 3 * j, birth, mask=j < m)
        tl.store(nodes + 3 * j + 1, death, mask=j < m)
        tl.store(nodes + 3 * j + 2, tl.where(row >= 0, saved - price, float("inf")), mask=j < m)
    return price


@triton.jit
def _relax(
    group,
    price,
    near,
    before,
    birth,
    death,
    alone,
    base,
    joined,
    low,
    slot,
    m,
    losses,
    meta,
    GROUP: tl.constexpr,
):
    """Let the column `joined` join the tree, and shorten the distances of the others by paths through a row.

    Return near, before and price of the group, and the lowest distance so far of each thread, with its slot: the column
    divided by the threads.
    """
    if m > GROUP * _WIDTH * meta.THREADS:
        slots = tl.arange(0, _WIDTH)[:, None] + GROUP * _WIDTH
        joins = (joined - tl.arange(0, meta.THREADS))[None] == slots * meta.THREADS
        near, price = tl.where(joins, float("inf"), near), tl.where(joins, float("inf"), price)
        alone_of_columns = _alone(group, m, losses, meta, GROUP)
        length = base + (price - saving(birth, death, alone, group.birth, group.death, alone_of_columns))
        nearer = length < near
        near, before = tl.where(nearer, length, near), tl.where(nearer, joined, before)
        closer = near < low
        low, slot = tl.where(closer, near, low), tl.where(closer, slots, slot)
    return near, before, price, low, slot


@triton.jit
def _close_group(group, price, before, columns, root, m, distance, tree, meta, GROUP: tl.constexpr):
    """Raise the prices of a group's columns in the tree, and write the predecessors of all, with their partners."""
    j = _columns(meta, GROUP)
    if m > GROUP * _WIDTH * meta.THREADS:
        in_tree = price == float("inf")
        paid = tl.load(columns.price + j, mask=in_tree, other=0.0)
        then = tl.load(columns.gain + j, mask=in_tree, other=0.0)
        row = tl.load(columns.partner + before, mask=before >= 0, other=0)
        loss_alone = cost_alone(group.birth, group.death, meta) * (1.0 - columns.share)
        risen = tl.maximum(paid + (distance - then), 0.0 - loss_alone)  # not negative by rounding
        tl.store(columns.price + j, risen, mask=in_tree)
        tl.store(tree.row + j, tl.where(before >= 0, row, root), mask=j < m)
        tl.store(tree.partner + j, before, mask=j < m)
