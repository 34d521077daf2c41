"""The operators: schemas, fakes, gradients and implementations. The only door to the kernels.

None of them is differentiated but three: `attach` gives values that were read from an image the gradient of its pixels,
by a scatter in a fixed order; `gather` is the scatter's own gradient; and `cost` adds a matching up in one pass. The
device of the tensors chooses the implementation, unless the caller does: see `use_kernels`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gpuph.kernels import cpu

KERNELS = ("auto", "cpu", "triton")

torch.library.define(
    "gpuph::persistence",
    "(Tensor x, int[] dims, bool top, float min_persistence, int? capacity) -> (Tensor, Tensor[], Tensor[], Tensor[])",
)
torch.library.define("gpuph::gather", "(Tensor values, Tensor index) -> Tensor")
torch.library.define("gpuph::attach", "(Tensor read, Tensor values, Tensor index) -> Tensor")
torch.library.define("gpuph::scatter", "(Tensor values, Tensor index, int size) -> Tensor")
torch.library.define(
    "gpuph::match",
    "(Tensor birth_a, Tensor death_a, Tensor count_a, Tensor birth_b, Tensor death_b, Tensor count_b,"
    " bool squared, str solver) -> (Tensor, Tensor, Tensor)",
)
torch.library.define(
    "gpuph::cost",
    "(Tensor birth_a, Tensor death_a, Tensor birth_b, Tensor death_b, Tensor partner_a, Tensor partner_b, bool squared)"
    " -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
)


def persistence(
    x: Tensor, dims: Sequence[int], top: bool, min_persistence: float, capacity: int | None
) -> tuple[Tensor, list[Tensor], list[Tensor], list[Tensor]]:
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
        Columns K of the result; None for the largest count of the batch or, on other devices than the CPU, for as many
        as there can be.

    Returns
    -------
    status : Tensor, shape (N,), int32
        0, or 1 where the window holds a NaN (its pairs are then none).
    index : list of Tensor, each of shape (N, 2, K), int64
        For each of `dims`, flat indices of birth and death pixels, the longest pair first, -1 for none.
    value : list of Tensor, each of shape (N, 2, K), of x's dtype
        What x has there; +inf for the death of an essential class, and 0 where there is no pair.
    count : list of Tensor, each of shape (N,), int64
        For each of `dims`, how many pairs there are, also where K is smaller.
    """
    status, index, value, count = torch.ops.gpuph.persistence(x, dims, top, min_persistence, capacity)
    return status, index, value, count


def gather(values: Tensor, index: Tensor) -> Tensor:
    """Read `values` (N, P) at `index` (N, K), int64, row by row; 0 where the index is -1. Returns (N, K)."""
    out: Tensor = torch.ops.gpuph.gather(values, index)
    return out


def attach(read: Tensor, values: Tensor, index: Tensor) -> Tensor:
    """Return what was read (N, K), with the gradient of `gather(values, index)`, which it differs from by constants."""
    if not values.requires_grad:
        return read
    out: Tensor = torch.ops.gpuph.attach(read, values, index)
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


def cost(
    birth_a: Tensor,
    death_a: Tensor,
    birth_b: Tensor,
    death_b: Tensor,
    partner_a: Tensor,
    partner_b: Tensor,
    squared: bool,
) -> Tensor:
    """Add up what a matching costs, of the arguments and results of `match`: shape (N,), differentiable once.

    An essential class without a partner costs inf, and has no gradient.
    """
    total: Tensor = torch.ops.gpuph.cost(birth_a, death_a, birth_b, death_b, partner_a, partner_b, squared)[0]
    return total


# Which kernels run.

_chosen = os.environ.get("GPUPH_KERNELS", "auto")
if _chosen not in KERNELS:
    raise ValueError(f"GPUPH_KERNELS must be one of {KERNELS}, got {_chosen!r}")


