"""Match: an optimal partial matching of two diagrams, window by window, in memory linear in the number of points.

Matching point i with point j saves w_ij = u_i + u_j - cost_ij over leaving both alone, u being what a lone point costs.
The optimum is a matching of largest total saving; pairs with w <= 0 are never in it, so a point that has no others is
dropped before the search, as are 93 to 97 % of the points of a prediction.

One program takes a window from the diagrams to the partners: the search is a chain of small steps, each a sweep over
what points are left, and other windows fill the device meanwhile. How many points that are is known on the device only.
So windows for the auction, with thousands of points, have a launch with larger blocks of their own, where the diagrams
have room for them.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .auction import auction
from .augment import Tree, augment
from .launch import INTERPRETED, in_rows, registers
from .points import count_finite, keep_columns, keep_rows, leave_alone, match_essential, write
from .savings import Points, Side, certify, sort

# From how many points of the smaller side the auction is used: as on the CPU.
_AUCTION_FROM = {"augment": 1 << 30, "auto": 2_000, "auction": 0}
_PROGRAMS = 1024  # as many as run at a time; each has scratch memory for one window, and takes windows in turn
# Points a sweep takes at a time; and points that are compared, CHUNK of one side with TILE of the other, each of which
# has a thread. Without and with the auction.
_BLOCKS = (
    {"BLOCK": 128, "TILE": 128, "CHUNK": 8, "num_warps": 4},
    {"BLOCK": 512, "TILE": 128, "CHUNK": 4, "num_warps": 4},
)
_REGISTERS = registers(255)
if INTERPRETED:
    _BLOCKS = ({"BLOCK": 1024, "TILE": 128, "CHUNK": 128, "num_warps": 1},) * 2


def match(
    birth_a: Tensor,
    death_a: Tensor,
    count_a: Tensor,
    birth_b: Tensor,
    death_b: Tensor,
    count_b: Tensor,
    squared: bool,
    solver: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """Partners in N windows and the certified gap; see `gpuph.ops.match`."""
    (n, size_a), size_b = birth_a.shape, birth_b.shape[1]
    birth_a, death_a, row_a = in_rows(birth_a, death_a)
    birth_b, death_b, row_b = in_rows(birth_b, death_b)
    diagrams = birth_a, death_a, count_a.contiguous(), birth_b, death_b, count_b.contiguous()
    new = {"device": birth_a.device}
    partners = [torch.empty(x.shape, dtype=torch.int64, **new) for x in (birth_a, birth_b)]
    gap = torch.empty(n, dtype=torch.float64, **new)
    programs, room = min(n, _PROGRAMS), max(size_a, size_b) + 1
    scratch = (
        torch.empty((programs, 4, room), dtype=birth_a.dtype, **new),
        torch.empty((programs, 7, room), dtype=torch.float64, **new),
        torch.empty((programs, 8, room), dtype=torch.int32, **new),
    )
    auction_from = _AUCTION_FROM[solver]
    scalars = n, row_a, row_b, size_a, size_b, auction_from, int(squared)
    for by_auction in (False, True):
        # A launch is spared where the diagrams have no room for the number of points that it is for.
        is_needed = min(size_a, size_b) >= auction_from if by_auction else auction_from > 0
        if n and is_needed:
            meta = {**_BLOCKS[by_auction], **_REGISTERS, "enable_fp_fusion": False}
            _match[(programs,)](*diagrams, *partners, gap, *scratch, *scalars, AUCTION=by_auction, **meta)
    return *partners, gap


@triton.jit(do_not_specialize=["windows", "row_a", "row_b", "size_a", "size_b", "auction_from", "squared"])
def _match(
    birth_a,  # [N, size_a] float32 or float64, in rows that are row_a apart
    death_a,  # [N, size_a] of birth_a's dtype, likewise
    count_a,  # [N] int64
    birth_b,  # [N, size_b] of birth_a's dtype, in rows that are row_b apart
    death_b,  # [N, size_b] of birth_a's dtype, likewise
    count_b,  # [N] int64
    partner_a,  # [N, size_a] int64, written
    partner_b,  # [N, size_b] int64, written
    gap,  # [N] float64, written
    coordinates,  # [programs, 4, room] of birth_a's dtype, scratch
    floats,  # [programs, 7, room] float64, scratch
    ints,  # [programs, 8, room] int32, scratch
    windows,
    row_a,
    row_b,
    size_a,
    size_b,
    auction_from,
    squared,
    AUCTION: tl.constexpr,
    BLOCK: tl.constexpr,
    TILE: tl.constexpr,
    CHUNK: tl.constexpr,
):
    """Match every `programs`-th window, those with auction_from points or more on both sides, or the others.

    Programs share nothing. Within one, threads pass data through scratch memory, across barriers.
    """
    squared = squared != 0
    room = tl.maximum(size_a, size_b) + 1
    program = tl.program_id(0).to(tl.int64)
    coordinates += program * 4 * room
    floats += program * 7 * room
    ints += program * 8 * room
    for window in range(tl.program_id(0), windows, tl.num_programs(0)):
        row = tl.cast(window, tl.int64)
        p_a, p_b = partner_a + row * size_a, partner_b + row * size_b
        n_a = tl.minimum(tl.load(count_a + window), size_a).to(tl.int32)
        n_b = tl.minimum(tl.load(count_b + window), size_b).to(tl.int32)
        if (AUCTION == 0) | (tl.minimum(n_a, n_b) >= auction_from):
            # The side with fewer finite points takes the part of the rows.
            of_rows = Side(birth_a + row * row_a, death_a + row * row_a, p_a, n_a)
            of_columns = Side(birth_b + row * row_b, death_b + row * row_b, p_b, n_b)
            finite_a, finite_b = count_finite(of_rows, BLOCK), count_finite(of_columns, BLOCK)
            if finite_a > finite_b:
                of_rows, of_columns = of_columns, of_rows
            rows, columns = _points(coordinates, floats, ints, 0, room), _points(coordinates, floats, ints, 1, room)
            tree = _tree(floats, ints, room)
            n = keep_rows(of_rows, of_columns, rows, tree.distance, squared, TILE)
            m = keep_columns(of_columns, of_rows, columns, squared, TILE, CHUNK)
            if (tl.minimum(n, m) >= auction_from) == AUCTION:
                leave_alone(p_a, size_a, BLOCK)
                leave_alone(p_b, size_b, BLOCK)
                tl.debug_barrier()  # the points are read by all threads, and partners are written by others
                if (finite_a < n_a) & (finite_b < n_b):
                    match_essential(of_rows, of_columns, BLOCK)
                window_gap = tl.full((), 0.0, tl.float64)
                if n > 0:
                    window_gap = _solve(rows, n, columns, m, tree, squared, AUCTION, BLOCK, TILE, CHUNK)
                    tl.debug_barrier()  # partners have been found by other threads
                    write(rows, n, columns, of_rows.partner, of_columns.partner, BLOCK)
                tl.store(gap + window, window_gap)
        tl.debug_barrier()  # the scratch memory is used again


@triton.jit
def _points(coordinates, floats, ints, side, room):
    """Where the points of a side lie: the rows are 0, the columns 1."""
    coordinates += 2 * side * room
    floats += 2 * side * room
    ints += 3 * side * room
    return Points(coordinates, coordinates + room, floats, floats + room, ints, ints + room, ints + 2 * room)


@triton.jit
def _tree(floats, ints, room):
    """Where the tree of a search lies."""
    return Tree(floats + 4 * room, floats + 5 * room, floats + 6 * room, ints + 6 * room, ints + 7 * room)


@triton.jit
def _solve(
    rows,
    n,
    columns,
    m,
    tree,
    squared,
    AUCTION: tl.constexpr,
    BLOCK: tl.constexpr,
    TILE: tl.constexpr,
    CHUNK: tl.constexpr,
):
    """Match the rows with the columns. Returns the gap."""
    gap = tl.full((), 0.0, tl.float64)
    rows_are_equal = _are_equal(rows, n, BLOCK)
    if rows_are_equal | _are_equal(columns, m, BLOCK):
        equal, others, n_equal, n_others = rows, columns, n, m
        if rows_are_equal == 0:
            equal, others, n_equal, n_others = columns, rows, m, n
        _match_best(equal, n_equal, others, n_others, BLOCK, TILE, CHUNK)
    else:
        sort(rows, n, rows.order, False, TILE, CHUNK)
        if AUCTION:
            sort(columns, m, columns.order, False, TILE, CHUNK)
            tl.debug_barrier()
            gap = auction(rows, n, columns, m, tree.row, squared, BLOCK, TILE, CHUNK)
        else:
            # The columns need no order of theirs, and nobody needs gains from then on.
            sort(rows, n, columns.order, True, TILE, CHUNK)
            augment(rows, n, columns, m, columns.order, columns.gain, rows.gain, tree, squared, BLOCK)
            tl.debug_barrier()
            gap = certify(rows, n, columns, m, squared, TILE, CHUNK)
    return gap


@triton.jit
def _are_equal(points, n, BLOCK: tl.constexpr):
    """Whether all points are copies of one."""
    birth, death = tl.load(points.birth), tl.load(points.death)
    differ = tl.zeros((BLOCK,), tl.int32)
    for start in range(0, n, BLOCK):
        i = start + tl.arange(0, BLOCK)
        differ |= (tl.load(points.birth + i, mask=i < n, other=birth) != birth).to(tl.int32)
        differ |= (tl.load(points.death + i, mask=i < n, other=death) != death).to(tl.int32)
    return tl.max(differ, 0) == 0


@triton.jit
def _match_best(equal, n, others, m, BLOCK: tl.constexpr, TILE: tl.constexpr, CHUNK: tl.constexpr):
    """Match n copies of one point with those of the others that save most, which is optimal.

    What an other saves with one of the copies is its gain.
    """
    sort(others, m, others.order, True, TILE, CHUNK)
    tl.debug_barrier()
    matched = tl.minimum(n, m)
    for start in range(0, matched, BLOCK):
        i = start + tl.arange(0, BLOCK)
        j = tl.load(others.order + i, mask=i < matched, other=0)
        tl.store(equal.partner + i, j, mask=i < matched)
        tl.store(others.partner + j, i, mask=i < matched)
