"""Gradient: the lower stars of all pixels, and the cells that a discrete Morse gradient leaves critical in them.

A star is eight comparisons and then logic on bits. One lane takes a strip: ROWS pixels of a column, one bit each, so
that the logic of a star is done for a whole strip at once. Of two neighbours one is lower, so that four comparisons a
pixel will do: a lane compares its column in itself and with the next, and is told by the lane before it how that one
compares. All cells of a lower star have the same value; hence any acyclic matching of it will do, and a sequence of
element matchings is acyclic (Jonsson, Simplicial Complexes of Graphs, 2008, Lemma 4.1).

What is known of a strip are words of four planes of ROWS bits, from the lowest byte up: for the squares of stars the
planes NW, NE, SW, SE, for the edges that vertices are matched with E, W, S, N. Shifted right by a pixel's row, a word
has that pixel's cells in its bits 0, 8, 16 and 24.

Floats are compared as they are: without NaNs, which set the status and drop the window, that is the order of the CPU's
integer keys, also of infinities, of subnormals and of zeros of both signs. The construction T has the order of -f.
"""

from __future__ import annotations

from functools import partial

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..runtime.launch import INTERPRETED
from ..tree import empty_trees, zero_counters

ROWS_LOG2 = tl.constexpr(3)
ROWS = tl.constexpr(8)
_BLOCK = 128 if INTERPRETED else 64

# Columns of the counters of a window.
SADDLES, MINIMA, MAXIMA, STATUS, PAIRS_OF_MINIMA, PAIRS_OF_MAXIMA = (tl.constexpr(i) for i in range(6))
COUNTERS = tl.constexpr(8)

# Directions of a critical edge, in the order of the CPU's list of saddles.
NORTH, WEST, SOUTH = (tl.constexpr(i) for i in range(3))


