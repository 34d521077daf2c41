"""What the losses share: common dtypes, and the reduction over windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .. import debug


def lifted(*maps: Tensor) -> list[Tensor]:
    """Return the maps in their common dtype, but in float32 for half precision.

    A gradient that exceeds the range of a map's own dtype becomes the largest number there: 1 / p of a small
    probability p is above 65504, the largest float16, and an infinite gradient would be of no use.
    """
    dtype = torch.float32
    for x in maps:
        dtype = torch.promote_types(dtype, x.dtype)
    return [x if x.dtype == dtype else _Lift.apply(x, dtype) for x in maps]  # type: ignore[no-untyped-call]


class _Lift(torch.autograd.Function):
    """Convert to a wider dtype; the gradient, on its way back, is clamped to the range of the narrower one."""

    @staticmethod
    def forward(x: Tensor, dtype: torch.dtype) -> Tensor:
        return x.to(dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.dtype = inputs[0].dtype

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        most = torch.finfo(ctx.dtype).max
        # What is infinite already stays so: a GradScaler looks for it, to lower its scale.
        return grad.clamp(-most, most).where(grad.isfinite(), grad).to(ctx.dtype), None


def reduced(loss: Tensor, status: Tensor, names: Sequence[str], reduction: str, capacity: int = 0) -> Tensor:
    """What the losses of windows, of any shape, become.

    status : (k n,) int32, not 0 where one of the n windows of the first, ..., the k-th argument of those names holds a
    NaN or has lost its loops, see `Diagrams`. That must not pass unseen: it raises where looking costs nothing or was
    asked for, and makes the loss NaN. capacity : of `Diagrams`, if any were computed.
    """
    if debug.checks_now(status):
        debug.raise_status(status, names, capacity)
    if not debug.is_eager_cpu(status):
        loss = loss.masked_fill(status.view(len(names), -1).any(dim=0).view(loss.shape), math.nan)
    if reduction == "mean":
        return loss.mean()
    return loss.sum() if reduction == "sum" else loss


def described(loss: torch.nn.Module, settings: str) -> str:
    """The settings of those names, for a loss's `extra_repr`."""
    return ", ".join(f"{name}={getattr(loss, name)!r}" for name in settings.split())
