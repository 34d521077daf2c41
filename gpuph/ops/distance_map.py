"""`distance_map`: the truncated Euclidean distance transform of masks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gpuph.kernels import Scale

from . import backend
from .backend import array, by_triton, current_device, tensor
from .cpu_kernels import cpu
from .define import define


def _fake(mask: Tensor, truncation: float, spacing: Sequence[float]) -> Tensor:
    return mask.new_empty(mask.shape, dtype=torch.float32)


def _run(mask: Tensor, truncation: float, spacing: Sequence[float]) -> Tensor:
    scale = Scale.of(truncation, spacing)
    if not by_triton(mask):
        return tensor(cpu.distance_map(array(mask), scale), mask.device)
    with current_device(mask):
        return backend.triton.distance_map(mask, scale)


define("distance_map(Tensor mask, float truncation, float[] spacing) -> Tensor", _fake, _run)


def distance_map(mask: Tensor, truncation: float, spacing: Sequence[float]) -> Tensor:
    """Compute the distance of every pixel to the nearest True pixel of its image.

    Results are the same on every device, bit for bit. They have no gradient.

    Parameters
    ----------
    mask : Tensor, shape (B, *image), bool
        Images (H, W) or volumes (D, H, W). Any byte but 0 is True.
    truncation : float
        Largest distance, in the units of `spacing`.
    spacing : sequence of float
        Size of a pixel along each axis.

    Returns
    -------
    Tensor, shape (B, *image), float32
        Distances, exact up to the rounding of float32; `truncation` where there is no True pixel that is nearer.
    """
    return torch.ops.gpuph.distance_map(mask, truncation, spacing)
