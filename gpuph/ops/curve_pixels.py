"""`curve_pixels`: the skeletons of masks."""

from __future__ import annotations

import torch
from torch import Tensor

from .backend import array, warn_of_detour
from .cpu_kernels import cpu
from .define import define
from .thinning import PATIENCE


def _fake(mask: Tensor) -> Tensor:
    return torch.empty_like(mask, memory_format=torch.contiguous_format)


def _run(mask: Tensor) -> Tensor:
    warn_of_detour(mask, "skeletons of masks")
    return torch.from_numpy(cpu.curve_pixels(array(mask), PATIENCE)).to(mask.device)


define("curve_pixels(Tensor mask) -> Tensor", _fake, _run)


def curve_pixels(mask: Tensor) -> Tensor:
    """Mark the pixels of the skeletons of masks.

    Results are the same on every device, bit for bit. They have no gradient.

    Parameters
    ----------
    mask : Tensor, shape (N, *window), bool
        Masks of images or volumes.

    Returns
    -------
    Tensor, shape (N, *window), bool
        Pixels of the mask at which cells of the curves are that remain when it is thinned. Where a curve runs between
        pixels, those on both sides are marked.
    """
    return torch.ops.gpuph.curve_pixels(mask)
