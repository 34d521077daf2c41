"""Gradient: the lower star of every vertex, and the cells that a discrete Morse gradient leaves critical in it.

Nothing depends on the order of the values inside a lower star. A vertex therefore takes only a few comparisons and bit
operations, and the loops over a row compile to vector instructions. All cells of a lower star have the same value;
hence any acyclic matching of them is valid, and a sequence of element matchings is acyclic (Jonsson, Simplicial
Complexes of Graphs, 2008, Lemma 4.1). `cells.MATCHING_SHIFTS` is the sequence.
"""

from __future__ import annotations

import numpy as np

from ...cells import NO_X, NO_Y, SQUARES, VERTEX, E, N, S, W
from ..runtime.jit import device
from ..runtime.jit import unsigned as _i

# Numba widens every operation on small integers to 64 bits. Narrowing each result again gives 16 lanes per vector.
_u = np.uint16
_NO_X, _NO_Y, _NO_SQUARES = _u(NO_X), _u(NO_Y), _u(511 - SQUARES)
_N_S, _W_E, _1, _3 = _u(N | S), _u(W | E), _u(1), _u(3)

# A square is led across the edge that it is matched with: if the edge to the north is matched along +x, with the square
# to the NE, then this square is led to the west. The move of a square is the bit of this edge in the star that owns
# both, shifted by 1 if they are matched along -x or -y; no two cases have the same bit.
_OF_NW, _OF_NE, _OF_SW, _OF_SE = _u(2 * N | 2 * W), _u(N | 2 * E), _u(2 * S | W), _u(S | E)  # squares of a star
LED_WEST, LED_EAST, LED_NORTH, LED_SOUTH = (N, S), (2 * N, 2 * S), (W, E), (2 * W, 2 * E)


@device
def lower_stars(key, height, width, star, before):
    """Find the lower neighbours of each vertex.

    key : (cells,) of a grid of that height and width, perhaps followed by padding; its ring is below every pixel (T)
    or above (V).
    star : (cells,) uint16, written, 0 on the ring: the vertex and the directions in which a neighbour is lower.
    before : (cells,) uint16, scratch.
    Ties are broken by the flat index: of two equal neighbours, the one with the smaller index is lower.
    """
    # Two neighbours are compared once, by the one with the larger index. One loop goes over all rows, since they are
    # contiguous; what it writes on the ring is meaningless.
    first = width + 1
    here, west, north_west, north, north_east = key[first:], key[width:], key, key[1:], key[2:]
    out = before[first:]
    for v in range(here.size):
        k = here[v]
        out[v] = (
            _u(north_west[v] <= k)
            | _u(_u(north[v] <= k) << _u(1))
            | _u(_u(north_east[v] <= k) << _u(2))
            | _u(_u(west[v] <= k) << _u(3))
        )
    east, out = before[first + 1 :], star[first:]
    south_west, south, south_east = before[first + width - 1 :], before[first + width :], before[first + width + 1 :]
    for v in range(width * (height - 2) - 2):
        out[v] = (
            before[_i(v + first)]
            | _u(VERTEX)
            | _u(_u(~east[v] & _u(8)) << _u(2))
            | _u(_u(~south_west[v] & _u(4)) << _u(4))
            | _u(_u(~south[v] & _u(2)) << _u(6))
            | _u(_u(~south_east[v] & _u(1)) << _u(8))
        )
    for y in range(2, height - 1):
        star[y * width - 1] = star[y * width] = 0


@device
def match_stars(star, critical, led):
    """Match the cells of each star in the order of `cells.MATCHING_SHIFTS`.

    star : (cells,) uint16, written by `lower_stars`; squares that are not in the star are removed from it.
    critical : (cells,) uint16, written: the cells that remain unmatched.
    led : (cells,) uint16, written: the edges that are matched with squares, for `lead_squares`.
    """
    for v in range(star.size):
        s = star[v]
        # A square is in the star if its far corner is lower and both of its edges are in the star.
        m = _u(s & _NO_X)
        beside = _u(_u(m >> _1) | _u(m << _1))
        m = _u(s & _NO_Y)
        above = _u(_u(m >> _3) | _u(m << _3))
        s = _u(s & _u(_u(beside & above) | _NO_SQUARES))
        star[v] = s
        m = _u(_u(s & _NO_X) & _u(s >> _1))
        s = _u(s & ~_u(m | _u(m << _1)))
        edges = _u(m & _N_S)
        m = _u(_u(s & _NO_X) & _u(s << _1))
        s = _u(s & ~_u(m | _u(m >> _1)))
        edges = _u(edges | _u(_u(m & _N_S) << _1))
        m = _u(_u(s & _NO_Y) & _u(s >> _3))
        s = _u(s & ~_u(m | _u(m << _3)))
        edges = _u(edges | _u(m & _W_E))
        m = _u(_u(s & _NO_Y) & _u(s << _3))
        critical[v] = _u(s & ~_u(m | _u(m >> _3)))
        led[v] = _u(edges | _u(_u(m & _W_E) << _1))


@device
def lead_squares(led, width, moves):
    """Write where the gradient leads each square, which is given by its north-western corner.

    led : (cells,) uint16, written by `match_stars` in a grid of that width.
    moves : (cells,) uint16, written: see LED_WEST; 0 for critical squares, and for those outside.
    """
    n = led.size - width - 1
    south_east, south_west, north_east = led[width + 1 :], led[width:], led[1:]
    for q in range(n):
        in_north = _u(_u(led[q] & _OF_SE) | _u(north_east[q] & _OF_SW))
        moves[q] = _u(in_north | _u(_u(south_west[q] & _OF_NE) | _u(south_east[q] & _OF_NW)))
    moves[n:] = 0
