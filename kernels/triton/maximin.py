"""Maximin: count for each edge of a grid the pairs of pixels whose best path it limits; see `kernels/cpu/maximin.py`.

Edges come in decreasing cost, and the edge of rank s that joins two components decides all pairs between them. On the
CPU, components carry their counts by region. Here, all edges are joined at once, and the counts are found afterwards:

1. The merge tree of all pixels over all edges, as for persistence: each pixel but one has a link (s, v), which says
   that its component is joined at s to that of an elder pixel v. Any order of seniority gives the same edges. Since it
   is random here, a component gets a new eldest pixel at few of the edges where it grows: a pixel has about log(pixels)
   ancestors.
2. A link is redirected to the pixel's parent: the eldest pixel of the component that its own is joined to. Parents come
   first, and the children of a parent follow in the order of their ranks, each with all its descendants. Then every
   component that ever exists is an interval of positions. The component of a pixel begins with the pixel, and that of
   its parent ends there.
3. So the edge that joins two components decides as many pairs as the product of their sizes. Of these, the pairs within
   a region are found from the sorted positions of the region: two successive ones lead to the edge that joins their
   components, and two binary searches count the region's pixels in each of the two.

All sums are of integers, so the order of additions does not matter. Pixels without a region are in the tree, and are
not counted.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .runtime.jit import kernel
from .runtime.launch import INTERPRETED, WARP, cdiv
from .spanning_tree import spanning_tree

_BLOCK = 1024 if INTERPRETED else WARP  # pixels of a program, one per lane, as each lane climbs on its own
_LOW = tl.constexpr(0xFFFFFFFF)
_LAST = tl.constexpr(2**63 - 1)  # the key of pixels without a region


def maximin(cost: Tensor, region: Tensor, *, same: bool) -> Tensor:
    """Count the pairs that each edge decides; see `gpuph.ops.maximin`."""
    counts = torch.zeros(cost.shape, dtype=torch.int64, device=cost.device)
    if cost.numel() == 0:
        return counts
    region = region.contiguous()
    n, pixels = len(region), region[0].numel()
    order, links = spanning_tree(cost.contiguous())
    blocks = cdiv(pixels, _BLOCK)
    grid, sizes, settings = (n * blocks,), (pixels, blocks), {"BLOCK": _BLOCK, "num_warps": 1}
    size = torch.zeros((n, pixels), dtype=torch.int32, device=cost.device)
    _add_up[grid](links, region, size, *sizes, **settings)
    by_parent = links.sort(dim=1)
    # These sums may exceed 32 bits, but only differences of less than 2^31 are used.
    up_to = size.gather(1, by_parent.indices).cumsum(1, dtype=torch.int32)
    before, start, position, in_region = (torch.empty_like(like) for like in (size, size, size, links))
    _lay_out[grid](*by_parent, up_to, size, before, start, *sizes, **settings)
    _position[grid](links, region, before, start, position, in_region, *sizes, **settings)
    by_region = in_region.sort(dim=1)
    _count[grid](links, *by_region, position, size, order, counts, *sizes, SAME=same, AXES=cost.shape[1], **settings)
    return counts


@kernel(do_not_specialize=["pixels", "blocks"])
def _add_up(
    links,  # [N, pixels] int64
    region,  # [N, pixels] int32
    size,  # [N, pixels] int32, zeros before, changed: pixels that have a region, among a pixel and its descendants
    pixels,
    blocks,
    BLOCK: tl.constexpr,
):
    """Add BLOCK pixels of one window to their own sizes and to those of their ancestors."""
    window = (tl.program_id(0) // blocks).to(tl.int64) * pixels
    u = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)
    climbs = (u < pixels) & (tl.load(region + window + u, mask=u < pixels, other=0) != 0)
    while tl.max(climbs.to(tl.int32), 0) != 0:
        tl.atomic_add(size + window + u, 1, mask=climbs, sem="relaxed")
        u = (tl.load(links + window + u, mask=climbs, other=0) >> 32).to(tl.int32)
        climbs &= u < pixels


@kernel(do_not_specialize=["pixels", "blocks"])
def _lay_out(
    sorted_links,  # [N, pixels] int64: children by parent and rank
    child,  # [N, pixels] int64: the pixels that have these links
    up_to,  # [N, pixels] int32: sums of the sizes of children
    size,  # [N, pixels] int32
    before,  # [N, pixels] int32, written: the sum before each child
    start,  # [N, pixels] int32, written for parents: the sum before their first child
    pixels,
    blocks,
    BLOCK: tl.constexpr,
):
    """Write the sums before BLOCK children of one window. The first child of a parent writes the parent's start."""
    window = (tl.program_id(0) // blocks).to(tl.int64) * pixels
    i = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)
    there = i < pixels
    u = tl.load(child + window + i, mask=there, other=0)
    parent = tl.load(sorted_links + window + i, mask=there, other=0) >> 32
    last_parent = tl.load(sorted_links + window + i - 1, mask=there & (i > 0), other=-1) >> 32
    found = tl.load(up_to + window + i, mask=there, other=0) - tl.load(size + window + u, mask=there, other=0)
    tl.store(before + window + u, found, mask=there)
    tl.store(start + window + parent, found, mask=there & (parent < pixels) & (parent != last_parent))


