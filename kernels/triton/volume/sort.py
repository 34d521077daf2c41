"""Sort: lists of pairs of which only the device knows how long they are; the longest pair first, then by code.

Runs of pairs are sorted, and then WAYS runs at a time merged to longer ones, until the longest list that there could be
is one run. Each launch takes as many steps as there are pairs. A pair's place in a merged run is the number of those
before it, which a binary search finds in each of the other runs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..image.gradient import COUNTERS
from ..image.place import write_none, write_pairs
from ..runtime.launch import INTERPRETED
from .gradient import PAIRS

RUN = 1024 if INTERPRETED else 32  # a power of two
_WAYS = 8
ROWS = ["slots_0", "slots_1", "all_slots", "programs", "sides", "order"]  # how lists are divided among programs
_LOW = tl.constexpr(0xFFFFFFFF)


def sort(
    x: Tensor,
    counters: Tensor,
    lengths: Tensor,
    codes: Tensor,
    index: list[Tensor],
    values: list[Tensor],
    count: list[Tensor],
    voxels: int,
    longest: int,
    rows: Sequence[int],
    grid: tuple[int],
) -> None:
    """Order the pairs of every list and write as many as fit into index and values (N, 2, K), and their count (N,).

    lengths, codes : Tensor, shape (N, slots), of x's dtype and int32 or int64
        The lists of `emit3`, changed.
    index, values, count : list of Tensor
        Of one to three sides.
    longest : int
        A bound on the pairs of a list.
    rows, grid
        How `emit3` divides the lists among programs.
    """
    three = 0, len(index) // 2, -1  # of as many sides or fewer
    outputs = [part[i] for part in (index, values, count) for i in three]
    columns = [index[i].shape[2] for i in three]
    lengths_out, codes_out = torch.empty_like(lengths), torch.empty_like(codes)
    _sort_runs[grid](lengths, codes, lengths_out, codes_out, counters, *rows, RUN=RUN, num_warps=1)
    run, last = RUN, False
    while not last:
        lengths, codes, lengths_out, codes_out = lengths_out, codes_out, lengths, codes
        last = run * _WAYS >= longest
        lists = lengths, codes, lengths_out, codes_out
        arguments = x, counters, *lists, *outputs, *columns, voxels, *rows, run
        _merge_runs[grid](*arguments, WAYS=_WAYS, LAST=last, RUN=RUN, num_warps=1)
        run *= _WAYS


def code_type(voxels: int) -> torch.dtype:
    """The dtype of codes of pairs in windows of so many voxels."""
    return torch.int32 if voxels < 2**16 else torch.int64


@triton.jit
def coded(birth, death, p_code):
    """Codes of pairs, for a place: signed numbers in the order of births and then of deaths, of which -1 is least."""
    is_short: tl.constexpr = p_code.dtype.element_ty == tl.int32
    return (birth - 32768) << 16 | (death + 1) if is_short else birth.to(tl.int64) << 32 | (death + 1).to(tl.int64)


@triton.jit
def decoded(code):
    """The births and deaths of codes."""
    if code.dtype == tl.int32:
        birth, death = (code >> 16) + 32768, (code & 0xFFFF) - 1
    else:
        birth, death = code >> 32, (code & _LOW) - 1
    return birth, death


@triton.jit
def part_of(slots_0, slots_1, all_slots, programs, sides, order):
    """What a program of `emit3` or of this stage has to do; `order` has the number of each part's side in two bits.

    Returns the number of a side, its part, the window, where this list begins, and which of its programs this one is.
    """
    part = tl.program_id(0) % sides
    program = tl.program_id(0) // sides
    window = (program // programs).to(tl.int64)
    begin = tl.where(part == 0, 0, tl.where(part == 1, slots_0, slots_1))
    return (order >> (2 * part)) & 3, part, window, window * all_slots + begin, program % programs


@triton.jit(do_not_specialize=ROWS)
def _sort_runs(
    lengths,  # [N, all_slots] float32 or float64
    codes,  # [N, all_slots] int32 or int64
    lengths_out,  # [N, all_slots] of the dtype of lengths, written as far as there are pairs
    codes_out,  # [N, all_slots] of the dtype of codes, likewise
    counters,  # [N, COUNTERS] int32
    slots_0,
    slots_1,
    all_slots,
    programs,
    sides,
    order,
    RUN: tl.constexpr,
):
    """Sort every `programs`-th run of RUN pairs of one list."""
    side, _, window, begin, program = part_of(slots_0, slots_1, all_slots, programs, sides, order)
    n = tl.load(counters + window * COUNTERS + PAIRS + side)
    lane = tl.arange(0, RUN)
    for start in range(program * RUN, n, programs * RUN):
        there = start + lane < n
        length = tl.load(lengths + begin + start + lane, mask=there, other=-1.0)
        code = tl.load(codes + begin + start + lane, mask=there, other=0)
        same = (length[:, None] == length[None, :]) & (code[:, None] == code[None, :])
        before = _before(length[:, None], code[:, None], length[None, :], code[None, :], False)
        place = tl.sum((before | same & (lane[:, None] < lane[None, :])).to(tl.int32), 0)
        tl.store(lengths_out + begin + start + place, length, mask=there)
        tl.store(codes_out + begin + start + place, code, mask=there)


@triton.jit
def _before(length_a, code_a, length_b, code_b, equal):
    """Whether the pair a comes before b: the longer one, then the one of lesser code; of equal ones if `equal` is."""
    return (length_a > length_b) | (length_a == length_b) & ((code_a < code_b) | (code_a == code_b) & equal)


@triton.jit(do_not_specialize=["k_0", "k_1", "k_2", "voxels", *ROWS, "run"], do_not_specialize_on_alignment=["x"])
def _merge_runs(
    x,  # [N, D, H, W] float32 or float64
    counters,  # [N, COUNTERS] int32
    lengths,  # [N, all_slots] of x's dtype, in sorted runs
    codes,  # [N, all_slots] int32 or int64, likewise
    lengths_out,  # [N, all_slots] of x's dtype, written unless LAST
    codes_out,  # [N, all_slots] of the dtype of codes, written unless LAST
    index_0,  # [N, 2, k_0] int64, of the first side; all that follow are written if LAST
    index_1,  # [N, 2, k_1] int64, of the second of three
    index_2,  # [N, 2, k_2] int64, of the last
    values_0,  # [N, 2, k_0] of x's dtype
    values_1,
    values_2,
    count_0,  # [N] int64
    count_1,
    count_2,
    k_0,
    k_1,
    k_2,
    voxels,
    slots_0,
    slots_1,
    all_slots,
    programs,
    sides,
    order,
    run,
    WAYS: tl.constexpr,
    LAST: tl.constexpr,
    RUN: tl.constexpr,
):
    """Merge each WAYS runs of `run` pairs of one list, every `programs`-th RUN pairs of it.

    LAST: they make one run, whose pairs are written to their columns, and -1 behind them all.
    """
    side, part, window, begin, program = part_of(slots_0, slots_1, all_slots, programs, sides, order)
    n = tl.load(counters + window * COUNTERS + PAIRS + side)
    k, index, values, count = k_0, index_0, values_0, count_0
    if part == sides - 1:
        k, index, values, count = k_2, index_2, values_2, count_2
    elif part == 1:
        k, index, values, count = k_1, index_1, values_1, count_1
    births = window * 2 * k
    deaths = births + k
    x += window * voxels
    lengths += begin
    codes += begin
    lane = tl.arange(0, RUN)
    for start in range(program * RUN, n, programs * RUN):
        i = start + lane
        there = i < n
        length = tl.load(lengths + i, mask=there, other=-1.0)
        code = tl.load(codes + i, mask=there, other=0)
        own = start // run * run
        first = own // (run * WAYS) * (run * WAYS)
        place = i - own + first
        for other in range(first, tl.minimum(first + run * WAYS, n), run):
            if other != own:
                size = tl.minimum(run, n - other)
                place += _pairs_before(length, code, lengths + other, codes + other, size, run, other < own)
        if LAST:
            birth, death = decoded(code)
            write_pairs(index, values, births + place, deaths + place, birth, death, there & (place < k), x)
        else:
            tl.store(lengths_out + begin + place, length, mask=there)
            tl.store(codes_out + begin + place, code, mask=there)
    if LAST:
        if program == 0:
            tl.store(count + window, n.to(tl.int64))
        for start in range(n // RUN * RUN + program * RUN, k, programs * RUN):
            column = start + lane
            write_none(index, values, births + column, deaths + column, (column >= n) & (column < k))


@triton.jit
def _pairs_before(length, code, lengths, codes, size, run, equal):
    """How many pairs of a sorted run come before each pair, by binary search; equal ones do if `equal` is.

    size : of the run, at most `run`, which is a power of two.
    """
    before = tl.zeros(length.shape, tl.int32)
    step = run
    while step > 0:
        i = before + step - 1
        there = i < size
        length_i = tl.load(lengths + i, mask=there, other=-1.0)
        code_i = tl.load(codes + i, mask=there, other=0)
        before += tl.where(there & _before(length_i, code_i, length, code, equal), step, 0)
        step = step >> 1
    return before
