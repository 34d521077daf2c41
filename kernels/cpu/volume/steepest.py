"""Steepest gradient: the matching of each star along its edges, the lowest other end first; see `image.steepest`.

A word is a star, in its 27 lower bits, and above it five bits for each lower neighbour of its vertex: the bits of the
edges to them in a star, the lowest neighbour first. The vertex is led to the first. A minimum and the ring have none.
"""

from __future__ import annotations

import numpy as np

from ...cells import (
    ABOVE_BIT,
    BELOW_BIT,
    CUBES3,
    EAST_BIT,
    EDGES3,
    NO_X3,
    NO_Y3,
    NO_Z3,
    NORTH_BIT,
    SOUTH_BIT,
    WEST_BIT,
)
from ..runtime.jit import allocating, device, inlined
from ..runtime.jit import unsigned as _i
from ..runtime.primitives import bits_set, twice
from .critical import CriticalCells, critical_cells, list_cells
from .gradient import lower_neighbours, match_stars

_LONG = 16  # steps of a walk before it is remembered
_u = np.uint32
_NO_X, _NO_Y, _NO_Z, _EDGES, _CUBES = _u(NO_X3), _u(NO_Y3), _u(NO_Z3), _u(EDGES3), _u(CUBES3)
_STAR = (1 << 27) - 1
_WITHOUT = np.array([{1: NO_X3, 3: NO_Y3, 9: NO_Z3}.get(abs(bit - 13), 0) for bit in range(27)])


@allocating
def steepest_gradient(key, word, first, last):
    """Match the cells of the stars of slices first, ..., last - 1 of the grid, and list what remains critical.

    key : (D + 2, H + 2, W + 2); its ring is above every voxel. word : (D + 2, H + 2, W + 2) int64, written inside.
    Returns (n,) int32, positions of the voxels with critical cells, and (n,) uint32, these cells.
    """
    height, width = key.shape[1], key.shape[2]
    star, order, critical = np.zeros(width, np.uint32), np.zeros(width, np.uint32), np.zeros(width, np.uint32)
    owners, cells = np.empty(16 * width, np.int32), np.empty(16 * width, np.uint32)
    n = _i(0)
    for z in range(first, last):
        for y in range(1, height - 1):
            lower_neighbours(key, z, y, star)
            match_stars(star, critical)  # only to complete the stars
            _order_neighbours(key[z, y], key[z - 1, y], key[z, y - 1], key[z, y + 1], key[z + 1, y], order)
            _match_along(star, order, critical)
            if n + width > owners.size:
                owners, cells = twice(owners), twice(cells)
            start = (z * height + y) * width
            row = word[z, y]
            for x in range(1, width - 1):
                n_lower = np.int64(bits_set(_u(star[x] & _EDGES)))
                row[x] = np.int64(star[x]) | (np.int64(order[x]) & (1 << 5 * n_lower) - 1) << 27
                owners[n], cells[n] = start + x, critical[x]
                n += _i(critical[x] != 0)
    return owners[:n], cells[:n]


@device
def _order_neighbours(row, below, north, south, above, out):
    """Write the edges to the neighbours of each vertex of a row in the order of their keys, 5 bits each."""
    for x in range(1, row.size - 1):
        # In the order of the indices, which breaks ties. Two neighbours are compared once.
        a, b, c, d, e, f = below[x], north[x], row[x - 1], row[x + 1], south[x], above[x]
        ab, ac, ad, ae, af = _u(a <= b), _u(a <= c), _u(a <= d), _u(a <= e), _u(a <= f)
        bc, bd, be, bf = _u(b <= c), _u(b <= d), _u(b <= e), _u(b <= f)
        cd, ce, cf = _u(c <= d), _u(c <= e), _u(c <= f)
        de, df, ef = _u(d <= e), _u(d <= f), _u(e <= f)
        out[x] = (
            _u(_u(4) << _u(_u(5) * _u(_u(5) - _u(ab + ac + ad + ae + af))))
            | _u(_u(10) << _u(_u(5) * _u(_u(4) + ab - _u(bc + bd + be + bf))))
            | _u(_u(12) << _u(_u(5) * _u(_u(3) + ac + bc - _u(cd + ce + cf))))
            | _u(_u(14) << _u(_u(5) * _u(_u(2) + ad + bd + cd - _u(de + df))))
            | _u(_u(16) << _u(_u(5) * _u(_u(1) + ae + be + ce + de - ef)))
            | _u(_u(22) << _u(_u(5) * _u(af + bf + cf + df + ef)))
        )


