"""Run CUDA's compute-sanitizer and profiler, each on a section of its own."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from . import answers
from .cases import Maps, Points, Windows
from .report import read
from .section import Day
from .times import workloads

PROFILED = 5  # kernels
METRICS = {
    "gpu__time_duration.sum": "duration",
    "sm__throughput.avg.pct_of_peak_sustained_elapsed": "SM",
    "gpu__compute_memory_throughput.avg.pct_of_peak_sustained_elapsed": "memory",
    "dram__throughput.avg.pct_of_peak_sustained_elapsed": "DRAM",
    "sm__warps_active.avg.pct_of_peak_sustained_active": "occupancy",
    "smsp__issue_active.avg.pct": "issuing",
    "launch__registers_per_thread": "registers",
}


def memcheck(day: Day) -> None:
    """Check for invalid accesses to memory."""
    _sanitize("memcheck", day)


def racecheck(day: Day) -> None:
    """Check for races in shared memory."""
    _sanitize("racecheck", day)


def _sanitize(tool: str, day: Day) -> None:
    """Run the tiny cases under compute-sanitizer."""
    if day.rehearse:
        day.report.skipped(tool, "a rehearsal runs the tiny cases without it")
        tiny(day)
        return
    if not shutil.which("compute-sanitizer"):
        day.report.skipped(tool, "compute-sanitizer is not on the PATH")
        return
    words = ["compute-sanitizer", "--tool", tool, "--error-exitcode", "99", *_section("tiny", day)]
    env = dict(os.environ, PYTORCH_NO_CUDA_MEMORY_CACHING="1")  # each buffer is then an allocation of its own
    code, output = _run(words, day, tool, env)
    total = re.findall(r"ERROR SUMMARY: (\d+) error|RACECHECK SUMMARY: (\d+) hazard", output)
    clean = code == 0 and total and not any(int(number) for pair in total for number in pair if number)
    day.report(tool, "clean" if clean else "FAILED", reason="" if clean else output[-1000:], exit_code=code)


def slowest(out: Path) -> dict[str, str]:
    """Return the kernels that took longest so far, each with the workload in which it did."""
    timed = [row for row in read(out) if row["section"] == "kernels" and isinstance(row["value"], float)]
    found: dict[str, str] = {}
    for row in sorted(timed, key=lambda row: -row["value"]):
        title, _, kernel = row["name"].rpartition(": ")
        if title and len(found) < PROFILED:
            found.setdefault(kernel, title)
    return found


def profiler(day: Day) -> None:
    """Profile the five kernels that took longest with ncu."""
    kernels = slowest(day.out)
    if day.rehearse:
        day.report.skipped("ncu", f"a rehearsal runs what it would profile without it: {', '.join(kernels)}")
        profiled(day)
        return
    if not shutil.which("ncu") or not kernels:
        day.report.skipped("ncu", "no kernel was timed" if shutil.which("ncu") else "ncu is not on the PATH")
        return
    pattern = "regex:^_?(" + "|".join(map(re.escape, kernels)) + ")$"
    words = ["ncu", "--clock-control", "none", "--csv", "--page", "raw", "--metrics", ",".join(METRICS)]
    words += ["--kernel-name", pattern, *_section("profiled", day)]
    code, output = _run(words, day, "ncu", dict(os.environ))
    rows = csv.DictReader(line for line in output.splitlines() if line.startswith('"'))
    named = [row for row in rows if row.get("Kernel Name")]  # the first row has units
    for row in named:
        found = {short: row[metric] for metric, short in METRICS.items() if row.get(metric)}
        day.report(row["Kernel Name"], found.pop("duration", "no duration"), "ns", **found)
    if code or not named:
        day.report("ncu", "FAILED", reason=output[-1000:], exit_code=code)


def tiny(day: Day) -> None:
    """Run a few small cases once, without comparing answers, because tools slow kernels down a hundredfold."""
    single, double = torch.float32, torch.float64
    cases: tuple[Windows | Points | Maps, ...] = (
        Windows("noise", 2, (12, 11), single, "T"),
        Windows("with a nan", 2, (1, 13), double, "V"),
        Windows("noise", 2, (5, 6, 4), single, "V"),
        Windows("ties", 2, (1, 5, 4), double, "T"),
        Points(((0, 3), (2, 0), (1, 1), (7, 5)), single, True, "augment"),
        Points(((0, 3), (2, 0), (1, 1), (7, 5)), double, False, "auction"),
        Maps("LocalizedPHLoss", 2, (18, 15), single),
        Maps("LocalizedPHLoss", 2, (7, 8, 6), single),
    )
    for case in cases:
        if isinstance(case, Maps):
            case.step(*(x.cuda() for x in case.make()))
        else:
            _, run = answers.on_device(case)
            run()
        torch.cuda.synchronize()
        day.report(case.name, "ran")


def profiled(day: Day) -> None:
    """Run each workload of the kernels that took longest once."""
    titles = [*dict.fromkeys(slowest(day.out).values())]
    for title in titles:
        workloads(small=day.rehearse)[title]()()
    torch.cuda.synchronize()
    day.report("workloads", len(titles), reason=", ".join(titles))


def _section(name: str, day: Day) -> list[str]:
    return [sys.executable, "-m", "bench.device.section", name, "--out", str(day.out)]


def _run(words: Sequence[str], day: Day, name: str, env: dict[str, str]) -> tuple[int, str]:
    """Run a tool, and keep its output even if the tool is stopped."""
    path = day.out / f"{name}.txt"
    with path.open("w") as file:
        run = subprocess.run(words, stdout=file, stderr=subprocess.STDOUT, env=env, check=False)
    return run.returncode, path.read_text(errors="replace")
