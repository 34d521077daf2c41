"""Carriers of one or two dimensions fewer than a surface: the component of an extremum, the path through a saddle."""

from __future__ import annotations

from ..runtime.jit import device
from ..runtime.jit import unsigned as _i
from .grid import is_beyond, is_short, number_of_neighbours, tick
from .tree import walk


@device
def find_component(field, pull, bound):
    """Find the pixels around an extremum that come before its class ends and have not reached the goal.

    bound : the place in the filtration where the class ends. Written: the pixels, the extremum first, into
    `field.carrier`. Return their number.
    """
    time, carrier, seen, sign = tick(field), field.carrier, field.seen, pull.sign
    m = number_of_neighbours(field, not pull.full)
    # A queue of the whole component, in the memory of paths; not all of it may have to move.
    queue, size, done, n = field.path, 1, 0, 1
    queue[0] = carrier[0] = pull.pixel
    seen[_i(pull.pixel)] = time
    while done < size:
        a = queue[_i(done)]
        done += 1
        for j in range(m):
            b = a + field.steps[j]
            if seen[_i(b)] == time or field.outside[_i(b)] or sign * field.rank[_i(b)] >= sign * bound:
                continue
            seen[_i(b)], queue[_i(size)] = time, b
            size += 1
            if is_short(field, pull, b):
                carrier[_i(n)] = b
                n += 1
    return n


@device
def find_bridge(field, pull, tree, end):
    """Find the path across a saddle at which the class of an extremum ends, from there to an elder one.

    Pixels, `field.carrier` and the result are as for `find_component`, with the saddle first.
    """
    time, n = tick(field), 1
    field.carrier[0], field.found[_i(pull.pixel)] = pull.pixel, time
    n = _take(field, pull, walk(field, tree, pull.pixel, end), time, n)
    size = walk(field, tree, pull.pixel, tree.eldest[_i(pull.pixel)])
    for i in range(size):
        if is_beyond(field, pull.sign, field.path[_i(i)], end):  # which is elder
            return _take(field, pull, i, time, n)
    return n


@device
def find_loop(field, pull, tree):
    """Find the loops that a saddle closes, one through each component of what is beyond it beside it.

    Pixels, `field.carrier` and the result are as for `find_component`, with the saddle first.
    """
    time, n = tick(field), 1
    field.carrier[0], field.found[_i(pull.pixel)] = pull.pixel, time
    for number in range(_components_of_link(field, pull)):
        nearest = -1
        for j in range(field.steps.size):
            a = pull.pixel + field.steps[j]
            if field.component[j] == number and (nearest < 0 or is_beyond(field, pull.sign, a, nearest)):
                nearest = a
        nearest = 0 if field.outside[_i(nearest)] else nearest
        n = _take(field, pull, walk(field, tree, pull.pixel, nearest), time, n)
    return n


@device
def _take(field, pull, size, time, n):
    """Append those pixels of a path that have not reached the goal to the n of the carrier; return their number."""
    for i in range(size):
        a = field.path[_i(i)]
        if field.found[_i(a)] != time and is_short(field, pull, a):
            field.carrier[_i(n)], field.found[_i(a)] = a, time
            n += 1
    return n


@device
def _components_of_link(field, pull):
    """Number the components of what is beyond a pixel among its neighbours, and return how many there are.

    Written: `field.component`, -1 for neighbours that are not beyond it or not connected to it.
    """
    component, m = field.component, number_of_neighbours(field, pull.full)
    component[:] = -1
    for j in range(m):
        if is_beyond(field, pull.sign, pull.pixel + field.steps[j], pull.pixel):
            component[j] = j
            for k in range(j):
                if component[k] >= 0 and component[k] != component[j] and _touch(field, pull, j, k):
                    old, new = max(component[j], component[k]), min(component[j], component[k])
                    for i in range(j + 1):
                        component[i] = new if component[i] == old else component[i]
    n = 0
    for j in range(m):
        if component[j] == j:  # a component has the number of its first neighbour, and n is not larger
            for i in range(j, m):
                component[i] = n if component[i] == j else component[i]
            n += 1
    return n


@device
def _touch(field, pull, j, k):
    """Return whether two neighbours of a pixel, both beyond it, are connected beside the pixel."""
    a, b = field.directions[j], field.directions[k]
    if pull.full:  # as squares or cubes, unless they are on opposite sides of the pixel
        return a[0] * b[0] >= 0 and a[1] * b[1] >= 0 and a[2] * b[2] >= 0
    if a[0] * b[0] + a[1] * b[1] + a[2] * b[2] != 0:
        return False
    far = pull.pixel + field.steps[j] + field.steps[k]  # as vertices, if the square of all four is there
    return is_beyond(field, pull.sign, far, pull.pixel)
