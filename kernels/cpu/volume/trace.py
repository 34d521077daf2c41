"""Trace in 3D: the critical cells, the minima below critical edges and the maxima above critical squares.

A cell is named by the vertex that owns it and its direction from there, which is the number of a bit of the star. The
trace needs little of the matching: with what a vertex is matched follows from the edges in its star, with what a cube
is matched from the cubes. An edge to the east and a cube are never critical, but for the cube at bit 0 of a star that
holds all 8, which is a maximum's.
"""

from __future__ import annotations

import numpy as np

from ...cells import CUBES3, DIRECTIONS3, EDGES3, NO_X3, NO_Y3, NO_Z3, SQUARES3, VERTEX3
from ..runtime.jit import allocating, device, inlined
from ..runtime.jit import unsigned as _i
from ..runtime.primitives import bits_set, halted, trailing_zeros

_LONG = 16  # steps of a walk worth remembering
_u = np.uint32
_VERTEX, _EDGES, _SQUARES, _MAXIMUM = _u(VERTEX3), _u(EDGES3), _u(SQUARES3), _u(1)

# Perfect hashes: times these, the top bits tell all sets of edges apart (6 bits), and all sets of cubes (8 bits).
EDGES_HASH, CUBES_HASH = _u(0x88042090), _u(0x10041802)
_CUBES = _u(CUBES3)


def _replay(star: int) -> dict[int, int]:
    """Replay the matching of a star: bit of a matched cell -> shift along which it was matched."""
    matched: dict[int, int] = {}
    for shift, without in ((1, NO_X3), (-1, NO_X3), (3, NO_Y3), (-3, NO_Y3), (9, NO_Z3), (-9, NO_Z3)):
        low = star & without & (star >> shift if shift > 0 else star << -shift)
        both = low | (low << shift if shift > 0 else low >> -shift)
        matched |= {bit: shift for bit in range(27) if both >> bit & 1}
        star &= ~both
    return matched


def _tables() -> tuple[np.ndarray, np.ndarray]:
    """Shifts of the vertex by hash of the star's edges, (64,), and of the 8 cubes by hash of its cubes, (256, 8)."""
    edges, cubes = ([bit for bit in range(27) if cells >> bit & 1] for cells in (EDGES3, CUBES3))
    down, up = np.zeros(64, np.int32), np.zeros((256, 8), np.int32)
    for chosen in range(64):
        star = sum(1 << bit for i, bit in enumerate(edges) if chosen >> i & 1)
        down[(star * int(EDGES_HASH) & 0xFFFFFFFF) >> 26] = _replay(star | VERTEX3).get(13, 0)
    for chosen in range(256):
        inside = [bit for i, bit in enumerate(cubes) if chosen >> i & 1]
        row = (sum(1 << bit for bit in inside) * int(CUBES_HASH) & 0xFFFFFFFF) >> 24
        # A star holds the faces of its cubes, and what else it holds does not matter to them.
        star = VERTEX3
        for bit, direction in enumerate(DIRECTIONS3):
            if any(all(c in (0, d) for c, d in zip(direction, DIRECTIONS3[cube], strict=True)) for cube in inside):
                star |= 1 << bit
        matched = _replay(star)
        up[row] = [matched.get(bit, 0) if bit in inside else 0 for bit in cubes]
    return down, up


_DOWN, _UP = _tables()


def _ways() -> np.ndarray:
    """Where cubes are led before they leave the star or end in it, as numbers of `DIRECTIONS3`, by hash: (256, 8)."""
    ways = np.full((256, 8), 13, np.int8)
    for row, cube in np.ndindex(256, 8):
        at = cube
        while shift := int(_UP[row, at]):
            ways[row, cube] -= shift  # across the square that it is matched with
            at ^= {1: 1, 3: 2, 9: 4}[abs(shift)]
    return ways


_WAYS = _ways()


