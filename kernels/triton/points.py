"""Points: which columns of diagrams the search for partners is about, and what becomes of all the others."""

from __future__ import annotations

import triton
import triton.language as tl

from .savings import cost_alone, losses, saving

_FAR = tl.constexpr(0x7FFFFFFF)  # above every column


@triton.jit
def leave_alone(partner, size, BLOCK: tl.constexpr):
    """Give no column a partner."""
    for start in range(0, size, BLOCK):
        i = start + tl.arange(0, BLOCK)
        tl.store(partner + i, tl.full((BLOCK,), -1, tl.int64), mask=i < size)


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
    """Coordinates of columns i as float64, and whether there are such and they are finite; (0, 0) if not."""
    birth = tl.load(diagram.birth + i, mask=i < diagram.count, other=0.0).to(tl.float64)
    death = tl.load(diagram.death + i, mask=i < diagram.count, other=0.0).to(tl.float64)
    finite = (i < diagram.count) & (tl.abs(birth) < float("inf")) & (tl.abs(death) < float("inf"))
    return tl.where(finite, birth, 0.0), tl.where(finite, death, 0.0), finite


@triton.jit
def keep_rows(diagram, other, kept, gains, squared, TILE: tl.constexpr):
    """Collect the finite points of a diagram that can gain something by one of the other, in order of column.

    Returns how many there are. Of the two, this is the diagram with fewer points: all threads look at one at a time.
    gains : float64, room for all of them, used up.
    """
    for row in range(0, diagram.count):
        birth, death, _ = _load_finite(diagram, row)
        u = cost_alone(birth, death, squared)
        most = tl.full((TILE,), -float("inf"), tl.float64)
        for start in range(0, other.count, TILE):
            birth_other, death_other, ok = _load_finite(other, start + tl.arange(0, TILE))
            u_other = cost_alone(birth_other, death_other, squared)
            saved = saving(birth, death, u, birth_other, death_other, u_other)
            most = tl.where(ok & (saved > most), saved, most)
        tl.store(gains + row, tl.max(most, 0))
    tl.debug_barrier()  # the gains are read by other threads
    n_kept = 0
    for start in range(0, diagram.count, TILE):
        i = start + tl.arange(0, TILE)
        n_kept = _keep(diagram, i, tl.load(gains + i, mask=i < diagram.count, other=0.0), kept, n_kept)
    return n_kept


@triton.jit
def keep_columns(diagram, other, kept, squared, TILE: tl.constexpr, CHUNK: tl.constexpr):
    """What `keep_rows` does, for the diagram with more points: each thread looks at one, with CHUNK of the others."""
    n_kept = 0
    for start in range(0, diagram.count, TILE):
        i = start + tl.arange(0, TILE)
        birth, death, _ = _load_finite(diagram, i)
        u = cost_alone(birth, death, squared)
        low = tl.full((CHUNK, TILE), float("inf"), tl.float64)
        for start_other in range(0, other.count, CHUNK):
            birth_other, death_other, ok = _load_finite(other, start_other + tl.arange(0, CHUNK))
            u_other = cost_alone(birth_other, death_other, squared)
            price = tl.where(ok, 0.0, float("inf")).to(tl.float64)
            low = losses(low, birth, death, u, birth_other, death_other, u_other, price)
        n_kept = _keep(diagram, i, -tl.min(low, 0), kept, n_kept)
    return n_kept


@triton.jit
def _keep(diagram, i, gain, kept, n_kept):
    """Append those of the points in columns i that gain something. Returns how many have been kept by now."""
    birth, death, finite = _load_finite(diagram, i)
    keeps = finite & (gain > 0.0)
    place = n_kept + tl.cumsum(keeps.to(tl.int32), 0) - 1
    tl.store(kept.birth + place, birth.to(kept.birth.dtype.element_ty), mask=keeps)
    tl.store(kept.death + place, death.to(kept.death.dtype.element_ty), mask=keeps)
    tl.store(kept.gain + place, gain, mask=keeps)
    tl.store(kept.price + place, tl.zeros(gain.shape, tl.float64), mask=keeps)
    tl.store(kept.column + place, i, mask=keeps)
    tl.store(kept.partner + place, tl.full(gain.shape, -1, tl.int32), mask=keeps)
    return n_kept + tl.sum(keeps.to(tl.int32), 0)


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
            tl.store(a.partner + i, j.to(tl.int64), mask=i < _FAR)
            tl.store(b.partner + j, i.to(tl.int64), mask=i < _FAR)


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
        tl.store(partner_of_rows + row, column.to(tl.int64), mask=j >= 0)
        tl.store(partner_of_columns + column, row.to(tl.int64), mask=j >= 0)
