"""Truncated distance maps."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt
from torch.library import opcheck

import gpuph

SPACINGS = {
    2: ((1, 1), (2, 2), (0.3, 0.3), (4, 1), (1, 2.5), (0.7, 1.9), (1e-3, 1), (30, 0.01), (1e20, 1e20), (3e-20, 1e-20)),
    3: (
        (1, 1, 1), (2, 2, 2), (4, 1, 1), (2.5, 0.5, 0.75), (0.3, 0.7, 1.9), (1, 1, 1e-3), (1, 50, 1), (7, 7, 1),
        (1e20, 1e20, 2e20), (3e-20, 1e-20, 1e-20),
    ),
}  # fmt: skip


def test_distances_are_euclidean_up_to_the_truncation() -> None:
    mask = torch.from_numpy(np.random.default_rng(0).random((2, 1, 20, 31)) < 0.02)
    found = gpuph.truncated_distance_map(mask, 6.0)
    assert found.dtype == torch.float32 and found.shape == mask.shape
    pixels = torch.cartesian_prod(torch.arange(20.0), torch.arange(31.0))
    for image, distances in zip(mask[:, 0], found[:, 0], strict=True):
        expected = torch.cdist(pixels, image.nonzero().float()).amin(dim=1).clamp(max=6.0)
        torch.testing.assert_close(distances.flatten(), expected)


@pytest.mark.parametrize("rank", [2, 3])
def test_distances_equal_scipy_on_500_masks_and_10_spacings(rank: int) -> None:
    rng = np.random.default_rng(rank)
    for _ in range(500):
        shape = rng.integers(1, {2: 40, 3: 12}[rank], rank)
        mask = rng.random(shape) < rng.choice([0.003, 0.03, 0.3])
        mask.flat[rng.integers(mask.size)] = True
        for spacing in SPACINGS[rank]:
            truncation = float(rng.choice([0.5, 3.2, 9.0, 1e4]) * np.median(spacing))
            expected = np.minimum(distance_transform_edt(~mask, spacing).astype(np.float32), np.float32(truncation))
            found = gpuph.truncated_distance_map(torch.from_numpy(mask)[None, None], truncation, spacing=spacing)
            np.testing.assert_allclose(found[0, 0], expected, rtol=1e-5 if len({*spacing}) > 1 else 3e-7, atol=0)
            if set(spacing) == {1}:
                np.testing.assert_array_equal(found[0, 0], expected)


def test_distances_in_large_images_equal_scipy_with_any_number_of_threads() -> None:
    rng = np.random.default_rng(0)
    threads = torch.get_num_threads()
    try:
        for shape, truncation, count in itertools.product([(700, 901), (60, 70, 80)], [20.0, 1e9], [1, 2, 3]):
            torch.set_num_threads(count)
            mask = rng.random(shape) < 1e-4
            expected = np.minimum(distance_transform_edt(~mask).astype(np.float32), np.float32(truncation))
            found = gpuph.truncated_distance_map(torch.from_numpy(mask)[None, None], truncation)
            np.testing.assert_array_equal(found[0, 0], expected)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize(("truncation", "spacing"), [(1e300, 1.0), (1e300, 1e-300), (1e-300, 1e300), (2.5, 1e300)])
def test_numbers_outside_the_range_of_float32_do_not_raise(truncation: float, spacing: float) -> None:
    mask = torch.tensor([[[[True, False, False]]], [[[False, False, False]]]])
    found = gpuph.truncated_distance_map(mask, truncation, spacing=spacing)
    assert found.isfinite().all() and found[0, 0, 0, 0] == 0 and (found.diff() >= 0).all()
    assert (found[1] == found[1, 0, 0, 0]).all() and found[1, 0, 0, 0] >= found.max()


def test_any_nonzero_byte_is_true() -> None:
    mask = torch.tensor([[[[0, 7, 0, 0, 255]]]], dtype=torch.uint8).view(torch.bool)
    assert gpuph.truncated_distance_map(mask, 5.0).flatten().tolist() == [1, 0, 1, 1, 0]


def test_operator_passes_opcheck() -> None:
    checks = ("test_schema", "test_faketensor", "test_aot_dispatch_dynamic")
    opcheck(torch.ops.gpuph.distance_map, (torch.rand(2, 5, 6) < 0.2, 3.0, [1.0, 2.0]), test_utils=checks)
    opcheck(torch.ops.gpuph.distance_map, (torch.rand(2, 3, 4, 5) < 0.1, 3.0, [4.0, 1.0, 1.0]), test_utils=checks)


def test_image_without_roads_is_at_the_truncation_everywhere() -> None:
    mask = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    mask[1] = True
    found = gpuph.truncated_distance_map(mask, 5.0)
    assert (found[0] == 5).all() and (found[1] == 0).all()


def test_empty_batches_and_noncontiguous_masks_are_accepted() -> None:
    assert gpuph.truncated_distance_map(torch.zeros(0, 1, 4, 4, dtype=torch.bool), 5.0).shape == (0, 1, 4, 4)
    mask = torch.zeros(1, 1, 6, 9, dtype=torch.bool)
    mask[..., 2, 3] = True
    turned = gpuph.truncated_distance_map(mask.transpose(2, 3), 5.0)
    assert torch.equal(turned.transpose(2, 3), gpuph.truncated_distance_map(mask, 5.0))


def test_invalid_input_raises_an_error_that_names_it() -> None:
    mask = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    with pytest.raises(TypeError, match=r"mask must be a bool tensor, got torch\.float32"):
        gpuph.truncated_distance_map(mask.float(), 5.0)
    with pytest.raises(ValueError, match=r"mask must have the shape \(B, 1, H, W\) or \(B, 1, D, H, W\), got \(4, 4\)"):
        gpuph.truncated_distance_map(mask[0, 0], 5.0)
    for truncation in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="truncation must be a positive number"):
            gpuph.truncated_distance_map(mask, truncation)
