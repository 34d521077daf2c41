"""`curve_pixels`: the skeletons of masks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from . import backend
from .backend import array, by_triton, current_device
from .cpu_kernels import cpu
from .define import define
from .thinning import PATIENCE


def _fake(mask: Tensor) -> Tensor:
    return torch.empty_like(mask, memory_format=torch.contiguous_format)


def _run(mask: Tensor) -> Tensor:
    if by_triton(mask):
        _check_cells(mask.shape[1:])
        run = partial(backend.triton.curve_pixels, mask, PATIENCE)
        with current_device(mask):
            return backend.triton.replayed(run, (mask,), ("curve_pixels", PATIENCE))
    return torch.from_numpy(cpu.curve_pixels(array(mask), PATIENCE)).to(mask.device)


def _check_cells(window: Sequence[int]) -> None:
    """Raise if windows have more cells than the Triton kernels can number."""
    if math.prod(2 * size + 3 for size in window) >= 2**31:
        raise ValueError(
            "masks on the GPU must have fewer than 2^31 cells, 2n + 3 along an axis of n pixels, got windows of"
            f' {tuple(window)}; with gpuph.use_kernels("cpu") larger ones are computed on the CPU'
        )


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
        Pixels of the mask that the thinned mask, which consists of curves, touches. Where a curve runs between pixels,
        those on both sides are marked.
    """
    return torch.ops.gpuph.curve_pixels(mask)
