"""Emit: list the pairs whose persistence exceeds a threshold, as flat indices into the window and their values.

A pair is one 64-bit key, whose order is the order of the diagram: by persistence, the longest first, then by birth and
by death. No two keys are equal, so the order in which pairs are found does not matter. `_pairs` sorts runs of keys, one
run per list if a block can sort the list, and `sort` merges them. A key has no room for all three numbers if values are
float64, or if windows have 65,535 pixels or more; then it has birth and death only, and lengths are kept beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from ...records import Pairs, Query, Tiling
from ..counters import COUNTERS, MAXIMA, MINIMA, OK, PAIRS, STATUS
from ..runtime.launch import registers
from ..tree import Trees, unpacked
from .gradient import EACH_LOG2
from .sort import NONE, KeyLists, sort


def emit(x: Tensor, trees: Trees, query: Query, v_dims: Sequence[int], tiling: Tiling | None) -> list[Pairs[Tensor]]:
    """List the pairs of windows whose merge trees are grown.

    Parameters
    ----------
    x : Tensor, shape (N, H, W)
    trees : Trees
        After `merge`. The counters of pairs are changed.
    query : Query
        Its construction, threshold and capacity are used.
    v_dims : sequence of int
        The dimensions of V that are wanted: 0 for pairs of minima and edges, 1 for pairs of edges and maxima.
    tiling : Tiling, optional
        How images were cut into the windows; see `persistence`.

    Returns
    -------
    list of Pairs
        For each of these dimensions.
    """
    n, height, width = x.shape
    # No two minima share an edge of the grid, and no two maxima a square.
    bounds = triton.cdiv(height * width, 2), triton.cdiv(height, 2) * triton.cdiv(width, 2)
    order = sorted(v_dims)
    slots = [bounds[dim] for dim in order]
    packed = x.dtype == torch.float32 and height * width < 2**16 - 1
    keys = torch.empty((n, sum(slots)), dtype=torch.int64, device=x.device)
    lists = KeyLists(order, slots, keys, None if packed else torch.empty(keys.shape, dtype=x.dtype, device=x.device))
    pairs = {dim: new_pairs(x, query.capacity or bounds[dim]) for dim in order}
    if n:
        tensors = x, trees.extrema, trees.words, trees.counters, keys, keys if lists.lengths is None else lists.lengths
        _pairs[lists.grid](
            *tensors, height, width, *lists.sizes, query.min_persistence,
            TOP=query.top, PACKED=packed, **lists.constants, **registers(255), num_warps=1,
        )  # fmt: skip
    sort(x, trees.counters, lists, [*pairs.values()], tiling)
    return [pairs[dim] for dim in v_dims]


def new_pairs(x: Tensor, columns: int) -> Pairs[Tensor]:
    """Allocate pairs with that number of columns for each of the windows x."""
    index = torch.empty((len(x), 2, columns), dtype=torch.int64, device=x.device)
    value = torch.empty(index.shape, dtype=x.dtype, device=x.device)
    return Pairs(index, value, torch.empty(len(x), dtype=torch.int64, device=x.device))


@triton.jit(
    do_not_specialize=["height", "width", "slots", "all_slots", "programs", "min_persistence"],
    do_not_specialize_on_alignment=["x"],
)
def _pairs(
    x,  # [N, H, W] float32 or float64
    extrema,  # [N, H * W] int32
    tree,  # [N, H * W + 1] int32 or int64
    counters,  # [N, COUNTERS] int32, changed
    keys,  # [N, all_slots] int64, written: those of the first dimension come first, in its slots
    lengths,  # [N, all_slots] of x's dtype, written unless PACKED
    height,
    width,
    slots,
    all_slots,
    programs,  # for each list
    min_persistence: tl.float64,
    TOP: tl.constexpr,
    PACKED: tl.constexpr,
    DIMS: tl.constexpr,
    FIRST: tl.constexpr,
    LOG_BLOCK: tl.constexpr,
    LOG_RUN: tl.constexpr,
):
    """Turn every `programs`-th run of extrema of one window, in one dimension, into sorted keys.

    If PACKED, keys are persistence, birth and death, and extrema without a pair come last in their run. Otherwise keys
    are birth * 2^32 + death + 1, unsorted, and all slots are written, with a length of -1 where there is no pair.
    Programs write different slots, and share a counter of pairs, whose sum does not depend on the order of relaxed
    additions.
    """
    part = tl.program_id(0) % DIMS
    dim = part if DIMS == 2 else FIRST
    program = tl.program_id(0) // DIMS
    window = (program // programs).to(tl.int64)
    pixels = height * width
    x += window * pixels
    extrema += window * pixels
    tree += window * (pixels + 1)
    counters += window * COUNTERS
    p_count = counters + PAIRS + dim
    out = window * all_slots + part * slots

    n = tl.load(counters + (MINIMA if dim == 0 else MAXIMA))
    n = tl.where(tl.load(counters + STATUS) == OK, n, 0)
    if PACKED:
        left = n
        for LOG in tl.static_range(LOG_BLOCK, LOG_RUN + 1):
            # A run is the least power of two that holds the list, or a part of a longer list.
            if (left <= 1 << LOG) | (LOG == LOG_RUN):
                for start in range(program % programs << LOG, left, programs << LOG):
                    i = start + tl.arange(0, 1 << LOG)
                    length, birth, death, m_pair = _pair(i, n, dim, x, extrema, tree, pixels, min_persistence, TOP)
                    # As integers, floats that are not negative have the same order.
                    bits = length.to(tl.int32, bitcast=True).to(tl.int64)
                    key = (0x7FFFFFFF - bits) << 32 | birth << 16 | (death + 1)
                    # The sort compares neighbours most often, so they go to one lane; their initial order is arbitrary.
                    key = tl.reshape(tl.where(m_pair, key, NONE), (1 << (LOG - 5), 32))
                    key = tl.sort(tl.reshape(tl.trans(key), (1 << LOG,)))
                    tl.store(keys + out + i, key, mask=i < n)
                    tl.atomic_add(p_count, tl.sum(m_pair.to(tl.int32), 0), sem="relaxed")
                left = 0
    else:
        end = tl.where(part == 0, slots, all_slots - slots)
        for start in range(program % programs << LOG_BLOCK, end, programs << LOG_BLOCK):
            i = start + tl.arange(0, 1 << LOG_BLOCK)
            length, birth, death, m_pair = _pair(i, n, dim, x, extrema, tree, pixels, min_persistence, TOP)
            tl.store(keys + out + i, birth << 32 | (death + 1), mask=i < end)
            tl.store(lengths + out + i, tl.where(m_pair, length, -1.0), mask=i < end)
            tl.atomic_add(p_count, tl.sum(m_pair.to(tl.int32), 0), sem="relaxed")


@triton.jit
def _pair(i, n, dim, x, extrema, tree, pixels, min_persistence, TOP: tl.constexpr):
    """Return persistence, birth and death of extrema i, and whether they are pairs; n : the number of extrema."""
    m_extremum = i < n
    u = tl.load(extrema + tl.where(dim == 0, i, pixels - 1 - i), mask=m_extremum, other=0)
    saddle, elder = unpacked(tl.load(tree + u, mask=m_extremum, other=0))
    saddle >>= EACH_LOG2
    never = elder == u
    # Minima give birth in V; by duality, the maxima of -f do in T.
    gives_birth = dim == (1 if TOP else 0)
    birth, death = tl.where(gives_birth, u, saddle), tl.where(gives_birth, saddle, u)
    m_pair = m_extremum & (never == 0)
    value_birth = tl.load(x + birth, mask=m_pair, other=0.0)
    value_death = tl.load(x + death, mask=m_pair, other=0.0)
    # The length is NaN where both are the same infinity; the pair is dropped, because its values are equal.
    length = value_death - value_birth
    m_pair &= (value_birth < value_death) & (length > min_persistence)
    essential = m_extremum & never
    length = tl.where(essential, float("inf"), length)
    birth, death = tl.where(essential, u, birth).to(tl.int64), tl.where(essential, -1, death).to(tl.int64)
    return length, birth, death, m_pair | essential
