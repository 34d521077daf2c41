"""The operators: schemas, fakes, gradients and implementations. The only door to the kernels.

Operators return integers (which pixel, which partner), and `gather` turns them into values. Its backward, a scatter
that adds up in a fixed order, is the only gradient in the package. PyTorch's dispatcher chooses the implementation by
the device of the tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gpuph.kernels import cpu

torch.library.define(
    "gpuph::persistence",
    "(Tensor x, int[] dims, bool top, float min_persistence, int? capacity) -> (Tensor, Tensor[], Tensor[])",
)
torch.library.define("gpuph::gather", "(Tensor values, Tensor index) -> Tensor")
torch.library.define("gpuph::scatter", "(Tensor values, Tensor index, int size) -> Tensor")
torch.library.define(
    "gpuph::match",
    "(Tensor birth_a, Tensor death_a, Tensor count_a, Tensor birth_b, Tensor death_b, Tensor count_b,"
    " bool squared, str solver) -> (Tensor, Tensor, Tensor)",
)


def persistence(
    x: Tensor, dims: Sequence[int], top: bool, min_persistence: float, capacity: int | None
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Compute the pairs of critical pixels of every window.

    Parameters
    ----------
    x : Tensor, shape (N, *window), float32 or float64
        Windows.
    dims : sequence of int
        Homology dimensions wanted.
    top : bool
        True for the construction T (pixels are top cells), False for V (pixels are vertices).
    min_persistence : float
        Only pairs with death - birth above it.
    capacity : int or None
        Columns K of the result; None for the largest count of the batch.

    Returns
    -------
    status : Tensor, shape (N,), int32
        0, or 1 where the window holds a NaN (its pairs are then none).
    index : list of Tensor, each of shape (N, 2, K), int64
        For each of `dims`, flat indices of birth and death pixels, the longest pair first, -1 for none.
    count : list of Tensor, each of shape (N,), int64
        For each of `dims`, how many pairs there are, also where K is smaller.
    """
    status, index, count = torch.ops.gpuph.persistence(x, dims, top, min_persistence, capacity)
    return status, index, count


def gather(values: Tensor, index: Tensor) -> Tensor:
    """Read `values` (N, P) at `index` (N, K), int64, row by row; 0 where the index is -1. Returns (N, K)."""
    out: Tensor = torch.ops.gpuph.gather(values, index)
    return out


def scatter(values: Tensor, index: Tensor, size: int) -> Tensor:
    """Add `values` (N, K) up at `index` (N, K), int64, row by row in order of K; -1 is skipped. Returns (N, size)."""
    out: Tensor = torch.ops.gpuph.scatter(values, index, size)
    return out


