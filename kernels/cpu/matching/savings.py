"""What two points save by being matched, and what the solvers of Match share.

With prices p >= 0 on the columns, a row that takes column j loses p_j - w_ij. The prices prove how good a matching is:
no matching saves more than sum p + sum_i max(0, max_j(w_ij - p_j)).

Savings are differences from the costs alone, u_i + u_j - cost_ij, which lose the digits of the cost where two long bars
are close together. `polish` therefore repeats the search in costs: `alone` is 0 then, a saving is minus the cost, and
`opt_out` holds u. Otherwise `opt_out` is 0.

Arithmetic is float64 in the order written, never contracted, and ties go to the lowest index, so that another device
can repeat every choice. Savings are computed anew where they are needed, which costs less than reading a matrix.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..runtime.jit import allocating, device
from ..runtime.jit import unsigned as _i
from ..runtime.primitives import halted

Array = NDArray[np.generic]

ROUNDING = 2.0**-50  # what a few operations lose, relative to their operands, with room to spare
FINE = ROUNDING * 2.0**20  # rounding errors that large, relative to the largest cost that is paid, do not matter
_VECTOR = 16  # loops run over multiples of it: a remainder costs more than as many dummies
_FAR = 1 << 62  # above every index


class Points(NamedTuple):
    """Points of one side of a window. Dummies, with which nothing can be saved, fill the last multiple of _VECTOR."""

    birth: Array
    death: Array
    alone: Array  # cost of staying unmatched, as far as savings contain it
    opt_out: Array  # the rest of that cost
    column: Array  # in the diagram
    place: Array  # of a column of the diagram in these arrays
    gain: Array  # positive where some partner saves something; for a row, the most that one saves
    first: Array  # nothing is saved with places of the other side below it, ...
    last: Array  # ... or from here on
    price: Array
    partner: Array  # place on the other side, or -1
    halt: int  # see `halted`


@device
def padded(size):
    """The next multiple of _VECTOR."""
    return (size + _VECTOR - 1) & -_VECTOR


@allocating
def no_points(size, halt=0):
    """Room for `size` points and dummies."""
    i = np.empty((5, padded(size)), np.int64)
    x = np.empty((6, padded(size)))
    return Points(x[0], x[1], x[2], x[5], i[0], i[1], x[3], i[2], i[3], x[4], i[4], halt)


@device
def finish(points, n):
    """Add the dummies behind n points, and make all single, at a price of 0."""
    for i in range(n, padded(n)):
        points.birth[i] = points.death[i] = 0.0
        points.alone[i] = -np.inf
    for i in range(padded(n)):
        points.price[i] = points.opt_out[i] = 0.0
        points.partner[i] = -1


@device
def saving(rows, i, columns, j):
    """What matching row i with column j saves over leaving both alone. The same bits with the sides exchanged."""
    x, y = rows.birth[i] - columns.birth[j], rows.death[i] - columns.death[j]
    return (rows.alone[i] + columns.alone[j]) - (x * x + y * y)


@device
def relax(rows, i, base, columns, first, last, near, far):
    """Write min(near, base + price - saving) of row i into far, for the columns from first up to last.

    Not in place, because that becomes a conditional store, which is slow.
    """
    birth, death, alone = rows.birth[i], rows.death[i], rows.alone[i]
    for j in range(_i(first), _i(last)):
        x, y = birth - columns.birth[j], death - columns.death[j]
        length = base + (columns.price[j] - ((alone + columns.alone[j]) - (x * x + y * y)))
        far[j] = length if length < near[j] else near[j]


@device
def copy(source, target, first, last):
    """Copy what lies from first up to last; nothing where first > last."""
    for j in range(_i(first), _i(max(first, last))):
        target[j] = source[j]


@device
def lowest(values, first, last):
    """The least of the values from first up to last."""
    low = np.inf
    for j in range(_i(first), _i(last)):
        low = values[j] if values[j] < low else low
    return low


@device
def largest(values, n):
    """The largest of n values that are not negative."""
    high = 0.0
    for i in range(n):
        high = max(high, values[i])
    return high


@device
def place_of(value, values, points, first, last):
    """Place of a value; of several, the one whose point comes first in the diagram."""
    column = _FAR
    for j in range(_i(first), _i(last)):
        column = min(column, points.column[j] if values[j] == value else _FAR)
    return points.place[column]


@device
def find_gains(rows, n, columns, m, near, far):
    """Write the gains of both sides. near is infinite."""
    columns.gain[: padded(m)] = 0.0
    for i in range(n):
        if halted(rows.halt):
            return
        relax(rows, i, 0.0, columns, 0, padded(m), near, far)
        rows.gain[i] = max(0.0, -lowest(far, 0, padded(m)))
        if rows.gain[i] > 0.0:
            for j in range(_i(0), _i(padded(m))):
                columns.gain[j] += 1.0 if far[j] < 0.0 else 0.0


@device
def find_reach(points, n, others, m, squared):
    """Bound the possible partners of each point by birth + death, by which both sides are sorted.

    With lengths y and sums x of birth and death, a squared saving is y y' - (x - x')^2 / 2, and a cost is always
    (x - x')^2 / 2 or more.
    """
    most = largest(others.alone, m)
    for i in range(n):
        x, alone = points.birth[i] + points.death[i], points.alone[i]
        reach = 4.0 * (np.sqrt(alone) * np.sqrt(most)) if squared else 2.0 * (alone + most)
        reach = np.sqrt(reach + 8.0 * ROUNDING * (alone + most))
        reach += ROUNDING * (abs(x) + reach)
        points.first[i] = _below(others, m, x - reach) & -_VECTOR
        points.last[i] = padded(_below(others, m, x + reach))


@device
def reach_all(points, n, m):
    """Count all m points of the other side among the possible partners of each of n points."""
    for i in range(n):
        points.first[i], points.last[i] = 0, padded(m)


@device
def _below(points, n, x):
    """How many of the points have birth + death < x."""
    first = 0
    while n > 0:  # no branch that could be mispredicted
        half = (n + 1) >> 1
        place = _i(first + half - 1)
        first += half if points.birth[place] + points.death[place] < x else 0
        n -= half
    return first


@device
def certify(rows, n, columns, m, near, far):
    """Bound the distance from the optimum by the columns' prices, as a sum of slacks of which none is negative."""
    gap = 0.0
    for i in range(n):
        if halted(rows.halt):
            break
        relax(rows, i, 0.0, columns, rows.first[i], rows.last[i], near, far)
        least = min(rows.opt_out[i], lowest(far, rows.first[i], rows.last[i]))
        gap += (rows.opt_out[i] if rows.partner[i] < 0 else far[rows.partner[i]]) - least
    for j in range(m):
        if columns.partner[j] < 0:
            gap += columns.price[j] + columns.opt_out[j]
    return gap


@device
def largest_paid(rows, n, columns, m):
    """The largest cost that a matching pays, of a pair or of a point that stays alone."""
    paid = 0.0
    for i in range(n):
        paid = max(paid, _paid(rows, i, columns))
    for j in range(m):
        if columns.partner[j] < 0:
            paid = max(paid, columns.alone[j] + columns.opt_out[j])
    return paid


@device
def _paid(points, i, others):
    """What is paid for a point, together with its partner if it has one."""
    j = points.partner[i]
    if j < 0:
        return points.alone[i] + points.opt_out[i]
    x, y = points.birth[i] - others.birth[j], points.death[i] - others.death[j]
    return x * x + y * y
