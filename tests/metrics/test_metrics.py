"""Correctness, completeness and quality, and errors of Betti numbers, against values calculated by hand."""

import networkx as nx
import numpy as np
import pytest
import torch
from skimage.measure import label

from gpuph.metrics import betti_error, ccq, skeleton_graph
from support.graphs import SYMMETRIES, graph, moved, oddities


@pytest.fixture
def streets() -> torch.Tensor:
    """Return a crossing of two streets, three pixels wide."""
    mask = torch.zeros(64, 80, dtype=torch.bool)
    mask[30:33] = True
    mask[:, 40:43] = True
    return mask


# Correctness, completeness, quality.


def test_ccq_of_identical_masks_is_perfect(streets):
    assert ccq(streets, streets, tolerance=0.0) == (1.0, 1.0, 1.0)


def test_ccq_of_drawn_lines_is_as_calculated():
    target = torch.zeros(40, 60, dtype=torch.bool)
    target[10, 5:55] = True  # 50 pixels
    pred = torch.zeros_like(target)
    pred[12, 5:45] = True  # 40 of them are found, two pixels away; 10 are missing
    pred[30, 20:30] = True  # 10 are false
    correctness, completeness, quality = ccq(pred, target, tolerance=2.0)
    assert (correctness, completeness) == (40 / 50, 40 / 50)
    assert quality == 40 / (50 + 10)


def test_swapping_pred_and_target_swaps_correctness_and_completeness(streets):
    pred = streets.clone()
    pred[:, 50:60] = False
    there, back = ccq(pred, streets, tolerance=2.0), ccq(streets, pred, tolerance=2.0)
    assert (there.correctness, there.completeness) == (back.completeness, back.correctness)
    assert there.correctness == 1.0 > there.completeness


def test_ccq_matches_lines_displaced_by_up_to_the_tolerance():
    target = torch.zeros(40, 60, dtype=torch.bool)
    target[10] = True
    pred = target.roll(5, 0)
    assert ccq(pred, target, tolerance=5.0) == (1.0, 1.0, 1.0)
    assert ccq(pred, target, tolerance=4.9) == (0.0, 0.0, 0.0)


def test_ccq_is_perfect_for_two_empty_masks_and_zero_for_one(streets):
    nothing = torch.zeros_like(streets)
    assert ccq(nothing, nothing) == (1.0, 1.0, 1.0)
    assert ccq(nothing, streets) == (0.0, 0.0, 0.0)
    assert ccq(streets, nothing) == (0.0, 0.0, 0.0)


def test_ccq_adds_up_the_lengths_of_a_batch():
    target = torch.zeros(2, 1, 40, 60, dtype=torch.bool)
    target[:, :, 10] = True
    pred = target.clone()
    pred[1, :, :, 30:] = False
    assert ccq(pred, target, tolerance=0.0).completeness == 90 / 120
    assert ccq(target[:0], target[:0]) == (1.0, 1.0, 1.0)


def test_ccq_takes_volumes():
    target = torch.zeros(9, 9, 30, dtype=torch.bool)
    target[4, 4] = True
    pred = target.roll(2, 0)
    pred[..., 15:] = False
    assert ccq(pred, target, tolerance=2.0) == (1.0, 0.5, 0.5)


# Betti numbers.


def betti(mask: torch.Tensor, dim: int, construction: str, border: bool) -> int:
    """Return a Betti number of one mask by counting components with scikit-image."""
    object_ = np.pad(mask.numpy(), 1, constant_values=border)
    connectivity = 2 if construction == "T" else 1
    if dim == 0:
        return label(object_, connectivity=connectivity, return_num=True)[1]
    # Loops correspond to the components of the background, except the one outside.
    background = np.pad(~object_, 1, constant_values=True)
    return label(background, connectivity=3 - connectivity, return_num=True)[1] - 1


@pytest.mark.parametrize("border", [True, False], ids=["framed", "open"])
@pytest.mark.parametrize("construction", ["T", "V"])
@pytest.mark.parametrize("dim", [0, 1])
def test_betti_error_counts_components_and_loops(dim, construction, border):
    rng = torch.Generator().manual_seed(0)
    for density in (0.1, 0.5, 0.9):
        pred, target = torch.rand((2, 12, 17), generator=rng) < density
        expected = abs(betti(pred, dim, construction, border) - betti(target, dim, construction, border))
        error = betti_error(pred, target, dim=dim, border=border, construction=construction, patches=1, trials=1)
        assert error == expected


def test_betti_error_of_identical_masks_is_zero(streets):
    assert betti_error(streets, streets) == 0
    nothing = torch.zeros_like(streets)
    assert betti_error(nothing, nothing, dim=0, border=False) == 0


def test_betti_error_of_an_empty_mask_counts_the_missing_component(streets):
    assert betti_error(torch.zeros_like(streets), streets, dim=0, border=False, window=80) == 1


def test_betti_error_counts_a_gap_in_a_street_only_with_a_frame(streets):
    gap = streets.clone()
    gap[:, 10:15] = False
    assert betti_error(gap, streets, window=80) == 1
    assert betti_error(gap, streets, window=80, border=False) == 0


