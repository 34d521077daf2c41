"""Match by auction, where a point may also stay alone. Optimal to rounding.

Bertsekas 1988; bidding from both sides, without which columns left over could keep a price: Bertsekas & Castanon 1992.
Bids follow one another as on the CPU, so that the outcome is the same; all threads of the program weigh a bid together.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .savings import FINE, ROUNDING, certify, largest_paid, load_point, lowest_loss, own_loss, saving

_SCALING = tl.constexpr(0.125)  # of epsilon, from one round to the next
_BIDS = tl.constexpr(1_000)  # a point, after which the auction gives up
_FINEST = tl.constexpr(2.0**-36)  # epsilon at last, by the largest cost, where long bars are matched at a small one


@triton.jit
def auction(
    rows,
    n,
    columns,
    m,
    waiting,
    SQUARED: tl.constexpr,
    BLOCK: tl.constexpr,
    THREADS: tl.constexpr,
    CHUNK: tl.constexpr,
    PARTS: tl.constexpr,
):
    """Let rows bid for columns and then columns for rows, with ever smaller epsilon. Returns the gap.

    Both sides have prices, a row's being its profit. Nobody would gain more than epsilon by another partner.
    waiting : int32, room for all points of a side, used up.
    """
    gain = tl.zeros((BLOCK,), tl.float64)
    for start in range(0, n, BLOCK):
        i = start + tl.arange(0, BLOCK)
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
            bids = _bid(bidders, n_bidders, goods, n_goods, waiting, turn == 0, epsilon, bids, SQUARED, BLOCK)
        gap = certify(rows, n, columns, m, SQUARED, THREADS, CHUNK, PARTS)
        for k in range(0, m):
            j = tl.load(columns.order + k)
            gap += tl.where(tl.load(columns.partner + j) < 0, tl.load(columns.price + j), 0.0)
        running = (gap > n.to(tl.float64) * smallest) & (epsilon != smallest) & (bids > 0)
        if (running == 0) & (bids > 0):
            paid = largest_paid(rows, n, columns, m, SQUARED, BLOCK)
            running = (smallest > paid * FINE) & (paid > 0.0)
            smallest = tl.where(running, paid * _FINEST, smallest)
        if running:
            epsilon = tl.maximum(epsilon * _SCALING, smallest)
            tl.debug_barrier()  # all threads have the gap before partners part
            _part(rows, n, columns, m, epsilon, SQUARED, THREADS, CHUNK, PARTS)
            tl.debug_barrier()
    return gap


@triton.jit
def _part(
    rows, n, columns, m, epsilon, SQUARED: tl.constexpr, THREADS: tl.constexpr, CHUNK: tl.constexpr, PARTS: tl.constexpr
):
    """Part the rows from partners who are more than epsilon worse than the best."""
    thread = tl.arange(0, THREADS)
    for start in range(0, n, THREADS // PARTS):
        i = start + thread // PARTS
        birth, death, alone = load_point(rows, i, i < n, SQUARED)
        own = own_loss(rows, i, birth, death, alone, i < n, columns, SQUARED)
        low, _ = lowest_loss(birth, death, alone, columns, m, SQUARED, CHUNK, PARTS)
        j = tl.load(rows.partner + i, mask=i < n, other=-1)
        parts = (j >= 0) & (own - low > epsilon) & (thread % PARTS == 0)
        tl.debug_barrier()  # all that share a row have read its partner before one of them writes
        tl.store(columns.partner + j, -1, mask=parts)
        tl.store(rows.partner + i, -1, mask=parts)


@triton.jit
def _bid(bidders, n, goods, m, waiting, at_any_price, epsilon, bids, SQUARED: tl.constexpr, BLOCK: tl.constexpr):
    """Let the bidders without a partner bid until there are none: all of them, or those with a positive price.

    Returns how many of the `bids` are left.
    """
    size = 0
    for start in range(0, n, BLOCK):
        k = start + tl.arange(0, BLOCK)
        i = tl.load(bidders.order + (n - 1 - k), mask=k < n, other=0)
        waits = (k < n) & (tl.load(bidders.partner + i, mask=k < n, other=0) < 0)
        waits &= at_any_price | (tl.load(bidders.price + i, mask=waits, other=0.0) > 0.0)
        tl.store(waiting + size + tl.cumsum(waits.to(tl.int32), 0) - 1, i, mask=waits)
        size += tl.sum(waits.to(tl.int32), 0)
    while (size > 0) & (bids > 0):
        tl.debug_barrier()  # what the last bid changed, or the list, is read next
        bids -= 1
        size -= 1
        i = tl.load(waiting + size)
        birth, death, alone = load_point(bidders, i, True, SQUARED)
        loss, j, second = _two_lowest(birth, death, alone, goods, m, SQUARED, BLOCK)
        bought = loss < 0.0  # else better alone
        outbid = tl.load(goods.partner + j, mask=bought, other=-1)
        waits = outbid >= 0
        waits &= at_any_price | (tl.load(bidders.price + outbid, mask=waits, other=0.0) > 0.0)
        birth_j, death_j, alone_j = load_point(goods, j, bought, SQUARED)
        saved = saving(birth, death, alone, birth_j, death_j, alone_j)
        # A price that rose by less than its rounding would not rise at all.
        profit = tl.where(bought, tl.maximum(-second - tl.maximum(epsilon, saved * ROUNDING), 0.0), 0.0)
        price = saved - profit
        tl.debug_barrier()  # all threads have read what is written now
        tl.store(bidders.price + i, profit)
        tl.store(goods.price + j, price, mask=bought)
        tl.store(bidders.partner + i, j, mask=bought)
        tl.store(goods.partner + j, i, mask=bought)
        tl.store(bidders.partner + outbid, -1, mask=outbid >= 0)
        tl.store(waiting + size, outbid, mask=waits)
        size += waits.to(tl.int32)
    tl.debug_barrier()
    return bids


@triton.jit
def _two_lowest(birth, death, alone, goods, m, SQUARED: tl.constexpr, BLOCK: tl.constexpr):
    """The lowest price - saving of a point with m goods, the first place of it, and the second lowest."""
    low = tl.full((BLOCK,), float("inf"), tl.float64)
    second = low
    place = tl.zeros((BLOCK,), tl.int32)
    for start in range(0, m, BLOCK):
        j = start + tl.arange(0, BLOCK)
        birth_other, death_other, alone_other = load_point(goods, j, j < m, SQUARED)
        price = tl.load(goods.price + j, mask=j < m, other=float("inf"))
        loss = price - saving(birth, death, alone, birth_other, death_other, alone_other)
        second = tl.where(loss < low, low, tl.where(loss < second, loss, second))
        place = tl.where(loss < low, j, place)
        low = tl.where(loss < low, loss, low)
    lowest = tl.min(low, 0)
    j = tl.min(tl.where(low == lowest, place, m), 0)
    # Equal losses in other lanes count; the lane that has the place gives its second.
    return lowest, j, tl.min(tl.where((low == lowest) & (place == j), second, low), 0)
