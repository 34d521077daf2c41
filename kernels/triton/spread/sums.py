"""Sums: add up the slopes of all births and deaths that a pixel moves with, in the order of the CPU."""

from __future__ import annotations

from typing import NamedTuple

import triton
import triton.language as tl
from torch import Tensor

from ...records import Spread, Tiling
from ..gather import windows_at
from ..runtime.jit import kernel
from ..runtime.launch import cdiv, registers
from .carriers import RECORD, SLOPE, VALUES, members_of
from .grid import Grid, value_at
from .marks import COLUMNS, ROWS, UNIT, tiles_along

SIZES = ["rows", "columns", "image_rows", "image_columns", "stride_y", "stride_x"]


class Carriers(NamedTuple):
    """What the first launch found in N windows; see `slopes`, `carriers` and `marks`."""

    values: Tensor  # (N, P)
    links: Tensor  # (N, 2 * (P + 1)) int64
    spans: Tensor  # (N, 2 * (P + 1)) int64
    records: Tensor  # (N, 2 K, RECORD) int32
    numbers: Tensor  # (N, 2 K, VALUES)
    marks: Tensor  # (N, tiles, words) int32
    totals: Tensor  # (N, 2 K) int64; empty unless the sums of shares are needed
    found: Tensor  # (N,) int32


def add_slopes(carriers: Carriers, out: Tensor, tiling: Tiling, rule: Spread, bit_shift: int) -> None:
    """Write the gradients of images (B, P) from the carriers of their windows. bit_shift : see `Marks`."""
    if not len(out):
        return
    tiles = cdiv(tiling.image[0], ROWS.value) * cdiv(tiling.image[1], COLUMNS.value)
    row, words, (height, width) = carriers.records.shape[1], carriers.marks.shape[2], tiling.framed()
    _add_slopes[(len(out) * tiles,)](
        *carriers,
        out,
        row,
        words,
        bit_shift,
        height,
        width,
        -1 if rule.top else 1,
        int(tiling.border),
        *tiling.window,
        *tiling.image,
        *tiling.stride,
        NORMALISE=rule.normalise,
        BLOCK=ROWS.value * COLUMNS.value,
        num_warps=1,
        enable_fp_fusion=False,
        **registers(128),
    )


@kernel(do_not_specialize=["row", "words", "bit_shift", "height", "width", "turn", "frame", *SIZES])
def _add_slopes(
    values,  # [N, pixels] float32 or float64
    links,  # [N, 2 * (pixels + 1)] int64
    spans,  # [N, 2 * (pixels + 1)] int64
    records,  # [N, row, RECORD] int32
    numbers,  # [N, row, VALUES] float32 or float64
    marks,  # [N, tiles, words] int32
    totals,  # [N, row] int64; not read unless NORMALISE
    found,  # [N] int32
    out,  # [images, image_rows, image_columns] of numbers' dtype, written
    row,
    words,
    bit_shift,
    height,
    width,
    turn,  # -1 in T, 1 in V
    frame,
    rows,
    columns,
    image_rows,
    image_columns,
    stride_y,
    stride_x,
    NORMALISE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Write the gradient of a tile of one image, which no other program writes.

    Windows are added one after the other, and births before deaths. Of these, only those are asked that are marked in
    the tile.
    """
    tiles_x = tl.cdiv(image_columns, COLUMNS)
    tiles = tl.cdiv(image_rows, ROWS) * tiles_x
    image = (tl.program_id(0) // tiles).to(tl.int64)
    tile_y, tile_x = tl.program_id(0) % tiles // tiles_x, tl.program_id(0) % tiles_x
    lane = tl.arange(0, BLOCK)
    y, x = tile_y * ROWS + lane // COLUMNS, tile_x * COLUMNS + lane % COLUMNS
    pixels = height * width
    total = tl.zeros((BLOCK,), out.dtype.element_ty)
    own_tiles_x = tiles_along(columns, COLUMNS)
    own_tiles = tiles_along(rows, ROWS) * own_tiles_x
    from_y, to_y, n_y = windows_at(tile_y * ROWS, ROWS, rows, image_rows, stride_y)
    from_x, to_x, n_x = windows_at(tile_x * COLUMNS, COLUMNS, columns, image_columns, stride_x)
    for w_y in range(from_y, to_y):
        for w_x in range(from_x, to_x):
            window = (image * n_y + w_y) * n_x + w_x
            corner_y = tl.minimum(w_y * stride_y, image_rows - rows)
            corner_x = tl.minimum(w_x * stride_x, image_columns - columns)
            own_y, own_x = y - corner_y, x - corner_x
            there = (own_y >= 0) & (own_y < rows) & (own_x >= 0) & (own_x < columns)
            pixel = (own_y + frame) * width + own_x + frame
            n = tl.load(found + window)
            grid = Grid(values + window * pixels, height, width, pixels, turn)
            nodes = window * (2 * pixels + 2)
            value = value_at(grid, pixel, there & (n > 0))
            of_window = tl.zeros((BLOCK,), out.dtype.element_ty)
            own_tile = (tile_y - corner_y // ROWS) * own_tiles_x + tile_x - corner_x // COLUMNS
            own_marks = marks + (window * own_tiles + own_tile) * words
            for i in range(0, tl.cdiv(tl.cdiv(n, 1 << bit_shift), 32)):
                bits = tl.load(own_marks + i)
                while bits != 0:
                    low = bits & -bits
                    bits &= bits - 1
                    first = (32 * i + _log2(low)) << bit_shift
                    for j in range(first, tl.minimum(first + (1 << bit_shift), n)):
                        at = window * row + j
                        record, own_numbers = records + at * RECORD, numbers + at * VALUES
                        member, share = members_of(
                            record, own_numbers, pixel, value, spans + nodes, links + nodes, there, grid
                        )
                        if NORMALISE:
                            share /= tl.load(totals + at).to(tl.float64) / UNIT
                        slope = tl.load(own_numbers + SLOPE).to(tl.float64)
                        added = (of_window.to(tl.float64) + slope * share).to(out.dtype.element_ty)
                        of_window = tl.where(member, added, of_window)
            total += of_window
    place = (image * image_rows + y) * image_columns + x
    tl.store(out + place, total, mask=(y < image_rows) & (x < image_columns))


@triton.jit
def _log2(bit):
    """Return the place of the only bit of a word, which is the exponent of its float."""
    return ((bit.to(tl.float32).to(tl.int32, bitcast=True) >> 23) & 0xFF) - 127
