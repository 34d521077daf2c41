"""The trainings of `bench.paper` whose methods are compared seed by seed."""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import ttest_rel, wilcoxon

from bench.paper import both_ways, misaligned_training, paired
from bench.paper.harness import Harness
from bench.paper.methods import Method, candidates, thresholds
from bench.paper.plan import SHIFTS, rendered, shifted
from bench.paper.scores import WITH_PLACES
from bench.train.crops import distance_map
from bench.train.network import LightUNet
from bench.train.roads import ASPHALT, BASALT, SAND, helsinki, misread
from support.paper import ROWS, run, written

TINY = ("--quick", "--warmup", 1, "--steps", 2, "--rows", ROWS)


def test_labels_of_the_warmup_have_tracks_and_lack_some_roads():
    training, held_out = misread(seed=0, rows=ROWS, tracks=0.3, unlabelled=0.3)
    plain, _ = helsinki(seed=0, rows=ROWS)
    assert training.warmup is not None
    assert np.array_equal(training.mask, plain.mask)  # the true labels are those of all roads
    lost, added = training.mask & ~training.warmup, training.warmup & ~training.mask
    assert 0.05 < lost.sum() / training.mask.sum() < 0.6
    assert 0.05 < added.sum() / training.mask.sum() < 0.6
    assert held_out.warmup is not None


def test_misread_lines_differ_in_colour_by_more_than_the_noise():
    training, _ = misread(seed=0, rows=400)
    assert training.warmup is not None
    tracks, basalt = training.warmup & ~training.mask, training.mask & ~training.warmup
    both = training.mask & training.warmup

    def tint(mask: np.ndarray) -> float:
        red, _, blue = training.image[:, mask].mean(1)
        return float((red - blue) / (red + blue))

    def expected(colour: np.ndarray) -> float:
        return float((colour[0] - colour[2]) / (colour[0] + colour[2]))

    for mask, colour in ((tracks, SAND), (basalt, BASALT), (both, ASPHALT)):
        assert tint(mask) == pytest.approx(expected(colour), abs=0.08)


def test_training_labels_move_and_held_out_labels_stay():
    (truth, held_out), *others = (rendered(shifted(shift), 0, ROWS) for shift in SHIFTS)
    assert np.array_equal(truth.mask, helsinki(0, ROWS)[0].mask)
    off = []
    for training, other in others:
        assert np.array_equal(training.image, truth.image)
        assert np.array_equal(other.mask, held_out.mask)
        off.append(float(distance_map(truth, 30.0)[torch.from_numpy(training.mask)].mean()))
    assert 1 < off[0] < off[1]
    assert off[0] < SHIFTS[1]
    assert off[1] < SHIFTS[2]  # roads that move along themselves do not leave their places


def test_cuts_are_the_same_shares_of_every_truncation():
    for choose in (thresholds, candidates):
        assert choose("distance", 2, 8.0) == pytest.approx([0.4 * cut for cut in choose("distance", 2)])
        assert choose("distance", 2, 20.0) == choose("distance", 2)
        assert choose("probability", 2, 8.0) == choose("probability", 2)


def test_paired_tests_are_those_of_scipy():
    difference = np.array([0.3, 0.1, -0.05, 0.2, 0.4])
    row = paired.paired(difference)
    assert (row["better"], row["worse"], row["mean"]) == (4, 1, 0.19)
    assert row["sign_p"] == 0.375  # 2 (1 + 5) / 2^5
    assert row["t_p"] == pytest.approx(ttest_rel(difference, 0 * difference).pvalue, abs=1e-4)
    assert row["wilcoxon_p"] == pytest.approx(wilcoxon(difference).pvalue, abs=1e-4)


def test_one_seed_or_equal_scores_are_no_evidence():
    assert paired.paired(np.array([0.3]))["t_p"] is None
    row = paired.paired(np.zeros(3))
    assert (row["better"], row["worse"], row["sign_p"], row["t_p"], row["wilcoxon_p"]) == (0, 0, 1.0, None, None)


def test_first_method_is_better_where_lower_is_better():
    scores = {metric: [0.0, 0.0] for metric in WITH_PLACES} | {"APLS": [0.5, 0.6], "Betti": [0.1, 0.2]}
    others = scores | {"APLS": [0.4, 0.4], "Betti": [0.3, 0.3]}
    rows = {
        name: {"chosen": {"scores": {metric: {"values": values} for metric, values in found.items()}}}
        for name, found in (("one", scores), ("other", others))
    }
    (row,) = paired.tests(rows, "chosen")
    assert (row["first"], row["second"]) == ("one", "other")
    for metric in ("APLS", "Betti"):
        assert (row["metrics"][metric]["better"], row["metrics"][metric]["worse"]) == (2, 0)


