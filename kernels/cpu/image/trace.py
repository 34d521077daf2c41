"""Trace: the critical cells, and the extrema where the gradient leads from the critical edges."""

from __future__ import annotations

import numpy as np

from ...cells import NE, NO_X, NO_Y, NW, SE, SW, VERTEX, N, S, W
from ..runtime.jit import allocating, device
from ..runtime.jit import unsigned as _i
from ..runtime.primitives import halted

_ROUNDS = 24  # of three steps; a walk that goes on is long enough to be remembered


def _matched_along(star: int, cell: int) -> tuple[int, int]:
    """Replay the matching of a star: the direction (dx, dy) along which a cell of it was matched, or (0, 0)."""
    for shift, dx, dy in ((1, 1, 0), (-1, -1, 0), (3, 0, 1), (-3, 0, -1)):
        low = star & (NO_X if dx else NO_Y) & (star >> shift if shift > 0 else star << -shift)
        both = low | (low << shift if shift > 0 else low >> -shift)
        if cell & both:
            return dx, dy
        star &= ~both
    return 0, 0


# A star has 9 bits, so the answers fit in a table: [cell][star] -> dx, dy.
_CELLS = (VERTEX, NW, NE, SW, SE)
_MATCHED = np.array([[_matched_along(s, c) for s in range(512)] for c in _CELLS], np.int32)


@allocating
def steps_of(width):
    """Where a star leads a cell, as an offset in a grid of that width: (5, 512) int32.

    A vertex (row 0) goes to the other end of the edge that it is matched with. A square (rows 1 to 4: the one to the
    NW, NE, SW, SE of the star's vertex) goes across the edge that it is matched with, so one step against the matching.
    0 for cells that are critical or not in the star.
    """
    steps = np.empty((5, 512), np.int32)
    for cell in range(5):
        sign = 1 if cell == 0 else -1
        for star in range(512):
            steps[cell, star] = sign * (_MATCHED[cell, star, 0] + width * _MATCHED[cell, star, 1])
    return steps


