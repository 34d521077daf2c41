"""Polish a matching whose cost is far below the costs of unmatched points, until it is optimal to its own rounding.

The solvers compare savings, which are differences from the costs of unmatched points. If two diagrams are nearly equal,
or share very long bars, such as those that a nodata value creates, the partners of these bars depend on rounding. This
search compares costs instead. A price is then minus the part of a pair's cost that the column bears, so prices are of
the size of what is paid. The search starts from the given matching and prices, and changes what is not optimal.
"""

from __future__ import annotations

import numpy as np

from ..runtime.jit import device
from ..runtime.primitives import halted
from ..runtime.sort import sort
from .augment import augment
from .savings import FINE, ROUNDING, certify, find_reach, largest, largest_paid, lowest, relax, saving
from .workspace import padded

_PRICES = 2.0**16  # largest initial price, relative to the largest cost paid: its rounding is harmless
_CONTENT = 2.0**-48  # pairs with a larger excess over the best choice, relative to the largest price, are separated
_GAP = 2.0**-17  # a larger gap of an auction, relative to the largest cost paid, is worth another search


@device
def polish(rows, n, columns, m, gap, by_auction, squared, work):
    """Improve a matching unless rounding and, after an auction, the gap are small beside the largest cost it pays.

    Return the gap. The workspace is overwritten.
    """
    scale = max(largest(rows.alone, n), largest(columns.alone, m))  # largest number that was rounded
    paid = largest_paid(rows, n, columns, m)
    coarse = ROUNDING * scale > FINE * paid or (by_auction and gap > _GAP * paid)
    if not coarse:
        return gap
    find_reach(columns, m, rows, n, squared)
    while coarse and paid > 0.0 and not halted(work.sweep.halt):
        scale = _PRICES * paid
        _compare_costs(rows, n, scale)
        _compare_costs(columns, m, scale)
        _settle(rows, n, columns, m, _CONTENT * scale, work)
        _settle(columns, m, rows, n, np.inf, work)
        gap = certify(rows, n, columns, m, work.sweep)
        paid = largest_paid(rows, n, columns, m)
        coarse = ROUNDING * scale > FINE * paid
    return gap if paid > 0.0 else 0.0  # a cost of 0 is optimal


@device
def _compare_costs(candidates, n, most):
    """Make savings minus the costs, and adapt the prices; prices above `most` start again from 0."""
    for i in range(n):
        price = candidates.price[i] - candidates.alone[i]
        candidates.opt_out[i] += candidates.alone[i]
        candidates.alone[i] = 0.0
        if candidates.partner[i] < 0:
            candidates.price[i] = -candidates.opt_out[i]
        else:
            candidates.price[i] = price if abs(price) <= most else 0.0


@device
def _settle(rows, n, columns, m, excess, work):
    """Separate the rows from partners worse than the best choice by more than `excess`, and match what gains by it.

    Rows are matched in the order of the diagram. Their prices are written.
    """
    near, far, keys = work.sweep.near, work.sweep.far, work.keys
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
    augment(rows, columns, m, keys.order[:waiting], work)
    for i in range(n):
        j, loss = rows.partner[i], rows.opt_out[i]
        if j >= 0:
            loss = min(loss, columns.price[j] - saving(rows, i, columns, j))
        rows.price[i] = -loss
