"""Optimal matchings in rational arithmetic, for diagrams whose costs need more digits than a float has."""

from __future__ import annotations

from fractions import Fraction

from .diagrams import Points

_HALF_ROOT = Fraction(0.5**0.5)


def costs(a: Points, b: Points, unmatched: str) -> tuple[list[Fraction], list[Fraction], list[list[Fraction]]]:
    """Return the costs of leaving the points of either side unmatched, and the costs of all pairs."""
    left, right = ([(Fraction(x), Fraction(y)) for x, y in points.tolist()] for points in (a, b))
    alone = [
        [(d - b) ** 2 / 2 if unmatched == "half_squared" else abs(d - b) * _HALF_ROOT for b, d in side]
        for side in (left, right)
    ]
    pairs = [[(b - c) ** 2 + (d - e) ** 2 for c, e in right] for b, d in left]
    return alone[0], alone[1], pairs


def cost_of(a: Points, b: Points, partner_a: list[int], unmatched: str) -> tuple[Fraction, Fraction]:
    """Return the cost of a matching and its largest term, which is that of a pair or of an unmatched point."""
    alone_a, alone_b, pairs = costs(a, b, unmatched)
    matched = {j for j in partner_a if j >= 0}
    paid = [alone_a[i] if j < 0 else pairs[i][j] for i, j in enumerate(partner_a)]
    paid += [x for j, x in enumerate(alone_b) if j not in matched]
    return sum(paid, Fraction(0)), max(paid, default=Fraction(0))


def optimum(a: Points, b: Points, unmatched: str) -> Fraction:
    """Return the least cost of a matching, by the Hungarian method on integers.

    Each row has a column of its own for leaving its point unmatched.
    """
    if len(a) == 0 or len(b) == 0:
        return cost_of(a, b, [-1] * len(a), unmatched)[0]
    alone_a, alone_b, pairs = costs(a, b, unmatched)
    matrix = [
        [pair - alone for pair, alone in zip(row, alone_b, strict=True)] + [opt_out] * len(a)
        for row, opt_out in zip(pairs, alone_a, strict=True)
    ]
    unit = max(x.denominator for row in matrix for x in row)  # a power of two
    total = _assign([[int(x * unit) for x in row] for row in matrix])
    return Fraction(total, unit) + sum(alone_b)


def _assign(cost: list[list[int]]) -> int:
    """Return the least sum of one entry per row, no two of which are in the same column."""
    n, m = len(cost), len(cost[0])
    of_row, of_column, row_of = [0] * (n + 1), [0] * (m + 1), [0] * (m + 1)  # potentials; the row of each column
    for root in range(1, n + 1):
        row_of[0], column = root, 0
        least: list[int | None] = [None] * (m + 1)
        before, reached = [0] * (m + 1), [False] * (m + 1)
        while row_of[column]:
            reached[column] = True
            row, step, end = row_of[column], None, 0
            for j in range(1, m + 1):
                if not reached[j]:
                    reduced = cost[row - 1][j - 1] - of_row[row] - of_column[j]
                    if least[j] is None or reduced < least[j]:
                        least[j], before[j] = reduced, column
                    if step is None or least[j] < step:
                        step, end = least[j], j
            for j in range(m + 1):
                if reached[j]:
                    of_row[row_of[j]] += step
                    of_column[j] -= step
                elif j:
                    least[j] -= step
            column = end
        while column:
            row_of[column] = row_of[before[column]]
            column = before[column]
    return sum(cost[row_of[j] - 1][j - 1] for j in range(1, m + 1) if row_of[j])
