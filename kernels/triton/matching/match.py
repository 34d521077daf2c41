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

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from ...records import Matched
from ...records import Points as Diagram
from ..runtime.launch import DIAGRAMS, INTERPRETED, in_rows, registers
from .auction import auction
from .augment import Tree
from .candidates import collect, count_finite, keep_columns, keep_rows, leave_alone, match_essential, scale_of, write
from .polish import search
from .savings import Points, Side, keys, sort

# From how many points of the smaller side the auction is used: as on the CPU.
AUCTION_FROM = {"augment": 1 << 30, "auto": 2_000, "auction": 0}
# Programs, each of which has scratch memory for one window and takes windows in turn: more than run at a time, so that
# one that is done makes room for another, but no more than this many bytes of scratch memory serve.
_PROGRAMS, _SCRATCH = 1024, 2**30
# Points that a sweep takes at a time; and where points are compared, PARTS of THREADS share one of one side, and each
# looks at CHUNK of the other side at a time. Without and with the auction.
_BLOCKS = (
    {"BLOCK": 128, "THREADS": 128, "PARTS": 8, "CHUNK": 4, "num_warps": 4},
    {"BLOCK": 512, "THREADS": 128, "PARTS": 8, "CHUNK": 4, "num_warps": 4},
)
_REGISTERS = registers(255)
if INTERPRETED:
    _BLOCKS = ({"BLOCK": 128, "THREADS": 128, "PARTS": 1, "CHUNK": 128, "num_warps": 1},) * 2


def match(a: Diagram[Tensor], b: Diagram[Tensor], squared: bool, solver: str) -> Matched[Tensor]:
    """Match the diagrams of N windows optimally; see `gpuph.ops.match`."""
    n, size_a, size_b = len(a.count), a.birth.shape[1], b.birth.shape[1]
    diagrams, layout = in_rows(a, b)
    new = a.birth.new_empty
    partner_a, partner_b = (new(x.birth.shape, dtype=torch.int64) for x in (a, b))
    matched = Matched(partner_a, partner_b, new((n,), dtype=torch.float64))
    programs, scratch = scratch_of(n, max(size_a, size_b), a.birth)
    scalars = n, *layout, AUCTION_FROM[solver]
    for meta in launches(min(size_a, size_b), solver) if n else ():
        _match[(programs,)](*diagrams, *matched, *scratch, *scalars, SQUARED=squared, **meta)
    return matched


