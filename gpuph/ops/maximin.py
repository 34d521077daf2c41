"""`maximin`: the edges that decide whether pixels are connected."""

from __future__ import annotations

import torch
from torch import Tensor

from . import backend
from .backend import array, by_triton, current_device
from .cpu_kernels import cpu
from .define import define


def _fake(cost: Tensor, region: Tensor, same: bool) -> Tensor:
    return cost.new_empty(cost.shape, dtype=torch.int64)


def _run(cost: Tensor, region: Tensor, same: bool) -> Tensor:
    if not by_triton(cost):
        return torch.from_numpy(cpu.maximin(array(cost), array(region), same=same)).to(cost.device)
    if cost.shape[1:].numel() >= 2**31:
        raise ValueError(
            f"windows on the GPU must have less than 2^31 / {cost.shape[1]} pixels, got {tuple(cost.shape[2:])}; with"
            ' gpuph.use_kernels("cpu") larger ones are computed on the CPU'
        )
    with current_device(cost):
        return backend.triton.maximin(cost, region, same=same)


define("maximin(Tensor cost, Tensor region, bool same) -> Tensor", _fake, _run)


def maximin(cost: Tensor, region: Tensor, *, same: bool) -> Tensor:
    """Count the pairs of pixels that each edge of a grid decides, as the least edge on the best path between them.

    Parameters
    ----------
    cost : Tensor, shape (N, axes, *window), float32 or float64
        Cost of the edge from each pixel to the next one along an axis. The costs of the last pixels of an axis are not
        read. Of equal edges, the first by index counts as the greater.
    region : Tensor, shape (N, *window), int32
        The region of each pixel, 0 for none.
    same : bool
        Count pairs of pixels of one region (True) or of different regions (False).

    Returns
    -------
    Tensor, shape (N, axes, *window), int64
        Numbers of pairs, 0 for edges that decide none.
    """
    return torch.ops.gpuph.maximin(cost, region, same)
