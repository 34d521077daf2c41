"""Tables of an induced matching: the extrema that are paired with saddles, and the columns of extrema; see `link`.

An image has at most three critical edges with one owner. So a table has three entries per owner, which hold the extrema
that are paired with these saddles, or -1. It is written where a saddle joins, which bits of `joined` tell.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from ...records import Pairs, Tiling
from ..counters import COUNTERS, OK, STATUS
from ..runtime.jit import kernel
from ..runtime.launch import INTERPRETED
from ..tree import unpacked
from ..windows import corner_of
from .gradient import EACH_LOG2, SOUTH
from .jobs import SIZES, ClassImages, Task, count_extrema, load_extrema, order_of, windows_of

_COLUMNS = 1024 if INTERPRETED else 32  # columns that a program takes at a time
ENTRIES = tl.constexpr(SOUTH.value + 1)  # of an owner: its critical edges are N, W and S, and never E
_GEOMETRY = ["k", "rows", "columns", "image_rows", "image_columns", "stride_y", "stride_x", "frame", "min_persistence"]


class Tables(NamedTuple):
    """What is paired with the saddles of windows, and the partners of columns, to be written."""

    at: Tensor  # (2, windows of saddles, 3 P) int32: for h and for the image if NAME, else for either image
    partner_a: Tensor  # (N, K) int64: -1 before
    partner_b: Tensor  # (N, K) int64: -1 before


def list_partners(task: Task, images: ClassImages, pairs: Pairs[Tensor], tiling: Tiling) -> Tables:
    """List what is paired with the saddles, and for each extremum its column in `images.column`; see `link`."""
    n, _, _, programs = task.sizes
    m, pixels = task.saddles.trees.extrema.shape
    index, count = pairs.index.contiguous(), pairs.count.contiguous()
    k, device = index.shape[2], index.device
    tables = Tables(
        torch.empty((2, m, pixels * ENTRIES.value), dtype=torch.int32, device=device),
        torch.empty((n, k), dtype=torch.int64, device=device),
        torch.empty((n, k), dtype=torch.int64, device=device),
    )
    if n:
        inputs = *task.inputs, images.eldest, images.words
        changed = images.joined, tables.at, images.column
        diagrams = index, count, tables.partner_a, tables.partner_b
        geometry = k, *tiling.window, *tiling.image, *tiling.stride, int(tiling.border), task.min_persistence
        _list_partners[(2 * n * programs,)](
            *inputs, *changed, *diagrams, *task.sizes, *geometry, **task.constants, COLUMNS=_COLUMNS
        )
    return tables


@kernel(
    do_not_specialize=[*SIZES, *_GEOMETRY],
    do_not_specialize_on_alignment=["values", "others", "eldest", "joined"],
)
def _list_partners(
    values,  # [windows of saddles, H, W] float32 or float64
    others,  # [windows of others, H, W] likewise
    extrema,  # [windows of saddles, H * W] int32
    own_tree,  # [windows of saddles, H * W + 1] int32 or int64
    counters,  # [windows of saddles, COUNTERS] int32
    other_counters,  # [windows of others, COUNTERS] int32
    eldest,  # [2 N, H * W] int32
    tree,  # [2 N, H * W + 1] int32 or int64
    joined,  # [windows of saddles, H * W / 8] int32, zeros before, changed
    at,  # [2, windows of saddles, H * W, ENTRIES] int32, written at saddles that join
    column,  # [2 N, H * W + 1] int32, changed
    index,  # [2 N, 2, k] int64
    count,  # [2 N] int64
    partner_a,  # [N, k] int64, -1 written
    partner_b,  # [N, k] int64, -1 written
    n,
    height,
    width,
    programs,
    k,
    rows,
    columns,
    image_rows,
    image_columns,
    stride_y,
    stride_x,
    frame,
    min_persistence: tl.float64,
    TOP: tl.constexpr,
    DIM: tl.constexpr,
    NAME: tl.constexpr,
    BLOCK: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """List what is paired with the saddles of one job, and the columns of its diagram, in a share of both lists.

    Image classes that last no longer than `min_persistence`, in values, are left out. Programs write different places,
    and share `joined`, where they only set bits: relaxed order is enough, because no program reads any of it before the
    launch is over.
    """
    program = tl.program_id(0) % programs
    job = (tl.program_id(0) // programs).to(tl.int64)
    pixels = height * width
    pair, window, other = windows_of(job, n, NAME)
    values += window * pixels
    others += other * pixels
    extrema += window * pixels
    own_tree += window * (pixels + 1)
    eldest += job * pixels
    tree += job * (pixels + 1)
    joined += window * tl.cdiv(pixels, 8)
    at += job * pixels * ENTRIES
    own_at = at + 2 * n.to(tl.int64) * pixels * ENTRIES
    column += job * (pixels + 1)
    _, mirror = order_of(TOP, DIM)
    ok = tl.load((other_counters if NAME else counters) + pair * COUNTERS + STATUS) == OK
    n_own = count_extrema(counters + window * COUNTERS, ok, DIM)
    lane = tl.arange(0, BLOCK)
    for start in range(program * BLOCK, n_own, programs * BLOCK):
        i = start + lane
        u = load_extrema(extrema, i, i < n_own, pixels, DIM)
        saddle, elder = unpacked(tl.load(tree + u, mask=i < n_own, other=0))
        joins = (i < n_own) & (elder != u)
        owner = saddle >> EACH_LOG2
        image = tl.load(eldest + u, mask=joins, other=1) - 1
        value = tl.load(others + image, mask=joins, other=0.0) * mirror
        value_owner = tl.load(values + owner, mask=joins, other=0.0) * mirror
        lasts = value_owner - value > min_persistence  # not if both are the same infinity, where the length is NaN
        tl.store(at + entry_of(saddle), tl.where(lasts, image, -1), mask=joins)
        if NAME:
            own, own_elder = unpacked(tl.load(own_tree + u, mask=i < n_own, other=0))
            tl.store(own_at + entry_of(own), u, mask=(i < n_own) & (own_elder != u))
        bit = 1 << (first_bit(owner) + (saddle - (owner << EACH_LOG2)))
        tl.atomic_or(joined + (owner >> 3), bit, mask=joins & (NAME | (job < n)), sem="relaxed")

    corner = corner_of(pair, 1, rows, columns, 1, image_rows, image_columns, 1, stride_y, stride_x)
    corner %= image_rows.to(tl.int64) * image_columns
    partner = partner_a
    if job >= n:
        partner = partner_b
    partner += pair * k
    index += job * 2 * k
    listed = tl.minimum(tl.load(count + job), k).to(tl.int32)
    # Maxima are deaths in V and, by duality, births in T; the essential class is that of a minimum in either.
    END: tl.constexpr = 1 if (DIM == 1) != TOP else 0
    ESSENTIAL: tl.constexpr = (DIM == 1) == TOP
    each = tl.arange(0, COLUMNS)
    for start in range(program * COLUMNS, k, programs * COLUMNS):
        j = start + each
        tl.store(partner + j, tl.full((COLUMNS,), -1, tl.int64), mask=j < k)
        pixel = tl.load(index + END * k + j, mask=j < listed, other=-1)
        y, x = pixel // image_columns - corner // image_columns, pixel % image_columns - corner % image_columns
        place = ((y + frame) * width + x + frame).to(tl.int32)
        there = pixel >= 0
        if ESSENTIAL:
            ends = tl.load(index + k + j, mask=j < listed, other=0) >= 0
            place = tl.where(ends, place, pixels)
            there = (j < listed) & (there | (ends == 0))
        tl.store(column + place, j, mask=there)


@triton.jit
def entry_of(saddle):
    """Return the places of saddles in a table, without room for E, which is never critical."""
    return saddle - (saddle >> EACH_LOG2)


@triton.jit
def first_bit(owner):
    """Return where the bits of owners begin in words of `joined`."""
    return (owner & 7) * 4
