"""Points: which columns of diagrams the search for partners is about, and what becomes of all the others."""

from __future__ import annotations

import triton
import triton.language as tl

from .savings import cost_alone, load_point, lowest_loss, saving

_FAR = tl.constexpr(0x7FFFFFFF)  # above every column


@triton.jit
def leave_alone(partner, size, BLOCK: tl.constexpr):
    """Give no column a partner."""
    for start in range(0, size, BLOCK):
        i = start + tl.arange(0, BLOCK)
        tl.store(partner + i, tl.full((BLOCK,), -1, tl.int32), mask=i < size)


@triton.jit
def count_finite(diagram, BLOCK: tl.constexpr):
    """How many points of a diagram are finite."""
    count = tl.zeros((BLOCK,), tl.int32)
    for start in range(0, diagram.count, BLOCK):
        _, _, finite = _load_finite(diagram, start + tl.arange(0, BLOCK))
        count += finite.to(tl.int32)
    return tl.sum(count, 0)


@triton.jit
def _load_finite(diagram, i):
    """Coordinates of columns i, and whether there are such and they are finite; (0, 0) if there are none."""
    birth = tl.load(diagram.birth + i, mask=i < diagram.count, other=0.0)
    death = tl.load(diagram.death + i, mask=i < diagram.count, other=0.0)
    return birth, death, (i < diagram.count) & (tl.abs(birth) < float("inf")) & (tl.abs(death) < float("inf"))


@triton.jit
def scale_of(a, b, BLOCK: tl.constexpr):
    """A power of two, the product of which with the largest finite coordinate is about 2**480, and its inverse.

    Sums of squares are finite then, and small ones are not 0. It is at most 2**1022. Coordinates in float32 need none.
    """
    scale, inverse = tl.full((), 1.0, tl.float64), tl.full((), 1.0, tl.float64)
    if a.birth.dtype.element_ty == tl.float64:
        bits = tl.maximum(_farthest(a, BLOCK), _farthest(b, BLOCK)).to(tl.int64, bitcast=True)
        exponent = tl.minimum(480 + 2046 - (bits >> 52), 2045)
        scale = (exponent << 52).to(tl.float64, bitcast=True)
        inverse = ((2046 - exponent) << 52).to(tl.float64, bitcast=True)
    return scale, inverse


@triton.jit
def _farthest(diagram, BLOCK: tl.constexpr):
    """The largest coordinate of finite points, without its sign."""
    most = tl.zeros((BLOCK,), tl.float64)
    for start in range(0, diagram.count, BLOCK):
        birth, death, finite = _load_finite(diagram, start + tl.arange(0, BLOCK))
        farther = tl.maximum(tl.abs(birth), tl.abs(death))
        most = tl.where(finite & (farther > most), farther, most)
    return tl.max(most, 0)


@triton.jit
def _scaled(x, scale):
    return x * scale if x.dtype == tl.float64 else x


@triton.jit
def collect(diagram, scale, points, THREADS: tl.constexpr):
    """Collect the finite points of a diagram, in order of column. Returns how many there are."""
    n = 0
    for start in range(0, diagram.count, THREADS):
        i = start + tl.arange(0, THREADS)
        birth, death, finite = _load_finite(diagram, i)
        birth, death = _scaled(birth, scale), _scaled(death, scale)
        _, n = _append(points, birth, death, tl.zeros((THREADS,), tl.float64), i, finite, n)
    return n


@triton.jit
def keep_columns(diagram, scale, rows, n, kept, SQUARED: tl.constexpr, THREADS: tl.constexpr, CHUNK: tl.constexpr):
    """Collect the finite points of a diagram that can gain something by one of n rows, in order of column.

    Returns how many there are. Of the two, this is the diagram with more points: each thread looks at one.
    """
    n_kept = 0
    for start in range(0, diagram.count, THREADS):
        i = start + tl.arange(0, THREADS)
        birth_in, death_in, finite = _load_finite(diagram, i)
        birth_in, death_in = _scaled(birth_in, scale), _scaled(death_in, scale)
        birth, death = birth_in.to(tl.float64), death_in.to(tl.float64)
        alone = cost_alone(birth, death, SQUARED)
        most = tl.zeros((CHUNK, THREADS), tl.float64)
        for start_row in range(0, n, CHUNK):
            j = start_row + tl.arange(0, CHUNK)
            birth_j, death_j, alone_j = load_point(rows, j, j < n, SQUARED)
            saved = saving(birth[None], death[None], alone[None], birth_j[:, None], death_j[:, None], alone_j[:, None])
            most = tl.where((saved > most) & (j < n)[:, None], saved, most)
        gain = tl.max(most, 0)
        _, n_kept = _append(kept, birth_in, death_in, gain, i, finite & (gain > 0.0), n_kept)
    return n_kept


