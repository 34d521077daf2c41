"""Match: an optimal partial matching of two diagrams, window by window, in memory linear in the number of points.

Matching point i with point j saves w_ij = u_i + u_j - cost_ij over leaving both unmatched, where u is the cost of an
unmatched point. The optimum is a matching with the largest total saving. Pairs with w <= 0 are never part of it, so a
point that has only such pairs is dropped before the search, as are 93 to 97 % of the points of a prediction.

One program takes a window from the diagrams to the partners. The search is a chain of small steps, each of which sweeps
over the candidates, and other windows fill the device meanwhile. The number of candidates is known only on the device.
Windows for the auction, with thousands of candidates, therefore have a separate launch with larger blocks, which is
made if the diagrams have enough columns.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from ...records import Matched, Place, Points
from ..runtime.jit import kernel
from ..runtime.launch import DIAGRAMS, INTERPRETED, WARP, in_rows, layout, registers
from .auction import auction
from .candidates import (
    collect,
    count_finite,
    leave_unmatched,
    match_essential,
    prune,
    scale_of,
    write,
)
from .polish import augment_and_polish
from .position import positions_of
from .savings import keys, sort
from .workspace import (
    Meta,
    Outcome,
    Side,
    again,
    allocate_workspaces,
    candidates_of,
    tree_of,
    unknown_zero,
    workspace_of,
)

# Number of points of the smaller side from which the auction is used, as on the CPU.
AUCTION_FROM = {"augment": 1 << 30, "auto": 2_000, "auction": 0}
# Without and with the auction. Most windows have so few candidates that one warp matches them sooner than several,
# which would wait for each other. The auction has thousands.
_SIZES: tuple[dict[str, int], dict[str, int]] = (
    {"BLOCK": 2 * WARP, "THREADS": WARP, "num_warps": 1},
    {"BLOCK": 512, "THREADS": 128, "num_warps": 4},
)
_OPTIONS: dict[str, Any] = {
    "CHUNK": 8,
    "enable_fp_fusion": False,  # the same bits as on the CPU
    **registers(255),
}
if INTERPRETED:
    _SIZES = ({"BLOCK": 256, "THREADS": 32, "num_warps": 1},) * 2


def match(
    a: Points[Tensor], b: Points[Tensor], solver: str, *, squared: bool, place: Place[Tensor] | None = None
) -> Matched[Tensor]:
    """Match the diagrams of N windows optimally; see `gpuph.ops.match`."""
    a, b = in_rows(a), in_rows(b)
    n, columns = len(a.count), (a.birth.shape[1], b.birth.shape[1])
    partner_a, partner_b = (x.birth.new_empty(x.birth.shape, dtype=torch.int64) for x in (a, b))
    matched = Matched(partner_a, partner_b, a.birth.new_empty((n,), dtype=torch.float64))
    if n:
        placed = place is not None
        buffers = allocate_workspaces(n, max(columns), a.birth, placed=placed)
        arguments = (*a, *b, *positions_of(place, a, b), *matched, *buffers, n, *layout(a, b), AUCTION_FROM[solver])
        for options in launch_options(min(columns), solver):
            _match[(buffers.programs(),)](*arguments, SQUARED=squared, PLACED=placed, **options)
    return matched


def launch_options(size: int, solver: str) -> list[dict[str, Any]]:
    """Return the options of each launch for two diagrams, the smaller of which has `size` columns.

    A launch that diagrams of this size cannot need is left out.
    """
    auction_from = AUCTION_FROM[solver]
    needed = [False] * (auction_from > 0) + [True] * (size >= auction_from)
    return [{"AUCTION": auction, **_SIZES[auction], **_OPTIONS} for auction in needed]


@kernel(
    do_not_specialize=["windows", "row_a", "row_b", "size_a", "size_b", "auction_from"],
    do_not_specialize_on_alignment=[*DIAGRAMS, "position_a", "position_b"],
)
def _match(
    birth_a,  # [N, size_a] float32 or float64, in rows that are row_a apart
    death_a,  # [N, size_a] of birth_a's dtype, likewise
    count_a,  # [N] int64
    birth_b,  # [N, size_b] of birth_a's dtype, in rows that are row_b apart
    death_b,  # [N, size_b] of birth_a's dtype, likewise
    count_b,  # [N] int64
    position_a,  # [N, 3, size_a] float64 if PLACED
    position_b,  # [N, 3, size_b] float64 if PLACED
    partner_a,  # [N, size_a] int64, written
    partner_b,  # [N, size_b] int64, written
    gap,  # [N] float64, written
    coordinates,  # [programs, 4, length] of birth_a's dtype, scratch: see `Buffers`
    floats,  # [programs, 7 or, if PLACED, 13, length] float64, scratch
    ints,  # [programs, 10, length] int32, scratch
    windows,
    row_a,
    row_b,
    size_a,
    size_b,
    auction_from,
    SQUARED: tl.constexpr,
    PLACED: tl.constexpr,
    AUCTION: tl.constexpr,
    BLOCK: tl.constexpr,
    THREADS: tl.constexpr,
    CHUNK: tl.constexpr,
):
    """Match every `programs`-th window: those with auction_from or more points on both sides, or all others.

    Programs share nothing. Within one, threads exchange data through the workspace, across barriers.
    """
    length = tl.maximum(size_a, size_b) + 1
    work = workspace_of(tl.program_id(0).to(tl.int64), coordinates, floats, ints, length, PLACED)
    for window in range(tl.program_id(0), windows, tl.num_programs(0)):
        row = tl.cast(window, tl.int64)
        n_a = tl.maximum(tl.minimum(tl.load(count_a + window), size_a), 0).to(tl.int32)  # a caller's count may be wrong
        n_b = tl.maximum(tl.minimum(tl.load(count_b + window), size_b), 0).to(tl.int32)
        at_a, at_b = position_a + row * 3 * size_a, position_b + row * 3 * size_b
        a = Side(birth_a + row * row_a, death_a + row * row_a, partner_a + row * size_a, n_a, at_a, size_a)
        b = Side(birth_b + row * row_b, death_b + row * row_b, partner_b + row * size_b, n_b, at_b, size_b)
        if may_match(a, b, auction_from, AUCTION):
            outcome = match_window(
                a, b, size_a, size_b, work, auction_from, Meta(SQUARED, AUCTION, True, PLACED, BLOCK, THREADS, CHUNK)
            )
            if outcome.is_matched:
                row = tl.cast(window + unknown_zero(work), tl.int64)
                write(work, outcome, partner_a + row * size_a, partner_b + row * size_b, BLOCK)
                tl.store(gap + window, outcome.gap)
        tl.debug_barrier()  # the next window overwrites the workspace


@triton.jit
def may_match(a, b, auction_from, AUCTION: tl.constexpr):
    """Return whether this launch may be the one that matches two diagrams: the auction is for many points only."""
    return (AUCTION == 0) | (tl.minimum(a.count, b.count) >= auction_from)


@triton.jit
def match_window(a, b, filled_a, filled_b, work, auction_from, meta):
    """Find the partners of two diagrams' points, which `write` writes if this launch matches the window.

    The partners of essential classes are written here, and -1 in the rest of the first filled_a and filled_b columns.
    """
    # The side with fewer finite points becomes the rows.
    of_rows, of_columns = a, b
    finite_a, finite_b = count_finite(a, b, meta)
    if finite_a > finite_b:
        of_rows, of_columns = of_columns, of_rows
    rows, columns, tree = candidates_of(work, 0), candidates_of(work, 1), tree_of(work)
    scale, inverse = tl.full((), 1.0, tl.float64), tl.full((), 1.0, tl.float64)
    if meta.SQUARED:
        scale, inverse = scale_of(a, b, meta)
    n = collect(of_rows, scale, rows, meta)
    tl.debug_barrier()  # the rows are read by other threads
    m, n, equal = prune(of_columns, of_rows, scale, rows, n, columns, tree, meta)
    is_matched = (tl.minimum(n, m) >= auction_from) == meta.AUCTION
    gap = tl.full((), 0.0, tl.float64)
    if is_matched:
        leave_unmatched(a.partner, filled_a, meta)
        leave_unmatched(b.partner, filled_b, meta)
        tl.debug_barrier()  # all threads read the candidates, and other threads overwrite partners
        if (finite_a < a.count) & (finite_b < b.count):
            match_essential(of_rows, of_columns, meta)
        if n > 0:
            gap = _solve(work, n, m, equal, meta)
    return Outcome(is_matched, n, finite_a > finite_b, gap * inverse * inverse)


@triton.jit
def _solve(work, n, m, equal, meta):
    """Match the rows with the columns. equal : see `prune`. Return the gap if it is wanted."""
    new = again(work)
    rows, columns = candidates_of(new, 0), candidates_of(new, 1)
    gap = tl.full((), 0.0, tl.float64)
    if equal > 0:
        copies, others, n_copies, n_others = rows, columns, n, m
        if equal == 2:
            copies, others, n_copies, n_others = columns, rows, m, n
        _match_best(copies, n_copies, others, n_others, meta)
    else:
        if meta.AUCTION:
            sort(rows, n, rows.order, meta, BY_GAIN=False)
            sort(columns, m, columns.order, meta, BY_GAIN=False)
            tl.debug_barrier()  # the orders are read by other threads
            gap = auction(new, n, m, meta)
        gap = augment_and_polish(work, n, m, gap, meta)
    return gap


@triton.jit
def _match_best(equal, n, others, m, meta):
    """Match n copies of one point with those of the others that save most, which is optimal.

    What a match with one of the copies saves is the gain of the other point. A single point, which most windows of a
    truth have, needs no order.
    """
    if n == 1:
        j = _best(others, m, meta)
        tl.store(equal.partner, j)
        tl.store(others.partner + j, 0)
    else:
        sort(others, m, others.order, meta, BY_GAIN=True)
        tl.debug_barrier()  # the order is read by other threads
        matched = tl.minimum(n, m)
        for start in range(0, matched, meta.BLOCK):
            i = start + tl.arange(0, meta.BLOCK)
            j = tl.load(others.order + i, mask=i < matched, other=0)
            tl.store(equal.partner + i, j, mask=i < matched)
            tl.store(others.partner + j, i, mask=i < matched)


@triton.jit
def _best(candidates, n, meta):
    """Return the index of the largest gain; ties go to the least birth + death, and then to the lowest index."""
    most = tl.full((meta.BLOCK,), -float("inf"), tl.float64)
    least = tl.full((meta.BLOCK,), float("inf"), tl.float64)
    place = tl.zeros((meta.BLOCK,), tl.int32)
    for start in range(0, n, meta.BLOCK):
        i = start + tl.arange(0, meta.BLOCK)
        x, gain = keys(candidates, i, i < n, GAIN=True)
        better = (i < n) & ((gain > most) | ((gain == most) & (x < least)))
        most, least, place = tl.where(better, gain, most), tl.where(better, x, least), tl.where(better, i, place)
    least = tl.where(most == tl.max(most, 0), least, float("inf"))
    return tl.min(tl.where(least == tl.min(least, 0), place, n - 1), 0)
