"""Pruning: which of the cancelled edges have paths in the skeleton, in images and volumes.

The cancelled edges that join minima form trees, in each of which one minimum lasts, the root. Those on the paths from
the ends of lasting edges to the roots are in the skeleton. To find them, leaves of the trees are pruned until every
leaf is a root or such an end.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from .counters import COUNTERS, MINIMA, OK, STATUS
from .runtime.jit import kernel
from .tree import Trees

_LOW = tl.constexpr(0xFFFFFFFF)
# Bits of a minimum: whether its own edge is cancelled, and whether it is an end of an edge that lasts.
_CANCELLED, _END = tl.constexpr(1), tl.constexpr(2)


class Forest(NamedTuple):
    """The trees of N windows of P pixels or voxels, with M places for edges; zeros at first.

    Kernels take pointers to those of one window.
    """

    ends: Any  # (N, M) int64, by place, of cancelled edges that join minima: one minimum * 2^32 + the other
    joined: Any  # (N, P) int64, for each minimum, the sum of 2^32 + place over such edges
    kept: Any  # (N, M) int32, by place: 1 for edges that last, and for those that join minima until they are pruned
    state: Any  # (N, P) int32, at minima: see _CANCELLED and _END


def new_forest(n: int, pixels: int, places: int, device: torch.device) -> Forest:
    """Allocate the trees of n windows."""

    def zeros(columns: int, dtype: torch.dtype) -> Tensor:
        return torch.zeros((n, columns), dtype=dtype, device=device)

    wide, narrow = torch.int64, torch.int32
    return Forest(zeros(places, wide), zeros(pixels, wide), zeros(places, narrow), zeros(pixels, narrow))


def prune(trees: Trees, forest: Forest, programs: int, block: int) -> None:
    """Set `kept` to 0 for edges that are not on a path to a root, with that many programs for each window."""
    n, pixels = trees.extrema.shape
    if n:
        sizes = pixels, forest.kept.shape[1], programs
        _prune[(n * programs,)](trees.extrema, trees.counters, *forest, *sizes, BLOCK=block, num_warps=1)


@triton.jit
def plant(a, b, u, place, lasts, joins, forest):
    """Add edges to the trees of a window, given by both minima below them, and by the one whose class they end.

    lasts : the lanes whose edges last. joins : those whose edges are cancelled and join minima. forest : pointers.
    Lanes and programs only add numbers and set bits in what they share. Relaxed order is enough, because no program
    reads it before the launch is over.
    """
    tl.store(forest.kept + place, 1, mask=lasts | joins)
    tl.atomic_or(forest.state + a, _END, mask=lasts, sem="relaxed")
    tl.atomic_or(forest.state + b, _END, mask=lasts, sem="relaxed")
    tl.atomic_or(forest.state + u, _CANCELLED, mask=joins, sem="relaxed")
    tl.store(forest.ends + place, a.to(tl.int64) << 32 | b, mask=joins)
    link = place.to(tl.int64) + (_LOW + 1)
    tl.atomic_add(forest.joined + a, link, mask=joins, sem="relaxed")
    tl.atomic_add(forest.joined + b, link, mask=joins, sem="relaxed")


@kernel(do_not_specialize=["pixels", "places", "programs"])
def _prune(
    extrema,  # [N, pixels] int32
    counters,  # [N, COUNTERS] int32
    ends,  # [N, places] int64
    joined,  # [N, pixels] int64, changed
    kept,  # [N, places] int32, changed: 0 for edges that are pruned
    state,  # [N, pixels] int32
    pixels,
    places,
    programs,
    BLOCK: tl.constexpr,
):
    """Prune leaves, beginning with every `programs`-th block of one window's minima, until none is left.

    The word of a minimum in `joined` adds up 2^32 + place over its edges. Its high half is 1 if and only if one edge is
    left, whatever the sum of places carries over, and its low half is then the place of this edge. So the lane that
    removes the last edge but one from a minimum knows the last edge, and goes on with it. Another lane may have found
    the same leaf; the edge is pruned by the lane that takes its mark in `kept`. What remains does not depend on the
    order. Programs share only these words and marks. Relaxed order is enough, because all changes of a word are in one
    order, and what a lane reads besides was written before the launch.
    """
    window = (tl.program_id(0) // programs).to(tl.int64)
    ends += window * places
    joined += window * pixels
    kept += window * places
    state += window * pixels
    counters += window * COUNTERS
    n = tl.where(tl.load(counters + STATUS) == OK, tl.load(counters + MINIMA), 0)
    for start in range(tl.program_id(0) % programs * BLOCK, n, programs * BLOCK):
        i = start + tl.arange(0, BLOCK)
        u = tl.load(extrema + window * pixels + i, mask=i < n, other=0)
        word = tl.load(joined + u, mask=i < n, other=0, volatile=True)
        is_leaf = (i < n) & ((word >> 32) == 1)
        is_leaf &= tl.load(state + u, mask=is_leaf, other=0) == _CANCELLED
        while tl.max(is_leaf.to(tl.int32), 0) != 0:
            place = (word & _LOW).to(tl.int32)
            is_leaf &= tl.atomic_xchg(kept + place, 0, mask=is_leaf, sem="relaxed") == 1
            both = tl.load(ends + place, mask=is_leaf, other=0)
            a, b = (both >> 32).to(tl.int32), both.to(tl.int32)
            u = tl.where(u == a, b, a)
            link = place.to(tl.int64) + (_LOW + 1)
            word = tl.atomic_add(joined + u, -link, mask=is_leaf, sem="relaxed") - link
            is_leaf &= (word >> 32) == 1
            is_leaf &= tl.load(state + u, mask=is_leaf, other=0) == _CANCELLED
