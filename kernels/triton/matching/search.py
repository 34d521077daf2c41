"""A search for a shortest augmenting path in which a warp holds the columns in registers."""

from __future__ import annotations

from typing import Any, NamedTuple

import triton
import triton.language as tl

from .savings import cost_alone, first_lowest, load_point, opt_out, saving
from .workspace import unknown_zero

# Columns of a thread: five groups of them. A group is skipped if no column is in it.
_WIDTH, _GROUPS = tl.constexpr(2), tl.constexpr(5)
# A tag is a column and its partner, in one word that sorts by column: column << _SHIFT | partner + 1.
_SHIFT = tl.constexpr(22)
MOST_ROWS = tl.constexpr((1 << 22) - 2)
_MASK = tl.constexpr((1 << 22) - 1)
# Bit of a row in an order whose best column is that of a row before it.
AFTER = tl.constexpr(1 << 30)
_NO_TAG = tl.constexpr(0x7FFFFFFF)


class Group(NamedTuple):
    """What a search knows about _WIDTHS columns of each thread, shape (width, THREADS)."""

    birth: Any  # float64
    death: Any  # float64
    alone: Any  # float64, the part of their cost alone that savings include


@triton.jit
def most_columns(meta):
    """Return how many columns the registers of a program hold."""
    return _GROUPS * _WIDTH * meta.THREADS


@triton.jit
def augment_in_registers(rows, n, columns, m, order, waiting, best, losses, profits, tree, meta):
    """Match row by row as `augment` does, with the columns in registers.

    losses, profits : float64, overwritten: what rows cost alone, and how much of it they save less what they pay, by
    column.
    """
    tl.debug_barrier()  # other threads may still read what is overwritten
    for start in range(0, n, meta.THREADS):
        i = start + tl.arange(0, meta.THREADS)
        birth, death, _ = load_point(rows, i, i < n, meta)
        tl.store(losses + i, cost_alone(birth, death, meta), mask=i < n)
    zero = unknown_zero(columns, 0)
    a = _load_group(columns, m, zero, meta, GROUP=0)
    b = _load_group(columns, m, zero, meta, GROUP=1)
    c = _load_group(columns, m, zero, meta, GROUP=2)
    d = _load_group(columns, m, zero, meta, GROUP=3)
    e = _load_group(columns, m, zero, meta, GROUP=4)
    first = 0
    while first < waiting:
        tl.debug_barrier()  # other threads have written partners, and may still read the tree
        root, first = take_best(rows, columns, order, waiting, best, first, meta)
        if root >= 0:
            tl.debug_barrier()  # the search reads partners
            _search(rows, root, columns, m, a, b, c, d, e, losses, profits, tree, meta)


@triton.jit
def take_best(rows, columns, order, waiting, best, first, meta):
    """Match rows, from the first one in the order, with the columns that they gain most from while all are unmatched.

    Stop at a row whose column is matched, or is that of a row before it. Return this row or -1, and the next place in
    the order. Prices only rise, and those of unmatched columns have not risen, so most rows take their best column.
    order : (waiting,) int32, the rows, with AFTER for those whose best column is that of a row before it.
    """
    place = first + tl.arange(0, meta.THREADS)
    entry = tl.load(order + place, mask=place < waiting, other=AFTER)
    row = entry & ~AFTER
    end = tl.load(best + row, mask=place < waiting, other=0)
    taken = tl.load(columns.partner + end, mask=place < waiting, other=0) >= 0
    stop = tl.min(tl.where(taken | (entry >= AFTER), place, 0x7FFFFFFF), 0)
    stop = tl.minimum(stop, first + meta.THREADS)
    tl.debug_barrier()  # all threads have read the partners
    tl.store(rows.partner + row, end, mask=place < stop)
    tl.store(columns.partner + end, row, mask=place < stop)
    searches = (stop < waiting) & (stop < first + meta.THREADS)
    root = tl.load(order + stop, mask=searches, other=-1)
    return tl.where(searches, root & ~AFTER, -1), tl.where(searches, stop + 1, stop)


