"""The operators as PyTorch knows them: schemas, and what runs on every device; `shapes.py` has what tracing needs.

Nothing here is differentiated; `gradients.py` does that.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import math
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from gpuph.kernels import cpu
from gpuph.kernels.cpu.runtime.interrupt import parked_at_exit

from .choice import by_triton, finest, triton_kernels

_HALVES = (torch.float16, torch.bfloat16)

torch.library.define(
    "gpuph::persistence",
    "(Tensor x, int[] dims, bool top, float min_persistence, int? capacity) -> (Tensor, Tensor[], Tensor[], Tensor[])",
)
torch.library.define(
    "gpuph::localized",
    "(Tensor pred, Tensor target, Tensor? height, int[] window, int[] stride, bool border, int[] dims, bool top,"
    " int? capacity) -> (Tensor, Tensor[], Tensor[], Tensor[])",
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
    "(Tensor birth_a, Tensor death_a, Tensor count_a, Tensor birth_b, Tensor death_b, Tensor count_b,"
    " Tensor partner_a, Tensor partner_b, bool squared) -> (Tensor, Tensor, Tensor)",
)
torch.library.define(
    "gpuph::matched_cost",
    "(Tensor birth_a, Tensor death_a, Tensor count_a, Tensor birth_b, Tensor death_b, Tensor count_b, bool squared)"
    " -> (Tensor, Tensor, Tensor)",
)
torch.library.define(
    "gpuph::scatter_slopes",
    "(Tensor slopes, Tensor index, Tensor count, Tensor grad, int images, int size) -> Tensor",
)
torch.library.define("gpuph::regions", "(Tensor mask, int radius) -> Tensor")
torch.library.define("gpuph::skeleton", "(Tensor x, float min_persistence, int[] manifolds) -> Tensor")
torch.library.define("gpuph::maximin", "(Tensor cost, Tensor region, bool same) -> Tensor")


def _device_of(x: Tensor) -> contextlib.AbstractContextManager[object]:
    """Make the GPU of x the current one, as kernels are launched there; does nothing for other devices."""
    return torch.cuda.device_of(x)  # type: ignore[no-untyped-call]


def _array(x: Tensor) -> Any:
    return x.contiguous().cpu().numpy()


def _tensor(array: Any, device: torch.device) -> Tensor:
    x = torch.from_numpy(array)
    return x.to(device, finest(device)) if x.dtype == torch.float64 else x.to(device)


def _tensors(arrays: Any, device: torch.device) -> tuple[Tensor, list[Tensor], list[Tensor], list[Tensor]]:
    """Status, and indices, values and counts of each dimension, as tensors of a device."""
    status, *pairs = torch.from_numpy(arrays[0]), *([*map(torch.from_numpy, part)] for part in arrays[1:])
    if device.type != "cpu":
        status, *pairs = status.to(device), *([part.to(device) for part in parts] for parts in pairs)
    index, value, count = pairs
    return status, index, value, count


# What every device does.


def persistence(
    x: Tensor, dims: Sequence[int], top: bool, min_persistence: float, capacity: int | None
) -> tuple[Tensor, list[Tensor], list[Tensor], list[Tensor]]:
    threshold = _rounded(min_persistence, x.dtype)
    if by_triton(x):
        _check_cells(x.shape[1:])
        triton = triton_kernels(x)
        with _device_of(x):
            by_device = triton.persistence if x.dim() == 3 else triton.persistence3
            status, *pairs = by_device(x, dims, top, threshold, capacity)
        index, value, count = pairs
        if capacity is None and x.device.type == "cpu":
            index, value = _narrow(index, value, count)
        return status, index, value, count
    on_cpu = cpu.persistence if x.dim() == 3 else cpu.persistence3
    arrays = on_cpu(_array(x), dims, top, threshold, capacity)
    return _tensors(arrays, x.device)


def _rounded(number: float, dtype: torch.dtype) -> float:
    """A number as tensors of that dtype have it; infinite if it is too large for them."""
    return ctypes.c_float(number).value if dtype == torch.float32 else number


def _check_cells(window: Sequence[int]) -> None:
    """Raise if Triton's kernels have no numbers for the cells of windows of that size.

    Saddles have numbers of 31 bits: 4 for each pixel and 12 for each voxel. Those are 23,170^2 pixels and 563^3 voxels.
    """
    each, name, cells = {2: (4, "images", "pixels"), 3: (12, "volumes", "voxels")}[len(window)]
    if each * math.prod(window) >= 2**31:
        raise ValueError(
            f"{name} on the GPU must have windows of less than 2^31 / {each} {cells}, border included, got"
            f' {tuple(window)}; with gpuph.use_kernels("cpu") larger ones are computed on the CPU'
        )


def _narrow(
    index: Sequence[Tensor], value: Sequence[Tensor], count: Sequence[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    """Drop the columns that no window has pairs for, as the CPU's kernels do."""
    columns = [int(n.amax()) if len(n) else 0 for n in count]
    return tuple([part[:, :, :k].clone() for part, k in zip(parts, columns, strict=True)] for parts in (index, value))  # type: ignore[return-value]