@contextlib.contextmanager
def use_kernels(which: str) -> Iterator[None]:
    """Choose the kernels by hand, for the whole process, while the context lasts.

    The environment variable GPUPH_KERNELS does so from the start.

    Parameters
    ----------
    which : {"auto", "cpu", "triton"}
        "auto": by the device of the tensors. "triton": the Triton kernels, also on CPU tensors, in Triton's interpreter
        (where TRITON_INTERPRET=1 is set before the first use) or another that Triton has been given. "cpu": the Numba
        kernels, also on tensors of other devices, which are copied there and back.

    Raises
    ------
    ValueError
        If `which` is none of these.

    Examples
    --------
    >>> import torch, gpuph
    >>> with gpuph.use_kernels("cpu"):
    ...     int(gpuph.persistence(torch.zeros(1, 4, 4))[0].count)
    1
    """
    global _chosen
    if which not in KERNELS:
        raise ValueError(f"which must be one of {KERNELS}, got {which!r}")
    before, _chosen = _chosen, which
    try:
        yield
    finally:
        _chosen = before


def _by_triton(x: Tensor) -> bool:
    """Whether an operator on x runs the Triton kernels."""
    return _chosen == "triton" or (_chosen == "auto" and x.device.type != "cpu")


def _device_of(x: Tensor) -> contextlib.AbstractContextManager[object]:
    """Make the GPU of x the current one, as kernels are launched there; does nothing for other devices."""
    device: contextlib.AbstractContextManager[object] = torch.cuda.device_of(x)  # type: ignore[no-untyped-call]
    return device


# What every device does. Triton is imported when it is first needed: it is slow to import, and not everywhere.


def _persistence(
    x: Tensor, dims: Sequence[int], top: bool, min_persistence: float, capacity: int | None
) -> tuple[Tensor, list[Tensor], list[Tensor], list[Tensor]]:
    if _by_triton(x):
        from gpuph.kernels import triton

        with _device_of(x):
            status, *pairs = triton.persistence(x, dims, top, min_persistence, capacity)
        index, value, count = pairs
        if capacity is None and x.device.type == "cpu":
            for i, n in enumerate(count):
                k = int(n.amax()) if len(n) else 0
                index[i], value[i] = index[i][:, :, :k].clone(), value[i][:, :, :k].clone()
        return status, index, value, count
    arrays = cpu.persistence(_array(x), dims, top, min_persistence, capacity)
    status, *pairs = torch.from_numpy(arrays[0]), *([*map(torch.from_numpy, part)] for part in arrays[1:])
    if x.device.type != "cpu":
        status, *pairs = status.to(x.device), *([part.to(x.device) for part in parts] for parts in pairs)
    index, value, count = pairs
    return status, index, value, count


def _gather(values: Tensor, index: Tensor) -> Tensor:
    if values.dtype in _HALVES:  # no kernel needs to know them; to move bits, any type of their size will do
        return _gather(values.view(torch.int16), index).view(values.dtype)
    if _by_triton(values):
        from gpuph.kernels import triton

        with _device_of(values):
            gathered: Tensor = triton.gather(values, index)
        return gathered
    return torch.from_numpy(cpu.gather(_array(values), _array(index))).to(values.device)


def _scatter(values: Tensor, index: Tensor, size: int) -> Tensor:
    if values.dtype in _HALVES:
        return _scatter(values.float(), index, size).to(values.dtype)
    if _by_triton(values):
        from gpuph.kernels import triton

        with _device_of(values):
            sums: Tensor = triton.scatter(values, index, size)
        return sums
    return torch.from_numpy(cpu.scatter(_array(values), _array(index), size)).to(values.device)


