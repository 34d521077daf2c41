"""`attach`: give births and deaths the gradient of the pixels that they were read from."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual

from gpuph.kernels import Pairs, Pulls, Spread, Tiling

from .cost import forbid_second_derivative
from .define import define
from .spread_slopes import spread_slopes


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


class _AttachPaths(torch.autograd.Function):
    """`attach_paths`, with the gradient of `spread_slopes`."""

    @staticmethod
    def forward(
        ctx: Any, read: Tensor, goal: Tensor, values: Tensor, index: Tensor, count: Tensor, rule: Spread
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(values, goal, index, count)
        ctx.rule = rule
        out: Tensor = torch.ops.gpuph.attach(read, values, index)
        return out[:, 0], out[:, 1]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        forbid_second_derivative()
        values, goal, index, count = ctx.saved_tensors
        window = tuple(values.shape[1:])
        tiling, each = Tiling(window, window, window, border=False), values.new_ones(len(values))
        pulls = Pulls(torch.stack(grads, dim=1), goal, index, count)
        gradient = spread_slopes(pulls, each, (values, None, None), tiling, ctx.rule)
        return None, None, gradient.view(values.shape), None, None, None


def attach_paths(pairs: Pairs[Tensor], goal: Tensor, values: Tensor, rule: Spread) -> tuple[Tensor, Tensor]:
    """Give births and deaths a gradient in all pixels that must move with them; see `spread_slopes`.

    Parameters
    ----------
    pairs : Pairs, shape (N, 2, K)
        The pairs of N windows, in the dimension of the rule.
    goal : Tensor, shape (N, 2, K)
        Where births and deaths are pulled to.
    values : Tensor, shape (N, *window), of the pairs' dtype
        The windows.
    rule : Spread
        As for `spread_slopes`; the side is 0.

    Returns
    -------
    birth, death : Tensor, shape (N, K)
        Differentiable once with respect to `values`.
    """
    if not values.requires_grad or not torch.is_grad_enabled():
        birth, death = pairs.value.unbind(1)
        return birth, death
    read, index, count = pairs.value, pairs.index, pairs.count
    return _AttachPaths.apply(read, goal, values, index, count, rule)  # type: ignore[no-untyped-call]
