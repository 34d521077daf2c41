"""Truncated distance maps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gpuph


def test_distances_are_euclidean_up_to_the_truncation() -> None:
    mask = torch.from_numpy(np.random.default_rng(0).random((2, 1, 20, 31)) < 0.02)
    found = gpuph.truncated_distance_map(mask, 6.0)
    assert found.dtype == torch.float32 and found.shape == mask.shape
    pixels = torch.cartesian_prod(torch.arange(20.0), torch.arange(31.0))
    for image, distances in zip(mask[:, 0], found[:, 0], strict=True):
        expected = torch.cdist(pixels, image.nonzero().float()).amin(dim=1).clamp(max=6.0)
        torch.testing.assert_close(distances.flatten(), expected)


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
