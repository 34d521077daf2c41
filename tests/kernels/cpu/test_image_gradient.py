"""The gradient stage: keys, lower stars and their matching."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from gpuph.kernels import cells
from gpuph.kernels.cpu.image import gradient
from support import inputs
from support.image_stages import keys_of

DIRECTIONS = {1 << (dx + 1 + 3 * (dy + 1)): (dx, dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)}


def star_of(lower: int) -> int:
    """Return the lower star that `match_stars` computes for a vertex with these lower neighbours."""
    star = np.array([lower | cells.VERTEX], np.uint16)
    gradient.match_stars(star, *np.zeros((2, 1), np.uint16))
    return int(star[0])


@pytest.mark.parametrize("top", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_keys_are_ordered_like_the_values(dtype: type, top: bool) -> None:
    tiny = np.finfo(dtype).smallest_subnormal
    values = np.array([[-np.inf, -3.0, -tiny, -0.0, 0.0, tiny, 1e-30, 3.0, np.inf]], dtype)
    nan, key = keys_of(values, top)
    inside = key[1, 1:-1]
    expected = np.unique(values, return_inverse=True)[1].ravel()  # equal numbers for equal values
    found = np.unique(inside, return_inverse=True)[1].ravel()
    assert not nan and np.array_equal(found, expected.max() - expected if top else expected)
    frame = key[0, 0]
    assert (frame < inside.min()) if top else (frame > inside.max())


def test_nan_is_reported_at_every_position() -> None:
    image = np.zeros((3, 4), np.float32)
    for at in np.ndindex(image.shape):
        image[at] = np.nan
        assert keys_of(image, False)[0]
        image[at] = np.inf
    assert not keys_of(image, False)[0]


@pytest.mark.parametrize("top", [False, True])
@pytest.mark.parametrize("kind", inputs.KINDS)
@pytest.mark.parametrize("shape", [(7, 18), (1, 1), (1, 6), (5, 1)])
def test_lower_star_holds_neighbours_lower_by_value_then_index(shape: tuple[int, int], kind: str, top: bool) -> None:
    image = inputs.image(kind, shape)
    key = keys_of(image, top)[1]
    star, before = np.zeros((2, *key.shape), np.uint16)
    gradient.lower_stars(key.ravel(), *key.shape, star.ravel(), before.ravel())
    order = [(k, i) for i, k in enumerate(key.ravel().tolist())]
    for y, x in np.ndindex(image.shape):
        at = (y + 1) * key.shape[1] + x + 1
        expected = cells.VERTEX
        for bit, (dx, dy) in DIRECTIONS.items():
            if order[at + dx + dy * key.shape[1]] < order[at]:
                expected |= bit
        assert star.ravel()[at] == expected
    assert not star[0].any() and not star[-1].any() and not star[:, 0].any() and not star[:, -1].any()


@pytest.mark.parametrize("lower", range(0, 512, 1))
def test_matching_of_a_lower_star_is_acyclic_and_leaves_critical_cells(lower: int) -> None:
    star = star_of(lower)
    inside = {d for bit, d in DIRECTIONS.items() if star & bit}
    # A square is in the lower star if its far corner and both of its edges are.
    for dx, dy in [(-1, -1), (1, -1), (-1, 1), (1, 1)]:
        bit = {d: b for b, d in DIRECTIONS.items()}[dx, dy]
        assert ((dx, dy) in inside) == (bool(lower & bit) and (dx, 0) in inside and (0, dy) in inside)
    left = np.zeros(1, np.uint16)
    gradient.match_stars(np.array([star], np.uint16), left, np.zeros(1, np.uint16))

    matched = cells.match_star(star, 2)
    flow = nx.DiGraph()
    for bit, (dx, dy) in DIRECTIONS.items():
        if not star & bit:
            assert not left[0] & bit
            continue
        shift = matched.get(bit.bit_length() - 1, 0)
        step = (shift, 0) if abs(shift) <= 1 else (0, shift // 3)
        assert (step == (0, 0)) == bool(left[0] & bit)
        faces = [face for face in ((0, dy), (dx, 0)) if face != (dx, dy) and face in inside]
        partner_below = (dx - step[0], dy - step[1])
        for face in faces:  # from cell to face, but from face to cell where the two are matched
            if step != (0, 0) and face == partner_below and abs(dx) + abs(dy) > abs(face[0]) + abs(face[1]):
                assert matched[face[0] + 1 + 3 * (face[1] + 1)] == shift
                flow.add_edge(face, (dx, dy))
            else:
                flow.add_edge((dx, dy), face)
    assert nx.is_directed_acyclic_graph(flow)


def test_only_maxima_have_a_critical_square_and_it_is_the_north_western() -> None:
    """The list of critical cells and the trace of squares rely on this."""
    for lower in range(512):
        star = star_of(lower)
        left = np.zeros(1, np.uint16)
        gradient.match_stars(np.array([star], np.uint16), left, np.zeros(1, np.uint16))
        squares = int(left[0]) & cells.SQUARES
        assert squares == (cells.NW if star & cells.SQUARES == cells.SQUARES else 0)
        assert not left[0] & cells.E and bool(left[0] & cells.VERTEX) == (star == cells.VERTEX)


def test_vertices_and_cells_are_matched_in_the_stated_order() -> None:
    for lower in range(512):
        star = star_of(lower)
        left = np.zeros(1, np.uint16)
        gradient.match_stars(np.array([star], np.uint16), left, np.zeros(1, np.uint16))
        matched = cells.match_star(star, 2)
        assert {bit for bit in range(9) if star >> bit & 1} - set(matched) == {b for b in range(9) if left[0] >> b & 1}
        first = next((edge for edge in cells.MATCHING_EDGES if star & edge), 0)
        assert (1 << 4 + matched.get(4, 0)) == (first or cells.VERTEX)
