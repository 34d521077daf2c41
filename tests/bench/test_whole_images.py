"""The benchmarks of growing windows and of one large image, and the page of `bench.all`."""

from __future__ import annotations

from pathlib import Path

import cripser
import numpy as np
import pytest

import bench.all
from bench.speed import large_image, whole_images

TINY = {2: (8, 16), 3: (4, 8)}


def test_rows_have_the_times_of_all_contenders_in_table_and_plot(tmp_path: Path) -> None:
    rows = [
        row for rank in (2, 3) for kind in whole_images.KINDS for row in whole_images.measure(kind, rank, TINY[rank], 1)
    ]
    assert len(rows) == 8
    assert all([*row["nanoseconds a pixel"]] == ["gpuph", "GUDHI", "cripser"] for row in rows)
    lines = whole_images.table(rows).splitlines()
    assert len(lines) == 10 and lines[2].startswith("| smooth, 8^2 | ") and lines[-1].startswith("| noise, 8^3 | ")
    whole_images.draw(rows, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 0


def test_wrong_diagram_of_a_contender_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cripser, "computePH_T", lambda x, maxdim: np.zeros((0, 9)))
    with pytest.raises(AssertionError):
        whole_images.measure("noise", 2, [8], 1)


def test_slow_contender_is_left_out_of_larger_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    times = {"gpuph": 0.1, "GUDHI": 0.1, "cripser": 20.0}
    monkeypatch.setattr(whole_images, "in_turn", lambda runs, repeats: {name: times[name] for name in runs})
    first, second = whole_images.measure("noise", 2, [8, 16], 1)
    assert "cripser" in first["nanoseconds a pixel"]
    assert [*second["nanoseconds a pixel"]] == ["gpuph", "GUDHI"]  # 80 s are too long
    assert whole_images.table([second]).endswith("|  |")


def test_windows_that_do_not_fit_into_memory_end_a_series(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_images, "BYTES", 2**60)
    assert whole_images.measure("noise", 2, [8], 1) == []


def test_large_image_is_compared_with_its_own_windows() -> None:
    rows = [large_image.measure(kind, 128, 1) for kind in large_image.KINDS]
    lines = large_image.table(rows).splitlines()
    assert len(lines) == 5 and lines[2].startswith("| roads, 128^2 | ") and lines[4].startswith("| noise, 128^2 | ")
    image = large_image.roads(1, 1700)
    assert image.shape == (1, 1700, 1700) and image.isfinite().all()


def test_every_command_of_bench_speed_is_found() -> None:
    assert {"persistence", "loss", "matching", "whole_images"} <= set(bench.all.benchmarks())
    assert not {"timing", "inputs", "diagrams"} & set(bench.all.benchmarks())


def test_page_has_what_benchmarks_print_and_why_others_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = {"persistence": (True, "gpuph 1.0", 3.0), "loss": (False, "ModuleNotFoundError: topolosses", 1.0)}
    monkeypatch.setattr(bench.all, "run", outcomes.__getitem__)
    bench.all.main(["--only", "persistence", "loss", "--out", str(tmp_path / "page.md")])
    page = (tmp_path / "page.md").read_text()
    assert "## persistence" in page and "gpuph 1.0" in page and "results/persistence.md" in page
    assert "Failed after 1 s." in page and "ModuleNotFoundError: topolosses" in page


def test_failure_of_a_benchmark_is_its_last_line() -> None:
    succeeded, printed, _ = bench.all.run("whole_images", ["--unknown"])
    assert not succeeded and "unrecognized arguments" in printed
