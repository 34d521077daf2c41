"""The trace stage: walks along the gradient."""

from __future__ import annotations

import numpy as np
import pytest
from gpuph.kernels.cpu import gradient, trace
from scipy import ndimage

import inputs
from test_gradient import keys_of


class Grid:
    """Stars and critical cells of an image, as the trace takes them."""

    def __init__(self, image: np.ndarray, top: bool) -> None:
        rows = keys_of(image, top)[1]
        size = (rows.size + 3) // 4 * 4
        self.width, self.shape = rows.shape[1], rows.shape
        self.key = np.full(size, rows[0, 0], rows.dtype)
        self.key[: rows.size] = rows.ravel()
        self.star, self.critical = np.zeros((2, size), np.uint16)
        gradient.lower_stars(rows, self.star[: rows.size].reshape(rows.shape))
        gradient.match_stars(self.star, self.critical)
        self.steps = trace.steps_of(self.width)
        minima, maxima, edges = np.zeros(size, np.int32), np.zeros(size, np.int32), np.zeros((2, size), np.int32)
        n, m, k = trace.critical_cells(self.critical, self.width, minima, edges, maxima)
        self.minima, self.edges, self.maxima = minima[:n], edges[:, :m], maxima[:k]


@pytest.mark.parametrize("top", [False, True])
@pytest.mark.parametrize("kind", inputs.KINDS)
@pytest.mark.parametrize("shape", inputs.SIZES, ids=str)
def test_critical_cells_have_the_euler_characteristic_of_a_disc(kind: str, shape: tuple[int, int], top: bool) -> None:
    grid = Grid(inputs.image(kind, shape), top)
    assert len(grid.minima) - grid.edges.shape[1] + len(grid.maxima) == 1  # the ring of T counts nothing
    assert (np.diff(grid.edges[0]) >= 0).all() and (np.diff(grid.minima) > 0).all() and (np.diff(grid.maxima) > 0).all()


@pytest.mark.parametrize("top", [False, True])
@pytest.mark.parametrize("kind", ["noise", "smooth", "integers", "ramp"])
def test_a_walk_down_stays_below_and_ends_in_a_minimum(kind: str, top: bool) -> None:
    grid = Grid(inputs.image(kind, (20, 33)), top)
    order = np.argsort(np.lexsort((np.arange(grid.key.size), grid.key)))
    inner = order[: np.prod(grid.shape)].reshape(grid.shape)
    known = np.zeros(grid.key.size, np.int32)
    vertices = np.flatnonzero(grid.star).tolist()
    for pair in zip(vertices, reversed(vertices), strict=True):
        ends = trace.minima_below(*pair, grid.star, grid.steps, known)
        for vertex, end in zip(pair, ends, strict=True):
            assert end in grid.minima or (top and end == 0)
            component = ndimage.label(inner <= order[vertex])[0].ravel()
            assert component[end] == component[vertex] or end == 0


@pytest.mark.parametrize("sign", [1, -1])
def test_what_a_long_walk_learned_does_not_change_where_the_next_ends(sign: int) -> None:
    image = (sign * np.add.outer(np.zeros(3), np.arange(300.0))).astype(np.float32)
    grid = Grid(image, False)
    pairs = [(v, 904 - v) for v in range(303, 602)]
    fresh = [trace.minima_below(*p, grid.star, grid.steps, np.zeros(grid.key.size, np.int32)) for p in pairs]
    known = np.zeros(grid.key.size, np.int32)
    assert fresh == [trace.minima_below(*p, grid.star, grid.steps, known) for p in pairs[::-1]][::-1]
    assert known.any() and len(set(fresh)) == 1

    up = [
        trace.maxima_above(*p, grid.star, grid.steps, grid.width, np.zeros(grid.key.size, np.int32))
        for p in pairs[1:-1]
    ]
    known[:] = 0
    again = [trace.maxima_above(*p, grid.star, grid.steps, grid.width, known) for p in pairs[1:-1]]
    assert up == again


@pytest.mark.parametrize("top", [False, True])
@pytest.mark.parametrize("kind", ["noise", "smooth", "integers", "ramp"])
def test_a_walk_up_ends_in_a_maximum_or_outside(kind: str, top: bool) -> None:
    grid = Grid(inputs.image(kind, (20, 33)), top)
    known = np.zeros(grid.key.size, np.int32)
    outside = grid.key.size - 1
    ends = set()
    for a, b in grid.edges.T:
        squares = trace.squares_beside(int(a), int(b), grid.width)
        for end in trace.maxima_above(*squares, grid.star, grid.steps, grid.width, known):
            assert end in grid.maxima or (not top and end == outside)
            ends.add(end)
    if len(grid.maxima) > 1:
        assert ends >= set(grid.maxima.tolist())  # every maximum is beside some critical edge
