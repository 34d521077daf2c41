"""Distance maps of pixels that are not unit squares."""

from __future__ import annotations

import math

import pytest
import torch

import gpuph


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [
        ((6, 11, 9), (4.0, 1.0, 1.0)),
        ((5, 7, 8), (2.5, 0.5, 0.75)),
        ((12, 9), (0.3, 7.0)),
        ((1, 9), (3.0, 2.0)),
        ((6, 11, 9), (2.0, 2.0, 2.0)),
    ],
)
def test_distances_with_spacing_equal_brute_force(shape: tuple[int, ...], spacing: tuple[float, ...]) -> None:
    mask = torch.rand(3, 1, *shape, generator=torch.Generator().manual_seed(0)) < 0.04
    mask[0], mask[1, :, -1], mask[2, ..., 0] = False, True, True
    found = gpuph.truncated_distance_map(mask, 6.5, spacing=spacing)
    places = torch.cartesian_prod(*[torch.arange(side) for side in shape]).double() * torch.tensor(spacing).double()
    assert found.dtype == torch.float32 and (found[0] == 6.5).all()
    for image, distances in zip(mask[1:, 0], found[1:, 0], strict=True):
        on = image.nonzero().double() * torch.tensor(spacing).double()
        expected = torch.cdist(places, on, compute_mode="donot_use_mm_for_euclid_dist").amin(dim=1).clamp(max=6.5)
        torch.testing.assert_close(distances.flatten(), expected.float(), rtol=1e-6, atol=1e-6)


def test_scalar_spacing_applies_to_all_axes() -> None:
    mask = torch.rand(1, 1, 5, 6, 7) < 0.1
    maps = [gpuph.truncated_distance_map(mask, 9.0, spacing=spacing) for spacing in (2.0, 2, (2, 2, 2), [2.0] * 3)]
    assert all(torch.equal(each, maps[0]) for each in maps)
    assert torch.equal(maps[0], gpuph.truncated_distance_map(mask, 4.5) * 2)


def test_spacing_of_one_gives_pixel_units() -> None:
    mask = torch.rand(2, 1, 20, 31) < 0.02
    pixels = gpuph.truncated_distance_map(mask, 6.0)
    for spacing in (1, 1.0, (1.0, 1.0), torch.ones(2)):
        assert torch.equal(gpuph.truncated_distance_map(mask, 6.0, spacing=spacing), pixels)


def test_spacing_must_have_one_positive_number_per_axis() -> None:
    volume = torch.ones(1, 1, 2, 3, 4, dtype=torch.bool)
    with pytest.raises(
        ValueError, match=r"spacing must be a number, or have one for each of 3 axes, got \(4\.0, 1\.0\)"
    ):
        gpuph.truncated_distance_map(volume, 5.0, spacing=(4.0, 1.0))
    with pytest.raises(ValueError, match="spacing must be positive, got"):
        gpuph.truncated_distance_map(volume, 5.0, spacing=(4.0, 1.0, 0.0))
    with pytest.raises(ValueError, match="spacing must be a positive number, got nan"):
        gpuph.truncated_distance_map(volume, 5.0, spacing=math.nan)


def test_numpy_mask_raises_and_suggests_from_numpy() -> None:
    mask = torch.ones(1, 1, 3, 4, dtype=torch.bool)
    with pytest.raises(TypeError, match=r"mask must be a bool tensor, got a NumPy array; torch\.from_numpy makes"):
        gpuph.truncated_distance_map(mask.numpy(), 5.0)  # type: ignore[arg-type]
