"""`regions`: the parts into which a mask divides windows."""

from __future__ import annotations

import torch
from torch import Tensor

from . import backend
from .backend import array, by_triton, current_device
from .cpu_kernels import cpu
from .define import define


def _fake(mask: Tensor, radius: int) -> Tensor:
    return mask.new_empty(mask.shape, dtype=torch.int32)


def _run(mask: Tensor, radius: int) -> Tensor:
    if not by_triton(mask):
        return torch.from_numpy(cpu.regions(array(mask), radius)).to(mask.device)
    with current_device(mask):
        return backend.triton.regions(mask, radius)


define("regions(Tensor mask, int radius) -> Tensor", _fake, _run)


def regions(mask: Tensor, radius: int) -> Tensor:
    """Number the regions into which a mask divides windows.

    Parameters
    ----------
    mask : Tensor, shape (N, *window), bool
        True on the pixels that divide.
    radius : int
        By how many pixels the mask is dilated first, along the axes.

    Returns
    -------
    Tensor, shape (N, *window), int32
        0 on the dilated mask; elsewhere, the number of the region. Pixels that touch at corners belong to one region,
        and no two regions of the batch have the same number.
    """
    return torch.ops.gpuph.regions(mask, radius)