def scratch_of(n: int, size: int, like: Tensor) -> tuple[int, tuple[Tensor, Tensor, Tensor]]:
    """How many programs match n windows of that many columns, and their scratch memory: see `_match`."""
    kinds = (4, like.dtype), (7, torch.float64), (10, torch.int32)
    room = sum(k * dtype.itemsize for k, dtype in kinds) * (size + 1)
    programs = min(n, _PROGRAMS, max(1, _SCRATCH // room))
    parts = [torch.empty((programs, k, size + 1), dtype=dtype, device=like.device) for k, dtype in kinds]
    return programs, (parts[0], parts[1], parts[2])


def launches(size: int, solver: str) -> list[dict[str, Any]]:
    """The options of each launch. None is needed for more points than a diagram has room for, or for none."""
    auction_from = AUCTION_FROM[solver]
    solvers = [False] * (auction_from > 0) + [True] * (size >= auction_from)
    return [{"AUCTION": auction, **_BLOCKS[auction], **_REGISTERS, "enable_fp_fusion": False} for auction in solvers]


@triton.jit(
    do_not_specialize=["windows", "row_a", "row_b", "size_a", "size_b", "auction_from"],
    do_not_specialize_on_alignment=DIAGRAMS,
)
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
    ints,  # [programs, 10, room] int32, scratch
    windows,
    row_a,
    row_b,
    size_a,
    size_b,
    auction_from,
    SQUARED: tl.constexpr,
    AUCTION: tl.constexpr,
    BLOCK: tl.constexpr,
    THREADS: tl.constexpr,
    CHUNK: tl.constexpr,
    PARTS: tl.constexpr,
):
    """Match every `programs`-th window, those with auction_from points or more on both sides, or the others.

    Programs share nothing. Within one, threads pass data through scratch memory, across barriers.
    """
    room = tl.maximum(size_a, size_b) + 1
    program = tl.program_id(0).to(tl.int64)
    coordinates += program * 4 * room
    floats += program * 7 * room
    ints += program * 10 * room
    for window in range(tl.program_id(0), windows, tl.num_programs(0)):
        row = tl.cast(window, tl.int64)
        n_a = tl.maximum(tl.minimum(tl.load(count_a + window), size_a), 0).to(tl.int32)  # a caller's count may be wrong
        n_b = tl.maximum(tl.minimum(tl.load(count_b + window), size_b), 0).to(tl.int32)
        a = Side(birth_a + row * row_a, death_a + row * row_a, partner_a + row * size_a, n_a)
        b = Side(birth_b + row * row_b, death_b + row * row_b, partner_b + row * size_b, n_b)
        if by_this(a, b, auction_from, AUCTION):
            is_matched, window_gap = match_window(
                a, b, size_a, size_b, coordinates, floats, ints, room, auction_from, True, SQUARED, AUCTION, BLOCK,
                THREADS, CHUNK, PARTS,
            )  # fmt: skip
            if is_matched:
                tl.store(gap + window, window_gap)
        tl.debug_barrier()  # the scratch memory is used again


@triton.jit
def by_this(a, b, auction_from, AUCTION: tl.constexpr):
    """Whether it may be this launch that matches two diagrams: only many points are for the auction."""
    return (AUCTION == 0) | (tl.minimum(a.count, b.count) >= auction_from)


@triton.jit
def match_window(
    a,
    b,
    filled_a,
    filled_b,
    coordinates,
    floats,
    ints,
    room,
    auction_from,
    CERTIFIED: tl.constexpr,
    SQUARED: tl.constexpr,
    AUCTION: tl.constexpr,
    BLOCK: tl.constexpr,
    THREADS: tl.constexpr,
    CHUNK: tl.constexpr,
    PARTS: tl.constexpr,
):
    """Write the partners of two diagrams' points, and -1 for the others of filled_a and of filled_b columns.

    Returns whether it has done so, and not left them to the other launch, and, if that is wanted, the gap.
    """
    # The side with fewer finite points takes the part of the rows.
    of_rows, of_columns = a, b
    finite_a, finite_b = count_finite(a, BLOCK), count_finite(b, BLOCK)
    if finite_a > finite_b:
        of_rows, of_columns = of_columns, of_rows
    rows, columns = _points(coordinates, floats, ints, 0, room), _points(coordinates, floats, ints, 1, room)
    tree = _tree(floats, ints, room)
    scale, inverse = tl.full((), 1.0, tl.float64), tl.full((), 1.0, tl.float64)
    if SQUARED:
        scale, inverse = scale_of(a, b, BLOCK)
    n = collect(of_rows, scale, rows, THREADS)
    tl.debug_barrier()  # the rows are read by other threads, and then the columns
    m = keep_columns(of_columns, scale, rows, n, columns, SQUARED, THREADS, CHUNK)
    tl.debug_barrier()
    n = keep_rows(rows, n, columns, m, SQUARED, THREADS, CHUNK, PARTS)
    is_matched = (tl.minimum(n, m) >= auction_from) == AUCTION
    gap = tl.full((), 0.0, tl.float64)
    if is_matched:
        leave_alone(a.partner, filled_a, BLOCK)
        leave_alone(b.partner, filled_b, BLOCK)
        tl.debug_barrier()  # the points are read by all threads, and partners are written by others
        if (finite_a < a.count) & (finite_b < b.count):
            match_essential(of_rows, of_columns, BLOCK)
        if n > 0:
            gap = _solve(rows, n, columns, m, tree, CERTIFIED, SQUARED, AUCTION, BLOCK, THREADS, CHUNK, PARTS)
            tl.debug_barrier()  # partners have been found by other threads
            write(rows, n, columns, of_rows.partner, of_columns.partner, BLOCK)
    return is_matched, gap * inverse * inverse


@triton.jit
def _points(coordinates, floats, ints, side, room):
    """Where the points of a side lie: the rows are 0, the columns 1."""
    coordinates += 2 * side * room
    floats += 2 * side * room
    ints += 3 * side * room
    share = tl.full((), 1.0, tl.float64)
    return Points(coordinates, coordinates + room, floats, floats + room, ints, ints + room, ints + 2 * room, share)


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
    CERTIFIED: tl.constexpr,
    SQUARED: tl.constexpr,
    AUCTION: tl.constexpr,
    BLOCK: tl.constexpr,
    THREADS: tl.constexpr,
    CHUNK: tl.constexpr,
    PARTS: tl.constexpr,
):
    """Match the rows with the columns. Returns the gap if it is wanted."""
    gap = tl.full((), 0.0, tl.float64)
    rows_are_equal = _are_equal(rows, n, BLOCK)
    if rows_are_equal | _are_equal(columns, m, BLOCK):
        equal, others, n_equal, n_others = rows, columns, n, m
        if rows_are_equal == 0:
            equal, others, n_equal, n_others = columns, rows, m, n
        _match_best(equal, n_equal, others, n_others, BLOCK, THREADS, CHUNK, PARTS)
    else:
        if AUCTION:
            sort(rows, n, rows.order, False, THREADS, CHUNK, PARTS)
            sort(columns, m, columns.order, False, THREADS, CHUNK, PARTS)
            tl.debug_barrier()
            gap = auction(rows, n, columns, m, tree.row, SQUARED, BLOCK, THREADS, CHUNK, PARTS)
        gap = search(rows, n, columns, m, tree, gap, CERTIFIED, SQUARED, AUCTION, BLOCK, THREADS, CHUNK, PARTS)
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
def _match_best(
    equal, n, others, m, BLOCK: tl.constexpr, THREADS: tl.constexpr, CHUNK: tl.constexpr, PARTS: tl.constexpr
):
    """Match n copies of one point with those of the others that save most, which is optimal.

    What an other saves with one of the copies is its gain. A single point, as most windows of a truth have, needs no
    order.
    """
    if n == 1:
        j = _best(others, m, BLOCK)
        tl.store(equal.partner, j)
        tl.store(others.partner + j, 0)
    else:
        sort(others, m, others.order, True, THREADS, CHUNK, PARTS)
        tl.debug_barrier()
        matched = tl.minimum(n, m)
        for start in range(0, matched, BLOCK):
            i = start + tl.arange(0, BLOCK)
            j = tl.load(others.order + i, mask=i < matched, other=0)
            tl.store(equal.partner + i, j, mask=i < matched)
            tl.store(others.partner + j, i, mask=i < matched)


@triton.jit
def _best(points, n, BLOCK: tl.constexpr):
    """The place of the largest gain; of equal ones, that of the least birth + death; of these, the first."""
    most = tl.full((BLOCK,), -float("inf"), tl.float64)
    least = tl.full((BLOCK,), float("inf"), tl.float64)
    place = tl.zeros((BLOCK,), tl.int32)
    for start in range(0, n, BLOCK):
        i = start + tl.arange(0, BLOCK)
        x, gain = keys(points, i, i < n, True)
        better = (i < n) & ((gain > most) | ((gain == most) & (x < least)))
        most, least, place = tl.where(better, gain, most), tl.where(better, x, least), tl.where(better, i, place)
    least = tl.where(most == tl.max(most, 0), least, float("inf"))
    return tl.min(tl.where(least == tl.min(least, 0), place, n - 1), 0)
