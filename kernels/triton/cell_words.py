"""The words of cells while a mask is thinned, and what is around a cell, in images and volumes.

Cells are in a grid of 2n + 3 along each axis of n pixels, as on the CPU; see `kernels/cpu/thinning.py`. A place is the
number of a cell among the 3 x 3 x 3 around it, dx + 1 + 3 (dy + 1) + 9 (dz + 1), also in images.
"""

from __future__ import annotations

import triton
import triton.language as tl

# The word of a present cell is PRESENT, plus twice the step in which it became isolated, or 0. A removed cell has the
# word 0, or, if it was the end of a curve, twice the place of the next cell of the curve, plus 2^STEP times the step of
# its removal; and RESTORED, if a curve was extended by it. Steps have 24 bits, which is plenty: an object that takes s
# steps has at least as many cells as a square of s / 2 pixels.
PRESENT, RESTORED = tl.constexpr(1), tl.constexpr(1 << 30)
STEP = tl.constexpr(6)
STEPS, PLACES = tl.constexpr((1 << 24) - 1), tl.constexpr(31)
MIDDLE = tl.constexpr(13)
# The 8 cells in a plane around a cell, in the order around it: 1 + their steps along both axes, 2 bits each.
RING_U = tl.constexpr(sum(step << 2 * i for i, step in enumerate((0, 0, 0, 1, 2, 2, 2, 1))))
RING_V = tl.constexpr(sum(step << 2 * i for i, step in enumerate((0, 1, 2, 2, 2, 1, 0, 0))))


@triton.jit
def counts(depth, height, width, RANK: tl.constexpr):
    """Return the pixels and cells of a window, and the cells from one row and one layer of the grid to the next."""
    row = 2 * width + 3
    layer = row * (2 * height + 3)
    if RANK == 3:
        return depth * height * width, layer * (2 * depth + 3), row, layer
    else:
        return height * width, layer, row, layer


@triton.jit
def along(axis: tl.constexpr, row, layer):
    """Return the cells from one cell to the next along an axis, of x, y and z, and the difference of their places."""
    if axis == 0:
        return 1, 1
    elif axis == 1:
        return row, 3
    else:
        return layer, 9


@triton.jit
def is_kept(word, patience, step):
    """Return whether present cells have been isolated for long enough to stay."""
    isolated = word >> 1
    return (isolated > 0) & (isolated + patience <= step)


@triton.jit
def load_removable(words, cell, inside, patience, step):
    """Return the words of cells, and which of them are present and may still be removed."""
    word = tl.load(words + cell, mask=inside, other=0)
    return word, inside & ((word & PRESENT) != 0) & (is_kept(word, patience, step) == 0)


@triton.jit
def pair_around(words, cell, there, axis: tl.constexpr, row, layer, patience, step):
    """Return how many of the two cells beside each cell along an axis are present, the place of the last of these, and
    whether that one may still be removed.
    """
    by, places = along(axis, row, layer)
    low, high = tl.load(words + cell - by, mask=there, other=0), tl.load(words + cell + by, mask=there, other=0)
    has_low, has_high = low & PRESENT, high & PRESENT
    place = tl.where(has_high != 0, MIDDLE + places, MIDDLE - places)
    loose = is_kept(tl.where(has_high != 0, high, low), patience, step) == 0
    return has_low + has_high, place, loose


@triton.jit
def ring_around(words, cell, there, u: tl.constexpr, v: tl.constexpr, row, layer, patience, step):
    """Return which of the 8 cells in a plane around cells are present, as bits in the order around them; the place of a
    single one; and whether any may still be removed.
    """
    by_u, places_u = along(u, row, layer)
    by_v, places_v = along(v, row, layer)
    ring, place, loose = tl.zeros_like(cell), tl.zeros_like(cell), there & False
    for i in tl.static_range(8):
        step_u, step_v = (RING_U >> 2 * i & 3) - 1, (RING_V >> 2 * i & 3) - 1
        word = tl.load(words + cell + step_u * by_u + step_v * by_v, mask=there, other=0)
        has = (word & PRESENT) != 0
        ring |= tl.where(has, 1 << i, 0)
        place |= tl.where(has, MIDDLE + step_u * places_u + step_v * places_v, 0)
        loose |= has & (is_kept(word, patience, step) == 0)
    return ring, place, loose


@triton.jit
def is_run(ring):
    """Return whether the present cells of a ring are one run, and not the whole ring: such a set is contractible."""
    begins = ring & ~((ring >> 1) | (ring << 7 & 0xFF))
    return is_single(begins)


@triton.jit
def is_sparse(ring):
    """Return whether no two present cells of a ring follow each other."""
    return (ring & ((ring >> 1) | (ring << 7 & 0xFF))) == 0


@triton.jit
def is_single(bits):
    """Return whether one bit is set."""
    return (bits != 0) & ((bits & (bits - 1)) == 0)


@triton.jit
def settle(words, cell, word, gone, ends, place, isolated, step):
    """Write the words of cells that are gone, and of those that are isolated for the first time.

    ends, place : which of those that are gone were the end of a curve, and the place of its next cell.
    """
    end = tl.where(ends, place << 1 | step << STEP, 0)
    tl.store(words + cell, tl.where(gone, end, word | step << 1), mask=gone | (isolated & (word == PRESENT)))
