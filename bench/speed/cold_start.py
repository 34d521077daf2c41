"""`python -m bench.speed.cold_start`: CPU seconds of the first loss and gradient of a process, with an empty cache.

Each case runs in a process of its own, on one thread: the first call compiles the kernels. A second process then finds
them in the cache. Imports are not counted. For comparison, the last line has the time in which Numba compiles four
functions of NumPy on the same machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

SHAPES = {"image": (1, 1, 128, 128), "volume": (1, 1, 16, 32, 32)}
CALL = """
import sys, time
import torch, gpuph
torch.set_num_threads(1)
shape = tuple(map(int, sys.argv[1:]))
pred, target = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
loss_fn = gpuph.LocalizedPHLoss(window=16)
begin = time.process_time()
loss_fn(pred.requires_grad_(), target).backward()
print(time.process_time() - begin)
"""
YARDSTICK = """
import time
import numba, numpy
begin = time.process_time()
numba.njit(lambda x: (numpy.sort(x), numpy.argsort(x), numpy.unique(x), numpy.median(x)))(numpy.ones(4))
print(time.process_time() - begin)
"""


class Seconds(NamedTuple):
    """CPU seconds of the first call."""

    compiling: float  # with an empty cache
    cached: float  # in the next process


def first_call(shape: tuple[int, ...], cache: str) -> float:
    """Return the CPU seconds of the first loss and gradient, of maps of that shape, in a new process."""
    return _run(CALL, *map(str, shape), NUMBA_CACHE_DIR=cache)


def yardstick() -> float:
    """Return the CPU seconds in which Numba compiles four functions of NumPy in a new process."""
    return _run(YARDSTICK)


def _run(code: str, *arguments: str, **environment: str) -> float:
    run = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(run.stdout)


def measure(shape: tuple[int, ...]) -> Seconds:
    """Return the CPU seconds of the first call without and with a cache."""
    with tempfile.TemporaryDirectory() as cache:
        return Seconds(first_call(shape, cache), first_call(shape, cache))


def main() -> None:
    for name, shape in SHAPES.items():
        compiling, cached = measure(shape)
        print(f"{name}: {compiling:.1f} CPU s to compile, {cached:.2f} with a cache", flush=True)
    print(f"four functions of NumPy: {yardstick():.1f} CPU s to compile")


if __name__ == "__main__":
    main()
