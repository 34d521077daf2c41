"""Spanning tree: the best edges that connect all pixels of a window, as a merge tree with a random order of seniority.

See `maximin`, which counts the pairs that these edges decide.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .runtime.jit import kernel
from .runtime.launch import INTERPRETED, WARP, cdiv
from .tree import packed, rank, unpacked, word_type

_BLOCK = 1024 if INTERPRETED else WARP  # edges or pixels of a program, one per lane, as each lane climbs on its own


def spanning_tree(cost: Tensor) -> tuple[Tensor, Tensor]:
    """Find the maximum spanning trees of N windows.

    Parameters
    ----------
    cost : Tensor, shape (N, axes, *window), float32 or float64, contiguous, not empty

    Returns
    -------
    order : Tensor, shape (N, axes * P), int64
        The edges by rank: in the order of decreasing costs, and equal ones in the order of their indices.
    links : Tensor, shape (N, P), int64
        For each pixel, parent * 2^32 + rank of an edge: the edge joins the component whose eldest pixel it is to the
        component of the parent. P * 2^32 for the eldest pixel of all.
    """
    n, axes, *window = cost.shape
    _, height, width = (*[1] * (3 - axes), *window)
    pixels = cost[0, 0].numel()
    edges = axes * pixels
    over_edges, over_pixels = cdiv(edges, _BLOCK), cdiv(pixels, _BLOCK)
    sizes, settings = (pixels, height, width, over_edges), {"AXES": axes, "BLOCK": _BLOCK, "num_warps": 1}
    keys = torch.empty((n, edges), dtype=torch.int32 if cost.element_size() == 4 else torch.int64, device=cost.device)
    words = torch.empty((n, pixels), dtype=word_type(pixels, edges), device=cost.device)
    _order[(n * over_edges,)](cost, keys, words, *sizes, **settings)
    order = keys.sort(dim=1, stable=True).indices
    del keys
    _join[(n * over_edges,)](order, words, *sizes, **settings)
    links = torch.empty((n, pixels), dtype=torch.int64, device=cost.device)
    _find_parents[(n * over_pixels,)](words, links, pixels, over_pixels, BLOCK=_BLOCK, num_warps=1)
    return order, links


@kernel(do_not_specialize=["pixels", "height", "width", "blocks"], do_not_specialize_on_alignment=["cost"])
def _order(
    cost,  # [N, AXES * pixels] float32 or float64
    keys,  # [N, AXES * pixels] int32 or int64, written
    words,  # [N, pixels] int32 or int64, written: each pixel is a root
    pixels,
    height,
    width,
    blocks,
    AXES: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Write the keys of BLOCK edges of one window. The higher the cost, the lower the key; -0 has the key of 0."""
    window = (tl.program_id(0) // blocks).to(tl.int64)
    edge = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)
    _, _, there = _ends(edge, pixels, height, width, AXES)
    value = tl.load(cost + window * AXES * pixels + edge, mask=there, other=0.0)
    bits = value.to(keys.dtype.element_ty, bitcast=True)
    most: tl.constexpr = ~(-1 << (keys.dtype.element_ty.primitive_bitwidth - 1))
    bits = tl.where(bits < 0, bits ^ most, bits)
    tl.store(keys + window * AXES * pixels + edge, tl.where(bits == -1, -1, ~bits), mask=edge < AXES * pixels)
    root = packed(tl.zeros_like(edge), edge, words.dtype.element_ty)
    tl.store(words + window * pixels + edge, root, mask=edge < pixels)


@triton.jit
def _ends(edge, pixels, height, width, AXES: tl.constexpr):
    """Return the two pixels of edges, and whether the edges exist: the last pixels of an axis have none along it."""
    axis, u = edge // pixels + (3 - AXES), edge % pixels
    area = height * width
    step = tl.where(axis == 2, 1, tl.where(axis == 1, width, area))
    place = tl.where(axis == 2, u % width, tl.where(axis == 1, u // width % height, u // area))
    size = tl.where(axis == 2, width, tl.where(axis == 1, height, pixels // area))
    return u, u + step, (axis < 3) & (place + 1 < size)


@kernel(do_not_specialize=["pixels", "height", "width", "blocks"])
def _join(
    order,  # [N, AXES * pixels] int64: the edges by rank
    words,  # [N, pixels] int32 or int64, changed
    pixels,
    height,
    width,
    blocks,
    AXES: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Join the pixels of BLOCK edges of one window in its merge tree.

    This is `tree.join` with the ranks of edges for values, and `tree.rank` for a random order of seniority. Programs
    share nothing but `words`, by volatile reads and atomic swaps. Relaxed order is enough, because each word is true by
    itself.
    """
    window = (tl.program_id(0) // blocks).to(tl.int64)
    words += window * pixels
    s = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)
    edge = tl.load(order + window * AXES * pixels + s, mask=s < AXES * pixels, other=0).to(tl.int32)
    u, v, active = _ends(edge, pixels, height, width, AXES)
    active &= s < AXES * pixels
    while tl.max(active.to(tl.int32), 0) != 0:
        word_u = tl.load(words + u, mask=active, other=0, volatile=True)
        word_v = tl.load(words + v, mask=active, other=0, volatile=True)
        s_u, elder_u = unpacked(word_u)
        s_v, elder_v = unpacked(word_v)
        climb_u, climb_v = active & (elder_u != u) & (s_u < s), active & (elder_v != v) & (s_v < s)
        ready = active & (climb_u == 0) & (climb_v == 0)
        v_is_elder = rank(v) > rank(u)
        elder, younger = tl.where(v_is_elder, v, u), tl.where(v_is_elder, u, v)
        taken = tl.atomic_xchg(words + younger, packed(s, elder, word_u.dtype), mask=ready, sem="relaxed")
        s_taken, elder_taken = unpacked(taken)
        linked = ready & (elder_taken != younger)  # go on with the link that was displaced
        is_earlier = linked & (s_taken < s)
        u = tl.where(ready, tl.where(is_earlier, younger, elder), tl.where(climb_u, elder_u, u))
        v = tl.where(ready, elder_taken, tl.where(climb_v, elder_v, v))
        s = tl.where(ready, s_taken, s)
        active = (active & (ready == 0) | linked) & (u != v)


@kernel(do_not_specialize=["pixels", "blocks"])
def _find_parents(
    words,  # [N, pixels] int32 or int64
    links,  # [N, pixels] int64, written: parent * 2^32 + rank of the edge; pixels * 2^32 for the eldest
    pixels,
    blocks,
    BLOCK: tl.constexpr,
):
    """Find the parents of BLOCK pixels of one window: the eldest pixels of the components that theirs are joined to."""
    window = (tl.program_id(0) // blocks).to(tl.int64) * pixels
    u = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)
    there = u < pixels
    s, parent = unpacked(tl.load(words + window + u, mask=there, other=0))
    climbs = there & (parent != u)
    parent = tl.where(climbs, parent, pixels)
    s = tl.where(climbs, s, 0)
    while tl.max(climbs.to(tl.int32), 0) != 0:
        s_next, elder = unpacked(tl.load(words + window + parent, mask=climbs, other=0))
        climbs &= (elder != parent) & (s_next < s)
        parent = tl.where(climbs, elder, parent)
    tl.store(links + window + u, parent.to(tl.int64) << 32 | s.to(tl.int64), mask=there)
