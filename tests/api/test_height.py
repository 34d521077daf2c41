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


RANDOM = {
    "RandomLinear": gpuph.RandomLinear,
    "RandomRadial": gpuph.RandomRadial,
    "RandomQuadratic": gpuph.RandomQuadratic,
}


def slope_of(name: str, g: torch.Tensor) -> torch.Tensor:
    """Return the slope of heights (n, *window)."""
    flat = g.flatten(1)
    if name == "RandomLinear":
        steps = [g.diff(dim=axis)[(slice(None), *[0] * (g.dim() - 1))] for axis in range(1, g.dim())]
        return torch.stack(steps, dim=1).norm(dim=1)
    if name == "RandomRadial":  # along the longest side, far from the centre
        return g.diff(dim=1).abs().flatten(1).amax(dim=1)
    roots = flat.abs().sqrt().view_as(g)
    steps = [roots.diff(dim=axis).abs().flatten(1).amax(dim=1) for axis in range(1, g.dim())]
    return torch.stack(steps, dim=1).norm(dim=1)


@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.parametrize("window", [(80, 9), (40, 6, 7)])
def test_slopes_are_drawn_from_a_range(name: str, window: tuple[int, ...]) -> None:
    slopes = slope_of(name, at(RANDOM[name]((0.1, 0.4)), window, n=200))
    assert 0.097 < slopes.min() < 0.13 and 0.37 < slopes.max() <= 0.4 + 1e-9
    same = slope_of(name, at(RANDOM[name]((0.2, 0.2)), window, n=50))
    torch.testing.assert_close(same, torch.full((50,), 0.2, dtype=torch.float64), rtol=0.02, atol=0.0)


@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.parametrize("per_window", [True, False])
def test_half_of_the_draws_are_the_negatives_of_the_others(name: str, per_window: bool) -> None:
    g = at(RANDOM[name](draws=4, per_window=per_window), (8, 9), n=5).view(4, 5, 8, 9)
    assert torch.equal(g[2:], -g[:2])
    assert len(g[:2].flatten(0, 1).unique(dim=0)) == (10 if per_window else 2)
    assert at(RANDOM[name](per_window=False), (8, 9), n=5).shape == (1, 8, 9)
    assert at(RANDOM[name](), (8, 9), n=5).shape == (5, 8, 9)


@pytest.mark.parametrize("name", ["RandomRadial", "RandomQuadratic"])
def test_signs_are_equally_likely(name: str) -> None:
    sign = at(RANDOM[name](), (8, 9), n=400).flatten(1).sum(dim=1).sign()
    assert sign.abs().all() and sign.mean().abs() < 0.15


