"""`python -m bench.device.day --out DIR`: find out on a GPU, in eight minutes, all that only a GPU can show.

Every section runs in a process of its own with a time limit, so that one that hangs or breaks the device's context
stops none that follows. What a section finds is in DIR/day.jsonl the moment that it is known; a summary comes last.
What the machine lacks is named and skipped. If DIR is omitted, runs/device is used.

`--rehearse` runs the same on a CPU, through compiled PTX (tests/ptxrun), on tiny inputs: it shows that the day will
work, and its times mean nothing. `python -m bench.device.carry` makes what saves time on the machine.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from .report import Report, read, summary

ROOT = Path(__file__).parents[2]
CARRIED = ROOT / ".carry"  # see bench.device.carry
TOTAL = 470  # seconds, so that a limit of 480 is never met
LIMITS = {  # seconds, by section, in the order of running
    "machine": 30,
    "compile": 150,
    "images": 60,
    "volumes": 60,
    "matching": 60,
    "losses": 45,
    "modes": 45,
    "kernels": 45,
    "calls": 45,
    "training": 60,
    "rivals": 40,
    "sanitizer": 75,
    "profiler": 75,
}


def environment(out: Path) -> dict[str, str]:
    """The environment of sections: carried packages and compiled kernels are found, and nothing is buffered."""
    found = dict(os.environ, PYTHONUNBUFFERED="1")
    wheels, cache = sorted((CARRIED / "wheels").glob("*.whl")), CARRIED / "triton"
    if wheels:
        site = out / "site"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
        subprocess.run([*pip, "--upgrade", "--target", site, *wheels], check=False)
        found["PYTHONPATH"] = os.pathsep.join(filter(None, (str(site), found.get("PYTHONPATH"))))
    if cache.is_dir():
        found.setdefault("TRITON_CACHE_DIR", str(cache))
    return found


def command(name: str, out: Path, rehearse: bool) -> list[str]:
    """The command line of a section."""
    return [sys.executable, "-m", "bench.device.section", name, "--out", str(out), *(["--rehearse"] * rehearse)]


def run_section(name: str, out: Path, rehearse: bool, limit: float, env: dict[str, str]) -> None:
    """Run a section in a process of its own, and report if it fails or outlasts its limit."""
    report = Report(out, name)
    start = time.monotonic()
    with (out / f"{name}.log").open("w") as log:
        process = subprocess.Popen(
            command(name, out, rehearse),
            cwd=ROOT,
            env=env,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)  # and what the section started
            report("section", "TIMED OUT", reason=f"after {limit:.0f} s", seconds=round(time.monotonic() - start, 1))
            return
    if code:
        last = (out / f"{name}.log").read_text(errors="replace").strip().splitlines()[-1:]
        report("section", "FAILED", reason=f"exit code {code}: {' '.join(last)}")
    report("section took", round(time.monotonic() - start, 1), "s")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.device.day", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/device"), metavar="DIR", help="(%(default)s)")
    parser.add_argument("--rehearse", action="store_true", help="on a CPU, on tiny inputs")
    parser.add_argument("--only", nargs="+", choices=LIMITS, metavar="SECTION", help="run only these sections")
    args = parser.parse_args(argv)
    if not args.rehearse and not torch.cuda.is_available():
        parser.error("PyTorch finds no GPU here; --rehearse runs the same on a CPU")
    args.out.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + TOTAL
    env = environment(args.out.resolve())
    for name in args.only or LIMITS:
        left = deadline - time.monotonic()
        if left < 5 and not args.rehearse:
            Report(args.out, name).skipped("section", "no time is left")
            continue
        limit = max(LIMITS[name], 600) if args.rehearse else min(LIMITS[name], left)
        print(f"{name}: {limit:.0f} s at most", flush=True)
        run_section(name, args.out.resolve(), args.rehearse, limit, env)
        for row in read(args.out):
            if row["section"] == name and row["value"] in ("FAILED", "TIMED OUT"):
                print(f"  {row['name']} {row['value']} {row.get('reason', '')[:200]}", flush=True)
    text = summary(read(args.out))
    (args.out / "summary.txt").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
