"""Place: a pair's column in its diagram, which is the number of the keys that come before its own; see `emit`."""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl
from torch import Tensor

from ..windows import Layout, corner_of, located
from .gradient import COUNTERS, MAXIMA, MINIMA, PAIRS_OF_MAXIMA, PAIRS_OF_MINIMA, STATUS

NONE = tl.constexpr(0x7FFFFFFF << 32)  # the key of no pair, or a larger one
_SHAPE = ["height", "width", "slots", "all_slots", "programs", "k_first", "k_second", "padded"]
_SCALARS = [*_SHAPE, "n", "rows", "columns", "image_rows", "image_columns", "step_y", "step_x", "margin"]


def place(
    x: Tensor,
    counters: Tensor,
    keys: Tensor,
    index: list[Tensor],
    values: list[Tensor],
    count: list[Tensor],
    shape: tuple[int, ...],
    padded: bool,
    layout: Layout | None,
    grid: tuple[int],
    meta: dict[str, Any],
) -> None:
    """Write the pairs of sorted runs of keys to their columns, and how many they are; see `emit`.

    shape, grid, meta
        Those of `_pairs`.
    """
    outputs = index[0], index[-1], values[0], values[-1], count[0], count[-1]
    scalars = *shape, index[0].shape[2], index[-1].shape[2], int(padded)
    geometry: tuple[int, ...] = (1,) * 8
    if layout is not None:
        (_, *window), (_, *image), (_, *step) = layout.window, layout.image, layout.step
        geometry = layout.n, *window, *image, *step, layout.margin
    meta = {"LOCATED": layout is not None, **meta, "num_warps": 1}
    _place[grid](x, counters, keys, *outputs, *scalars, *geometry, **meta)


@triton.jit(do_not_specialize=_SCALARS, do_not_specialize_on_alignment=["x"])
def _place(
    x,  # [N, H, W] float32
    counters,  # [N, COUNTERS] int32
    keys,  # [N, all_slots] int64, sorted in runs
    index_first,  # [N, 2, k_first] int64, written; of the first side
    index_second,  # [N, 2, k_second] int64, written if there are two sides
    values_first,  # [N, 2, k_first] float32, written
    values_second,  # [N, 2, k_second] float32, written if there are two sides
    count_first,  # [N] int64, written
    count_second,  # [N] int64, written if there are two sides
    height,
    width,
    slots,
    all_slots,
    programs,
    k_first,
    k_second,
    padded,
    n,
    rows,
    columns,
    image_rows,
    image_columns,
    step_y,
    step_x,
    margin,
    LOCATED: tl.constexpr,
    SIDES: tl.constexpr,
    FIRST: tl.constexpr,
    LOG_BLOCK: tl.constexpr,
    LOG_RUN: tl.constexpr,
):
    """Write the pairs of every `programs`-th block of one window, on one side, to their columns.

    A column is written by one program: that of its pair, or of its number where there is no pair; then, if `padded`, it
    gets -1. Indices are those of images' pixels if LOCATED.
    """
    part = tl.program_id(0) % SIDES
    side = part if SIDES == 2 else FIRST
    program = tl.program_id(0) // SIDES
    window = (program // programs).to(tl.int64)
    x += window * (height * width)
    keys += window * all_slots + part * slots
    counters += window * COUNTERS
    k = k_first
    index, values, p_count = index_first, values_first, count_first
    if part == 1:
        k = k_second
        index, values, p_count = index_second, values_second, count_second
    births = window * 2 * k
    deaths = births + k

    ok = tl.load(counters + STATUS) == 0
    n_extrema = tl.where(ok, tl.load(counters + (MINIMA if side == 0 else MAXIMA)), 0)
    count = tl.load(counters + (PAIRS_OF_MINIMA if side == 0 else PAIRS_OF_MAXIMA))
    if program % programs == 0:
        tl.store(p_count + window, count.to(tl.int64))

    corner = window
    if LOCATED:
        corner = corner_of(window % n, 1, rows, columns, 1, image_rows, image_columns, 1, step_y, step_x)
        corner %= image_rows.to(tl.int64) * image_columns
    RUN: tl.constexpr = 1 << LOG_RUN
    BLOCK: tl.constexpr = 1 << LOG_BLOCK
    lane = tl.arange(0, BLOCK)
    for start in range(program % programs * BLOCK, n_extrema, programs * BLOCK):
        key = tl.load(keys + start + lane, mask=start + lane < n_extrema, other=NONE)
        own = start // RUN * RUN
        column = start - own + lane
        for run in range(0, n_extrema, RUN):
            if run != own:
                column += _keys_before(key, keys + run, n_extrema - run, LOG_RUN)
        m_pair = (key < NONE) & (column < k)
        birth, death = (key >> 16) & 0xFFFF, (key & 0xFFFF) - 1
        write_values(values, births + column, deaths + column, birth, death, m_pair, x)
        if LOCATED:
            birth = located(birth.to(tl.int32), corner, 1, rows, columns, image_rows, image_columns, 0, margin)
            death = located(death.to(tl.int32), corner, 1, rows, columns, image_rows, image_columns, 0, margin)
        tl.store(index + births + column, birth, mask=m_pair)
        tl.store(index + deaths + column, death, mask=m_pair)
    for start in range(program % programs * BLOCK, tl.where(padded != 0, k, 0), programs * BLOCK):
        column = start + lane
        write_none(index, values, births + column, deaths + column, (column >= count) & (column < k))


@triton.jit
def write_pairs(index, values, births, deaths, birth, death, there, x):
    """Write pairs of pixels and their values to these places of index and values; -1 is no pixel of death."""
    tl.store(index + births, birth, mask=there)
    tl.store(index + deaths, death, mask=there)
    write_values(values, births, deaths, birth, death, there, x)


@triton.jit
def write_values(values, births, deaths, birth, death, there, x):
    """Write the values of pixels of births and deaths to these places; -1 is no pixel of death."""
    tl.store(values + births, tl.load(x + birth, mask=there), mask=there)
    value_death = tl.load(x + death, mask=there & (death >= 0), other=float("inf"))
    tl.store(values + deaths, value_death, mask=there)


@triton.jit
def write_none(index, values, births, deaths, there):
    """Write that there is no pair in these places."""
    tl.store(index + births, -1, mask=there)
    tl.store(index + deaths, -1, mask=there)
    tl.store(values + births, 0.0, mask=there)
    tl.store(values + deaths, 0.0, mask=there)


@triton.jit
def _keys_before(key, run, size, LOG_RUN: tl.constexpr):
    """How many keys of a sorted run of up to 2^LOG_RUN come before each key, by binary search; size : of the run."""
    before = tl.zeros(key.shape, tl.int32)
    for halving in tl.static_range(LOG_RUN + 1):
        i = before + ((1 << (LOG_RUN - halving)) - 1)
        key_i = tl.load(run + i, mask=i < tl.minimum(size, 1 << LOG_RUN), other=NONE)
        before += tl.where(key_i < key, 1 << (LOG_RUN - halving), 0)
    return before
