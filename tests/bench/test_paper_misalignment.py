"""The experiment of `bench.paper` on roads that have moved."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import label

from bench.paper import misalignment
from bench.paper.misalignment import Condition, displace, displacement, measure, series, summary
from support.paper import run, written

MARGIN = 8


@pytest.fixture
def roads() -> np.ndarray:
    """A square of roads that two others cross, (80, 80)."""
    mask = np.zeros((80, 80), bool)
    mask[20:61, [20, 40, 60]] = mask[[20, 40, 60], 20:61] = True
    return mask


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(misalignment, "ERRORS", 2)
    monkeypatch.setattr(misalignment, "SMOOTH", 8.0)
    monkeypatch.setattr(misalignment, "DMAX", (5.0, 8.0))
    monkeypatch.setattr(misalignment, "SHIFTS", (0.0, 2.0))


def test_constant_displacement_moves_every_pixel_alike(roads):
    assert np.array_equal(displace(roads, np.zeros((2, 80, 80))), roads)
    field = np.empty((2, 80, 80))
    field[0], field[1] = 3, -5
    assert np.array_equal(displace(roads, field), np.roll(roads, (3, -5), (0, 1)))


def test_what_leaves_the_mask_is_lost(roads):
    assert not displace(roads, np.full((2, 80, 80), 70.0)).any()


@pytest.mark.parametrize("seed", range(5))
def test_smooth_displacement_keeps_roads_connected_and_loops_closed(roads, seed):
    field = 4 * displacement((80, 80), np.random.default_rng(seed))
    assert np.sqrt((field**2).sum(0).mean()) == pytest.approx(4)
    moved = displace(roads, field)
    components = [label(mask, np.ones((3, 3)))[1] for mask in (roads, moved)]
    blocks = [(np.bincount(label(~mask)[0].flat)[1:] > 9).sum() for mask in (roads, moved)]
    assert not np.array_equal(moved, roads)
    assert components == [1, 1]
    assert blocks == [5, 5]


def test_losses_of_one_scene_are_paired_and_reproducible(roads, few):
    found, again = (dict(measure(roads, MARGIN, np.random.default_rng(0))) for _ in range(2))
    assert len(found) == 2 * 2 * (1 + 2 * 3)  # truncations, shifts, losses and windows
    for condition, losses in found.items():
        assert losses.shape == (5,)
        assert np.array_equal(losses, again[condition])
        if condition.shift == 0:
            assert losses[0] == 0
    assert found[Condition("MSE", "whole crop", 8.0, 2.0)].min() > 0
    for loss in ("MSE", "Betti matching"):  # every error shows in a scene that is not moved
        assert found[Condition(loss, "whole crop", 8.0, 0.0)][1:].min() > 0


def test_windows_as_large_as_the_crop_are_the_whole_crop(roads, few):
    found = dict(measure(roads, MARGIN, np.random.default_rng(1)))
    for loss in ("thresholding", "localized", "Betti matching"):
        for shift in (0.0, 2.0):
            whole, windows = (found[Condition(loss, window, 8.0, shift)] for window in misalignment.WINDOWS)
            assert np.array_equal(whole, windows)


def test_summary_compares_each_loss_with_that_of_the_same_move():
    row = summary(np.array([[1.0, 2.0, 0.0], [3.0, 6.0, 7.0]]))  # rises of 1 and 3 with breaks, -1 and 4 with others
    assert row["raises_by_kind"] == {"break": 1.0, "false connection": 0.5}
    assert row["mean_rise_by_kind"] == {"break": 2.0, "false connection": 1.5}
    assert (row["raises"], row["mean_rise"], row["loss_without_errors"]) == (0.75, 1.75, 2.0)
    assert row["misalignment_in_errors"] == pytest.approx(2 / 1.75, abs=1e-3)
    assert row["signal"] == pytest.approx(1.75 / np.std([1, 3, -1, 4], ddof=1), abs=1e-3)


def test_loss_that_errors_lower_has_no_misalignment_in_errors():
    row = summary(np.array([[4.0, 3.0, 2.0]]))
    assert row["misalignment_in_errors"] is None
    rows = [Condition("MSE", "whole crop", 5.0, shift)._asdict() | row for shift in misalignment.SHIFTS]
    assert np.isnan(series(rows, "misalignment_in_errors", "MSE", "whole crop", 5.0)).all()


@pytest.mark.slow  # on the whole scene
def test_command_measures_every_condition(few, tmp_path, monkeypatch):
    monkeypatch.setattr(misalignment, "SIDE", 96)
    monkeypatch.setattr(misalignment, "MARGIN", 16)
    monkeypatch.setattr(misalignment, "MOVES", 1)
    result = run("misalignment", tmp_path, tmp_path / "work", "--quick")
    written(tmp_path, "misalignment_quick", result)
    assert len(result["conditions"]) == 2 * 2 * (1 + 2 * 3)
    for row in result["conditions"]:
        assert 0 <= row["raises"] <= 1
        assert (row["loss_without_errors"] == 0) or row["shift"] > 0
