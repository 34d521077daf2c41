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
from .launch import INTERPRETED
from .savings import Points, Side, certify, cost_alone, losses, sort

# From how many points of the smaller side the auction is used: as on the CPU.
_AUCTION_FROM = {"augment": 1 << 30, "auto": 2_000, "auction": 0}
_PROGRAMS = 1024  # as many as run at a time; each has scratch memory for one window, and takes windows in turn
# Points a sweep takes at a time, and pairs that are compared: a thread for each point of a TILE, so that it can go
# through the other side, CHUNK by CHUNK, on its own. Without and with the auction.
_BLOCKS = (
    {"BLOCK": 128, "TILE": 128, "CHUNK": 8, "num_warps": 4},
    {"BLOCK": 512, "TILE": 128, "CHUNK": 4, "num_warps": 4},
)
# Left alone, ptxas spills to fit more blocks on a multiprocessor. ROCm's compiler does not know the option.
_REGISTERS = {} if torch.version.hip else {"maxnreg": 255}
if INTERPRETED:
    _BLOCKS = ({"BLOCK": 1024, "TILE": 128, "CHUNK": 128, "num_warps": 1},) * 2
_FAR = tl.constexpr(0x7FFFFFFF)  # above every column


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
    diagrams = [t.contiguous() for t in (birth_a, death_a, count_a, birth_b, death_b, count_b)]
    (n, size_a), size_b = birth_a.shape, birth_b.shape[1]
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
    scalars = n, size_a, size_b, auction_from, int(squared)
    for by_auction in (False, True):
        # A launch is spared where the diagrams have no room for the number of points that it is for.
        is_needed = min(size_a, size_b) >= auction_from if by_auction else auction_from > 0
        if n and is_needed:
            meta = {**_BLOCKS[by_auction], **_REGISTERS, "enable_fp_fusion": False}
            _match[(programs,)](*diagrams, *partners, gap, *scratch, *scalars, AUCTION=by_auction, **meta)
    return *partners, gap


