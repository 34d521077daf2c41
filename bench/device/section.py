"""`python -m bench.device.section NAME --out DIR`: one section of the day, in this process."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from .report import Report


class Day(NamedTuple):
    """What a section is given."""

    report: Report
    out: Path
    rehearse: bool

    @property
    def repeats(self) -> int:
        """How often an answer is asked for: races show in some of many runs."""
        return 2 if self.rehearse else 30

    @contextlib.contextmanager
    def isolated(self, name: str) -> Iterator[None]:
        """Report what fails inside under that name, and go on: one failure must not hide what the rest would find."""
        try:
            yield
        except ModuleNotFoundError as error:
            self.report.skipped(name, f"{error.name} is not installed")
        except Exception as error:
            traceback.print_exc()
            self.report(name, "FAILED", reason=f"{type(error).__name__}: {error}"[:2000])

    def capture(self, run: Callable[[], tuple[Tensor, ...]]) -> tuple[tuple[Tensor, ...], Callable[[], None]]:
        """Record a call in a CUDA graph; returns its results, and a function that computes them anew in place."""
        if not self.rehearse:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                results = run()
            return results, graph.replay
        results = run()

        def replay() -> None:
            for old, new in zip(results, run(), strict=True):
                old.copy_(new)

        return results, replay


@contextlib.contextmanager
def emulated() -> Iterator[None]:
    """Let tensors and kernels for a GPU live on the CPU, the kernels as compiled PTX."""
    from .counts import PTXRUN, as_on_a_device

    sys.path.insert(0, PTXRUN)
    import ptxrun.triton

    with ptxrun.triton.emulated(checks=(), stats=False, fake_cuda=True), as_on_a_device():
        yield


SECTIONS = {  # where they are; a module is imported when its section runs, as it may need a package that is missing
    "machine": "times:machine_section",
    "compile": "compiling:compile_section",
    "images": "answers:images",
    "volumes": "answers:volumes",
    "matching": "answers:matching",
    "losses": "answers:losses_section",
    "modes": "modes:modes",
    "kernels": "times:kernels",
    "calls": "times:calls",
    "training": "times:training",
    "rivals": "rivals:rivals",
    "memcheck": "tools:memcheck",
    "racecheck": "tools:racecheck",
    "profiler": "tools:profiler",
    "tiny": "tools:tiny",
    "profiled": "tools:profiled",
}


def run(day: Day, name: str) -> None:
    """Run a section in this process."""
    module, _, function = SECTIONS[name].partition(":")
    with day.isolated("section"), emulated() if day.rehearse else contextlib.nullcontext():
        getattr(importlib.import_module(f"{__package__}.{module}"), function)(day)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=SECTIONS)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rehearse", action="store_true")
    args = parser.parse_args()
    run(Day(Report(args.out, args.name), args.out, args.rehearse), args.name)


if __name__ == "__main__":
    main()
