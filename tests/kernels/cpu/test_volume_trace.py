"""The trace stage of volumes: paths along the gradient."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from gpuph.kernels import cells
from gpuph.kernels.cpu.volume import trace as trace3
from support import inputs
from support.volume_stages import NUMBER, Grid, random_neighbours, star_of


def test_hashes_are_perfect() -> None:
    for mask, factor, top_bits in ((cells.EDGES3, trace3.EDGES_HASH, 6), (cells.CUBES3, trace3.CUBES_HASH, 8)):
        bits = [bit for bit in range(27) if mask >> bit & 1]
        sets = [sum(1 << bit for i, bit in enumerate(bits) if chosen >> i & 1) for chosen in range(1 << len(bits))]
        assert len({(chosen * int(factor) & 0xFFFFFFFF) >> (32 - top_bits) for chosen in sets}) == len(sets)


def test_lookup_tables_replay_the_matching_of_every_lower_star() -> None:
    cubes = [bit for bit in range(27) if cells.CUBES3 >> bit & 1]
    for lower in random_neighbours(1000):
        star = sum(1 << NUMBER[direction] for direction in star_of(lower)[0])
        matched = cells.match_star(star, 3)
        edges, inside = ((star & mask) for mask in (cells.EDGES3, cells.CUBES3))
        assert trace3._DOWN[(edges * int(trace3.EDGES_HASH) & 0xFFFFFFFF) >> 26] == matched.get(13, 0)
        row = trace3._UP[(inside * int(trace3.CUBES_HASH) & 0xFFFFFFFF) >> 24]
        assert row.tolist() == [matched.get(bit, 0) for bit in cubes]


@pytest.mark.parametrize("top", [False, True])
@pytest.mark.parametrize("kind", inputs.KINDS)
@pytest.mark.parametrize("shape", inputs.VOLUMES)
def test_critical_cells_have_the_euler_characteristic_of_a_ball(
    kind: str, shape: tuple[int, int, int], top: bool
) -> None:
    grid = Grid(inputs.image(kind, shape), top)
    total = len(grid.minima) - 1 - len(grid.edges) + len(grid.squares) - (len(grid.maxima) - 1)
    assert total == (-1 if top else 1)  # in T, of the ball relative to its boundary
    for owners in (grid.minima[1:], grid.edges, grid.squares, grid.maxima[1:]):
        assert (np.diff(owners) >= 0).all()


@pytest.mark.parametrize("top", [False, True])
@pytest.mark.parametrize("kind", ["noise", "smooth", "integers", "ramp"])
def test_descending_paths_stay_below_and_ascending_paths_above_their_start(kind: str, top: bool) -> None:
    grid = Grid(inputs.image(kind, (7, 9, 12)), top)
    order = np.argsort(np.lexsort((np.arange(grid.key.size), grid.key))).reshape(grid.shape)
    offsets = trace3.offsets_of(grid.width, grid.area)
    for (first, second), owner, direction in zip(
        grid.below(grid.known(False)).T, grid.edges, grid.edge_directions, strict=True
    ):
        component = ndimage.label(order <= order.flat[owner])[0].ravel()
        for vertex, number in ((owner, first), (owner + offsets[direction, 0], second)):
            assert number > 0 or top
            assert component[grid.minima[number]] == component[vertex]
    # A path up stays in cubes whose latest corner does not come before the owner of the square.
    cubes = np.stack(
        [order[z : z - 1 or None, y : y - 1 or None, x : x - 1 or None] for z, y, x in np.ndindex(2, 2, 2)]
    )
    latest = np.full(grid.shape, -1)
    latest[:-1, :-1, :-1] = cubes.max(0)
    corner = grid.area + grid.width + 1
    for (first, second), owner, direction in zip(
        grid.above(grid.known(True)).T, grid.squares, grid.square_directions, strict=True
    ):
        component = ndimage.label(latest >= order.flat[owner])[0].ravel()
        for side, number in ((1, first), (2, second)):
            assert number > 0 or not top
            if number > 0:
                assert component[owner + offsets[direction, side]] == component[grid.maxima[number] - corner]


@pytest.mark.parametrize("sign", [1, -1])
def test_cached_ends_of_vertices_do_not_affect_cubes(sign: int) -> None:
    ramp = np.indices((4, 5, 70))[2] * 3.0 + np.random.default_rng(0).random((4, 5, 70))
    for top in (False, True):
        grid = Grid((sign * ramp).astype(np.float32), top)
        known = grid.known(False)
        grid.below(known)
        maxima = grid.known(True)
        assert (known[maxima == 0] > 0).any()
        known[maxima != 0] = maxima[maxima != 0]
        assert np.array_equal(grid.above(known), grid.above(maxima))


@pytest.mark.parametrize("sign", [1, -1])
def test_cached_ends_do_not_change_where_paths_end(sign: int) -> None:
    ramp = np.indices((4, 5, 70))[2] * 3.0 + np.random.default_rng(0).random((4, 5, 70))
    for top in (False, True):
        grid = Grid((sign * ramp).astype(np.float32), top)
        for walk, of_maxima in ((grid.below, False), (grid.above, True)):
            known = grid.known(of_maxima)
            first = walk(known)
            assert np.array_equal(walk(known), first)
            backwards = grid.known(of_maxima)
            for numbers in (grid.edges, grid.edge_directions, grid.squares, grid.square_directions):
                numbers[:] = numbers[::-1].copy()
            assert np.array_equal(walk(backwards)[:, ::-1], first)
            assert np.array_equal(known != 0, backwards != 0)
            for numbers in (grid.edges, grid.edge_directions, grid.squares, grid.square_directions):
                numbers[:] = numbers[::-1].copy()
