"""`python -m bench.device.day --out DIR`: check in eight minutes on a GPU what only a GPU can show.

Each section runs in a process of its own with a time limit, so that a section that hangs or breaks the device's context
does not stop the others. Results are appended to DIR/day.jsonl as soon as they are known, everything printed goes to
DIR/log.txt, and a summary is printed at the end. Sections whose tools or packages are missing are reported as skipped.
DIR is runs/device by default.

`--rehearse` runs the same sections on a CPU, as compiled PTX (tests/ptxrun), on tiny inputs: it shows that the sections
work; its times have no meaning. `python -m bench.device.carry` prepares files that save time on the machine.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from .report import Report, read, summary

ROOT = Path(__file__).parents[2]
CARRIED = ROOT / ".carry"  # see bench.device.carry
TOTAL = 470  # seconds for all sections together, so that the whole command takes less than 480
LIMITS = {  # seconds by section, in the order in which they run
    "machine": 30,
    "compile": 150,
    "images": 60,
    "volumes": 60,
    "matching": 80,
    "losses": 45,
    "modes": 45,
    "kernels": 45,
    "calls": 45,
    "training": 60,
    "rivals": 40,
    "memcheck": 60,
    "racecheck": 60,
    "profiler": 75,
}


def environment(out: Path, site: Path, rehearse: bool) -> dict[str, str]:
    """Return the environment of sections: without buffering, with the carried packages and compiled kernels.

    Packages are installed into the directory `site`. A rehearsal does not use the carried kernels: it compiles without
    assembling, into the machine's own cache.
    """
    found = dict(os.environ, PYTHONUNBUFFERED="1")
    report, cache = Report(out, "carried"), CARRIED / "triton"
    for wheel in sorted((CARRIED / "wheels").glob("*.whl")):  # one by one, because pip installs all or none
        words = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
        try:
            subprocess.run(
                [*words, "--target", str(site), str(wheel)], capture_output=True, text=True, timeout=30, check=True
            )
            report(wheel.name, "installed")
        except subprocess.SubprocessError as error:
            report.skipped(wheel.name, str(error.stderr or error).strip()[-300:])
        found["PYTHONPATH"] = os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH"))))
    if cache.is_dir() and not rehearse:
        relocate(cache)
        found.setdefault("TRITON_CACHE_DIR", str(cache))
    return found


def relocate(cache: Path) -> None:
    """Make a Triton cache valid in the directory to which it was moved.

    Triton records the files of a kernel by their absolute paths, and recompiles if these do not exist.
    """
    for path in cache.glob("*/__grp__*.json"):
        group = json.loads(path.read_text())
        group["child_paths"] = {name: str(path.parent / name) for name in group["child_paths"]}
        path.write_text(json.dumps(group))


def command(name: str, out: Path, rehearse: bool) -> list[str]:
    """Return the command line of a section."""
    return [sys.executable, "-m", "bench.device.section", name, "--out", str(out), *(["--rehearse"] * rehearse)]


def run_section(name: str, out: Path, rehearse: bool, limit: float, env: dict[str, str]) -> None:
    """Run a section in a process of its own, and report if it fails or exceeds its time limit."""
    report = Report(out, name)
    start = time.monotonic()
    with (out / "log.txt").open("ab") as log:
        log.write(f"===== {name}\n".encode())
        log.flush()
        process = subprocess.Popen(
            command(name, out, rehearse),
            cwd=ROOT,
            env=env,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        code: int | None = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = process.wait(limit)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # including processes that the section started
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
    if code is None:
        report("section", "TIMED OUT", reason=f"after {limit:.0f} s")
    elif code:
        last = (out / "log.txt").read_text(errors="replace").strip().splitlines()[-1]
        report("section", "FAILED", reason=f"exit code {code}: {last}")
    report("section took", round(time.monotonic() - start, 1), "s")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.device.day", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/device"), metavar="DIR", help="default: %(default)s")
    parser.add_argument("--rehearse", action="store_true", help="run on a CPU, on tiny inputs")
    parser.add_argument("--only", nargs="+", choices=LIMITS, metavar="SECTION", help="run only these sections")
    args = parser.parse_args(argv)
    deadline = time.monotonic() + TOTAL

    import torch  # here, so that the seconds that it takes count

    if not args.rehearse and not torch.cuda.is_available():
        parser.error("PyTorch finds no GPU here; --rehearse runs the same on a CPU")
    args.out.mkdir(parents=True, exist_ok=True)
    out = args.out.resolve()
    with tempfile.TemporaryDirectory() as site:
        env = environment(out, Path(site), args.rehearse)
        run(args.only or [*LIMITS], out, args.rehearse, deadline, env)
    text = summary(read(args.out))
    (args.out / "summary.txt").write_text(text + "\n")
    print(text)


def run(names: Sequence[str], out: Path, rehearse: bool, deadline: float, env: dict[str, str]) -> None:
    """Run sections one after the other until the deadline, and print failures."""
    for name in names:
        left = deadline - time.monotonic()
        if left < 5 and not rehearse:
            Report(out, name).skipped("section", "no time is left")
            continue
        limit = max(LIMITS[name], 600) if rehearse else min(LIMITS[name], left)
        print(f"{name}: {limit:.0f} s at most", flush=True)
        before = len(read(out))
        run_section(name, out, rehearse, limit, env)
        for row in read(out)[before:]:
            if row["value"] in ("FAILED", "TIMED OUT"):
                print(f"  {row['name']} {row['value']} {row.get('reason', '')[:200]}", flush=True)


if __name__ == "__main__":
    main()
