"""`gather` and `scatter`: read values at indices, and add values up at indices. Each is the other's gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from . import backend
from .backend import array, by_triton, current_device, tensor
from .cpu_kernels import cpu
from .define import define

_HALVES = (torch.float16, torch.bfloat16)


def _fake_gather(values: Tensor, index: Tensor) -> Tensor:
    return values.new_empty(index.shape)


def _run_gather(values: Tensor, index: Tensor) -> Tensor:
    if values.dtype in _HALVES:  # moving bits works with any type of the same size
        return _run_gather(values.view(torch.int16), index).view(values.dtype)
    if not by_triton(values):
        return tensor(cpu.gather(array(values), array(index)), values.device)
    with current_device(values):
        return backend.triton.gather(values, index)


def _fake_scatter(values: Tensor, index: Tensor, size: int) -> Tensor:
    return values.new_empty((values.shape[0], size))


def _run_scatter(values: Tensor, index: Tensor, size: int) -> Tensor:
    if values.dtype in _HALVES:
        return _run_scatter(values.float(), index, size).to(values.dtype)
    if not by_triton(values):
        return tensor(cpu.scatter(array(values), array(index), size), values.device)
    with current_device(values):
        return backend.triton.scatter(values, index, size)


define("gather(Tensor values, Tensor index) -> Tensor", _fake_gather, _run_gather)
define("scatter(Tensor values, Tensor index, int size) -> Tensor", _fake_scatter, _run_scatter)


def _save_gather(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    values, index = inputs
    ctx.save_for_backward(index)
    ctx.size = values.shape[1]


def _gather_backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
    (index,) = ctx.saved_tensors
    return torch.ops.gpuph.scatter(grad, index, ctx.size), None


def _save_scatter(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, index, _ = inputs
    ctx.save_for_backward(index)


def _scatter_backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
    (index,) = ctx.saved_tensors
    return torch.ops.gpuph.gather(grad, index), None, None


torch.library.register_autograd("gpuph::gather", _gather_backward, setup_context=_save_gather)
torch.library.register_autograd("gpuph::scatter", _scatter_backward, setup_context=_save_scatter)


def gather(values: Tensor, index: Tensor) -> Tensor:
    """Read values row by row.

    Parameters
    ----------
    values : Tensor, shape (N, P)
    index : Tensor, shape (N, K), int64
        Columns of `values`, or negative for no value. An index of P or more raises IndexError on the CPU, and reads 0
        on other devices.

    Returns
    -------
    Tensor, shape (N, K)
        The values, 0 where the index is negative.
    """
    return torch.ops.gpuph.gather(values, index)


def scatter(values: Tensor, index: Tensor, size: int) -> Tensor:
    """Add values up row by row, in a fixed order, which on the CPU is that of the columns.

    Parameters
    ----------
    values : Tensor, shape (N, K)
    index : Tensor, shape (N, K), int64
        Columns of the result, or negative to skip a value. An index of `size` or more raises IndexError on the CPU, and
        is skipped on other devices.
    size : int
        Columns of the result.

    Returns
    -------
    Tensor, shape (N, size)
        Sums, 0 where nothing was added.
    """
    return torch.ops.gpuph.scatter(values, index, size)
