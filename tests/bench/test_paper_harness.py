"""The harness that trains the networks of `bench.paper`, and keeps them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from bench.paper import harness
from bench.paper.harness import CHOOSING, Harness
from bench.paper.methods import (
    Method,
    candidates,
    localized,
)
from bench.paper.plan import Plan
from bench.paper.scores import HIGHER_IS_BETTER
from bench.train.crops import distance_map
from support.paper import ROWS

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("small")]  # networks are trained


def plan(**changes: object) -> Plan:
    return replace(Plan("roads", warmup=1, steps=2, seeds=(0, 1), rows=ROWS), **changes)


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
