"""What the reduction asks about the matching of a star, for both matchings that there are.

A star alone, uint32, is matched along x, -x, y, -y, z, -z, as by `gradient3.match_stars`; a word, int64, along the
steepest way, see `steepest`. Numba chooses by the type when it compiles a caller. (Functions as arguments would do the
same, but then nothing could be cached on disk.)
"""

from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import overload

from ...cells import NO_X3, NO_Y3, NO_Z3
from ..runtime.jit import inlined
from ..runtime.jit import unsigned as _i
from ..runtime.primitives import bits_set
from . import steepest

_u = np.uint32
_NO_X, _NO_Y, _NO_Z = _u(NO_X3), _u(NO_Y3), _u(NO_Z3)
_0, _1, _3, _9 = _u(0), _u(1), _u(3), _u(9)

SIDES = 14, 12, 16, 10, 22, 4  # a star's vertex is matched with the first of these edges that it has
_BEFORE = np.zeros(27, np.uint32)
for _rank, _side in enumerate(SIDES):
    _BEFORE[_side] = sum(1 << side for side in SIDES[:_rank])

_OPTIONS = {"nogil": True, "error_model": "numpy", "_nrt": False, "forceinline": True}  # those of `jit.inlined`


def matched_upward(star):
    """Replay the matching of a star.

    Returns the cells that are matched with the next higher dimension along x, -x, y, -y, z and -z, and the critical
    ones: seven uint32.
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


def matched_with_vertex(star, direction):
    """Whether the edge in a direction is matched with the vertex of its star, or is in the ring, with empty stars."""
    return (_with_vertex if isinstance(star, np.uint32) else steepest.matched_with_vertex)(star, direction)


@overload(matched_with_vertex, jit_options=_OPTIONS)
def _choose_with_vertex(star, direction):
    if star == types.uint32:
        return lambda star, direction: _with_vertex(star, direction)
    return lambda star, direction: steepest.matched_with_vertex(star, direction)


@inlined
def _with_vertex(star, direction):
    return star & _BEFORE[_i(direction)] == _0


def place_among(star, critical, edge):
    """How many critical edges of a vertex are before one of its edges, a mask of one bit, in the list of all."""
    return (_place if isinstance(star, np.uint32) else steepest.place_among)(star, critical, edge)


@overload(place_among, jit_options=_OPTIONS)
def _choose_place(star, critical, edge):
    if star == types.uint32:
        return lambda star, critical, edge: _place(star, critical, edge)
    return lambda star, critical, edge: steepest.place_among(star, critical, edge)


@inlined
def _place(star, critical, edge):
    return np.int64(bits_set(_u(critical & _u(edge - _1))))
