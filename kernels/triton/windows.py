"""Windows: the filtrations, windows of two images plus a height function inside a frame, and the way back.

Images and windows have three axes here, (D, H, W); those of two axes have a depth of 1, and no frame in that direction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from .launch import INTERPRETED

_BLOCK = 4096 if INTERPRETED else 1024
_PROGRAMS = 64  # a window at most, each with a least value that all look at
_WARPS = 4
_SIZES = ["depth", "rows", "columns", "image_depth", "image_rows", "image_columns", "step_z", "step_y", "step_x"]


def lay(
    pred: Tensor,
    target: Tensor,
    height: Tensor | None,
    window: Sequence[int],
    stride: Sequence[int],
    border: bool,
) -> Tensor:
    """Lay the windows of two images in frames at their common minimum; see `gpuph.ops.localized`.

    Returns
    -------
    Tensor, shape (2 N, *window), or (2 N, *(window + 2)) with a frame
        The windows of `pred`, and then those of `target`.
    """
    sizes, image, steps = (_three_axes(axes) for axes in (window, pred.shape[1:], stride))
    n = _windows_of(pred.shape, window, stride)
    x = torch.empty((2 * n, *(size + 2 * border for size in window)), dtype=pred.dtype, device=pred.device)
    pixels = math.prod(x.shape[1:])
    programs = min(_PROGRAMS, triton.cdiv(pixels, _BLOCK))
    least = torch.empty((2 * n, programs), dtype=pred.dtype, device=pred.device)
    geometry = *sizes, *image, *steps, int(border and len(window) == 3), int(border)
    each = 0 if height is None or len(height) == 1 else math.prod(window)
    heights = pred if height is None else height
    if n:
        grid = (2 * n * programs,)
        _lay[grid](
            pred, target, heights, x, least, n, each, programs, *geometry,
            HEIGHT=height is not None, BLOCK=_BLOCK, num_warps=_WARPS,
        )  # fmt: skip
        if border:
            part = triton.next_power_of_2(programs)
            _frame[grid](x, least, n, programs, *geometry, PROGRAMS=part, BLOCK=_BLOCK, num_warps=_WARPS)
    return x


def locate(
    index: Tensor,
    values: Tensor,
    count: Tensor,
    image: Sequence[int],
    window: Sequence[int],
    stride: Sequence[int],
    border: bool,
) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]:
    """Say which pixels of images of that size are meant, -1 for those of the frame.

    index, values : (2 N, 2, K), and count : (2 N,), of the windows of `lay`.
    Returns the three of the first N windows, and the three of the others.
    """
    n, _, k = index.shape
    parts = [
        [torch.empty((n // 2, *x.shape[1:]), dtype=x.dtype, device=x.device) for x in (index, values, count)]
        for _ in range(2)
    ]
    steps = *_three_axes(stride), int(border and len(window) == 3), int(border)
    geometry = *_three_axes(window), *_three_axes(image), *steps
    if n:
        grid = (n, triton.cdiv(2 * k, _BLOCK))
        _locate[grid](index, values, count, *parts[0], *parts[1], n // 2, k, *geometry, BLOCK=_BLOCK, num_warps=_WARPS)
    a, b = parts
    return (a[0], a[1], a[2]), (b[0], b[1], b[2])


def _three_axes(sizes: Sequence[int]) -> tuple[int, ...]:
    return (*[1] * (3 - len(sizes)), *sizes)


def _windows_of(shape: Sequence[int], window: Sequence[int], stride: Sequence[int]) -> int:
    """How many windows there are of images (B, *image)."""
    axes = zip(shape[1:], window, stride, strict=True)
    return shape[0] * math.prod(triton.cdiv(length - size, step) + 1 for length, size, step in axes)


@triton.jit(do_not_specialize=["n", "each", "programs", "margin_z", "margin", *_SIZES])
def _lay(
    pred,  # [B, image_depth, image_rows, image_columns] float32 or float64
    target,  # likewise
    heights,  # [1 or N, depth, rows, columns] likewise; not read unless HEIGHT
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
    BLOCK: tl.constexpr,
):
    """Write every `programs`-th block of one window of one image, and the least value of these blocks.

    It is no NaN, which must not spread to the other image's frame; without a number it is +inf.
    """
    program = tl.program_id(0) % programs
    row = (tl.program_id(0) // programs).to(tl.int64)
    window = row % n
    source = pred
    if row >= n:
        source = target
    corner = _corner(window, depth, rows, columns, image_depth, image_rows, image_columns, step_z, step_y, step_x)
    pixels = (depth + 2 * margin_z) * (rows + 2 * margin) * (columns + 2 * margin)
    lowest = tl.full((BLOCK,), float("inf"), x.dtype.element_ty)
    for start in range(program * BLOCK, pixels, programs * BLOCK):
        i = start + tl.arange(0, BLOCK)
        place, offset, inside = _place(i, depth, rows, columns, image_rows, image_columns, margin_z, margin)
        inside &= i < pixels
        value = tl.load(source + corner + offset, mask=inside, other=float("inf"))
        if HEIGHT:
            value += tl.load(heights + window * each + place, mask=inside, other=0.0)
        tl.store(x + row * pixels + i, value, mask=inside)
        lowest = tl.where(value < lowest, value, lowest)
    tl.store(least + row * programs + program, tl.min(lowest, 0))


@triton.jit(do_not_specialize=["n", "programs", "margin_z", "margin", *_SIZES])
def _frame(
    x,  # [2 N, *framed window] float32 or float64, written on the frames
    least,  # [2 N, programs] likewise
    n,
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
    PROGRAMS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Write what every `programs`-th block of one window has of the frame: the least value of both images' windows."""
    program = tl.program_id(0) % programs
    row = (tl.program_id(0) // programs).to(tl.int64)
    part = tl.arange(0, PROGRAMS)
    first = tl.load(least + row % n * programs + part, mask=part < programs, other=float("inf"))
    second = tl.load(least + (row % n + n) * programs + part, mask=part < programs, other=float("inf"))
    lowest = tl.min(tl.where(second < first, second, first), 0)
    pixels = (depth + 2 * margin_z) * (rows + 2 * margin) * (columns + 2 * margin)
    for start in range(program * BLOCK, pixels, programs * BLOCK):
        i = start + tl.arange(0, BLOCK)
        _, _, inside = _place(i, depth, rows, columns, image_rows, image_columns, margin_z, margin)
        tl.store(x + row * pixels + i, lowest, mask=(i < pixels) & (inside == 0))


@triton.jit(do_not_specialize=["n", "k", "margin_z", "margin", *_SIZES])
def _locate(
    index,  # [2 N, 2, K] int64
    values,  # [2 N, 2, K] float32 or float64
    count,  # [2 N] int64
    index_a,  # [N, 2, K], written, as are the others
    values_a,
    count_a,
    index_b,
    values_b,
    count_b,
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
    """Translate a block of one window's pixels, and copy their values to the results of the image."""
    row = tl.program_id(0).to(tl.int64)
    window = row % n
    out_index, out_values, out_count = index_a, values_a, count_a
    if row >= n:
        out_index, out_values, out_count = index_b, values_b, count_b
    corner = _corner(window, depth, rows, columns, image_depth, image_rows, image_columns, step_z, step_y, step_x)
    corner %= image_depth.to(tl.int64) * image_rows * image_columns
    entry = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    m_entry = entry < 2 * k
    i = tl.load(index + row * 2 * k + entry, mask=m_entry, other=-1)
    _, offset, inside = _place(i.to(tl.int32), depth, rows, columns, image_rows, image_columns, margin_z, margin)
    pixel = tl.where((i >= 0) & inside, corner + offset, -1)
    tl.store(out_index + window * 2 * k + entry, pixel, mask=m_entry)
    value = tl.load(values + row * 2 * k + entry, mask=m_entry)
    tl.store(out_values + window * 2 * k + entry, value, mask=m_entry)
    if tl.program_id(1) == 0:
        tl.store(out_count + window, tl.load(count + row))


@triton.jit
def _corner(window, depth, rows, columns, image_depth, image_rows, image_columns, step_z, step_y, step_x):
    """Where window number `window` begins in the images: the last along an axis are shifted inwards to end there."""
    n_z = tl.cdiv(image_depth - depth, step_z) + 1
    n_y = tl.cdiv(image_rows - rows, step_y) + 1
    n_x = tl.cdiv(image_columns - columns, step_x) + 1
    z = tl.minimum(window // (n_x * n_y) % n_z * step_z, image_depth - depth)
    y = tl.minimum(window // n_x % n_y * step_y, image_rows - rows)
    x = tl.minimum(window % n_x * step_x, image_columns - columns)
    image = window // (n_x * n_y * n_z)
    return ((image * image_depth + z) * image_rows + y) * image_columns + x


@triton.jit
def _place(i, depth, rows, columns, image_rows, image_columns, margin_z, margin):
    """Where pixel i of a framed window is in the window without the frame, and from its first pixel on in the image.

    Returns also whether it is inside the frame.
    """
    width, height = columns + 2 * margin, rows + 2 * margin
    x, y, z = i % width - margin, i // width % height - margin, i // (width * height) - margin_z
    inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows) & (z >= 0) & (z < depth)
    return (z * rows + y) * columns + x, (z.to(tl.int64) * image_rows + y) * image_columns + x, inside
