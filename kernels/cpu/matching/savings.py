"""Savings of pairs of points, and what the solvers of `match` share.

With prices p >= 0 on the columns, a row that takes column j loses p_j - w_ij. The prices bound the optimum: no matching
saves more than sum_j p_j + sum_i max(0, max_j(w_ij - p_j)).

A saving is a difference, u_i + u_j - cost_ij, and loses the digits of the cost where two long bars are close together.
`polish` therefore repeats the search with costs: there `alone` is 0, a saving is minus the cost, and `opt_out` holds u.
Otherwise `opt_out` is 0.

Arithmetic is float64 in the order written and never contracted, and ties go to the lowest index, so that other devices
can repeat every choice. Savings are recomputed where they are needed, which costs less than reading a matrix.
"""

from __future__ import annotations

import numpy as np

from ..runtime.jit import device
from ..runtime.jit import unsigned as _i
from ..runtime.primitives import halted
from .position import apart, clear_positions, coordinates
from .workspace import VECTOR, padded

ROUNDING = 2.0**-50  # bound on the error of a few operations, relative to their operands
FINE = ROUNDING * 2.0**20  # rounding errors up to this, relative to the largest cost that is paid, are tolerated
_NO_COLUMN = 1 << 62  # above every index


@device
def finish(candidates, n):
    """Add the dummies after n candidates, and make all of them unmatched, at a price of 0."""
    for i in range(n, padded(n)):
        candidates.birth[i] = candidates.death[i] = 0.0
        candidates.alone[i] = -np.inf
    clear_positions(candidates.position, n)
    for i in range(padded(n)):
        candidates.price[i] = candidates.opt_out[i] = 0.0
        candidates.partner[i] = -1


@device
def saving(rows, i, columns, j):
    """Return what matching row i with column j saves over leaving both unmatched.

    The result has the same bits with the sides exchanged.
    """
    x, y = rows.birth[i] - columns.birth[j], rows.death[i] - columns.death[j]
    at_z, at_y, at_x = coordinates(rows.position, i)
    return (rows.alone[i] + columns.alone[j]) - (x * x + y * y) - apart(at_z, at_y, at_x, columns.position, j)


@device
def relax(rows, i, base, columns, first, last, near, far):
    """Write min(near, base + price - saving) of row i into far, for the columns from first up to last.

    An update in place would compile to a conditional store, which is slow.
    """
    birth, death, alone = rows.birth[i], rows.death[i], rows.alone[i]
    at_z, at_y, at_x = coordinates(rows.position, i)
    for j in range(_i(first), _i(last)):
        x, y = birth - columns.birth[j], death - columns.death[j]
        saved = (alone + columns.alone[j]) - (x * x + y * y) - apart(at_z, at_y, at_x, columns.position, j)
        length = base + (columns.price[j] - saved)
        far[j] = length if length < near[j] else near[j]


@device
def copy(source, target, first, last):
    """Copy the elements from first up to last; nothing where first > last."""
    for j in range(_i(first), _i(max(first, last))):
        target[j] = source[j]


@device
def lowest(values, first, last):
    """Return the least of the values from first up to last."""
    low = np.inf
    for j in range(_i(first), _i(last)):
        low = values[j] if values[j] < low else low
    return low


@device
def largest(values, n):
    """Return the largest of n values that are not negative."""
    high = 0.0
    for i in range(n):
        high = max(high, values[i])
    return high


@device
def place_of(value, values, candidates, first, last):
    """Return the index of a value; among several, that of the candidate with the lowest column."""
    column = _NO_COLUMN
    for j in range(_i(first), _i(last)):
        column = min(column, candidates.column[j] if values[j] == value else _NO_COLUMN)
    return candidates.place[column]


@device
def find_gains(rows, n, columns, m, sweep):
    """Write the gains of both sides."""
    far = sweep.far
    columns.gain[: padded(m)] = 0.0
    for i in range(n):
        if halted(sweep.halt):
            return
        relax(rows, i, 0.0, columns, 0, padded(m), sweep.near, far)
        rows.gain[i] = max(0.0, -lowest(far, 0, padded(m)))
        if rows.gain[i] > 0.0:
            for j in range(_i(0), _i(padded(m))):
                columns.gain[j] += 1.0 if far[j] < 0.0 else 0.0


@device
def find_reach(candidates, n, others, m, squared):
    """Bound the possible partners of each candidate by birth + death, by which both sides are sorted.

    With lengths y and sums x of birth and death, a squared saving is y y' - (x - x')^2 / 2, and a cost is always
    (x - x')^2 / 2 or more; positions only add to it.
    """
    most = largest(others.alone, m)
    for i in range(n):
        x, alone = candidates.birth[i] + candidates.death[i], candidates.alone[i]
        reach = 4.0 * (np.sqrt(alone) * np.sqrt(most)) if squared else 2.0 * (alone + most)
        reach = np.sqrt(reach + 8.0 * ROUNDING * (alone + most))
        reach += ROUNDING * (abs(x) + reach)
        candidates.first[i] = _below(others, m, x - reach) & -VECTOR
        candidates.last[i] = padded(_below(others, m, x + reach))


@device
def reach_all(candidates, n, m):
    """Make all m candidates of the other side possible partners of each of n candidates."""
    for i in range(n):
        candidates.first[i], candidates.last[i] = 0, padded(m)


@device
def _below(candidates, n, x):
    """Return how many of n candidates, which are sorted, have birth + death < x."""
    first = 0
    while n > 0:  # a binary search without a branch that could be mispredicted
        half = (n + 1) >> 1
        place = _i(first + half - 1)
        first += half if candidates.birth[place] + candidates.death[place] < x else 0
        n -= half
    return first


@device
def certify(rows, n, columns, m, sweep):
    """Bound the distance from the optimum by the columns' prices, as a sum of slacks, none of which is negative.

    Write into the gain of each row how much worse its partner is than its best one.
    """
    far = sweep.far
    gap = 0.0
    for i in range(n):
        if halted(sweep.halt):
            break
        relax(rows, i, 0.0, columns, rows.first[i], rows.last[i], sweep.near, far)
        low = lowest(far, rows.first[i], rows.last[i])
        own = rows.opt_out[i] if rows.partner[i] < 0 else far[rows.partner[i]]
        rows.gain[i] = own - low
        gap += own - min(rows.opt_out[i], low)
    for j in range(m):
        if columns.partner[j] < 0:
            gap += columns.price[j] + columns.opt_out[j]
    return gap


@device
def largest_paid(rows, n, columns, m):
    """Return the largest cost that a matching pays, for a pair or for an unmatched point."""
    paid = 0.0
    for i in range(n):
        paid = max(paid, _paid(rows, i, columns))
    for j in range(m):
        if columns.partner[j] < 0:
            paid = max(paid, columns.alone[j] + columns.opt_out[j])
    return paid


@device
def _paid(candidates, i, others):
    """Return the cost of a candidate's pair, or of the candidate alone if it is unmatched."""
    j = candidates.partner[i]
    if j < 0:
        return candidates.alone[i] + candidates.opt_out[i]
    x, y = candidates.birth[i] - others.birth[j], candidates.death[i] - others.death[j]
    at_z, at_y, at_x = coordinates(candidates.position, i)
    return x * x + y * y + apart(at_z, at_y, at_x, others.position, j)
