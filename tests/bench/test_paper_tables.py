"""Tables of `bench.paper`: all methods, thresholds and scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from bench.paper import harness, tables
from bench.paper.methods import (
    by_decoys,
    by_height,
    by_steadiness,
    by_weight,
    by_window,
    lines_of,
    main_table,
    thresholds,
    truth,
)
from bench.paper.scores import HIGHER_IS_BETTER, score
from bench.speed.inputs import road_mask
from support.paper import ROWS, run, written

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("small")]  # networks are trained


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("table1", 7),
        ("table3", 5),
        ("table5", 9),
        ("table6", 4),
        ("table3_dmax8", 3),
        ("table3_dmax15", 3),
        ("table7", 12),
        ("steadiness", 7),
        ("decoys", 4),
        ("few_decoys", 4),
    ],
)
def test_table_writes_scores_of_all_methods(tmp_path, work, name, rows):
    size = ("--rows", 48) if name.startswith("table3") else ("--rows", ROWS)
    result = run(name, tmp_path, work, "--quick", "--warmup", 1, "--steps", 1, *size)
    written(tmp_path, f"{name}_quick", result)
    assert len(result["methods"]) == rows
    for row in result["methods"].values():
        assert list(row["scores"]) == list(HIGHER_IS_BETTER)
        for metric in row["scores"].values():
            assert np.isfinite(metric["mean"])
            assert metric["deviation"] is None


def test_table_has_scores_at_other_thresholds(tmp_path, monkeypatch):
    monkeypatch.setattr(harness, "thresholds", thresholds)
    monkeypatch.setattr(tables, "thresholds", thresholds)
    monkeypatch.setitem(
        tables.TABLES, "table1", tables.Table("roads", "two", lambda rank: dict([*main_table(rank).items()][:2]))
    )
    result = run("table1", tmp_path, tmp_path, "--warmup", 1, "--steps", 1, "--seeds", 1, "--rows", ROWS)
    by_kind = {row["predicts"]: row for row in result["methods"].values()}
    assert (by_kind["probability"]["threshold"], by_kind["distance"]["threshold"]) == ("0.5", "6")
    assert list(by_kind["probability"]["other_thresholds"]) == ["0.3", "0.7"]
    assert list(by_kind["distance"]["other_thresholds"]) == ["3", "9", "12"]
    for row in by_kind.values():
        assert all(list(scores) == list(HIGHER_IS_BETTER) for scores in row["other_thresholds"].values())


def test_table1_on_a_folder_of_images(tmp_path, work):
    images, masks = tmp_path / "images", tmp_path / "masks"
    roads = road_mask()[0, 0].numpy()
    for directory in (images, masks):
        directory.mkdir()
    for i in range(2):
        mask = roads[100 * i : 100 * i + 100, 300:400]
        Image.fromarray(np.where(mask[..., None], 200, 90).repeat(3, 2).astype(np.uint8)).save(images / f"{i}.png")
        Image.fromarray(mask.astype(np.uint8) * 255).save(masks / f"{i}.png")
    fixed = ("--images", images, "--masks", masks, "--quick", "--warmup", 1, "--steps", 1)
    result = run("table1", tmp_path / "out", work, *fixed)
    written(tmp_path / "out", "table1_folder_quick", result)
    assert result["settings"]["data"] == "folder"


def test_table_has_means_and_sample_deviations():
    rows = [dict.fromkeys(HIGHER_IS_BETTER, value) for value in (0.2, 0.4, 0.9)]
    found = tables.summary(rows)
    assert list(found) == list(HIGHER_IS_BETTER)
    assert found["APLS"] == {"mean": 0.5, "deviation": 0.3606, "values": [0.2, 0.4, 0.9]}
    assert tables.summary(rows[:1])["CCQ"] == {"mean": 0.2, "deviation": None, "values": [0.2]}
    shown = tables.text({"CE": {"scores": found}})
    assert shown.splitlines()[1] == "CE  " + "   0.500 ± 0.361" * 5


def test_methods_of_a_table_have_different_descriptions():
    for methods in (
        main_table(2),
        main_table(3),
        by_weight(2),
        by_window(2),
        by_height(2),
        by_steadiness(2),
        by_decoys(2),
    ):
        assert len({str(method) for method in methods.values()}) == len(methods)
    assert list(main_table(3)) == ["CE", "MSE", "Homo-Pre", "Homo-Reg", "Homo-Ours"]


@pytest.mark.parametrize("predicts", ["distance", "probability"])
def test_perfect_prediction_has_the_best_scores(predicts):
    distance = torch.full((64, 64), 20.0)
    for line in (20, 45):
        distance = torch.minimum(distance, (torch.arange(64.0) - line).abs()[:, None].expand(64, 64))
    distance = torch.minimum(distance, (torch.arange(64.0) - 30).abs()[None].expand(64, 64))
    lines = lines_of(truth(distance, predicts, 2), predicts, 2)
    assert torch.equal(lines, lines_of(distance, "distance", 2))
    scores = score([lines], [lines], seed=0)
    assert all(scores[name] == pytest.approx(1.0 if better else 0.0) for name, better in HIGHER_IS_BETTER.items())
