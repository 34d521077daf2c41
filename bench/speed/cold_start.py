"""`python -m bench.speed.cold_start`: CPU seconds of the first loss and gradient of a process, with an empty cache.

Each case runs in a process of its own, on one thread: the first call compiles the kernels. A second process then finds
them in the cache. Imports are not counted.
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


class Seconds(NamedTuple):
    """CPU seconds of the first call."""

    compiling: float  # with an empty cache
    cached: float  # in the next process


def first_call(shape: tuple[int, ...], cache: str) -> float:
    """Return the CPU seconds of the first loss and gradient, of maps of that shape, in a new process."""
    environment = os.environ | {"NUMBA_CACHE_DIR": cache, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", CALL, *map(str, shape)]
    root = Path(__file__).parents[2]
    run = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=True)
    return float(run.stdout)


def measure(shape: tuple[int, ...]) -> Seconds:
    """Return the CPU seconds of the first call without and with a cache."""
    with tempfile.TemporaryDirectory() as cache:
        return Seconds(first_call(shape, cache), first_call(shape, cache))


def main() -> None:
    for name, shape in SHAPES.items():
        compiling, cached = measure(shape)
        print(f"{name}: {compiling:.1f} CPU s to compile, {cached:.2f} with a cache", flush=True)


if __name__ == "__main__":
    main()