@triton.jit
def _search(rows, root, columns, m, a, b, c, d, e, losses, profits, tree, meta):
    """Find the path from an unmatched row by which the matching gains most, and change the partners along it.

    The steps are those of `augment` on the CPU. The predecessor of a column is the tag of the column through which the
    row was reached from which its distance was first computed, or -1 if that is the root. The price of a column in the
    tree is infinite, so that its distance never changes again.
    tree : distance and partner are overwritten, by column: its distance when it joined the tree, and its predecessor.
    """
    zero = unknown_zero(rows, root)
    price_a = _load_prices(columns, m, zero, meta, GROUP=0)
    price_b = _load_prices(columns, m, zero, meta, GROUP=1)
    price_c = _load_prices(columns, m, zero, meta, GROUP=2)
    price_d = _load_prices(columns, m, zero, meta, GROUP=3)
    price_e = _load_prices(columns, m, zero, meta, GROUP=4)
    partner_a = _load_partners(columns, m, zero, meta, GROUP=0)
    partner_b = _load_partners(columns, m, zero, meta, GROUP=1)
    partner_c = _load_partners(columns, m, zero, meta, GROUP=2)
    partner_d = _load_partners(columns, m, zero, meta, GROUP=3)
    partner_e = _load_partners(columns, m, zero, meta, GROUP=4)
    _write_profits(rows, a, price_a, partner_a, losses, profits, m, zero, meta, GROUP=0)
    _write_profits(rows, b, price_b, partner_b, losses, profits, m, zero, meta, GROUP=1)
    _write_profits(rows, c, price_c, partner_c, losses, profits, m, zero, meta, GROUP=2)
    _write_profits(rows, d, price_d, partner_d, losses, profits, m, zero, meta, GROUP=3)
    _write_profits(rows, e, price_e, partner_e, losses, profits, m, zero, meta, GROUP=4)
    tag_a = _tags(partner_a, zero, meta, GROUP=0)
    tag_b = _tags(partner_b, zero, meta, GROUP=1)
    tag_c = _tags(partner_c, zero, meta, GROUP=2)
    tag_d = _tags(partner_d, zero, meta, GROUP=3)
    tag_e = _tags(partner_e, zero, meta, GROUP=4)
    infinite = tl.full((_WIDTH, meta.THREADS), float("inf"), tl.float64)
    none = tl.full((_WIDTH, meta.THREADS), -1, tl.int32)
    near_a, near_b, near_c, near_d, near_e = infinite, infinite, infinite, infinite, infinite
    before_a, before_b, before_c, before_d, before_e = none, none, none, none, none
    birth, death, alone = load_point(rows, root, True, meta)
    base = tl.full((), 0.0, tl.float64)
    shortest = opt_out(rows, birth, death, meta)
    leaver = tl.full((), -1, tl.int32)  # tag of the node whose row best gives up its partner
    joined = tl.full((), -1, tl.int32)  # tag of the column that has joined the tree
    distance, found, searching = base, m < 0, m > 0
    tl.debug_barrier()  # other threads read the profits
    while searching:
        low, tag = infinite, none
        near_a, before_a, price_a, low, tag = _relax(
            a, price_a, tag_a, near_a, before_a, birth, death, alone, base, joined, low, tag, m, meta, GROUP=0
        )
        near_b, before_b, price_b, low, tag = _relax(
            b, price_b, tag_b, near_b, before_b, birth, death, alone, base, joined, low, tag, m, meta, GROUP=1
        )
        near_c, before_c, price_c, low, tag = _relax(
            c, price_c, tag_c, near_c, before_c, birth, death, alone, base, joined, low, tag, m, meta, GROUP=2
        )
        near_d, before_d, price_d, low, tag = _relax(
            d, price_d, tag_d, near_d, before_d, birth, death, alone, base, joined, low, tag, m, meta, GROUP=3
        )
        near_e, before_e, price_e, low, tag = _relax(
            e, price_e, tag_e, near_e, before_e, birth, death, alone, base, joined, low, tag, m, meta, GROUP=4
        )
        least = tl.min(low, 0)
        distance, joined = first_lowest(least, tl.min(tl.where(low == least[None], tag, _NO_TAG), 0))
        end, row = joined >> _SHIFT, (joined & _MASK) - 1
        # Loads on the chance that the search goes on, all of them under way before any is used.
        goes_on = (row >= 0) & (distance < shortest)
        birth, death = tl.load(rows.birth + row, mask=goes_on), tl.load(rows.death + row, mask=goes_on)
        loss = tl.load(losses + row, mask=goes_on)
        profit = tl.load(profits + end, mask=goes_on)
        found = distance < shortest
        birth, death, alone = birth.to(tl.float64), death.to(tl.float64), loss * rows.share
        base = distance + profit
        searching = goes_on
        if goes_on:
            tl.store(tree.distance + end, distance)
            length = base + loss * (1.0 - rows.share)
            leaver, shortest = tl.where(length < shortest, joined, leaver), tl.minimum(length, shortest)
    distance = tl.where(found, distance, shortest)
    last = tl.where(found, joined, leaver)
    zero = unknown_zero(rows, root)  # not the one from above, or the addresses would stay in registers
    tl.debug_barrier()  # other threads read the distances of the tree
    then_a, paid_a = _load_tree(price_a, columns, m, tree, zero, meta, GROUP=0)
    then_b, paid_b = _load_tree(price_b, columns, m, tree, zero, meta, GROUP=1)
    then_c, paid_c = _load_tree(price_c, columns, m, tree, zero, meta, GROUP=2)
    then_d, paid_d = _load_tree(price_d, columns, m, tree, zero, meta, GROUP=3)
    then_e, paid_e = _load_tree(price_e, columns, m, tree, zero, meta, GROUP=4)
    _close_group(a, price_a, before_a, then_a, paid_a, columns, m, distance, tree, zero, meta, GROUP=0)
    _close_group(b, price_b, before_b, then_b, paid_b, columns, m, distance, tree, zero, meta, GROUP=1)
    _close_group(c, price_c, before_c, then_c, paid_c, columns, m, distance, tree, zero, meta, GROUP=2)
    _close_group(d, price_d, before_d, then_d, paid_d, columns, m, distance, tree, zero, meta, GROUP=3)
    _close_group(e, price_e, before_e, then_e, paid_e, columns, m, distance, tree, zero, meta, GROUP=4)
    tl.debug_barrier()  # other threads read the predecessors
    tl.store(rows.partner + (last & _MASK) - 1, -1, mask=(found == 0) & (last >= 0))
    while last >= 0:
        end = last >> _SHIFT
        last = tl.load(tree.partner + end)
        row = tl.where(last >= 0, (last & _MASK) - 1, root)
        tl.store(rows.partner + row, end)
        tl.store(columns.partner + end, row)


