"""Positions: where the points of a diagram are in the image, so that partners far apart can cost more.

They are those of the CPU's kernels, with the same bits, and enter savings in the same place. A launch without them
(meta.PLACED is False) has no trace of them.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from ...records import Place, Points
from ..runtime.jit import kernel
from ..runtime.launch import INTERPRETED, cdiv

_BLOCK = 4096 if INTERPRETED else 256


class Positions(NamedTuple):
    """The positions of the points of two diagrams; without positions, any tensors, which are not read."""

    a: Tensor  # (N, 3, K), float64
    b: Tensor  # (N, 3, L)


def positions_of(place: Place[Tensor] | None, a: Points[Tensor], b: Points[Tensor]) -> Positions:
    """Return coordinates times weights; the weights are rounded to float32, so that float64 holds the products."""
    if place is None:
        return Positions(a.birth, b.birth)
    shape, weights = place.axes()
    made = []
    for index in (place.index_a, place.index_b):
        n, size = index.shape
        rows = index if index.stride(1) == 1 else index.contiguous()
        out = index.new_empty((n, 3, size), dtype=torch.float64)
        if out.numel():
            grid = (cdiv(n * size, _BLOCK),)
            _position[grid](rows, out, n * size, size, rows.stride(0), *shape[1:], *weights, BLOCK=_BLOCK, num_warps=4)
        made.append(out)
    return Positions(*made)


@kernel(
    do_not_specialize=["columns", "size", "row", "height", "width", "weight_z", "weight_y", "weight_x"],
    do_not_specialize_on_alignment=["index"],
)
def _position(
    index,  # [N, size] int64, in rows that are `row` apart
    out,  # [N, 3, size] float64, written
    columns,
    size,
    row,
    height,
    width,
    weight_z: tl.float32,
    weight_y: tl.float32,
    weight_x: tl.float32,
    BLOCK: tl.constexpr,
):
    """Write the positions of BLOCK columns. Those of columns that are not points may be anything."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    m_column = i < columns
    window, column = i // size, i % size
    pixel = tl.load(index + window * row + column, mask=m_column, other=0)
    y, x = pixel // width, pixel % width
    z, y = y // height, y % height
    p_out = out + window * 3 * size + column
    tl.store(p_out, z.to(tl.float64) * tl.cast(weight_z, tl.float64), mask=m_column)
    tl.store(p_out + size, y.to(tl.float64) * tl.cast(weight_y, tl.float64), mask=m_column)
    tl.store(p_out + 2 * size, x.to(tl.float64) * tl.cast(weight_x, tl.float64), mask=m_column)


@triton.jit
def coordinates(source, i, mask):
    """Return the positions of candidates i, or of columns i of a diagram; masked ones are 0."""
    z = tl.load(source.position + i, mask=mask, other=0.0)
    y = tl.load(source.position + source.length + i, mask=mask, other=0.0)
    x = tl.load(source.position + 2 * source.length + i, mask=mask, other=0.0)
    return z, y, x


@triton.jit
def less_apart(saved, candidates, i, m_i, others, j, m_j, meta):
    """Return what pairs save, less the squared distances of their positions."""
    if meta.PLACED:
        z, y, x = coordinates(candidates, i, m_i)
        saved = saved - apart(z, y, x, others, j, m_j)
    return saved


@triton.jit
def apart(z, y, x, others, j, mask):
    """Return the squared distances of positions from those of candidates j."""
    other_z, other_y, other_x = coordinates(others, j, mask)
    z, y, x = z - other_z, y - other_y, x - other_x
    return z * z + y * y + x * x


@triton.jit
def store_position(candidates, place, side, column, scale, mask, meta):
    """Write the positions of columns of a diagram as those of candidates."""
    if meta.PLACED:
        z, y, x = coordinates(side, column, mask)
        tl.store(candidates.position + place, z * scale, mask=mask)
        tl.store(candidates.position + candidates.length + place, y * scale, mask=mask)
        tl.store(candidates.position + 2 * candidates.length + place, x * scale, mask=mask)


@triton.jit
def differ_in_position(candidates, i, mask, differ, meta):
    """Return `differ`, or 1 where candidates i have another position than the first one."""
    if meta.PLACED:
        z, y, x = coordinates(candidates, i, mask)
        first_z, first_y, first_x = coordinates(candidates, 0, True)
        differ |= (mask & ((z != first_z) | (y != first_y) | (x != first_x))).to(tl.int32)
    return differ
