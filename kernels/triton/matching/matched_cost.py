"""Fused match and cost, for callers that need neither partners nor the gap, such as the loss."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from ...records import Costs, Points
from ..runtime.launch import DIAGRAMS, in_rows
from .cost import cost_window, empty_costs
from .match import AUCTION_FROM, by_this, launches, match_window, scratch_of
from .savings import Side


def matched_cost(a: Points[Tensor], b: Points[Tensor], squared: bool) -> Costs[Tensor]:
    """Compute the costs of optimal matchings; slopes behind the points may hold anything."""
    n, size_a, size_b = len(a.count), a.birth.shape[1], b.birth.shape[1]
    diagrams, layout = in_rows(a, b)
    out = empty_costs(a, b)
    if n:
        programs, scratch = scratch_of(n, max(size_a, size_b), a.birth)
        scalars = n, *layout, AUCTION_FROM["auto"]
        for meta in launches(min(size_a, size_b), "auto"):
            _matched_cost[(programs,)](*diagrams, *out, *scratch, *scalars, SQUARED=squared, **meta)
    return out


@triton.jit(
    do_not_specialize=["windows", "row_a", "row_b", "size_a", "size_b", "auction_from"],
    do_not_specialize_on_alignment=DIAGRAMS,
)
def _matched_cost(
    birth_a,  # [N, size_a] float32 or float64, in rows that are row_a apart
    death_a,  # [N, size_a] of birth_a's dtype, likewise
    count_a,  # [N] int64
    birth_b,  # [N, size_b] of birth_a's dtype, in rows that are row_b apart
    death_b,  # [N, size_b] of birth_a's dtype, likewise
    count_b,  # [N] int64
    cost,  # [N] of birth_a's dtype, written
    slopes_a,  # [N, 2, size_a] of birth_a's dtype, written as far as there are points
    slopes_b,  # [N, 2, size_b] of birth_a's dtype, likewise
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
    """Match every `programs`-th window as `_match` does, and write what that costs."""
    room = tl.maximum(size_a, size_b) + 1
    program = tl.program_id(0).to(tl.int64)
    coordinates += program * 4 * room
    floats += program * 7 * room
    ints += program * 10 * room
    for window in range(tl.program_id(0), windows, tl.num_programs(0)):
        row = tl.cast(window, tl.int64)
        n_a = tl.minimum(tl.load(count_a + window), size_a).to(tl.int32)
        n_b = tl.minimum(tl.load(count_b + window), size_b).to(tl.int32)
        a = Side(birth_a + row * row_a, death_a + row * row_a, ints + 8 * room, n_a)
        b = Side(birth_b + row * row_b, death_b + row * row_b, ints + 9 * room, n_b)
        if by_this(a, b, auction_from, AUCTION):
            is_matched, _ = match_window(
                a, b, n_a, n_b, coordinates, floats, ints, room, auction_from, False, SQUARED, AUCTION, BLOCK, THREADS,
                CHUNK, PARTS,
            )  # fmt: skip
            if is_matched:
                tl.debug_barrier()  # partners have been written by other threads
                slopes = slopes_a + row * 2 * size_a, slopes_b + row * 2 * size_b
                tl.store(cost + window, cost_window(a, b, slopes[0], slopes[1], size_a, size_b, SQUARED, THREADS))
        tl.debug_barrier()  # the scratch memory is used again
