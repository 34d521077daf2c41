import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import label

import bench.paper.__main__ as command
import bench.paper.plan
import bench.train.evaluation
import bench.train.network
import bench.train.neurons
from bench.paper import fig4, gradients, harness, tables
from bench.paper.errors import GAP, LENGTH, break_road, inject, join_roads
from bench.paper.harness import CHOOSING, Harness
from bench.paper.methods import (
    Method,
    by_decoys,
    by_height,
    by_steadiness,
    by_weight,
    by_window,
    candidates,
    lines_of,
    localized,
    main_table,
    thresholds,
    truth,
)
from bench.paper.plan import Plan
from bench.paper.scores import HIGHER_IS_BETTER, score
from bench.speed.inputs import road_mask
from bench.train.crops import distance_map

pytestmark = pytest.mark.slow  # networks are trained
ROWS = 200  # metres of Helsinki: enough for a crop of the training area


@pytest.fixture(scope="module", autouse=True)
def small():
    """Use small networks, crops and volumes, and few batches for batch-norm statistics, for speed."""
    tiny = {"features": (8, 8, 8, 8, 8, 8), "batch": 1}
    presets = {
        "small": {
            2: replace(bench.train.network.PRESETS["small"][2], crop=64, **tiny),
            3: replace(bench.train.network.PRESETS["small"][3], crop=48, **tiny),
        }
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench.paper.plan, "PRESETS", presets)
        patch.setattr(bench.train.network, "STATISTICS_BATCHES", 1)
        patch.setattr(bench.train.neurons, "SIDE", 48)
        patch.setattr(bench.train.evaluation, "SIGHT", {2: 128, 3: 48})
        for module in (harness, tables):  # test_table_has_scores_at_other_thresholds uses all of them
            patch.setattr(module, "thresholds", lambda predicts, rank: thresholds(predicts, rank)[:1])
        patch.setattr(harness, "candidates", lambda predicts, rank: candidates(predicts, rank)[2:3])
        yield


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """The directory in which the tables of this module keep what they share."""
    return tmp_path_factory.mktemp("work")


def run(name: str, out: Path, work: Path, *more: object) -> dict:
    fixed = (name, "--out", out, "--work", work)
    return command.main([str(word) for word in (*fixed, *more)])


def written(out: Path, stem: str, result: dict) -> None:
    """Check that an experiment wrote the result that it returned, and a figure of reasonable size."""
    assert {path.name for path in out.iterdir()} == {f"{stem}.json", f"{stem}.png"}
    assert json.loads((out / f"{stem}.json").read_text()) == json.loads(json.dumps(result))
    with Image.open(out / f"{stem}.png") as figure:
        assert min(figure.size) > 300
    assert (out / f"{stem}.png").stat().st_size < 300_000
    assert {"experiment", "quick", "settings", "machine"} <= set(result)


# Errors.


@pytest.fixture(scope="module")
def crop() -> np.ndarray:
    return fig4.richest_crops(road_mask()[0, 0].numpy(), 256, 1)[0]


def betti(mask: np.ndarray) -> tuple[int, int]:
    """Return the number of components, connected across corners, and the number of loops."""
    return label(mask, np.ones((3, 3)))[1], label(np.pad(~mask, 1, constant_values=True))[1] - 1


@pytest.mark.parametrize("seed", range(5))
def test_break_adds_a_component_or_opens_a_loop(crop, seed):
    broken = break_road(crop, np.random.default_rng(seed))
    assert not (broken & ~crop).any()
    rows, columns = np.nonzero(crop & ~broken)
    assert max(np.ptp(rows), np.ptp(columns)) <= 2 * GAP[1]
    components, loops = np.subtract(betti(broken), betti(crop))
    assert (components, loops) in ((1, 0), (0, -1))


@pytest.mark.parametrize("seed", range(5))
def test_false_connection_closes_a_loop_or_merges_components(crop, seed):
    joined = join_roads(crop, np.random.default_rng(seed))
    assert not (crop & ~joined).any()
    rows, columns = np.nonzero(joined & ~crop)
    assert LENGTH[0] / 2 <= max(np.ptp(rows), np.ptp(columns)) <= LENGTH[1]
    components, loops = np.subtract(betti(joined), betti(crop))
    assert (components, loops) in ((0, 1), (-1, 0))


def test_each_injected_error_changes_the_topology_by_one(crop):
    masks, kinds = inject(crop, 6, np.random.default_rng(0))
    assert masks.shape == (7, *crop.shape)
    assert np.array_equal(masks[0], crop)
    for before, after, kind in zip(masks, masks[1:], kinds, strict=False):
        components, loops = np.subtract(betti(after), betti(before))
        assert components - loops == (1 if kind == "break" else -1)


@pytest.mark.parametrize("error", [break_road, join_roads])
def test_error_without_a_place_raises(error):
    with pytest.raises(ValueError, match="found in a mask with 0 pixels of roads"):
        error(np.zeros((20, 20), bool), np.random.default_rng(0))


# Figures.


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
    assert len(result["conditions"]) == 2 * 2 * (1 + 2 * localized_slopes)
    for row in result["conditions"]:
        assert 0 <= row["falls"] <= 1
        assert 0 <= row["unchanged"] <= 1 - row["falls"]


def test_fig4_counts_falls_and_unchanged_losses():
    kinds = np.array(["break", "break", "false connection", "false connection"])
    row = fig4.summary(fig4.Condition(20.0, "distance", "64", 0.2, 1), np.array([4.0, -1.0, 0.0, 5.0]), kinds)
    assert (row["falls"], row["unchanged"], row["mean_change"], row["median_change"]) == (0.25, 0.25, 2.0, 2.0)
    assert row["falls_by_kind"] == {"break": 0.5, "false connection": 0.0}
    assert row["mean_change_by_kind"] == {"break": 1.5, "false connection": 2.5}


