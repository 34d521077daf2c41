"""Steepest gradient in 3D, see `steepest`: the matching of each star along its edges, the lowest other end first.

A word is a star, in its 27 lower bits, and above it five bits for each lower neighbour of its vertex: the directions to
them, the lowest first, so that the first is where the vertex is led. A minimum and the ring have none.
"""

from __future__ import annotations

import numpy as np

from ...cells import CUBES3, EDGES3, NO_X3, NO_Y3, NO_Z3
from ..runtime.jit import allocating, device, inlined
from ..runtime.jit import unsigned as _i
from ..runtime.primitives import bits_set, trailing_zeros, twice
from .gradient import lower_neighbours, match_stars
from .trace import critical_cells as list_cells

_LONG = 16  # steps of a walk worth remembering
_u = np.uint32
_NO_X, _NO_Y, _NO_Z, _EDGES, _CUBES = _u(NO_X3), _u(NO_Y3), _u(NO_Z3), _u(EDGES3), _u(CUBES3)
_STAR = (1 << 27) - 1
_WITHOUT = np.array([{1: NO_X3, 3: NO_Y3, 9: NO_Z3}.get(abs(bit - 13), 0) for bit in range(27)])


@allocating
def gradient_rows(key, word, first, last):
    """Match the cells of the stars of slices first, ..., last - 1, and list what stays critical.

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
            match_stars(star, critical)  # for the stars alone, which it completes
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
    """Write the directions to the neighbours of each vertex of a row, in the order of their keys, 5 bits each."""
    for x in range(1, row.size - 1):
        # By index, so that of equal ones the first is the first; each two are compared once.
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
    """Match the cells of each star along the directions in order; write those that stay unmatched.

    Neighbours that are not lower need no test: no cell of a star leads to another in their direction.
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
def critical_cells(owners, cells, key, offsets):
    """List the critical cells in order of their owners, and those of one owner in order of their far corners.

    owners, cells : (n,) of `gradient_rows`. key : (cells,). offsets : of `trace3.offsets_of`.
    Returns minima, edges and squares as `trace3.critical_cells` does, and cubes like edges, from the second on, as the
    first place is for the outside. A star can have a critical cube and need not be a maximum's: the fixed order of
    directions leaves no such pair of a square and a cube, others may.
    """
    minima, edges, edge_directions, squares, directions, _ = list_cells(owners, cells)
    n_cubes = 1
    for c in cells:
        n_cubes += np.int64(bits_set(_u(c & _CUBES)))
    cubes, cube_directions = np.zeros(n_cubes, np.int32), np.zeros(n_cubes, np.int8)
    n_cubes = 1
    for i in range(owners.size):
        rest = _u(cells[i] & _CUBES)
        while rest != _u(0):
            cubes[n_cubes], cube_directions[n_cubes] = owners[i], trailing_zeros(rest)
            rest = _u(rest & _u(rest - _u(1)))
            n_cubes += 1
    _sort_by_far_corner(edges, edge_directions, key, offsets)
    _sort_by_far_corner(squares, directions, key, offsets)
    _sort_by_far_corner(cubes[1:], cube_directions[1:], key, offsets)
    return minima, edges, edge_directions, squares, directions, cubes, cube_directions


@device
def _sort_by_far_corner(owners, directions, key, offsets):
    """Sort the directions (m,) of the cells of each owner, which come in order of the indices of their far corners."""
    begin = 0
    for i in range(owners.size):
        if owners[i] != owners[begin]:
            begin = i
        direction, j = directions[i], i
        k = key[owners[i] + offsets[direction, 0]]
        while j > begin and key[owners[i] + offsets[directions[j - 1], 0]] > k:
            directions[j] = directions[j - 1]
            j -= 1
        directions[j] = direction


@inlined
def first_direction(word):
    """The direction in which the vertex of a word is led, or 0."""
    return _i(word >> 27 & 31)


