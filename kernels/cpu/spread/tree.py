"""Tree: the spanning tree of a window's pixels in which the paths of least resistance are found.

Pixels come in the order of the filtration, or in the opposite one. Each is joined to every component of those that came
before it among its neighbours, to the one that came first. All pixels of the path between two of them therefore came
before any other path between them was complete.
"""

from __future__ import annotations

from ..runtime.jit import device
from ..runtime.jit import unsigned as _i
from .grid import is_beyond, number_of_neighbours, tick


@device
def plant(field, tree, sign, full):
    """Build the tree in which pixels are lowered (sign -1) or raised (1); diagonal neighbours connect if `full`.

    In the tree for raising, position 0 is the outside.
    """
    n, m = field.pixels.size, number_of_neighbours(field, full)
    parent, eldest, union, size = tree.parent, tree.eldest, tree.union, tree.size
    roots, nearest = field.component, field.path  # scratch: the components beside a pixel, and where they touch it
    if sign > 0:
        parent[0], eldest[0], union[0], size[0] = -1, 0, 0, 1
    for i in range(n):
        p = field.order[_i(n - 1 - i if sign > 0 else i)]
        parent[_i(p)], eldest[_i(p)], union[_i(p)], size[_i(p)] = -1, p, p, 1
        count, largest = 0, 0
        for j in range(m):
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
            continue
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
