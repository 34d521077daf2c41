"""`attach`: give births and deaths the gradient of the pixels that they were read from."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual

from gpuph.kernels import Pairs

from .define import define


def _fake(read: Tensor, values: Tensor, index: Tensor) -> Tensor:
    return torch.empty_like(read)


def _run(read: Tensor, values: Tensor, index: Tensor) -> Tensor:
    return read.clone()


define("attach(Tensor read, Tensor values, Tensor index) -> Tensor", _fake, _run)


class _Attach(torch.autograd.Function):
    """`attach` with the gradient of `gather`. With `register_autograd`, a call would take 0.1 ms longer."""

    @staticmethod
    def forward(ctx: Any, read: Tensor, values: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        rows = index.view(len(values), index.numel() // max(len(values), 1))
        ctx.save_for_backward(rows)
        ctx.size = values.shape[1]
        out: Tensor = torch.ops.gpuph.attach(read, values, index)
        return out[:, 0], out[:, 1]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (index,) = ctx.saved_tensors
        return None, torch.ops.gpuph.scatter(torch.stack(grads, dim=1).view(index.shape), index, ctx.size), None


def attach(pairs: Pairs[Tensor], values: Tensor) -> tuple[Tensor, Tensor]:
    """Give births and deaths the gradient of the pixels that they were read from; each differs from it by a constant.

    Parameters
    ----------
    pairs : Pairs, shape (N, 2, K)
        Values, and their flat indices in one of the images.
    values : Tensor, shape (B, *image)
        The images, each with its share of the N windows.

    Returns
    -------
    birth, death : Tensor, shape (N, K)
    """
    backward = values.requires_grad and torch.is_grad_enabled()
    forward = unpack_dual(values).tangent is not None  # type: ignore[no-untyped-call]  # raises below
    if not backward and not forward:
        birth, death = pairs.value.unbind(1)
        return birth, death
    return _Attach.apply(pairs.value, values.flatten(1), pairs.index)  # type: ignore[no-untyped-call]
