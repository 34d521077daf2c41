"""The common dtype of the maps of a loss."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def promote(*maps: Tensor) -> list[Tensor]:
    """Return maps in their common dtype, or in float32 for half precision.

    A gradient that exceeds the range of a map's own dtype becomes the largest number there: 1 / p of a small
    probability p is above 65504, the largest float16, and an infinite gradient would be of no use.
    """
    dtype = torch.float32
    for x in maps:
        dtype = torch.promote_types(dtype, x.dtype)
    return [x if x.dtype == dtype else _Promote.apply(x, dtype) for x in maps]  # type: ignore[no-untyped-call]


class _Promote(torch.autograd.Function):
    """Convert to a wider dtype; the gradient, on its way back, is clamped to the range of the narrower one."""

    @staticmethod
    def forward(x: Tensor, dtype: torch.dtype) -> Tensor:
        return x.to(dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, _ = inputs
        ctx.dtype = x.dtype

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        most = torch.finfo(ctx.dtype).max
        # An infinite gradient stays infinite: a GradScaler looks for it, to lower its scale.
        return grad.clamp(-most, most).where(grad.isfinite(), grad).to(ctx.dtype), None
