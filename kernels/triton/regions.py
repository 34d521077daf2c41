"""Regions: the parts into which a dilated mask divides windows.

The mask is dilated along one axis after another: the distance of a pixel from the mask, counted along the axes, is the
least sum of a distance along this axis and one along the axes before. A lock-free union-find then joins the pixels that
are left. The parent of a pixel is the pixel itself or an earlier one of its region, and is only ever replaced by an
earlier one.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .runtime.jit import kernel
from .runtime.launch import INTERPRETED, WARP, cdiv

_PIXELS = 1024 if INTERPRETED else 128  # that a program dilates
_BLOCK = 1024 if INTERPRETED else WARP  # pixels of a program, one per lane, as each lane climbs on its own
_FAR = tl.constexpr(2**30)  # farther than any distance

# The neighbours that come before a pixel, by their numbers dx + 1 + 3 (dy + 1) + 9 (dz + 1), the nearest ones first.
_EARLIER = sorted(range(13), key=lambda i: (sum(abs(part) for part in (i % 3 - 1, i // 3 % 3 - 1, i // 9 - 1)), i))
_IN_PLANE = [i for i in _EARLIER if i >= 9]
_ORDER3, _ORDER2 = (tl.constexpr(sum(i << 4 * k for k, i in enumerate(order))) for order in (_EARLIER, _IN_PLANE))
# For each of these 13, a mask of 13 bits of those that touch it.
_TOUCHING = tl.constexpr(
    sum(
        1 << 13 * i + j
        for i in range(13)
        for j in range(13)
        if all(abs(i // step % 3 - j // step % 3) <= 1 for step in (1, 3, 9))
    )
)


def regions(mask: Tensor, radius: int) -> Tensor:
    """Number the parts into which a mask divides N windows; see `gpuph.ops.regions`."""
    region = torch.empty(mask.shape, dtype=torch.int32, device=mask.device)
    if mask.numel() == 0:
        return region
    root, first = components(dilate(mask.contiguous().view(torch.uint8), radius))
    number = first.view(-1).cumsum(0, dtype=torch.int32)
    pixels = mask[0].numel()
    blocks = cdiv(pixels, _BLOCK)
    _number[(len(mask) * blocks,)](root, number, region, pixels, blocks, BLOCK=_BLOCK, num_warps=1)
    return region


def components(parent: Tensor, *, across_corners: bool = True) -> tuple[Tensor, Tensor]:
    """Find the components of sets of pixels, in N windows that are not empty.

    Parameters
    ----------
    parent : Tensor, shape (N, *window), int32
        The flat index of the pixel in its window for pixels in the set, and -1 elsewhere. It is changed.
    across_corners : bool
        Whether pixels that only share an edge or a corner are connected.

    Returns
    -------
    root, first : Tensor, shape (N, *window), int32
        The first pixel of the component, or -1, and 1 for the first pixel of a component, else 0.
    """
    n, *window = parent.shape
    pixels, rank = parent[0].numel(), len(window)
    blocks = cdiv(pixels, _BLOCK)
    sizes = (*[1] * (3 - rank), *window)
    _unite[(n * blocks,)](parent, *sizes, blocks, RANK=rank, CORNERS=across_corners, BLOCK=_BLOCK, num_warps=1)
    root, first = torch.empty_like(parent), torch.empty_like(parent)
    _find[(n * blocks,)](parent, root, first, pixels, blocks, BLOCK=_BLOCK, num_warps=1)
    return root, first


def dilate(mask: Tensor, radius: int) -> Tensor:
    """Return the pixel itself where the distance from a mask (N, *window) exceeds the radius, else -1."""
    window, pixels = mask.shape[1:], mask[0].numel()
    grid = (cdiv(mask.numel(), _PIXELS),)
    values, step = mask, pixels
    for axis, size in enumerate(window):
        last = axis == len(window) - 1 or radius == 0
        out = torch.empty(mask.shape, dtype=torch.int32, device=mask.device)
        step //= size
        sizes = mask.numel(), pixels, size, step, radius, min(radius, size - 1)
        _spread[grid](values, out, *sizes, MASK=axis == 0, LAST=last, BLOCK=_PIXELS, num_warps=4)
        values = out
        if last:
            break
    return values


@kernel(
    do_not_specialize=["total", "pixels", "size", "step", "radius", "reach"],
    do_not_specialize_on_alignment=["values"],
)
def _spread(
    values,  # [total] uint8 mask if MASK, else int32 distances along the axes before
    out,  # [total] int32, written: distances, or the pixel itself or -1 if LAST
    total,  # pixels of all windows
    pixels,  # of a window
    size,  # of the axis
    step,  # from one pixel to the next along it
    radius,
    reach,  # how far along the axis pixels matter
    MASK: tl.constexpr,
    LAST: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Compute the distances of BLOCK pixels from the mask, given those of the pixels on their line along the axis.

    Programs write different pixels, and read only what was there before the launch.
    """
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    place = (i // step % size).to(tl.int32)
    least = tl.full((BLOCK,), _FAR, tl.int32)
    for offset in range(-reach, reach + 1):
        there = (i < total) & (place + offset >= 0) & (place + offset < size)
        value = tl.load(values + i + offset * step, mask=there, other=0)
        far = tl.where(value != 0, 0, _FAR) if MASK else value
        least = tl.where(there, tl.minimum(least, far + (offset if offset > 0 else -offset)), least)
    if LAST:
        least = tl.where(least > radius, (i % pixels).to(tl.int32), -1)
    tl.store(out + i, least, mask=i < total)


@kernel(do_not_specialize=["depth", "height", "width", "blocks"])
def _unite(
    parent,  # [N, D * H * W] int32, changed: -1 outside of regions
    depth,
    height,
    width,
    blocks,
    RANK: tl.constexpr,
    CORNERS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Unite BLOCK pixels of one window with neighbours that come before them, those along the axes if not CORNERS.

    Once a pixel is united with a neighbour, other neighbours that touch this one are skipped, because these two are
    united anyway. To unite two pixels, a lane climbs from both to roots, and lowers the parent of the later root to the
    earlier one. If another lane has linked it meanwhile, the lane goes on with that link. Programs share nothing but
    `parent`, by volatile reads and atomic minima; what was connected stays connected, so relaxed order is enough.
    """
    pixels = depth * height * width
    parent += (tl.program_id(0) // blocks).to(tl.int64) * pixels
    pixel = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)
    z, y, x = pixel // (height * width), pixel // width % height, pixel % width
    there = pixel < pixels
    there &= tl.load(parent + pixel, mask=there, other=-1, volatile=True) >= 0
    united = tl.zeros_like(pixel)
    for k in tl.static_range((13 if RANK == 3 else 4) if CORNERS else RANK):
        dz, dy, dx, bit, touching = _neighbour(k, RANK)
        active = there & (z + dz >= 0) & (y + dy >= 0) & (y + dy < height) & (x + dx >= 0) & (x + dx < width)
        if CORNERS:
            active &= (united & touching) == 0
        v = pixel + (dz * height + dy) * width + dx
        active &= tl.load(parent + v, mask=active, other=-1, volatile=True) >= 0
        united |= tl.where(active, bit, 0)
        u = pixel + 0
        while tl.max(active.to(tl.int32), 0) != 0:
            p_u = tl.load(parent + u, mask=active, other=0, volatile=True)
            p_v = tl.load(parent + v, mask=active, other=0, volatile=True)
            m_roots = active & (p_u == u) & (p_v == v)
            first, last = tl.minimum(u, v), tl.maximum(u, v)
            before = tl.atomic_min(parent + last, first, mask=m_roots, sem="relaxed")
            u = tl.where(m_roots, first, p_u)
            v = tl.where(m_roots, tl.where(before == last, first, before), p_v)
            active &= u != v


@triton.jit
def _neighbour(k: tl.constexpr, RANK: tl.constexpr):
    """Return the steps to a neighbour, its bit, and the mask of the neighbours that touch it."""
    number: tl.constexpr = (_ORDER3 if RANK == 3 else _ORDER2) >> (4 * k) & 15
    touching: tl.constexpr = (_TOUCHING >> (13 * number)) & 0x1FFF
    bit: tl.constexpr = 2**number
    return number // 9 - 1, number // 3 % 3 - 1, number % 3 - 1, bit, touching


@kernel(do_not_specialize=["pixels", "blocks"])
def _find(
    parent,  # [N, pixels] int32
    root,  # [N, pixels] int32, written: the first pixel of the region, -1 outside of regions
    first,  # [N, pixels] int32, written: 1 for the first pixel of a region, else 0
    pixels,
    blocks,
    BLOCK: tl.constexpr,
):
    """Find the roots of BLOCK pixels of one window."""
    window = (tl.program_id(0) // blocks).to(tl.int64) * pixels
    pixel = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)
    there = pixel < pixels
    at = tl.load(parent + window + pixel, mask=there, other=-1)
    climbs = there & (at >= 0)
    while tl.max(climbs.to(tl.int32), 0) != 0:
        above = tl.load(parent + window + at, mask=climbs, other=0)
        climbs &= above != at
        at = tl.where(climbs, above, at)
    tl.store(root + window + pixel, at, mask=there)
    tl.store(first + window + pixel, (at == pixel).to(tl.int32), mask=there)


@kernel(do_not_specialize=["pixels", "blocks"])
def _number(
    root,  # [N, pixels] int32
    number,  # [N * pixels] int32: how many regions begin up to each pixel
    region,  # [N, pixels] int32, written
    pixels,
    blocks,
    BLOCK: tl.constexpr,
):
    """Write the numbers of BLOCK pixels of one window."""
    window = (tl.program_id(0) // blocks).to(tl.int64) * pixels
    pixel = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)
    there = pixel < pixels
    at = tl.load(root + window + pixel, mask=there, other=-1)
    found = tl.load(number + window + at, mask=there & (at >= 0), other=0)
    tl.store(region + window + pixel, found, mask=there)