@device
def _match_along(star, order, critical):
    """Match the cells of each star along its edges in the given order, and write those that remain unmatched.

    Edges to neighbours that are not lower need no test, because no two cells of the star are matched along them.
    """
    for v in range(1, star.size - 1):
        s, rest = star[v], order[v]
        for _ in range(6):
            direction = _u(rest & _u(31))
            rest = _u(rest >> _u(5))
            forth = _u(direction - _u(13)) if direction > _u(13) else _u(0)
            back = _u(_u(13) - direction) if direction < _u(13) else _u(0)
            shift = _u(forth | back)
            without = _NO_X if shift == _u(1) else (_NO_Y if shift == _u(3) else _NO_Z)
            low = _u(_u(s & without) & _u(_u(s >> forth) << back))
            s = _u(s & ~_u(low | _u(_u(low << forth) >> back)))
        critical[v] = s


@allocating
def sorted_critical_cells(owners, masks, key, offsets):
    """Return the critical cells in the order of their owners, and those of one owner by their far corners.

    owners, masks : (n,), see `steepest_gradient`. key : (cells,). offsets : see `trace.offsets_of`.
    Returns CriticalCells, whose `maxima` are the owners of all critical cubes, and the bits of these cubes. In this
    matching, unlike the one in a fixed order, a critical cube may be any of its star, which need not have all 8.
    """
    cells = critical_cells(owners, masks)
    n = 1
    for mask in masks:
        n += np.int64(bits_set(_u(mask & _CUBES)))
    cubes, cube_bits = np.zeros(n, np.int32), np.zeros(n, np.int8)
    n = 1
    for i in range(owners.size):
        n = list_cells(_u(masks[i] & _CUBES), owners[i], cubes, cube_bits, n)
    _sort_by_far_corner(cells.edges, cells.edge_bits, key, offsets)
    _sort_by_far_corner(cells.squares, cells.square_bits, key, offsets)
    _sort_by_far_corner(cubes[1:], cube_bits[1:], key, offsets)
    return CriticalCells(cells.minima, cells.edges, cells.edge_bits, cells.squares, cells.square_bits, cubes), cube_bits


@device
def _sort_by_far_corner(owners, bits, key, offsets):
    """Sort the cells (m,) of each owner by the keys of their far corners; they come in the order of their indices."""
    begin = 0
    for i in range(owners.size):
        if owners[i] != owners[begin]:
            begin = i
        bit, j = bits[i], i
        k = key[owners[i] + offsets[bit, 0]]
        while j > begin and key[owners[i] + offsets[bits[j - 1], 0]] > k:
            bits[j] = bits[j - 1]
            j -= 1
        bits[j] = bit


@inlined
def first_edge_bit(word):
    """Return the bit of the edge along which the vertex of a word is led, or 0."""
    return _i(word >> 27 & 31)


@inlined
def matched_along(word, cell):
    """Return the bit of the edge along which a cell, given by its bit, is matched, or 0."""
    left, rest = word & _STAR, word >> 27
    while rest != 0:
        direction = rest & 31
        forth, back = max(direction - 13, 0), max(13 - direction, 0)
        low = left & _WITHOUT[_i(direction)] & (left >> forth << back)
        both = low | (low << forth >> back)
        if both >> cell & 1:
            return direction
        left &= ~both
        rest >>= 5
    return np.int64(0)


@inlined
def matched_upward(word):
    """Return the cells that are matched with the next higher dimension; see `stars.matched_upward`."""
    left, rest = word & _STAR, word >> 27
    x = minus_x = y = minus_y = z = minus_z = np.int64(0)
    while rest != 0:
        direction = rest & 31
        forth, back = max(direction - 13, 0), max(13 - direction, 0)
        low = left & _WITHOUT[_i(direction)] & (left >> forth << back)
        left &= ~(low | (low << forth >> back))
        x, minus_x = low if direction == EAST_BIT else x, low if direction == WEST_BIT else minus_x
        y, minus_y = low if direction == SOUTH_BIT else y, low if direction == NORTH_BIT else minus_y
        z, minus_z = low if direction == ABOVE_BIT else z, low if direction == BELOW_BIT else minus_z
        rest >>= 5
    return _u(x), _u(minus_x), _u(y), _u(minus_y), _u(z), _u(minus_z), _u(left)


