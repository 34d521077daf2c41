"""Gather and scatter: values at indices, where a negative one means none. Each is the other's gradient.

Slopes, of births and deaths, are scattered to the pixels that they came from.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .runtime.launch import INTERPRETED, registers

_BLOCK = 1024  # values of a row that a program gathers
_TILE = 16384  # columns of the result that a program of scatter fills
_GROUP = 1024  # values that it looks at; the columns of a diagram are mostly padding, ...
_FEW = 1024 if INTERPRETED else 128  # ... and points alone are few
_CHUNK = 512 if INTERPRETED else 32  # values that it adds up at a time: each is compared with each
_REGISTERS = registers(96)  # of one that scatters slopes


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
    """Add values (N, K) up at index (N, K) of rows of zeros (N, size), in an order of its own but always the same."""
    values, index = values.contiguous(), index.contiguous()
    out = torch.empty((len(index), size), dtype=values.dtype, device=values.device)
    if out.numel():
        tiles = triton.cdiv(size, _TILE)
        grid = (len(index) * tiles,)
        meta = {"TILE": _TILE, "GROUP": _GROUP, "CHUNK": _CHUNK, "num_warps": 1}
        _scatter[grid](values, index, out, size, index.shape[1], tiles, **meta)
    return out


def scatter_slopes(slopes: Tensor, index: Tensor, count: Tensor, grad: Tensor, images: int, size: int) -> Tensor:
    """Add up what births and deaths of windows say about pixels; see `gpuph.ops.scatter_slopes`."""
    slopes, index, count, grad = (x.contiguous() for x in (slopes, index, count, grad))
    out = torch.empty((images, size), dtype=slopes.dtype, device=slopes.device)
    if out.numel():
        tiles = triton.cdiv(size, _TILE)
        # Without fusion, a slope is multiplied as PyTorch does it.
        meta = {"TILE": _TILE, "GROUP": _FEW, "CHUNK": _CHUNK, "num_warps": 1, **_REGISTERS, "enable_fp_fusion": False}
        scalars = len(index) // images, index.shape[2], size, tiles
        _scatter_slopes[(images * tiles,)](slopes, index, count, grad, out, *scalars, **meta)
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
    """Gather BLOCK columns of one row."""
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
    """Fill TILE columns of one row. No other program writes them."""
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
    """Fill TILE pixels of one image, of so many windows. No other program writes them."""
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
    """Write zeros."""
    group = tl.arange(0, GROUP)
    for start in range(0, columns, GROUP):
        tl.store(out + start + group, tl.zeros((GROUP,), out.dtype.element_ty), mask=start + group < columns)


@triton.jit
def _add(values, index, n, scale, out, first, columns, GROUP: tl.constexpr, CHUNK: tl.constexpr):
    """Add n values times a scale to a tile of columns from `first` on, CHUNK values at a time.

    Of the values of a chunk that go to one column, the first lane adds the sum, so no column has two writers at a time;
    a barrier stands between one chunk and the next.
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
                    tl.debug_barrier()  # what other threads wrote, zeros or the last chunk, is read next
                    present = tl.load(out + column, mask=leads, other=0.0)
                    tl.store(out + column, present + total, mask=leads)
