"""Gradients: gather and scatter are each other's adjoint, and costs bring their slopes along."""

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
        return None, torch.ops.gpuph.scatter(torch.stack(grads, dim=1).view(index.shape), index, ctx.size), None


class Cost(torch.autograd.Function):
    """`cost`, whose slopes come with it."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        out: Tensor
        out, *slopes = torch.ops.gpuph.cost(*arguments)
        ctx.save_for_backward(*slopes)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        _differentiated_once()
        grads: list[Tensor | None] = []
        for i, slopes in enumerate(ctx.saved_tensors):
            needed = ctx.needs_input_grad[3 * i : 3 * i + 2]
            grads += [*(grad[:, None, None] * slopes).unbind(1), None] if any(needed) else [None] * 3
        return *grads, None, None, None


class MatchedCost(torch.autograd.Function):
    """`matched_cost`, which saves slopes and pixels."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        image_a, index_a, *points_a, image_b, index_b, value_b, count_b, squared = arguments
        points = *_points(*points_a), *_points(value_b, count_b)
        out: Tensor
        out, *slopes = torch.ops.gpuph.matched_cost(*points, squared)
        parts = (slopes[0], index_a, points_a[1]), (slopes[1], index_b, count_b)
        needed = ctx.needs_input_grad[0], ctx.needs_input_grad[4]
        ctx.save_for_backward(*(x if need else None for part, need in zip(parts, needed, strict=True) for x in part))
        ctx.shapes = image_a.shape, image_b.shape
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        _differentiated_once()
        grads: list[Tensor | None] = []
        saved = ctx.saved_tensors  # read once: each read unpacks all tensors anew, which a checkpoint allows only once
        for i, shape in enumerate(ctx.shapes):
            part = saved[3 * i : 3 * i + 3]
            needed = ctx.needs_input_grad[4 * i]
            grads += [torch.ops.gpuph.scatter_slopes(*part, grad, *shape) if needed else None, None, None, None]
        return *grads, None


def _points(value: Tensor, count: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Births, deaths and counts."""
    return value[:, 0], value[:, 1], count


def _differentiated_once() -> None:
    if torch.is_grad_enabled():  # the slopes would count as constants, and second derivatives be wrong
        raise RuntimeError("the cost of a matching is differentiable once; create_graph=True is not supported")
