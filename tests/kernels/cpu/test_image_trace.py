"""The trace stage: paths along the gradient."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from gpuph.kernels.cpu.image import trace
from support import inputs
from support.image_stages import Grid


@pytest.mark.parametrize("top", [False, True])
@pytest.mark.parametrize("kind", inputs.KINDS)
@pytest.mark.parametrize("shape", inputs.SIZES)
def test_critical_cells_have_the_euler_characteristic_of_a_disc(kind: str, shape: tuple[int, int], top: bool) -> None:
    grid = Grid(inputs.image(kind, shape), top)
    assert len(grid.minima) - grid.edges.shape[1] + len(grid.maxima) == 1  # the frame of T adds nothing
    assert (np.diff(grid.edges[0]) >= 0).all() and (np.diff(grid.minima) > 0).all() and (np.diff(grid.maxima) > 0).all()


@pytest.mark.parametrize("top", [False, True])
@pytest.mark.parametrize("kind", ["noise", "smooth", "integers", "ramp"])
def test_descending_path_stays_below_its_start_and_ends_in_a_minimum(kind: str, top: bool) -> None:
    grid = Grid(inputs.image(kind, (20, 33)), top)
    order = np.argsort(np.lexsort((np.arange(grid.key.size), grid.key)))
    inner = order[: np.prod(grid.shape)].reshape(grid.shape)
    vertices = np.flatnonzero(grid.star)
    for vertex, end in zip(vertices, grid.minima_below(vertices), strict=True):
        assert end in grid.minima or (top and end == 0)
        component = ndimage.label(inner <= order[vertex])[0].ravel()
        assert component[end] == component[vertex] or end == 0


@pytest.mark.parametrize("sign", [1, -1])
def test_paths_traced_together_end_where_each_ends_alone(sign: int) -> None:
    """Paths share what has been found out about where others end."""
    image = (sign * np.add.outer(np.zeros(3), np.arange(300.0))).astype(np.float32)
    grid = Grid(image, False)
    vertices = np.arange(303, 602)
    for follow, cells in ((grid.minima_below, vertices), (grid.maxima_above, vertices[1:-1])):
        alone = [int(follow(cells[i : i + 1])[0]) for i in range(cells.size)]
        assert follow(cells).tolist() == alone
        assert follow(cells[::-1])[::-1].tolist() == alone
        assert len(set(alone)) <= 2


@pytest.mark.parametrize("top", [False, True])
@pytest.mark.parametrize("kind", ["noise", "smooth", "integers", "ramp"])
def test_ascending_path_ends_in_a_maximum_or_outside(kind: str, top: bool) -> None:
    grid = Grid(inputs.image(kind, (20, 33)), top)
    outside = grid.key.size - 1
    squares = [square for a, b in grid.edges.T for square in trace.squares_beside(int(a), int(b), grid.width)]
    ends = set(grid.maxima_above(np.array(squares, np.int32)).tolist())
    assert ends <= set(grid.maxima.tolist()) | (set() if top else {outside})
    if len(grid.maxima) > 1:
        assert ends >= set(grid.maxima.tolist())  # every maximum is beside some critical edge
