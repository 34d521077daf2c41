"""Trace: find the minima below critical edges and the maxima above critical squares.

This needs only a part of the matching: the edges in a star determine the edge that the vertex is matched with, and the
cubes determine the squares that they are matched with.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...cells import CUBES3, DIRECTIONS3, EDGES3, VERTEX3, VERTEX_BIT, match_star
from ..runtime.jit import allocating, device, inlined, kernel
from ..runtime.jit import unsigned as _i
from ..runtime.primitives import halted
from ..runtime.views import flat

Array = NDArray[Any]
_LONG = 16  # steps of a walk before it is remembered
_u = np.uint32
_EDGES = _u(EDGES3)

# Perfect hashes: a set of edges times the first has a unique number in its top 6 bits, a set of cubes times the second
# in its top 8 bits.
EDGES_HASH, CUBES_HASH = _u(0x88042090), _u(0x10041802)
_CUBES = _u(CUBES3)


def _tables() -> tuple[np.ndarray, np.ndarray]:
    """Return along which shifts stars match their vertex, by hash of their edges, and their 8 cubes, by hash of these.

    The tables have shapes (64,) and (256, 8); 0 is for cells that are critical or not in the star.
    """
    edges, cubes = ([bit for bit in range(27) if cells >> bit & 1] for cells in (EDGES3, CUBES3))
    down, up = np.zeros(64, np.int32), np.zeros((256, 8), np.int32)
    for chosen in range(64):
        star = sum(1 << bit for i, bit in enumerate(edges) if chosen >> i & 1)
        down[(star * int(EDGES_HASH) & 0xFFFFFFFF) >> 26] = match_star(star | VERTEX3, 3).get(VERTEX_BIT, 0)
    for chosen in range(256):
        inside = [bit for i, bit in enumerate(cubes) if chosen >> i & 1]
        row = (sum(1 << bit for bit in inside) * int(CUBES_HASH) & 0xFFFFFFFF) >> 24
        # A star contains the faces of its cubes; its other cells do not affect their matching.
        star = VERTEX3
        for bit, direction in enumerate(DIRECTIONS3):
            if any(all(c in (0, d) for c, d in zip(direction, DIRECTIONS3[cube], strict=True)) for cube in inside):
                star |= 1 << bit
        matched = match_star(star, 3)
        up[row] = [matched.get(bit, 0) if bit in inside else 0 for bit in cubes]
    return down, up


_DOWN, _UP = _tables()


def _steps_up() -> np.ndarray:
    """Return where cubes are led until they leave the star or end in it, as bits of a mask, by hash: (256, 8)."""
    bits = np.full((256, 8), VERTEX_BIT, np.int8)
    for row, cube in np.ndindex(256, 8):
        at = cube
        while shift := int(_UP[row, at]):
            bits[row, cube] -= shift  # across the square that it is matched with
            at ^= {1: 1, 3: 2, 9: 4}[abs(shift)]
    return bits


_STEPS_UP = _steps_up()


class _Cubes(NamedTuple):
    """The stars of a grid, and the steps along which they lead cubes."""

    star: Array  # (cells,) uint32, 0 on the ring
    steps: Array  # (256, 8) int32, see `steps_of`
    width: int  # of the grid
    area: int  # of a slice


@allocating
def steps_of(width, area):
    """Return where a star leads its vertex, and its cubes, as steps in a grid: (64,) and (256, 8) int32, by hash.

    A vertex is led to the other end of the edge that it is matched with. A cube is led across the square that it is
    matched with, against the direction of the matching, and on until it leaves the star. The step is 0 for cells that
    are critical or not in the star.
    """
    offsets = offsets_of(width, area)
    down, up = np.empty(64, np.int32), np.empty((256, 8), np.int32)
    for i in range(64):
        down[i] = offsets[VERTEX_BIT + _DOWN[i], 0]
    for i in range(256):
        for cube in range(8):
            up[i, cube] = offsets[_STEPS_UP[i, cube], 0]
    return down, up


@allocating
def offsets_of(width, area):
    """Return where cells are, as offsets from their owner in a grid: (27, 3) int32, by bit.

    The first offset is that of the far corner, for an edge its other end. The others are those of the two cubes beside
    a square, each by its corner of least index.
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


@kernel
def mark_minima(cells, known):
    """Write 1 + its number into known (cells,) at each minimum."""
    minima = cells.minima
    for i in range(1, minima.size):
        known[minima[i]] = i + 1


@kernel
def mark_maxima(cells, star, known):
    """Write -1 - its number into known (cells,) at the first corner of each maximum's cube; its owner is the last."""
    maxima, corner = cells.maxima, star[0].size + star.shape[2] + 1
    for i in range(1, maxima.size):
        known[maxima[i] - corner] = -1 - i


