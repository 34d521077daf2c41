"""The reduce stage: loops, from the matrix of critical squares and edges."""

from __future__ import annotations

import numpy as np
import pytest

from gpuph.kernels import cells
from gpuph.kernels.cpu.runtime import jit
from gpuph.kernels.cpu.volume import chain, reduce
from gpuph.kernels.cpu.volume import trace as trace3
from support import inputs
from support.volume_stages import Grid

Edge = tuple[int, int]  # owner, direction


def by_columns(grid: Grid, killed: np.ndarray, opened: np.ndarray) -> dict[int, int]:
    """Return the critical square at which the loop of each critical edge dies, by the textbook.

    All boundaries are first followed to their critical edges; then the matrix is reduced by columns.
    """
    offsets = [dx + dy * grid.width + dz * grid.area for dx, dy, dz in cells.DIRECTIONS3]
    order = [(int(k), i) for i, k in enumerate(grid.key)]
    number = {edge: e for e, edge in enumerate(zip(grid.edges.tolist(), grid.edge_directions.tolist(), strict=True))}

    def edge(a: int, direction: int) -> Edge:
        b = a + offsets[direction]
        return (a, direction) if order[a] > order[b] else (b, 26 - direction)

    def square(v: int, p: int, q: int) -> set[Edge]:
        """Return the edges of the square that v spans with its edges in two directions."""
        return {edge(v, p), edge(v, q), edge(v + offsets[p], q), edge(v + offsets[q], p)}

    known: dict[Edge, set[int]] = {}

    def followed(e: Edge) -> set[int]:
        """Return the critical edges that an edge leads to."""
        if e not in known:
            v, direction = e
            star = int(grid.star[v])
            shift = cells.match_star(star, 3).get(direction, 0) if star else 0  # none in the frame
            found: set[int] = {number[e]} if e in number else set()
            if shift and direction != 13 + shift:  # with a square, not with the vertex
                for other in square(v, direction, 13 + shift) - {e}:
                    found ^= followed(other)
            known[e] = found
        return known[e]

    rank = {int(e): i for i, e in enumerate(sorted(range(len(grid.edges)), key=lambda e: (order[grid.edges[e]], e)))}
    columns: dict[int, set[int]] = {}
    pairs = {}
    for s in sorted(range(len(grid.squares)), key=lambda s: (order[grid.squares[s]], s)):
        if opened[s] >= 0:
            continue
        direction = cells.DIRECTIONS3[grid.square_directions[s]]
        p, q = (13 + d * 3**axis for axis, d in enumerate(direction) if d)
        column: set[int] = set()
        for e in square(int(grid.squares[s]), p, q):
            column ^= followed(e)
        column = {e for e in column if killed[e] < 0}
        while (low := max(column, key=rank.__getitem__)) in columns:
            column ^= columns[low]
        columns[low], pairs[low] = column, s
    return pairs


@pytest.mark.parametrize("top", [False, True])
@pytest.mark.parametrize("kind", inputs.KINDS)
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 4, 5), (7, 8, 9)])
def test_reduce_equals_the_textbook(kind: str, shape: tuple[int, int, int], top: bool) -> None:
    grid = Grid(inputs.image(kind, shape), top)
    killed, opened = grid.merged(False), grid.merged(True)
    workspace = grid.workspace()
    square_of, edge_of = reduce.reduce(grid.cells, killed, opened, workspace)
    pairs = {e: s for e, s in enumerate(square_of.tolist()) if s >= 0}
    assert pairs == by_columns(grid, killed, opened)
    assert {e: s for s, e in enumerate(edge_of.tolist()) if e >= 0} == pairs
    # As many edges create a loop as squares end one.
    assert sorted(pairs) == np.flatnonzero(killed < 0).tolist()
    assert sorted(pairs.values()) == np.flatnonzero(opened < 0).tolist()
    assert not workspace.chain.any()


@pytest.mark.parametrize("top", [False, True])
def test_columns_restart_when_their_buffer_overflows(top: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = Grid(inputs.image("noise", (7, 8, 9)), top)
    killed, opened = grid.merged(False), grid.merged(True)
    workspace = grid.workspace()
    expected, _ = reduce.reduce(grid.cells, killed, opened, workspace)
    monkeypatch.setattr(reduce, "_ROOM", 0)  # a buffer of one edge, which then doubles
    with_little_room = jit.allocating(reduce._reduce_columns.py_func)
    square_of = np.full(len(grid.edges), -1, np.int32)
    matrix = reduce.Matrix(grid.squares, grid.square_directions, opened, workspace.known, killed, square_of)
    with_little_room(chain.Grid(grid.key, grid.star, trace3.offsets_of(grid.width, grid.area)), matrix, workspace.chain)
    assert np.array_equal(square_of, expected) and not workspace.chain.any()
