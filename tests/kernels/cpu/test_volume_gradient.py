"""The gradient stage of volumes: lower stars and their matching."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from gpuph.kernels import cells
from gpuph.kernels.cpu.volume import stars
from support import inputs
from support.volume_stages import NUMBER, Grid, random_neighbours, star_of

SIDES = [cells.DIRECTIONS3[bit] for bit in cells.MATCHING_EDGE_BITS]


def faces(direction: tuple[int, int, int]) -> list[tuple[int, int, int]]:
    """Return the faces of a cell that contain the vertex at which it is named."""
    return [(*direction[:axis], 0, *direction[axis + 1 :]) for axis in range(3) if direction[axis]]  # type: ignore[misc]


def test_cell_masks_agree_with_directions() -> None:
    for bit, direction in enumerate(cells.DIRECTIONS3):
        dimension = sum(map(abs, direction))
        masks = (cells.VERTEX3, cells.EDGES3, cells.SQUARES3, cells.CUBES3)
        assert [mask >> bit & 1 for mask in masks] == [int(dimension == dim) for dim in range(4)]
        assert [mask >> bit & 1 for mask in (cells.NO_X3, cells.NO_Y3, cells.NO_Z3)] == [int(d == 0) for d in direction]


@pytest.mark.parametrize("top", [False, True])
@pytest.mark.parametrize("kind", inputs.KINDS)
def test_lower_star_holds_neighbours_lower_by_value_then_index(kind: str, top: bool) -> None:
    grid = Grid(inputs.image(kind, (4, 5, 18)), top)
    order = [(k, i) for i, k in enumerate(grid.key.tolist())]
    critical = dict(zip(grid.owners.tolist(), grid.masks.tolist(), strict=True))
    for z, y, x in np.ndindex(4, 5, 18):
        at = (z + 1) * grid.area + (y + 1) * grid.width + x + 1
        lower = 0
        for (dx, dy, dz), bit in NUMBER.items():
            lower |= (order[at + dx + dy * grid.width + dz * grid.area] < order[at]) << bit
        inside, left = star_of(lower)
        assert grid.star[at] == sum(1 << NUMBER[direction] for direction in inside)
        assert critical.get(at, 0) == sum(1 << NUMBER[direction] for direction in left)
    on_frame = np.ones(grid.shape, bool)
    on_frame[1:-1, 1:-1, 1:-1] = False
    assert not grid.star[on_frame.ravel()].any()


def test_matching_of_a_lower_star_is_acyclic_and_leaves_critical_cells() -> None:
    for lower in random_neighbours(400):
        inside, left = star_of(lower)
        # A cell is in the lower star if its far corner and all of its faces are.
        for direction, bit in NUMBER.items():
            belongs = direction == (0, 0, 0) or (bool(lower >> bit & 1) and all(f in inside for f in faces(direction)))
            assert (direction in inside) == belongs
        rest, partner = set(inside), {}
        for side in SIDES:
            axis = [*map(abs, side)].index(1)
            for cell in [c for c in rest if c[axis] == 0]:
                other = tuple(c + s for c, s in zip(cell, side, strict=True))
                if other in rest:
                    partner[other] = cell
                    rest -= {cell, other}
        assert rest == left
        flow = nx.DiGraph()
        for cell in inside:
            for face in faces(cell):  # from cell to face, but from face to cell where the two are matched
                flow.add_edge(*((face, cell) if partner.get(cell) == face else (cell, face)))
        assert nx.is_directed_acyclic_graph(flow)


def test_no_eastern_edge_is_critical_and_only_the_first_cube_of_a_maximum() -> None:
    """The list of critical cells and the trace of cubes rely on this."""
    cubes = {direction for direction in NUMBER if 0 not in direction}
    for lower in [*random_neighbours(3000), (1 << 27) - 1, *((1 << 27) - 1 - (1 << bit) for bit in range(27))]:
        inside, left = star_of(lower)
        assert (1, 0, 0) not in left and ((0, 0, 0) in left) == (inside == {(0, 0, 0)})
        assert left & cubes == ({(-1, -1, -1)} if cubes <= inside else set())


def test_cells_are_matched_in_the_stated_order() -> None:
    for lower in random_neighbours(1000):
        inside, left = star_of(lower)
        star = sum(1 << NUMBER[direction] for direction in inside)
        matched = cells.match_star(star, 3)
        assert {NUMBER[direction] for direction in inside - left} == set(matched)
        upward = stars.matched_upward(np.uint32(star))
        for shift, mask in zip(cells.MATCHING_SHIFTS, upward[:6], strict=True):
            assert {bit for bit in range(27) if int(mask) >> bit & 1} == {
                bit for bit, along in matched.items() if along == shift and matched.get(bit + shift) == shift
                and np.abs(cells.DIRECTIONS3[bit]).sum() < np.abs(cells.DIRECTIONS3[bit + shift]).sum()
            }  # fmt: skip
        assert int(upward[6]) == sum(1 << NUMBER[direction] for direction in left)


def test_the_order_of_the_matching_is_one_for_images_and_volumes() -> None:
    """A volume of one slice is matched as an image."""
    assert tuple(1 << 4 + shift for shift in cells.MATCHING_SHIFTS[:4]) == cells.MATCHING_EDGES
    assert tuple(cells.VERTEX_BIT + shift for shift in cells.MATCHING_SHIFTS) == cells.MATCHING_EDGE_BITS
    for star in range(512):
        in_slice = {9 + bit: shift for bit, shift in cells.match_star(star, 2).items()}
        assert cells.match_star(star << 9, 3) == in_slice
