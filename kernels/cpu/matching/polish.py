"""Polish: make a matching optimal to the rounding of what it pays, where that is far less than what points cost alone.

The solvers compare savings, which are differences from the costs alone. Where two diagrams share very long bars, as a
nodata value makes them, or are nearly equal, rounding decides which partners such bars get. This search works with
costs: a price is minus the share of a pair's cost that the pair's point on the other side leaves to the column, so that
prices are as large as what is paid. It starts from the matching and the prices found, and changes what is not optimal.
"""

from __future__ import annotations

import numpy as np

from ..runtime.jit import device
from ..runtime.primitives import halted
from ..runtime.sort import sort
from .augment import augment
from .savings import FINE, ROUNDING, certify, find_reach, largest, largest_paid, lowest, padded, relax, saving

_PRICES = 2.0**16  # the largest to start from, relative to the largest cost: digits lost below it do not matter
_CONTENT = 2.0**-48  # a pair is kept whose excess is no larger, relative to these prices
_GAP = 2.0**-17  # relative to the largest cost; a larger one makes the search run again


@device
def polish(rows, n, columns, m, gap, by_auction, squared, near, far, keys, tree):
    """Improve a matching unless rounding and, of an auction, the gap are small beside the largest cost that it pays.

    Returns the gap.
    near is infinite. far, keys, tree : used up.
    """
    scale = max(largest(rows.alone, n), largest(columns.alone, m))  # of the numbers that were rounded
    paid = largest_paid(rows, n, columns, m)
    coarse = ROUNDING * scale > FINE * paid or (by_auction and gap > _GAP * paid)
    if not coarse:
        return gap
    find_reach(columns, m, rows, n, squared)
    while coarse and paid > 0.0 and not halted(rows.halt):
        scale = _PRICES * paid
        _compare_costs(rows, n, scale)
        _compare_costs(columns, m, scale)
        _settle(rows, n, columns, m, _CONTENT * scale, near, far, keys, tree)
        _settle(columns, m, rows, n, np.inf, near, far, keys, tree)
        gap = certify(rows, n, columns, m, near, far)
        paid = largest_paid(rows, n, columns, m)
        coarse = ROUNDING * scale > FINE * paid
    return gap if paid > 0.0 else 0.0  # a cost of 0 is optimal


@device
def _compare_costs(points, n, most):
    """Let savings be minus the costs, and prices follow, or start anew where they are above `most`."""
    for i in range(n):
        price = points.price[i] - points.alone[i]
        points.opt_out[i] += points.alone[i]
        points.alone[i] = 0.0
        if points.partner[i] < 0:
            points.price[i] = -points.opt_out[i]
        else:
            points.price[i] = price if abs(price) <= most else 0.0


@device
def _settle(rows, n, columns, m, excess, near, far, keys, tree):
    """Match the rows that would gain by it, after a parting from partners who exceed the best choice by `excess`.

    Rows come in the order of the diagram. Their prices are written.
    """
    waiting = 0
    for i in range(n):
        j, first, last = rows.partner[i], rows.first[i], rows.last[i]
        relax(rows, i, 0.0, columns, first, last, near, far)
        low = lowest(far, first, last)
        if j >= 0 and far[j] > min(low, rows.opt_out[i]) + excess:
            rows.partner[i] = columns.partner[j] = -1
        waits = rows.partner[i] < 0 and low < rows.opt_out[i]
        keys.value[i] = rows.column[i] if waits else np.inf
        waiting += waits
    sort(keys, n)
    far[: padded(m)] = np.inf
    augment(rows, columns, m, keys.order[:waiting], near, far, tree)
    for i in range(n):
        j, loss = rows.partner[i], rows.opt_out[i]
        if j >= 0:
            loss = min(loss, columns.price[j] - saving(rows, i, columns, j))
        rows.price[i] = -loss