@triton.jit(do_not_specialize=["windows", "size_a", "size_b", "auction_from", "squared"])
def _match(
    birth_a,  # [N, size_a] float32 or float64
    death_a,  # [N, size_a] of birth_a's dtype
    count_a,  # [N] int64
    birth_b,  # [N, size_b] of birth_a's dtype
    death_b,  # [N, size_b] of birth_a's dtype
    count_b,  # [N] int64
    partner_a,  # [N, size_a] int64, written
    partner_b,  # [N, size_b] int64, written
    gap,  # [N] float64, written
    coordinates,  # [programs, 4, room] of birth_a's dtype, scratch
    floats,  # [programs, 7, room] float64, scratch
    ints,  # [programs, 8, room] int32, scratch
    windows,
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
        o_a, o_b = tl.cast(window, tl.int64) * size_a, tl.cast(window, tl.int64) * size_b
        n_a = tl.minimum(tl.load(count_a + window), size_a).to(tl.int32)
        n_b = tl.minimum(tl.load(count_b + window), size_b).to(tl.int32)
        if (AUCTION == 0) | (tl.minimum(n_a, n_b) >= auction_from):
            # The side with fewer finite points takes the part of the rows.
            of_rows = Side(birth_a + o_a, death_a + o_a, partner_a + o_a, n_a)
            of_columns = Side(birth_b + o_b, death_b + o_b, partner_b + o_b, n_b)
            finite_a, finite_b = _count_finite(of_rows, BLOCK), _count_finite(of_columns, BLOCK)
            if finite_a > finite_b:
                of_rows, of_columns = of_columns, of_rows
            n, m = n_a, n_b
            for side in range(2):
                of_kept, of_others = of_rows, of_columns
                if side == 1:
                    of_kept, of_others = of_columns, of_rows
                n_kept = _keep(of_kept, of_others, _points(coordinates, floats, ints, side, room), squared, TILE, CHUNK)
                n, m = tl.where(side == 0, n_kept, n), tl.where(side == 1, n_kept, m)
            if (tl.minimum(n, m) >= auction_from) == AUCTION:
                _fill(partner_a + o_a, size_a, BLOCK)
                _fill(partner_b + o_b, size_b, BLOCK)
                tl.debug_barrier()  # the points are read by all threads, and partners are written by others
                if (finite_a < n_a) & (finite_b < n_b):
                    _match_essential(of_rows, of_columns, BLOCK)
                window_gap = tl.full((), 0.0, tl.float64)
                if n > 0:
                    rows = _points(coordinates, floats, ints, 0, room)
                    columns = _points(coordinates, floats, ints, 1, room)
                    tree = _tree(floats, ints, room)
                    window_gap = _solve(rows, n, columns, m, tree, squared, AUCTION, BLOCK, TILE, CHUNK)
                    tl.debug_barrier()  # partners have been found by other threads
                    _write(rows, n, columns, of_rows.partner, of_columns.partner, BLOCK)
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
def _fill(partner, size, BLOCK: tl.constexpr):
    """Give no column a partner."""
    for start in range(0, size, BLOCK):
        i = start + tl.arange(0, BLOCK)
        tl.store(partner + i, tl.full((BLOCK,), -1, tl.int64), mask=i < size)


@triton.jit
def _load_finite(diagram, i):
    """Coordinates of columns i as float64, and whether there are such and they are finite; (0, 0) if not."""
    birth = tl.load(diagram.birth + i, mask=i < diagram.count, other=0.0).to(tl.float64)
    death = tl.load(diagram.death + i, mask=i < diagram.count, other=0.0).to(tl.float64)
    finite = (i < diagram.count) & (tl.abs(birth) < float("inf")) & (tl.abs(death) < float("inf"))
    return tl.where(finite, birth, 0.0), tl.where(finite, death, 0.0), finite


@triton.jit
def _count_finite(diagram, BLOCK: tl.constexpr):
    """How many points of a diagram are finite."""
    count = tl.zeros((BLOCK,), tl.int32)
    for start in range(0, diagram.count, BLOCK):
        _, _, finite = _load_finite(diagram, start + tl.arange(0, BLOCK))
        count += finite.to(tl.int32)
    return tl.sum(count, 0)


@triton.jit
def _keep(diagram, other, kept, squared, TILE: tl.constexpr, CHUNK: tl.constexpr):
    """Collect the finite points of a diagram that can gain something by one of the other, in order of column.

    Returns how many there are.
    """
    n_kept = 0
    for start in range(0, diagram.count, TILE):
        i = start + tl.arange(0, TILE)
        birth, death, finite = _load_finite(diagram, i)
        u = cost_alone(birth, death, squared)
        low = tl.full((CHUNK, TILE), float("inf"), tl.float64)
        for start_other in range(0, other.count, CHUNK):
            birth_other, death_other, ok = _load_finite(other, start_other + tl.arange(0, CHUNK))
            u_other = cost_alone(birth_other, death_other, squared)
            price = tl.where(ok, 0.0, float("inf")).to(tl.float64)
            low = losses(low, birth, death, u, birth_other, death_other, u_other, price)
        gain = -tl.min(low, 0)
        keeps = finite & (gain > 0.0)
        place = n_kept + tl.cumsum(keeps.to(tl.int32), 0) - 1
        tl.store(kept.birth + place, birth.to(kept.birth.dtype.element_ty), mask=keeps)
        tl.store(kept.death + place, death.to(kept.death.dtype.element_ty), mask=keeps)
        tl.store(kept.gain + place, gain, mask=keeps)
        tl.store(kept.price + place, tl.zeros((TILE,), tl.float64), mask=keeps)
        tl.store(kept.column + place, i, mask=keeps)
        tl.store(kept.partner + place, tl.full((TILE,), -1, tl.int32), mask=keeps)
        n_kept += tl.sum(keeps.to(tl.int32), 0)
    return n_kept


@triton.jit
def _match_essential(a, b, BLOCK: tl.constexpr):
    """Match columns with coordinates (finite, inf), (-inf, finite) and (-inf, inf), in order of the finite one."""
    for kind in range(3):
        key_a = tl.full((), -float("inf"), tl.float64)
        key_b = key_a
        i, j = -1, -1
        while i < _FAR:
            key_a, i = _next_essential(a, kind, key_a, i, BLOCK)
            key_b, j = _next_essential(b, kind, key_b, j, BLOCK)
            i = tl.where(j < _FAR, i, _FAR)
            tl.store(a.partner + i, j.to(tl.int64), mask=i < _FAR)
            tl.store(b.partner + j, i.to(tl.int64), mask=i < _FAR)


@triton.jit
def _next_essential(diagram, kind, last, i_last, BLOCK: tl.constexpr):
    """The essential class of a kind that comes after another: its finite coordinate, and its column or _FAR."""
    low = tl.full((BLOCK,), float("inf"), tl.float64)
    column = tl.full((BLOCK,), _FAR, tl.int32)
    for start in range(0, diagram.count, BLOCK):
        i = start + tl.arange(0, BLOCK)
        birth = tl.load(diagram.birth + i, mask=i < diagram.count, other=0.0).to(tl.float64)
        death = tl.load(diagram.death + i, mask=i < diagram.count, other=0.0).to(tl.float64)
        birth_fits = (tl.abs(birth) < float("inf")) if kind == 0 else (birth == -float("inf"))
        death_fits = (tl.abs(death) < float("inf")) if kind == 1 else (death == float("inf"))
        key = tl.where(kind == 0, birth, tl.where(kind == 1, death, 0.0))
        is_next = birth_fits & death_fits & ((key > last) | ((key == last) & (i > i_last))) & (key < low)
        low = tl.where(is_next, key, low)
        column = tl.where(is_next, i, column)
    lowest = tl.min(low, 0)
    return lowest, tl.min(tl.where(low == lowest, column, _FAR), 0)


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


@triton.jit
def _write(rows, n, columns, partner_of_rows, partner_of_columns, BLOCK: tl.constexpr):
    """Write partners, as columns of the diagrams."""
    for start in range(0, n, BLOCK):
        i = start + tl.arange(0, BLOCK)
        j = tl.load(rows.partner + i, mask=i < n, other=-1)
        row = tl.load(rows.column + i, mask=j >= 0, other=0)
        column = tl.load(columns.column + j, mask=j >= 0, other=0)
        tl.store(partner_of_rows + row, column.to(tl.int64), mask=j >= 0)
        tl.store(partner_of_columns + column, row.to(tl.int64), mask=j >= 0)