@kernel
def trace_below(cells, star, known, ends, first, last, halt):
    """Follow the critical edges first, ..., last - 1 down.

    cells : CriticalCells. star : (D + 2, H + 2, W + 2) uint32. known : see `_minimum_below`.
    ends : (2, m) int32, written: the numbers of the minima below the owner and below the other end.
    halt : see `halted`.
    """
    width, area = star.shape[2], star[0].size
    offsets = offsets_of(width, area)
    _trace_below(cells, flat(star), steps_of(width, area)[0], offsets, known, ends, first, last, halt)


@device
def _trace_below(cells, star, down, offsets, known, ends, first, last, halt):
    edges, bits = cells.edges, cells.edge_bits
    for e in range(first, last):
        if e & 0xFFF == 0 and halted(halt):
            return
        v = edges[e]
        u = v + offsets[_i(bits[e]), 0]
        for _ in range(_LONG):  # both walk together, because each step depends on the one before
            step_v, step_u = down[edges_hash(star[_i(v)])], down[edges_hash(star[_i(u)])]
            v += step_v
            u += step_u
            if step_v | step_u == 0:
                break
        ends[0, e], ends[1, e] = _minimum_below(v, star, down, known), _minimum_below(u, star, down, known)


@kernel
def trace_above(cells, star, known, ends, first, last, halt):
    """Follow the critical squares first, ..., last - 1 up.

    cells : CriticalCells. star : (D + 2, H + 2, W + 2) uint32. known : see `_maximum_above`.
    ends : (2, m) int32, written: the numbers of the maxima above the cubes on either side.
    halt : see `halted`.
    """
    width, area = star.shape[2], star[0].size
    grid = _Cubes(flat(star), steps_of(width, area)[1], width, area)
    _trace_above(cells, grid, offsets_of(width, area), known, ends, first, last, halt)


@device
def _trace_above(cells, grid, offsets, known, ends, first, last, halt):
    squares, bits = cells.squares, cells.square_bits
    for s in range(first, last):
        if s & 0xFFF == 0 and halted(halt):
            return
        v, bit = squares[s], _i(bits[s])
        a, b = v + offsets[bit, 1], v + offsets[bit, 2]
        for _ in range(_LONG):
            step_a, step_b = _cube_step(a, grid), _cube_step(b, grid)
            a += step_a
            b += step_b
            if step_a | step_b == 0:
                break
        ends[0, s], ends[1, s] = _maximum_above(a, grid, known), _maximum_above(b, grid, known)


@allocating
def minima_below(vertices, cells, star, known):
    """Follow vertices (n,) down, and return the positions of the minima, (n,) int32; see `trace_below`."""
    width, area = star.shape[2], star[0].size
    down, stars, reached = steps_of(width, area)[0], flat(star), np.empty(vertices.size, np.int32)
    for i in range(vertices.size):
        reached[i] = cells.minima[_minimum_below(np.int64(vertices[i]), stars, down, known)]
    return reached


@allocating
def maxima_above(maxima, cells, star, known):
    """Follow the cubes of maxima (n,) of another volume up, and return the positions of the maxima; see `trace_above`.

    maxima : positions of the owners, which are the last corners of their cubes. Returns (n,) int32.
    """
    width, area = star.shape[2], star[0].size
    grid = _Cubes(flat(star), steps_of(width, area)[1], width, area)
    corner, reached = area + width + 1, np.empty(maxima.size, np.int32)
    for i in range(maxima.size):
        reached[i] = cells.maxima[_maximum_above(np.int64(maxima[i]) - corner, grid, known)]
    return reached


@inlined
def _minimum_below(vertex, star, down, known):
    """Follow a vertex down to a minimum, or to the ring, and return the number of the minimum; 0 for the ring.

    star : (cells,) uint32, 0 on the ring. down : see `steps_of`.
    known : (cells,) int32, 1 + the number of the minimum where a walk from a vertex ends, or 0; written along this
    walk. Threads may share it, because they write the same values.
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
    """Return a unique number below 64 for the set of edges in a star."""
    return _i(_u(_u(star & _EDGES) * EDGES_HASH) >> _u(26))


@inlined
def _maximum_above(cube, grid, known):
    """Follow a cube up to a maximum, or out of the grid, and return the number of the maximum; 0 for the outside.

    cube : the position of its corner of least index.
    known : (cells,) int32, -1 - the number of the maximum where a walk from a cube ends; written along this walk.
    Numbers that are not negative belong to vertices and mean nothing here.
    """
    end = cube
    while known[_i(end)] >= 0:
        step = _cube_step(end, grid)
        if step == 0:
            break
        end += step
    found = min(known[_i(end)], np.int32(-1))
    while cube != end:
        known[_i(cube)] = found
        cube += _cube_step(cube, grid)
    return -1 - found


@inlined
def _cube_step(cube, grid):
    """Return the step of a cube, which is in the star of its latest corner only."""
    star, width = grid.star, grid.width
    owner, number = _u(0), 0
    south, above = cube + width, cube + grid.area
    # The bit of a cube in the star of a corner is that of the opposite corner.
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
    return grid.steps[_i(_u(_u(owner & _CUBES) * CUBES_HASH) >> _u(24)), number]
