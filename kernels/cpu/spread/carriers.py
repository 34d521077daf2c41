"""Carriers: the pixels that must all reach a value for a birth or a death to reach it; see kernels/README.md."""

from __future__ import annotations

import numpy as np

from ..runtime.jit import device
from ..runtime.jit import unsigned as _i
from .grid import Pull
from .paths import find_bridge, find_component, find_loop
from .surfaces import find_disc, find_wall
from .tree import plant


@device
def find_carrier(field, aim, other, end, spread, of):
    """Write the carrier of a birth (end 0) or death (1) into `field.carrier`, and return the number of its pixels.

    Only pixels that have not reached the goal are written, that of the birth or death first.

    aim : Pull, of which only the pixel and the goal matter. other : the pixel of the other end of the pair; negative
    for the frame, and for the death of an essential class. of : the cells of a volume, or None in images, and if no
    carrier of the window is a surface.
    """
    value, index = field.value[_i(aim.pixel)], spread.dim + end  # the index is 0 at minima, and the rank at maxima
    field.carrier[0] = aim.pixel
    if not (value < aim.goal or value > aim.goal):
        return 1
    sign = 1 if value < aim.goal else -1
    pull = Pull(aim.pixel, aim.goal, sign, spread.top == (sign < 0))
    # From here on, extrema and saddles are named as if all were lowered. Raised, a minimum is a maximum.
    index = index if sign < 0 else spread.rank - index
    if index == 0:
        return 1
    if index == spread.rank:
        return find_component(field, pull, _bound(field, other, end))
    if index == 1:
        side = 0 if sign < 0 else 1
        tree = field.trees[side]
        if not field.planted[side]:
            plant(field, tree, sign, pull.full)
            field.planted[side] = True
        if end == 1 - side:  # the saddle ends the class of an extremum
            return find_bridge(field, pull, tree, other) if other >= 0 else 1
        return find_loop(field, pull, tree)
    if of is not None:
        if (sign > 0) == spread.top:
            return find_disc(field, pull, of, other)
        return find_wall(field, pull, of, other)
    return 1


@device
def _bound(field, other, end):
    """Return the place in the filtration of a birth or death, which may be outside, or on the frame."""
    if other >= 0:
        return np.int64(field.rank[_i(other)])
    if end == 0:
        return field.pixels.size
    bound, lowest = 0, field.value[_i(field.order[0])]
    while field.value[_i(field.order[_i(bound + 1)])] == lowest:
        bound += 1
    return bound