@triton.jit
def keep_rows(
    rows, n, columns, m, SQUARED: tl.constexpr, THREADS: tl.constexpr, CHUNK: tl.constexpr, PARTS: tl.constexpr
):
    """Drop those of n rows that can gain nothing by one of m columns, of which none has a price yet.

    Returns how many are left, in the same order. Their order says which column each gains most by.
    """
    thread = tl.arange(0, THREADS)
    for start in range(0, n, THREADS // PARTS):
        i = start + thread // PARTS
        birth, death, alone = load_point(rows, i, i < n, SQUARED)
        loss, best = lowest_loss(birth, death, alone, columns, m, SQUARED, CHUNK, PARTS)
        tl.store(rows.gain + i, -loss, mask=(i < n) & (thread % PARTS == 0))
        tl.store(rows.order + i, best, mask=(i < n) & (thread % PARTS == 0))
    tl.debug_barrier()  # the gains are read by other threads
    n_kept = 0
    for start in range(0, n, THREADS):
        i = start + thread
        birth, death = tl.load(rows.birth + i, mask=i < n, other=0.0), tl.load(rows.death + i, mask=i < n, other=0.0)
        gain, column = tl.load(rows.gain + i, mask=i < n, other=0.0), tl.load(rows.column + i, mask=i < n, other=0)
        best = tl.load(rows.order + i, mask=i < n, other=0)
        tl.debug_barrier()  # all have read what is overwritten now
        place, n_kept = _append(rows, birth, death, gain, column, gain > 0.0, n_kept)
        tl.store(rows.order + place, best, mask=gain > 0.0)
    return n_kept


@triton.jit
def _append(points, birth, death, gain, column, there, n):
    """Append single points to n others, at a price of 0. Returns their places, and how many points there are then."""
    place = n + tl.cumsum(there.to(tl.int32), 0) - 1
    tl.store(points.birth + place, birth, mask=there)
    tl.store(points.death + place, death, mask=there)
    tl.store(points.gain + place, gain, mask=there)
    tl.store(points.price + place, tl.zeros(gain.shape, tl.float64), mask=there)
    tl.store(points.column + place, column, mask=there)
    tl.store(points.partner + place, tl.full(gain.shape, -1, tl.int32), mask=there)
    return place, n + tl.sum(there.to(tl.int32), 0)


@triton.jit
def match_essential(a, b, BLOCK: tl.constexpr):
    """Match columns with coordinates (finite, inf), (-inf, finite) and (-inf, inf), in order of the finite one."""
    for kind in range(3):
        key_a = tl.full((), -float("inf"), tl.float64)
        key_b = key_a
        i, j = -1, -1
        while i < _FAR:
            key_a, i = _next_essential(a, kind, key_a, i, BLOCK)
            key_b, j = _next_essential(b, kind, key_b, j, BLOCK)
            i = tl.where(j < _FAR, i, _FAR)
            tl.store(a.partner + i, j, mask=i < _FAR)
            tl.store(b.partner + j, i, mask=i < _FAR)


@triton.jit
def _next_essential(diagram, kind, last, i_last, BLOCK: tl.constexpr):
    """The essential class of a kind that comes after another: its finite coordinate, and its column or _FAR."""
    low = tl.full((BLOCK,), float("inf"), tl.float64)
    column = tl.full((BLOCK,), _FAR, tl.int32)
    for start in range(0, diagram.count, BLOCK):
        i = start + tl.arange(0, BLOCK)
        birth = tl.load(diagram.birth + i, mask=i < diagram.count, other=0.0).to(tl.float64)
        death = tl.load(diagram.death + i, mask=i < diagram.count, other=0.0).to(tl.float64)
        birth_fits = (tl.abs(birth) < float("inf")) if kind == 0 else (birth == -float("inf"))
        death_fits = (tl.abs(death) < float("inf")) if kind == 1 else (death == float("inf"))
        key = tl.where(kind == 0, birth, tl.where(kind == 1, death, 0.0))
        is_next = birth_fits & death_fits & ((key > last) | ((key == last) & (i > i_last))) & (key < low)
        low = tl.where(is_next, key, low)
        column = tl.where(is_next, i, column)
    lowest = tl.min(low, 0)
    return lowest, tl.min(tl.where(low == lowest, column, _FAR), 0)


@triton.jit
def write(rows, n, columns, partner_of_rows, partner_of_columns, BLOCK: tl.constexpr):
    """Write partners, as columns of the diagrams."""
    for start in range(0, n, BLOCK):
        i = start + tl.arange(0, BLOCK)
        j = tl.load(rows.partner + i, mask=i < n, other=-1)
        row = tl.load(rows.column + i, mask=j >= 0, other=0)
        column = tl.load(columns.column + j, mask=j >= 0, other=0)
        tl.store(partner_of_rows + row, column, mask=j >= 0)
        tl.store(partner_of_columns + column, row, mask=j >= 0)
