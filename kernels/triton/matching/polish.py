"""Polish: make a matching optimal to the rounding of what it pays, where that is far less than what points cost alone.

The solvers compare savings, which are differences from the costs alone. Where two diagrams share very long bars, as a
nodata value makes them, or are nearly equal, rounding decides which partners such bars get. The search is then repeated
with costs, from the matching and the prices found: see the CPU's kernel of this name, of which the steps and the
arithmetic are the same.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .augment import augment
from .savings import (
    FINE,
    ROUNDING,
    Points,
    certify,
    cost_alone,
    largest_paid,
    load_point,
    lowest_loss,
    opt_out,
    own_loss,
    sort,
)

_PRICES = tl.constexpr(2.0**16)  # the largest to start from, by the largest cost: digits lost below it do not matter
_CONTENT = tl.constexpr(2.0**-48)  # a pair is kept whose excess is no larger, by these prices
_GAP = tl.constexpr(2.0**-17)  # by the largest cost; an auction with a larger one is not the end


@triton.jit
def search(
    rows,
    n,
    columns,
    m,
    tree,
    gap,
    CERTIFIED: tl.constexpr,
    SQUARED: tl.constexpr,
    AUCTION: tl.constexpr,
    BLOCK: tl.constexpr,
    THREADS: tl.constexpr,
    CHUNK: tl.constexpr,
    PARTS: tl.constexpr,
):
    """Match along augmenting paths, by savings unless an auction has done so, and then by costs if that matters.

    Returns the gap if it is wanted. The loop's turns are one search by savings (0), and by costs one of the rows (1)
    and one of the columns (2): one piece of code for all, as the search is the largest part of the kernel.
    """
    share, most = tl.full((), 1.0, tl.float64), tl.full((), 0.0, tl.float64)
    scale = tl.maximum(_largest_alone(rows, n, SQUARED, BLOCK), _largest_alone(columns, m, SQUARED, BLOCK))
    turn = 0
    if AUCTION:
        tl.debug_barrier()  # partners and prices have been written by other threads
        paid = largest_paid(rows, n, columns, m, SQUARED, BLOCK)
        coarse = ((scale * ROUNDING > paid * FINE) | (gap > paid * _GAP)) & (paid > 0.0)
        if paid == 0.0:
            gap = paid
        turn = tl.where(coarse, 1, 3)
        most = paid * _PRICES
        if coarse:
            _compare_costs(rows, n, share, most, SQUARED, BLOCK)
            _compare_costs(columns, m, share, most, SQUARED, BLOCK)
            share = share * 0.0
    while turn < 3:
        tl.debug_barrier()  # prices have been written by other threads
        seekers, others, n_seekers, n_others = _with_share(rows, share), _with_share(columns, share), n, m
        if turn == 2:
            seekers, others, n_seekers, n_others = others, seekers, m, n
        waiting = n_seekers
        if turn == 0:
            sort(rows, n, columns.order, True, THREADS, CHUNK, PARTS)
        else:
            excess = tl.where(turn == 1, most * _CONTENT, float("inf"))
            waiting = _wait(seekers, n_seekers, others, n_others, excess, SQUARED, BLOCK, THREADS, CHUNK, PARTS)
        # Neither gains nor the others' order are needed from then on.
        augment(
            seekers, waiting, others, n_others, others.order, seekers.order, others.gain, seekers.gain, tree, SQUARED,
            BLOCK,
        )  # fmt: skip
        tl.debug_barrier()
        if turn > 0:
            _set_prices(seekers, n_seekers, others, SQUARED, BLOCK)
            tl.debug_barrier()
        if turn == 1:
            turn = 2
        else:
            if CERTIFIED:
                sort(rows, n, rows.order, False, THREADS, CHUNK, PARTS)
                tl.debug_barrier()
                gap = certify(
                    _with_share(rows, share), n, _with_share(columns, share), m, SQUARED, THREADS, CHUNK, PARTS
                )
            paid = largest_paid(rows, n, columns, m, SQUARED, BLOCK)
            coarse = (scale * ROUNDING > paid * FINE) & (paid > 0.0)
            if paid == 0.0:
                gap = paid  # a cost of 0 is optimal
            turn = tl.where(coarse, 1, 3)
            most = paid * _PRICES
            scale = most
            if coarse:
                tl.debug_barrier()  # all threads have looked at the matching and the prices
                _compare_costs(rows, n, share, most, SQUARED, BLOCK)
                _compare_costs(columns, m, share, most, SQUARED, BLOCK)
                share = share * 0.0
    return gap


@triton.jit
def _with_share(points, share):
    return Points(
        points.birth, points.death, points.gain, points.price, points.column, points.partner, points.order, share
    )


@triton.jit
def _largest_alone(points, n, SQUARED: tl.constexpr, BLOCK: tl.constexpr):
    """The largest cost of n points that stay alone."""
    most = tl.zeros((BLOCK,), tl.float64)
    for start in range(0, n, BLOCK):
        i = start + tl.arange(0, BLOCK)
        birth, death, _ = load_point(points, i, i < n, SQUARED)
        alone = cost_alone(birth, death, SQUARED)
        most = tl.where(alone > most, alone, most)
    return tl.max(most, 0)


@triton.jit
def _compare_costs(points, n, share, most, SQUARED: tl.constexpr, BLOCK: tl.constexpr):
    """Let prices follow as savings become minus the costs, or start anew where they are above `most`."""
    for start in range(0, n, BLOCK):
        i = start + tl.arange(0, BLOCK)
        birth, death, _ = load_point(points, i, i < n, SQUARED)
        alone = cost_alone(birth, death, SQUARED)
        price = tl.load(points.price + i, mask=i < n, other=0.0) - alone * share
        price = tl.where(tl.abs(price) <= most, price, 0.0)
        price = tl.where(tl.load(points.partner + i, mask=i < n, other=0) < 0, -alone, price)
        tl.debug_barrier()  # all have read what is overwritten now
        tl.store(points.price + i, price, mask=i < n)


@triton.jit
def _wait(
    rows,
    n,
    columns,
    m,
    excess,
    SQUARED: tl.constexpr,
    BLOCK: tl.constexpr,
    THREADS: tl.constexpr,
    CHUNK: tl.constexpr,
    PARTS: tl.constexpr,
):
    """Part the rows from partners who exceed the best choice by `excess`.

    Writes the single rows that would gain by a partner into columns.order, and the best columns into rows.order.
    Returns how many such rows there are.
    """
    thread = tl.arange(0, THREADS)
    for start in range(0, n, THREADS // PARTS):
        i = start + thread // PARTS
        birth, death, alone = load_point(rows, i, i < n, SQUARED)
        own = own_loss(rows, i, birth, death, alone, i < n, columns, SQUARED)
        low, best = lowest_loss(birth, death, alone, columns, m, SQUARED, CHUNK, PARTS)
        loss_alone = opt_out(rows, birth, death, SQUARED)
        j = tl.load(rows.partner + i, mask=i < n, other=-1)
        writes = (i < n) & (thread % PARTS == 0)
        parts = (j >= 0) & (own > tl.where(low < loss_alone, low, loss_alone) + excess)
        waits = ((j < 0) | parts) & (low < loss_alone)
        tl.debug_barrier()  # all that share a row have read its partner before one of them writes
        tl.store(columns.partner + j, -1, mask=parts & writes)
        tl.store(rows.partner + i, -1, mask=parts & writes)
        tl.store(rows.order + i, best, mask=writes)
        tl.store(rows.gain + i, waits.to(tl.float64), mask=writes)
    tl.debug_barrier()  # these marks are read by other threads
    waiting = 0
    for start in range(0, n, BLOCK):
        i = start + tl.arange(0, BLOCK)
        waits = tl.load(rows.gain + i, mask=i < n, other=0.0) > 0.0
        tl.store(columns.order + waiting + tl.cumsum(waits.to(tl.int32), 0) - 1, i, mask=waits)
        waiting += tl.sum(waits.to(tl.int32), 0)
    return waiting


@triton.jit
def _set_prices(rows, n, columns, SQUARED: tl.constexpr, BLOCK: tl.constexpr):
    """Write the rows' prices, which are minus what they lose."""
    for start in range(0, n, BLOCK):
        i = start + tl.arange(0, BLOCK)
        birth, death, alone = load_point(rows, i, i < n, SQUARED)
        own = own_loss(rows, i, birth, death, alone, i < n, columns, SQUARED)
        loss_alone = opt_out(rows, birth, death, SQUARED)
        tl.store(rows.price + i, -tl.where(own < loss_alone, own, loss_alone), mask=i < n)