def test_light_network_keeps_the_size_of_images():
    net = LightUNet(3, (4, 8, 8))
    assert net(torch.zeros(2, 3, 32, 64)).shape == (2, 1, 32, 64)


@pytest.fixture
def args(tmp_path) -> argparse.Namespace:
    return argparse.Namespace(
        quick=True, seed=0, seeds=1, warmup=1, steps=2, rows=ROWS, device="cpu", work=tmp_path, minutes=None
    )


@pytest.mark.slow  # networks are trained
@pytest.mark.usefixtures("small")
class TestTrainings:
    def test_weights_make_all_gradients_equally_long(self, args):
        plan = replace(both_ways.plan_of(args, "misread roads"), dmax=8.0)
        harness = both_ways.harness_of(plan, args.work)
        one = both_ways.terms(8.0)["Homo-Reg"]

        class Twice(torch.nn.Module):
            def forward(self, pred, target):
                return 2 * one(torch.Generator())(pred, target)

        weights = paired.weigh(harness, {"one": one, "twice": lambda _: Twice()})
        assert weights["one"] == pytest.approx(2 * weights["twice"], rel=0.05)
        assert paired.weigh(harness, {"one": one, "twice": lambda _: Twice()}) == weights  # kept

    def test_warmup_goes_on_until_errors_are_balanced(self, args, monkeypatch):
        found = iter([{"false": 0.0, "missed": 9.0}, {"false": 4.0, "missed": 9.0}, {"false": 5.0, "missed": 9.0}])
        monkeypatch.setattr(both_ways, "balance", lambda harness, seed: next(found))
        plan = replace(both_ways.plan_of(args, "misread roads"), dmax=8.0)
        harness = both_ways.balanced(both_ways.harness_of(plan, args.work), 0)
        assert harness is not None
        assert harness.plan.warmup == plan.warmup + 2 * both_ways.MORE

    def test_unbalanced_seeds_are_left_out(self, args, monkeypatch):
        monkeypatch.setattr(both_ways, "balance", lambda harness, seed: {"false": 1.0, "missed": 9.0})
        plan = replace(both_ways.plan_of(args, "misread roads"), dmax=8.0)
        assert both_ways.balanced(both_ways.harness_of(plan, args.work), 0) is None

    def test_continued_warmup_is_the_long_one(self, args, monkeypatch):
        monkeypatch.setattr(both_ways, "MORE", 1)
        monkeypatch.setattr(both_ways, "SHORTEST", 1)
        plan = replace(both_ways.plan_of(args, "misread roads"), dmax=8.0, warmup=3)
        continued = both_ways.harness_of(plan, args.work / "parts").start("distance", 0)
        whole = Harness(plan, args.work / "whole").start("distance", 0)
        for part, other in zip(continued.net.parameters(), whole.net.parameters(), strict=True):
            assert torch.equal(part, other)

    @pytest.mark.parametrize("name", ["both_ways", "misaligned_training"])
    def test_command_scores_all_methods_in_all_conditions(self, tmp_path, work, monkeypatch, name):
        few = ("Homo-Reg", "Betti matching, paths")
        made = {dmax: {term: both_ways.terms(dmax)[term] for term in few} for dmax in both_ways.DMAX}
        monkeypatch.setattr(both_ways, "terms", made.get)
        monkeypatch.setattr(both_ways, "FACTOR", float("inf"))
        monkeypatch.setattr(misaligned_training, "TERMS", few[:1])
        monkeypatch.setattr(paired, "WEIGHING_BATCHES", 1)
        result = run(name, tmp_path, work, *TINY)
        written(tmp_path, f"{name}_quick", result)
        count = {"both_ways": len(both_ways.DMAX), "misaligned_training": len(SHIFTS)}[name]
        terms = {"both_ways": few, "misaligned_training": few[:1]}[name]
        assert len(result["conditions"]) == count
        for rows in result["conditions"].values():
            assert list(rows) == ["MSE", *terms]
            for row in rows.values():
                assert row["seeds"] == [0]
                for kind in paired.KINDS:
                    assert list(row[kind]["scores"]) == list(WITH_PLACES)

    def test_nothing_starts_after_the_time_is_up(self, tmp_path, monkeypatch, capsys):
        monkeypatch.setattr(both_ways, "FACTOR", float("inf"))
        trained: list[Method] = []
        monkeypatch.setattr(paired, "_scored", lambda *given: trained.append(given[1]))
        with pytest.raises(SystemExit):
            run("both_ways", tmp_path, tmp_path / "work", *TINY, "--minutes", 0)
        assert "no seed is complete" in capsys.readouterr().err
        assert trained == []