@device
def critical_cells(critical, width, minima, edges, maxima):
    """List the critical cells in order of their owners.

    critical : (16 n,) uint16.
    Written, with a slot to spare: minima, vertices; edges (2, m), owners and other ends; maxima, owners.
    Returns how many there are of each.
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
        # A square is left unmatched only in a star that holds all four, and it is then the one to the north-west.
        maxima[n_maxima] = v
        n_maxima += _i((cells & NW) != 0)
        # The edge to the east is always matched: +x comes first.
        near[n_edges], far[n_edges] = v, v - width
        n_edges += _i((cells & N) != 0)
        near[n_edges], far[n_edges] = v, v - 1
        n_edges += _i((cells & W) != 0)
        near[n_edges], far[n_edges] = v, v + width
        n_edges += _i((cells & S) != 0)
    return np.int64(n_minima), np.int64(n_edges), np.int64(n_maxima)


@device
def owners_of(critical, owners):
    """List the vertices whose entry in critical, (16 n,) uint16, is not 0, and return their number."""
    # Everything is written always, and kept by adding a bit: on noise a branch would be mispredicted half the time.
    n = _i(0)
    fours = critical.view(np.uint64)
    for k in range(fours.size // 4):
        i = _i(4 * k)
        if fours[i] | fours[i + _i(1)] | fours[i + _i(2)] | fours[i + _i(3)] != 0:  # easier to predict than one or four
            for v in range(16 * k, 16 * k + 16):
                owners[n] = v
                n += _i(critical[_i(v)] != 0)
    return np.int64(n)


@device
def minima_below(at, star, steps, walking, known, halt=0):
    """Follow vertices down to minima, or to the ring.

    at : (n,) int32, the vertices; changed to the minima, 0 for the ring, whose first vertex is lower than all.
    star : (cells,) uint16, 0 on the ring. steps : of `steps_of`. walking : (n,) and known : (cells,) int32, scratch.
    halt : see `halted`.
    """
    down = steps[0]
    # Where a walk ends is hard to predict, and one step waits for the other. So all walks take three steps in turn, a
    # step of 0 being harmless, and those whose last was 0 drop out.
    for w in range(at.size):
        walking[w] = w
    n = _i(at.size)
    for _ in range(_ROUNDS):
        if halted(halt):
            return
        left = _i(0)
        for i in range(np.int64(n)):
            w = walking[i]
            v = at[_i(w)]
            v += down[star[_i(v)]]
            v += down[star[_i(v)]]
            step = down[star[_i(v)]]
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
        at[w] = _long_way_down(np.int64(at[w]), star, down, known)
    for w in range(at.size):
        at[w] = at[w] if star[_i(at[w])] != 0 else 0


@device
def _long_way_down(vertex, star, down, known):
    """Follow a vertex to where it ends, or to where another long walk has been, and learn that of the way.

    known : (cells,) where a long walk from a vertex ended, else 0.
    """
    end = vertex
    while down[star[_i(end)]] != 0 and known[_i(end)] == 0:
        end += down[star[_i(end)]]
    if known[_i(end)] != 0:
        end = np.int64(known[_i(end)])
    while vertex != end and known[_i(vertex)] == 0:
        known[_i(vertex)] = end
        vertex += down[star[_i(vertex)]]
    return end


@device
def maxima_above(at, star, steps, width, walking, known, halt=0):
    """Follow squares up to maxima, or out of the grid.

    at : (n,) int32, the squares, by the index of their north-western corners; changed to the owners of the maxima, for
    the outside the last vertex, which is higher than all. The rest as for `minima_below`.
    """
    squares_above(at, star, steps, width, walking, known, halt)
    # A square that is led nowhere is a maximum, owned by its south-eastern corner, or it is outside.
    for w in range(at.size):
        owner = at[w] + width + 1
        at[w] = owner if star[_i(owner)] & NW else star.size - 1


@device
def squares_above(at, star, steps, width, walking, known, halt=0):
    """Follow squares up as far as they are led; the arguments are those of `maxima_above`."""
    for w in range(at.size):
        walking[w] = w
    n = _i(at.size)
    for _ in range(_ROUNDS):
        if halted(halt):
            return
        left = _i(0)
        for i in range(np.int64(n)):
            w = walking[i]
            square = at[_i(w)]
            square += _square_step(square, star, steps, width)
            square += _square_step(square, star, steps, width)
            step = _square_step(square, star, steps, width)
            at[_i(w)], walking[left] = square + step, w
            left += _i(step != 0)
        n = left
        if n == 0:
            break
    known[: known.size if n > 0 else 0] = 0
    for i in range(np.int64(n)):
        if i & 0x3FFF == 0 and halted(halt):
            return
        w = _i(walking[i])
        at[w] = _long_way_up(np.int64(at[w]), star, steps, width, known)


@device
def _long_way_up(square, star, steps, width, known):
    """Follow a square to where it ends, or to where another long walk has been, and learn that of the way."""
    end = square
    while _square_step(end, star, steps, width) != 0 and known[_i(end)] == 0:
        end += _square_step(end, star, steps, width)
    if known[_i(end)] != 0:
        end = np.int64(known[_i(end)])
    while square != end and known[_i(square)] == 0:
        known[_i(square)] = end
        square += _square_step(square, star, steps, width)
    return end


@device
def _square_step(square, star, steps, width):
    """Step to where a square is led; the one of its corners that has it in its star tells, the others give 0."""
    return (
        steps[4, star[_i(square)]]
        + steps[3, star[_i(square + 1)]]
        + steps[2, star[_i(square + width)]]
        + steps[1, star[_i(square + width + 1)]]
    )


@device
def squares_beside(a, b, width):
    """The two squares beside the edge between the vertices a and b."""
    first = min(a, b)
    return first, first - (width if abs(a - b) == 1 else 1)
