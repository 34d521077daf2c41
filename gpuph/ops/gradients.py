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


class Distance(torch.autograd.Function):
    """`distance`, computed with coordinates that are multiplied by a power of two."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        birth_a, death_a, count_a, birth_b, death_b, count_b, *partners = arguments
        _, *slopes = torch.ops.gpuph.cost(*arguments, True)
        # Match does not see what is 2**480 times smaller than the largest coordinate.
        least = 2.0**-480 * torch.maximum(_farthest(birth_a, death_a, count_a), _farthest(birth_b, death_b, count_b))
        scale, unit = _powers_of_two(torch.maximum(least, torch.maximum(*(_largest(x) for x in slopes))))
        birth_a, death_a, birth_b, death_b = (x * scale[:, None] for x in (birth_a, death_a, birth_b, death_b))
        cost, *slopes = torch.ops.gpuph.cost(birth_a, death_a, count_a, birth_b, death_b, count_b, *partners, True)
        root: Tensor = cost.sqrt()
        ctx.save_for_backward(root, *slopes)
        return root * unit

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        _differentiated_once()
        root, *slopes = ctx.saved_tensors
        grad = (grad / (2 * root)).where(root != 0, 0.0)  # at 0, the root's own gradient is infinite
        grads: list[Tensor | None] = []
        for part in slopes:
            grads += [*(grad[:, None, None] * part).unbind(1), None]
        return *grads, None, None


def _farthest(birth: Tensor, death: Tensor, count: Tensor) -> Tensor:
    """Return the largest finite coordinate of every window's points, without its sign."""
    there = torch.arange(birth.shape[1], device=birth.device) < count[:, None]
    return _largest(
        torch.stack((birth, death), dim=1).where((birth.isfinite() & death.isfinite() & there)[:, None], 0.0)
    )


def _largest(x: Tensor) -> Tensor:
    """Return the largest value of every window, without its sign; 0 where there are none."""
    return x.abs().flatten(1).amax(1) if x.shape[2] else x.new_zeros(len(x))


def _powers_of_two(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return powers of two, the product of which with x is about 1, and their inverses."""
    integer, digits, bias = (torch.int64, 52, 1023) if x.dtype == torch.float64 else (torch.int32, 23, 127)
    exponent = (2 * bias - (x.view(integer) >> digits)).clamp(1, 2 * bias - 1)
    return (exponent << digits).view(x.dtype), ((2 * bias - exponent) << digits).view(x.dtype)


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
