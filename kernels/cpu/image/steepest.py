"""Steepest gradient: the discrete Morse gradient of skeletons, whose paths users see.

The cells of a lower star are matched along the directions of its edges in the order of their other ends, the lowest
first and equal ones by index. So a vertex goes to its lowest lower neighbour, and where all values differ, nothing
depends on how the axes lie. Any order of directions gives an acyclic matching, see `gradient`. Diagrams are the same
for all of them; they use a fixed order, which is faster.

A word is a star, in its 9 lower bits, and the order of the four neighbours of its vertex, in the 6 above: a bit for
each two of them, set if the one with the smaller index comes first.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...cells import NE, NO_X, NO_Y, NW, SE, SQUARES, SW, VERTEX, E, N, S, W
from ..runtime.jit import device
from ..runtime.jit import unsigned as _i
from .trace import owners_of

_u = np.uint16
_SHIFTS = -3, -1, 1, 3  # of a mask, one step to the N, W, E and S
_PAIRS = tuple(itertools.combinations(range(4), 2))


def _tables() -> tuple[NDArray[np.uint16], NDArray[np.int8]]:
    """Match the cells of all words: the critical ones, (2^15,), and the directions of the vertex and the squares.

    The directions, (5, 2^15), are 1 + the place in `_SHIFTS` of the one along which a cell is matched, 0 for none.
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


@functools.lru_cache(maxsize=8)  # as many widths as a process is likely to use in turn
def steps_of(width: int) -> NDArray[np.int32]:
    """Where a word leads a cell, as an offset in a grid of that width: (5, 2^15), see `trace.steps_of`."""
    steps: Any = np.array([0, -width, -1, 1, width], np.int32)[_DIRECTION]
    steps[1:] *= -1
    return steps


@device
def order_neighbours(key, height, width, star):
    """Extend stars to words.

    key : (cells,) of a grid of that height and width, with something behind it or not. star : (cells,) uint16, what
    `gradient.match_stars` left of it; 0 on the ring, before and after.
    """
    # As in `gradient.lower_stars`, rows follow each other without a seam.
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
    """Write into critical, (cells,) uint16, the cells that stay unmatched, for each word."""
    for v in range(word.size):
        critical[v] = _CRITICAL[word[v]]


@device
def critical_cells(critical, key, width, minima, edges, maxima):
    """List the critical cells in order of their owners, and the edges of one owner in order of their other ends.

    key : (cells,) order keys. The rest is as for `trace.critical_cells`.
    """
    owners = maxima
    n = owners_of(critical, owners)
    n_minima, n_edges, n_maxima = _i(0), _i(0), _i(0)
    near, far = edges[0], edges[1]
    for i in range(n):
        v = owners[i]
        cells = critical[_i(v)]
        minima[n_minima] = v
        n_minima += _i((cells & VERTEX) != 0)
        maxima[n_maxima] = v
        n_maxima += _i((cells & SQUARES) != 0)
        begin = n_edges
        near[n_edges], far[n_edges] = v, v - width
        n_edges += _i((cells & N) != 0)
        near[n_edges], far[n_edges] = v, v - 1
        n_edges += _i((cells & W) != 0)
        near[n_edges], far[n_edges] = v, v + 1
        n_edges += _i((cells & E) != 0)
        near[n_edges], far[n_edges] = v, v + width
        n_edges += _i((cells & S) != 0)
        for e in range(np.int64(begin + _i(1)), np.int64(n_edges)):
            end = far[e]
            while e > np.int64(begin) and key[_i(far[e - 1])] > key[_i(end)]:
                far[e] = far[e - 1]
                e -= 1
            far[e] = end
    return np.int64(n_minima), np.int64(n_edges), np.int64(n_maxima)


@device
def owners_of_squares(at, star, width):
    """Replace squares, each by the index of its north-western corner, by the vertices that own them.

    at : (n,) int32, changed; squares outside, which no star holds, become the last vertex.
    """
    for w in range(at.size):
        square, owner = np.int64(at[w]), star.size - 1
        south = square + width
        for corner, bit in ((square, _u(SE)), (square + 1, _u(SW)), (south, _u(NE)), (south + 1, _u(NW))):
            owner = corner if star[_i(corner)] & bit else owner
        at[w] = owner
