"""Match by auction, where points may also stay unmatched. Optimal up to rounding.

Bertsekas 1988. Both sides bid (Bertsekas & Castanon 1992): otherwise unmatched columns could keep positive prices.
Bids are made one after the other, as on the CPU, so the outcome is the same. All threads of a program compute each bid
together.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .position import less_apart
from .savings import FINE, ROUNDING, certify, largest_paid, load_point, lowest_loss, own_loss, saving
from .workspace import candidates_of, tree_of

_SCALING = tl.constexpr(0.125)  # factor of epsilon from one round to the next
_BIDS = tl.constexpr(1_000)  # bids per point in a round, after which the auction gives up
# The last epsilon, relative to the largest cost paid, for long bars that are matched at a small cost.
_FINEST = tl.constexpr(2.0**-36)


@triton.jit(noinline=True)  # compiles in less time: see kernels/README.md
def auction(work, n, m, meta):
    """Let n rows bid for m columns and then columns for rows, with ever smaller epsilon. Return the gap.

    Both sides have prices; the price of a row is its profit. After a round, no point would gain more than epsilon from
    another partner.
    """
    rows, columns, waiting = candidates_of(work, 0), candidates_of(work, 1), tree_of(work).row
    gain = tl.zeros((meta.BLOCK,), tl.float64)
    for start in range(0, n, meta.BLOCK):
        i = start + tl.arange(0, meta.BLOCK)
        gain = tl.maximum(gain, tl.load(rows.gain + i, mask=i < n, other=0.0))
    largest = tl.max(gain, 0)
    smallest = largest * ROUNDING
    epsilon = largest * _SCALING
    gap = tl.full((), 0.0, tl.float64)
    running = n > 0
    while running:
        bids = (n + m) * _BIDS
        for turn in range(2):
            bidders, goods, n_bidders, n_goods = rows, columns, n, m
            if turn == 1:
                bidders, goods, n_bidders, n_goods = columns, rows, m, n
            bids = _bid(bidders, n_bidders, goods, n_goods, waiting, turn == 0, epsilon, bids, meta)
        gap = certify(rows, n, columns, m, meta)
        for k in range(0, m):
            j = tl.load(columns.order + k)
            gap += tl.where(tl.load(columns.partner + j) < 0, tl.load(columns.price + j), 0.0)
        running = (gap > n.to(tl.float64) * smallest) & (epsilon != smallest) & (bids > 0)
        if (running == 0) & (bids > 0):
            paid = largest_paid(rows, n, columns, m, meta)
            running = (smallest > paid * FINE) & (paid > 0.0)
            smallest = tl.where(running, paid * _FINEST, smallest)
        if running:
            epsilon = tl.maximum(epsilon * _SCALING, smallest)
            tl.debug_barrier()  # all threads have computed the gap before partners change
            _separate(rows, n, columns, m, epsilon, meta)
            tl.debug_barrier()  # the next bids read these partners
    return gap


@triton.jit
def _separate(rows, n, columns, m, epsilon, meta):
    """Separate the rows from partners that are worse than the best choice by more than epsilon."""
    for start in range(0, n, meta.THREADS):
        i = start + tl.arange(0, meta.THREADS)
        birth, death, alone = load_point(rows, i, i < n, meta)
        own = own_loss(rows, i, birth, death, alone, i < n, columns, meta)
        low, _ = lowest_loss(birth, death, alone, rows, i, i < n, columns, m, meta)
        j = tl.load(rows.partner + i, mask=i < n, other=-1)
        leaves = (j >= 0) & (own - low > epsilon)
        tl.debug_barrier()  # layouts differ: another thread may have read what this one overwrites
        tl.store(columns.partner + j, -1, mask=leaves)
        tl.store(rows.partner + i, -1, mask=leaves)


@triton.jit
def _bid(bidders, n, goods, m, waiting, at_any_price, epsilon, bids, meta):
    """Let unmatched bidders bid until none is left, either all of them or those with a positive price.

    Return how many of the `bids` are left.
    waiting : int32, scratch with an element for each point of a side.
    """
    size = 0
    for start in range(0, n, meta.BLOCK):
        k = start + tl.arange(0, meta.BLOCK)
        i = tl.load(bidders.order + (n - 1 - k), mask=k < n, other=0)
        waits = (k < n) & (tl.load(bidders.partner + i, mask=k < n, other=0) < 0)
        waits &= at_any_price | (tl.load(bidders.price + i, mask=waits, other=0.0) > 0.0)
        tl.store(waiting + size + tl.cumsum(waits.to(tl.int32), 0) - 1, i, mask=waits)
        size += tl.sum(waits.to(tl.int32), 0)
    while (size > 0) & (bids > 0):
        tl.debug_barrier()  # other threads have written the list, or what the last bid changed
        bids -= 1
        size -= 1
        i = tl.load(waiting + size)
        birth, death, alone = load_point(bidders, i, True, meta)
        loss, j, second = _two_lowest(birth, death, alone, bidders, i, goods, m, meta)
        bought = loss < 0.0  # else better unmatched
        outbid = tl.load(goods.partner + j, mask=bought, other=-1)
        waits = outbid >= 0
        waits &= at_any_price | (tl.load(bidders.price + outbid, mask=waits, other=0.0) > 0.0)
        birth_j, death_j, alone_j = load_point(goods, j, bought, meta)
        saved = saving(birth, death, alone, birth_j, death_j, alone_j)
        saved = less_apart(saved, bidders, i, True, goods, j, bought, meta)
        # A smaller rise could vanish in the rounding of the price, and the auction would not end.
        profit = tl.where(bought, tl.maximum(-second - tl.maximum(epsilon, saved * ROUNDING), 0.0), 0.0)
        price = saved - profit
        tl.debug_barrier()  # all threads have read what is overwritten now
        tl.store(bidders.price + i, profit)
        tl.store(goods.price + j, price, mask=bought)
        tl.store(bidders.partner + i, j, mask=bought)
        tl.store(goods.partner + j, i, mask=bought)
        tl.store(bidders.partner + outbid, -1, mask=outbid >= 0)
        tl.store(waiting + size, outbid, mask=waits)
        size += waits.to(tl.int32)
    tl.debug_barrier()  # the caller reads what the last bid changed
    return bids


@triton.jit
def _two_lowest(birth, death, alone, bidders, i, goods, m, meta):
    """Return the lowest price - saving of bidder i with m goods, the first index of it, and the second lowest."""
    low = tl.full((meta.BLOCK,), float("inf"), tl.float64)
    second = low
    place = tl.zeros((meta.BLOCK,), tl.int32)
    for start in range(0, m, meta.BLOCK):
        j = start + tl.arange(0, meta.BLOCK)
        birth_other, death_other, alone_other = load_point(goods, j, j < m, meta)
        price = tl.load(goods.price + j, mask=j < m, other=float("inf"))
        saved = saving(birth, death, alone, birth_other, death_other, alone_other)
        loss = price - less_apart(saved, bidders, i, True, goods, j, j < m, meta)
        second = tl.where(loss < low, low, tl.where(loss < second, loss, second))
        place = tl.where(loss < low, j, place)
        low = tl.where(loss < low, loss, low)
    lowest = tl.min(low, 0)
    j = tl.min(tl.where(low == lowest, place, m), 0)
    # The second lowest may be as low, in another element; the element that holds the lowest contributes its own second.
    return lowest, j, tl.min(tl.where((low == lowest) & (place == j), second, low), 0)
