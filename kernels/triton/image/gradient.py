"""Gradient: the lower stars of all pixels, and the cells that a discrete Morse gradient leaves critical in them.

A lower star takes eight comparisons and then bit operations. A lane handles a strip, which is ROWS pixels of one
column, one bit each, so that each bit operation serves the whole strip. Of two neighbours one is lower, so four
comparisons per pixel are enough: a lane compares its column with itself and with the next one, and gets the comparisons
with the previous column from the lane before. All cells of a lower star have the same value; hence any acyclic matching
of it is valid. A sequence of element matchings is acyclic (Jonsson, Simplicial Complexes of Graphs, 2008, Lemma 4.1).

Strips are stored as words of four planes of ROWS bits, from the lowest byte up: NW, NE, SW and SE for the squares of
lower stars, and E, W, S and N for the edges that vertices are matched with. A word that is shifted right by a pixel's
row has the cells of this pixel in its bits 0, 8, 16 and 24.

Floats are compared as they are. Without NaNs, which set the status and drop the window, that is the order of the CPU's
integer keys, also for infinities, subnormals and zeros of both signs. T uses the order of -x.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..counters import COUNTERS, EDGES, MAXIMA, MINIMA, NAN, STATUS
from ..runtime.jit import kernel
from ..runtime.launch import INTERPRETED, cdiv
from ..tree import Trees, new_trees

ROWS_LOG2 = tl.constexpr(3)
ROWS = tl.constexpr(8)  # so that a plane is a byte
_BLOCK = 128 if INTERPRETED else 64  # lanes of a program, of which `_gradient` packs the counts into one word

# Directions of a critical edge, in the order of their bits in `cells`; E is never critical.
NORTH, WEST, SOUTH = (tl.constexpr(i) for i in range(3))
# The number of an edge is EACH * owner + direction, where the owner is its later vertex.
EACH, EACH_LOG2 = tl.constexpr(4), tl.constexpr(2)


class Gradient(NamedTuple):
    """Discrete gradients of N images, which `merge` follows."""

    descents: Tensor  # (N, strips, W) int32: planes of the edges that vertices are matched with
    squares: Tensor  # (N, strips, W) int32: planes of the squares of lower stars
    edges: Tensor  # (N, M) int32: the numbers of the critical edges; M is a bound


def gradient(x: Tensor, top: bool) -> tuple[Gradient, Trees]:
    """Compute the lower stars of windows and list their critical cells.

    Parameters
    ----------
    x : Tensor, shape (N, H, W), float32 or float64, contiguous
    top : bool
        T, where the outside of the window is lower than every pixel, or V, where it is higher.

    Returns
    -------
    Gradient
        The order of the edges depends on the schedule.
    Trees
        Extrema are listed, in an order that depends on the schedule, and each has the word of a root. The counters have
        the lengths of the lists, and the status NAN where there is a NaN. The lists of such a window are meaningless
        but stay within their bounds.
    """
    n, height, width = x.shape
    pixels, strips = height * width, cdiv(height, ROWS.value)
    # No two minima share an edge of the grid, no two maxima a square, and there are fewer critical edges than extrema,
    # by Euler's formula.
    most = cdiv(pixels, 2) + cdiv(height, 2) * cdiv(width, 2)
    shapes = (n, strips, width), (n, strips, width), (n, most)
    found = Gradient(*(torch.empty(shape, dtype=torch.int32, device=x.device) for shape in shapes))
    trees = new_trees(n, pixels, EACH.value, x.device)
    # The first lane of a program has no lane before it to get comparisons from. None are needed if it begins a row;
    # otherwise, it only serves the second lane, and writes no strip.
    lanes, own = strips * width, _BLOCK if _BLOCK % width == 0 else _BLOCK - 1
    tiles = cdiv(lanes, own)
    if n:
        outputs = *found, trees.extrema, trees.words, trees.counters
        sizes = height, width, most, lanes, own, tiles
        _gradient[(n * tiles,)](x, *outputs, *sizes, TOP=top, BLOCK=_BLOCK, num_warps=1)
    return found, trees


@kernel(do_not_specialize=["height", "width", "most", "lanes", "own", "tiles"], do_not_specialize_on_alignment=["x"])
def _gradient(
    x,  # [N, H, W] float32 or float64
    descents,  # [N, strips, W] int32, written
    squares,  # [N, strips, W] int32, written
    edges,  # [N, most] int32, written as far as there are edges
    extrema,  # [N, H * W] int32, written from both ends
    tree,  # [N, H * W + 1] int32 or int64, written at extrema and for the outside
    counters,  # [N, COUNTERS] int32, zeros before, changed
    height,
    width,
    most,
    lanes,  # strips * W
    own,  # lanes of a program that write a strip, the last ones of BLOCK
    tiles,  # programs for each window
    TOP: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Write the lower stars and critical cells of `own` strips of one window.

    Programs share nothing but the counters: each reserves a range of every list by one atomic addition, and writes only
    there. Relaxed atomics are enough, because no program reads the lists before the launch is over.
    """
    window = (tl.program_id(0) // tiles).to(tl.int64)
    i = tl.arange(0, BLOCK)
    lane = tl.program_id(0) % tiles * own + i - (BLOCK - own)
    pixels = height * width
    x += window * pixels
    counters += window * COUNTERS

    # Lanes without a strip repeat another one, and those without a column to the east compare their own with itself.
    # The planes of each strip are then corrected for missing neighbours.
    there = (i >= BLOCK - own) & (lane < lanes)
    lane = tl.minimum(tl.maximum(lane, 0), lanes - 1)
    column, top_row = lane % width, lane // width * ROWS
    rows_left = height - top_row
    west_missing, east_missing = column == 0, column == width - 1
    p_here = x + top_row * width + column
    p_e = p_here + tl.where(east_missing, 0, 1)
    n = tl.load(p_here - width, mask=top_row > 0, other=0.0)
    ne = tl.load(p_e - width, mask=top_row > 0, other=0.0)
    b_n = tl.zeros((BLOCK,), tl.int32)
    b_ne, b_w_of_e, b_nw_of_e, nan = b_n, b_n, b_n, b_n
    for row in tl.static_range(ROWS + 1):
        here = tl.load(p_here, mask=row < rows_left, other=0.0)
        e = tl.load(p_e, mask=row < rows_left, other=0.0)
        bit = 1 << row
        b_n |= tl.where(lower(n, here, True, TOP), bit, 0)
        b_ne |= tl.where(lower(ne, here, True, TOP), bit, 0)
        b_nw_of_e |= tl.where(lower(n, e, True, TOP), bit, 0)
        if row < ROWS:
            b_w_of_e |= tl.where(lower(here, e, True, TOP), bit, 0)
        if row % 2 == 1:
            nan |= tl.where((n != n) | (here != here), bit, 0)
        n, ne = here, e
        p_here += width
        p_e += width
    # Of two neighbours one is lower, so a pixel's S is the opposite of the N of the pixel below, and so on.
    b_s, b_e, b_se = ~(b_n >> 1), ~b_w_of_e, ~(b_nw_of_e >> 1)
    of_e = b_w_of_e | (b_nw_of_e & 0xFF) << 8 | ~(b_ne >> 1) << 16
    b_w = tl.gather(of_e, tl.maximum(i - 1, 0), 0)
    b_nw, b_sw = b_w >> 8, b_w >> 16

    # The outside is lower than all pixels in T, and higher in V. A square is in the star if its far corner is lower
    # and both its edges are in the star.
    m_n, m_s = tl.where(top_row == 0, 1, 0), ~_rows(rows_left - 1)
    m_w, m_e = tl.where(west_missing, -1, 0), tl.where(east_missing, -1, 0)
    rows_here = tl.where(there, _rows(rows_left), 0)
    b_n, b_s = _with_outside(b_n, m_n, TOP) & rows_here, _with_outside(b_s, m_s, TOP) & rows_here
    b_w, b_e = _with_outside(b_w, m_w, TOP) & rows_here, _with_outside(b_e, m_e, TOP) & rows_here
    b_nw, b_ne = _with_outside(b_nw, m_n | m_w, TOP) & b_n & b_w, _with_outside(b_ne, m_n | m_e, TOP) & b_n & b_e
    b_sw, b_se = _with_outside(b_sw, m_s | m_w, TOP) & b_s & b_w, _with_outside(b_se, m_s | m_e, TOP) & b_s & b_e
    planes = window * lanes + lane
    tl.store(descents + planes, edges_of_vertices(b_n, b_w, b_e, b_s), mask=there)
    tl.store(squares + planes, b_nw | b_ne << 8 | b_sw << 16 | b_se << 24, mask=there)

    c_n, c_w, c_s = critical_edges(b_n, b_w, b_e, b_s, b_nw, b_ne, b_sw, b_se)
    m_edge = c_n | c_w << 8 | c_s << 16
    m_minimum = rows_here & ~(b_n | b_w | b_e | b_s)
    m_extremum = m_minimum | (b_nw & b_ne & b_sw & b_se) << 8  # maxima in the byte above the minima

    tl.atomic_max(counters + STATUS, NAN, mask=tl.max(nan, 0) != 0, sem="relaxed")
    # Three counts in one word, so that one scan is enough: 11, 11 and 10 bits, for tiles of up to 1,024 pixels, where
    # no two neighbours are maxima and the stars have no more than two edges per pixel on average.
    of_edges, of_extrema = ones(m_edge), ones(m_extremum)
    n_edges = (of_edges * 0x01010100) >> 24  # the sum of the three lower bytes
    n_minima, n_maxima = of_extrema & 0xFF, of_extrema >> 8
    count = n_edges | n_minima << 11 | n_maxima << 22
    before = tl.cumsum(count, 0) - count
    total = tl.sum(count, 0)
    i_edge = tl.atomic_add(counters + EDGES, total & 0x7FF, sem="relaxed") + (before & 0x7FF)
    i_minimum = tl.atomic_add(counters + MINIMA, (total >> 11) & 0x7FF, sem="relaxed") + ((before >> 11) & 0x7FF)
    i_maximum = tl.atomic_add(counters + MAXIMA, (total >> 22) & 0x3FF, sem="relaxed") + ((before >> 22) & 0x3FF)

    tree += window * (pixels + 1)
    tl.store(tree + pixels, pixels, mask=tl.program_id(0) % tiles == 0)
    first = top_row * width + column
    # Where there is a NaN, more edges can be critical than the list holds.
    left_edges = _as_float(tl.where(i_edge + n_edges <= most, m_edge, 0))
    left_extrema = _as_float(m_extremum)
    p_edge = edges + window * most + i_edge
    extrema += window * pixels
    p_maximum = extrema + (pixels - 1 - i_maximum)
    p_minimum = extrema + (i_minimum - n_maxima)  # where it will be when all maxima are listed
    # Each lane lists its last critical edge and extremum, then those before: few rounds where data is smooth.
    for _ in range(tl.max(tl.maximum(n_edges, n_minima + n_maxima), 0)):
        m_listed, m_found = left_edges != 0, left_extrema != 0
        p_extremum = tl.where(left_extrema >= 2 << 8, p_maximum, p_minimum)
        row_of_edge, direction, left_edges = _last(left_edges)
        tl.store(p_edge, row_of_edge * (EACH * width) + (EACH * first + direction), mask=m_listed)
        row_of_extremum, _, left_extrema = _last(left_extrema)
        position = row_of_extremum * width + first
        tl.store(p_extremum, position, mask=m_found)
        tl.store(tree + position, position, mask=m_found)
        p_edge += 1
        p_maximum -= 1
        p_minimum += 1


@triton.jit
def _as_float(word):
    """Convert a word of three planes, doubled, to float, which is exact and has the highest bit in its exponent."""
    return (word << 1).to(tl.float32)


@triton.jit
def _last(word):
    """Return the row and the plane of the last bit in a word of `_as_float`, and the word without this bit."""
    bits = word.to(tl.int32, bitcast=True)
    exponent = bits >> 23  # with its bias: 128 plus the position of the bit before the word was doubled
    rest = word - (exponent << 23).to(tl.float32, bitcast=True)
    return exponent & (ROWS - 1), (exponent >> ROWS_LOG2) - 128 // ROWS, rest


@triton.jit
def lower(neighbour, here, FIRST: tl.constexpr, TOP: tl.constexpr):
    """Return whether neighbours are lower; FIRST if their index is smaller, which decides between equal values."""
    if TOP:
        return neighbour >= here if FIRST else neighbour > here
    return neighbour <= here if FIRST else neighbour < here


@triton.jit
def _with_outside(plane, missing, TOP: tl.constexpr):
    """Return a plane with what the outside contributes where neighbours are missing: ones in T, zeros in V."""
    return plane | missing if TOP else plane & ~missing


@triton.jit
def _rows(count):
    """Return a plane with its first `count` rows set, where count is clamped to [0, ROWS]."""
    return (1 << tl.minimum(tl.maximum(count, 0), ROWS)) - 1


@triton.jit
def ones(word):
    """Count the ones in each byte of a word."""
    word = word - ((word >> 1) & 0x55555555)
    word = (word & 0x33333333) + ((word >> 2) & 0x33333333)
    return (word + (word >> 4)) & 0x0F0F0F0F


@triton.jit
def edges_of_vertices(n, w, e, s):
    """Return the planes E, W, S and N of the edges that vertices are matched with, in the order of `cells`.

    Each argument is a plane of bits, one bit per star.
    """
    return e | (w & ~e) << 8 | (s & ~(e | w)) << 16 | (n & ~(e | w | s)) << 24


@triton.jit
def critical_edges(n, w, e, s, nw, ne, sw, se):
    """Match the cells of lower stars in the order of `cells`, and return the edges N, W and S that stay unmatched.

    Each argument is a plane of bits, one bit per star. In this order, the vertex takes the first of E, W, S and N; N
    is taken by NE or NW, S by SE or SW, and W by one of the squares that are left. E is always taken. A vertex without
    edges stays unmatched, and so does one square, NW, if there are all four.
    """
    return n & (e | w | s) & ~(ne | nw), w & e & ~(sw & se) & ~(nw & ne), s & (e | w) & ~(se | sw)