@kernel(do_not_specialize=["pixels", "blocks"])
def _position(
    links,  # [N, pixels] int64
    region,  # [N, pixels] int32
    before,  # [N, pixels] int32
    start,  # [N, pixels] int32
    position,  # [N, pixels] int32, written: how many pixels that have a region come before
    in_region,  # [N, pixels] int64, written: region * 2^32 + position, or _LAST
    pixels,
    blocks,
    BLOCK: tl.constexpr,
):
    """Find the positions of BLOCK pixels of one window: sums over their ancestors."""
    window = (tl.program_id(0) // blocks).to(tl.int64) * pixels
    pixel = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)
    there = pixel < pixels
    place = tl.zeros_like(pixel)
    u = pixel + 0
    climbs = there
    while tl.max(climbs.to(tl.int32), 0) != 0:
        parent = (tl.load(links + window + u, mask=climbs, other=0) >> 32).to(tl.int32)
        climbs &= parent < pixels
        among = tl.load(before + window + u, mask=climbs, other=0) - tl.load(
            start + window + parent, mask=climbs, other=0
        )
        known = tl.load(region + window + parent, mask=climbs, other=0) != 0
        place += tl.where(climbs, among + known.to(tl.int32), 0)
        u = parent
    label = tl.load(region + window + pixel, mask=there, other=0).to(tl.int64)
    tl.store(position + window + pixel, place, mask=there)
    tl.store(in_region + window + pixel, tl.where(label != 0, label << 32 | place, _LAST), mask=there)


@kernel(do_not_specialize=["pixels", "blocks"])
def _count(
    links,  # [N, pixels] int64
    sorted_keys,  # [N, pixels] int64: the results of `_position`, in order
    sorted_pixels,  # [N, pixels] int64: the pixels that have these keys
    position,  # [N, pixels] int32
    size,  # [N, pixels] int32
    order,  # [N, AXES * pixels] int64: the edges by rank
    counts,  # [N, AXES * pixels] int64, changed
    pixels,
    blocks,
    SAME: tl.constexpr,
    AXES: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Count pairs of one window: if SAME those within regions, which BLOCK keys give, and otherwise all other pairs.

    Otherwise, all pairs that BLOCK links decide are added, and those within regions are subtracted. Programs add to the
    same counts.
    """
    window = (tl.program_id(0) // blocks).to(tl.int64) * pixels
    links += window
    sorted_keys += window
    position += window
    size += window
    order += window * AXES
    counts += window * AXES
    i = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)
    if not SAME:
        link = tl.load(links + i, mask=i < pixels, other=-1)
        linked = (i < pixels) & ((link >> 32) < pixels)
        edge = tl.load(order + (link & _LOW), mask=linked, other=0)
        joined = tl.load(position + i, mask=linked, other=0) - tl.load(position + (link >> 32), mask=linked, other=0)
        pairs = joined.to(tl.int64) * tl.load(size + i, mask=linked, other=0)
        tl.atomic_add(counts + edge, pairs, mask=linked & (pairs != 0), sem="relaxed")

    key = tl.load(sorted_keys + i, mask=i < pixels, other=_LAST)
    last_key = tl.load(sorted_keys + i - 1, mask=(i < pixels) & (i > 0), other=_LAST)
    there = (key != _LAST) & (last_key != _LAST) & ((key >> 32) == (last_key >> 32))
    label, last_place = key - (key & _LOW), (last_key & _LOW).to(tl.int32)
    # Of the pixel and its ancestors, the last one whose component does not contain the last place. It has a parent,
    # because the eldest pixel has the position 0, and its component contains all others.
    u = tl.load(sorted_pixels + window + i, mask=there, other=0).to(tl.int32)
    link = tl.load(links + u, mask=there, other=0)
    begin = tl.load(position + (link >> 32), mask=there, other=0)
    climbs = there & (begin > last_place)
    while tl.max(climbs.to(tl.int32), 0) != 0:
        u = tl.where(climbs, (link >> 32).to(tl.int32), u)
        link = tl.where(climbs, tl.load(links + u, mask=climbs, other=0), link)
        begin = tl.where(climbs, tl.load(position + (link >> 32), mask=climbs, other=0), begin)
        climbs &= begin > last_place
    end = tl.load(position + u, mask=there, other=0) + tl.load(size + u, mask=there, other=0)
    first = _keys_before(label | begin, sorted_keys, i, there, pixels)
    last = _keys_before(label | end, sorted_keys, i, there, pixels)
    pairs = (i - first).to(tl.int64) * (last - i)
    edge = tl.load(order + (link & _LOW), mask=there, other=0)
    tl.atomic_add(counts + edge, pairs if SAME else -pairs, mask=there, sem="relaxed")


@triton.jit
def _keys_before(key, sorted_keys, i, there, pixels):
    """Return how many keys of a window come before each key."""
    low, high = tl.zeros_like(i), tl.zeros_like(i) + pixels
    while tl.max((there & (low < high)).to(tl.int32), 0) != 0:
        middle = (low + high) // 2
        m_half = there & (low < high)
        comes_before = tl.load(sorted_keys + middle, mask=m_half, other=0) < key
        low, high = (
            tl.where(m_half & comes_before, middle + 1, low),
            tl.where(m_half & (comes_before == 0), middle, high),
        )
    return low
