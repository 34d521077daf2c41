"""Morse skeletons: curves and surfaces equal a plain reference, and have the properties of skeletons."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.library import opcheck

import gpuph
from gpuph import ops
from support import inputs, morse_reference

THRESHOLDS = (0.0, 0.02, 0.1, 0.5)
SHAPES = ((9, 13), (1, 11), (4, 3, 5), (1, 4, 5))


def skeleton(image: np.ndarray, threshold: float, *manifolds: int) -> np.ndarray:
    return ops.skeleton(torch.from_numpy(image)[None], threshold, manifolds or (1,))[0].numpy()


@pytest.mark.parametrize("kind", ["noise", "smooth", "ramp", "integers"])
@pytest.mark.parametrize("shape", SHAPES)
def test_skeleton_equals_the_cell_by_cell_reference(shape: tuple[int, ...], kind: str) -> None:
    for seed in range(2):
        image = inputs.image(kind, shape, seed, np.float64)
        gradient = morse_reference.Gradient(image)
        for manifolds in ((1,),) if len(shape) == 2 else ((1,), (2,)):
            for threshold in THRESHOLDS:
                expected = morse_reference.skeleton_of(gradient, threshold, manifolds)
                assert np.array_equal(skeleton(image, threshold, *manifolds), expected)


@pytest.mark.parametrize("manifolds", [(1,), (2,), (1, 2)])
@pytest.mark.parametrize("kind", inputs.KINDS)
def test_larger_threshold_gives_a_subset(kind: str, manifolds: tuple[int, ...]) -> None:
    shapes = ((40, 31), (9, 14, 11)) if manifolds == (1,) else ((9, 14, 11),)
    for shape in shapes:
        masks = [skeleton(inputs.image(kind, shape), threshold, *manifolds) for threshold in (*THRESHOLDS, np.inf)]
        assert not masks[-1].any()
        for more, less in itertools.pairwise(masks):
            assert (more | ~less).all()


def test_two_manifolds_give_the_union_of_their_skeletons() -> None:
    image = inputs.image("smooth", (9, 14, 11))
    for threshold in THRESHOLDS:
        one, two, both = (skeleton(image, threshold, *manifolds) for manifolds in ((1,), (2,), (1, 2)))
        assert np.array_equal(both, one | two)


@pytest.mark.parametrize("shape", [(3, 9, 13), (2, 5, 6, 7)])
def test_scale_dtype_and_threads_do_not_matter(shape: tuple[int, ...]) -> None:
    x = torch.from_numpy(inputs.image("noise", shape))
    manifolds = (1, 2) if len(shape) == 4 else (1,)
    mask = ops.skeleton(x, 1.0, manifolds)
    assert mask.any() and not mask.all()
    assert torch.equal(ops.skeleton(4 * x, 4.0, manifolds), mask)
    assert torch.equal(ops.skeleton(x.double(), 1.0, manifolds), mask)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert torch.equal(ops.skeleton(x, 1.0, manifolds), mask)
    finally:
        torch.set_num_threads(before)


def ball(size: int) -> np.ndarray:
    return np.sqrt(((np.indices((size,) * 3) - (size - 1) / 2) ** 2).sum(axis=0))


def test_noisy_sphere_with_a_weak_spot_gives_a_closed_surface() -> None:
    noise = np.random.default_rng(0).random((21, 21, 21))
    weak = np.exp(-((np.indices((21, 21, 21)) - np.array([10, 10, 17])[:, None, None, None]) ** 2).sum(axis=0) / 6)
    x = abs(ball(21) - 7) + 2 * weak + 0.2 * noise
    surface = skeleton(x, 1.5, 2)
    outside = ndimage.label(~surface)[0]
    assert outside[10, 10, 10] != outside[0, 0, 0] and not surface[10, 10, 10]
    assert abs(ball(21)[surface] - 7).max() < 2.5
    assert (x[surface] > 1.5).any()  # also at the weak spot


def test_noisy_ring_with_a_weak_spot_gives_one_connected_curve() -> None:
    size = 24
    tube = inputs.thickened(inputs.ring((11.5, 11.5, 11.5), 7, 0), size, 0.8)
    x = ndimage.distance_transform_edt(~tube) + 0.05 * np.random.default_rng(0).random((size,) * 3)
    x[10:14, 10:14, 17:21] += 1.5  # a weak spot
    curve = skeleton(x, 2.0)
    assert 30 < curve.sum() < 90 and ndimage.distance_transform_edt(~tube)[curve].max() <= 2.0
    assert ndimage.label(curve)[1] == 1 and curve[10:14, 10:14, 17:21].any()


def test_every_component_of_a_curve_contains_a_lasting_minimum() -> None:
    """Paths and the edges of saddles follow edges of the grid and lead to minima that last."""
    image = inputs.image("smooth", (60, 70), dtype=np.float64)
    for threshold in (0.01, 0.05):
        mask = skeleton(image, threshold)
        pairs = gpuph.persistence(torch.from_numpy(image)[None], (0,), "V", threshold)[0]
        minima = pairs.birth_index[0].numpy()
        for component in range(1, ndimage.label(mask)[1] + 1):
            pixels = np.flatnonzero(ndimage.label(mask)[0].ravel() == component)
            assert np.isin(minima, pixels).any()


def test_constant_and_nan_windows_have_no_skeleton() -> None:
    x = torch.randn(3, 8, 9, generator=torch.Generator().manual_seed(0))
    clean = ops.skeleton(x, 0.0, (1,))
    x[1, 2, 3] = float("nan")
    mask = ops.skeleton(x, 0.0, (1,))
    assert mask[[0, 2]].equal(clean[[0, 2]]) and not mask[1].any()
    assert ops.skeleton(x[:0], 0.0, (1,)).shape == (0, 8, 9)
    for shape in ((1, 1), (5, 7), (1, 1, 1), (3, 4, 5)):
        assert not ops.skeleton(torch.full((1, *shape), 2.5), 0.0, (1, 2)).any()
    with_nan = torch.randn(2, 4, 5, 6)
    with_nan[0, 1, 1, 1] = float("nan")
    assert ops.skeleton(with_nan, 0.0, (1, 2)).flatten(1).any(dim=1).tolist() == [False, True]


def test_operator_passes_opcheck() -> None:
    checks = ("test_schema", "test_faketensor", "test_autograd_registration")
    for shape, manifolds in (((2, 7, 8), [1]), ((2, 4, 5, 6), [1, 2])):
        opcheck(torch.ops.gpuph.skeleton, (torch.randn(shape), 0.1, manifolds), test_utils=checks)
