"""Match by auction, where a point may also stay alone. Optimal to rounding.

Bertsekas 1988; bidding from both sides, without which columns left over could keep a price: Bertsekas & Castanon 1992.
"""

from __future__ import annotations

import numpy as np

from ..runtime.jit import device
from ..runtime.primitives import halted
from .savings import FINE, ROUNDING, certify, largest_paid, lowest, place_of, relax, saving

_SCALING = 0.125  # of epsilon, from one round to the next
_BIDS = 1_000  # a point, after which the auction gives up
_FINEST = 2.0**-36  # epsilon at last, relative to the largest cost, where long bars are matched at a small one


@device
def auction(rows, n, columns, m, largest, near, far, waiting):
    """Let rows bid for columns and then columns for rows, with ever smaller epsilon. Returns the gap.

    Both sides have prices, a row's being its profit. Nobody would gain more than epsilon by another partner.
    largest : the largest saving. near : infinite. far, waiting : used up.
    """
    smallest = ROUNDING * largest
    epsilon = _SCALING * largest
    while True:
        bids = _bid(rows, n, columns, True, epsilon, _BIDS * (n + m), near, far, waiting)
        bids = _bid(columns, m, rows, False, epsilon, bids, near, far, waiting)
        gap = certify(rows, n, columns, m, near, far)
        if halted(rows.halt):
            return gap
        if gap <= n * smallest or epsilon == smallest or bids == 0:
            paid = largest_paid(rows, n, columns, m)
            if smallest <= FINE * paid or paid == 0.0 or bids == 0:
                return gap
            smallest = _FINEST * paid
        epsilon = max(_SCALING * epsilon, smallest)
        for i in range(n):
            j, first, last = rows.partner[i], rows.first[i], rows.last[i]
            if j >= 0:
                relax(rows, i, 0.0, columns, first, last, near, far)
                if far[j] - lowest(far, first, last) > epsilon:
                    rows.partner[i] = columns.partner[j] = -1


@device
def _bid(bidders, n, goods, at_any_price, epsilon, bids, near, far, waiting):
    """Let the bidders without a partner bid until there are none: all of them, or those with a positive price.

    Returns how many of the `bids` are left.
    """
    size = 0
    for i in range(n - 1, -1, -1):
        if bidders.partner[i] < 0 and (at_any_price or bidders.price[i] > 0.0):
            waiting[size] = i
            size += 1
    while size > 0 and bids > 0 and not halted(bidders.halt):
        bids -= 1
        size -= 1
        i = waiting[size]
        first, last = bidders.first[i], bidders.last[i]
        relax(bidders, i, 0.0, goods, first, last, near, far)
        loss = lowest(far, first, last)
        if not loss < 0.0:
            bidders.price[i] = 0.0  # better alone
            continue
        j = place_of(loss, far, goods, first, last)
        far[j] = np.inf
        saved = saving(bidders, i, goods, j)
        # A price that rose by less than its rounding would not rise at all.
        bidders.price[i] = max(0.0, -lowest(far, first, last) - max(epsilon, ROUNDING * saved))
        goods.price[j] = saved - bidders.price[i]
        outbid = goods.partner[j]
        bidders.partner[i], goods.partner[j] = j, i
        if outbid >= 0:
            bidders.partner[outbid] = -1
            if at_any_price or bidders.price[outbid] > 0.0:
                waiting[size] = outbid
                size += 1
    return bids