def test_betti_error_cuts_the_same_windows_from_pred_and_target(streets):
    batch = torch.stack((streets, streets.flip(0)))[:, None]
    noisy = batch & (torch.rand(batch.shape, generator=torch.Generator().manual_seed(0)) < 0.9)
    same = [betti_error(noisy, batch, window=32, generator=torch.Generator().manual_seed(1)) for _ in range(2)]
    assert same[0] == same[1] > 0
    assert betti_error(noisy, noisy.clone(), window=32) == 0


def test_betti_error_in_small_windows_counts_the_loops_inside_them():
    """Windows of a periodic image contain almost the same number of whole cells."""
    grid = torch.zeros(120, 120, dtype=torch.bool)
    grid[::10] = True
    grid[:, ::10] = True
    filled = torch.ones_like(grid)
    # 31 pixels always contain at least two whole cells of side 10, and three if they start on a line.
    error = betti_error(filled, grid, window=31, border=False, patches=100)
    assert 4 < error < 9


# Errors.


@pytest.mark.parametrize("metric", [ccq, betti_error])
def test_metrics_of_masks_reject_other_inputs(metric, streets):
    with pytest.raises(ValueError, match=r"pred must hold probabilities .* torch\.float32, got .* to 2;"):
        metric(2 * streets.float(), streets)
    with pytest.raises(TypeError, match=r"target must hold numbers .* got an array of complex128"):
        metric(streets, streets.numpy().astype(complex))
    with pytest.raises(ValueError, match=r"same shape, got \(64, 80\) and \(64, 79\)"):
        metric(streets, streets[:, :-1])
    with pytest.raises(ValueError, match=r"got \(2, 2, 64, 80\)"):
        metric(streets.expand(2, 2, 64, 80), streets.expand(2, 2, 64, 80))


def test_settings_out_of_range_raise(streets):
    with pytest.raises(ValueError, match="tolerance"):
        ccq(streets, streets, tolerance=-1.0)
    for name in ("window", "patches", "trials"):
        with pytest.raises(ValueError, match=name):
            betti_error(streets, streets, **{name: 0})
    with pytest.raises(ValueError, match="at least one image"):
        betti_error(streets.view(1, 1, 64, 80)[:0], streets.view(1, 1, 64, 80)[:0])


# Graphs.


def test_ccq_of_drawn_graphs_is_as_calculated():
    target = graph(["ab"], a=(10.0, 0.0), b=(10.0, 50.0))
    pred = graph(["ab", "cd"], a=(12.0, 0.0), b=(12.0, 40.0), c=(90.0, 0.0), d=(90.0, 10.0))
    result = ccq(pred, target, tolerance=2.0)
    assert result == pytest.approx((40 / 50, 40 / 50, 40 / 60))
    assert ccq(pred, target, tolerance=1.9) == (0.0, 0.0, 0.0)
    assert ccq(target, target, tolerance=0.0) == (1.0, 1.0, 1.0)


def test_ccq_is_perfect_for_two_empty_graphs_and_zero_for_one():
    nothing, line = nx.Graph(), graph(["ab"], a=(0, 0), b=(0, 9))
    assert ccq(nothing, nothing) == (1.0, 1.0, 1.0)
    assert ccq(nothing, line) == ccq(line, nothing) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_ccq_of_graphs_is_invariant_under_symmetries(symmetry):
    pred = oddities()
    pred.remove_edge("a", "b", 1)
    there = ccq(moved(pred, symmetry), moved(oddities(), symmetry), tolerance=3.3)
    assert there == pytest.approx(ccq(pred, oddities(), tolerance=3.3))
    assert there.correctness == 1.0 > there.completeness


def test_ccq_of_a_skeleton_graph_is_close_to_that_of_the_mask(streets):
    pred = streets.clone()
    pred[:, 50:60] = False
    masks = ccq(pred, streets, tolerance=2.0)
    for graphs in ((skeleton_graph(pred), streets), (pred, skeleton_graph(streets))):
        assert ccq(*graphs, tolerance=2.0) == pytest.approx(masks, abs=0.02)


def test_betti_error_draws_a_graph_on_the_grid_of_the_mask(streets):
    lines = graph(["ab", "cd"], a=(31, 0), b=(31, 79), c=(0, 41), d=(63, 41))
    assert betti_error(lines, streets, window=80) == betti_error(streets, lines, window=80) == 0
    lines.remove_edge("a", "b")
    assert betti_error(lines, streets[None, None], window=80) == 2
    with pytest.raises(ValueError, match="draw_graph"):
        betti_error(lines, lines)
    with pytest.raises(ValueError, match="target must hold one mask if the other input is a graph, got 2"):
        betti_error(lines, streets.expand(2, 1, 64, 80))


def test_betti_error_of_volumes_counts_cavities():
    solid = torch.zeros(12, 12, 12, dtype=torch.bool)
    solid[3:9, 3:9, 3:9] = True
    hollow = solid.clone()
    hollow[5:7, 5:7, 5:7] = False
    assert [betti_error(hollow, solid, dim=dim, border=False) for dim in (0, 1, 2)] == [0, 0, 1]
