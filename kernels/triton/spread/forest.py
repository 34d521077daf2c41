"""Forest: the spanning trees in which the paths of least resistance are found, of both sides of a window.

The edge of pixel p towards a neighbour a beyond it enters with p, and edges of one pixel come in the order of their
other ends. `kernels/cpu/spread/tree.py` adds pixels one by one; here, all edges are joined at once, by merge trees (see
`..tree`), which have the same edges, since a total order has one minimum spanning tree:

1. Each pixel is linked to the first neighbour beyond it, and these links are shortened to the extrema where they end.
2. The other edges that may join two components are joined.
3. Every node but a root now has a link, whose edge is in the spanning tree. Leaves are pruned until only the roots are
   left, which gives each node its parent and the number of its descendants.
4. Each child reserves an interval among the positions of its parent's descendants. So a node is an ancestor of
   another one if its interval contains the other one's position. Which interval a node gets depends on the schedule,
   but which intervals contain one another does not.

One program grows the trees of a window. Its lanes share the words by volatile reads and relaxed atomics, which need no
order among each other: a link is true by itself, and what is left of a node is in one word. Barriers separate the
steps. An edge is 8 * node + direction, with the node of its later end.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import triton
import triton.language as tl

from .grid import connects_all, is_beyond, mirror_of, neighbour, neighbours, side_of, value_at

_LOW = tl.constexpr(0xFFFFFFFF)
STEPS = tl.constexpr(4)  # of all lanes, before they ask if any is busy, which may take as long as a step
# Bits of a word of `left`, from the lowest: the sum of the neighbours that are left; the number of nodes that were
# pruned into this one, and itself; and how many neighbours are left. A root may exceed its bits: it is never a leaf.
_SIZE, _DEGREE = tl.constexpr(30), tl.constexpr(58)
_ONE_NODE, _ONE_NEIGHBOUR = tl.constexpr(1 << 30), tl.constexpr(1 << 58)
_NEIGHBOURS, _SIZES = tl.constexpr(2**30 - 1), tl.constexpr(2**28 - 1)


class Forest(NamedTuple):
    """The two trees of a window: pointers to [2 * (pixels + 1)]."""

    links: Any  # int64: edge * 2^32 + elder node, of the merge trees; a root has itself as elder
    left: Any  # int64, scratch
    parents: Any  # int32
    used: Any  # int32: how many positions the children of a node have reserved; later, its first pull
    spans: Any  # int64: the first position of a node * 2^32 + where those of its descendants end
    spare: Any  # int64, scratch
    edges: Any  # int32, [3 times as many], scratch: the edges of step 2; later, tiles of pixels


@triton.jit
def list_edges(forest, grid, first, last, BLOCK: tl.constexpr):
    """Link the nodes first, ..., last - 1 to their first neighbours, and return how many other edges are listed.

    Of neighbours that are connected beside a pixel, only the first one's edge can join two components.
    """
    n = 0
    for start in range(first, last, BLOCK):
        node = start + tl.arange(0, BLOCK)
        side = side_of(node, grid.pixels)
        pixel = node - side * (grid.pixels + 1)
        mirror = mirror_of(side)
        there = (node < last) & (pixel < grid.pixels)
        value = value_at(grid, pixel, there)
        full = connects_all(side, grid)
        beside, values = neighbours(pixel, there, grid)  # which stay in registers
        beyond = pixel * 0
        for direction in tl.static_range(8):
            is_there = there & is_beyond(values[direction], beside[direction], value, pixel, mirror, grid)
            is_there &= (beside[direction] != grid.pixels) | (mirror < 0)  # side 0 has no outside
            beyond |= tl.where(is_there, 1 << direction, 0)
        connected = beyond & tl.where(full, 0xFF, 0x55)
        # The first neighbour; the pixel itself, if none is beyond it.
        way, nearest, value_nearest = pixel * 0, pixel, value
        for direction in tl.static_range(8):
            is_nearer = ((connected >> direction) & 1) != 0
            is_nearer &= is_beyond(values[direction], beside[direction], value_nearest, nearest, mirror, grid)
            way, nearest = tl.where(is_nearer, direction, way), tl.where(is_nearer, beside[direction], nearest)
            value_nearest = tl.where(is_nearer, values[direction], value_nearest)
        linked = there & (connected != 0)
        elder = tl.where(linked, nearest + node - pixel, node)
        word = tl.where(linked, (8 * node + way).to(tl.int64) << 32, 0) | elder
        tl.store(forest.links + node, word, mask=node < last)
        tl.store(forest.left + node, tl.full((BLOCK,), _ONE_NODE, tl.int64), mask=node < last)
        tl.store(forest.parents + node, tl.full((BLOCK,), -1, tl.int32), mask=node < last)
        tl.store(forest.used + node, tl.full((BLOCK,), 0, tl.int32), mask=node < last)
        # Edges to other neighbours, unless these are connected to an earlier one, to the left or to the right.
        left = tl.where(linked, connected & ~(1 << way), 0)
        for direction in tl.static_range(8):
            hidden = beside[direction] == grid.pixels
            for step in tl.static_range(-1, 2, 2):
                hidden |= full & _is_after(direction, step, beside, values, connected, mirror, grid)
                if direction % 2 == 0:
                    # Two directions apart, neighbours along axes touch if all connect, or if the one between is beyond.
                    touches = full | (((beyond >> ((direction + step) % 8)) & 1) != 0)
                    hidden |= touches & _is_after(direction, 2 * step, beside, values, connected, mirror, grid)
            left = tl.where(hidden, left & ~(1 << direction), left)
        count = tl.zeros_like(node)
        for direction in range(8):
            count += (left >> direction) & 1
        place = n + tl.cumsum(count, 0) - count
        n += tl.sum(count, 0)
        for direction in range(8):
            is_listed = ((left >> direction) & 1) != 0
            tl.store(forest.edges + place, 8 * node + direction, mask=is_listed)
            place += is_listed.to(tl.int32)
    return n


@triton.jit
def _is_after(direction: tl.constexpr, step: tl.constexpr, beside, values, connected, mirror, grid):
    """Return whether neighbours in a direction come after those `step` directions further that are connected."""
    other: tl.constexpr = (direction + step) % 8
    is_after = is_beyond(values[other], beside[other], values[direction], beside[direction], mirror, grid)
    return is_after & (((connected >> other) & 1) != 0)


@triton.jit
def jump(words, spare, first, last, SUM: tl.constexpr, BLOCK: tl.constexpr):
    """Make the words of nodes lead to roots: a word is (number, next node), and that of a root leads to itself.

    If SUM, the numbers of the words on the way are added up. Each round doubles the length of the jumps, and writes
    from one buffer to the other.
    """
    moved = 1
    while moved != 0:
        moved = _jump_once(words, spare, first, last, SUM, BLOCK)
        tl.debug_barrier()  # between rounds, which read what other threads have written
        _jump_once(spare, words, first, last, SUM, BLOCK)
        tl.debug_barrier()


@triton.jit
def _jump_once(words, out, first, last, SUM: tl.constexpr, BLOCK: tl.constexpr):
    moved = tl.zeros((BLOCK,), tl.int32)
    for start in range(first, last, BLOCK):
        node = start + tl.arange(0, BLOCK)
        there = node < last
        word = tl.load(words + node, mask=there, other=0)
        after = tl.load(words + (word & _LOW), mask=there, other=0)
        number = word >> 32
        if SUM:
            number += tl.where((word & _LOW) == node, 0, after >> 32)
        tl.store(out + node, number << 32 | (after & _LOW), mask=there)
        moved |= (there & ((after & _LOW) != (word & _LOW))).to(tl.int32)
    return tl.max(moved, 0)


@triton.jit
def comes_before(edge_a, edge_b, mirror, there, grid):
    """Return whether edges a of one side come before edges b of this side."""
    shift = side_of(edge_a >> 3, grid.pixels) * (grid.pixels + 1)
    p, q = (edge_a >> 3) - shift, (edge_b >> 3) - shift
    value_p, value_q = value_at(grid, p, there), value_at(grid, q, there)
    same = there & (p == q)
    a, b = neighbour(p, edge_a, grid), neighbour(q, edge_b, grid)
    value_a, value_b = value_at(grid, a, same), value_at(grid, b, same)
    by_other_end = (a != b) & is_beyond(value_a, a, value_b, b, mirror, grid)
    return tl.where(p == q, by_other_end, is_beyond(value_p, p, value_q, q, mirror, grid))


@triton.jit
def join_edges(forest, grid, n, BLOCK: tl.constexpr):
    """Join the nodes of the n listed edges; see `..tree.join`. Each lane takes every BLOCK-th edge."""
    i = tl.arange(0, BLOCK) - BLOCK
    u = tl.zeros((BLOCK,), tl.int32)
    v, edge = u, u
    active = u != 0
    busy = n
    while busy > 0:
        for _ in range(STEPS):
            takes = (active == 0) & (i + BLOCK < n)
            i = tl.where(takes, i + BLOCK, i)
            edge = tl.where(takes, tl.load(forest.edges + i, mask=takes, other=0), edge)
            shift = side_of(edge >> 3, grid.pixels) * (grid.pixels + 1)
            mirror = mirror_of(side_of(edge >> 3, grid.pixels))
            u = tl.where(takes, edge >> 3, u)
            v = tl.where(takes, neighbour((edge >> 3) - shift, edge, grid) + shift, v)
            active |= takes
            # Volatile, so that each step reads what other lanes have written.
            word_u = tl.load(forest.links + u, mask=active, other=0, volatile=True)
            word_v = tl.load(forest.links + v, mask=active, other=0, volatile=True)
            s_u, elder_u = (word_u >> 32).to(tl.int32), word_u.to(tl.int32)
            s_v, elder_v = (word_v >> 32).to(tl.int32), word_v.to(tl.int32)
            climbs_u, climbs_v = active & (elder_u != u), active & (elder_v != v)
            climbs_u &= comes_before(s_u, edge, mirror, climbs_u, grid)
            climbs_v &= comes_before(s_v, edge, mirror, climbs_v, grid)
            ready = active & (climbs_u == 0) & (climbs_v == 0) & (u != v)
            value_u, value_v = value_at(grid, u - shift, ready), value_at(grid, v - shift, ready)
            v_is_elder = is_beyond(value_v, v - shift, value_u, u - shift, mirror, grid)
            elder, younger = tl.where(v_is_elder, v, u), tl.where(v_is_elder, u, v)
            word = edge.to(tl.int64) << 32 | elder
            taken = tl.atomic_xchg(forest.links + younger, word, mask=ready, sem="relaxed")
            s_taken, elder_taken = (taken >> 32).to(tl.int32), taken.to(tl.int32)
            linked = ready & (elder_taken != younger)  # go on with the link that was displaced
            is_earlier = linked & comes_before(s_taken, edge, mirror, linked, grid)
            stays = active & (ready == 0) & (u != v)
            u = tl.where(ready, tl.where(is_earlier, younger, elder), tl.where(climbs_u, elder_u, u))
            v = tl.where(ready, elder_taken, tl.where(climbs_v, elder_v, v))
            edge = tl.where(linked, s_taken, edge)
            active = (stays | linked) & (u != v)
        busy = tl.max((active | (i + BLOCK < n)).to(tl.int32), 0)


@triton.jit
def connect(forest, grid, first, last, BLOCK: tl.constexpr):
    """Count the neighbours of each node in the spanning tree and add them up, and return the root of side 0."""
    root = tl.full((BLOCK,), -1, tl.int32)
    for start in range(first, last, BLOCK):
        node = start + tl.arange(0, BLOCK)
        word = tl.load(forest.links + node, mask=node < last, other=0)
        edge, elder = (word >> 32).to(tl.int32), word.to(tl.int32)
        linked = (node < last) & (elder != node)
        shift = side_of(node, grid.pixels) * (grid.pixels + 1)
        a = (edge >> 3) - shift
        b = neighbour(a, edge, grid)
        one = tl.full((BLOCK,), _ONE_NEIGHBOUR, tl.int64)
        tl.atomic_add(forest.left + a + shift, one + b, mask=linked, sem="relaxed")
        tl.atomic_add(forest.left + b + shift, one + a, mask=linked, sem="relaxed")
        root = tl.where((node < grid.pixels) & (node < last) & (linked == 0), node, root)
    return tl.max(root, 0)


@triton.jit
def prune(forest, grid, first, last, root, BLOCK: tl.constexpr):
    """Prune leaves until only the roots are left: write parents, and where positions begin, relative to the parent's.

    The lane that leaves a node with one neighbour knows from its word which one, and goes on with it. The first leaves
    are those into which no node has been pruned, so that no other lane takes them up. As nothing but the next word is
    waited for, a step takes as long as one atomic.
    """
    i = first + tl.arange(0, BLOCK) - BLOCK
    u = tl.zeros((BLOCK,), tl.int32)
    word = tl.zeros((BLOCK,), tl.int64)
    goes_on = u != 0
    busy = 1
    while busy != 0:
        for _ in range(STEPS):
            takes = (goes_on == 0) & (i + BLOCK < last)
            i = tl.where(takes, i + BLOCK, i)
            u = tl.where(takes, i, u)
            word = tl.where(takes, tl.load(forest.left + u, mask=takes, other=0, volatile=True), word)
            shift = side_of(u, grid.pixels) * (grid.pixels + 1)
            # There is no outside on side 0, so its node there is isolated.
            is_root = (u == root) | (u == grid.pixels) | (u == 2 * grid.pixels + 1)
            size = (word >> _SIZE) & _SIZES
            is_leaf = (goes_on | takes & (size == 1)) & (is_root == 0) & ((word >> _DEGREE) == 1)
            parent = (word & _NEIGHBOURS).to(tl.int32) + shift
            change = (size << _SIZE) - (tl.full((BLOCK,), _ONE_NEIGHBOUR, tl.int64) + (u - shift))
            word = tl.atomic_add(forest.left + parent, change, mask=is_leaf, sem="relaxed") + change
            place = tl.atomic_add(forest.used + parent, size.to(tl.int32), mask=is_leaf, sem="relaxed") + 1
            tl.store(forest.parents + u, parent, mask=is_leaf)
            tl.store(forest.spans + u, u, mask=takes & is_root)
            tl.store(forest.spans + u, place.to(tl.int64) << 32 | parent, mask=is_leaf)
            u = tl.where(is_leaf, parent, u)
            goes_on = is_leaf
        busy = tl.max((goes_on | (i + BLOCK < last)).to(tl.int32), 0)


@triton.jit
def close_spans(forest, grid, first, last, root, BLOCK: tl.constexpr):
    """Replace (position, root) by (position, end) in the spans of all nodes, and let none have a pull in `used`."""
    for start in range(first, last, BLOCK):
        node = start + tl.arange(0, BLOCK)
        position = tl.load(forest.spans + node, mask=node < last, other=0) >> 32
        size = (tl.load(forest.left + node, mask=node < last, other=0) >> _SIZE) & _SIZES
        is_root = (node == root) | (node == 2 * grid.pixels + 1)
        size = tl.where(is_root, grid.pixels + 1, size)
        tl.store(forest.spans + node, position << 32 | (position + size), mask=node < last)
        tl.store(forest.used + node, tl.full((BLOCK,), -1, tl.int32), mask=node < last)
