"""Steepest gradient: the discrete Morse gradient of skeletons, whose paths users see.

The cells of a lower star are matched along the directions of its edges in the order of their other ends, the lowest end
first and equal ones by index. So a vertex is led to its lowest neighbour, and where all values differ, the result does
not depend on the orientation of the axes. Any order of directions gives an acyclic matching, see `gradient`, and the
same diagrams; these use the fixed order of `cells.MATCHING_SHIFTS`, which is faster.

A word is a star, in its 9 lower bits, and the order of the four neighbours of its vertex, in the 6 bits above: one bit
per pair of neighbours, set if the one with the smaller index comes first.
"""

from __future__ import annotations

import functools
import itertools

import numpy as np
from numpy.typing import NDArray

from ...cells import NE, NO_X, NO_Y, NW, SE, SW, VERTEX
from ..runtime.jit import device
from ..runtime.jit import unsigned as _i

_u = np.uint16
_SHIFTS = -3, -1, 1, 3  # of a mask, to the N, W, E and S: in the order of the neighbours' indices
_PAIRS = tuple(itertools.combinations(range(4), 2))


def _tables() -> tuple[NDArray[np.uint16], NDArray[np.int8]]:
    """Return the critical cells of all words, (2^15,), and the directions of their vertex and squares, (5, 2^15).

    A direction is 1 + the position in `_SHIFTS` of the shift along which a cell is matched, or 0 if it is critical.
    """
    words = np.arange(1 << 15)
    first = [words >> 9 + i & 1 for i in range(len(_PAIRS))]
    rank = [
        sum(first[p] if i == b else 1 - first[p] for p, (a, b) in enumerate(_PAIRS) if i in (a, b)) for i in range(4)
    ]
    left, direction = words & 511, np.zeros((5, words.size), np.int8)
    for turn, (i, shift) in itertools.product(range(4), enumerate(_SHIFTS)):
        ahead = left >> shift if shift > 0 else left << -shift
        low = left & (NO_X if abs(shift) == 1 else NO_Y) & ahead
        both = np.where(rank[i] == turn, low | (low << shift if shift > 0 else low >> -shift), 0)
        for row, cell in enumerate((VERTEX, NW, NE, SW, SE)):
            direction[row, both & cell != 0] = 1 + i
        left &= ~both
    return left.astype(np.uint16), direction


_CRITICAL, _DIRECTION = _tables()


@functools.lru_cache(maxsize=8)  # as many widths as a process is likely to alternate between
def steps_of(width: int) -> NDArray[np.int32]:
    """Return where the gradient leads vertices, by word, and squares, by code: (2, 2^15), see `trace.steps_of`."""
    offsets = np.array([0, -width, -1, 1, width], np.int32)
    steps = np.zeros((2, 1 << 15), np.int32)
    steps[0] = offsets[_DIRECTION[0]]
    steps[1, : offsets.size] = -offsets  # across the edge that it is matched with
    return steps


@device
def order_neighbours(key, height, width, star):
    """Extend stars to words.

    key : (cells,) of a grid of that height and width, perhaps followed by padding. star : (cells,) uint16, after
    `gradient.match_stars`; 0 on the ring, before and after.
    """
    # As in `gradient.lower_stars`, one loop goes over all rows.
    first = width + 1
    north, west, east, south = key[1:], key[width:], key[width + 2 :], key[2 * width + 1 :]
    out = star[first:]
    for v in range(width * (height - 2) - 2):
        n, w, e, s = north[v], west[v], east[v], south[v]
        out[v] |= (
            _u(_u(n <= w) << _u(9))
            | _u(_u(n <= e) << _u(10))
            | _u(_u(n <= s) << _u(11))
            | _u(_u(w <= e) << _u(12))
            | _u(_u(w <= s) << _u(13))
            | _u(_u(e <= s) << _u(14))
        )
    for y in range(2, height - 1):
        star[y * width - 1] = star[y * width] = 0


@device
def match_words(word, critical):
    """Write the cells of each word that remain unmatched into critical, (cells,) uint16."""
    for v in range(word.size):
        critical[v] = _CRITICAL[word[v]]


@device
def lead_squares(word, width, moves):
    """Write where the gradient leads each square; see `gradient.lead_squares`.

    word, moves : (cells,) uint16. A move is the direction of the square in the star that owns it; see `_tables`.
    """
    n = word.size - width - 1
    for q in range(n):
        in_north = _DIRECTION[4, word[_i(q)]] + _DIRECTION[3, word[_i(q + 1)]]
        moves[q] = in_north + _DIRECTION[2, word[_i(q + width)]] + _DIRECTION[1, word[_i(q + width + 1)]]
    moves[n:] = 0


@device
def owners_of_squares(at, star, width):
    """Replace squares, given by their north-western corners, by the vertices that own them.

    at : (n,) int32, modified. Squares outside, which are in no star, are replaced by the last vertex.
    """
    for w in range(at.size):
        square, owner = np.int64(at[w]), star.size - 1
        south = square + width
        for corner, bit in ((square, _u(SE)), (square + 1, _u(SW)), (south, _u(NE)), (south + 1, _u(NW))):
            owner = corner if star[_i(corner)] & bit else owner
        at[w] = owner
