"""Truncated Euclidean distance maps: one axis after another, each the minimum of parabolas.

The algorithm is that of `kernels/cpu/distance_map.py`, and so is every rounding: results are the same, bit for bit.
"""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..scale import Scale
from .runtime.jit import kernel
from .runtime.launch import WARP, cdiv

_PIXELS = 16 * WARP  # of rows, that a program scans
_GROUP = 16  # of them that a thread has: as many bytes as it loads at a time
_LINES, _DEPTH = 4 * WARP, 8  # neighbouring lines at most, and pixels of each, of which a program takes the minima
_STEPS = 4  # rows that are read in either direction between two tests of whether it can end
_FAR = tl.constexpr(2**15 - 1)  # pixels from which on distances are truncated, if they are int16
_NONE = tl.constexpr(2**30)  # farther away than any pixel


def distance_map(mask: Tensor, scale: Scale) -> Tensor:
    """Compute the truncated distances of masks (B, *image), bool; see `gpuph.ops.distance_map`."""
    if mask.numel() == 0:
        return torch.empty(mask.shape, dtype=torch.float32, device=mask.device)
    values = _scan(mask, scale)
    for axis in reversed(range(mask.dim() - 2)):
        values = _minimize(values, axis, scale)
    return values


def _scan(mask: Tensor, scale: Scale) -> Tensor:
    """Return distances in pixels along rows, as int16, or their squares as float32 if the truncation is too large."""
    mask = mask.contiguous().view(torch.uint8)
    if mask.data_ptr() % 16:  # part of a batch; see `launch.DIAGRAMS`
        mask = mask.clone()
    pixels, width = scale.pixels(), mask.shape[-1]
    few = pixels < _FAR.value - 1
    distances = torch.empty(mask.shape, dtype=torch.int16 if few else torch.float32, device=mask.device)
    count, taps = mask.numel() // width, math.floor(min(pixels + 1, width))
    columns = min(_PIXELS, max(_GROUP, triton.next_power_of_2(width)))
    rows, tiles = _PIXELS // columns, cdiv(width, columns)
    scalars = count, width, taps, scale.steps[-1], tiles
    meta = {"PIXELS": few, "ROWS": rows, "COLUMNS": columns, "GROUP": _GROUP, "num_warps": 1}
    _distances_in_rows[(cdiv(count, rows) * tiles,)](mask, distances, *scalars, **meta)
    return distances