@inlined
def matched_with_vertex(word, bit):
    """Return whether an edge is matched with its vertex; see `stars.matched_with_vertex`."""
    first = word >> 27 & 31
    return (first == bit) | (first == 0)


@inlined
def place_among(word, critical, edge):
    """Return how many critical edges of a vertex come before one of its edges; see `stars.place_among`."""
    place, rest = 0, word >> 27
    while edge >> _u(rest & 31) & _u(1) == 0:
        place += np.int64(critical >> _u(rest & 31) & _u(1))
        rest >>= 5
    return place


@allocating
def steps_of(offsets):
    """Return where a vertex is led, as a step in the grid, by its `first_edge_bit`: (32,)."""
    down = np.zeros(32, np.int64)
    down[1:27] = offsets[1:, 0]
    return down


@device
def trace_below(cells, word, down, offsets, known, ends):
    """Follow the critical edges down; see `trace.trace_below`. down : see `steps_of`."""
    edges, bits = cells.edges, cells.edge_bits
    for e in range(edges.size):
        v = np.int64(edges[e])
        u = v + offsets[_i(bits[e]), 0]
        for _ in range(_LONG):  # both walk together, because each step depends on the one before
            step_v, step_u = down[first_edge_bit(word[_i(v)])], down[first_edge_bit(word[_i(u)])]
            v += step_v
            u += step_u
            if step_v | step_u == 0:
                break
        ends[0, e], ends[1, e] = _minimum_below(v, word, down, known), _minimum_below(u, word, down, known)


@inlined
def _minimum_below(vertex, word, down, known):
    """Follow a vertex down to a minimum, and return its number; see `trace.trace_below`."""
    end = vertex
    while known[_i(end)] == 0:
        end += down[first_edge_bit(word[_i(end)])]
    found = known[_i(end)]
    while vertex != end:
        known[_i(vertex)] = found
        vertex += down[first_edge_bit(word[_i(vertex)])]
    return found - 1


@device
def mark_cubes(cells, cube_bits, offsets, known):
    """Write -1 - its number into known (cells,) at each critical cube's corner of least index."""
    cubes = cells.maxima
    for i in range(1, cubes.size):
        known[cubes[i] + offsets[_i(cube_bits[i]), 1]] = -1 - i


@device
def trace_above(cells, word, offsets, known, ends):
    """Follow the critical squares up; see `trace.trace_above`. known : see `mark_cubes`."""
    squares, bits = cells.squares, cells.square_bits
    for s in range(squares.size):
        for end in range(2):
            cube = squares[s] + offsets[_i(bits[s]), 1 + end]
            ends[end, s] = _maximum_above(cube, word, offsets, known)


@inlined
def _maximum_above(cube, word, offsets, known):
    """Follow a cube up to a maximum, or out of the grid, and return the number of the maximum, 0 for the outside."""
    end = cube
    while known[_i(end)] >= 0:
        step = _cube_step(end, word, offsets)
        if step == 0:
            break
        end += step
    found = min(known[_i(end)], np.int32(-1))
    while cube != end:
        known[_i(cube)] = found
        cube += _cube_step(cube, word, offsets)
    return -1 - found


@inlined
def _cube_step(cube, word, offsets):
    """Return the step across the square that a cube is matched with, or 0 if it is in no star."""
    owner, bit = np.int64(0), np.int64(0)
    width, area = offsets[SOUTH_BIT, 0], offsets[ABOVE_BIT, 0]
    south, above = cube + width, cube + area
    for corner, place in (
        (cube, np.int64(26)),
        (cube + 1, np.int64(24)),
        (south, np.int64(20)),
        (south + 1, np.int64(18)),
        (above, np.int64(8)),
        (above + 1, np.int64(6)),
        (above + width, np.int64(2)),
        (above + width + 1, np.int64(0)),
    ):
        w = word[_i(corner)]
        if w >> place & 1:
            owner, bit = w, place
    direction = matched_along(owner, bit)
    return offsets[_i(26 - direction), 0] if direction != 0 else np.int64(0)
