"""`matched_cost`: match pairs that were read from images and add up the cost, with the gradient of the pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gpuph.kernels import Pairs, Points, Tiling, cpu

from . import backend
from .backend import array, arrays, by_triton, current_device, tensor
from .cost import fake_costs, forbid_second_derivative
from .define import define


def _fake(
    birth_a: Tensor,
    death_a: Tensor,
    count_a: Tensor,
    birth_b: Tensor,
    death_b: Tensor,
    count_b: Tensor,
    squared: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    return fake_costs(birth_a, birth_b)


def _run(
    birth_a: Tensor,
    death_a: Tensor,
    count_a: Tensor,
    birth_b: Tensor,
    death_b: Tensor,
    count_b: Tensor,
    squared: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    a, b = Points(birth_a, death_a, count_a), Points(birth_b, death_b, count_b)
    if not by_triton(birth_a):
        found, device = cpu.matched_cost(arrays(a), arrays(b), squared=squared), birth_a.device
        return tensor(found.cost, device), tensor(found.slopes_a, device), tensor(found.slopes_b, device)
    with current_device(birth_a):
        return backend.triton.matched_cost(a, b, squared=squared)


def _fake_scatter(
    slopes: Tensor,
    index: Tensor,
    count: Tensor,
    grad: Tensor,
    image: Sequence[int],
    window: Sequence[int],
    stride: Sequence[int],
) -> Tensor:
    tiling = Tiling(tuple(image), tuple(window), tuple(stride), border=False)
    return slopes.new_empty((slopes.shape[0] // tiling.windows(), math.prod(image)))


def _run_scatter(
    slopes: Tensor,
    index: Tensor,
    count: Tensor,
    grad: Tensor,
    image: Sequence[int],
    window: Sequence[int],
    stride: Sequence[int],
) -> Tensor:
    tiling = Tiling(tuple(image), tuple(window), tuple(stride), border=False)
    if not by_triton(slopes):
        parts = array(slopes), array(index), array(count), array(grad)
        return tensor(cpu.scatter_slopes(*parts, tiling), slopes.device)
    with current_device(slopes):
        return backend.triton.scatter_slopes(slopes, index, count, grad, tiling)


define(
    "matched_cost(Tensor birth_a, Tensor death_a, Tensor count_a, Tensor birth_b, Tensor death_b, Tensor count_b,"
    " bool squared) -> (Tensor, Tensor, Tensor)",
    _fake,
    _run,
)
define(
    "scatter_slopes(Tensor slopes, Tensor index, Tensor count, Tensor grad, int[] image, int[] window, int[] stride)"
    " -> Tensor",
    _fake_scatter,
    _run_scatter,
)


class _MatchedCost(torch.autograd.Function):
    """`matched_cost`, which saves slopes and pixels."""

    @staticmethod
    def forward(
        ctx: Any,
        image_a: Tensor,
        index_a: Tensor,
        value_a: Tensor,
        count_a: Tensor,
        image_b: Tensor,
        index_b: Tensor,
        value_b: Tensor,
        count_b: Tensor,
        tiling: Tiling,
        squared: bool,
    ) -> Tensor:
        (birth_a, death_a), (birth_b, death_b) = value_a.unbind(1), value_b.unbind(1)
        a, b = Points(birth_a, death_a, count_a), Points(birth_b, death_b, count_b)
        out: Tensor
        out, slopes_a, slopes_b = torch.ops.gpuph.matched_cost.default(*a, *b, squared)
        needs_a, _, _, _, needs_b, *_ = ctx.needs_input_grad
        saved_a = (slopes_a, index_a, count_a) if needs_a else (None, None, None)
        saved_b = (slopes_b, index_b, count_b) if needs_b else (None, None, None)
        ctx.save_for_backward(*saved_a, *saved_b)
        ctx.tiling = tiling
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        forbid_second_derivative()
        # Read once: each read unpacks all tensors anew, which a checkpoint allows only once.
        slopes_a, index_a, count_a, slopes_b, index_b, count_b = ctx.saved_tensors
        of_a = None if slopes_a is None else scatter_slopes(slopes_a, index_a, count_a, grad, ctx.tiling)
        of_b = None if slopes_b is None else scatter_slopes(slopes_b, index_b, count_b, grad, ctx.tiling)
        return of_a, None, None, None, of_b, None, None, None, None, None


def matched_cost(
    image_a: Tensor, pairs_a: Pairs[Tensor], image_b: Tensor, pairs_b: Pairs[Tensor], tiling: Tiling, *, squared: bool
) -> Tensor:
    """Match pairs that were read from images, and add up the cost.

    This is `attach`, `match` and `cost` in one, without what only the public diagrams need: the columns after the last
    pair may hold anything, and no step reads them.

    Parameters
    ----------
    image_a, image_b : Tensor, shape (B, P)
        The images, each with its share of the N windows.
    pairs_a, pairs_b : Pairs, shapes (N, 2, K) and (N, 2, L)
        Pairs of the windows of each, as of `framed_persistence`.
    tiling : Tiling
        How the images were cut into these windows.
    squared : bool
        As for `match`.

    Returns
    -------
    Tensor, shape (N,)
        Costs, differentiable once with respect to the images.
    """
    return _MatchedCost.apply(image_a, *pairs_a, image_b, *pairs_b, tiling, squared)  # type: ignore[no-untyped-call]


def scatter_slopes(slopes: Tensor, index: Tensor, count: Tensor, grad: Tensor, tiling: Tiling) -> Tensor:
    """Add up the gradients of images, from those of the costs of their windows.

    Parameters
    ----------
    slopes, index : Tensor, shape (N, 2, K)
        Slopes of a window's cost in its births and deaths, and their pixels in the image, int64, negative for none.
        Pixels are in the window; on devices other than the CPU, others may be skipped.
    count : Tensor, shape (N,), int64
        The number of columns to read.
    grad : Tensor, shape (N,), of slopes' dtype
        The factor of each window's slopes.
    tiling : Tiling
        How the images were cut into the N windows; `border` does not matter.

    Returns
    -------
    Tensor, shape (images, pixels of an image)
        Sums, in a fixed order; on the CPU, by windows, then births before deaths, then columns.
    """
    image, window, stride, _ = tiling
    return torch.ops.gpuph.scatter_slopes.default(slopes, index, count, grad, image, window, stride)
