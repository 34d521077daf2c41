"""Trace: list the critical cells, and follow the gradient from the critical edges to extrema."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...cells import NW, SQUARES, VERTEX, E, N, S, W, match_star
from ..runtime.jit import allocating, device
from ..runtime.jit import unsigned as _i
from ..runtime.primitives import halted
from ..runtime.views import view
from .gradient import LED_EAST, LED_NORTH, LED_SOUTH, LED_WEST

Array = NDArray[Any]
_FIRST_STEP = np.array([match_star(star, 2).get(VERTEX.bit_length() - 1, 0) for star in range(512)], np.int32)


class CriticalCells(NamedTuple):
    """The critical cells of an image in the order of their owners, with room for one more of each kind."""

    minima: Array  # int32, vertices
    edges: Array  # (2, m) int32, owners and other ends
    maxima: Array  # int32, the owners of squares


@allocating
def steps_of(width):
    """Return where the gradient leads, as offsets in a grid of that width: (2, 512) int32.

    A vertex is led to the other end of the edge that it is matched with, which its star tells (row 0). A square is led
    across the edge that it is matched with, which its move tells (row 1); see `gradient.lead_squares`. The offset is 0
    for critical cells, and for those outside.
    """
    steps = np.zeros((2, 512), np.int32)
    for star in range(512):
        shift = _FIRST_STEP[star]
        steps[0, star] = shift if abs(shift) <= 1 else shift // 3 * width
    for i in range(2):
        steps[1, LED_WEST[i]], steps[1, LED_EAST[i]] = -1, 1
        steps[1, LED_NORTH[i]], steps[1, LED_SOUTH[i]] = -width, width
    return steps


@device
def list_critical_cells(critical, width, cells, key=None):
    """List the critical cells, and return the numbers of minima, edges and maxima.

    critical : (16 n,) uint16. cells : CriticalCells, written.
    key : (cells,) order keys for a matching along the steepest edges; the critical edges of one owner are then listed
    in the order of their other ends.
    """
    minima, maxima, near, far = cells.minima, cells.maxima, cells.edges[0], cells.edges[1]
    owners = maxima
    n = owners_of(critical, owners)
    n_minima, n_edges, n_maxima = _i(0), _i(0), _i(0)
    for i in range(n):
        v = owners[i]
        mask = critical[_i(v)]
        begin = n_edges
        minima[n_minima] = v
        n_minima += _i((mask & VERTEX) != 0)
        maxima[n_maxima] = v
        n_maxima += _i((mask & SQUARES) != 0)
        near[n_edges], far[n_edges] = v, v - width
        n_edges += _i((mask & N) != 0)
        near[n_edges], far[n_edges] = v, v - 1
        n_edges += _i((mask & W) != 0)
        if key is not None:  # else the edge to the east is always matched, since +x comes first
            near[n_edges], far[n_edges] = v, v + 1
            n_edges += _i((mask & E) != 0)
        near[n_edges], far[n_edges] = v, v + width
        n_edges += _i((mask & S) != 0)
        if key is not None:
            _sort_by_key(far, begin, n_edges, key)
    return np.int64(n_minima), np.int64(n_edges), np.int64(n_maxima)


@device
def _sort_by_key(vertices, begin, end, key):
    """Sort a part of a list of vertices by their keys; equal ones keep their order."""
    for i in range(np.int64(begin + _i(1)), np.int64(end)):
        v = vertices[i]
        while i > np.int64(begin) and key[_i(vertices[i - 1])] > key[_i(v)]:
            vertices[i] = vertices[i - 1]
            i -= 1
        vertices[i] = v


@device
def owners_of(critical, owners):
    """List the vertices whose entry in critical, (16 n,) uint16, is not 0, and return their number."""
    # Each vertex is written, and kept by adding a bit to their number: on noise, half of the branches would be
    # mispredicted.
    n = _i(0)
    fours = view(critical, np.uint64)
    for k in range(fours.size // 4):
        i = _i(4 * k)
        if fours[i] | fours[i + _i(1)] | fours[i + _i(2)] | fours[i + _i(3)] != 0:  # easier to predict than 1 or 4
            for v in range(16 * k, 16 * k + 16):
                owners[n] = v
                n += _i(critical[_i(v)] != 0)
    return np.int64(n)


@device
def minima_below(at, star, steps, walking, known, halt=0):
    """Follow vertices down to minima, or to the ring.

    at : (n,) int32, the vertices, replaced by the minima; 0 for the ring, whose first vertex is lower than all pixels.
    star : (cells,) uint16, 0 on the ring. steps : see `steps_of`. walking, known, halt : see `follow`.
    """
    follow(at, star, steps[0], walking, known, halt)
    for w in range(at.size):
        at[w] = at[w] if star[_i(at[w])] != 0 else 0


@device
def maxima_above(at, star, moves, steps, width, walking, known, halt=0):
    """Follow squares up to maxima, or out of the grid.

    at : (n,) int32, the squares, each by the index of its north-western corner; replaced by the owners of the maxima,
    and for the outside by the last vertex, which is higher than all pixels.
    moves : (cells,) uint16, see `gradient.lead_squares`. See `minima_below` for the others.
    """
    follow(at, moves, steps[1], walking, known, halt)
    # A square without a next step is a maximum, owned by its south-eastern corner, or it is outside.
    for w in range(at.size):
        owner = at[w] + width + 1
        at[w] = owner if star[_i(owner)] & NW else star.size - 1


@device
def follow(at, moves, steps, walking, known, halt=0):
    """Follow cells along the gradient as far as it leads.

    at : (n,) int32, vertices or squares, replaced by the last ones of their walks.
    moves : (cells,) uint16, the stars of vertices or the moves of squares. steps : by move, see `steps_of`.
    walking : (n,) and known : (cells,) int32, scratch. halt : see `halted`.
    """
    # The length of a walk is hard to predict, and each step depends on the one before. So all walks take three steps in
    # turn, some of which may be 0, and those whose last step was 0 drop out. The others are remembered once they are
    # longer than a straight way across the grid.
    for w in range(at.size):
        walking[w] = w
    n = _i(at.size)
    for _ in range(np.int64(math.sqrt(moves.size)) // 3 + 3):
        if halted(halt):
            return
        left = _i(0)
        for i in range(np.int64(n)):
            w = walking[i]
            v = at[_i(w)]
            v += steps[moves[_i(v)]]
            v += steps[moves[_i(v)]]
            step = steps[moves[_i(v)]]
            at[_i(w)], walking[left] = v + step, w
            left += _i(step != 0)
        n = left
        if n == 0:
            break
    known[: known.size if n > 0 else 0] = 0
    for i in range(np.int64(n)):
        if i & 0x3FFF == 0 and halted(halt):
            return
        w = _i(walking[i])
        at[w] = _long_way(np.int64(at[w]), moves, steps, known)


@device
def _long_way(cell, moves, steps, known):
    """Follow a cell to its end, or to the path of another long walk, and remember the end for the whole path.

    known : (cells,) where a long walk from a cell ended, or 0.
    """
    end = cell
    while steps[moves[_i(end)]] != 0 and known[_i(end)] == 0:
        end += steps[moves[_i(end)]]
    if known[_i(end)] != 0:
        end = np.int64(known[_i(end)])
    while cell != end and known[_i(cell)] == 0:
        known[_i(cell)] = end
        cell += steps[moves[_i(cell)]]
    return end


@device
def squares_beside(a, b, width):
    """Return the two squares beside the edge between the vertices a and b."""
    first = min(a, b)
    return first, first - (width if abs(a - b) == 1 else 1)
