"""Sums: add up the slopes of all births and deaths that a pixel moves with, in the order of the CPU."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import triton.language as tl
from torch import Tensor

from ...records import Spread, Tiling
from ..gather import windows_at
from ..runtime.jit import kernel
from ..runtime.launch import INTERPRETED, cdiv, registers
from .carriers import RECORD, SLOPE, VALUES, members_of
from .grid import Grid, value_at

_ROWS, _COLUMNS = (32, 32) if INTERPRETED else (4, 32)  # the pixels of an image that a program owns
_PARTS = 1 if INTERPRETED else 32  # programs that add up the shares of a window's pulls
_BLOCK = 1024 if INTERPRETED else 128
SIZES = ["rows", "columns", "image_rows", "image_columns", "stride_y", "stride_x"]
_UNIT = tl.constexpr(2.0**40)  # of the sums of shares, which are integers, so that their order does not matter


class Carriers(NamedTuple):
    """What the first launch found in N windows; see `slopes` and `carriers`."""

    values: Tensor  # (N, P)
    links: Tensor  # (N, 2 * (P + 1)) int64
    spans: Tensor  # (N, 2 * (P + 1)) int64
    records: Tensor  # (N, RECORD, 2 K) int32
    numbers: Tensor  # (N, VALUES, 2 K)
    found: Tensor  # (N,) int32


def add_slopes(carriers: Carriers, out: Tensor, tiling: Tiling, rule: Spread) -> None:
    """Write the gradients of images (B, P) from the carriers of their windows."""
    images, n, row = len(out), len(carriers.found), carriers.records.shape[2]
    height, width = tiling.framed()
    totals, sizes = carriers.found, (row, height, width, -1 if rule.top else 1)
    constants: dict[str, Any] = {"enable_fp_fusion": False, "num_warps": 4, **registers(128)}
    if rule.normalise:
        totals = torch.empty((n, row), dtype=torch.int64, device=out.device)
        if n:
            _add_shares[(n * _PARTS,)](*carriers, totals, *sizes, _PARTS, BLOCK=_BLOCK, **constants)
    tiles = cdiv(tiling.image[0], _ROWS) * cdiv(tiling.image[1], _COLUMNS)
    if images:
        geometry = *sizes, int(tiling.border), *tiling.window, *tiling.image, *tiling.stride
        _add_slopes[(images * tiles,)](
            *carriers,
            totals,
            out,
            *geometry,
            NORMALISE=rule.normalise,
            ROWS=_ROWS,
            COLUMNS=_COLUMNS,
            BLOCK=_ROWS * _COLUMNS,
            **constants,
        )


@kernel(do_not_specialize=["row", "height", "width", "turn", "parts"])
def _add_shares(
    values,  # [N, pixels] float32 or float64
    links,  # [N, 2 * (pixels + 1)] int64
    spans,  # [N, 2 * (pixels + 1)] int64
    records,  # [N, RECORD, row] int32
    numbers,  # [N, VALUES, row] float32 or float64
    found,  # [N] int32
    totals,  # [N, row] int64, written as far as there are pulls
    row,
    height,
    width,
    turn,  # -1 in T, 1 in V
    parts,
    BLOCK: tl.constexpr,
):
    """Add up the shares of every `parts`-th pull of one window, whose totals no other program writes."""
    window = (tl.program_id(0) // parts).to(tl.int64)
    pixels = height * width
    n = tl.load(found + window)
    grid = Grid(values + window * pixels, height, width, pixels, turn)
    spans += window * (2 * pixels + 2)
    links += window * (2 * pixels + 2)
    records += window * RECORD * row
    numbers += window * VALUES * row
    for j in range(tl.program_id(0) % parts, n, parts):
        total = tl.zeros((BLOCK,), tl.int64)
        for start in range(0, pixels, BLOCK):
            pixel = start + tl.arange(0, BLOCK)
            there = pixel < pixels
            value = value_at(grid, pixel, there)
            member, share = members_of(j, row, records, numbers, pixel, value, spans, links, there, grid)
            total += tl.where(member, (share * _UNIT).to(tl.int64), 0)
        tl.store(totals + window * row + j, tl.sum(total, 0))


@kernel(do_not_specialize=["row", "height", "width", "turn", "frame", *SIZES])
def _add_slopes(
    values,  # [N, pixels] float32 or float64
    links,  # [N, 2 * (pixels + 1)] int64
    spans,  # [N, 2 * (pixels + 1)] int64
    records,  # [N, RECORD, row] int32
    numbers,  # [N, VALUES, row] float32 or float64
    found,  # [N] int32
    totals,  # [N, row] int64; not read unless NORMALISE
    out,  # [images, image_rows, image_columns] of numbers' dtype, written
    row,
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
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Write the gradient of a tile of one image, which no other program writes.

    Windows are added one after the other, and births before deaths.
    """
    tiles_x = tl.cdiv(image_columns, COLUMNS)
    tiles = tl.cdiv(image_rows, ROWS) * tiles_x
    image = (tl.program_id(0) // tiles).to(tl.int64)
    first_y = tl.program_id(0) % tiles // tiles_x * ROWS
    first_x = tl.program_id(0) % tiles_x * COLUMNS
    lane = tl.arange(0, BLOCK)
    y, x = first_y + lane // COLUMNS, first_x + lane % COLUMNS
    pixels = height * width
    total = tl.zeros((BLOCK,), out.dtype.element_ty)
    from_y, to_y, n_y = windows_at(first_y, ROWS, rows, image_rows, stride_y)
    from_x, to_x, n_x = windows_at(first_x, COLUMNS, columns, image_columns, stride_x)
    for w_y in range(from_y, to_y):
        for w_x in range(from_x, to_x):
            window = (image * n_y + w_y) * n_x + w_x
            own_y = y - tl.minimum(w_y * stride_y, image_rows - rows)
            own_x = x - tl.minimum(w_x * stride_x, image_columns - columns)
            there = (own_y >= 0) & (own_y < rows) & (own_x >= 0) & (own_x < columns)
            pixel = (own_y + frame) * width + own_x + frame
            n = tl.load(found + window)
            grid = Grid(values + window * pixels, height, width, pixels, turn)
            nodes = window * (2 * pixels + 2)
            own_records, own_numbers = records + window * RECORD * row, numbers + window * VALUES * row
            value = value_at(grid, pixel, there & (n > 0))
            of_window = tl.zeros((BLOCK,), out.dtype.element_ty)
            for j in range(0, n):
                member, share = members_of(
                    j, row, own_records, own_numbers, pixel, value, spans + nodes, links + nodes, there, grid
                )
                if NORMALISE:
                    share /= tl.load(totals + window * row + j).to(tl.float64) / _UNIT
                slope = tl.load(own_numbers + SLOPE * row + j).to(tl.float64)
                added = (of_window.to(tl.float64) + slope * share).to(out.dtype.element_ty)
                of_window = tl.where(member, added, of_window)
            total += of_window
    place = (image * image_rows + y) * image_columns + x
    tl.store(out + place, total, mask=(y < image_rows) & (x < image_columns))
