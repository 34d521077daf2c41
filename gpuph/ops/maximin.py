"""`regions` and `maximin`: parts of windows, and the edges that decide whether their pixels are connected."""

from __future__ import annotations

import torch
from torch import Tensor

from gpuph.kernels import cpu

from .backend import array, warn_of_detour
from .define import define


def _fake_regions(mask: Tensor, radius: int) -> Tensor:
    return mask.new_empty(mask.shape, dtype=torch.int32)


def _run_regions(mask: Tensor, radius: int) -> Tensor:
    warn_of_detour(mask, "regions")
    return torch.from_numpy(cpu.regions(array(mask), radius)).to(mask.device)


def _fake_maximin(cost: Tensor, region: Tensor, same: bool) -> Tensor:
    return cost.new_empty(cost.shape, dtype=torch.int64)


def _run_maximin(cost: Tensor, region: Tensor, same: bool) -> Tensor:
    warn_of_detour(cost, "maximin edges")
    return torch.from_numpy(cpu.maximin(array(cost), array(region), same=same)).to(cost.device)


define("regions(Tensor mask, int radius) -> Tensor", _fake_regions, _run_regions)
define("maximin(Tensor cost, Tensor region, bool same) -> Tensor", _fake_maximin, _run_maximin)


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
        and no two regions of the batch have the same number. Computed on the CPU, wherever the mask is.
    """
    return torch.ops.gpuph.regions(mask, radius)


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
        Numbers of pairs, 0 for edges that decide none. Computed on the CPU, wherever the costs are.
    """
    return torch.ops.gpuph.maximin(cost, region, same)
