"""Sort: put lists of pairs in order, the longest pair first, then by birth and by death.

Only the device knows how many pairs a list has. Runs of pairs are sorted, and then _WAYS runs at a time are merged into
longer ones, until the longest list that there could be is one run. The work of each launch is proportional to the
number of pairs. A pair's place in a merged run is the number of pairs before it, which a binary search finds in each of
the other runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..records import Pairs
from .counters import COUNTERS, PAIRS
from .runtime.jit import kernel
from .runtime.launch import INTERPRETED, cdiv

RUN = 1024 if INTERPRETED else 32  # a power of two
_WAYS = 8
_RUNS_PER_PROGRAM = 32  # of the bound on pairs; most windows have few, and a program with more takes them in turn
_PROGRAMS = 1024  # the most programs for a list
_LOW = tl.constexpr(0xFFFFFFFF)


class CodeLists(NamedTuple):
    """The pairs of N windows, in one list per dimension of V."""

    lengths: Tensor  # (N, all_slots) of the windows' dtype: persistence
    codes: Tensor  # (N, all_slots) int32 or int64: births and deaths; see `_coded`


class Shares(NamedTuple):
    """How lists lie in the slots of a window, and how they are divided among programs; flat as the kernels take it."""

    slots_0: int  # where the second list begins
    slots_1: int  # and the third
    all_slots: int
    programs: int  # for each list
    n_dims: int  # number of lists
    order: int  # their dimensions of V, two bits each

    def grid(self, n: int) -> tuple[int]:
        """Return the grid of a kernel whose programs take their shares of the lists of n windows."""
        return (n * self.programs * self.n_dims,)


SHARES = [*Shares._fields]


def new_lists(x: Tensor, bounds: Sequence[int], v_dims: Sequence[int]) -> tuple[CodeLists, Shares]:
    """Allocate the lists of windows x, one per dimension of V, with room for a bound on its pairs."""
    slots = [cdiv(bound, RUN) * RUN for bound in bounds]
    pixels = x.shape[1:].numel()
    lengths = torch.empty((len(x), sum(slots)), dtype=x.dtype, device=x.device)
    codes = torch.empty(lengths.shape, dtype=torch.int32 if pixels < 2**16 else torch.int64, device=x.device)
    programs = min(cdiv(max(slots), RUN * _RUNS_PER_PROGRAM), _PROGRAMS)
    order = sum(dim << 2 * part for part, dim in enumerate(v_dims))
    return CodeLists(lengths, codes), Shares(slots[0], sum(slots[:2]), sum(slots), programs, len(v_dims), order)


def new_pairs(x: Tensor, columns: int) -> Pairs[Tensor]:
    """Allocate pairs with that number of columns for each of the windows x."""
    index = torch.empty((len(x), 2, columns), dtype=torch.int64, device=x.device)
    value = torch.empty(index.shape, dtype=x.dtype, device=x.device)
    return Pairs(index, value, torch.empty(len(x), dtype=torch.int64, device=x.device))


def sort(x: Tensor, counters: Tensor, lists: CodeLists, shares: Shares, pairs: Sequence[Pairs[Tensor]]) -> None:
    """Sort the pairs of one to three lists, and write as many as fit into `pairs`, which has one entry per list.

    x : windows (N, *window). lists : changed.
    """
    if len(x) == 0:
        return
    three = pairs[0], pairs[len(pairs) // 2], pairs[-1]  # some are repeated if there are fewer than three
    outputs = [part for parts in zip(*three, strict=True) for part in parts]
    columns = [part.index.shape[2] for part in three]
    grid = shares.grid(len(x))
    longest = max(shares.slots_0, shares.slots_1 - shares.slots_0, shares.all_slots - shares.slots_1)
    spare = CodeLists(*map(torch.empty_like, lists))
    _sort_runs[grid](*lists, *spare, counters, *shares, RUN=RUN, num_warps=1)
    run, last = RUN, False
    while not last:
        lists, spare = spare, lists
        last = run * _WAYS >= longest
        sizes = *columns, x.shape[1:].numel(), *shares, run
        _merge_runs[grid](x, counters, *lists, *spare, *outputs, *sizes, WAYS=_WAYS, LAST=last, RUN=RUN, num_warps=1)
        run *= _WAYS


@triton.jit
def _coded(birth, death, p_code):
    """Return codes of the dtype of p_code: signed numbers in the order of births, and then of deaths from -1 on."""
    is_short: tl.constexpr = p_code.dtype.element_ty == tl.int32
    return (birth - 32768) << 16 | (death + 1) if is_short else birth.to(tl.int64) << 32 | (death + 1).to(tl.int64)


@triton.jit
def _decoded(code):
    """Return the births and deaths of codes."""
    if code.dtype == tl.int32:
        birth, death = (code >> 16) + 32768, (code & 0xFFFF) - 1
    else:
        birth, death = code >> 32, (code & _LOW) - 1
    return birth, death


@triton.jit
def share_of(slots_0, slots_1, all_slots, programs, n_dims, order):
    """Return the share of this program in the lists of all windows; for the arguments, see `Shares`.

    Returns the dimension of V, the number of its list in the window, the window, where the list begins, and the number
    of this program among those of the list.
    """
    part = tl.program_id(0) % n_dims
    program = tl.program_id(0) // n_dims
    window = (program // programs).to(tl.int64)
    begin = tl.where(part == 0, 0, tl.where(part == 1, slots_0, slots_1))
    return (order >> (2 * part)) & 3, part, window, window * all_slots + begin, program % programs


@triton.jit
def append(lengths, codes, count, length, birth, death, m_pair):
    """Append pairs to a list and to its count, in any order.

    Each program reserves the slots that it writes by one addition. Relaxed additions are enough, because no program
    reads a list before the launch is over.
    """
    wanted = m_pair.to(tl.int32)
    slot = tl.atomic_add(count, tl.sum(wanted, 0), sem="relaxed") + tl.cumsum(wanted, 0) - wanted
    tl.store(lengths + slot, length, mask=m_pair)
    tl.store(codes + slot, _coded(birth, death, codes), mask=m_pair)


@kernel(do_not_specialize=SHARES)
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
    n_dims,
    order,
    RUN: tl.constexpr,
):
    """Sort every `programs`-th run of RUN pairs of one list. Programs share no run."""
    dim, _, window, begin, program = share_of(slots_0, slots_1, all_slots, programs, n_dims, order)
    n = tl.load(counters + window * COUNTERS + PAIRS + dim)
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
    """Return whether pair a comes before b: if it is longer, or else has the lesser code; `equal` if both are equal."""
    return (length_a > length_b) | (length_a == length_b) & ((code_a < code_b) | (code_a == code_b) & equal)


@kernel(do_not_specialize=["k_0", "k_1", "k_2", "pixels", *SHARES, "run"], do_not_specialize_on_alignment=["x"])
def _merge_runs(
    x,  # [N, pixels] float32 or float64
    counters,  # [N, COUNTERS] int32
    lengths,  # [N, all_slots] of x's dtype, in sorted runs
    codes,  # [N, all_slots] int32 or int64, likewise
    lengths_out,  # [N, all_slots] of x's dtype, written unless LAST
    codes_out,  # [N, all_slots] of the dtype of codes, written unless LAST
    index_0,  # [N, 2, k_0] int64, of the first list; this and all that follow are written if LAST
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
    pixels,  # of a window
    slots_0,
    slots_1,
    all_slots,
    programs,
    n_dims,
    order,
    run,
    WAYS: tl.constexpr,
    LAST: tl.constexpr,
    RUN: tl.constexpr,
):
    """Merge groups of WAYS runs of `run` pairs of one list: find the places of every `programs`-th RUN pairs.

    If LAST, the result is one run, whose pairs are written to their columns, with -1 after the last pair. Programs
    write different places, because no two pairs of a list have the same one, and read the lists of the launch before.
    """
    dim, part, window, begin, program = share_of(slots_0, slots_1, all_slots, programs, n_dims, order)
    n = tl.load(counters + window * COUNTERS + PAIRS + dim)
    k, index, values, count = k_0, index_0, values_0, count_0
    if part == n_dims - 1:
        k, index, values, count = k_2, index_2, values_2, count_2
    elif part == 1:
        k, index, values, count = k_1, index_1, values_1, count_1
    births = window * 2 * k
    deaths = births + k
    x += window * pixels
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
            birth, death = _decoded(code)
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
    """Count the pairs of a sorted run that come before each pair; equal ones do if `equal`.

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


@triton.jit
def write_pairs(index, values, births, deaths, birth, death, there, x):
    """Write the births and deaths of pairs and their values at these offsets; a death of -1 is essential."""
    tl.store(index + births, birth, mask=there)
    tl.store(index + deaths, death, mask=there)
    write_values(values, births, deaths, birth, death, there, x)


@triton.jit
def write_values(values, births, deaths, birth, death, there, x):
    """Write the values of births and deaths at these offsets, +inf for a death of -1."""
    tl.store(values + births, tl.load(x + birth, mask=there), mask=there)
    value_death = tl.load(x + death, mask=there & (death >= 0), other=float("inf"))
    tl.store(values + deaths, value_death, mask=there)


@triton.jit
def write_none(index, values, births, deaths, there):
    """Write -1 and 0 at the offsets of columns without a pair."""
    tl.store(index + births, -1, mask=there)
    tl.store(index + deaths, -1, mask=there)
    tl.store(values + births, 0.0, mask=there)
    tl.store(values + deaths, 0.0, mask=there)
