"""`betti_matching_error` counts the features of either mask that are not in the other one's place."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.ndimage import label
from torch import Tensor

from gpuph.metrics import betti_error, betti_matching_error, draw_graph, skeleton_graph

ONE = {"window": 99, "patches": 1, "trials": 1}  # the whole image


def noise(shape: tuple[int, ...], density: float, seed: int) -> Tensor:
    return torch.rand((2, *shape), generator=torch.Generator().manual_seed(seed)) < density


def ring(row: int, column: int, size: int = 9) -> Tensor:
    mask = torch.zeros(40, 60, dtype=torch.bool)
    mask[row : row + size, column : column + size] = True
    mask[row + 1 : row + size - 1, column + 1 : column + size - 1] = False
    return mask


@pytest.mark.parametrize("shape", [(12, 14), (5, 6, 7)], ids=["image", "volume"])
@pytest.mark.parametrize("density", [0.2, 0.5, 0.7])
def test_error_is_that_of_betti_numbers_or_larger_by_pairs(shape: tuple[int, ...], density: float) -> None:
    dims = (0, 1) if len(shape) == 2 else (0, 2)
    for seed, dim, border, construction in itertools.product(range(5), dims, (False, True), "TV"):
        pred, target = noise(shape, density, seed)
        settings = {"dim": dim, "border": border, "construction": construction, **ONE}
        error = betti_matching_error(pred, target, **settings)
        more = error - betti_error(pred, target, **settings)
        assert more >= 0 and more % 2 == 0
        assert betti_matching_error(target, pred, **settings) == error
        assert betti_matching_error(pred, pred, **settings) == 0


@pytest.mark.parametrize("border", [False, True], ids=["open", "framed"])
def test_components_have_partners_if_they_overlap(border: bool) -> None:
    """Where each component overlaps at most one, those without overlap are what counts."""
    found = 0
    for seed in range(60):
        pred, target = noise((9, 11), 0.15, seed)
        inner = (slice(1, -1), slice(1, -1))
        a, b = (np.pad(x.numpy(), 1, constant_values=border) for x in (pred, target))
        (of_a, n_a), (of_b, n_b) = (label(x, np.ones((3, 3))) for x in (a, b))
        overlaps = {(i, j) for i, j in zip(of_a.ravel(), of_b.ravel(), strict=True) if i and j}
        if any(len({pair[side] for pair in overlaps}) < len(overlaps) for side in (0, 1)):
            continue
        found += 1
        assert pred.shape == a[inner].shape
        assert betti_matching_error(pred, target, dim=0, border=border, **ONE) == n_a + n_b - 2 * len(overlaps)
    assert found > 10


def test_ring_that_is_moved_keeps_its_partner_as_long_as_the_insides_overlap() -> None:
    target = ring(12, 20) | ring(12, 45)
    for shift in (0, 1, 3):
        assert betti_matching_error(ring(12 + shift, 20 - shift) | ring(12, 45), target, border=False, **ONE) == 0
    assert betti_matching_error(ring(12, 5) | ring(12, 45), target, border=False, **ONE) == 2
    assert betti_error(ring(12, 5) | ring(12, 45), target, border=False, **ONE) == 0


def test_component_elsewhere_is_false_and_the_other_one_missing() -> None:
    pred, target = torch.zeros(2, 30, 30, dtype=torch.bool)
    pred[3:6, 3:6] = target[20:23, 20:23] = True
    for border in (False, True):
        assert betti_matching_error(pred, target, dim=0, border=border, **ONE) == 2
        assert betti_matching_error(pred, torch.zeros_like(target), dim=0, border=border, **ONE) == 1
        assert betti_matching_error(*torch.zeros(2, 9, 9, dtype=torch.bool), dim=0, border=border, **ONE) == 0
        assert betti_matching_error(*torch.ones(2, 9, 9, dtype=torch.bool), dim=0, border=border, **ONE) == 0


def test_graph_is_drawn_on_the_grid_of_the_mask() -> None:
    target = ring(12, 20) | ring(12, 45)
    graph = skeleton_graph(target)
    drawn = betti_matching_error(draw_graph(graph, target.shape), target, border=False)
    assert betti_matching_error(graph, target, border=False) == drawn == 0


def test_windows_are_those_of_betti_error() -> None:
    pred, target = noise((1, 1, 40, 40), 0.6, 0)
    empty = torch.zeros_like(pred)
    for dim in (0, 1):
        # An empty mask has no partners, so both count the features of the other one in the same windows.
        settings = [{"dim": dim, "window": 16, "border": False, "generator": torch.Generator()} for _ in range(2)]
        assert betti_matching_error(pred, empty, **settings[0]) == betti_error(pred, empty, **settings[1]) > 0
    assert target.any()