def gradient(x: Tensor, top: bool) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Compute the lower stars of windows and list their critical cells.

    Parameters
    ----------
    x : Tensor, shape (N, H, W), float32 or float64, contiguous
    top : bool
        T, where the windows stand in a ring that is below every pixel, or V, where the ring is above.

    Returns
    -------
    descents, squares : Tensor, shape (N, strips, W), int32
        The planes of the edges that vertices are matched with, and of the squares of stars.
    saddles : Tensor, shape (N, M), int32
        The critical edges: 4 * owner + direction, of NORTH, WEST and SOUTH. M is a bound.
    extrema : Tensor, shape (N, H * W), int32
        Flat indices of the minima, from the front, and of the owners of the maxima, from the back.
    tree : Tensor, shape (N, H * W + 1), int32 or int64
        The word of a root at each extremum and, in the last column, at the outside; see `tree`.
    counters : Tensor, shape (N, COUNTERS), int32
        How many saddles, minima and maxima are listed, and the status: 1 where there is a NaN. The lists of such a
        window mean nothing, yet stay in their bounds. The order of a list depends on the schedule. The memory of the
        hints is behind them; see `tree`.
    """
    n, height, width = x.shape
    pixels, strips = height * width, triton.cdiv(height, ROWS.value)
    new = partial(torch.empty, dtype=torch.int32, device=x.device)
    descents, squares = new((n, strips, width)), new((n, strips, width))
    # No two minima share an edge of the grid, no two maxima a square, and (Euler) there are fewer saddles than extrema.
    most = triton.cdiv(pixels, 2) + triton.cdiv(height, 2) * triton.cdiv(width, 2)
    saddles, extrema = new((n, most)), new((n, pixels))
    tree = empty_trees(n, pixels, 4, x.device)
    counters = zero_counters(n, COUNTERS.value, pixels, x.device)
    # Who is first in a program has nobody to its west: it needs nobody, or else it is there for the second one only.
    lanes, own = strips * width, _BLOCK if _BLOCK % width == 0 else _BLOCK - 1
    tiles = triton.cdiv(lanes, own)
    outputs = descents, squares, saddles, extrema, tree, counters
    if n:
        shape = height, width, most, lanes, own, tiles
        _gradient[(n * tiles,)](x, *outputs, *shape, TOP=top, BLOCK=_BLOCK, num_warps=1)
    return outputs


@triton.jit(
    do_not_specialize=["height", "width", "most", "lanes", "own", "tiles"], do_not_specialize_on_alignment=["x"]
)
def _gradient(
    x,  # [N, H, W] float32 or float64
    descents,  # [N, strips, W] int32, written
    squares,  # [N, strips, W] int32, written
    saddles,  # [N, most] int32, written in parts
    extrema,  # [N, H * W] int32, written in parts
    tree,  # [N, H * W + 1] int32 or int64, written in parts
    counters,  # [N, COUNTERS] int32, zeros before
    height,
    width,
    most,
    lanes,  # strips * W
    own,  # lanes a program has for itself
    tiles,  # programs a window
    TOP: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Stars and critical cells of `own` strips of one window, one each of the last ones of BLOCK lanes.

    Programs share nothing but the counters: each takes a range of slots in every list by one atomic addition, and
    writes only there. Relaxed atomics will do, because nobody reads the lists before the launch is over.
    """
    window = (tl.program_id(0) // tiles).to(tl.int64)
    i = tl.arange(0, BLOCK)
    lane = tl.program_id(0) % tiles * own + i - (BLOCK - own)
    pixels = height * width
    x += window * pixels
    counters += window * COUNTERS

    # Lanes without a strip do as others do, and those without a column to the east compare their own with itself: what
    # is missing is put right once a strip, in the planes.
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

    # The ring is lower than all in T, and than none in V. A square is in the star if its far corner is lower and both
    # its edges are in.
    m_n, m_s = tl.where(top_row == 0, 1, 0), ~_rows(rows_left - 1)
    m_w, m_e = tl.where(west_missing, -1, 0), tl.where(east_missing, -1, 0)
    rows_here = tl.where(there, _rows(rows_left), 0)
    b_n, b_s = _ring(b_n, m_n, TOP) & rows_here, _ring(b_s, m_s, TOP) & rows_here
    b_w, b_e = _ring(b_w, m_w, TOP) & rows_here, _ring(b_e, m_e, TOP) & rows_here
    b_nw, b_ne = _ring(b_nw, m_n | m_w, TOP) & b_n & b_w, _ring(b_ne, m_n | m_e, TOP) & b_n & b_e
    b_sw, b_se = _ring(b_sw, m_s | m_w, TOP) & b_s & b_w, _ring(b_se, m_s | m_e, TOP) & b_s & b_e
    planes = window * lanes + lane
    # A vertex is matched with E, W, S or N, the first that there is.
    descent = b_e | (b_w & ~b_e) << 8 | (b_s & ~(b_e | b_w)) << 16 | (b_n & ~(b_e | b_w | b_s)) << 24
    tl.store(descents + planes, descent, mask=there)
    tl.store(squares + planes, b_nw | b_ne << 8 | b_sw << 16 | b_se << 24, mask=there)

    c_n, c_w, c_s = critical_edges(b_n, b_w, b_e, b_s, b_nw, b_ne, b_sw, b_se)
    m_edge = c_n | c_w << 8 | c_s << 16
    m_minimum = rows_here & ~(b_n | b_w | b_e | b_s)
    m_extremum = m_minimum | (b_nw & b_ne & b_sw & b_se) << 8  # above the minima, the maxima

    tl.atomic_max(counters + STATUS, 1, mask=tl.max(nan, 0) != 0, sem="relaxed")
    # Three counts in one word, so that one scan does: 11, 11 and 10 bits for tiles of up to 1,024 pixels, where no two
    # neighbours are maxima and the stars have no more than two edges a pixel on average.
    of_edges, of_extrema = ones(m_edge), ones(m_extremum)
    n_edges = (of_edges * 0x01010100) >> 24  # the three bytes, added up
    n_minima, n_maxima = of_extrema & 0xFF, of_extrema >> 8
    count = n_edges | n_minima << 11 | n_maxima << 22
    before = tl.cumsum(count, 0) - count
    total = tl.sum(count, 0)
    i_saddle = tl.atomic_add(counters + SADDLES, total & 0x7FF, sem="relaxed") + (before & 0x7FF)
    i_minimum = tl.atomic_add(counters + MINIMA, (total >> 11) & 0x7FF, sem="relaxed") + ((before >> 11) & 0x7FF)
    i_maximum = tl.atomic_add(counters + MAXIMA, (total >> 22) & 0x3FF, sem="relaxed") + ((before >> 22) & 0x3FF)

    tree += window * (pixels + 1)
    tl.store(tree + pixels, pixels, mask=tl.program_id(0) % tiles == 0)
    first = top_row * width + column
    # Where there is a NaN, more edges can be critical than otherwise.
    edges = _as_float(tl.where(i_saddle + n_edges <= most, m_edge, 0))
    extremes = _as_float(m_extremum)
    p_saddle = saddles + window * most + i_saddle
    extrema += window * pixels
    p_maximum = extrema + (pixels - 1 - i_maximum)
    p_minimum = extrema + (i_minimum - n_maxima)  # where it will be when all maxima are listed
    # Each lane lists its last critical edge and extremum, then the ones before: few rounds where data is smooth.
    for _ in range(tl.max(tl.maximum(n_edges, n_minima + n_maxima), 0)):
        m_listed, m_found = edges != 0, extremes != 0
        p_extremum = tl.where(extremes >= 2 << 8, p_maximum, p_minimum)
        row_of_edge, direction, edges = _last(edges)
        tl.store(p_saddle, row_of_edge * (4 * width) + (4 * first + direction), mask=m_listed)
        row_of_extremum, _, extremes = _last(extremes)
        position = row_of_extremum * width + first
        tl.store(p_extremum, position, mask=m_found)
        tl.store(tree + position, position, mask=m_found)
        p_saddle += 1
        p_maximum -= 1
        p_minimum += 1


@triton.jit
def _as_float(word):
    """A word of three planes, times two, as a float: it holds 24 bits, and in its exponent the place of the highest."""
    return (word << 1).to(tl.float32)


@triton.jit
def _last(word):
    """The last bit of a word from `_as_float`: its row, which plane it is in, and the word without it."""
    bits = word.to(tl.int32, bitcast=True)
    exponent = bits >> 23  # 128 and the bit's place
    rest = word - (exponent << 23).to(tl.float32, bitcast=True)
    return exponent & (ROWS - 1), (exponent >> ROWS_LOG2) - 128 // ROWS, rest


@triton.jit
def lower(neighbour, here, FIRST: tl.constexpr, TOP: tl.constexpr):
    """Whether a neighbour is lower, one with a smaller index or not (FIRST)."""
    if TOP:
        return neighbour >= here if FIRST else neighbour > here
    return neighbour <= here if FIRST else neighbour < here


@triton.jit
def _ring(plane, missing, TOP: tl.constexpr):
    """Put the ring into a plane, where neighbours are missing."""
    return plane | missing if TOP else plane & ~missing


@triton.jit
def _rows(count):
    """A plane with its first rows set, as many as there are of them: none to all."""
    return (1 << tl.minimum(tl.maximum(count, 0), ROWS)) - 1


@triton.jit
def ones(word):
    """Count the ones in each byte of a word."""
    word = word - ((word >> 1) & 0x55555555)
    word = (word & 0x33333333) + ((word >> 2) & 0x33333333)
    return (word + (word >> 4)) & 0x0F0F0F0F


@triton.jit
def critical_edges(n, w, e, s, nw, ne, sw, se):
    """Match the cells of stars along +x, -x, +y, -y in turn; returns the edges N, W and S that stay unmatched.

    Each argument is a plane of bits, a star a bit. In that order of directions the vertex takes E, W, S or N, the first
    that there is; N takes NE or NW, S takes SE or SW, and what squares are left take W. E is always taken. The vertex
    stays alone if there is no edge, and a square, the one to the north-west, if there are all four.
    """
    return n & (e | w | s) & ~(ne | nw), w & e & ~(sw & se) & ~(nw & ne), s & (e | w) & ~(se | sw)
