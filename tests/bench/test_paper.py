"""Figures and gradients of `bench.paper`, and its command line."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import bench.paper.__main__ as command
from bench.paper import fig4, gradients
from support.paper import ROWS, run, written

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("small")]  # networks are trained


def test_fig3_errors_that_cancel_show_with_a_height_function_only(tmp_path, work):
    result = run("fig3", tmp_path, work)
    written(tmp_path, "fig3", result)
    thresholding, height, fused = result["filtrations"].values()
    assert thresholding["cost"] == 0
    assert thresholding["true"] == thresholding["predicted"]
    assert min(height["cost"], fused["cost"]) > 50


def test_fig4_measures_every_condition(tmp_path, work, monkeypatch):
    monkeypatch.setattr(fig4, "SIDE", 128)
    monkeypatch.setattr(fig4, "WINDOWS", {"64": 64, "whole crop": 128})
    monkeypatch.setattr(fig4, "ERRORS", 6)
    monkeypatch.setattr(fig4, "QUICK_RUNS", 1)
    monkeypatch.setattr(fig4, "MANY", 2)
    result = run("fig4", tmp_path, work, "--quick")
    written(tmp_path, "fig4_quick", result)
    localized_slopes = len(fig4.SLOPES) - 1
    assert len(result["conditions"]) == len(fig4.PIXELS) * (2 * 2 * (1 + 2 * localized_slopes) + 2)
    betti = [(row["pixel"], row["window"]) for row in result["conditions"] if row["matching"] == "Betti"]
    assert betti == [(pixel, window) for pixel in fig4.PIXELS for window in ("64", "whole crop")]
    assert len(result["reductions"]) == len(fig4.PIXELS) * 2 * 2
    for row in result["conditions"]:
        assert 0 <= row["falls"] <= 1
        assert 0 <= row["unchanged"] <= 1 - row["falls"]


def test_fig4_counts_falls_and_unchanged_losses():
    kinds = np.array(["break", "break", "false connection", "false connection"])
    runs = [np.array([1.0, 5.0, 4.0]), np.array([2.0, 2.0, 7.0])]
    row = fig4.summary(fig4.Condition(20.0, "distance", "64", 0.2, 1), runs, kinds)
    assert (row["falls"], row["unchanged"], row["mean_change"], row["median_change"]) == (0.25, 0.25, 2.0, 2.0)
    assert row["falls_by_kind"] == {"break": 0.5, "false connection": 0.0}
    assert row["mean_change_by_kind"] == {"break": 1.5, "false connection": 2.5}
    expected = np.mean([np.corrcoef(values, range(3))[0, 1] for values in runs])
    assert row["correlation"] == pytest.approx(expected, abs=1e-4)


def test_fig4_compares_falls_with_thresholding():
    def row(slope: float, falls: float) -> dict:
        return fig4.Condition(20.0, "distance", "64", slope, 1)._asdict() | {"falls": falls}

    (found,) = fig4.reductions([row(0.0, 0.4), row(0.2, 0.16)])
    assert (found["thresholding"], found["localized"], found["times"]) == (0.4, 0.16, 2.5)
    (found,) = fig4.reductions([row(0.0, 0.4), row(0.2, 0.0)])
    assert found["times"] is None


def test_loss_that_is_constant_has_no_correlation_with_errors():
    assert fig4.correlation([np.ones(3), np.arange(3.0)]) is None
    assert fig4.correlation([np.arange(3.0), -np.arange(3.0)]) == 0


@pytest.mark.parametrize("name", ["gradients", "decoys_gradients", "few_decoys_gradients"])
def test_gradients_are_measured_for_every_term(tmp_path, work, name):
    result = run(name, tmp_path, work, "--quick", "--warmup", 1, "--rows", ROWS)
    written(tmp_path, f"{name}_quick", result)
    assert list(result["terms"]) == list(gradients.terms())
    for row in result["terms"].values():
        assert row["length"] >= 0
        assert -1 <= row["agreement"] <= 1
        assert sum(place["pixels"] for place in row["places"].values()) == pytest.approx(1, abs=1e-3)
    assert result["terms"]["Homo-Reg"]["agreement"] == 1  # nothing is drawn


def test_pull_of_a_gradient_is_summed_by_place():
    target, pred = torch.tensor([[0.0, 0, 20, 20], [0, 1, 8, 20]]), torch.tensor([[9.0, 3, 2, 20], [9, 3, 6, 19]])
    gradient = torch.tensor([[4.0, -1, -2, 0], [-1, 2, 3, -4]])
    row = gradients.by_place(gradient, pred, target)
    assert row == {"pixels": [2, 2, 1, 3], "pull": [5, 3, 2, 7], "right": [4, 2, 2, 4]}
    found = gradients.summary([row | dict.fromkeys(gradients.NUMBERS, value) for value in (0.5, 1.5)])
    assert found["length"] == 1
    assert found["places"]["missed roads"] == {"pixels": 0.25, "pull": round(5 / 17, 5), "towards_truth": 0.8}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["table2"], "invalid choice: 'table2'"),
        (["table1", "--images", "somewhere"], "--images and --masks go together"),
        (["fig3", "--images", "a", "--masks", "b"], "go with table1, not with fig3"),
        (["table1", "--images", "nowhere", "--masks", "b"], "nowhere is not a directory"),
        (["table5", "--seeds", "0"], "--seeds must be at least 1, got 0"),
        (["table5", "--steps", "0"], "--steps must be at least 1, got 0"),
        (["table5", "--warmup", "-1"], "--warmup must be at least 0, got -1"),
        (["repair", "--crops", "1"], "--crops must be at least 2, got 1"),
        (["table1", "--rows", "20", "--steps", "1"], "smaller than a crop of 64"),
    ],
)
def test_invalid_arguments_end_the_command_with_one_line(tmp_path, capsys, words, message):
    with pytest.raises(SystemExit):
        command.main([*words, "--out", str(tmp_path), "--work", str(tmp_path)])
    assert message in capsys.readouterr().err