def localized(
    pred: Tensor, target: Tensor, height: Tensor | None, *arguments: Any
) -> tuple[Tensor, list[Tensor], list[Tensor], list[Tensor]]:
    if by_triton(pred):
        _check_cells([size + 2 * arguments[2] for size in arguments[0]])
        triton = triton_kernels(pred)
        with _device_of(pred):
            status, index, value, count = triton.localized(pred, target, height, *arguments)
        if arguments[-1] is None and pred.device.type == "cpu":
            index, value = _narrow(index, value, count)
        return status, index, value, count
    arrays = cpu.localized(_array(pred), _array(target), None if height is None else _array(height), *arguments)
    return _tensors(arrays, pred.device)


def _by_device(name: str, *arguments: Any) -> Any:
    """Call the kernels of that name, Triton's or the CPU's, as the first argument, a tensor, decides."""
    device = arguments[0].device
    if by_triton(arguments[0]):
        triton = triton_kernels(arguments[0])
        with _device_of(arguments[0]):
            return getattr(triton, name)(*arguments)
    found = getattr(cpu, name)(*(_array(x) if isinstance(x, Tensor) else x for x in arguments))
    if isinstance(found, tuple):
        return tuple(_tensor(x, device) for x in found)
    return _tensor(found, device)


def gather(values: Tensor, index: Tensor) -> Tensor:
    if values.dtype in _HALVES:  # no kernel needs to know them; to move bits, any type of their size will do
        return gather(values.view(torch.int16), index).view(values.dtype)
    return _by_device("gather", values, index)


def scatter(values: Tensor, index: Tensor, size: int) -> Tensor:
    if values.dtype in _HALVES:
        return scatter(values.float(), index, size).to(values.dtype)
    return _by_device("scatter", values, index, size)


def match(*arguments: Any) -> tuple[Tensor, ...]:
    return _by_device("match", *arguments)


def cost(*arguments: Any) -> tuple[Tensor, ...]:
    return _by_device("cost", *arguments)


def matched_cost(*arguments: Any) -> tuple[Tensor, ...]:
    return _by_device("matched_cost", *arguments)


def scatter_slopes(*arguments: Any) -> Tensor:
    return _by_device("scatter_slopes", *arguments)


def attach(read: Tensor, values: Tensor, index: Tensor) -> Tensor:
    return read.clone()


@functools.cache  # once for each
def _warn_of_the_detour(what: str) -> None:
    warnings.warn(f"{what} have kernels on the CPU only: tensors of other devices go there and back", stacklevel=3)


def regions(mask: Tensor, radius: int) -> Tensor:
    if mask.device.type != "cpu" and by_triton(mask):
        _warn_of_the_detour("regions")
    return torch.from_numpy(cpu.regions(_array(mask), radius)).to(mask.device)


def maximin(cost: Tensor, region: Tensor, same: bool) -> Tensor:
    if cost.device.type != "cpu" and by_triton(cost):
        _warn_of_the_detour("maximin edges")
    return torch.from_numpy(cpu.maximin(_array(cost), _array(region), same)).to(cost.device)


def skeleton(x: Tensor, min_persistence: float, manifolds: Sequence[int]) -> Tensor:
    if x.device.type != "cpu" and by_triton(x):
        _warn_of_the_detour("skeletons")
    on_cpu = cpu.skeleton if x.dim() == 3 else cpu.skeleton3
    return torch.from_numpy(on_cpu(_array(x), _rounded(min_persistence, x.dtype), manifolds)).to(x.device)


IMPLEMENTATIONS = {
    f.__name__: f
    for f in (
        persistence,
        localized,
        gather,
        scatter,
        attach,
        match,
        cost,
        matched_cost,
        scatter_slopes,
        regions,
        maximin,
        skeleton,
    )
}


class _UnseenByDynamo:
    """A function that `torch.compile` does not trace, as `torch.library.register_kernel` has it.

    That imports Dynamo for the purpose, which takes most of a second in the first call of a process that compiles
    nothing.
    """

    def __init__(self, f: Callable[..., Any]) -> None:
        self.f, self.hidden = f, False

    def __call__(self, *arguments: Any) -> Any:
        if not self.hidden and "torch._dynamo" in sys.modules:
            self.f, self.hidden = torch.compiler.disable(self.f), True  # type: ignore[no-untyped-call]
        return self.f(*arguments)


for _name, _implementation in IMPLEMENTATIONS.items():
    _implementation = parked_at_exit(_implementation)
    # For all devices, also those that only `use_kernels("cpu")` serves, such as MPS.
    torch.library.impl(f"gpuph::{_name}", "default")(_UnseenByDynamo(_implementation))