@inlined
def matched_along(word, cell):
    """Replay the matching of a star up to a cell, by direction: the direction along which it is matched, or 0."""
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
    """Replay the matching of a star: the cells matched with the next higher dimension, see `stars3.matched_upward`."""
    left, rest = word & _STAR, word >> 27
    x = minus_x = y = minus_y = z = minus_z = np.int64(0)
    while rest != 0:
        direction = rest & 31
        forth, back = max(direction - 13, 0), max(13 - direction, 0)
        low = left & _WITHOUT[_i(direction)] & (left >> forth << back)
        left &= ~(low | (low << forth >> back))
        x, minus_x = low if direction == 14 else x, low if direction == 12 else minus_x
        y, minus_y = low if direction == 16 else y, low if direction == 10 else minus_y
        z, minus_z = low if direction == 22 else z, low if direction == 4 else minus_z
        rest >>= 5
    return _u(x), _u(minus_x), _u(y), _u(minus_y), _u(z), _u(minus_z), _u(left)


@inlined
def matched_with_vertex(word, direction):
    """Whether the edge in a direction is matched with its vertex, see `stars3.matched_with_vertex`."""
    first = word >> 27 & 31
    return (first == direction) | (first == 0)


@inlined
def place_among(word, critical, edge):
    """How many critical edges of a vertex are before one of its edges, see `stars3.place_among`."""
    place, rest = 0, word >> 27
    while edge >> _u(rest & 31) & _u(1) == 0:
        place += np.int64(critical >> _u(rest & 31) & _u(1))
        rest >>= 5
    return place


@allocating
def steps_of(offsets):
    """Where a vertex is led, as a step in a grid, by its first direction, 0 to 31."""
    down = np.zeros(32, np.int64)
    down[1:27] = offsets[1:, 0]
    return down


@device
def trace_below(edges, directions, word, down, offsets, known, ends):
    """Follow critical edges down; see `trace3.minima_beside`. down : of `steps_of`."""
    for e in range(edges.size):
        v = np.int64(edges[e])
        u = v + offsets[_i(directions[e]), 0]
        for _ in range(_LONG):  # both walk together, since a step waits for the one before
            step_v, step_u = down[first_direction(word[_i(v)])], down[first_direction(word[_i(u)])]
            v += step_v
            u += step_u
            if step_v | step_u == 0:
                break
        ends[0, e], ends[1, e] = _minimum_below(v, word, down, known), _minimum_below(u, word, down, known)


@inlined
def _minimum_below(vertex, word, down, known):
    """Follow a vertex down to a minimum; see `trace3.minimum_below`."""
    end = vertex
    while known[_i(end)] == 0:
        end += down[first_direction(word[_i(end)])]
    found = known[_i(end)]
    while vertex != end:
        known[_i(vertex)] = found
        vertex += down[first_direction(word[_i(vertex)])]
    return found - 1


@device
def mark_maxima(cubes, directions, offsets, known):
    """Write -1 - its number in known (cells,) where a critical cube is: at its corner of least index."""
    for i in range(1, cubes.size):
        known[cubes[i] + offsets[_i(directions[i]), 1]] = -1 - i


@device
def trace_above(squares, directions, word, width, area, offsets, known, ends):
    """Follow critical squares up; see `trace3.maxima_beside`. known : of `mark_maxima`."""
    for s in range(squares.size):
        for side in range(2):
            cube = squares[s] + offsets[_i(directions[s]), 1 + side]
            ends[side, s] = _maximum_above(cube, word, width, area, offsets, known)


@inlined
def _maximum_above(cube, word, width, area, offsets, known):
    """Follow a cube up to a maximum, or out of the grid; see `trace3.maximum_above`."""
    end = cube
    while known[_i(end)] >= 0:
        step = _cube_step(end, word, width, area, offsets)
        if step == 0:
            break
        end += step
    found = min(known[_i(end)], np.int32(-1))
    while cube != end:
        known[_i(cube)] = found
        cube += _cube_step(cube, word, width, area, offsets)
    return -1 - found


@inlined
def _cube_step(cube, word, width, area, offsets):
    """Step across the square that a cube is matched with, or nowhere where it is in no star."""
    owner, bit = np.int64(0), np.int64(0)
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
