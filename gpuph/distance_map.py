"""Truncated distance maps, which networks regress: the distance to the nearest road, vessel or neurite."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from . import checks, ops


def truncated_distance_map(mask: Tensor, truncation: float, *, spacing: float | Sequence[float] = 1.0) -> Tensor:
    """Compute the Euclidean distance of every pixel to the nearest pixel of a mask, truncated.

    Parameters
    ----------
    mask : Tensor, shape (B, 1, H, W) or (B, 1, D, H, W), bool
        True on the centre lines. An image without any has `truncation` everywhere.
    truncation : float
        Largest distance, in the units of `spacing`; in pixels by default.
    spacing : float or sequence of float, one per axis, optional
        Size of a pixel along (y, x), or of a voxel along (z, y, x), in units of length such as um. The default of 1
        gives distances in pixels. For voxels of 4 x 1 x 1 um, take `spacing=(4.0, 1.0, 1.0)`.

    Returns
    -------
    Tensor, of mask's shape, float32
        Distances in the units of `spacing`, 0 on the mask, on the mask's device. They are the same on every device, bit
        for bit.

    Raises
    ------
    TypeError
        If `mask` is not a bool tensor, or `truncation` or `spacing` does not consist of numbers.
    ValueError
        If `mask` has the wrong rank, `truncation` or `spacing` is not positive and finite, or `spacing` does not have
        one number for each axis.

    Notes
    -----
    Squared distances are minimized along one axis after another, as by Felzenszwalb and Huttenlocher, "Distance
    transforms of sampled functions" (2012), but outwards from each pixel and no farther than the truncation. Time grows
    with the truncation.

    Examples
    --------
    >>> import torch, gpuph
    >>> road = torch.tensor([[[[True, False, False, False, False]]]])
    >>> gpuph.truncated_distance_map(road, truncation=3.0)
    tensor([[[[0., 1., 2., 3., 3.]]]])
    >>> gpuph.truncated_distance_map(road, truncation=9.0, spacing=(1.0, 2.5))
    tensor([[[[0.0000, 2.5000, 5.0000, 7.5000, 9.0000]]]])
    """
    if isinstance(mask, np.ndarray):
        raise TypeError("mask must be a bool tensor, got a NumPy array; torch.from_numpy makes a tensor of it")
    if not isinstance(mask, Tensor):
        raise TypeError(f"mask must be a bool tensor, got {checks.shown(mask)}")
    if mask.dtype != torch.bool:
        raise TypeError(f"mask must be a bool tensor, got {mask.dtype}")
    if mask.dim() not in (4, 5) or mask.shape[1] != 1:
        raise ValueError(f"mask must have the shape (B, 1, H, W) or (B, 1, D, H, W), got {tuple(mask.shape)}")
    truncation = checks.number("truncation", truncation, positive=True)
    sampling = checks.spacing(spacing, mask.dim() - 2)
    return ops.distance_map(mask[:, 0], truncation, sampling or (1.0,) * (mask.dim() - 2))[:, None]
