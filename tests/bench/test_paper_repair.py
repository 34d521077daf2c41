"""The experiment of `bench.paper` that repairs roads by gradient descent alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.paper import repair
from bench.paper.repair import CONTENDERS, ERRORS, Condition, Repair, Scene, distances, injected, summary, wrong_loops
from support.paper import run, written


@pytest.fixture
def roads() -> np.ndarray:
    """A square of roads that others cross, (96, 96)."""
    mask = np.zeros((96, 96), bool)
    mask[8:89, [8, 48, 88]] = mask[[8, 48, 88], 8:89] = True
    return mask


@pytest.fixture
def rotated() -> Scene:
    """A road above and a road with a gap below, and as a prediction the same rotated by 180 degrees."""
    truth = np.zeros((64, 64), bool)
    truth[31:33] = truth[:32, 21] = truth[32:, 42] = True
    truth[42:53, 42] = False
    return Scene(truth, {"both": truth[::-1, ::-1].copy()})


def test_missing_and_false_loops_both_count(rotated):
    truth, pred = (distances(mask[None]) for mask in (rotated.truth, rotated.wrong["both"]))
    assert wrong_loops(pred, truth).tolist() == [2]
    assert wrong_loops(truth, truth).tolist() == [0]


@pytest.mark.parametrize("seed", range(3))
def test_each_injected_error_makes_one_loop_wrong(roads, seed):
    scene = injected(roads, np.random.default_rng(seed))
    assert scene is not None
    assert not (scene.wrong["breaks"] & ~roads).any()
    assert not (roads & ~scene.wrong["false roads"]).any()
    assert not (scene.wrong["both"] & ~scene.wrong["false roads"]).any()
    truth = distances(roads[None])
    for errors, count in ERRORS.items():
        assert wrong_loops(distances(scene.wrong[errors][None]), truth).tolist() == [count]


def test_crop_without_roads_has_no_place_for_errors():
    assert injected(np.zeros((64, 64), bool), np.random.default_rng(0)) is None


def test_only_thresholding_leaves_errors_that_cancel(rotated):
    left = {loss: repair.repair(Condition("both", 64, 20.0, loss), [rotated], 0) for loss in CONTENDERS}
    assert {loss: found.wrong.tolist() for loss, found in left.items()} == {
        loss: [2] if loss.startswith("thresholding") else [0] for loss in CONTENDERS
    }
    assert left["thresholding"].steps.tolist() == [repair.STEPS]
    assert left["Betti matching"].steps[0] < repair.STEPS
    for loss in ("place", "Betti matching"):  # whole paths take no more steps than single pixels
        assert left[f"{loss}, paths"].steps[0] <= left[loss].steps[0]


def test_right_crop_takes_no_step(rotated):
    right = rotated._replace(wrong={"both": rotated.truth})
    found = repair.repair(Condition("both", 64, 20.0, "Betti matching"), [right, rotated], 0)
    assert found.wrong.tolist() == [0, 0]
    assert found.steps[0] == 0
    alone = repair.repair(Condition("both", 64, 20.0, "Betti matching"), [rotated], 0)
    assert found.steps[1] == alone.steps[0] > 0


def test_contenders_have_the_same_scale(roads):
    """Every loss is a sum over windows with the costs of the others: a flat map has the same loss without heights."""
    truth = distances(roads[None]).clamp(max=8)[..., :64, :64]
    flat = torch.full_like(truth, 8.0)
    losses = {loss: make(32, torch.Generator().manual_seed(0)) for loss, make in CONTENDERS.items()}
    assert {loss_fn.reduction for loss_fn in losses.values()} == {"sum"}
    assert float(losses["thresholding"](flat, truth)) == float(losses["Betti matching"](flat, truth)) > 0


def test_summary_pairs_each_crop_with_thresholding():
    condition = Condition("both", 64, 8.0, "thresholding")
    other = condition._replace(loss="localized")
    rows = summary(
        {
            condition: Repair(np.array([4, 2, 0]), np.array([200, 200, 20])),
            other: Repair(np.array([0, 0, 1]), np.array([10, 40, 200])),
        }
    )
    assert (rows[0]["fewer_than_thresholding"], rows[0]["more_than_thresholding"]) == (0, 0)
    assert (rows[1]["fewer_than_thresholding"], rows[1]["more_than_thresholding"]) == (2, 1)
    assert (rows[0]["wrong_left"], rows[0]["repaired"], rows[0]["median_steps_of_repaired"]) == (2.0, 0.3333, 20.0)
    assert rows[1]["median_steps_of_repaired"] == 25.0
    assert rows[1]["standard_error"] == pytest.approx(np.std([0, 0, 1], ddof=1) / 3**0.5, abs=1e-4)


def test_heights_are_compared_crop_by_crop():
    ours = Condition("both", 64, 8.0, "localized")
    left = {ours: Repair(np.array([0, 0, 1, 2]), np.array([10, 40, 200, 200]))}
    left[ours._replace(loss="place")] = Repair(np.array([4, 2, 0, 2]), np.array([200, 200, 20, 200]))
    (row,) = repair.against(left)
    assert (row["loss"], row["rival"]) == ("localized", "place")
    assert (row["fewer"], row["more"], row["mean_difference"]) == (2, 1, -1.25)
    assert row["sign_p"] == 1.0


def test_interrupted_command_continues(rotated, tmp_path, monkeypatch):
    condition = Condition("both", 64, 20.0, "Betti matching")
    path = repair.kept_path(condition, 1, 0, tmp_path)
    found = repair.kept(condition, [rotated], 0, path)
    monkeypatch.setattr(repair, "repair", None)
    again = repair.kept(condition, [rotated], 0, path)
    assert (found.wrong.tolist(), found.steps.tolist()) == (again.wrong.tolist(), again.steps.tolist())


@pytest.mark.slow  # on the whole scene
def test_command_repairs_in_every_condition(tmp_path, monkeypatch):
    monkeypatch.setattr(repair, "COUNTED", (1, 2))
    monkeypatch.setattr(repair, "DMAX", (20.0,))
    result = run("repair", tmp_path / "out", tmp_path / "work", "--quick", "--crops", 2)
    written(tmp_path / "out", "repair_quick", result)
    assert len(result["conditions"]) == len(ERRORS) * 2 * len(CONTENDERS)
    assert len(result["heights_against"]) == len(ERRORS) * 2 * len(repair.RIVALS)
    for row in result["conditions"]:
        assert 0 <= row["repaired"] <= 1
        assert (row["wrong_left"] == 0) == (row["repaired"] == 1)
