"""What the losses share: common dtypes, and the reduction over windows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..diagram import raise_status
from ..persistence import data_decides, debugging


def lifted(*maps: Tensor) -> list[Tensor]:
    """The maps in their common dtype, but float32 for half precision."""
    dtype = torch.float32
    for x in maps:
        dtype = torch.promote_types(dtype, x.dtype)
    return [x.to(dtype) for x in maps]


def reduced(loss: Tensor, status: Tensor, names: Sequence[str], reduction: str, capacity: int = 0) -> Tensor:
    """What the losses of windows, of any shape, become.

    status : (k n,) int32, not 0 where one of the n windows of the first, ..., the k-th argument of those names holds a
    NaN or has lost its loops, see `Diagrams`. That must not pass unseen: it raises where looking costs nothing or was
    asked for, and makes the loss NaN. capacity : of `Diagrams`, if any were computed.
    """
    if data_decides(status) or debugging():
        raise_status(status, names, capacity)
    if not data_decides(status):
        loss = loss.masked_fill(status.view(len(names), -1).any(dim=0).view(loss.shape), math.nan)
    if reduction == "mean":
        return loss.mean()
    return loss.sum() if reduction == "sum" else loss


def described(loss: torch.nn.Module, settings: str) -> str:
    """The settings of those names, for a loss's `extra_repr`."""
    return ", ".join(f"{name}={getattr(loss, name)!r}" for name in settings.split())