def _minimize(values: Tensor, axis: int, scale: Scale) -> Tensor:
    """Return the minima along an axis of (B, *image): squares, or distances if it is the first axis."""
    out = torch.empty(values.shape, dtype=torch.float32, device=values.device)
    depth, inner = values.shape[axis + 1], math.prod(values.shape[axis + 2 :])
    lines = min(_LINES, max(WARP, triton.next_power_of_2(inner)))
    tiles = cdiv(depth, _DEPTH), cdiv(inner, lines)
    grid = (out.numel() // (depth * inner) * math.prod(tiles),)
    scalars = scale.steps[axis], scale.steps[-1], scale.limit, scale.truncation, scale.unit
    sizes = {"DEPTH": _DEPTH, "LINES": lines, "STEPS": _STEPS, "num_warps": 1}
    _minima[grid](
        values, out, depth, inner, *scalars, *tiles,
        PIXELS=values.dtype == torch.int16, LAST=axis == 0, **sizes, enable_fp_fusion=False,
    )  # fmt: skip
    return out


@kernel(do_not_specialize=["count", "taps", "tiles"])
def _distances_in_rows(
    mask,  # [count, width] uint8, any byte but 0 is True
    distances,  # [count, width] written: int16 in pixels if PIXELS, else float32 squares
    count,
    width,
    taps,  # pixels to either side that matter
    step: tl.float32,  # the size of a pixel, for squares
    tiles,
    PIXELS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    GROUP: tl.constexpr,
):
    """Write the distances of a tile: of COLUMNS pixels of each of ROWS rows.

    Scans find the last True pixel up to each pixel and the first one from it on, within GROUP pixels that are a
    thread's own and then over the groups. What lies outside the tile is searched for tile by tile, as far as it
    matters. Programs read any pixel of their rows and write only their own tiles, so their order does not matter.
    """
    row = tl.program_id(0) // tiles * ROWS + tl.arange(0, ROWS)[:, None]
    begin = tl.program_id(0) % tiles * COLUMNS
    lane = tl.arange(0, COLUMNS)[None, :]
    column = begin + lane
    mask += row.to(tl.int64) * width
    there = (row < count) & (column < width)
    on = tl.load(mask + column, mask=there, other=0) != 0

    left = tl.full((ROWS,), -_NONE, tl.int32)  # the last True pixel before the tile, counted from its first
    reach = tl.maximum(begin - taps, 0)
    edge = begin
    while (edge > reach) & (tl.min(left, 0) == -_NONE):
        beside = edge - COLUMNS + lane
        seen = tl.load(mask + beside, mask=(beside >= reach) & (row < count), other=0) != 0
        left = tl.maximum(left, tl.max(tl.where(seen, beside - begin, -_NONE), 1))
        edge -= COLUMNS
    right = tl.full((ROWS,), _NONE, tl.int32)  # the first True pixel behind the tile
    edge = begin + COLUMNS
    reach = tl.minimum(edge + taps, width)
    while (edge < reach) & (tl.max(right, 0) == _NONE):
        beside = edge + lane
        seen = tl.load(mask + beside, mask=(beside < reach) & (row < count), other=0) != 0
        right = tl.minimum(right, tl.min(tl.where(seen, beside - begin, _NONE), 1))
        edge += COLUMNS

    groups: tl.constexpr = (ROWS, COLUMNS // GROUP, GROUP)
    last = tl.reshape(tl.where(on, lane, -_NONE), groups)
    first = tl.reshape(tl.where(on, lane, _NONE), groups)
    nothing = tl.full((ROWS, COLUMNS // GROUP), _NONE, tl.int32)
    _, before = tl.associative_scan((tl.max(last, 2), -nothing), 1, _greatest_but_last)
    _, behind = tl.associative_scan((tl.min(first, 2), nothing), 1, _least_but_first, reverse=True)
    last = tl.maximum(tl.associative_scan(last, 2, _greatest), tl.maximum(before, left[:, None])[:, :, None])
    first = tl.flip(tl.associative_scan(tl.flip(first, 2), 2, _least), 2)  # `reverse` shuffles
    first = tl.minimum(first, tl.minimum(behind, right[:, None])[:, :, None])

    last, first = tl.reshape(last, (ROWS, COLUMNS)), tl.reshape(first, (ROWS, COLUMNS))
    found = tl.minimum(lane - last, first - lane)
    if PIXELS:
        found = tl.minimum(found, _FAR).to(tl.int16)
    else:
        distance = found.to(tl.float32) * step
        found = tl.where(found <= taps, distance * distance, float("inf"))
    tl.store(distances + row.to(tl.int64) * width + begin + lane, found, mask=there)


@triton.jit
def _greatest(a, b):
    return tl.maximum(a, b)


@triton.jit
def _least(a, b):
    return tl.minimum(a, b)


@triton.jit
def _greatest_but_last(a, a_but_last, b, b_but_last):
    """Join two runs, of each of which the maximum is known, and the maximum without the last element."""
    return tl.maximum(a, b), tl.maximum(a, b_but_last)


@triton.jit
def _least_but_first(a, a_but_first, b, b_but_first):
    """Join two runs, of each of which the minimum is known, and the minimum without the first element.

    A reversed scan takes the later run as its first argument.
    """
    return tl.minimum(a, b), tl.minimum(a, b_but_first)


@kernel(
    # Otherwise a thread loads several neighbours at a time, and each row is laid out anew for the minima.
    do_not_specialize=["depth", "inner", "tiles", "tiles_across"],
    do_not_specialize_on_alignment=["values", "out"],
)
def _minima(
    values,  # [planes, depth, inner] int16 distances in pixels if PIXELS, else float32 squares
    out,  # [planes, depth, inner] float32, written: distances if LAST, else squares
    depth,
    inner,
    spacing: tl.float32,  # of this axis, in units of the finest one
    step: tl.float32,  # the spacing of the last axis
    limit: tl.float32,  # squares from it on are truncated
    truncation: tl.float32,
    unit: tl.float32,  # the finest spacing
    tiles,
    tiles_across,
    PIXELS: tl.constexpr,
    LAST: tl.constexpr,
    DEPTH: tl.constexpr,
    LINES: tl.constexpr,
    STEPS: tl.constexpr,
):
    """Compute the minima of a tile: of DEPTH rows of LINES lines that are neighbours in memory.

    A row is read once for all DEPTH minima of its lines. The rows of the tile come first, and then those above and
    below, outwards, until no parabola of farther rows can be the least. Rows with nothing near are left out. Programs
    read any pixel of their lines and write only their own tiles, so their order does not matter.
    """
    across = tl.program_id(0) % tiles_across
    rest = tl.program_id(0) // tiles_across
    top = rest % tiles * DEPTH
    plane = (rest // tiles).to(tl.int64) * depth * inner
    line = across * LINES + tl.arange(0, LINES)
    inside = line < inner
    values += plane + line[None, :]
    place = tl.arange(0, DEPTH)
    there = (top + place < depth)[:, None] & inside[None, :]
    least = tl.where(there, limit, 0.0)
    worst = limit

    rows = _rows(values, top + place, depth, inner, inside)
    if _square(tl.min(tl.min(rows, 0), 0), step, PIXELS) < worst:
        for i in tl.static_range(DEPTH):
            least = _lower(least, _square(_pick(rows, i), step, PIXELS), i - place, spacing)
        worst = tl.max(tl.max(least, 0), 0)

    far = 1
    gap = spacing
    reach = tl.maximum(top, depth - top - DEPTH)
    outwards = tl.arange(0, 2 * STEPS) // 2
    above = tl.arange(0, 2 * STEPS) % 2 == 0  # in turn with rows below
    while (far <= reach) & (gap * gap < worst):
        numbers = tl.where(above, top - far - outwards, top + DEPTH - 1 + far + outwards)
        rows = _rows(values, numbers, depth, inner, inside)
        if _square(tl.min(tl.min(rows, 0), 0), step, PIXELS) + gap * gap < worst:
            for i in tl.static_range(STEPS):
                least = _lower(least, _square(_pick(rows, 2 * i), step, PIXELS), far + (i + place), spacing)
                offset = far + (i + DEPTH - 1 - place)
                least = _lower(least, _square(_pick(rows, 2 * i + 1), step, PIXELS), offset, spacing)
            worst = tl.max(tl.max(least, 0), 0)
        far += STEPS
        gap = far.to(tl.float32) * spacing

    if LAST:
        least = tl.where(least < limit, tl.minimum(tl.sqrt_rn(least) * unit, truncation), truncation)
    tl.store(out + plane + (top + place).to(tl.int64)[:, None] * inner + line[None, :], least, mask=there)


@triton.jit
def _rows(values, i, depth, inner, inside):
    """Return rows i of the lines. Rows beyond an edge repeat the row at the edge, too far away to be the least."""
    i = tl.minimum(tl.maximum(i, 0), depth - 1)
    return tl.load(values + i.to(tl.int64)[:, None] * inner, mask=inside[None, :], other=_FAR).to(tl.float32)


@triton.jit
def _pick(rows, i: tl.constexpr):
    """Return row i. Threads have whole columns, so the compiler finds the row and leaves no instruction."""
    bits = rows.to(tl.int32, bitcast=True)
    return tl.sum(tl.where(tl.arange(0, rows.shape[0])[:, None] == i, bits, 0), 0).to(tl.float32, bitcast=True)


@triton.jit
def _square(value, step, PIXELS: tl.constexpr):
    """Return the squares of distances in pixels; other values are squares already."""
    if PIXELS:
        value = value * step
        value = value * value
    return value


@triton.jit
def _lower(least, row, offset, spacing):
    """Return the minima after the parabolas of one more row."""
    offset = offset.to(tl.float32) * spacing
    return tl.minimum(least, row[None, :] + (offset * offset)[:, None])
