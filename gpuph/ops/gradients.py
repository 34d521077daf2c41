"""Gradients: gather and scatter are each other's adjoint, and the cost brings its slopes along."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def _save_gather(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    values, index = inputs
    ctx.save_for_backward(index)
    ctx.size = values.shape[1]


def _gather_backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
    (index,) = ctx.saved_tensors
    return torch.ops.gpuph.scatter(grad, index, ctx.size), None


def _save_scatter(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(inputs[1])


def _scatter_backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
    (index,) = ctx.saved_tensors
    return torch.ops.gpuph.gather(grad, index), None, None


torch.library.register_autograd("gpuph::gather", _gather_backward, setup_context=_save_gather)
torch.library.register_autograd("gpuph::scatter", _scatter_backward, setup_context=_save_scatter)


# What `register_autograd` makes of these two takes a tenth of a millisecond longer, in every training step.


class Attach(torch.autograd.Function):
    """`attach`, with the gradient of `gather`."""

    @staticmethod
    def forward(ctx: Any, read: Tensor, values: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        rows = index.view(len(values), index.numel() // max(len(values), 1))
        _save_gather(ctx, (values, rows), read)
        out: Tensor = torch.ops.gpuph.attach(read, values, index)
        return out[:, 0], out[:, 1]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (index,) = ctx.saved_tensors
        return None, *_gather_backward(ctx, torch.stack(grads, dim=1).view(index.shape))


class Cost(torch.autograd.Function):
    """`cost`, whose slopes come with it."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        total, *slopes = torch.ops.gpuph.cost(*arguments)
        ctx.save_for_backward(*slopes)
        out: Tensor = total
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # the slopes would count as constants, and second derivatives be wrong
            raise RuntimeError("the cost of a matching is differentiable once; create_graph=True is not supported")
        slopes = zip(ctx.saved_tensors, ctx.needs_input_grad, strict=False)
        return *(grad[:, None] * slope if needed else None for slope, needed in slopes), None, None, None
