"""Emit in 3D: the pairs of positive persistence as flat indices into the window and their values, longest first.

Pairs are appended to one list a window and dimension, in any order; `sort` brings them into theirs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from ...records import Pairs
from ..image.gradient import COUNTERS
from ..tree import unpacked
from .gradient import EDGES, MAXIMA, MINIMA, PAIRS, STATUS, loops_of
from .merge import EACH
from .sort import ROWS, RUN, code_type, coded, part_of, sort

_RUNS_A_PROGRAM = 32  # as many as there may be; most windows have few pairs, and a program with more takes them in turn
_PROGRAMS = 1024  # a list at most


def emit(
    x: Tensor,
    edges: Tensor,
    squares: Tensor,
    square_of: Tensor,
    extrema: Tensor,
    tree: Tensor,
    counters: Tensor,
    top: bool,
    sides: Sequence[int],
    min_persistence: float,
    capacity: int | None,
) -> list[Pairs[Tensor]]:
    """List the pairs of volumes.

    Parameters
    ----------
    x, edges, squares, extrema, tree, counters : Tensor
        Of `gradient3`, after `merge3`. The counters of pairs are written.
    square_of : Tensor, shape (N, M), int32, every second word of a tensor
        Of `reduce`; not read if side 1 is not wanted.
    top : bool
        The construction, T or V.
    sides : sequence of int
        The dimensions wanted, of V: 0 for minima with edges, 1 for edges with squares, 2 for squares with maxima.
    min_persistence, capacity
        As in 2D.

    Returns
    -------
    list of Pairs
        For each of the sides.
    """
    n, depth, height, width = x.shape
    voxels = depth * height * width
    bounds = {
        0: triton.cdiv(voxels, 2),
        1: loops_of(depth, height, width),
        2: triton.cdiv(depth, 2) * triton.cdiv(height, 2) * triton.cdiv(width, 2),
    }
    slots = [triton.cdiv(bounds[side], RUN) * RUN for side in sides]
    lengths = torch.empty((n, sum(slots)), dtype=x.dtype, device=x.device)
    codes = torch.empty(lengths.shape, dtype=code_type(voxels), device=x.device)
    columns = [capacity or bounds[side] for side in sides]
    index = [torch.empty((n, 2, k), dtype=torch.int64, device=x.device) for k in columns]
    values = [torch.empty((n, 2, k), dtype=x.dtype, device=x.device) for k in columns]
    count = [torch.empty(n, dtype=torch.int64, device=x.device) for _ in columns]

    programs = min(triton.cdiv(max(slots), RUN * _RUNS_A_PROGRAM), _PROGRAMS)
    order = sum(side << 2 * part for part, side in enumerate(sides))
    rows = slots[0], sum(slots[:2]), sum(slots), programs, len(sides), order
    if n:
        cells = edges, squares, square_of, extrema, tree, counters
        grid = (n * programs * len(sides),)
        _pairs3[grid](
            x, *cells, lengths, codes, voxels, edges.shape[1], *rows, min_persistence, TOP=top, RUN=RUN, num_warps=1
        )
        sort(x, counters, lengths, codes, index, values, count, voxels, max(slots), rows, grid)
    return [Pairs(*parts) for parts in zip(index, values, count, strict=True)]


@triton.jit(do_not_specialize=["voxels", "most", *ROWS, "min_persistence"], do_not_specialize_on_alignment=["x"])
def _pairs3(
    x,  # [N, D, H, W] float32 or float64
    edges,  # [N, most] int32
    squares,  # [N, most] int32
    square_of,  # [N, most, 2] int32, of which the first is read
    extrema,  # [N, voxels] int32
    tree,  # [N, voxels + 1] int32 or int64
    counters,  # [N, COUNTERS] int32, changed
    lengths,  # [N, all_slots] of x's dtype, written in parts: first those of the first side, in its slots
    codes,  # [N, all_slots] int32 or int64, written in parts
    voxels,
    most,
    slots_0,  # where the second list of a window begins
    slots_1,  # and the third
    all_slots,
    programs,
    sides,  # how many lists a window has
    order,  # their sides, each in two bits
    min_persistence: tl.float64,
    TOP: tl.constexpr,
    RUN: tl.constexpr,
):
    """List the pairs of every `programs`-th run of extrema or edges of one window, on one side, in any order.

    A pair is its length and a code, see `sort.coded`. Programs share a counter of pairs, from which each takes slots by
    relaxed additions.
    """
    side, _, window, out, program = part_of(slots_0, slots_1, all_slots, programs, sides, order)
    x += window * voxels
    counters += window * COUNTERS
    status = tl.load(counters + STATUS)
    n = tl.load(counters + (MINIMA if side == 0 else (EDGES if side == 1 else MAXIMA)))
    n = tl.where((status == 0) | ((status & 1) == 0) & (side != 1), n, 0)
    for start in range(program * RUN, n, programs * RUN):
        i = start + tl.arange(0, RUN)
        there = i < n
        if side == 1:
            square = tl.load(square_of + 2 * (window * most + i), mask=there, other=-1)
            m_pair = square >= 0
            early = tl.load(edges + window * most + i, mask=m_pair, other=0) // 6
            late = tl.load(squares + window * most + square, mask=m_pair, other=0) // 12
            essential = m_pair & (square < 0)
        else:
            u = tl.load(extrema + window * voxels + tl.where(side == 0, i, voxels - 1 - i), mask=there, other=0)
            saddle, elder = unpacked(tl.load(tree + window * (voxels + 1) + u, mask=there, other=0))
            essential = there & (elder == u)
            m_pair = there & (essential == 0)
            saddle //= EACH
            early, late = tl.where(side == 0, u, saddle), tl.where(side == 0, saddle, u)
        # In T, births and deaths change places.
        birth, death = (late, early) if TOP else (early, late)
        value_birth = tl.load(x + birth, mask=m_pair, other=0.0)
        value_death = tl.load(x + death, mask=m_pair, other=0.0)
        # NaN where both are the same infinity; they are equal, which drops the pair.
        length = value_death - value_birth
        m_pair &= (value_birth < value_death) & (length > min_persistence)
        length = tl.where(essential, float("inf"), length)
        m_pair |= essential
        death = tl.where(essential, -1, death)
        wanted = m_pair.to(tl.int32)
        slot = tl.atomic_add(counters + PAIRS + side, tl.sum(wanted, 0), sem="relaxed") + tl.cumsum(wanted, 0) - wanted
        tl.store(lengths + out + slot, length, mask=m_pair)
        tl.store(codes + out + slot, coded(birth, death, codes), mask=m_pair)
