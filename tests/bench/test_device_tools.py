"""`bench.device.tools`: the sanitizer and the profiler, as programs that only print."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.device import report
from support.day import a_day

pytest.importorskip("triton")
pytestmark = pytest.mark.usefixtures("nothing_carried")


STUB = """#!/bin/sh
echo "$@" >> {out}/words
cat <<'EOF'
{says}
EOF
exit {code}
"""


def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, says: str, code: int = 0) -> None:
    """Put a program on the PATH that only prints a text."""
    path = tmp_path / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(STUB.format(out=tmp_path, says=says, code=code))
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("tool", "says", "code", "value"),
    [
        ("memcheck", "========= ERROR SUMMARY: 0 errors", 0, "clean"),
        ("memcheck", "========= ERROR SUMMARY: 3 errors", 99, "FAILED"),
        ("memcheck", "========= Error: Target application terminated before first instrumented API call", 0, "FAILED"),
        ("racecheck", "========= RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)", 0, "clean"),
        ("racecheck", "========= RACECHECK SUMMARY: 1 hazard displayed (0 errors, 1 warning)", 0, "FAILED"),
    ],
)
def test_sanitizer_runs_and_its_summary_is_read(
    tmp_path: Path, monkeypatch, tool: str, says: str, code: int, value: str
) -> None:
    from bench.device import tools

    stub(tmp_path, monkeypatch, "compute-sanitizer", says, code)
    getattr(tools, tool)(a_day(tmp_path, tool, rehearse=False))
    (row,) = report.read(tmp_path)
    assert row["value"] == value
    assert f"--tool {tool} " in (tmp_path / "words").read_text() and says in (tmp_path / f"{tool}.txt").read_text()


PROFILE = """==PROF== Connected to process 1
"ID","Kernel Name","Block Size","gpu__time_duration.sum","launch__registers_per_thread"
"","","","ns","register/thread"
"0","_match","(128, 1, 1)","1234","192"
"1","_reduce","(32, 1, 1)","567","80"
"""


def test_five_slowest_kernels_are_profiled(tmp_path: Path, monkeypatch) -> None:
    from bench.device import tools

    times = report.Report(tmp_path, "kernels")
    for number, kernel in enumerate(("gradient", "merge", "pairs", "place", "reduce", "match", "cost")):
        times(f"persistence of volumes, noise: {kernel}", float(number), "us")
        times(f"persistence of roads: {kernel}", 0.5 * number, "us")
    stub(tmp_path, monkeypatch, "ncu", PROFILE)
    tools.profiler(a_day(tmp_path, "profiler", rehearse=False))
    rows = [row for row in report.read(tmp_path) if row["section"] == "profiler"]
    assert [(row["name"], row["value"], row["registers"]) for row in rows] == [
        ("_match", "1234", "192"),
        ("_reduce", "567", "80"),
    ]
    assert "regex:^_?(cost|match|reduce|place|pairs)$ " in (tmp_path / "words").read_text()
    assert "--clock-control none " in (tmp_path / "words").read_text()
    assert set(tools.slowest(tmp_path).values()) == {"persistence of volumes, noise"}


def test_missing_tools_are_reported_as_skipped(tmp_path: Path, monkeypatch) -> None:
    from bench.device import tools

    monkeypatch.setenv("PATH", str(tmp_path))
    report.Report(tmp_path, "kernels")("persistence of roads: merge", 1.0, "us")
    for name in ("memcheck", "racecheck", "profiler"):
        getattr(tools, name)(a_day(tmp_path, name, rehearse=False))
    skipped = [(row["value"], row["reason"]) for row in report.read(tmp_path)[1:]]
    missing = ("skipped", "compute-sanitizer is not on the PATH")
    assert skipped == [missing, missing, ("skipped", "ncu is not on the PATH")]
