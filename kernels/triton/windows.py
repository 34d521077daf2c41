"""Windows: the filtrations, windows of two images plus a height function inside a frame, and the way back.

Images and windows have three axes here, (D, H, W); those of two axes have a depth of 1, and no frame in that direction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..records import Tiling
from .runtime.launch import INTERPRETED

_COLUMNS = 64  # at a time, of so many rows of a window
_ROWS = 64 if INTERPRETED else 16
_PROGRAMS = 64  # a window at most, each with a least value that all look at
_EDGE = 4096 if INTERPRETED else 128  # pixels of a frame at a time
_BLOCK = 1024 if INTERPRETED else 32  # pairs at a time
_SIZES = ["depth", "rows", "columns", "image_depth", "image_rows", "image_columns", "step_z", "step_y", "step_x"]


def lay(pred: Tensor, target: Tensor, height: Tensor | None, tiling: Tiling) -> Tensor:
    """Lay the windows of two images in frames at their common minimum; see `gpuph.ops.framed_persistence`.

    Returns
    -------
    Tensor, shape (2 N, *window), or (2 N, *(window + 2)) with a frame
        The windows of `pred`, and then those of `target`.
    """
    window, border = tiling.window, tiling.border
    sizes, image, steps = (_three_axes(axes) for axes in (window, tiling.image, tiling.stride))
    n = len(pred) * tiling.windows()
    x = torch.empty((2 * n, *tiling.framed()), dtype=pred.dtype, device=pred.device)
    programs = min(_PROGRAMS, triton.cdiv(sizes[0] * sizes[1], _ROWS))
    least = torch.empty((2 * n, programs), dtype=pred.dtype, device=pred.device)
    geometry = *sizes, *image, *steps, int(border and len(window) == 3), int(border)
    heights = pred if height is None else height
    each = 0 if height is None or len(height) == 1 else height[0].numel()
    slopes = 0 if height is None or height.dim() > 2 else len(window)
    if n:
        _lay[(2 * n * programs,)](
            pred, target, heights, x, least, n, each, programs, *geometry,
            HEIGHT=height is not None, SLOPES=slopes, ROWS=_ROWS, COLUMNS=_COLUMNS, num_warps=4, enable_fp_fusion=False,
        )  # fmt: skip
    if n and border:
        pixels = math.prod(x.shape[1:]) - math.prod(window)
        writers = min(_PROGRAMS, triton.cdiv(pixels, _EDGE))
        part = triton.next_power_of_2(programs)
        margins = *sizes, *geometry[-2:]
        _frame[(2 * n * writers,)](x, least, n, programs, writers, *margins, PART=part, BLOCK=_EDGE, num_warps=1)
    return x


class Layout(NamedTuple):
    """How images, of three axes, have been cut into windows by `lay`."""

    n: int  # windows of all images
    window: tuple[int, ...]
    image: tuple[int, ...]
    step: tuple[int, ...]
    margin_z: int  # width of the frame
    margin: int


def layout_of(n: int, tiling: Tiling) -> Layout:
    """Return the layout of n windows."""
    image, window, stride, border = tiling
    axes = _three_axes(window), _three_axes(image), _three_axes(stride)
    return Layout(n, *axes, int(border and len(window) == 3), int(border))


def locate(index: Tensor, count: Tensor, layout: Layout) -> None:
    """Say which pixels of the images are meant, -1 for those of the frame, instead of those of the windows.

    index : (2 N, 2, K), changed, and count : (2 N,), of the pairs of the windows of `lay`.
    """
    n, _, k = index.shape
    geometry = *layout.window, *layout.image, *layout.step, layout.margin_z, layout.margin
    if n:
        _locate[(n,)](index, count, n // 2, k, *geometry, BLOCK=_BLOCK, num_warps=1)


def _three_axes(sizes: Sequence[int]) -> tuple[int, ...]:
    return (*[1] * (3 - len(sizes)), *sizes)


@triton.jit(
    do_not_specialize=["n", "each", "programs", "margin_z", "margin", *_SIZES],
    do_not_specialize_on_alignment=["pred", "target", "heights"],
)
def _lay(
    pred,  # [B, image_depth, image_rows, image_columns] float32 or float64
    target,  # likewise
    heights,  # [1 or N, depth, rows, columns] likewise, or [1 or N, SLOPES]; not read unless HEIGHT
    x,  # [2 N, *framed window] likewise, written inside the frames
    least,  # [2 N, programs] likewise, written
    n,
    each,
    programs,
    depth,
    rows,
    columns,
    image_depth,
    image_rows,
    image_columns,
    step_z,
    step_y,
    step_x,
    margin_z,
    margin,
    HEIGHT: tl.constexpr,
    SLOPES: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Write every `programs`-th ROWS rows of one window of one image, and the least value of them.

    SLOPES: of as many axes, if it is not 0, and the height is added up axis by axis, without fusion, as on the CPU.
    The least value is no NaN, which must not spread to the other image's frame; without a number it is +inf.
    """
    program = tl.program_id(0) % programs
    place = (tl.program_id(0) // programs).to(tl.int64)
    window = place % n
    source = pred
    if place >= n:
        source = target
    source += corner_of(window, depth, rows, columns, image_depth, image_rows, image_columns, step_z, step_y, step_x)
    heights += window * each
    height, width = rows + 2 * margin, columns + 2 * margin
    x += ((place * (depth + 2 * margin_z) + margin_z) * height + margin) * width + margin
    lowest = tl.full((ROWS, COLUMNS), float("inf"), x.dtype.element_ty)
    for first in range(program * ROWS, depth * rows, programs * ROWS):
        row = first + tl.arange(0, ROWS)
        z, y = row // rows, row % rows
        if SLOPES:
            up = tl.load(heights + SLOPES - 2) * _from_centre(y, rows, x)
            if SLOPES == 3:
                up = tl.load(heights) * _from_centre(z, depth, x) + up
        p_source = source + (z.to(tl.int64) * image_rows + y) * image_columns
        p_height, p_x = heights + row * columns, x + (z * height + y) * width
        for left in range(0, columns, COLUMNS):
            column = (left + tl.arange(0, COLUMNS))[None]
            inside = (row < depth * rows)[:, None] & (column < columns)
            value = tl.load(p_source[:, None] + column, mask=inside, other=float("inf"))
            if SLOPES:
                value += up[:, None] + tl.load(heights + SLOPES - 1) * _from_centre(column, columns, x)
            elif HEIGHT:
                value += tl.load(p_height[:, None] + column, mask=inside, other=0.0)
            tl.store(p_x[:, None] + column, value, mask=inside)
            lowest = tl.where(value < lowest, value, lowest)
    tl.store(least + place * programs + program, tl.min(lowest))


@triton.jit
def _from_centre(i, size, x):
    """How far pixels i of an axis are from its centre, in the dtype of x."""
    return i.to(x.dtype.element_ty) - (size - 1).to(x.dtype.element_ty) / 2


@triton.jit(do_not_specialize=["n", "programs", "writers", "depth", "rows", "columns", "margin_z", "margin"])
def _frame(
    x,  # [2 N, *framed window] float32 or float64, written on the frames
    least,  # [2 N, programs] likewise
    n,
    programs,
    writers,
    depth,
    rows,
    columns,
    margin_z,
    margin,
    PART: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Write every `writers`-th block of one window's frame: the least value of both images' windows."""
    writer = tl.program_id(0) % writers
    place = (tl.program_id(0) // writers).to(tl.int64)
    part = tl.arange(0, PART)
    first = tl.load(least + place % n * programs + part, mask=part < programs, other=float("inf"))
    second = tl.load(least + (place % n + n) * programs + part, mask=part < programs, other=float("inf"))
    lowest = tl.min(tl.where(second < first, second, first), 0)
    height, width = rows + 2 * margin, columns + 2 * margin
    x += place * (depth + 2 * margin_z) * (height * width)
    # First what is around each plane of the window, then the planes above and below.
    around = height * width - rows * columns
    pixels = depth * around + 2 * margin_z * (height * width)
    for start in range(writer * BLOCK, pixels, writers * BLOCK):
        i = start + tl.arange(0, BLOCK)
        z, k = i // around, i % around
        # Two rows, and two pixels of each of the others.
        end = k - 2 * width
        on_plane = tl.where(
            k < width, k, tl.where(end < 0, k + rows * width, (end // 2 + 1 + end % 2) * width - end % 2)
        )
        rest = i - depth * around
        on_cap = rest + tl.where(rest < height * width, 0, depth * height * width)
        pixel = tl.where(rest < 0, (z + margin_z) * (height * width) + on_plane, on_cap)
        tl.store(x + pixel, lowest, mask=i < pixels)


@triton.jit(do_not_specialize=["n", "k", "margin_z", "margin", *_SIZES])
def _locate(
    index,  # [2 N, 2, K] int64, changed
    count,  # [2 N] int64
    n,
    k,
    depth,
    rows,
    columns,
    image_depth,
    image_rows,
    image_columns,
    step_z,
    step_y,
    step_x,
    margin_z,
    margin,
    BLOCK: tl.constexpr,
):
    """Translate the pixels of one window's pairs."""
    place = tl.program_id(0).to(tl.int64)
    window = place % n
    corner = corner_of(window, depth, rows, columns, image_depth, image_rows, image_columns, step_z, step_y, step_x)
    corner %= image_depth.to(tl.int64) * image_rows * image_columns
    pairs = tl.minimum(tl.load(count + place), k).to(tl.int32)
    for end in range(2):
        p_index = index + (place * 2 + end) * k
        for start in range(0, pairs, BLOCK):
            column = start + tl.arange(0, BLOCK)
            i = tl.load(p_index + column, mask=column < pairs, other=-1).to(tl.int32)
            pixel = located(i, corner, depth, rows, columns, image_rows, image_columns, margin_z, margin)
            tl.store(p_index + column, pixel, mask=column < pairs)


@triton.jit
def located(i, corner, depth, rows, columns, image_rows, image_columns, margin_z, margin):
    """The pixel of an image that pixel i of a window is, or -1 on its frame and for -1; corner : that of the window."""
    height, width = rows + 2 * margin, columns + 2 * margin
    x, y, z = i % width - margin, i // width % height - margin, i // (width * height) - margin_z
    inside = (i >= 0) & (x >= 0) & (x < columns) & (y >= 0) & (y < rows) & (z >= 0) & (z < depth)
    return tl.where(inside, corner + (z.to(tl.int64) * image_rows + y) * image_columns + x, -1)


@triton.jit
def corner_of(window, depth, rows, columns, image_depth, image_rows, image_columns, step_z, step_y, step_x):
    """Where window number `window` begins in the images: the last along an axis are shifted inwards to end there."""
    n_z = tl.cdiv(image_depth - depth, step_z) + 1
    n_y = tl.cdiv(image_rows - rows, step_y) + 1
    n_x = tl.cdiv(image_columns - columns, step_x) + 1
    z = tl.minimum(window // (n_x * n_y) % n_z * step_z, image_depth - depth)
    y = tl.minimum(window // n_x % n_y * step_y, image_rows - rows)
    x = tl.minimum(window % n_x * step_x, image_columns - columns)
    image = window // (n_x * n_y * n_z)
    return ((image * image_depth + z) * image_rows + y) * image_columns + x
