"""Polish a matching whose cost is far below the costs of unmatched points, until it is optimal to its own rounding.

The solvers compare savings, which are differences from the costs of unmatched points. If two diagrams are nearly equal,
or share very long bars, such as those that a nodata value creates, the partners of these bars depend on rounding. The
search is then repeated with costs, from the given matching and prices. The steps and the arithmetic are those of the
CPU's `polish`.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .augment import augment
from .savings import (
    FINE,
    ROUNDING,
    certify,
    cost_alone,
    highest,
    largest_paid,
    load_point,
    lowest_loss,
    opt_out,
    own_loss,
    sort,
    sort_rows,
)
from .search import AFTER
from .workspace import again, candidates_of, with_share

_PRICES = tl.constexpr(2.0**16)  # largest initial price, relative to the largest cost paid: its rounding is harmless
_CONTENT = tl.constexpr(2.0**-48)  # pairs with a larger excess, relative to the largest price, are separated
_GAP = tl.constexpr(2.0**-17)  # a larger gap of an auction, relative to the largest cost paid, needs another search


@triton.jit
def augment_and_polish(work, n, m, gap, meta):
    """Match along augmenting paths, by savings unless an auction has done so, and then by costs if that matters.

    Return the gap if it is wanted. The turns of the loop are a search by savings (0), and by costs a search of the rows
    (1) and one of the columns (2). They share one copy of the search, which is the largest part of the kernel.
    """
    rows, columns = candidates_of(work, 0), candidates_of(work, 1)
    share, most = tl.full((), 1.0, tl.float64), tl.full((), 0.0, tl.float64)
    scale = tl.maximum(_largest_alone(rows, n, meta), _largest_alone(columns, m, meta))
    turn = 0
    if meta.AUCTION:
        tl.debug_barrier()  # other threads have written partners and prices
        paid = largest_paid(rows, n, columns, m, meta)
        coarse = ((scale * ROUNDING > paid * FINE) | (gap > paid * _GAP)) & (paid > 0.0)
        if paid == 0.0:
            gap = paid
        turn = tl.where(coarse, 1, 3)
        most = paid * _PRICES
        if coarse:
            _compare_costs(rows, n, share, most, meta)
            _compare_costs(columns, m, share, most, meta)
            share = share * 0.0
    while turn < 3:
        tl.debug_barrier()  # other threads have written prices
        side = (turn == 2).to(tl.int32)
        n_seekers, n_others = tl.where(side == 0, n, m), tl.where(side == 0, m, n)
        waiting = n_seekers
        if turn == 0:
            new = again(work)
            rows, columns = candidates_of(new, 0), candidates_of(new, 1)
            sort_rows(rows, n, rows.order, columns.order, meta, AFTER)
        else:
            excess = tl.where(turn == 1, most * _CONTENT, float("inf"))
            waiting = _separate(work, side, share, n_seekers, n_others, excess, meta)
        augment(work, side, share, n_others, waiting, meta)
        new = again(work)
        rows, columns = candidates_of(new, 0), candidates_of(new, 1)
        tl.debug_barrier()
        if turn > 0:
            seekers = with_share(candidates_of(new, side), share)
            others = with_share(candidates_of(new, 1 - side), share)
            _set_prices(seekers, tl.where(side == 0, n, m), others, meta)
            tl.debug_barrier()
        if turn == 1:
            turn = 2
        else:
            if meta.CERTIFIED:
                sort(rows, n, rows.order, meta, BY_GAIN=False)
                tl.debug_barrier()
                gap = certify(with_share(rows, share), n, with_share(columns, share), m, meta)
            paid = largest_paid(rows, n, columns, m, meta)
            coarse = (scale * ROUNDING > paid * FINE) & (paid > 0.0)
            if paid == 0.0:
                gap = paid  # a cost of 0 is optimal
            turn = tl.where(coarse, 1, 3)
            most = paid * _PRICES
            scale = most
            if coarse:
                tl.debug_barrier()  # all threads have read the partners and prices
                _compare_costs(rows, n, share, most, meta)
                _compare_costs(columns, m, share, most, meta)
                share = share * 0.0
    return gap


@triton.jit
def _largest_alone(candidates, n, meta):
    """Return the largest cost of n candidates that stay unmatched."""
    most = tl.zeros((meta.BLOCK,), tl.float64)
    for start in range(0, n, meta.BLOCK):
        i = start + tl.arange(0, meta.BLOCK)
        birth, death, _ = load_point(candidates, i, i < n, meta)
        alone = cost_alone(birth, death, meta)
        most = tl.where(alone > most, alone, most)
    return highest(most)


@triton.jit
def _compare_costs(candidates, n, share, most, meta):
    """Adapt the prices to savings that are minus the costs; prices above `most` start again from 0."""
    for start in range(0, n, meta.BLOCK):
        i = start + tl.arange(0, meta.BLOCK)
        birth, death, _ = load_point(candidates, i, i < n, meta)
        alone = cost_alone(birth, death, meta)
        price = tl.load(candidates.price + i, mask=i < n, other=0.0) - alone * share
        price = tl.where(tl.abs(price) <= most, price, 0.0)
        price = tl.where(tl.load(candidates.partner + i, mask=i < n, other=0) < 0, -alone, price)
        tl.debug_barrier()  # all threads have read what is overwritten now
        tl.store(candidates.price + i, price, mask=i < n)


@triton.jit(noinline=True)  # compiles in less time: see kernels/README.md
def _separate(work, side, share, n, m, excess, meta):
    """Separate the n rows of a side from partners worse than the best choice by more than `excess`.

    Write the unmatched rows that would gain from a partner into columns.order, and the best column of each row into
    rows.order. Return how many such rows there are. All of them are marked to search, as two may want one column.
    """
    new = again(work)
    rows, columns = with_share(candidates_of(new, side), share), with_share(candidates_of(new, 1 - side), share)
    for start in range(0, n, meta.THREADS):
        i = start + tl.arange(0, meta.THREADS)
        birth, death, alone = load_point(rows, i, i < n, meta)
        own = own_loss(rows, i, birth, death, alone, i < n, columns, meta)
        low, best = lowest_loss(birth, death, alone, rows, i, i < n, columns, m, meta)
        loss_alone = opt_out(rows, birth, death, meta)
        j = tl.load(rows.partner + i, mask=i < n, other=-1)
        leaves = (j >= 0) & (own > tl.where(low < loss_alone, low, loss_alone) + excess)
        waits = ((j < 0) | leaves) & (low < loss_alone)
        tl.debug_barrier()  # layouts differ: another thread may have read what this one overwrites
        tl.store(columns.partner + j, -1, mask=leaves & (i < n))
        tl.store(rows.partner + i, -1, mask=leaves & (i < n))
        tl.store(rows.order + i, best, mask=i < n)
        tl.store(rows.gain + i, waits.to(tl.float64), mask=i < n)
    tl.debug_barrier()  # other threads read these marks
    waiting = 0
    for start in range(0, n, meta.BLOCK):
        i = start + tl.arange(0, meta.BLOCK)
        waits = tl.load(rows.gain + i, mask=i < n, other=0.0) > 0.0
        tl.store(columns.order + waiting + tl.cumsum(waits.to(tl.int32), 0) - 1, i | AFTER, mask=waits)
        waiting += tl.sum(waits.to(tl.int32), 0)
    return waiting


@triton.jit
def _set_prices(rows, n, columns, meta):
    """Write the prices of the rows, which are minus their losses."""
    for start in range(0, n, meta.BLOCK):
        i = start + tl.arange(0, meta.BLOCK)
        birth, death, alone = load_point(rows, i, i < n, meta)
        own = own_loss(rows, i, birth, death, alone, i < n, columns, meta)
        loss_alone = opt_out(rows, birth, death, meta)
        tl.store(rows.price + i, -tl.where(own < loss_alone, own, loss_alone), mask=i < n)