@allocating
def steps_of(width, area):
    """Where a star leads its vertex, and where its cubes, as steps in a grid: (64,) and (256, 8) int32, by hash.

    A vertex goes to the other end of the edge that it is matched with. A cube goes across the square that it is matched
    with, so one step against the matching, and on until it is not in the star any more. 0 for cells that are critical
    or not in the star.
    """
    offsets = offsets_of(width, area)
    down, up = np.empty(64, np.int32), np.empty((256, 8), np.int32)
    for i in range(64):
        down[i] = offsets[13 + _DOWN[i], 0]
    for i in range(256):
        for cube in range(8):
            up[i, cube] = offsets[_WAYS[i, cube], 0]
    return down, up


@allocating
def offsets_of(width, area):
    """Where cells are, as offsets from their owner in a grid: (27, 3) int32 by direction.

    First the far corner, which of an edge is the other end; then, of a square, the two cubes beside it, each by its
    corner of least index.
    """
    offsets = np.zeros((27, 3), np.int32)
    steps = (1, width, area)
    for bit in range(27):
        rest = bit
        for axis in range(3):
            part, rest = rest % 3 - 1, rest // 3
            offsets[bit, 0] += part * steps[axis]
            offsets[bit, 1] += min(part, 0) * steps[axis]
            offsets[bit, 2] += min(part, 0) * steps[axis] if part != 0 else -steps[axis]
    return offsets


@allocating
def critical_cells(owners, cells):
    """List the critical cells in order of their owners, then of their directions.

    owners : (n,) int32, positions of vertices; cells : (n,) uint32, the critical cells of each.
    Returns minima (m,) int32, from the second on, as the first place is for the ring; edges and squares, each as
    positions (m,) int32 and directions (m,) int8; and maxima like minima, with the first place for the outside.
    """
    n_minima, n_edges, n_squares, n_maxima = 1, 0, 0, 1
    for i in range(owners.size):
        c = cells[i]
        n_minima += np.int64(c & _VERTEX != 0)
        n_edges += np.int64(bits_set(_u(c & _EDGES)))
        n_squares += np.int64(bits_set(_u(c & _SQUARES)))
        n_maxima += np.int64(c & _MAXIMUM)
    minima, maxima = np.zeros(n_minima, np.int32), np.zeros(n_maxima, np.int32)
    edge_owner, edge_bit = np.empty(n_edges, np.int32), np.empty(n_edges, np.int8)
    square_owner, square_bit = np.empty(n_squares, np.int32), np.empty(n_squares, np.int8)
    n_minima, n_edges, n_squares, n_maxima = 1, 0, 0, 1
    for i in range(owners.size):
        v, c = owners[i], cells[i]
        if c & _VERTEX:
            minima[n_minima] = v
            n_minima += 1
        if c & _MAXIMUM:
            maxima[n_maxima] = v
            n_maxima += 1
        n_edges = _list(_u(c & _EDGES), v, edge_owner, edge_bit, n_edges)
        n_squares = _list(_u(c & _SQUARES), v, square_owner, square_bit, n_squares)
    return minima, edge_owner, edge_bit, square_owner, square_bit, maxima


@inlined
def _list(cells, v, owner, bit, n):
    """Append cells of v to a list of n; returns how many are then in it."""
    while cells != _u(0):
        owner[n], bit[n] = v, trailing_zeros(cells)
        cells = _u(cells & _u(cells - _u(1)))
        n += 1
    return n


@allocating
def minima_beside(edges, directions, star, width, area, known, ends, first, last, halt=0):
    """Follow the critical edges first, ..., last - 1 down.

    edges, directions : (m,) of `critical_cells`. star, known : as for `minimum_below`.
    ends : (2, m) int32, written: the numbers of the minima below the owner and below the other end.
    halt : see `halted`.
    """
    down, offsets = steps_of(width, area)[0], offsets_of(width, area)
    _minima_beside(edges, directions, star, down, offsets, known, ends, first, last, halt)


