"""The reduction between two volumes: loops of one that live on in the other."""

from __future__ import annotations

import numpy as np
import pytest

from gpuph.kernels.cpu.runtime import jit
from gpuph.kernels.cpu.volume import reduce_between as between
from gpuph.kernels.cpu.volume.reduce import reduce
from gpuph.kernels.cpu.volume.trace import offsets_of
from support import inputs
from support.induced import filtration, image_bars
from support.volume_stages import Grid


def matrix(small: Grid, large: Grid) -> tuple[between.Rows, between.Columns]:
    """Return the edges of a volume and the squares of another one, whose sublevel sets contain those of the first."""
    rows = between.rows_of(small.cells, small.merged(False), small.key, small.star, offsets_of(small.width, small.area))
    order = np.argsort(large.key, kind="stable").astype(np.int32)
    return rows, between.columns_of(large.cells, large.merged(True), large.key, large.star, order)


def loops(small: Grid, large: Grid) -> list[tuple[int, int]]:
    zeros = np.zeros(small.key.size, np.uint8)
    ends = between.reduce_between(*matrix(small, large), zeros, 0)
    assert not zeros.any()
    return sorted(map(tuple, ends.T.tolist()))


@pytest.mark.slow
@pytest.mark.parametrize("top", [False, True])
@pytest.mark.parametrize("kind", inputs.KINDS)
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 4, 5), (11, 12, 9)])
def test_images_of_a_volume_in_itself_are_its_loops(kind: str, shape: tuple[int, int, int], top: bool) -> None:
    grid = Grid(inputs.image(kind, shape), top)
    square_of, _ = reduce(grid.cells, grid.merged(False), grid.merged(True), grid.workspace())
    own = [(int(grid.edges[e]), int(grid.squares[s])) for e, s in enumerate(square_of) if s >= 0]
    assert loops(grid, grid) == sorted((u, v) for u, v in own if grid.key[u] != grid.key[v])


@pytest.mark.parametrize("kind", ["noise", "smooth", "integers", "checkerboard"])
def test_images_in_another_volume_equal_the_textbook(kind: str) -> None:
    shape = 6, 5, 7
    f = inputs.image(kind, shape)
    both = np.minimum(f, inputs.image("smooth", shape, seed=1))
    bars = image_bars(filtration(f, "V"), filtration(both, "V"), 0.0)[1]

    def position(pixel: int) -> int:
        inside = np.add(np.unravel_index(pixel, shape), 1)
        return int(np.ravel_multi_index(tuple(inside), tuple(np.add(shape, 2))))

    expected = sorted((position(bar.birth[1]), position(bar.death[1])) for bar in bars)
    assert loops(Grid(f, False), Grid(both, False)) == expected


def test_columns_restart_when_their_buffer_overflows(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = 7, 8, 9
    f, g = (inputs.image("noise", shape, seed) for seed in (0, 1))
    small, large = Grid(f, False), Grid(np.minimum(f, g), False)
    expected = loops(small, large)
    monkeypatch.setattr(between, "_ROOM", 0)  # a buffer of one entry, which then doubles
    with_little_room = jit.allocating(between.reduce_between.py_func)
    ends = with_little_room(*matrix(small, large), np.zeros(small.key.size, np.uint8), 0)
    assert len(expected) > 9 and sorted(map(tuple, ends.T.tolist())) == expected