def _match(
    birth_a: Tensor,
    death_a: Tensor,
    count_a: Tensor,
    birth_b: Tensor,
    death_b: Tensor,
    count_b: Tensor,
    squared: bool,
    solver: str,
) -> tuple[Tensor, ...]:
    points = birth_a, death_a, count_a, birth_b, death_b, count_b
    if _by_triton(birth_a):
        from gpuph.kernels import triton

        with _device_of(birth_a):
            matching: tuple[Tensor, ...] = triton.match(*points, squared, solver)
        return matching
    return tuple(torch.from_numpy(x).to(birth_a.device) for x in cpu.match(*map(_array, points), squared, solver))


def _cost(
    birth_a: Tensor,
    death_a: Tensor,
    birth_b: Tensor,
    death_b: Tensor,
    partner_a: Tensor,
    partner_b: Tensor,
    squared: bool,
) -> tuple[Tensor, ...]:
    points = birth_a, death_a, birth_b, death_b, partner_a, partner_b
    if _by_triton(birth_a):
        from gpuph.kernels import triton

        with _device_of(birth_a):
            costs: tuple[Tensor, ...] = triton.cost(*points, squared)
        return costs
    return tuple(torch.from_numpy(x).to(birth_a.device) for x in cpu.cost(*map(_array, points), squared))


_HALVES = (torch.float16, torch.bfloat16)


def _array(x: Tensor) -> Any:
    return x.contiguous().cpu().numpy()


for _device in ("cpu", "cuda"):  # tensors on ROCm say that they are on CUDA
    torch.library.register_kernel("gpuph::persistence", _device)(_persistence)
    torch.library.register_kernel("gpuph::gather", _device)(_gather)
    torch.library.register_kernel("gpuph::scatter", _device)(_scatter)
    torch.library.register_kernel("gpuph::match", _device)(_match)
    torch.library.register_kernel("gpuph::cost", _device)(_cost)


@torch.library.register_kernel("gpuph::attach", ["cpu", "cuda"])
def _(read: Tensor, values: Tensor, index: Tensor) -> Tensor:
    return read.clone()


# Shapes and dtypes alone, for tracing.


@torch.library.register_fake("gpuph::persistence")
def _(
    x: Tensor, dims: Sequence[int], top: bool, min_persistence: float, capacity: int | None
) -> tuple[Tensor, list[Tensor], list[Tensor], list[Tensor]]:
    n = x.shape[0]
    index, value, count = [], [], []
    for _ in dims:
        k = torch.library.get_ctx().new_dynamic_size() if capacity is None else capacity
        index.append(x.new_empty((n, 2, k), dtype=torch.int64))
        value.append(x.new_empty((n, 2, k)))
        count.append(x.new_empty((n,), dtype=torch.int64))
    return x.new_empty((n,), dtype=torch.int32), index, value, count


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


@torch.library.register_fake("gpuph::cost")
def _(
    birth_a: Tensor,
    death_a: Tensor,
    birth_b: Tensor,
    death_b: Tensor,
    partner_a: Tensor,
    partner_b: Tensor,
    squared: bool,
) -> tuple[Tensor, ...]:
    return birth_a.new_empty(birth_a.shape[:1]), *(x.new_empty(x.shape) for x in (birth_a, death_a, birth_b, death_b))


# Gradients. Gather and scatter are each other's adjoint; the cost brings its slopes along.


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


def _save_attach(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _save_gather(ctx, inputs[1:], output)


def _attach_backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, None]:
    return None, *_gather_backward(ctx, grad)


torch.library.register_autograd("gpuph::attach", _attach_backward, setup_context=_save_attach)
torch.library.register_autograd("gpuph::gather", _gather_backward, setup_context=_save_gather)
torch.library.register_autograd("gpuph::scatter", _scatter_backward, setup_context=_save_scatter)


def _save_cost(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.save_for_backward(*(slope.detach() for slope in output[1:]))


@once_differentiable
def _cost_backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
    return *(grad[:, None] * slope for slope in ctx.saved_tensors), None, None, None


torch.library.register_autograd("gpuph::cost", _cost_backward, setup_context=_save_cost)
