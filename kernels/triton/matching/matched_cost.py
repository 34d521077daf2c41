"""Fused match and cost, for callers that need neither partners nor the gap, such as the loss."""

from __future__ import annotations

import triton.language as tl
from torch import Tensor

from ...records import Costs, Place, Points
from ..runtime.jit import kernel
from ..runtime.launch import DIAGRAMS, in_rows, layout
from .candidates import write
from .cost import cost_window, empty_costs
from .match import AUCTION_FROM, launch_options, match_window, may_match
from .position import positions_of
from .workspace import Meta, Side, allocate_workspaces, partners_of, unknown_zero, workspace_of


def matched_cost(
    a: Points[Tensor], b: Points[Tensor], solver: str, *, squared: bool, place: Place[Tensor] | None = None
) -> Costs[Tensor]:
    """Compute the costs of optimal matchings; slopes in columns without a point are unspecified."""
    a, b = in_rows(a), in_rows(b)
    n, columns = len(a.count), (a.birth.shape[1], b.birth.shape[1])
    out = empty_costs(a, b)
    if n:
        placed = place is not None
        buffers = allocate_workspaces(n, max(columns), a.birth, placed=placed)
        arguments = (*a, *b, *positions_of(place, a, b), *out, *buffers, n, *layout(a, b), AUCTION_FROM[solver])
        for options in launch_options(min(columns), solver):
            _matched_cost[(buffers.programs(),)](*arguments, SQUARED=squared, PLACED=placed, **options)
    return out


@kernel(
    do_not_specialize=["windows", "row_a", "row_b", "size_a", "size_b", "auction_from"],
    do_not_specialize_on_alignment=[*DIAGRAMS, "position_a", "position_b"],
)
def _matched_cost(
    birth_a,  # [N, size_a] float32 or float64, in rows that are row_a apart
    death_a,  # [N, size_a] of birth_a's dtype, likewise
    count_a,  # [N] int64
    birth_b,  # [N, size_b] of birth_a's dtype, in rows that are row_b apart
    death_b,  # [N, size_b] of birth_a's dtype, likewise
    count_b,  # [N] int64
    position_a,  # [N, 3, size_a] float64 if PLACED
    position_b,  # [N, 3, size_b] float64 if PLACED
    cost,  # [N] of birth_a's dtype, written
    slopes_a,  # [N, 2, size_a] of birth_a's dtype, written in columns with a point
    slopes_b,  # [N, 2, size_b] of birth_a's dtype, likewise
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
    """Match every `programs`-th window as `_match` does, and write its cost and slopes."""
    length = tl.maximum(size_a, size_b) + 1
    work = workspace_of(tl.program_id(0).to(tl.int64), coordinates, floats, ints, length, PLACED)
    for window in range(tl.program_id(0), windows, tl.num_programs(0)):
        row = tl.cast(window, tl.int64)
        n_a = tl.minimum(tl.load(count_a + window), size_a).to(tl.int32)
        n_b = tl.minimum(tl.load(count_b + window), size_b).to(tl.int32)
        at_a, at_b = position_a + row * 3 * size_a, position_b + row * 3 * size_b
        a = Side(birth_a + row * row_a, death_a + row * row_a, partners_of(work, 0), n_a, at_a, size_a)
        b = Side(birth_b + row * row_b, death_b + row * row_b, partners_of(work, 1), n_b, at_b, size_b)
        if may_match(a, b, auction_from, AUCTION):
            outcome = match_window(
                a, b, n_a, n_b, work, auction_from, Meta(SQUARED, AUCTION, False, PLACED, BLOCK, THREADS, CHUNK)
            )
            if outcome.is_matched:
                row = tl.cast(window + unknown_zero(work), tl.int64)
                a = Side(birth_a + row * row_a, death_a + row * row_a, partners_of(work, 0), n_a, position_a, size_a)
                b = Side(birth_b + row * row_b, death_b + row * row_b, partners_of(work, 1), n_b, position_b, size_b)
                write(work, outcome, a.partner, b.partner, BLOCK)
                tl.debug_barrier()  # other threads have written partners
                window_a, window_b = slopes_a + row * 2 * size_a, slopes_b + row * 2 * size_b
                tl.store(cost + window, cost_window(a, b, window_a, window_b, size_a, size_b, SQUARED, BLOCK))
        tl.debug_barrier()  # the next window overwrites the workspace
