"""`bench.device.day`: a section that fails, hangs or cannot run does not stop the others."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from pathlib import Path

import pytest
import torch

from bench.device import cases, day, report, section
from support.day import a_day
from support.processes import wait_until

pytest.importorskip("triton")
pytestmark = [pytest.mark.usefixtures("nothing_carried"), pytest.mark.slow]  # processes run into time limits


REPORTING = """
import os
from pathlib import Path
from bench.device.report import Report
Report(Path({out!r}), {section!r})("done", 1)
"""


def words(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def run_sections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codes: dict[str, str], limit: float) -> list[dict]:
    """Run sections given as code, and return the rows that they reported."""
    monkeypatch.setattr(day, "command", lambda name, out, rehearse: words(codes[name]))
    monkeypatch.setattr(day, "LIMITS", dict.fromkeys(codes, limit))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    day.main(["--out", str(tmp_path)])
    return [json.loads(line) for line in (tmp_path / report.FILE).read_text().splitlines()]


def test_sections_that_hang_or_crash_do_not_stop_the_others(tmp_path: Path, monkeypatch, capsys) -> None:
    reporting = {name: REPORTING.format(out=str(tmp_path), section=name) for name in ("losses", "modes")}
    codes = {
        "images": "import time; time.sleep(600)",
        "volumes": "import os; os.abort()",
        "matching": "raise RuntimeError('device-side assert')",
        "losses": reporting["losses"] + "os.kill(os.getpid(), 9)",  # what was reported before is kept
        "modes": reporting["modes"],
    }
    rows = run_sections(tmp_path, monkeypatch, codes, limit=8)
    failed = {row["section"]: row["value"] for row in rows if row["name"] == "section"}
    assert failed == {"images": "TIMED OUT", "volumes": "FAILED", "matching": "FAILED", "losses": "FAILED"}
    assert [row["section"] for row in rows if row["name"] == "done"] == ["losses", "modes"]
    assert "device-side assert" in (tmp_path / "summary.txt").read_text()
    assert "device-side assert" in (tmp_path / "log.txt").read_text()
    assert "4 failed" in capsys.readouterr().out


def test_processes_started_by_a_section_end_with_it(tmp_path: Path, monkeypatch) -> None:
    child = f"{sys.executable} -c 'import time; time.sleep(600)'"
    start = f"import subprocess; print(subprocess.Popen({child!r}, shell=True).pid, flush=True)"
    run_sections(tmp_path, monkeypatch, {"images": f"{start}; import time; time.sleep(600)", "volumes": start}, limit=2)
    log = (tmp_path / "log.txt").read_text().splitlines()
    children = [int(line) for line in log if line.isdigit()]
    assert len(children) == 2
    assert wait_until(lambda: not any(_is_running(pid) for pid in children))


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_all_sections_end_before_the_deadline(tmp_path: Path, monkeypatch) -> None:
    assert day.TOTAL + 5 < 480
    monkeypatch.setattr(day, "TOTAL", 6)
    start = time.monotonic()
    codes = dict.fromkeys(("images", "volumes"), "import time; time.sleep(600)")
    rows = run_sections(tmp_path, monkeypatch, codes, limit=500)
    assert time.monotonic() - start < 60  # sections would take 600
    assert [(row["section"], row["value"]) for row in rows if row["name"] == "section"] == [
        ("images", "TIMED OUT"),
        ("volumes", "skipped"),
    ]


def test_sections_after_the_deadline_are_reported_as_skipped(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(day, "TOTAL", 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    day.main(["--out", str(tmp_path)])
    assert [(row["section"], row["reason"]) for row in report.read(tmp_path)] == [
        (name, "no time is left") for name in day.LIMITS
    ]


def test_missing_package_is_reported_as_skipped(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    for name in ("bench.device.times", "bench.device.workloads", "bench.speed.inputs"):
        package, _, module = name.rpartition(".")
        monkeypatch.delattr(sys.modules.get(package), module, raising=False)  # which `from package import module` finds
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(section, "emulated", contextlib.nullcontext)
    section.run(a_day(tmp_path, "calls"), "calls")
    (row,) = report.read(tmp_path)
    assert (row["name"], row["value"], row["reason"]) == ("section", "skipped", "PIL is not installed")


def test_one_failure_does_not_hide_the_others(tmp_path: Path, monkeypatch) -> None:
    from bench.device import answers

    def failing(case: cases.Windows) -> object:
        raise RuntimeError("an illegal memory access")

    monkeypatch.setattr(answers, "on_device", failing)
    answers.images(a_day(tmp_path, "images"))
    failed = [row["name"] for row in report.read(tmp_path) if row["value"] == "FAILED"]
    assert failed == [case.name for case in sorted(cases.diagrams(2, small=True), key=lambda case: case.kind)]
