"""Match by auction, where points may also stay unmatched. Optimal up to rounding.

Bertsekas 1988. Both sides bid (Bertsekas & Castanon 1992): otherwise unmatched columns could keep positive prices.
"""

from __future__ import annotations

import numpy as np

from ..runtime.jit import device
from ..runtime.primitives import halted
from .savings import FINE, ROUNDING, certify, largest, largest_paid, lowest, place_of, relax, saving

_SCALING = 0.125  # factor of epsilon from one round to the next
_BIDS = 1_000  # bids per point in a round, after which the auction gives up
_FINEST = 2.0**-36  # last epsilon, relative to the largest cost paid, for long bars that are matched at a small cost


@device
def auction(rows, n, columns, m, work):
    """Let rows bid for columns and then columns for rows, with ever smaller epsilon. Return the gap.

    Both sides have prices; the price of a row is its profit. After a round, no point would gain more than epsilon from
    another partner. The gains of the rows, and the workspace except for the tree, are overwritten.
    """
    most = largest(rows.gain, n)
    smallest = ROUNDING * most
    epsilon = _SCALING * most
    while True:
        bids = _bid(rows, n, columns, -1.0, epsilon, _BIDS * (n + m), work)
        bids = _bid(columns, m, rows, 0.0, epsilon, bids, work)
        gap = certify(rows, n, columns, m, work.sweep)
        if halted(work.sweep.halt):
            return gap
        if gap <= n * smallest or epsilon == smallest or bids == 0:
            paid = largest_paid(rows, n, columns, m)
            if smallest <= FINE * paid or paid == 0.0 or bids == 0:
                return gap
            smallest = _FINEST * paid
        epsilon = max(_SCALING * epsilon, smallest)
        for i in range(n):
            j = rows.partner[i]
            if j >= 0 and rows.gain[i] > epsilon:  # see `certify`
                rows.partner[i] = columns.partner[j] = -1


@device
def _bid(bidders, n, goods, least_price, epsilon, bids, work):
    """Let unmatched bidders whose price is above `least_price` bid until none is left.

    Return how many of the `bids` are left.
    """
    near, far, waiting = work.sweep.near, work.sweep.far, work.keys.order
    size = 0
    for i in range(n - 1, -1, -1):
        if bidders.partner[i] < 0 and bidders.price[i] > least_price:
            waiting[size] = i
            size += 1
    while size > 0 and bids > 0 and not halted(work.sweep.halt):
        bids -= 1
        size -= 1
        i = waiting[size]
        first, last = bidders.first[i], bidders.last[i]
        relax(bidders, i, 0.0, goods, first, last, near, far)
        loss = lowest(far, first, last)
        if not loss < 0.0:
            bidders.price[i] = 0.0  # better unmatched
            continue
        j = place_of(loss, far, goods, first, last)
        far[j] = np.inf
        saved = saving(bidders, i, goods, j)
        # A smaller rise could vanish in the rounding of the price, and the auction would not end.
        bidders.price[i] = max(0.0, -lowest(far, first, last) - max(epsilon, ROUNDING * saved))
        goods.price[j] = saved - bidders.price[i]
        outbid = goods.partner[j]
        bidders.partner[i], goods.partner[j] = j, i
        if outbid >= 0:
            bidders.partner[outbid] = -1
            if bidders.price[outbid] > least_price:
                waiting[size] = outbid
                size += 1
    return bids
