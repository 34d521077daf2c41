"""Thinning of masks in 2D and 3D to curves, on the cells of their cubical complex.

The complex of a mask consists of its pixels (or voxels) as closed squares (or cubes), with all their faces: edges and
vertices. Two cells are comparable if one is a face of the other. The *link* of a cell in a set of cells consists of the
members that are comparable to it, which are its faces and cofaces. If the faces or the cofaces form a contractible set,
so does the link, and removing the cell preserves the homotopy type.

Cells are stored in a grid of 2n + 3 along each axis of n pixels: pixel i is at 2i + 2, its faces are beside it, and one
layer of the grid remains empty around them. The *kind* of a cell has a bit for each axis along which it extends. A
*relation* is 0 for faces and 1 for cofaces.
"""

from __future__ import annotations

import numpy as np

from .runtime.jit import device, kernel
from .runtime.primitives import bits_set, trailing_zeros, twice

PRESENT, KEPT, ISOLATED, LISTED = 1, 2, 4, 8  # bits of a cell's state; the last one is LISTED << relation


@device
def contractible(axes, bits, octagon, near, squares, vertices):
    """Return whether a subset of the faces of a line (2), a square (8) or a cube (26) is contractible.

    The cofaces of a cell with 1, 2 or 3 axes less than a pixel are ordered like these faces. A subset of the faces of a
    cube, which form a sphere, is contractible if it is connected and its Euler characteristic is 1.
    """
    if axes == 1:
        return bits == 1 or bits == 2
    if axes == 2:
        return octagon[bits]
    if bits == 0:
        return False
    # Euler characteristic: chains of one face, minus chains of two, plus chains of three, whose middle is an edge.
    twos, threes = 0, 0
    rest = bits
    while rest:
        face = trailing_zeros(rest)
        rest &= rest - np.uint64(1)
        around = bits & near[face]
        twos += bits_set(around)
        if not ((squares | vertices) >> face) & np.uint64(1):
            threes += bits_set(around & squares) * bits_set(around & vertices)
    if 2 * np.int64(bits_set(bits)) - np.int64(twos) + 2 * np.int64(threes) != 2:
        return False
    reached = bits & (~bits + np.uint64(1))
    fresh = reached
    while fresh:
        face = trailing_zeros(fresh)
        fresh &= fresh - np.uint64(1)
        more = bits & near[face] & ~reached
        reached |= more
        fresh |= more
    return reached == bits


@device
def link(state, cell, offsets, count):
    """Return a bit for each of `count` offsets: whether the cell there is present."""
    bits = np.uint64(0)
    for i in range(count):
        if state[cell + offsets[i]] & PRESENT:
            bits |= np.uint64(1) << np.uint64(i)
    return bits


@device
def antichain(axes, bits, near):
    """Return whether no two of these faces are comparable."""
    rest = bits
    while rest:
        if bits & near[axes, trailing_zeros(rest)]:
            return False
        rest &= rest - np.uint64(1)
    return True