def test_random_radial_is_a_cone_around_a_point_of_the_window() -> None:
    g = at(gpuph.RandomRadial(0.5, spacing=(4.0, 1.0)), (8, 20), n=300).abs()
    assert (g.flatten(1).amin(dim=1) <= 0.5 * math.hypot(2.0, 0.5) + 1e-9).all()  # half a voxel from a centre
    lowest = g.flatten(1).argmin(dim=1)
    assert len(lowest.unique()) > 100
    rows = (lowest // 20).bincount(minlength=8)
    assert rows.min() > 5  # all over the window
    torch.testing.assert_close(g.diff(dim=2).abs().amax(), torch.tensor(0.5, dtype=torch.float64), rtol=0.01, atol=0.0)
    assert 1.9 < g.diff(dim=1).abs().amax() <= 2.0 + 1e-9


def test_random_quadratic_is_the_square_of_a_random_slope() -> None:
    g = at(gpuph.RandomQuadratic(0.1), (9, 9), n=50)
    assert (g[:, 4, 4] == 0).all()
    second = [g.diff(n=2, dim=axis) for axis in (1, 2)]
    assert all((part - part[:, :1, :1]).abs().max() < 1e-12 for part in second)  # constant curvature
    total = (second[0][:, 0, 0] + second[1][:, 0, 0]).abs()
    torch.testing.assert_close(total, torch.full((50,), 2 * 0.01, dtype=torch.float64))


@pytest.mark.parametrize("name", RANDOM)
def test_fixed_height_has_no_ties_of_symmetry(name: str) -> None:
    for axes, spacing in ((2, 1.0), (3, 1.0), (3, (4.0, 1.0, 1.0))):
        g = at(RANDOM[name](spacing=spacing).fixed(axes), (6,) * axes)[0]
        assert len(g.unique()) > 0.45 * g.numel()  # a quadratic is the same on both sides


def test_settings_of_random_heights_are_shown() -> None:
    assert repr(gpuph.RandomLinear()) == "RandomLinear(slope=0.2, per_window=True)"
    height = gpuph.RandomRadial((0.1, 0.2), False, draws=2, spacing=(4, 1, 1))
    assert repr(height) == "RandomRadial(slope=(0.1, 0.2), per_window=False, draws=2, spacing=(4.0, 1.0, 1.0))"


@pytest.mark.parametrize("name", RANDOM)
def test_bad_settings_of_random_heights_are_named(name: str) -> None:
    for slope in ((0.2, 0.1), (0.0, 0.1), (0.1, 0.2, 0.3), (-0.1, 0.2), (0.1,)):
        with pytest.raises(ValueError, match=r"slope must be a positive number, or a range \(low, high\) of them, got"):
            RANDOM[name](slope)
    for draws in (3, 5):
        with pytest.raises(ValueError, match=f"draws must be 1 or even, .*, got {draws}"):
            RANDOM[name](draws=draws)
    with pytest.raises(ValueError, match="draws must be an int of 1 or more, got 0"):
        RANDOM[name](draws=0)


HEIGHTS = {
    "Linear": lambda **spacing: gpuph.Linear((0.3, -0.2, 0.1), **spacing),
    "RandomLinear": lambda **spacing: gpuph.RandomLinear(0.2, **spacing),
    "RandomLinear, fixed": lambda **spacing: gpuph.RandomLinear(0.2, **spacing).fixed(3),
    "Radial": lambda **spacing: gpuph.Radial(0.5, (1.0, -2.0, 0.5), **spacing),
    "Radial from the first pixel": lambda **spacing: gpuph.Radial(0.5, **spacing),
    "Quadratic": lambda **spacing: gpuph.Quadratic((0.3, -0.2, 0.1), **spacing),
}


@pytest.mark.parametrize("name", HEIGHTS)
def test_spacing_of_one_changes_no_bit(name: str) -> None:
    expected = at(HEIGHTS[name](), (4, 5, 6), n=3)
    for spacing in (1, 1.0, (1.0, 1.0, 1.0)):
        assert torch.equal(at(HEIGHTS[name](spacing=spacing), (4, 5, 6), n=3), expected)


@pytest.mark.parametrize("name", HEIGHTS)
def test_slopes_are_per_unit_of_spacing(name: str) -> None:
    """Along each axis, a step of one pixel changes the height as a step of so many units does."""
    fine = at(HEIGHTS[name](), (17, 17, 17), n=2)
    coarse = at(HEIGHTS[name](spacing=(4.0, 2.0, 1.0)), (5, 9, 17), n=2)  # with the same centre
    torch.testing.assert_close(coarse, fine[:, ::4, ::2])
    torch.testing.assert_close(
        at(HEIGHTS[name](spacing=2.0), (9, 9, 9), n=2), at(HEIGHTS[name](), (17, 17, 17), n=2)[:, ::2, ::2, ::2]
    )


def test_height_of_repeated_slices_is_that_of_long_voxels_within_a_voxel() -> None:
    height = {"spacing": (4.0, 1.0, 1.0)}
    for name in HEIGHTS.keys() - {"Radial from the first pixel"}:
        long, repeated = at(HEIGHTS[name](**height), (4, 5, 6), n=2), at(HEIGHTS[name](), (16, 5, 6), n=2)
        difference = (long.repeat_interleave(4, dim=1) - repeated).abs().amax()
        step = repeated.diff(dim=1).abs().amax() * 2  # voxels are two from the middle of their four, or less
        assert difference <= step


@pytest.mark.parametrize("spacing", [0.0, (1.0, -1.0), (1.0, math.nan)], ids=str)
def test_spacing_must_be_positive(spacing: object) -> None:
    with pytest.raises(ValueError, match="spacing must be"):
        gpuph.RandomLinear(spacing=spacing)  # type: ignore[arg-type]
    with pytest.raises(
        ValueError, match=r"spacing must be a number, or have one for each of 2 axes, got \(4.0, 1.0, 1.0"
    ):
        at(gpuph.Radial(1.0, spacing=(4.0, 1.0, 1.0)), (4, 4))


def test_loss_of_long_voxels_is_that_of_repeated_slices_within_a_voxel() -> None:
    """The loss sees the same loop, born where the gap is, whatever the voxels."""
    road = torch.zeros(1, 1, 6, 24, 24, dtype=torch.bool)
    road[0, 0, 2, 12] = True
    broken = road.clone()
    broken[..., 8:14] = False
    values = []
    for masks, spacing in (
        ((broken, road), (4.0, 1.0, 1.0)),
        ([x.repeat_interleave(4, 2) for x in (broken, road)], 1.0),
    ):
        maps = [gpuph.truncated_distance_map(x, 15.0, spacing=spacing) for x in masks]
        height = gpuph.Linear((0.05, 0.1, 0.02), spacing=spacing)
        values.append(float(gpuph.LocalizedPHLoss(window=24, dims=(1,), height=height)(*maps)))
    assert values[0] > 1.0 and math.isclose(*values, rel_tol=0.2)


def test_invalid_numbers_raise_an_error_that_names_them() -> None:
    with pytest.raises(ValueError, match="w must be finite"):
        gpuph.Linear((math.nan, 0.0))
    with pytest.raises(ValueError, match="a must be finite"):
        gpuph.Radial(math.inf)
    with pytest.raises(ValueError, match=r"w must have one number for each of 2 axes, got \(1.0, 2.0, 3.0\)"):
        at(gpuph.Linear((1.0, 2.0, 3.0)), (4, 4))
    with pytest.raises(ValueError, match="q must have one number for each of 2 axes"):
        at(gpuph.Radial(1.0, (0.0,)), (4, 4))
