"""What the sanitizer and the profiler of CUDA's toolkit say, each run on a section of its own."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence

from . import answers
from .cases import diagrams, losses, matchings
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


def sanitizer(day: Day) -> None:
    """Run the tiny cases under compute-sanitizer: bad accesses, then races in shared memory."""
    for tool in ("memcheck", "racecheck"):
        if day.rehearse or not shutil.which("compute-sanitizer"):
            day.report.skipped(tool, "rehearsal" if day.rehearse else "compute-sanitizer is not on the PATH")
            continue
        words = ["compute-sanitizer", "--tool", tool, "--error-exitcode", "99", *_section("tiny", day)]
        env = dict(os.environ, PYTORCH_NO_CUDA_MEMORY_CACHING="1")  # a buffer's end is then the end of an allocation
        code, output = _run(words, day, tool, env)
        total = re.findall(r"ERROR SUMMARY: (\d+) error|RACECHECK SUMMARY: (\d+) hazard", output)
        clean = code == 0 and total and not any(int(number) for pair in total for number in pair if number)
        day.report(tool, "clean" if clean else "FAILED", reason="" if clean else output[-1000:], exit_code=code)
    if day.rehearse:
        tiny(day)


def profiler(day: Day) -> None:
    """Profile the five kernels that took longest, by ncu."""
    rows = [row for row in read(day.out) if row["section"] == "kernels" and isinstance(row["value"], float)]
    slowest = [row["name"] for row in sorted(rows, key=lambda row: -row["value"])]
    names = [*dict.fromkeys(name.rpartition(": ")[2] for name in slowest)][:PROFILED]
    if day.rehearse:
        profiled(day)
        return
    if not shutil.which("ncu") or not names:
        day.report.skipped("ncu", "no kernel was timed" if shutil.which("ncu") else "ncu is not on the PATH")
        return
    pattern = "regex:^_?(" + "|".join(map(re.escape, names)) + ")$"
    words = ["ncu", "--clock-control", "none", "--csv", "--page", "raw", "--metrics", ",".join(METRICS)]
    words += ["--kernel-name", pattern, "--launch-count", str(8 * PROFILED), *_section("profiled", day)]
    code, output = _run(words, day, "ncu", dict(os.environ))
    table = [line for line in output.splitlines() if line.startswith('"')]
    for row in csv.DictReader(table):
        if row.get("Kernel Name"):
            found = {short: row[metric] for metric, short in METRICS.items() if row.get(metric)}
            day.report(row["Kernel Name"], found.pop("duration", "no duration"), "ns", **found)
    if not table:
        day.report("ncu", "FAILED", reason=output[-1000:], exit_code=code)


def tiny(day: Day) -> None:
    """Run small cases once, without comparing: what a tool slows down a hundredfold has to be tiny."""
    for case in (*diagrams(2, small=True)[::7], *diagrams(3, small=True)[::7], *matchings(small=True)[::2]):
        answers.on_device(case)[1]()
    for maps in losses(small=True)[::3]:
        maps.step(*(x.cuda() for x in maps.make()))
    day.report("tiny cases", "ran")


def profiled(day: Day) -> None:
    """Run the timed calls once, after a run that compiles."""
    for run in workloads(day).values():
        run()


def _section(name: str, day: Day) -> list[str]:
    return [sys.executable, "-m", "bench.device.section", name, "--out", str(day.out)]


def _run(words: Sequence[str], day: Day, name: str, env: dict[str, str]) -> tuple[int, str]:
    """Run a tool and keep all that it prints."""
    run = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env, check=False)
    (day.out / f"{name}.txt").write_text(run.stdout)
    return run.returncode, run.stdout