@kernel
def peel(state, room, begin, used, order, axes, offset, kind_of, octagon, near, patience):
    """Remove cells from the outside in, as long as the homotopy type allows, and keep what is long and thin.

    Odd steps remove cells whose cofaces are contractible, even steps those whose faces are. A step removes a layer of
    half a pixel. Cells of one dimension are not comparable, so the result does not depend on the order in which they
    are removed, and has the symmetries of the mask. A cell is *isolated* once the set is a curve around it: no two
    members of its link are comparable. It is kept for good if it is still present `patience` steps later (Liu et al.
    2010).

    Parameters
    ----------
    state : (cells,) uint8
        PRESENT, and LISTED << 1 for cells in the lists. Changed in place to the result, with KEPT.
    room : (m,) int32 or int64
        Lists of cells whose link has changed, one for each relation and kind.
    begin, used : (2, kinds) int64
        Start and length of each list.
    axes : (2, kinds) int64
        Number of axes that a kind of cell extends along, and of those that it does not.
    order : (2, kinds) int64
        Kinds by their dimension: descending for cofaces, ascending for faces.
    offset, kind_of : (2, kinds, 26) int64
        Offsets in `state` from a cell to its faces and its cofaces, and their kinds.
    octagon : (256,) bool
        Whether a subset of the faces of a square is contractible, by its bits.
    near : (4, 26) uint64
        Bits of the faces that are comparable to each face, for each number of axes.

    Returns
    -------
    end, next_to_end, end_at : (e,) int64
        Cells that ended a curve when they were removed, the next cell of that curve, and the step.
    """
    kinds = axes.shape[1]
    squares, vertices = np.uint64(0), np.uint64(0)
    for i in range(26):
        nearby = bits_set(near[3, i])
        if nearby == 8:
            squares |= np.uint64(1) << np.uint64(i)
        elif nearby == 6:
            vertices |= np.uint64(1) << np.uint64(i)
    end, next_to_end, end_at, ends = np.empty(64, np.int64), np.empty(64, np.int64), np.empty(64, np.int64), 0
    isolated, due, waiting, first = np.empty(64, np.int64), np.empty(64, np.int64), 0, 0
    step = 0
    while used.sum() > 0:
        step += 1
        relation = step & 1
        while first < waiting and due[first] <= step:
            cell = isolated[first]
            if state[cell] & PRESENT:
                state[cell] |= KEPT
            first += 1
        for place in range(kinds):
            kind = order[relation, place]
            count = used[relation, kind]
            used[relation, kind] = 0
            dims, other_dims = axes[relation, kind], axes[1 - relation, kind]
            for i in range(begin[relation, kind], begin[relation, kind] + count):
                cell = room[i]
                state[cell] &= ~np.uint8(LISTED << relation)
                if (state[cell] & (PRESENT | KEPT)) != PRESENT:
                    continue
                bits = link(state, cell, offset[relation, kind], 3**dims - 1)
                gone = contractible(dims, bits, octagon, near[3], squares, vertices)
                if not gone and state[cell] & ISOLATED:
                    continue
                single = gone and bits_set(bits) == 1
                rest = np.uint64(0)
                if not gone or single:
                    rest = link(state, cell, offset[1 - relation, kind], 3**other_dims - 1)
                if gone:
                    state[cell] = 0
                    if single and rest == 0:
                        if ends == end.size:
                            end, next_to_end, end_at = twice(end), twice(next_to_end), twice(end_at)
                        end[ends], end_at[ends] = cell, step
                        next_to_end[ends] = cell + offset[relation, kind, trailing_zeros(bits)]
                        ends += 1
                    for towards in range(2):
                        for j in range(3 ** axes[towards, kind] - 1):
                            other = cell + offset[towards, kind, j]
                            # Faces have lost a coface, and cofaces a face.
                            flag = np.uint8(LISTED << (1 - towards))
                            if (state[other] & (PRESENT | KEPT | flag)) == PRESENT:
                                state[other] |= flag
                                its = kind_of[towards, kind, j]
                                room[begin[1 - towards, its] + used[1 - towards, its]] = other
                                used[1 - towards, its] += 1
                elif (bits == 0 and antichain(other_dims, rest, near)) or (rest == 0 and antichain(dims, bits, near)):
                    state[cell] |= ISOLATED
                    if bits | rest:
                        if waiting == isolated.size:
                            isolated, due = twice(isolated), twice(due)
                        isolated[waiting] = cell
                        due[waiting] = step + patience
                        waiting += 1
    return end[:ends], next_to_end[:ends], end_at[:ends]


@kernel
def chains(first, others, degree):
    """Split a graph into chains of vertices with two neighbours.

    Parameters
    ----------
    first : (n + 1,) int64
        Start of the neighbours of each vertex in `others`.
    others : (m,) int64
        The neighbours of all vertices; each edge appears twice.
    degree : (n,) int64
        Number of neighbours. Vertices with two are inner points of chains, and the others are ends. The first vertex
        of a ring without ends serves as both of them.

    Returns
    -------
    walked : (w,) int64
        Vertices of all chains, each from one end to the other.
    start : (chains + 1,) int64
        Start of each chain in `walked`.
    """
    walked, start = np.empty(others.size, np.int64), np.empty(others.size + 1, np.int64)
    seen = np.zeros(degree.size, np.bool_)
    count, used = 0, 0
    for rings in range(2):
        for vertex in range(degree.size):
            if (degree[vertex] == 2) != rings or (rings and seen[vertex]):
                continue
            for i in range(first[vertex], first[vertex + 1]):
                before, here = vertex, others[i]
                # Walk each chain once, neither from its other end nor around a ring in the other direction.
                if seen[here] if degree[here] == 2 else here < vertex:
                    continue
                start[count] = used
                count += 1
                seen[vertex] = True
                walked[used] = vertex
                used += 1
                while degree[here] == 2 and here != vertex:
                    seen[here] = True
                    walked[used] = here
                    used += 1
                    after = others[first[here]]
                    if after == before:
                        after = others[first[here] + 1]
                    before, here = here, after
                walked[used] = here
                used += 1
    start[count] = used
    return walked[:used], start[: count + 1]
