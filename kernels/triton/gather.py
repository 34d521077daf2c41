"""Gather and scatter, each of which is the gradient of the other. A negative index stands for no value.

The slopes of births and deaths are scattered to the pixels that these were read from.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from .runtime.launch import INTERPRETED, registers

_BLOCK = 1024  # values of a row that a program gathers
_TILE = 16384  # columns of the result that a program of scatter writes; there are few rows
_CHUNK = 512 if INTERPRETED else 32  # values that a program adds up and compares at a time: one per lane
_SCATTER: dict[str, Any] = {
    "TILE": _TILE,
    "GROUP": 1024,  # values that a program checks at once for any that belong to its tile: most columns are padding
    "CHUNK": _CHUNK,
    "num_warps": 1,  # so that barriers are cheap
}
_SCATTER_SLOPES: dict[str, Any] = {
    "TILE": _TILE,
    "GROUP": 1024 if INTERPRETED else 128,  # only columns with a point are read, and these are few
    "CHUNK": _CHUNK,
    "num_warps": 1,
    "enable_fp_fusion": False,  # a slope is then multiplied as PyTorch does it
    **registers(96),
}


def gather(values: Tensor, index: Tensor) -> Tensor:
    """Read values (N, P) at index (N, K), row by row; 0 where the index is negative or too large."""
    values, index = values.contiguous(), index.contiguous()
    out = torch.empty(index.shape, dtype=values.dtype, device=values.device)
    if out.numel():
        tiles = triton.cdiv(index.shape[1], _BLOCK)
        grid = (len(index) * tiles,)
        _gather[grid](values, index, out, values.shape[1], index.shape[1], tiles, BLOCK=_BLOCK, num_warps=4)
    return out


def scatter(values: Tensor, index: Tensor, size: int) -> Tensor:
    """Add values (N, K) to rows of zeros (N, size) at index (N, K), in an unspecified but fixed order."""
    values, index = values.contiguous(), index.contiguous()
    out = torch.empty((len(index), size), dtype=values.dtype, device=values.device)
    if out.numel():
        tiles = triton.cdiv(size, _TILE)
        grid = (len(index) * tiles,)
        _scatter[grid](values, index, out, size, index.shape[1], tiles, **_SCATTER)
    return out


def scatter_slopes(slopes: Tensor, index: Tensor, count: Tensor, grad: Tensor, images: int, size: int) -> Tensor:
    """Add up the gradients of images from the slopes of their windows; see `gpuph.ops.scatter_slopes`."""
    slopes, index, count, grad = (x.contiguous() for x in (slopes, index, count, grad))
    out = torch.empty((images, size), dtype=slopes.dtype, device=slopes.device)
    if out.numel():
        tiles = triton.cdiv(size, _TILE)
        scalars = len(index) // images, index.shape[2], size, tiles
        _scatter_slopes[(images * tiles,)](slopes, index, count, grad, out, *scalars, **_SCATTER_SLOPES)
    return out


@triton.jit(do_not_specialize=["p", "k", "tiles"], do_not_specialize_on_alignment=["values", "index"])
def _gather(
    values,  # [N, P] any dtype
    index,  # [N, K] int64
    out,  # [N, K] of values' dtype, written
    p,
    k,
    tiles,
    BLOCK: tl.constexpr,
):
    """Gather BLOCK columns of one row, which no other program writes."""
    row = (tl.program_id(0) // tiles).to(tl.int64)
    column = tl.program_id(0) % tiles * BLOCK + tl.arange(0, BLOCK)
    there = column < k
    i = tl.load(index + row * k + column, mask=there, other=-1)
    tl.store(out + row * k + column, tl.load(values + row * p + i, mask=(i >= 0) & (i < p), other=0), mask=there)


@triton.jit(do_not_specialize=["size", "k", "tiles"], do_not_specialize_on_alignment=["values", "index"])
def _scatter(
    values,  # [N, K] float32 or float64
    index,  # [N, K] int64
    out,  # [N, size] of values' dtype, written
    size,
    k,
    tiles,
    TILE: tl.constexpr,
    GROUP: tl.constexpr,
    CHUNK: tl.constexpr,
):
    """Write TILE columns of one row, which no other program writes."""
    row = (tl.program_id(0) // tiles).to(tl.int64)
    first = tl.program_id(0) % tiles * TILE
    columns = tl.minimum(size - first, TILE)
    out += row * size + first
    _clear(out, columns, GROUP)
    _add(values + row * k, index + row * k, k, 1.0, out, first, columns, GROUP, CHUNK)


@triton.jit(
    do_not_specialize=["windows", "k", "size", "tiles"],
    do_not_specialize_on_alignment=["slopes", "index", "count", "grad"],  # see `launch.DIAGRAMS`
)
def _scatter_slopes(
    slopes,  # [N, 2, K] float32 or float64
    index,  # [N, 2, K] int64
    count,  # [N] int64
    grad,  # [N] of slopes' dtype
    out,  # [images, size] of slopes' dtype, written
    windows,
    k,
    size,
    tiles,
    TILE: tl.constexpr,
    GROUP: tl.constexpr,
    CHUNK: tl.constexpr,
):
    """Write TILE pixels of one image, which has `windows` windows. No other program writes these pixels."""
    image = (tl.program_id(0) // tiles).to(tl.int64)
    first = tl.program_id(0) % tiles * TILE
    columns = tl.minimum(size - first, TILE)
    out += image * size + first
    _clear(out, columns, GROUP)
    for window in range(image * windows, (image + 1) * windows):
        n = tl.minimum(tl.load(count + window), k).to(tl.int32)
        scale = tl.load(grad + window)
        for end in range(2):
            begin = (window * 2 + end) * k
            _add(slopes + begin, index + begin, n, scale, out, first, columns, GROUP, CHUNK)


@triton.jit
def _clear(out, columns, GROUP: tl.constexpr):
    """Write zeros into a tile."""
    group = tl.arange(0, GROUP)
    for start in range(0, columns, GROUP):
        tl.store(out + start + group, tl.zeros((GROUP,), out.dtype.element_ty), mask=start + group < columns)


@triton.jit
def _add(values, index, n, scale, out, first, columns, GROUP: tl.constexpr, CHUNK: tl.constexpr):
    """Add n values times a scale to a tile of columns from `first` on, CHUNK values at a time.

    The values of a chunk for the same column are summed, and the first of their lanes adds the sum. So a column has one
    writer at a time, and a barrier separates the chunks.
    """
    group, lane = tl.arange(0, GROUP), tl.arange(0, CHUNK)
    for start_group in range(0, n, GROUP):
        far = tl.load(index + start_group + group, mask=start_group + group < n, other=-1) - first
        if tl.max(((far >= 0) & (far < columns)).to(tl.int32), 0) != 0:
            for start in range(start_group, tl.minimum(start_group + GROUP, n), CHUNK):
                i = tl.load(index + start + lane, mask=start + lane < n, other=-1) - first
                mine = (i >= 0) & (i < columns)
                column = tl.where(mine, i, -1).to(tl.int32)
                if tl.max(column, 0) >= 0:
                    value = tl.load(values + start + lane, mask=mine, other=0.0) * scale
                    same = column[:, None] == column[None, :]
                    total = tl.sum(tl.where(same, value[:, None], 0.0), 0)
                    leads = mine & (tl.min(tl.where(same, lane[:, None], CHUNK), 0) == lane)
                    tl.debug_barrier()  # other threads have written zeros or the last chunk, which are read next
                    present = tl.load(out + column, mask=leads, other=0.0)
                    tl.store(out + column, present + total, mask=leads)
