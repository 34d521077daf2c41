"""Cavities of the masks of volumes that are balls; see `kernels/cpu/curves.py`."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..regions import components, dilate
from ..runtime.jit import kernel
from ..runtime.launch import INTERPRETED, cdiv

_BLOCK = 1024 if INTERPRETED else 256  # voxels of a program


def fill_cavities(mask: Tensor) -> Tensor:
    """Fill the cavities of masks (N, D, H, W), bool, that are balls, unless that changes the number of components."""
    n, *window = mask.shape
    blocks = cdiv(mask[0].numel(), _BLOCK)
    root, _ = components(dilate(mask.view(torch.uint8), 0), across_corners=False)
    characteristic, outside = (torch.zeros(mask.shape, dtype=torch.int32, device=mask.device) for _ in range(2))
    grid, options = (n * blocks,), {"BLOCK": _BLOCK, "num_warps": 4}
    _measure[grid](root, characteristic, outside, *window, blocks, **options)
    filled = torch.empty_like(mask)
    parent = torch.empty((2, *mask.shape), dtype=torch.int32, device=mask.device)
    _fill[grid](root, characteristic, outside, filled.view(torch.uint8), parent, mask[0].numel(), n, blocks, **options)
    _, first = components(parent.view(2 * n, *window))
    counts = first.view(2, n, -1).sum(dim=2)
    return torch.where((counts[0] == counts[1]).view(n, 1, 1, 1), filled, mask)


@kernel(do_not_specialize=["depth", "height", "width", "blocks"])
def _measure(
    root,  # [N, D, H, W] int32: the first voxel of the component of the background, or -1
    characteristic,  # [N, D, H, W] int32, zeros before, changed at roots
    outside,  # [N, D, H, W] int32, zeros before; 1 written at the roots of components that touch the rim
    depth,
    height,
    width,
    blocks,
    BLOCK: tl.constexpr,
):
    """Add to the Euler characteristics of the components what begins at BLOCK voxels of one window.

    That is the voxel, minus pairs of adjacent voxels, plus squares of four, minus cubes of eight, which cancel away
    from the surface of a component. Programs share only the sums and marks, whose order does not matter.
    """
    window = (tl.program_id(0) // blocks).to(tl.int64) * (depth * height * width)
    voxel = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)
    z, y, x = voxel // (height * width), voxel // width % height, voxel % width
    at = tl.load(root + window + voxel, mask=z < depth, other=-1)
    there = (z < depth) & (at >= 0)
    inside_z, inside_y, inside_x = there & (z < depth - 1), there & (y < height - 1), there & (x < width - 1)
    has_z = _is_there(root + window + voxel + height * width, inside_z)
    has_y = _is_there(root + window + voxel + width, inside_y)
    has_x = _is_there(root + window + voxel + 1, inside_x)
    has_zy = _is_there(root + window + voxel + height * width + width, has_z & has_y)
    has_zx = _is_there(root + window + voxel + height * width + 1, has_z & has_x)
    has_yx = _is_there(root + window + voxel + width + 1, has_y & has_x)
    has_all = _is_there(root + window + voxel + height * width + width + 1, has_zy & has_zx & has_yx)
    change = 1 - has_z.to(tl.int32) - has_y.to(tl.int32) - has_x.to(tl.int32)
    change += has_zy.to(tl.int32) + has_zx.to(tl.int32) + has_yx.to(tl.int32) - has_all.to(tl.int32)
    tl.atomic_add(characteristic + window + at, change, mask=there & (change != 0), sem="relaxed")
    at_rim = (z == 0) | (z == depth - 1) | (y == 0) | (y == height - 1) | (x == 0) | (x == width - 1)
    tl.atomic_or(outside + window + at, 1, mask=there & at_rim, sem="relaxed")


@triton.jit
def _is_there(root, inside):
    return inside & (tl.load(root, mask=inside, other=-1) >= 0)


@kernel(do_not_specialize=["voxels", "windows", "blocks"])
def _fill(
    root,  # [N, voxels] int32
    characteristic,  # [N, voxels] int32
    outside,  # [N, voxels] int32
    filled,  # [N, voxels] uint8, written
    parent,  # [2, N, voxels] int32, written: the voxels that are filled, and those of the mask, or -1
    voxels,
    windows,
    blocks,
    BLOCK: tl.constexpr,
):
    """Fill the balls among BLOCK voxels of one window."""
    window = (tl.program_id(0) // blocks).to(tl.int64) * voxels
    voxel = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)
    there = voxel < voxels
    at = tl.load(root + window + voxel, mask=there, other=-1)
    of_background = there & (at >= 0)
    is_ball = tl.load(characteristic + window + at, mask=of_background, other=0) == 1
    is_ball &= tl.load(outside + window + at, mask=of_background, other=1) == 0
    is_filled = (of_background == 0) | is_ball
    tl.store(filled + window + voxel, is_filled, mask=there)
    tl.store(parent + window + voxel, tl.where(is_filled, voxel, -1), mask=there)
    tl.store(parent + windows.to(tl.int64) * voxels + window + voxel, tl.where(of_background, -1, voxel), mask=there)
