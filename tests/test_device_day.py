"""The day of a GPU, rehearsed: every section runs through compiled PTX, and none that breaks stops the next."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.device import cases, day, golden, report, section

pytest.importorskip("triton")
needs_gcc = pytest.mark.skipif(not shutil.which("gcc") or sys.platform != "linux", reason="ptxrun needs Linux and gcc")


def test_golden_answers_are_those_of_the_cpu() -> None:
    hashes, tensors = golden.load()
    now, tensors_now = golden.compute()
    assert now == hashes, "run `python -m bench.device.golden` where a change of answers is meant"
    assert tensors_now.keys() == tensors.keys()
    for name, expected in tensors.items():
        if expected.dtype.kind == "f":
            np.testing.assert_allclose(tensors_now[name], expected, rtol=1e-5, atol=1e-7)
        else:
            np.testing.assert_array_equal(tensors_now[name], expected)


def test_inputs_are_exact_in_float32() -> None:
    for kind in cases.KINDS:
        for shape in ((31, 33), (5, 6, 4)):
            single, double = (cases.windows(kind, 2, shape, dtype) for dtype in (torch.float32, torch.float64))
            assert torch.equal(single.double().nan_to_num(), double.nan_to_num()), kind


def test_digest_tells_answers_apart() -> None:
    x = torch.arange(6.0)
    assert golden.digest([x]) == golden.digest([x.clone()]) != golden.digest([x.flip(0)])
    assert golden.digest([x]) != golden.digest([x.double()])
    assert golden.digest([x]) != golden.digest([x.view(2, 3)])
    assert golden.digest([torch.tensor([0.0, torch.nan])]) == golden.digest([torch.tensor([-0.0, -torch.nan])])


REPORTING = """
from pathlib import Path
from bench.device.report import Report
Report(Path({out!r}), "losses")("done", 1)
"""


def words(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_section_that_hangs_or_crashes_stops_none_that_follows(tmp_path: Path, monkeypatch, capsys) -> None:
    codes = {
        "images": "import time; time.sleep(600)",
        "volumes": "import os; os.abort()",
        "matching": "raise RuntimeError('device-side assert')",
        "losses": REPORTING.format(out=str(tmp_path)),
    }
    monkeypatch.setattr(day, "command", lambda name, out, rehearse: words(codes[name]))
    monkeypatch.setattr(day, "LIMITS", dict.fromkeys(codes, 3))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    day.main(["--out", str(tmp_path)])
    rows = [json.loads(line) for line in (tmp_path / report.FILE).read_text().splitlines()]
    outcome = {row["section"]: row["value"] for row in rows if row["name"] in ("section", "done")}
    assert outcome == {"images": "TIMED OUT", "volumes": "FAILED", "matching": "FAILED", "losses": 1}
    assert "device-side assert" in (tmp_path / "summary.txt").read_text()
    assert "3 failed" in capsys.readouterr().out


def test_sections_after_the_time_is_up_are_named(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(day, "TOTAL", 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    day.main(["--out", str(tmp_path)])
    assert [(row["section"], row["reason"]) for row in report.read(tmp_path)] == [
        (name, "no time is left") for name in day.LIMITS
    ]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_day_says_so(tmp_path: Path, capsys) -> None:
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
    timed = {row["name"].rpartition(": ")[2] for row in rows if row["section"] == "kernels"}
    assert {"gradient", "merge", "reduce", "matched_cost", "match", "scatter_slopes"} <= timed
    assert "0 failed" in capsys.readouterr().out


@pytest.mark.ptx
@needs_gcc
def test_wrong_answer_is_found(tmp_path: Path, monkeypatch) -> None:
    from bench.device import answers

    right = golden.pairs

    def wrong(x: torch.Tensor, construction: str) -> dict[str, list[torch.Tensor]]:
        found = right(x, construction)
        found["index"][0][0, 0, 0] += 1
        return found

    monkeypatch.setattr(golden, "pairs", wrong)
    monkeypatch.setattr(answers, "diagrams", lambda rank, small: cases.diagrams(rank, small)[:2])
    with section.emulated():
        answers.images(section.Day(report.Report(tmp_path, "images"), tmp_path, rehearse=True))
    (row,) = report.read(tmp_path)
    assert row["value"] == "FAILED" and "noise-N2-1x1-float32-T: index" in row["reason"]
