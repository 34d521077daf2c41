"""The errors that `bench.paper` puts into masks of roads."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import label

from bench.paper import fig4
from bench.paper.errors import GAP, LENGTH, break_road, inject, join_roads
from bench.speed.inputs import road_mask

pytestmark = pytest.mark.slow  # on the whole scene


@pytest.fixture(scope="module")
def crop() -> np.ndarray:
    return fig4.richest_crops(road_mask()[0, 0].numpy(), 256, 1)[0]


def betti(mask: np.ndarray) -> tuple[int, int]:
    """Return the number of components, connected across corners, and the number of loops."""
    return label(mask, np.ones((3, 3)))[1], label(np.pad(~mask, 1, constant_values=True))[1] - 1


@pytest.mark.parametrize("seed", range(5))
def test_break_adds_a_component_or_opens_a_loop(crop, seed):
    broken = break_road(crop, np.random.default_rng(seed))
    assert not (broken & ~crop).any()
    rows, columns = np.nonzero(crop & ~broken)
    assert max(np.ptp(rows), np.ptp(columns)) <= 2 * GAP[1]
    components, loops = np.subtract(betti(broken), betti(crop))
    assert (components, loops) in ((1, 0), (0, -1))


@pytest.mark.parametrize("seed", range(5))
def test_false_connection_closes_a_loop_or_merges_components(crop, seed):
    joined = join_roads(crop, np.random.default_rng(seed))
    assert not (crop & ~joined).any()
    rows, columns = np.nonzero(joined & ~crop)
    assert LENGTH[0] / 2 <= max(np.ptp(rows), np.ptp(columns)) <= LENGTH[1]
    components, loops = np.subtract(betti(joined), betti(crop))
    assert (components, loops) in ((0, 1), (-1, 0))


def test_each_injected_error_changes_the_topology_by_one(crop):
    masks, kinds = inject(crop, 6, np.random.default_rng(0))
    assert masks.shape == (7, *crop.shape)
    assert np.array_equal(masks[0], crop)
    for before, after, kind in zip(masks, masks[1:], kinds, strict=False):
        components, loops = np.subtract(betti(after), betti(before))
        assert components - loops == (1 if kind == "break" else -1)


@pytest.mark.parametrize("error", [break_road, join_roads])
def test_error_without_a_place_raises(error):
    with pytest.raises(ValueError, match="found in a mask with 0 pixels of roads"):
        error(np.zeros((20, 20), bool), np.random.default_rng(0))
