"""Tree: the spanning tree of a window's pixels in which the paths of least resistance are found.

Pixels come in the order of the filtration, or in the opposite one. Each is joined to every component of those that came
before it among its neighbours, to the one that came first. All pixels of the path between two of them therefore came
before any other path between them was complete.

Most pixels have one component beside them. In images, a table tells which do. They join the class of the neighbour that
came first, whatever that class is by then, so that they need no turn; only the others are joined in order.
"""

from __future__ import annotations

import numpy as np

from ..runtime.jit import device, inlined
from ..runtime.jit import unsigned as _i
from .grid import is_beyond, number_of_neighbours, tick

# The neighbours (y, x) of a pixel of an image, in the order of `Field.directions`.
_NEIGHBOURS = ((-1, 0), (0, -1), (0, 1), (1, 0), (-1, -1), (-1, 1), (1, -1), (1, 1))


def _has_one_component(beyond: list[tuple[int, int]], full: bool) -> bool:
    """Return whether the neighbours beyond a pixel that are connected to it are one component beside it."""
    beside = {(y, x) for y, x in beyond if full or 0 in (y, x)}
    reached = [*beside][:1]
    for y, x in reached:  # which grows
        for v, u in beyond:
            touches = max(abs(v - y), abs(u - x)) == 1 if full else abs(v - y) + abs(u - x) == 1
            if touches and (v, u) not in reached:
                reached.append((v, u))
    return len(beside) > 0 and beside <= {*reached}


# For connections along the axes and for all, and for each set of neighbours that are beyond a pixel, as a mask.
_ONE_COMPONENT = np.array(
    [
        [_has_one_component([at for j, at in enumerate(_NEIGHBOURS) if mask >> j & 1], full) for mask in range(256)]
        for full in (False, True)
    ]
)


@device
def plant(field, tree, sign, full):
    """Build the tree in which pixels are lowered (sign -1) or raised (1); diagonal neighbours connect if `full`.

    In the tree for raising, position 0 is the outside.
    """
    n, is_image = field.pixels.size, field.steps.size == 8
    if is_image:
        _join_nearest(field, tree, sign, full)
    if sign > 0:
        tree.parent[0], tree.eldest[0], tree.union[0], tree.size[0] = -1, 0, 0, 1
    for i in range(n):
        p = field.order[_i(n - 1 - i if sign > 0 else i)]
        if not (is_image and _ONE_COMPONENT[_i(full), _i(field.beyond[_i(p)])]):
            _join(field, tree, sign, full, p)


@device
def _join_nearest(field, tree, sign, full):
    """Join each pixel of an image to the neighbour that is farthest beyond it, and write `field.beyond`."""
    rank, beyond, parent, union, eldest = field.rank, field.beyond, tree.parent, tree.union, tree.eldest
    sign, width = np.int32(sign), field.steps[3]
    row = _i(width)
    for p in range(_i(width + 1), _i(rank.size - width - 1)):  # of vector instructions, so neighbours are spelled out
        here, above, below = sign * rank[p], p - row, p + row
        a, b, c, d = sign * rank[above], sign * rank[p - _i(1)], sign * rank[p + _i(1)], sign * rank[below]
        e, f = sign * rank[above - _i(1)], sign * rank[above + _i(1)]
        g, h = sign * rank[below - _i(1)], sign * rank[below + _i(1)]
        along_axes = _bit(a > here, 0) | _bit(b > here, 1) | _bit(c > here, 2) | _bit(d > here, 3)
        beyond[p] = along_axes | _bit(e > here, 4) | _bit(f > here, 5) | _bit(g > here, 6) | _bit(h > here, 7)
        farthest = max(max(a, b), max(c, d))
        parent[p] = sign * (max(farthest, max(max(e, f), max(g, h))) if full else farthest)
    for p in field.pixels:
        nearest = field.order[_i(parent[_i(p)])]
        parent[_i(p)], union[_i(p)], eldest[_i(p)] = nearest, nearest, p


@inlined
def _bit(is_set, place):
    """Return a mask of one bit, or 0."""
    return np.int32(is_set) << np.int32(place)


@device
def _join(field, tree, sign, full, p):
    """Join a pixel to each component beside it."""
    parent, eldest, union, size = tree.parent, tree.eldest, tree.union, tree.size
    roots, nearest = field.component, field.path  # scratch: the components, and where they touch the pixel
    parent[_i(p)], eldest[_i(p)], union[_i(p)], size[_i(p)] = -1, p, p, 1
    count, largest = 0, 0
    for j in range(number_of_neighbours(field, full)):
        a = p + field.steps[j]
        if not is_beyond(field, sign, a, p):
            continue
        a = 0 if field.outside[_i(a)] else a
        root = _find(union, a)
        k = 0
        while k < count and roots[_i(k)] != root:
            k += 1
        if k == count:
            roots[_i(k)], nearest[_i(k)] = root, a
            count += 1
        elif is_beyond(field, sign, a, nearest[_i(k)]):
            nearest[_i(k)] = a
        if size[_i(root)] > size[_i(roots[_i(largest)])]:
            largest = k
    if count == 0:
        return
    keeps = roots[_i(largest)]
    parent[_i(p)], union[_i(p)] = nearest[_i(largest)], keeps
    size[_i(keeps)] += 1
    best = eldest[_i(keeps)]
    for k in range(count):
        if k != largest:
            root = roots[_i(k)]
            _hang(parent, nearest[_i(k)], p)
            union[_i(root)] = keeps
            size[_i(keeps)] += size[_i(root)]
            best = eldest[_i(root)] if is_beyond(field, sign, eldest[_i(root)], best) else best
    # The entry of a root is that of its class so far, and that of any other pixel stays as it is.
    eldest[_i(keeps)] = eldest[_i(p)] = best


@device
def _find(union, a):
    """Return the root of the class of a, and halve the path to it."""
    while union[_i(a)] != a:
        union[_i(a)] = union[_i(union[_i(a)])]
        a = union[_i(a)]
    return a


@device
def _hang(parent, a, above):
    """Make a the root of its tree, and hang it below another vertex."""
    while a >= 0:
        parent[_i(a)], a, above = above, parent[_i(a)], a


@device
def walk(field, tree, a, b):
    """Write the path from a to b in the tree into `field.path`, and return the number of its pixels."""
    parent, seen, path = tree.parent, field.seen, field.path
    from_a, from_b = tick(field), tick(field)
    u, v, top = a, b, -1
    seen[_i(u)] = from_a
    if u == v:
        top = u
    else:
        seen[_i(v)] = from_b
    while top < 0:  # both climb, until one of them is where the other has been
        if parent[_i(u)] >= 0:
            u = parent[_i(u)]
            if seen[_i(u)] == from_b:
                top = u
                break
            seen[_i(u)] = from_a
        if parent[_i(v)] >= 0:
            v = parent[_i(v)]
            if seen[_i(v)] == from_a:
                top = v
                break
            seen[_i(v)] = from_b
    n = 0
    while a != top:
        path[_i(n)] = a
        n += 1
        a = parent[_i(a)]
    path[_i(n)] = top
    n += 1
    first = n
    while b != top:
        path[_i(n)] = b
        n += 1
        b = parent[_i(b)]
    for i in range((n - first) // 2):
        j, k = _i(first + i), _i(n - 1 - i)
        path[j], path[k] = path[k], path[j]
    return n
