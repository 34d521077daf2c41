"""Link: match the columns of two diagrams whose classes have the same image; see `induced`.

The classes that begin or end with one owner are matched in the order of seniority, the eldest with the eldest, because
several saddles may have the same owner.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from ...records import Pairs, Tiling
from ..counters import COUNTERS, OK, STATUS
from ..runtime.jit import kernel
from ..tree import before, unpacked
from .gradient import EACH_LOG2
from .jobs import SIZES, ClassImages, Task, count_extrema, load_extrema, order_of
from .tables import ENTRIES, first_bit, list_partners


def link(task: Task, images: ClassImages, pairs: Pairs[Tensor], tiling: Tiling) -> tuple[Tensor, Tensor]:
    """Match the columns of the two diagrams of each window pair.

    Parameters
    ----------
    task, images
        As in `merge_images`, and what it returned.
    pairs : Pairs
        The diagrams of the windows of both images, in the dimension of the task. Their values are not read.
    tiling : Tiling

    Returns
    -------
    tuple of Tensor, shapes (N, K), int64
        The column of the partner in the other diagram, or -1, for the columns of the first image and of the second.
    """
    at, *partners = list_partners(task, images, pairs, tiling)
    sizes = *task.sizes, pairs.index.shape[2]
    written = images.named, images.column, *partners
    if task.pairs:
        _link[(len(task.saddles.values) * task.programs,)](
            *task.inputs, images.joined, at, *written, *sizes, **task.constants
        )
    if task.pairs and task.name:
        lists = task.others.trees.extrema, task.others.trees.counters
        _link_named[(task.pairs * task.programs,)](*lists, *written, *sizes, **task.constants)
    return partners[0], partners[1]


@kernel(
    do_not_specialize=[*SIZES, "k"],
    do_not_specialize_on_alignment=["values", "others", "joined"],
)
def _link(
    values,  # [windows of saddles, H, W] float32 or float64
    others,  # [windows of others, H, W] likewise
    extrema,  # [windows of saddles, H * W] int32
    own_tree,  # [windows of saddles, H * W + 1] int32 or int64
    counters,  # [windows of saddles, COUNTERS] int32
    other_counters,  # [windows of others, COUNTERS] int32
    joined,  # [windows of saddles, H * W / 8] int32
    at,  # [2, windows of saddles, H * W, ENTRIES] int32
    named,  # [2 N, H * W] int32, changed if NAME
    column,  # [2 N, H * W + 1] int32
    partner_a,  # [N, k] int64, changed unless NAME
    partner_b,  # [N, k] int64, changed unless NAME
    n,
    height,
    width,
    programs,
    k,
    TOP: tl.constexpr,
    DIM: tl.constexpr,
    NAME: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Link the extrema that are paired with a share of the saddles of one window, in the two tables.

    They are those of h and of the image if NAME, and otherwise those of the two images. No two saddles have the same
    extremum, so no two programs write to the same place.
    """
    program = tl.program_id(0) % programs
    window = (tl.program_id(0) // programs).to(tl.int64)
    pixels = height * width
    pair = window % n
    windows = n.to(tl.int64)
    values += window * pixels
    first = others + pair * pixels
    second = values
    if NAME:
        windows *= 2
    else:
        second = first + n.to(tl.int64) * pixels
    extrema += window * pixels
    own_tree += window * (pixels + 1)
    joined += window * tl.cdiv(pixels, 8)
    first_at = at + window * pixels * ENTRIES
    second_at = first_at + windows * pixels * ENTRIES
    named += window * pixels
    column += pair * (pixels + 1)
    turn, mirror = order_of(TOP, DIM)
    ok = tl.load((other_counters if NAME else counters) + pair * COUNTERS + STATUS) == OK
    n_own = count_extrema(counters + window * COUNTERS, ok, DIM)
    if NAME == 0:
        essential = (tl.arange(0, BLOCK) == 0) & (program == 0)
        no_pixel = tl.full((BLOCK,), 0, tl.int32) + pixels
        _write_partners(no_pixel, no_pixel, essential, column, partner_a, partner_b, pair, n, k, pixels)
    for start in range(program * BLOCK, n_own, programs * BLOCK):
        i = start + tl.arange(0, BLOCK)
        u = load_extrema(extrema, i, i < n_own, pixels, DIM)
        saddle, elder = unpacked(tl.load(own_tree + u, mask=i < n_own, other=0))
        joins = (i < n_own) & (elder != u)
        owner = saddle >> EACH_LOG2
        bits = tl.load(joined + (owner >> 3), mask=joins, other=0) >> first_bit(owner)
        place = owner * ENTRIES
        a_0, f_0 = _load(first_at + place, (bits & 1) != 0, first, mirror)
        a_1, f_1 = _load(first_at + place + 1, (bits & 2) != 0, first, mirror)
        a_2, f_2 = _load(first_at + place + 2, (bits & 4) != 0, first, mirror)
        b_0, g_0 = _load(second_at + place, (bits & 1) != 0, second, mirror)
        b_1, g_1 = _load(second_at + place + 1, (bits & 2) != 0, second, mirror)
        b_2, g_2 = _load(second_at + place + 2, (bits & 4) != 0, second, mirror)
        direction = saddle - (owner << EACH_LOG2)
        a = tl.where(direction == 0, a_0, tl.where(direction == 1, a_1, a_2))
        f = tl.where(direction == 0, f_0, tl.where(direction == 1, f_1, f_2))
        rank = _rank(a, f, a_0, f_0, a_1, f_1, a_2, f_2, turn)
        b = tl.where((b_0 >= 0) & (_rank(b_0, g_0, b_0, g_0, b_1, g_1, b_2, g_2, turn) == rank), b_0, -1)
        b = tl.where((b_1 >= 0) & (_rank(b_1, g_1, b_0, g_0, b_1, g_1, b_2, g_2, turn) == rank), b_1, b)
        b = tl.where((b_2 >= 0) & (_rank(b_2, g_2, b_0, g_0, b_1, g_1, b_2, g_2, turn) == rank), b_2, b)
        linked = joins & (a >= 0) & (b >= 0)
        if NAME:
            tl.store(named + a, b, mask=linked)
        else:
            _write_partners(a, b, linked, column, partner_a, partner_b, pair, n, k, pixels)


@triton.jit
def _load(entry, there, values, mirror):
    """Return the extrema in entries of a table, -1 for none, and their values."""
    u = tl.load(entry, mask=there, other=-1)
    return u, tl.load(values + u, mask=u >= 0, other=0.0) * mirror


@triton.jit
def _rank(u, value, u_0, value_0, u_1, value_1, u_2, value_2, turn):
    """Return how many of three extrema, those that are not -1, come before u."""
    rank = ((u_0 >= 0) & before(value_0, u_0, value, u, turn)).to(tl.int32)
    rank += ((u_1 >= 0) & before(value_1, u_1, value, u, turn)).to(tl.int32)
    return rank + ((u_2 >= 0) & before(value_2, u_2, value, u, turn)).to(tl.int32)


@triton.jit
def _write_partners(a, b, linked, column, partner_a, partner_b, pair, n, k, pixels):
    """Make the columns of extrema partners, where both have one."""
    column_a = tl.load(column + a, mask=linked, other=-1)
    column_b = tl.load(column + n.to(tl.int64) * (pixels + 1) + b, mask=linked, other=-1)
    linked &= (column_a >= 0) & (column_b >= 0)
    tl.store(partner_a + pair * k + column_a, column_b.to(tl.int64), mask=linked)
    tl.store(partner_b + pair * k + column_b, column_a.to(tl.int64), mask=linked)


@kernel(do_not_specialize=[*SIZES, "k"])
def _link_named(
    extrema,  # [N, H * W] int32, of h
    counters,  # [N, COUNTERS] int32
    named,  # [2 N, H * W] int32
    column,  # [2 N, H * W + 1] int32
    partner_a,  # [N, k] int64, changed
    partner_b,  # [N, k] int64, changed
    n,
    height,
    width,
    programs,
    k,
    TOP: tl.constexpr,
    DIM: tl.constexpr,
    NAME: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Make columns partners whose extrema name the same extremum of h, in a share of those of one window.

    No two extrema of h have the same extremum of an image, so no two programs write to the same place.
    """
    program = tl.program_id(0) % programs
    pair = (tl.program_id(0) // programs).to(tl.int64)
    pixels = height * width
    extrema += pair * pixels
    first = named + pair * pixels
    second = first + n.to(tl.int64) * pixels
    column += pair * (pixels + 1)
    counters += pair * COUNTERS
    n_both = count_extrema(counters, tl.load(counters + STATUS) == OK, DIM)
    lane = tl.arange(0, BLOCK)
    no_pixel = tl.full((BLOCK,), 0, tl.int32) + pixels
    essential = (lane == 0) & (program == 0)
    _write_partners(no_pixel, no_pixel, essential, column, partner_a, partner_b, pair, n, k, pixels)
    for start in range(program * BLOCK, n_both, programs * BLOCK):
        i = start + lane
        z = load_extrema(extrema, i, i < n_both, pixels, DIM)
        a, b = tl.load(first + z, mask=i < n_both, other=-1), tl.load(second + z, mask=i < n_both, other=-1)
        _write_partners(a, b, (a >= 0) & (b >= 0), column, partner_a, partner_b, pair, n, k, pixels)
