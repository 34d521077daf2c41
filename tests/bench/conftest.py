"""Fixtures of the benchmarks' tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench.device import day


@pytest.fixture
def nothing_carried(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use an empty directory instead of this checkout's carried files, and return it."""
    folder = tmp_path_factory.mktemp("carried")
    monkeypatch.setattr(day, "CARRIED", folder)
    return folder


@pytest.fixture(scope="module")
def small() -> Iterator[None]:
    """Use small networks, crops and volumes, and few batches for batch-norm statistics, for speed."""
    import bench.paper.plan
    import bench.train.evaluation
    import bench.train.network
    import bench.train.neurons
    from bench.paper import harness, tables
    from bench.paper.methods import candidates, thresholds

    tiny = {"features": (8, 8, 8, 8, 8, 8), "batch": 1}
    presets = {
        "small": {
            2: replace(bench.train.network.PRESETS["small"][2], crop=64, **tiny),
            3: replace(bench.train.network.PRESETS["small"][3], crop=48, **tiny),
        },
        "brief": {2: replace(bench.paper.plan.PRESETS["brief"][2], features=(4, 4, 4), batch=1)},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench.paper.plan, "PRESETS", presets)
        patch.setattr(bench.train.network, "STATISTICS_BATCHES", 1)
        patch.setattr(bench.train.neurons, "SIDE", 48)
        patch.setattr(bench.train.evaluation, "SIGHT", {2: 128, 3: 48})
        for module in (harness, tables):  # test_table_has_scores_at_other_thresholds uses all of them
            patch.setattr(module, "thresholds", lambda *given: thresholds(*given)[:1])
        patch.setattr(harness, "candidates", lambda *given: candidates(*given)[2:3])
        yield


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory in which the tables of this module keep what they share."""
    return tmp_path_factory.mktemp("work")
