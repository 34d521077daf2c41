"""What the reduction needs to know about the matching of a star, for both matchings.

A star alone, uint32, is matched in the order of `cells.MATCHING_SHIFTS`, as by `gradient.match_stars`; a word, int64,
along the steepest edges, see `steepest`. Numba chooses by the type when it compiles a caller. Functions as arguments
would have the same effect, but Numba could not cache the caller on disk.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import overload

from ...cells import MATCHING_EDGE_BITS, NO_X3, NO_Y3, NO_Z3
from ..runtime.jit import inlined
from ..runtime.jit import unsigned as _i
from ..runtime.primitives import bits_set
from . import steepest

_u = np.uint32
_NO_X, _NO_Y, _NO_Z = _u(NO_X3), _u(NO_Y3), _u(NO_Z3)
_0, _1, _3, _9 = _u(0), _u(1), _u(3), _u(9)

_BEFORE = np.zeros(27, np.uint32)  # by bit of an edge, the edges that a vertex is matched with before it
for _rank, _bit in enumerate(MATCHING_EDGE_BITS):
    _BEFORE[_bit] = sum(1 << bit for bit in MATCHING_EDGE_BITS[:_rank])

_OPTIONS = {"nogil": True, "error_model": "numpy", "_nrt": False, "forceinline": True}  # those of `jit.inlined`


def matched_upward(star):
    """Return the cells of a star that are matched with the next higher dimension, and the critical ones.

    Seven uint32: those that are matched along x, -x, y, -y, z and -z, and the critical ones.
    """
    return (_upward if isinstance(star, np.uint32) else steepest.matched_upward)(star)


@overload(matched_upward, jit_options=_OPTIONS)
def _choose_upward(star):
    if star == types.uint32:
        return lambda star: _upward(star)
    return lambda star: steepest.matched_upward(star)


@inlined
def _upward(star):
    s = star
    x = _u(_u(s & _NO_X) & _u(s >> _1))
    s = _u(s & ~_u(x | _u(x << _1)))
    minus_x = _u(_u(s & _NO_X) & _u(s << _1))
    s = _u(s & ~_u(minus_x | _u(minus_x >> _1)))
    y = _u(_u(s & _NO_Y) & _u(s >> _3))
    s = _u(s & ~_u(y | _u(y << _3)))
    minus_y = _u(_u(s & _NO_Y) & _u(s << _3))
    s = _u(s & ~_u(minus_y | _u(minus_y >> _3)))
    z = _u(_u(s & _NO_Z) & _u(s >> _9))
    s = _u(s & ~_u(z | _u(z << _9)))
    minus_z = _u(_u(s & _NO_Z) & _u(s << _9))
    s = _u(s & ~_u(minus_z | _u(minus_z >> _9)))
    return x, minus_x, y, minus_y, z, minus_z, s


def matched_with_vertex(star, bit):
    """Return whether an edge, given by its bit, is matched with the vertex of its star, or the star is empty."""
    return (_with_vertex if isinstance(star, np.uint32) else steepest.matched_with_vertex)(star, bit)


@overload(matched_with_vertex, jit_options=_OPTIONS)
def _choose_with_vertex(star, bit):
    if star == types.uint32:
        return lambda star, bit: _with_vertex(star, bit)
    return lambda star, bit: steepest.matched_with_vertex(star, bit)


@inlined
def _with_vertex(star, bit):
    return star & _BEFORE[_i(bit)] == _0


def place_among(star, critical, edge):
    """Return how many critical edges of a vertex come before one of its edges, a mask of one bit, in their list."""
    return (_place if isinstance(star, np.uint32) else steepest.place_among)(star, critical, edge)


@overload(place_among, jit_options=_OPTIONS)
def _choose_place(star, critical, edge):
    if star == types.uint32:
        return lambda star, critical, edge: _place(star, critical, edge)
    return lambda star, critical, edge: steepest.place_among(star, critical, edge)


@inlined
def _place(star, critical, edge):
    return np.int64(bits_set(_u(critical & _u(edge - _1))))