def match(
    birth_a: Tensor,
    death_a: Tensor,
    count_a: Tensor,
    birth_b: Tensor,
    death_b: Tensor,
    count_b: Tensor,
    squared: bool,
    solver: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """Match the diagrams of every window optimally.

    Parameters
    ----------
    birth_a, death_a : Tensor, shape (N, K), float32 or float64
        Points of the first diagrams; `birth_b`, `death_b` of shape (N, L) those of the second.
    count_a, count_b : Tensor, shape (N,), int64
        How many of the columns are points.
    squared : bool
        An unmatched point costs half its squared persistence (True) or its distance to the diagonal (False).
    solver : str
        "auto", "augment" (shortest augmenting paths) or "auction".

    Returns
    -------
    partner_a, partner_b : Tensor, shapes (N, K) and (N, L), int64
        Column of the partner, or -1.
    gap : Tensor, shape (N,), float64
        Certified upper bound on the distance of the matching's cost from the optimum.
    """
    partner_a, partner_b, gap = torch.ops.gpuph.match(
        birth_a, death_a, count_a, birth_b, death_b, count_b, squared, solver
    )
    return partner_a, partner_b, gap


# What the CPU does.

_HALVES = (torch.float16, torch.bfloat16)


@torch.library.register_kernel("gpuph::persistence", "cpu")
def _(
    x: Tensor, dims: Sequence[int], top: bool, min_persistence: float, capacity: int | None
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    status, index, count = cpu.persistence(x.contiguous().numpy(), dims, top, min_persistence, capacity)
    return torch.from_numpy(status), [*map(torch.from_numpy, index)], [*map(torch.from_numpy, count)]


@torch.library.register_kernel("gpuph::gather", "cpu")
def _(values: Tensor, index: Tensor) -> Tensor:
    if values.dtype in _HALVES:  # NumPy knows only one of them; to move bits, any type of their size will do
        return gather(values.view(torch.int16), index).view(values.dtype)
    return torch.from_numpy(cpu.gather(values.contiguous().numpy(), index.contiguous().numpy()))


@torch.library.register_kernel("gpuph::scatter", "cpu")
def _(values: Tensor, index: Tensor, size: int) -> Tensor:
    if values.dtype in _HALVES:
        return scatter(values.float(), index, size).to(values.dtype)
    return torch.from_numpy(cpu.scatter(values.contiguous().numpy(), index.contiguous().numpy(), size))


@torch.library.register_kernel("gpuph::match", "cpu")
def _(
    birth_a: Tensor,
    death_a: Tensor,
    count_a: Tensor,
    birth_b: Tensor,
    death_b: Tensor,
    count_b: Tensor,
    squared: bool,
    solver: str,
) -> tuple[Tensor, Tensor, Tensor]:
    points = [t.contiguous().numpy() for t in (birth_a, death_a, count_a, birth_b, death_b, count_b)]
    partner_a, partner_b, gap = cpu.match(*points, squared, solver)
    return torch.from_numpy(partner_a), torch.from_numpy(partner_b), torch.from_numpy(gap)


# Shapes and dtypes alone, for tracing.


@torch.library.register_fake("gpuph::persistence")
def _(
    x: Tensor, dims: Sequence[int], top: bool, min_persistence: float, capacity: int | None
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    n = x.shape[0]
    index, count = [], []
    for _ in dims:
        k = torch.library.get_ctx().new_dynamic_size() if capacity is None else capacity
        index.append(x.new_empty((n, 2, k), dtype=torch.int64))
        count.append(x.new_empty((n,), dtype=torch.int64))
    return x.new_empty((n,), dtype=torch.int32), index, count


@torch.library.register_fake("gpuph::gather")
def _(values: Tensor, index: Tensor) -> Tensor:
    return values.new_empty(index.shape)


@torch.library.register_fake("gpuph::scatter")
def _(values: Tensor, index: Tensor, size: int) -> Tensor:
    return values.new_empty((values.shape[0], size))


@torch.library.register_fake("gpuph::match")
def _(
    birth_a: Tensor,
    death_a: Tensor,
    count_a: Tensor,
    birth_b: Tensor,
    death_b: Tensor,
    count_b: Tensor,
    squared: bool,
    solver: str,
) -> tuple[Tensor, Tensor, Tensor]:
    return (
        count_a.new_empty(birth_a.shape),
        count_b.new_empty(birth_b.shape),
        birth_a.new_empty((birth_a.shape[0],), dtype=torch.float64),
    )


# Gradients: gather and scatter are each other's adjoint.


def _save_gather(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    values, index = inputs
    ctx.save_for_backward(index)
    ctx.size = values.shape[1]


def _gather_backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
    (index,) = ctx.saved_tensors
    return scatter(grad, index, ctx.size), None


def _save_scatter(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(inputs[1])


def _scatter_backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
    (index,) = ctx.saved_tensors
    return gather(grad, index), None, None


torch.library.register_autograd("gpuph::gather", _gather_backward, setup_context=_save_gather)
torch.library.register_autograd("gpuph::scatter", _scatter_backward, setup_context=_save_scatter)
