"""`matched_cost`, which fuses `match` and `cost`, and `scatter_slopes`, which returns the gradients of images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from gpuph.kernels import Points, Tiling

from . import backend
from .backend import array, arrays, by_triton, current_device, tensor
from .cost import fake_costs
from .cpu_kernels import cpu
from .define import define
from .match import in_arrays, named_place


def _fake(
    birth_a: Tensor,
    death_a: Tensor,
    count_a: Tensor,
    birth_b: Tensor,
    death_b: Tensor,
    count_b: Tensor,
    squared: bool,
    index_a: Tensor | None = None,
    index_b: Tensor | None = None,
    shape: Sequence[int] = (),
    place: Sequence[float] = (),
    solver: str = "auto",
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
    index_a: Tensor | None = None,
    index_b: Tensor | None = None,
    shape: Sequence[int] = (),
    place: Sequence[float] = (),
    solver: str = "auto",
) -> tuple[Tensor, Tensor, Tensor]:
    a, b = Points(birth_a, death_a, count_a), Points(birth_b, death_b, count_b)
    where = named_place(index_a, index_b, shape, place)
    if not by_triton(birth_a):
        found = cpu.matched_cost(arrays(a), arrays(b), solver, squared=squared, place=in_arrays(where))
        device = birth_a.device
        return tensor(found.cost, device), tensor(found.slopes_a, device), tensor(found.slopes_b, device)
    with current_device(birth_a):
        return backend.triton.matched_cost(a, b, solver, squared=squared, place=where)


def _fake_scatter(
    slopes: Tensor,
    index: Tensor,
    count: Tensor,
    grad: Tensor,
    image: Sequence[int],
    window: Sequence[int],
    stride: Sequence[int],
) -> Tensor:
    tiling = Tiling.of(image, window, stride, border=False)
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
    tiling = Tiling.of(image, window, stride, border=False)
    if not by_triton(slopes):
        parts = array(slopes), array(index), array(count), array(grad)
        return tensor(cpu.scatter_slopes(*parts, tiling), slopes.device)
    inputs = slopes, index, count, grad
    with current_device(slopes):
        run = partial(backend.triton.scatter_slopes, *inputs, tiling)
        return backend.triton.replayed(run, inputs, ("scatter_slopes", *tiling))


define(
    "matched_cost(Tensor birth_a, Tensor death_a, Tensor count_a, Tensor birth_b, Tensor death_b, Tensor count_b,"
    " bool squared, Tensor? index_a=None, Tensor? index_b=None, int[] shape=[],"
    " float[] place=[], str solver='auto') -> (Tensor, Tensor, Tensor)",
    _fake,
    _run,
)
define(
    "scatter_slopes(Tensor slopes, Tensor index, Tensor count, Tensor grad, int[] image, int[] window, int[] stride)"
    " -> Tensor",
    _fake_scatter,
    _run_scatter,
)


def scatter_slopes(slopes: Tensor, index: Tensor, count: Tensor, grad: Tensor, tiling: Tiling) -> Tensor:
    """Add up the gradients of images, from those of the costs of their windows.

    Parameters
    ----------
    slopes, index : Tensor, shape (N, 2, K)
        Slopes of a window's cost in its births and deaths, and their pixels in the image, int64, negative for none.
        All pixels must be in the window; on devices other than the CPU, others may be skipped.
    count : Tensor, shape (N,), int64
        The number of columns to read.
    grad : Tensor, shape (N,), of slopes' dtype
        The factor of each window's slopes.
    tiling : Tiling
        How the images were cut into the N windows; `border` does not matter.

    Returns
    -------
    Tensor, shape (images, pixels of an image)
        Sums, in a fixed order. On the CPU, this is the order of windows, then births before deaths, then columns.
    """
    image, window, stride, _ = tiling
    return torch.ops.gpuph.scatter_slopes.default(slopes, index, count, grad, image, window, stride)
