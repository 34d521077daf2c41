"""Emit: the pairs of positive persistence as flat indices into the window and their values, longest first.

A pair is one 64-bit key in the order wanted: by persistence, the longest first, then by birth and by death. No two keys
are equal, so a pair's column is the number of keys before its own, whatever order they are found in. `_pairs` sorts
runs of keys, each as long as a window's list where a block can sort that, and `place` looks each key up in the other
runs. Where a key has no room for all three (float64, and windows of 65,535 pixels and more) `torch.sort` orders the
pairs, in two passes.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ...records import Pairs
from ..runtime.launch import INTERPRETED, registers
from ..tree import unpacked
from ..windows import Layout, locate
from .gradient import COUNTERS, MAXIMA, MINIMA, PAIRS_OF_MAXIMA, PAIRS_OF_MINIMA, STATUS
from .place import NONE, place

_LOG_BLOCK = 10 if INTERPRETED else 6  # of the extrema that a program takes at a time, and of the shortest runs
_LOG_RUN = max(9, _LOG_BLOCK)  # of the longest runs: a warp has registers for no more


def emit(
    x: Tensor,
    extrema: Tensor,
    tree: Tensor,
    counters: Tensor,
    top: bool,
    minima: bool,
    maxima: bool,
    min_persistence: float,
    capacity: int | None,
    padded: bool,
    layout: Layout | None,
) -> list[Pairs[Tensor]]:
    """List the pairs of windows whose merge trees are grown.

    Parameters
    ----------
    x, extrema, tree, counters : Tensor
        Of `gradient`, after `merge`. The counters of pairs are written.
    top : bool
        The construction, T or V.
    minima, maxima : bool
        Whether the pairs of minima and of maxima with saddles are wanted.
    min_persistence : float
        Only pairs that are longer.
    capacity : int or None
        Columns K; None for as many as there can be.
    padded : bool
        Whether the columns behind the pairs have to be filled.
    layout : Layout, optional
        How images have been cut into the windows. If there is one, indices are of the images' pixels.

    Returns
    -------
    list of Pairs
        The pairs of the minima, and then of the maxima, as far as wanted.
    """
    n, height, width = x.shape
    # No two minima share an edge of the grid, and no two maxima a square.
    bounds = [triton.cdiv(height * width, 2)] if minima else []
    bounds += [triton.cdiv(height, 2) * triton.cdiv(width, 2)] if maxima else []
    packed = x.dtype == torch.float32 and height * width < 2**16 - 1
    keys = torch.empty((n, sum(bounds)), dtype=torch.int64, device=x.device)
    lengths = keys if packed else torch.empty(keys.shape, dtype=x.dtype, device=x.device)
    columns = [capacity or bound for bound in bounds]
    index = [torch.empty((n, 2, k), dtype=torch.int64, device=x.device) for k in columns]
    values = [torch.empty((n, 2, k), dtype=x.dtype, device=x.device) for k in columns]
    count = [torch.empty(n, dtype=torch.int64, device=x.device) for _ in columns]

    programs = triton.cdiv(max(bounds), 2**_LOG_RUN)
    grid = (n * programs * len(bounds),)
    shape = height, width, bounds[0], sum(bounds), programs
    meta = {"SIDES": len(bounds), "FIRST": 0 if minima else 1, "LOG_BLOCK": _LOG_BLOCK, "LOG_RUN": _LOG_RUN}
    if n:
        lists = x, extrema, tree, counters, keys, lengths
        _pairs[grid](*lists, *shape, min_persistence, TOP=top, PACKED=packed, **meta, **registers(255), num_warps=1)
    if n and packed:
        place(x, counters, keys, index, values, count, shape, padded, layout, grid, meta)
    if not packed:
        counts = [counters[:, PAIRS_OF_MINIMA.value]] if minima else []
        counts += [counters[:, PAIRS_OF_MAXIMA.value]] if maxima else []
        parts = zip(keys.split(bounds, 1), lengths.split(bounds, 1), counts, index, values, count, strict=True)
        for codes_part, lengths_part, counts_part, index_part, values_part, count_part in parts:
            _sort(codes_part, lengths_part, x, index_part, values_part)
            count_part.copy_(counts_part)
            if layout is not None:
                locate(index_part, count_part, layout)
    return [Pairs(*parts) for parts in zip(index, values, count, strict=True)]


@triton.jit(
    do_not_specialize=["height", "width", "slots", "all_slots", "programs", "min_persistence"],
    do_not_specialize_on_alignment=["x"],
)
def _pairs(
    x,  # [N, H, W] float32 or float64
    extrema,  # [N, H * W] int32
    tree,  # [N, H * W + 1] int32 or int64
    counters,  # [N, COUNTERS] int32, changed
    keys,  # [N, all_slots] int64, written: first those of the first side, in its slots
    lengths,  # [N, all_slots] of x's dtype, written unless PACKED
    height,
    width,
    slots,
    all_slots,
    programs,
    min_persistence: tl.float64,
    TOP: tl.constexpr,
    PACKED: tl.constexpr,
    SIDES: tl.constexpr,
    FIRST: tl.constexpr,
    LOG_BLOCK: tl.constexpr,
    LOG_RUN: tl.constexpr,
):
    """Turn every `programs`-th run of extrema of one window, on one side, into sorted keys.

    PACKED: keys are persistence, birth and death; those of no pairs are behind the others of a run. Else they are
    birth * 2^32 + death + 1, unsorted, and lengths are the persistences; all slots are written, with a length of -1
    where there is no pair. Programs share a counter of pairs, which relaxed additions bring to one sum in any order.
    """
    part = tl.program_id(0) % SIDES
    side = part if SIDES == 2 else FIRST
    program = tl.program_id(0) // SIDES
    window = (program // programs).to(tl.int64)
    pixels = height * width
    x += window * pixels
    extrema += window * pixels
    tree += window * (pixels + 1)
    counters += window * COUNTERS
    p_count = counters + (PAIRS_OF_MINIMA if side == 0 else PAIRS_OF_MAXIMA)
    out = window * all_slots + part * slots

    n = tl.load(counters + (MINIMA if side == 0 else MAXIMA))
    n = tl.where(tl.load(counters + STATUS) == 0, n, 0)
    if PACKED:
        left = n
        for LOG in tl.static_range(LOG_BLOCK, LOG_RUN + 1):
            # The least power of two that holds the list; of a longer one, every so many.
            if (left <= 1 << LOG) | (LOG == LOG_RUN):
                for start in range(program % programs << LOG, left, programs << LOG):
                    i = start + tl.arange(0, 1 << LOG)
                    length, birth, death, m_pair = _pair(i, n, side, x, extrema, tree, pixels, min_persistence, TOP)
                    # The bits of floats that are not negative have the floats' order.
                    bits = length.to(tl.int32, bitcast=True).to(tl.int64)
                    key = (0x7FFFFFFF - bits) << 32 | birth << 16 | (death + 1)
                    # Neighbours, which are compared most often, go to one lane, as the order before does not matter.
                    key = tl.reshape(tl.where(m_pair, key, NONE), (1 << (LOG - 5), 32))
                    key = tl.sort(tl.reshape(tl.trans(key), (1 << LOG,)))
                    tl.store(keys + out + i, key, mask=i < n)
                    tl.atomic_add(p_count, tl.sum(m_pair.to(tl.int32), 0), sem="relaxed")
                left = 0
    else:
        end = tl.where(part == 0, slots, all_slots - slots)
        for start in range(program % programs << LOG_BLOCK, end, programs << LOG_BLOCK):
            i = start + tl.arange(0, 1 << LOG_BLOCK)
            length, birth, death, m_pair = _pair(i, n, side, x, extrema, tree, pixels, min_persistence, TOP)
            tl.store(keys + out + i, birth << 32 | (death + 1), mask=i < end)
            tl.store(lengths + out + i, tl.where(m_pair, length, -1.0), mask=i < end)
            tl.atomic_add(p_count, tl.sum(m_pair.to(tl.int32), 0), sem="relaxed")


@triton.jit
def _pair(i, n, side, x, extrema, tree, pixels, min_persistence, TOP: tl.constexpr):
    """The pairs of extrema, if they are among the n of this side: persistence, birth, death, and whether it counts."""
    m_extremum = i < n
    u = tl.load(extrema + tl.where(side == 0, i, pixels - 1 - i), mask=m_extremum, other=0)
    saddle, elder = unpacked(tl.load(tree + u, mask=m_extremum, other=0))
    saddle >>= 2
    never = elder == u
    # Minima give birth in V; by duality, the maxima of -f do in T.
    gives_birth = side == (1 if TOP else 0)
    birth, death = tl.where(gives_birth, u, saddle), tl.where(gives_birth, saddle, u)
    m_pair = m_extremum & (never == 0)
    value_birth = tl.load(x + birth, mask=m_pair, other=0.0)
    value_death = tl.load(x + death, mask=m_pair, other=0.0)
    # NaN where both are the same infinity; they are equal, which drops the pair.
    length = value_death - value_birth
    m_pair &= (value_birth < value_death) & (length > min_persistence)
    essential = m_extremum & never
    length = tl.where(essential, float("inf"), length)
    birth, death = tl.where(essential, u, birth).to(tl.int64), tl.where(essential, -1, death).to(tl.int64)
    return length, birth, death, m_pair | essential


def _sort(codes: Tensor, lengths: Tensor, x: Tensor, index: Tensor, values: Tensor) -> None:
    """Order pairs, the longest first, then by code, and write as many as fit into index and values (N, 2, K)."""
    codes, by_code = codes.sort(dim=1)
    lengths, by_length = lengths.gather(1, by_code).sort(dim=1, descending=True, stable=True)
    codes = codes.gather(1, by_length)
    k = min(index.shape[2], codes.shape[1])
    none = lengths[:, :k] < 0
    index[:, :, k:] = -1
    index[:, 0, :k] = (codes[:, :k] >> 32).masked_fill(none, -1)
    index[:, 1, :k] = ((codes[:, :k] & 0xFFFFFFFF) - 1).masked_fill(none, -1)
    values.copy_(x.flatten(1).gather(1, index.flatten(1).clamp(min=0)).view(index.shape))
    none = index < 0
    values.masked_fill_(none, 0.0)
    values[:, 1].masked_fill_(none[:, 1] & ~none[:, 0], float("inf"))
