"""Height functions."""

from __future__ import annotations

import math

import pytest
import torch

import gpuph

LIKE = torch.zeros(0, dtype=torch.float64)


def at(height: object, window: tuple[int, ...], n: int = 1, seed: int = 0) -> torch.Tensor:
    return height(n, window, LIKE, torch.Generator().manual_seed(seed))  # type: ignore[operator]


def test_linear_has_slope_w_and_is_zero_at_the_centre() -> None:
    g = at(gpuph.Linear((2.0, -1.0)), (5, 7))
    assert g.shape == (1, 5, 7) and g[0, 2, 3] == 0
    assert torch.equal(g[0].diff(dim=0), torch.full((4, 7), 2.0, dtype=torch.float64))
    assert torch.equal(g[0].diff(dim=1), torch.full((5, 6), -1.0, dtype=torch.float64))


def test_radial_is_a_cone_around_q() -> None:
    g = at(gpuph.Radial(0.5, (1.0, 0.0)), (5, 5))
    assert g[0, 3, 2] == 0 and g[0, 0, 2] == 1.5
    torch.testing.assert_close(g[0, 4, 4], torch.tensor(0.5 * math.sqrt(5), dtype=torch.float64))
    assert at(gpuph.Radial(0.5), (5, 5))[0, 0, 0] == 0  # the first corner by default


def test_quadratic_is_the_square_of_linear() -> None:
    w = (0.3, -0.2)
    assert torch.equal(at(gpuph.Quadratic(w), (6, 9)), at(gpuph.Linear(w), (6, 9)) ** 2)


@pytest.mark.parametrize("window", [(8, 9), (5, 6, 7)])
def test_random_linear_draws_one_direction_per_window_and_keeps_the_slope(window: tuple[int, ...]) -> None:
    g = at(gpuph.RandomLinear(0.2), window, n=50)
    assert g.shape == (50, *window)
    w = torch.stack([g.diff(dim=axis)[(slice(None), *[0] * len(window))] for axis in range(1, g.dim())], dim=1)
    torch.testing.assert_close(w.norm(dim=1), torch.full((50,), 0.2, dtype=torch.float64))
    assert len(w.unique(dim=0)) == 50 and w.mean(dim=0).abs().max() < 0.08  # all around


def test_per_window_false_shares_one_direction() -> None:
    assert at(gpuph.RandomLinear(0.2, per_window=False), (4, 4), n=5).shape == (1, 4, 4)


@pytest.mark.parametrize("axes", [2, 3])
def test_fixed_direction_avoids_axes_and_diagonals(axes: int) -> None:
    w = gpuph.RandomLinear(0.3).fixed(axes).w
    assert math.isclose(math.hypot(*w), 0.3)
    assert len({round(abs(part), 3) for part in w}) == axes and 0 not in w


def test_same_seed_gives_the_same_height() -> None:
    height = gpuph.RandomLinear(0.2)
    assert torch.equal(at(height, (4, 4), 3, seed=1), at(height, (4, 4), 3, seed=1))
    assert not torch.equal(at(height, (4, 4), 3, seed=1), at(height, (4, 4), 3, seed=2))


@pytest.mark.parametrize("slope", [0.0, -1.0, math.inf, math.nan])
def test_slope_must_be_positive(slope: float) -> None:
    with pytest.raises(ValueError, match="slope must be a positive number"):
        gpuph.RandomLinear(slope)


def test_invalid_numbers_raise_an_error_that_names_them() -> None:
    with pytest.raises(ValueError, match="w must be finite"):
        gpuph.Linear((math.nan, 0.0))
    with pytest.raises(ValueError, match="a must be finite"):
        gpuph.Radial(math.inf)
    with pytest.raises(ValueError, match=r"w must have one number for each of 2 axes, got \(1.0, 2.0, 3.0\)"):
        at(gpuph.Linear((1.0, 2.0, 3.0)), (4, 4))
    with pytest.raises(ValueError, match="q must have one number for each of 2 axes"):
        at(gpuph.Radial(1.0, (0.0,)), (4, 4))
