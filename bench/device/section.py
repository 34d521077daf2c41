"""`python -m bench.device.section NAME --out DIR`: run one section of `bench.device.day` in this process."""

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
    """The arguments of a section."""

    report: Report
    out: Path
    rehearse: bool

    @property
    def repeats(self) -> int:
        """How often each answer is computed, because races show in some of many runs only."""
        return 2 if self.rehearse else 30

    @contextlib.contextmanager
    def isolated(self, name: str) -> Iterator[None]:
        """Report an exception under the given name and continue, so that a failure does not hide later ones."""
        try:
            yield
        except ModuleNotFoundError as error:
            self.report.skipped(name, f"{error.name} is not installed")
        except Exception as error:
            traceback.print_exc()
            self.report(name, "FAILED", reason=f"{type(error).__name__}: {error}"[:2000])

    def capture(self, run: Callable[[], tuple[Tensor, ...]]) -> tuple[tuple[Tensor, ...], Callable[[], None]]:
        """Capture a call in a CUDA graph. Returns its results, and a function that recomputes them in place."""
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
    """Run code for a GPU on the CPU, with kernels as compiled PTX."""
    from .counts import PTXRUN, as_on_a_device

    sys.path.insert(0, PTXRUN)
    import ptxrun.triton

    with ptxrun.triton.emulated(checks=(), stats=False, fake_cuda=True), as_on_a_device():
        yield


SECTIONS = {  # module and function; modules are imported late, because they may need packages that are missing
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
    """Run a section in this process, and report its failure."""
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
