"""`bench.device.day`, rehearsed as compiled PTX: all sections run, and a wrong answer is reported."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
import torch

from bench.device import cases, day, golden, report, section
from support.day import a_day

pytest.importorskip("triton")
pytestmark = pytest.mark.usefixtures("nothing_carried")


needs_gcc = pytest.mark.skipif(not shutil.which("gcc") or sys.platform != "linux", reason="ptxrun needs Linux and gcc")


def test_every_timed_call_has_a_prediction() -> None:
    from bench.device import times
    from bench.device.workloads import workloads

    predicted = {title for title, _ in times.predictions()}
    assert set(workloads(small=False)) <= predicted


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_missing_gpu_ends_the_command_with_one_line(tmp_path: Path, capsys) -> None:
    with pytest.raises(SystemExit):
        day.main(["--out", str(tmp_path)])
    assert "PyTorch finds no GPU here" in capsys.readouterr().err


@pytest.mark.ptx
@needs_gcc
def test_every_section_can_be_rehearsed(tmp_path: Path, capsys) -> None:
    day.main(["--rehearse", "--out", str(tmp_path)])
    rows = report.read(tmp_path)
    assert [row["section"] for row in rows if row["name"] == "section took"] == list(day.LIMITS)
    assert not [row for row in rows if row["value"] in ("FAILED", "TIMED OUT")]
    equal = {row["section"] for row in rows if row["value"] == "equal"}
    assert equal == {"images", "volumes", "matching", "losses", "modes"}
    timed = [row for row in rows if row["section"] == "kernels" and row["name"] != "section took"]
    names = {row["name"].rpartition(": ")[2] for row in timed}
    assert {"gradient", "merge", "reduce", "matched_cost", "match", "scatter_slopes"} <= names
    for row in timed:
        if row["name"].startswith("persistence"):  # titles of losses and matchings tell sizes, which are others here
            assert 0 < row["predicted us"] <= row["us with latency"], row["name"]
    assert "0 failed" in capsys.readouterr().out
    files = [*tmp_path.rglob("*")]
    assert len(files) <= 8 and all(path.is_file() for path in files)  # few enough to be fetched one by one


@pytest.mark.ptx
@needs_gcc
def test_wrong_answer_is_reported(tmp_path: Path, monkeypatch) -> None:
    from bench.device import answers

    right = golden.pairs

    def wrong(x: torch.Tensor, construction: str) -> dict[str, list[torch.Tensor]]:
        found = right(x, construction)
        found["index"][0][0, 0, 0] += 1
        return found

    monkeypatch.setattr(golden, "pairs", wrong)
    monkeypatch.setattr(answers, "diagrams", lambda rank, small: cases.diagrams(rank, small)[:2])
    with section.emulated():
        answers.images(a_day(tmp_path, "images"))
    (row,) = report.read(tmp_path)
    assert row["value"] == "FAILED" and "noise-N2-1x1-float32-T: index" in row["reason"]
