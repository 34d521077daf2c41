"""The operators' shapes and dtypes alone, for tracing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from . import registration  # noqa: F401 -- the schemas come first
from .choice import finest


@torch.library.register_fake("gpuph::persistence")
def _(
    x: Tensor, dims: Sequence[int], top: bool, min_persistence: float, capacity: int | None
) -> tuple[Tensor, list[Tensor], list[Tensor], list[Tensor]]:
    index, value, count = _columns(x, x.shape[0], len(dims), capacity)
    return x.new_empty((x.shape[0],), dtype=torch.int32), index, value, count


def _columns(like: Tensor, n: int, each: int, capacity: int | None) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Indices, values and counts of n windows, for `each` diagrams of theirs."""
    index, value, count = [], [], []
    for _ in range(each):
        k = torch.library.get_ctx().new_dynamic_size() if capacity is None else capacity
        index.append(like.new_empty((n, 2, k), dtype=torch.int64))
        value.append(like.new_empty((n, 2, k)))
        count.append(like.new_empty((n,), dtype=torch.int64))
    return index, value, count


@torch.library.register_fake("gpuph::localized")
def _(
    pred: Tensor, target: Tensor, height: Tensor | None, window: Sequence[int], stride: Sequence[int], *arguments: Any
) -> tuple[Tensor, list[Tensor], list[Tensor], list[Tensor]]:
    _, dims, _, capacity = arguments
    counts = [
        -(-(length - size) // step) + 1 for length, size, step in zip(pred.shape[1:], window, stride, strict=True)
    ]
    n = pred.shape[0] * math.prod(counts)
    index, value, count = _columns(pred, 2 * n, len(dims), capacity)
    return pred.new_empty((2 * n,), dtype=torch.int32), index, value, count


@torch.library.register_fake("gpuph::gather")
def _(values: Tensor, index: Tensor) -> Tensor:
    return values.new_empty(index.shape)


@torch.library.register_fake("gpuph::attach")
def _(read: Tensor, values: Tensor, index: Tensor) -> Tensor:
    return torch.empty_like(read)


@torch.library.register_fake("gpuph::scatter")
def _(values: Tensor, index: Tensor, size: int) -> Tensor:
    return values.new_empty((values.shape[0], size))


@torch.library.register_fake("gpuph::match")
def _(*arguments: Any) -> tuple[Tensor, ...]:
    birth_a, _, count_a, birth_b = arguments[:4]
    gap = birth_a.new_empty((birth_a.shape[0],), dtype=finest(birth_a.device))
    return count_a.new_empty(birth_a.shape), count_a.new_empty(birth_b.shape), gap


@torch.library.register_fake("gpuph::cost")
@torch.library.register_fake("gpuph::matched_cost")
def _(*arguments: Any) -> tuple[Tensor, ...]:
    birth_a, birth_b = arguments[0], arguments[3]
    n = birth_a.shape[0]
    return birth_a.new_empty((n,)), *(x.new_empty((n, 2, x.shape[1])) for x in (birth_a, birth_b))


@torch.library.register_fake("gpuph::scatter_slopes")
def _(slopes: Tensor, index: Tensor, count: Tensor, grad: Tensor, images: int, size: int) -> Tensor:
    return slopes.new_empty((images, size))


@torch.library.register_fake("gpuph::regions")
def _(mask: Tensor, radius: int) -> Tensor:
    return mask.new_empty(mask.shape, dtype=torch.int32)


@torch.library.register_fake("gpuph::maximin")
def _(cost: Tensor, region: Tensor, same: bool) -> Tensor:
    return cost.new_empty(cost.shape, dtype=torch.int64)


@torch.library.register_fake("gpuph::skeleton")
def _(x: Tensor, min_persistence: float, manifolds: Sequence[int]) -> Tensor:
    return x.new_empty(x.shape, dtype=torch.bool)
