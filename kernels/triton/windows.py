"""Windows: copy the windows of two images into frames, and translate their pixels back to pixels of the images.

Images and windows have three axes here, (D, H, W). Those of two axes have a depth of 1, and no frame in that direction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..records import Pairs, Tiling
from .runtime.jit import kernel
from .runtime.launch import INTERPRETED, cdiv

_COLUMNS = 64  # a program copies a tile of _ROWS rows and _COLUMNS columns at a time
_ROWS = 64 if INTERPRETED else 16
_PROGRAMS = 64  # most programs of a window: each leaves a minimum, and all of these are read to fill a frame
_EDGE = 4096 if INTERPRETED else 128  # pixels of a frame that a program fills at a time
_BLOCK = 1024 if INTERPRETED else 32  # pairs that a program translates at a time
SIZES = ["depth", "rows", "columns", "image_depth", "image_rows", "image_columns", "stride_z", "stride_y", "stride_x"]


class _Geometry(NamedTuple):
    """A tiling in three axes, flat as the kernels take it."""

    depth: int
    rows: int
    columns: int
    image_depth: int
    image_rows: int
    image_columns: int
    stride_z: int
    stride_y: int
    stride_x: int
    frame_z: int  # width of the frame in z
    frame: int  # and in y and x

    @classmethod
    def of(cls, tiling: Tiling) -> _Geometry:
        """Return the geometry of a tiling, whose windows have a frame in z only if they have three axes."""
        axes = (size for sizes in (tiling.window, tiling.image, tiling.stride) for size in three_axes(sizes))
        return cls._make((*axes, int(tiling.border and len(tiling.window) == 3), int(tiling.border)))


def copy_windows(pred: Tensor, target: Tensor, height: Tensor | None, tiling: Tiling) -> Tensor:
    """Copy the windows of two images into frames at their common minimum; see `gpuph.ops.framed_persistence`.

    Returns
    -------
    Tensor, shape (2 N, *window), or (2 N, *(window + 2)) with a frame
        The windows of `pred`, and then those of `target`.
    """
    geometry, rank = _Geometry.of(tiling), len(tiling.window)
    n = len(pred) * tiling.windows()
    x = torch.empty((2 * n, *tiling.framed()), dtype=pred.dtype, device=pred.device)
    programs = min(_PROGRAMS, cdiv(geometry.depth * geometry.rows, _ROWS))
    minima = torch.empty((2 * n, programs), dtype=pred.dtype, device=pred.device)
    heights = pred if height is None else height
    per_window = 0 if height is None or len(height) == 1 else height[0].numel()
    slopes = 0 if height is None or height.dim() > 2 else rank
    if n:
        _copy_windows[(2 * n * programs,)](
            pred, target, heights, x, minima, n, per_window, programs, *geometry,
            HEIGHT=height is not None, SLOPES=slopes, ROWS=_ROWS, COLUMNS=_COLUMNS, num_warps=4, enable_fp_fusion=False,
        )  # fmt: skip
    if n and tiling.border:
        pixels = math.prod(x.shape[1:]) - math.prod(tiling.window)
        writers = min(_PROGRAMS, cdiv(pixels, _EDGE))
        part = triton.next_power_of_2(programs)
        sizes = geometry.depth, geometry.rows, geometry.columns, geometry.frame_z, geometry.frame
        _fill_frames[(2 * n * writers,)](x, minima, n, programs, writers, *sizes, PART=part, BLOCK=_EDGE, num_warps=1)
    return x


def translate_pixels(pairs: Pairs[Tensor], tiling: Tiling) -> None:
    """Replace the windows' pixels in the pairs of `copy_windows` by pixels of the images, and those of frames by -1."""
    n, _, k = pairs.index.shape
    if n:
        _translate_pixels[(n,)](pairs.index, pairs.count, n // 2, k, *_Geometry.of(tiling), BLOCK=_BLOCK, num_warps=1)


def three_axes(sizes: Sequence[int]) -> tuple[int, ...]:
    """Return the sizes of two or three axes as those of three."""
    return (*[1] * (3 - len(sizes)), *sizes)


@kernel(
    do_not_specialize=["n", "per_window", "programs", "frame_z", "frame", *SIZES],
    do_not_specialize_on_alignment=["pred", "target", "heights"],
)
def _copy_windows(
    pred,  # [B, image_depth, image_rows, image_columns] float32 or float64
    target,  # likewise
    heights,  # [1 or N, depth, rows, columns] likewise, or [1 or N, SLOPES]; not read unless HEIGHT
    x,  # [2 N, *framed window] likewise, written inside the frames
    minima,  # [2 N, programs] likewise, written
    n,
    per_window,  # values of heights for each window; 0 if all windows share them
    programs,
    depth,
    rows,
    columns,
    image_depth,
    image_rows,
    image_columns,
    stride_z,
    stride_y,
    stride_x,
    frame_z,
    frame,
    HEIGHT: tl.constexpr,
    SLOPES: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Copy every `programs`-th group of ROWS rows of one window of one image, and write the minimum of these rows.

    If SLOPES is not 0, heights are slopes along that many axes, and are added up axis by axis without fused
    multiply-adds, as on the CPU. The minimum ignores NaNs, which must not spread to the other image's frame; if all
    values are NaN, it is +inf. No two programs write the same pixel.
    """
    program = tl.program_id(0) % programs
    copy = (tl.program_id(0) // programs).to(tl.int64)
    window = copy % n
    source = pred
    if copy >= n:
        source = target
    source += corner_of(
        window, depth, rows, columns, image_depth, image_rows, image_columns, stride_z, stride_y, stride_x
    )
    heights += window * per_window
    height, width = rows + 2 * frame, columns + 2 * frame
    x += ((copy * (depth + 2 * frame_z) + frame_z) * height + frame) * width + frame
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
    tl.store(minima + copy * programs + program, tl.min(lowest))


@triton.jit
def _from_centre(i, size, x):
    """Return how far pixels i of an axis are from its centre, in the dtype of x."""
    return i.to(x.dtype.element_ty) - (size - 1).to(x.dtype.element_ty) / 2


@kernel(do_not_specialize=["n", "programs", "writers", "depth", "rows", "columns", "frame_z", "frame"])
def _fill_frames(
    x,  # [2 N, *framed window] float32 or float64, written on the frames
    minima,  # [2 N, programs] likewise
    n,
    programs,
    writers,  # programs of this kernel for each window
    depth,
    rows,
    columns,
    frame_z,
    frame,
    PART: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Fill every `writers`-th block of one window's frame with the minimum over both images' windows.

    No two programs write the same pixel, and all read the minima of the previous launch.
    """
    writer = tl.program_id(0) % writers
    copy = (tl.program_id(0) // writers).to(tl.int64)
    part = tl.arange(0, PART)
    first = tl.load(minima + copy % n * programs + part, mask=part < programs, other=float("inf"))
    second = tl.load(minima + (copy % n + n) * programs + part, mask=part < programs, other=float("inf"))
    lowest = tl.min(tl.where(second < first, second, first), 0)
    height, width = rows + 2 * frame, columns + 2 * frame
    x += copy * (depth + 2 * frame_z) * (height * width)
    # Pixels of the frame are numbered plane by plane around the window, and then on the planes above and below it.
    around = height * width - rows * columns
    pixels = depth * around + 2 * frame_z * (height * width)
    for start in range(writer * BLOCK, pixels, writers * BLOCK):
        i = start + tl.arange(0, BLOCK)
        z, k = i // around, i % around
        # Around a plane: the first row, the last row, and then the two ends of each row between.
        end = k - 2 * width
        on_plane = tl.where(
            k < width, k, tl.where(end < 0, k + rows * width, (end // 2 + 1 + end % 2) * width - end % 2)
        )
        rest = i - depth * around
        on_cap = rest + tl.where(rest < height * width, 0, depth * height * width)
        pixel = tl.where(rest < 0, (z + frame_z) * (height * width) + on_plane, on_cap)
        tl.store(x + pixel, lowest, mask=i < pixels)


@kernel(do_not_specialize=["n", "k", "frame_z", "frame", *SIZES])
def _translate_pixels(
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
    stride_z,
    stride_y,
    stride_x,
    frame_z,
    frame,
    BLOCK: tl.constexpr,
):
    """Translate the pixels of one window's pairs. No other program reads or writes these."""
    copy = tl.program_id(0).to(tl.int64)
    window = copy % n
    corner = corner_of(
        window, depth, rows, columns, image_depth, image_rows, image_columns, stride_z, stride_y, stride_x
    )
    corner %= image_depth.to(tl.int64) * image_rows * image_columns
    pairs = tl.minimum(tl.load(count + copy), k).to(tl.int32)
    for end in range(2):
        p_index = index + (copy * 2 + end) * k
        for start in range(0, pairs, BLOCK):
            column = start + tl.arange(0, BLOCK)
            i = tl.load(p_index + column, mask=column < pairs, other=-1).to(tl.int32)
            pixel = pixel_of_image(i, corner, depth, rows, columns, image_rows, image_columns, frame_z, frame)
            tl.store(p_index + column, pixel, mask=column < pairs)


@triton.jit
def pixel_of_image(i, corner, depth, rows, columns, image_rows, image_columns, frame_z, frame):
    """Return the pixels of an image that are pixels i of a window with that corner; -1 in the frame and for i < 0."""
    height, width = rows + 2 * frame, columns + 2 * frame
    x, y, z = i % width - frame, i // width % height - frame, i // (width * height) - frame_z
    inside = (i >= 0) & (x >= 0) & (x < columns) & (y >= 0) & (y < rows) & (z >= 0) & (z < depth)
    return tl.where(inside, corner + (z.to(tl.int64) * image_rows + y) * image_columns + x, -1)


@triton.jit
def corner_of(window, depth, rows, columns, image_depth, image_rows, image_columns, stride_z, stride_y, stride_x):
    """Return the flat index of a window's first pixel in all images; the last windows of an axis end with the image."""
    n_z = tl.cdiv(image_depth - depth, stride_z) + 1
    n_y = tl.cdiv(image_rows - rows, stride_y) + 1
    n_x = tl.cdiv(image_columns - columns, stride_x) + 1
    z = tl.minimum(window // (n_x * n_y) % n_z * stride_z, image_depth - depth)
    y = tl.minimum(window // n_x % n_y * stride_y, image_rows - rows)
    x = tl.minimum(window % n_x * stride_x, image_columns - columns)
    image = window // (n_x * n_y * n_z)
    return ((image * image_depth + z) * image_rows + y) * image_columns + x
