"""`python -m bench.all`: run every benchmark of `bench.speed` on this machine, and write one page with what they print.

Each benchmark runs in a process of its own, one after the other, and compares the answers of its contenders before it
times them. One that fails, for instance because a contender is not installed, is reported with the reason, and the
others run. Nothing in bench/results changes. All together take about an hour on a free machine.
"""

from __future__ import annotations

import argparse
import json
import pkgutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import bench.speed
from bench.speed.timing import machine

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"


def benchmarks() -> list[str]:
    """Return the names of the modules of bench.speed that are commands."""
    names = [module.name for module in pkgutil.iter_modules(bench.speed.__path__)]
    folder = Path(bench.speed.__path__[0])
    return [name for name in names if "def main()" in (folder / f"{name}.py").read_text()]


def run(name: str, arguments: Sequence[str] = ()) -> tuple[bool, str, float]:
    """Run a benchmark, and return whether it succeeded, what it printed or why it failed, and its seconds."""
    start = time.perf_counter()
    command = [sys.executable, "-m", f"bench.speed.{name}", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    lines = done.stderr.strip().splitlines()
    printed = done.stdout.strip() if done.returncode == 0 else (lines[-1] if lines else f"exit {done.returncode}")
    return done.returncode == 0, printed, time.perf_counter() - start


def section(name: str, succeeded: bool, printed: str, seconds: float) -> str:
    """Return the part of the page for one benchmark, with links to the published page and plot if there are any."""
    saved = [
        f"[{path.name}]({path.as_posix()})" for end in ("md", "png") if (path := RESULTS / f"{name}.{end}").exists()
    ]
    published = f" Published: {', '.join(saved)}." if saved else ""
    outcome = f"{seconds:.0f} s." if succeeded else f"Failed after {seconds:.0f} s."
    return f"## {name}\n\n`python -m bench.speed.{name}`: {outcome}{published}\n\n```\n{printed}\n```\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=benchmarks(), default=benchmarks(), help="(default: all)")
    parser.add_argument("--out", type=Path, default=ROOT / "runs/bench.md", help="the page (default: runs/bench.md)")
    options = parser.parse_args(arguments)
    parts = [f"# Benchmarks\n\n```\n{json.dumps(machine(), indent=1)}\n```\n"]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    for name in options.only:
        print(name, flush=True)
        parts.append(section(name, *run(name)))
        options.out.write_text("\n".join(parts))  # so that an interruption loses nothing
    print(f"written to {options.out}")


if __name__ == "__main__":
    main()
