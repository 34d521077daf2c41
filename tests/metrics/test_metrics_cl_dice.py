"""Centreline Dice, by hand and against the skeletons of scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gpuph.metrics import cl_dice, draw_graph
from support.graphs import graph, grid


def thick(width: int, columns: int = 60) -> torch.Tensor:
    made = torch.zeros(40, columns, dtype=torch.bool)
    made[20 : 20 + width] = True
    return made


@pytest.mark.parametrize("width", [1, 2, 3, 6])
def test_cl_dice_of_a_mask_with_itself_is_perfect(width):
    assert cl_dice(thick(width), thick(width)) == (1, 1, 1)


def test_missing_part_lowers_the_sensitivity_and_a_false_one_the_precision():
    short = thick(3)
    short[:, 45:] = False
    share = 44 / 58  # the skeleton of the whole band ends a pixel before it on both sides
    assert cl_dice(short, thick(3)) == pytest.approx((2 * share / (1 + share), 1, share), abs=1e-12)
    assert cl_dice(thick(3), short) == pytest.approx((2 * share / (1 + share), share, 1), abs=1e-12)


@pytest.mark.parametrize(("shift", "expected"), [(2, 1.0), (3, 1.0), (4, 0.0)])
def test_skeleton_may_be_displaced_by_half_the_thickness(shift, expected):
    # The middle of a band of six rows lies between two of them, and touches both.
    assert cl_dice(thick(6).roll(shift, 0), thick(6)).score == expected


def test_thickness_does_not_matter_along_the_same_line():
    assert cl_dice(thick(1).roll(1, 0), thick(3)).score == 1
    assert cl_dice(thick(1), thick(3)) == (0, 1, 0)


def test_cl_dice_is_one_if_both_masks_are_empty_and_zero_if_one_is():
    empty = torch.zeros(40, 60, dtype=torch.bool)
    assert cl_dice(empty, empty) == (1, 1, 1)
    assert cl_dice(empty, thick(3)) == cl_dice(thick(3), empty) == (0, 0, 0)


def test_cl_dice_of_a_batch_of_volumes_is_the_mean():
    target = torch.zeros(2, 1, 9, 9, 40, dtype=torch.bool)
    target[:, :, 3:6, 3:6] = True
    pred = target.clone()
    pred[1] = False
    assert cl_dice(pred, target) == (0.5, 0.5, 0.5)


def test_long_voxels_are_thinned_in_space():
    target = torch.zeros(12, 20, 40, dtype=torch.bool)
    target[3:6, 5:14] = True
    pred = target.clone()
    pred[..., 25:] = False
    tall = cl_dice(pred.repeat_interleave(3, 0), target.repeat_interleave(3, 0))
    assert cl_dice(pred, target, spacing=(3.0, 1.0, 1.0)) == pytest.approx(tall) and tall.sensitivity < 1


def test_graph_is_drawn_on_the_grid_of_the_mask():
    drawn = draw_graph(grid(), (210, 310))
    assert cl_dice(grid(), drawn) == (1, 1, 1)
    line = graph(["ab"], a=(21, 0), b=(21, 59))
    assert cl_dice(line, thick(3), mask=torch.ones(40, 60, dtype=torch.bool)) == (1, 1, 1)
    with pytest.raises(ValueError, match="pred or target must be a mask"):
        cl_dice(grid(), grid())


@pytest.mark.parametrize("seed", range(3))
def test_cl_dice_is_near_that_on_skeletons_of_scikit_image(seed):
    """Shit et al. use these; our curves may run between pixels and end elsewhere."""
    skeletonize = pytest.importorskip("skimage.morphology").skeletonize
    rng = np.random.default_rng(seed)
    drawn = torch.from_numpy(draw_graph(grid(), (210, 310))).float()[None, None]
    target = torch.nn.functional.max_pool2d(drawn, 7, 1, 3)[0, 0].numpy() > 0
    pred = target & (rng.random((21, 31)).repeat(10, 0).repeat(10, 1) > 0.15)
    pred |= rng.random((21, 31)).repeat(10, 0).repeat(10, 1) > 0.98
    skeletons = skeletonize(pred), skeletonize(target)
    precision, sensitivity = (
        skeletons[0][target].sum() / skeletons[0].sum(),
        skeletons[1][pred].sum() / skeletons[1].sum(),
    )
    expected = 2 * precision * sensitivity / (precision + sensitivity), precision, sensitivity
    assert cl_dice(pred, target) == pytest.approx(expected, abs=0.02) and expected[0] < 0.95