@triton.jit
def _columns(zero, meta, GROUP: tl.constexpr):
    """Return the indices (_WIDTH, THREADS) of the columns of a group. zero : see `unknown_zero`."""
    j = ((GROUP * _WIDTH + tl.arange(0, _WIDTH)) * meta.THREADS + zero)[:, None] + tl.arange(0, meta.THREADS)[None]
    return tl.max_contiguous(j, (1, 1))  # prevents vector loads, whose layout would distribute the columns differently


@triton.jit
def _load_group(columns, m, zero, meta, GROUP: tl.constexpr):
    """Return a group of columns."""
    j = _columns(zero, meta, GROUP)
    birth, death, alone = load_point(columns, j, j < m, meta)
    return Group(birth, death, tl.where(j < m, alone, -float("inf")))


@triton.jit
def _load_prices(columns, m, zero, meta, GROUP: tl.constexpr):
    """Return the prices of a group's columns."""
    j = _columns(zero, meta, GROUP)
    return tl.load(columns.price + j, mask=j < m, other=0.0)


@triton.jit
def _load_partners(columns, m, zero, meta, GROUP: tl.constexpr):
    """Return the partners of a group's columns."""
    j = _columns(zero, meta, GROUP)
    return tl.load(columns.partner + j, mask=j < m, other=-1)


@triton.jit
def _write_profits(rows, group, price, partner, losses, profits, m, zero, meta, GROUP: tl.constexpr):
    """Write what the partners of a group's columns save less what they pay, as each step of a search needs one."""
    j = _columns(zero, meta, GROUP)
    if m > GROUP * _WIDTH * meta.THREADS:
        birth = tl.load(rows.birth + partner, mask=partner >= 0, other=0.0)
        death = tl.load(rows.death + partner, mask=partner >= 0, other=0.0)
        alone = tl.load(losses + partner, mask=partner >= 0, other=0.0) * rows.share
        saved = saving(birth.to(tl.float64), death.to(tl.float64), alone, group.birth, group.death, group.alone)
        tl.store(profits + j, saved - price, mask=partner >= 0)


@triton.jit
def _tags(partner, zero, meta, GROUP: tl.constexpr):
    """Return the tags of a group's columns."""
    return (_columns(zero, meta, GROUP) << _SHIFT) | (partner + 1)


@triton.jit
def _load_tree(price, columns, m, tree, zero, meta, GROUP: tl.constexpr):
    """Return the distances and prices of those of a group's columns that are in the tree."""
    j = _columns(zero, meta, GROUP)
    in_tree = price == float("inf")
    distance = tl.load(tree.distance + j, mask=in_tree, other=0.0)
    return distance, tl.load(columns.price + j, mask=in_tree, other=0.0)


@triton.jit
def _relax(
    group,
    price,
    tags,
    near,
    before,
    birth,
    death,
    alone,
    base,
    joined,
    low,
    tag,
    m,
    meta,
    GROUP: tl.constexpr,
):
    """Let the column `joined` join the tree, and shorten the distances of the others by paths through a row.

    Return near, before and price of the group, and the lowest distance so far in each place of a group, with its tag.
    """
    if m > GROUP * _WIDTH * meta.THREADS:
        joins = tags == joined
        near, price = tl.where(joins, float("inf"), near), tl.where(joins, float("inf"), price)
        length = base + (price - saving(birth, death, alone, group.birth, group.death, group.alone))
        nearer = length < near
        near, before = tl.where(nearer, length, near), tl.where(nearer, joined, before)
        closer = near < low
        low, tag = tl.where(closer, near, low), tl.where(closer, tags, tag)
    return near, before, price, low, tag


@triton.jit
def _close_group(group, price, before, then, paid, columns, m, distance, tree, zero, meta, GROUP: tl.constexpr):
    """Raise the prices of a group's columns in the tree, and write the predecessors of all."""
    j = _columns(zero, meta, GROUP)
    if m > GROUP * _WIDTH * meta.THREADS:
        loss_alone = cost_alone(group.birth, group.death, meta) * (1.0 - columns.share)
        risen = tl.maximum(paid + (distance - then), 0.0 - loss_alone)  # not negative by rounding
        tl.store(columns.price + j, risen, mask=price == float("inf"))
        tl.store(tree.partner + j, before, mask=j < m)
