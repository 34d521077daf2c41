"""Tubes around the skeletons of masks."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d, max_pool3d

from . import checks, ops


def skeleton_tubes(mask: Tensor, radius: int = 2) -> Tensor:
    """Mark the pixels of masks that are near their skeletons, as `SkeletonRecallLoss` expects them to be found.

    Parameters
    ----------
    mask : Tensor, shape (B, 1, H, W) or (B, 1, D, H, W), bool
        Masks of the objects, such as roads or vessels.
    radius : int
        How many steps along the axes a pixel may be away from the skeleton.

    Returns
    -------
    Tensor, of mask's shape, bool
        Pixels of the mask. Where a skeleton runs between pixels, those on both sides belong to it.

    Raises
    ------
    TypeError, ValueError
        If `mask` is not a bool tensor of such a shape, or `radius` is not an int of 0 or more.

    Notes
    -----
    Skeletons are those of `gpuph.metrics.ccq`: they have as many components and loops as the mask, whose pixels are
    connected across corners, and the symmetries of the grid. They are computed on the device of the mask, and are the
    same on every device.

    Examples
    --------
    >>> import torch, gpuph
    >>> mask = torch.zeros(1, 1, 9, 9, dtype=torch.bool)
    >>> mask[..., 2:7, :] = True
    >>> gpuph.skeleton_tubes(mask, radius=1)[0, 0, :, 4].int()
    tensor([0, 0, 0, 1, 1, 1, 0, 0, 0], dtype=torch.int32)
    """
    radius = checks.integer("radius", radius)
    checks.tensors(mask=mask)
    if mask.dtype != torch.bool or mask.dim() not in (4, 5) or mask.shape[1] != 1:
        raise ValueError(
            f"mask must be bool of shape (B, 1, H, W) or (B, 1, D, H, W), got {mask.dtype} of shape {tuple(mask.shape)}"
        )
    checks.dense("mask", mask)
    return tubes(mask[:, 0], radius).unsqueeze(1)


def tubes(mask: Tensor, radius: int) -> Tensor:
    """Return the tubes of masks (N, *window)."""
    found: Tensor = ops.curve_pixels(mask).unsqueeze(1).to(torch.float32)
    rank = mask.dim() - 1
    pool = max_pool2d if rank == 2 else max_pool3d
    for _ in range(radius):
        along = []
        for axis in range(rank):
            sizes = [3 if i == axis else 1 for i in range(rank)]
            along.append(pool(found, sizes, 1, [size // 2 for size in sizes]))
        found = torch.stack(along).amax(dim=0)
    near: Tensor = (found.squeeze(1) > 0) & mask
    return near
