"""Truncated distance maps, which networks regress: the distance to the nearest road, vessel or neurite."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch._subclasses.fake_tensor import is_fake

from . import checks


def truncated_distance_map(mask: Tensor, truncation: float, *, spacing: float | Sequence[float] = 1.0) -> Tensor:
    """Compute the Euclidean distance of every pixel to the nearest pixel of a mask, truncated.

    Parameters
    ----------
    mask : Tensor, shape (B, 1, H, W) or (B, 1, D, H, W), bool
        True on the centre lines. An image without any has `truncation` everywhere.
    truncation : float
        Largest distance, in the units of `spacing`; in pixels by default.
    spacing : float or sequence of float, one an axis, optional
        Size of a pixel along (y, x), or of a voxel along (z, y, x), in units of length such as um. The default of 1
        gives distances in pixels. For voxels of 4 x 1 x 1 um, take `spacing=(4.0, 1.0, 1.0)`.

    Returns
    -------
    Tensor, of mask's shape, float32
        Distances in the units of `spacing`, 0 on the mask, on the mask's device. CUDA masks are processed on the GPU if
        cupy is installed (the extra `cuda`), and on the CPU otherwise, with one warning.

    Raises
    ------
    TypeError
        If `mask` is not a bool tensor, or `truncation` or `spacing` does not consist of numbers.
    ValueError
        If `mask` has the wrong rank, `truncation` or `spacing` is not positive and finite, or `spacing` does not have
        one number for each axis.

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
    mask = mask.view(torch.uint8) != 0  # a bool that was made by a view may be any byte
    out = torch.empty(mask.shape, dtype=torch.float32, device=mask.device)
    if is_fake(mask):
        return out
    if mask.device.type == "cuda":
        try:
            from cupyx.scipy.ndimage import distance_transform_edt as distance_transform_on_gpu
        except ImportError:
            _warn_of_the_detour()
        else:
            import cupy

            stream = torch.cuda.current_stream(mask.device).cuda_stream
            with cupy.cuda.Device(mask.device.index), cupy.cuda.ExternalStream(stream, mask.device.index):
                for image, distances in zip(~mask[:, 0], out[:, 0], strict=True):
                    found = distance_transform_on_gpu(cupy.from_dlpack(image.byte()), sampling)
                    distances.copy_(torch.utils.dlpack.from_dlpack(found))
            return _truncate(out, mask, truncation)
    for image, distances in zip(~mask[:, 0].cpu().numpy(), out[:, 0], strict=True):
        distances.copy_(torch.from_numpy(distance_transform_edt(image, sampling).astype(np.float32)))
    return _truncate(out, mask, truncation)


@functools.cache  # once
def _warn_of_the_detour() -> None:
    warnings.warn("cupy is not installed (extra `cuda`): distance maps are computed on the CPU", stacklevel=3)


def _truncate(distances: Tensor, mask: Tensor, truncation: float) -> Tensor:
    """Truncate distances in place, and fill images that have no True pixel."""
    empty = ~mask.flatten(1).any(dim=1)
    return distances.masked_fill_(empty.view(-1, *[1] * (mask.dim() - 1)), truncation).clamp_(max=truncation)
