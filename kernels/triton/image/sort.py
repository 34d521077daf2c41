"""Sort: write pairs that are keys to the columns of their diagrams; see `emit`.

Lists of keys come in sorted runs. A pair's column is the number of keys that come before its own, which a binary search
finds in each of the other runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import triton
import triton.language as tl
from torch import Tensor

from ...records import Pairs, Tiling
from ..counters import COUNTERS, MAXIMA, MINIMA, OK, PAIRS, STATUS
from ..runtime.jit import kernel
from ..runtime.launch import INTERPRETED, cdiv
from ..sort import write_none, write_values
from ..windows import corner_of, pixel_of_image

LOG_BLOCK = 10 if INTERPRETED else 6  # of the keys that a program takes at a time, and of the shortest runs
LOG_RUN = max(9, LOG_BLOCK)  # of the longest runs: a warp has registers for no more
NONE = tl.constexpr(0x7FFFFFFF << 32)  # keys of this value or larger are not pairs
_LISTS = ["slots", "all_slots", "programs"]
_SIZES = [*_LISTS, "height", "width", "k_first", "k_second"]
_GEOMETRY = ["n", "rows", "columns", "image_rows", "image_columns", "stride_y", "stride_x", "frame"]


class KeyLists(NamedTuple):
    """The pairs of N windows as keys, in one list per dimension of V."""

    v_dims: Sequence[int]  # in order
    slots: Sequence[int]  # of each dimension: a bound on its pairs
    keys: Tensor  # (N, sum of slots) int64

    @property
    def grid(self) -> tuple[int]:
        """The grid of a kernel whose programs take a run of a list each."""
        return (len(self.keys) * self._programs * len(self.v_dims),)

    @property
    def sizes(self) -> tuple[int, int, int]:
        """How lists are divided among programs: slots, all_slots and programs of the kernels."""
        return self.slots[0], sum(self.slots), self._programs

    @property
    def constants(self) -> dict[str, int]:
        """The constants of the kernels that tell which dimensions there are, and how long blocks and runs are."""
        return {"DIMS": len(self.v_dims), "FIRST": self.v_dims[0], "LOG_BLOCK": LOG_BLOCK, "LOG_RUN": LOG_RUN}

    @property
    def _programs(self) -> int:
        return cdiv(max(self.slots), 1 << LOG_RUN)


def sort_keys(
    x: Tensor, counters: Tensor, lists: KeyLists, pairs: Sequence[Pairs[Tensor]], tiling: Tiling | None
) -> None:
    """Write the pairs of sorted runs, as many as fit, into the columns of `pairs`, for each dimension; see `emit`."""
    n, height, width = x.shape
    first, last = pairs[0], pairs[-1]
    outputs = first.index, last.index, first.value, last.value, first.count, last.count
    columns = first.index.shape[2], last.index.shape[2]
    geometry: tuple[int, ...] = (1,) * 8
    if tiling is not None:
        geometry = n // 2, *tiling.window, *tiling.image, *tiling.stride, int(tiling.border)
    if n:
        _merge_runs[lists.grid](
            x, counters, lists.keys, *outputs, *lists.sizes, height, width, *columns, *geometry,
            TO_IMAGE=tiling is not None, **lists.constants, num_warps=1,
        )  # fmt: skip


@kernel(do_not_specialize=[*_SIZES, *_GEOMETRY], do_not_specialize_on_alignment=["x"])
def _merge_runs(
    x,  # [N, H, W] float32
    counters,  # [N, COUNTERS] int32
    keys,  # [N, all_slots] int64, in sorted runs
    index_first,  # [N, 2, k_first] int64, written; of the first dimension
    index_second,  # [N, 2, k_second] int64, written if there are two dimensions
    values_first,  # [N, 2, k_first] float32, written
    values_second,  # [N, 2, k_second] float32, written if there are two dimensions
    count_first,  # [N] int64, written
    count_second,  # [N] int64, written if there are two dimensions
    slots,
    all_slots,
    programs,
    height,
    width,
    k_first,
    k_second,
    n,  # windows of `pred`, and as many of `target`; this and all that follow are only read if TO_IMAGE
    rows,
    columns,
    image_rows,
    image_columns,
    stride_y,
    stride_x,
    frame,
    TO_IMAGE: tl.constexpr,
    DIMS: tl.constexpr,
    FIRST: tl.constexpr,
    LOG_BLOCK: tl.constexpr,
    LOG_RUN: tl.constexpr,
):
    """Write the pairs of every `programs`-th block of one window, in one dimension, to their columns.

    Each column has one writer: the program of its pair or, after the last pair, the program of its number. If TO_IMAGE,
    indices are those of the images' pixels, and nothing is written after the last pair.
    """
    part = tl.program_id(0) % DIMS
    dim = part if DIMS == 2 else FIRST
    program = tl.program_id(0) // DIMS
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

    ok = tl.load(counters + STATUS) == OK
    n_extrema = tl.where(ok, tl.load(counters + (MINIMA if dim == 0 else MAXIMA)), 0)
    count = tl.load(counters + PAIRS + dim)
    if program % programs == 0:
        tl.store(p_count + window, count.to(tl.int64))

    corner = window
    if TO_IMAGE:
        corner = corner_of(window % n, 1, rows, columns, 1, image_rows, image_columns, 1, stride_y, stride_x)
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
        if TO_IMAGE:
            birth = pixel_of_image(birth.to(tl.int32), corner, 1, rows, columns, image_rows, image_columns, 0, frame)
            death = pixel_of_image(death.to(tl.int32), corner, 1, rows, columns, image_rows, image_columns, 0, frame)
        tl.store(index + births + column, birth, mask=m_pair)
        tl.store(index + deaths + column, death, mask=m_pair)
    if not TO_IMAGE:
        for start in range(program % programs * BLOCK, k, programs * BLOCK):
            column = start + lane
            write_none(index, values, births + column, deaths + column, (column >= count) & (column < k))


@triton.jit
def _keys_before(key, run, size, LOG_RUN: tl.constexpr):
    """Count the keys of a sorted run, of `size` but at most 2^LOG_RUN keys, that come before each key."""
    before = tl.zeros(key.shape, tl.int32)
    for halving in tl.static_range(LOG_RUN + 1):
        i = before + ((1 << (LOG_RUN - halving)) - 1)
        key_i = tl.load(run + i, mask=i < tl.minimum(size, 1 << LOG_RUN), other=NONE)
        before += tl.where(key_i < key, 1 << (LOG_RUN - halving), 0)
    return before
