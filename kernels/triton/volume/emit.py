"""Emit: list the pairs whose persistence exceeds a threshold, as flat indices into the window and their values.

Each window has a list per dimension of V, to which pairs are appended in any order; `sort` puts them in the order of
the diagram.
"""

from __future__ import annotations

from collections.abc import Sequence

import triton.language as tl
from torch import Tensor

from ...records import Pairs, Query
from ..counters import COUNTERS, EDGES, MAXIMA, MINIMA, NAN, OK, PAIRS, STATUS
from ..runtime.jit import kernel
from ..runtime.launch import cdiv
from ..sort import RUN, SHARES, append, new_lists, new_pairs, share_of, sort
from ..tree import Trees, unpacked
from .gradient import EACH, EDGES_PER_VOXEL, SQUARES_PER_VOXEL, Critical, loops_of


def emit(
    x: Tensor, critical: Critical, square_of: Tensor | None, trees: Trees, query: Query, v_dims: Sequence[int]
) -> list[Pairs[Tensor]]:
    """List the pairs of volumes.

    Parameters
    ----------
    x : Tensor, shape (N, D, H, W)
    critical, trees
        The results of `gradient`, after `merge`. The counters of pairs are changed.
    square_of : Tensor, shape (N, M), int32, every second word of a tensor, optional
        The result of `reduce`, if dimension 1 is wanted.
    query : Query
        Its construction, threshold and capacity are used.
    v_dims : sequence of int
        The dimensions of V that are wanted: 0 for minima and edges, 1 for edges and squares, 2 for squares and maxima.

    Returns
    -------
    list of Pairs
        For each of these dimensions.
    """
    n, depth, height, width = x.shape
    voxels = depth * height * width
    bounds = {
        0: cdiv(voxels, 2),  # no two minima share an edge of the grid
        1: loops_of(depth, height, width),
        2: cdiv(depth, 2) * cdiv(height, 2) * cdiv(width, 2),  # no two maxima share a cube
    }
    lists, shares = new_lists(x, [bounds[dim] for dim in v_dims], v_dims)
    pairs = [new_pairs(x, query.capacity or bounds[dim]) for dim in v_dims]
    if n:
        cells = (
            *critical,
            critical.edges if square_of is None else square_of,
            trees.extrema,
            trees.words,
            trees.counters,
        )
        sizes = voxels, critical.edges.shape[1], *shares
        _pairs[shares.grid(n)](x, *cells, *lists, *sizes, query.min_persistence, TOP=query.top, RUN=RUN, num_warps=1)
    sort(x, trees.counters, lists, shares, pairs)
    return pairs


@kernel(do_not_specialize=["voxels", "most", *SHARES, "min_persistence"], do_not_specialize_on_alignment=["x"])
def _pairs(
    x,  # [N, D, H, W] float32 or float64
    edges,  # [N, most] int32
    squares,  # [N, most] int32
    square_of,  # [N, most, 2] int32, of which the first is read; not read without dimension 1
    extrema,  # [N, voxels] int32
    tree,  # [N, voxels + 1] int32 or int64
    counters,  # [N, COUNTERS] int32, changed
    lengths,  # [N, all_slots] of x's dtype, written as far as there are pairs: those of the first dimension first
    codes,  # [N, all_slots] int32 or int64, likewise
    voxels,
    most,
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
    """List the pairs of every `programs`-th run of extrema or edges of one window, in one dimension, in any order.

    Programs share nothing but the lists and their counters; see `append`.
    """
    dim, _, window, out, program = share_of(slots_0, slots_1, all_slots, programs, n_dims, order)
    x += window * voxels
    counters += window * COUNTERS
    status = tl.load(counters + STATUS)
    n = tl.load(counters + (MINIMA if dim == 0 else (EDGES if dim == 1 else MAXIMA)))
    n = tl.where((status == OK) | ((status & NAN) == 0) & (dim != 1), n, 0)  # lost loops do not affect the others
    for start in range(program * RUN, n, programs * RUN):
        i = start + tl.arange(0, RUN)
        there = i < n
        if dim == 1:
            square = tl.load(square_of + 2 * (window * most + i), mask=there, other=-1)
            m_pair = square >= 0
            early = tl.load(edges + window * most + i, mask=m_pair, other=0) // EDGES_PER_VOXEL
            late = tl.load(squares + window * most + square, mask=m_pair, other=0) // SQUARES_PER_VOXEL
            essential = m_pair & (square < 0)
        else:
            u = tl.load(extrema + window * voxels + tl.where(dim == 0, i, voxels - 1 - i), mask=there, other=0)
            saddle, elder = unpacked(tl.load(tree + window * (voxels + 1) + u, mask=there, other=0))
            essential = there & (elder == u)
            m_pair = there & (essential == 0)
            saddle //= EACH
            early, late = tl.where(dim == 0, u, saddle), tl.where(dim == 0, saddle, u)
        # In T, births and deaths are exchanged.
        birth, death = (late, early) if TOP else (early, late)
        value_birth = tl.load(x + birth, mask=m_pair, other=0.0)
        value_death = tl.load(x + death, mask=m_pair, other=0.0)
        # The length is NaN where both are the same infinity; the pair is dropped, because its values are equal.
        length = value_death - value_birth
        m_pair &= (value_birth < value_death) & (length > min_persistence)
        length = tl.where(essential, float("inf"), length)
        m_pair |= essential
        death = tl.where(essential, -1, death)
        append(lengths + out, codes + out, counters + PAIRS + dim, length, birth, death, m_pair)