@device
def _minima_beside(edges, directions, star, down, offsets, known, ends, first, last, halt):
    for e in range(first, last):
        if e & 0xFFF == 0 and halted(halt):
            return
        v = edges[e]
        u = v + offsets[_i(directions[e]), 0]
        for _ in range(_LONG):  # both walk together, since a step waits for the one before
            step_v, step_u = down[edges_hash(star[_i(v)])], down[edges_hash(star[_i(u)])]
            v += step_v
            u += step_u
            if step_v | step_u == 0:
                break
        ends[0, e], ends[1, e] = minimum_below(v, star, down, known), minimum_below(u, star, down, known)


@allocating
def maxima_beside(squares, directions, star, width, area, known, ends, first, last, halt=0):
    """Follow the critical squares first, ..., last - 1 up.

    squares, directions : (m,) of `critical_cells`. star, known : as for `maximum_above`.
    ends : (2, m) int32, written: the numbers of the maxima above the cubes on either side.
    halt : see `halted`.
    """
    grid = star, steps_of(width, area)[1], offsets_of(width, area), width, area
    _maxima_beside(squares, directions, grid, known, ends, first, last, halt)


@device
def _maxima_beside(squares, directions, grid, known, ends, first, last, halt):
    star, up, offsets, width, area = grid
    for s in range(first, last):
        if s & 0xFFF == 0 and halted(halt):
            return
        v, direction = squares[s], _i(directions[s])
        a, b = v + offsets[direction, 1], v + offsets[direction, 2]
        for _ in range(_LONG):
            step_a, step_b = _cube_step(a, star, up, width, area), _cube_step(b, star, up, width, area)
            a += step_a
            b += step_b
            if step_a | step_b == 0:
                break
        ends[0, s] = maximum_above(a, star, up, width, area, known)
        ends[1, s] = maximum_above(b, star, up, width, area, known)


@inlined
def minimum_below(vertex, star, down, known):
    """Follow a vertex down to a minimum, or to the ring.

    star : (cells,) uint32, 0 on the ring. down : of `steps_of`.
    known : (cells,) int32, 1 + the number of the minimum where a walk from a vertex ends, or 0; learns of long walks.
    Returns the number of the minimum; 0 for the ring. Threads may share what is known: they write the same.
    """
    end = vertex
    while known[_i(end)] == 0:
        step = down[edges_hash(star[_i(end)])]
        if step == 0:
            break
        end += step
    found = max(known[_i(end)], np.int32(1))
    while vertex != end:
        known[_i(vertex)] = found
        vertex += down[edges_hash(star[_i(vertex)])]
    return found - 1


@inlined
def edges_hash(star):
    return _i(_u(_u(star & _EDGES) * EDGES_HASH) >> _u(26))


@inlined
def maximum_above(cube, star, up, width, area, known):
    """Follow a cube up to a maximum, or out of the grid.

    A cube has the position of its corner of least index. star : as for `minimum_below`. up : of `steps_of`.
    known : (cells,) int32, -1 - the number of the maximum where a walk from a cube ends; learns of long walks. Numbers
    that are not negative are of vertices, and mean nothing here.
    Returns the number of the maximum; 0 for the outside.
    """
    end = cube
    while known[_i(end)] >= 0:
        step = _cube_step(end, star, up, width, area)
        if step == 0:
            break
        end += step
    found = min(known[_i(end)], np.int32(-1))
    while cube != end:
        known[_i(cube)] = found
        cube += _cube_step(cube, star, up, width, area)
    return -1 - found


@inlined
def _cube_step(cube, star, up, width, area):
    """Step to where a cube is led: the one of its corners that has it in its star tells."""
    owner, number = _u(0), 0
    south, above = cube + width, cube + area
    # In a star a cube is the bit of the corner that is opposite. No corner but the latest has it.
    for corner, bit, place in (
        (cube, _u(26), 7),
        (cube + 1, _u(24), 6),
        (south, _u(20), 5),
        (south + 1, _u(18), 4),
        (above, _u(8), 3),
        (above + 1, _u(6), 2),
        (above + width, _u(2), 1),
        (above + width + 1, _u(0), 0),
    ):
        s = star[_i(corner)]
        if s >> bit & _u(1):
            owner, number = s, place
    return up[_i(_u(_u(owner & _CUBES) * CUBES_HASH) >> _u(24)), number]