# Gradients.


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


# Tables.


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("table1", 7),
        ("table3", 5),
        ("table5", 9),
        ("table6", 4),
        ("table7", 9),
        ("steadiness", 7),
        ("decoys", 4),
        ("few_decoys", 4),
    ],
)
def test_table_writes_scores_of_all_methods(tmp_path, work, name, rows):
    size = ("--rows", 48) if name == "table3" else ("--rows", ROWS)
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


def test_best_cut_on_the_training_scenes_is_chosen(tmp_path, monkeypatch):
    class TooFar(Harness):
        """Predict all distances 3 pixels too large, so that the best cut is 3 pixels above the truth's."""

        def predictions(self, method, seed, scenes):
            return [distance_map(scene) + 3 for scene in scenes]

    monkeypatch.setattr(harness, "candidates", candidates)
    (by,) = TooFar(plan(seeds=(0,)), tmp_path).choose({"MSE": Method("distance")})["MSE"]
    assert list(by) == list(CHOOSING)
    for chosen in by.values():
        assert chosen["cut"] == "9"
        assert chosen["scores"] == pytest.approx({name: float(better) for name, better in HIGHER_IS_BETTER.items()})


def test_kept_network_predicts_the_same_as_the_trained_one(tmp_path, monkeypatch):
    method, trained = Method("distance"), Harness(plan(seeds=(0,)), tmp_path)
    scenes = trained.of(0).held_out
    expected = trained.predictions(method, 0, scenes)
    monkeypatch.setattr(Harness, "train", None)
    kept = Harness(plan(seeds=(0,)), tmp_path).predictions(method, 0, scenes)
    assert all(torch.equal(a, b) for a, b in zip(expected, kept, strict=True))


def plan(**changes: object) -> Plan:
    return replace(Plan("roads", warmup=1, steps=2, seeds=(0, 1), rows=ROWS), **changes)


def test_interrupted_table_continues_without_repeating_work(tmp_path, monkeypatch):
    methods = {"MSE": Method("distance"), "Homo-Ours": localized(2), "CE": Method("probability")}
    whole = Harness(plan(), tmp_path / "whole").run(methods)

    trained: list[str] = []
    train = Harness.train

    def interrupted(self, branch, predicts, loss, steps, seed):
        if len(trained) == 3:
            raise KeyboardInterrupt
        trained.append(f"{predicts} {steps.start} {seed}")
        train(self, branch, predicts, loss, steps, seed)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Harness, "train", interrupted)
        Harness(plan(), tmp_path / "parts").run(methods)
    assert trained == ["distance 0 0", "distance 1 0", "distance 1 0"]  # the warm-up, and two networks

    def counted(self, branch, predicts, loss, steps, seed):
        trained.append(f"{predicts} {steps.start} {seed}")
        train(self, branch, predicts, loss, steps, seed)

    monkeypatch.setattr(Harness, "train", counted)
    assert Harness(plan(), tmp_path / "parts").run(methods) == whole
    assert len(trained) == 2 * (2 + 3)  # for each seed, two warm-ups and three networks, each once
    assert Harness(plan(), tmp_path / "parts").run(methods) == whole
    assert len(trained) == 10


@pytest.mark.parametrize("changes", [{"steps": 3}, {"warmup": 2}, {"rows": ROWS + 1}, {"preset": "paper"}])
def test_results_of_other_settings_are_not_reused(tmp_path, changes):
    method = Method("distance")
    here, there = (Harness(p, tmp_path) for p in (plan(), plan(**changes)))
    assert here.settings(method, 0) != there.settings(method, 0)
    assert here.settings(method, 0) != here.settings(method, 1)
    assert here.settings(method, 0) == Harness(plan(seeds=(0,)), tmp_path).settings(method, 0)


def test_methods_of_one_warm_up_differ_by_the_loss_alone(tmp_path):
    methods = {"MSE": Method("distance"), "none": localized(2, weight=0.0), "with": localized(2, weight=1.0)}
    table = Harness(plan(seeds=(0,)), tmp_path)
    table.run(methods)
    maps = {}
    for name, method in methods.items():
        branch = table.start("distance", 0)
        table.train(branch, "distance", method.loss(0), range(1, 3), 0)
        maps[name] = torch.cat([p.detach().flatten() for p in branch.net.parameters()])
    assert torch.equal(maps["MSE"], maps["none"])
    assert not torch.equal(maps["MSE"], maps["with"])


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


def test_table_has_means_and_sample_deviations():
    rows = [dict.fromkeys(HIGHER_IS_BETTER, value) for value in (0.2, 0.4, 0.9)]
    found = tables.summary(rows)
    assert list(found) == list(HIGHER_IS_BETTER)
    assert found["APLS"] == {"mean": 0.5, "deviation": 0.3606, "values": [0.2, 0.4, 0.9]}
    assert tables.summary(rows[:1])["CCQ"] == {"mean": 0.2, "deviation": None, "values": [0.2]}
    shown = tables.text({"CE": {"scores": found}})
    assert shown.splitlines()[1] == "CE  " + "   0.500 ± 0.361" * 5


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
        (["table1", "--rows", "20", "--steps", "1"], "smaller than a crop of 64"),
    ],
)
def test_invalid_arguments_end_the_command_with_one_line(tmp_path, capsys, words, message):
    with pytest.raises(SystemExit):
        command.main([*words, "--out", str(tmp_path), "--work", str(tmp_path)])
    assert message in capsys.readouterr().err
