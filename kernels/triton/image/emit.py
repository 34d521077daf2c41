"""Emit: list the pairs whose persistence exceeds a threshold, as flat indices into the window and their values.

A pair is one 64-bit key, whose order is the order of the diagram: by persistence, the longest first, then by birth and
by death. No two keys are equal, so the order in which pairs are found does not matter. `_pairs` sorts runs of keys, one
run per list if a block can sort the list, and `sort_keys` merges them. A key has no room for all three numbers if
values are float64, or if windows have 65,535 pixels or more. Such pairs are listed in any order, and sorted as those of
volumes are.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from ...records import Pairs, Query, Tiling
from ..counters import COUNTERS, MAXIMA, MINIMA, OK, PAIRS, STATUS
from ..runtime.jit import kernel
from ..runtime.launch import cdiv, registers
from ..sort import RUN, SHARES, append, new_lists, new_pairs, share_of, sort
from ..tree import Trees, unpacked
from ..windows import translate_pixels
from .gradient import EACH_LOG2
from .sort import NONE, KeyLists, sort_keys


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
    bounds = cdiv(height * width, 2), cdiv(height, 2) * cdiv(width, 2)
    pairs = {dim: new_pairs(x, query.capacity or bounds[dim]) for dim in sorted(v_dims)}
    slots = [bounds[dim] for dim in pairs]
    if x.dtype == torch.float32 and height * width < 2**16 - 1:
        keys = KeyLists([*pairs], slots, torch.empty((n, sum(slots)), dtype=torch.int64, device=x.device))
        if n:
            _pairs[keys.grid](
                x, trees.extrema, trees.words, trees.counters, keys.keys,
                height, width, *keys.sizes, query.min_persistence,
                TOP=query.top, **keys.constants, **registers(255), num_warps=1,
            )  # fmt: skip
        sort_keys(x, trees.counters, keys, [*pairs.values()], tiling)
    else:
        lists, shares = new_lists(x, slots, [*pairs])
        if n:
            inputs = x, trees.extrema, trees.words, trees.counters
            sizes = height * width, *shares, query.min_persistence
            _list_pairs[shares.grid(n)](*inputs, *lists, *sizes, TOP=query.top, RUN=RUN, num_warps=1)
        sort(x, trees.counters, lists, shares, [*pairs.values()])
        if tiling is not None:
            for of_dim in pairs.values():
                translate_pixels(of_dim, tiling)
    return [pairs[dim] for dim in v_dims]


@kernel(
    do_not_specialize=["height", "width", "slots", "all_slots", "programs", "min_persistence"],
    do_not_specialize_on_alignment=["x"],
)
def _pairs(
    x,  # [N, H, W] float32
    extrema,  # [N, H * W] int32
    tree,  # [N, H * W + 1] int32 or int64
    counters,  # [N, COUNTERS] int32, changed
    keys,  # [N, all_slots] int64, written: those of the first dimension come first, in its slots
    height,
    width,
    slots,
    all_slots,
    programs,  # for each list
    min_persistence: tl.float64,
    TOP: tl.constexpr,
    DIMS: tl.constexpr,
    FIRST: tl.constexpr,
    LOG_BLOCK: tl.constexpr,
    LOG_RUN: tl.constexpr,
):
    """Turn every `programs`-th run of extrema of one window, in one dimension, into sorted keys.

    Keys are persistence, birth and death, and extrema without a pair come last in their run. Programs write different
    slots, and share a counter of pairs, whose sum does not depend on the order of relaxed additions.
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
    left = n
    for LOG in tl.static_range(LOG_BLOCK, LOG_RUN + 1):
        # A run is the least power of two that holds the list, or a part of a longer list.
        if (left <= 1 << LOG) | (LOG == LOG_RUN):
            for start in range(program % programs << LOG, left, programs << LOG):
                i = start + tl.arange(0, 1 << LOG)
                length, birth, death, m_pair = _pair(i, n, dim, x, extrema, tree, pixels, min_persistence, TOP)
                # As integers, floats that are not negative have the same order.
                bits = length.to(tl.int32, bitcast=True).to(tl.int64)
                key = (0x7FFFFFFF - bits) << 32 | birth.to(tl.int64) << 16 | (death.to(tl.int64) + 1)
                # The sort compares neighbours most often, so they go to one lane; their initial order is arbitrary.
                key = tl.reshape(tl.where(m_pair, key, NONE), (1 << (LOG - 5), 32))
                key = tl.sort(tl.reshape(tl.trans(key), (1 << LOG,)))
                tl.store(keys + out + i, key, mask=i < n)
                tl.atomic_add(p_count, tl.sum(m_pair.to(tl.int32), 0), sem="relaxed")
            left = 0


@kernel(do_not_specialize=["pixels", *SHARES, "min_persistence"], do_not_specialize_on_alignment=["x"])
def _list_pairs(
    x,  # [N, pixels] float32 or float64
    extrema,  # [N, pixels] int32
    tree,  # [N, pixels + 1] int32 or int64
    counters,  # [N, COUNTERS] int32, changed
    lengths,  # [N, all_slots] of x's dtype, written as far as there are pairs: those of the first dimension first
    codes,  # [N, all_slots] int32 or int64, likewise
    pixels,
    slots_0,  # see `Shares`
    slots_1,
    all_slots,
    programs,
    n_dims,
    order,
    min_persistence: tl.float64,
    TOP: tl.constexpr,
    RUN: tl.constexpr,
):
    """List the pairs of every `programs`-th run of extrema of one window and dimension, in any order; see `append`."""
    dim, _, window, out, program = share_of(slots_0, slots_1, all_slots, programs, n_dims, order)
    x += window * pixels
    extrema += window * pixels
    tree += window * (pixels + 1)
    counters += window * COUNTERS
    n = tl.load(counters + (MINIMA if dim == 0 else MAXIMA))
    n = tl.where(tl.load(counters + STATUS) == OK, n, 0)
    for start in range(program * RUN, n, programs * RUN):
        i = start + tl.arange(0, RUN)
        length, birth, death, m_pair = _pair(i, n, dim, x, extrema, tree, pixels, min_persistence, TOP)
        append(lengths + out, codes + out, counters + PAIRS + dim, length, birth, death, m_pair)


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
    return length, tl.where(essential, u, birth), tl.where(essential, -1, death), m_pair | essential
