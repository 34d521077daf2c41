"""Gather and scatter, each of which is the gradient of the other. A negative index stands for no value.

The slopes of births and deaths are scattered to the pixels that these were read from.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..records import Tiling
from .runtime.jit import kernel
from .runtime.launch import INTERPRETED, cdiv, registers
from .windows import SIZES, three_axes

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
    "ROWS": 64 if INTERPRETED else 8,  # a program clears ROWS x COLUMNS pixels at a time
    "COLUMNS": 64,
    "CHUNK": 64 if INTERPRETED else 32,
    "num_warps": 1,
    "enable_fp_fusion": False,  # a slope is then multiplied as PyTorch does it
    **registers(96),
}
_PART = 1024  # pixels of a cell that a program of scatter_slopes writes, in whole rows


class _Cells(NamedTuple):
    """How the programs of scatter_slopes divide an image: into cells, and these into parts."""

    cell_z: int
    cell_y: int
    cell_x: int
    part: int  # rows of a cell that a program writes
    parts: int  # programs for each cell

    @classmethod
    def of(cls, tiling: Tiling) -> _Cells:
        """Return cells into which few windows reach: see `_scatter_slopes`."""
        cells = [-(-size // step) * step for size, step in zip(tiling.window, tiling.stride, strict=True)]
        image, cell = three_axes(tiling.image), three_axes(cells)
        # Offsets from the first pixel of a cell are below 2**31.
        most = max(1, 2**30 // (image[1] * image[2])), max(1, 2**30 // image[2]), image[2]
        z, y, x = (min(sizes) for sizes in zip(cell, image, most, strict=True))
        part = max(1, _PART // x)
        return cls(z, y, x, part, -(-z * y // part))

    def programs(self, tiling: Tiling) -> int:
        """Return the number of programs for each image."""
        axes = zip(three_axes(tiling.image), (self.cell_z, self.cell_y, self.cell_x), strict=True)
        return self.parts * math.prod([-(-length // size) for length, size in axes])


def gather(values: Tensor, index: Tensor) -> Tensor:
    """Read values (N, P) at index (N, K), row by row; 0 where the index is negative or too large."""
    values, index = values.contiguous(), index.contiguous()
    out = torch.empty(index.shape, dtype=values.dtype, device=values.device)
    if out.numel():
        tiles = cdiv(index.shape[1], _BLOCK)
        grid = (len(index) * tiles,)
        _gather[grid](values, index, out, values.shape[1], index.shape[1], tiles, BLOCK=_BLOCK, num_warps=4)
    return out


def scatter(values: Tensor, index: Tensor, size: int) -> Tensor:
    """Add values (N, K) to rows of zeros (N, size) at index (N, K), in an unspecified but fixed order."""
    values, index = values.contiguous(), index.contiguous()
    out = torch.empty((len(index), size), dtype=values.dtype, device=values.device)
    if out.numel():
        tiles = cdiv(size, _TILE)
        grid = (len(index) * tiles,)
        _scatter[grid](values, index, out, size, index.shape[1], tiles, **_SCATTER)
    return out


def scatter_slopes(slopes: Tensor, index: Tensor, count: Tensor, grad: Tensor, tiling: Tiling) -> Tensor:
    """Add up the gradients of images from the slopes of their windows; see `gpuph.ops.scatter_slopes`."""
    slopes, index, count, grad = (x.contiguous() for x in (slopes, index, count, grad))
    images = len(index) // tiling.windows()
    out = torch.empty((images, math.prod(tiling.image)), dtype=slopes.dtype, device=slopes.device)
    if images:
        cells = _Cells.of(tiling)
        sizes = *three_axes(tiling.window), *three_axes(tiling.image), *three_axes(tiling.stride), *cells
        programs = images * cells.programs(tiling)
        _scatter_slopes[(programs,)](slopes, index, count, grad, out, index.shape[2], *sizes, **_SCATTER_SLOPES)
    return out


@kernel(do_not_specialize=["p", "k", "tiles"], do_not_specialize_on_alignment=["values", "index"])
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


@kernel(do_not_specialize=["size", "k", "tiles"], do_not_specialize_on_alignment=["values", "index"])
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
    group, lane = tl.arange(0, GROUP), tl.arange(0, CHUNK)
    for start in range(0, columns, GROUP):
        tl.store(out + start + group, tl.zeros((GROUP,), out.dtype.element_ty), mask=start + group < columns)
    values += row * k
    index += row * k
    for start_group in range(0, k, GROUP):
        far = tl.load(index + start_group + group, mask=start_group + group < k, other=-1) - first
        if tl.max(((far >= 0) & (far < columns)).to(tl.int32), 0) != 0:
            for start in range(start_group, tl.minimum(start_group + GROUP, k), CHUNK):
                i = tl.load(index + start + lane, mask=start + lane < k, other=-1) - first
                column = tl.where((i >= 0) & (i < columns), i, -1).to(tl.int32)
                _add(values + start + lane, column, 1.0, out, CHUNK)


@kernel(
    do_not_specialize=["k", *SIZES, "cell_z", "cell_y", "cell_x", "part", "parts"],
    do_not_specialize_on_alignment=["slopes", "index", "count", "grad"],  # see `launch.DIAGRAMS`
)
def _scatter_slopes(
    slopes,  # [N, 2, K] float32 or float64
    index,  # [N, 2, K] int64
    count,  # [N] int64
    grad,  # [N] of slopes' dtype
    out,  # [images, image_depth, image_rows, image_columns] of slopes' dtype, written
    k,
    depth,
    rows,
    columns,
    image_depth,
    image_rows,
    image_columns,
    stride_z,
    stride_y,
    stride_x,
    cell_z,
    cell_y,
    cell_x,
    part,  # rows of a cell that a program writes
    parts,  # programs for each cell
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    CHUNK: tl.constexpr,
):
    """Write `part` rows of one cell of one image, which no other program writes.

    Cells divide an image. Their sizes are multiples of the strides, and no less than those of windows, unless more than
    2**30 pixels would lie between the ends of a cell. So the only window that reaches into a cell is usually the one
    that starts with it. There are more if strides are smaller than windows, or if the last windows of an axis are
    shifted inwards. Windows are added one after the other, and births before deaths.
    """
    cells_z, cells_y = tl.cdiv(image_depth, cell_z), tl.cdiv(image_rows, cell_y)
    cells_x = tl.cdiv(image_columns, cell_x)
    cell = tl.program_id(0) // parts
    x = cell % cells_x * cell_x
    y = cell // cells_x % cells_y * cell_y
    z = cell // (cells_x * cells_y) % cells_z * cell_z
    image = (cell // (cells_x * cells_y * cells_z)).to(tl.int64)
    # The last cells of an axis end with the image.
    size_z, size_y = tl.minimum(cell_z, image_depth - z), tl.minimum(cell_y, image_rows - y)
    size_x = tl.minimum(cell_x, image_columns - x)
    first = tl.program_id(0) % parts * part
    last = tl.minimum(first + part, size_z * size_y)
    plane = image_rows.to(tl.int64) * image_columns
    corner = z * plane + y.to(tl.int64) * image_columns + x
    span = (size_z - 1) * plane + size_y * image_columns  # from the first pixel of a cell to its last one, at least
    out += image * image_depth * plane + corner
    for start in range(first, last, ROWS):
        row = start + tl.arange(0, ROWS)
        p_row = out + row // size_y * plane + row % size_y * image_columns
        for left in range(0, size_x, COLUMNS):
            column = (left + tl.arange(0, COLUMNS))[None]
            zeros = tl.zeros((ROWS, COLUMNS), out.dtype.element_ty)
            tl.store(p_row[:, None] + column, zeros, mask=(row < last)[:, None] & (column < size_x))
    from_z, to_z, n_z = windows_at(z, size_z, depth, image_depth, stride_z)
    to_z = tl.where(first < last, to_z, from_z)
    from_y, to_y, n_y = windows_at(y, size_y, rows, image_rows, stride_y)
    from_x, to_x, n_x = windows_at(x, size_x, columns, image_columns, stride_x)
    lane = tl.arange(0, CHUNK)
    for w_z in range(from_z, to_z):
        for w_y in range(from_y, to_y):
            for w_x in range(from_x, to_x):
                window = ((image * n_z + w_z) * n_y + w_y) * n_x + w_x
                n = tl.minimum(tl.load(count + window), k).to(tl.int32)
                scale = tl.load(grad + window)
                for end in range(2):
                    p_index = index + (window * 2 + end) * k
                    i = tl.load(p_index + lane, mask=lane < n, other=-1)
                    for start in range(0, n, CHUNK):
                        offset = i - corner
                        within = (i >= 0) & (offset >= 0) & (offset < span)
                        offset = tl.where(within, offset, 0).to(tl.int32)
                        row_of_image = offset // image_columns
                        i_z, i_y, i_x = row_of_image // image_rows, row_of_image % image_rows, offset % image_columns
                        row = i_z * size_y + i_y
                        own = within & (i_y < size_y) & (i_x < size_x) & (row >= first) & (row < last)
                        column = start + lane
                        i = tl.load(p_index + CHUNK + column, mask=CHUNK + column < n, other=-1)  # of the next chunk
                        _add(slopes + (window * 2 + end) * k + column, tl.where(own, offset, -1), scale, out, CHUNK)


@triton.jit
def windows_at(start, size, window, image, step):
    """Return the range of the windows of an axis that reach into a cell, and the number of all windows there."""
    n = tl.cdiv(image - window, step) + 1
    end = start + size
    first = tl.minimum(tl.maximum(start - window + step, 0) // step, n - 1)
    last = tl.where(image - window < end, n, tl.minimum(tl.cdiv(end, step), n))  # the last window may be shifted
    return first, last, n


@triton.jit
def _add(values, column, scale, out, CHUNK: tl.constexpr):
    """Add CHUNK values times a scale to columns of a tile; a negative column stands for no value.

    The values for the same column are summed, and the first of their lanes adds the sum. So a column has one writer at
    a time, and barriers separate the chunks.
    """
    lane = tl.arange(0, CHUNK)
    if tl.max(column, 0) >= 0:
        mine = column >= 0
        total = tl.load(values, mask=mine, other=0.0) * scale
        tl.debug_barrier()  # other threads have written zeros or the last chunk, which are read next
        present = tl.load(out + column, mask=mine, other=0.0)
        same = column[:, None] == column[None, :]
        leads = mine & (tl.min(tl.where(same, lane[:, None], CHUNK), 0) == lane)
        if tl.max((mine & (leads == 0)).to(tl.int32), 0) != 0:
            total = tl.sum(tl.where(same, total[:, None], 0.0), 0)
        tl.debug_barrier()  # lanes of other threads that share a column have read it
        tl.store(out + column, present + total, mask=leads)
