"""The first call of a process compiles for seconds, not minutes, says so, and not at all after `gpuph.warmup`."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bench.speed import cold_start
from support.processes import python

pytestmark = pytest.mark.slow

# CPU seconds. It took 57 when every function was compiled on its own. Now it takes 16 for images and 20 for volumes on
# a free core, and up to twice as long where many processes share one, or on slower machines. Without a compilation, it
# takes less than 2.
COMPILED, CACHED = 45.0, 5.0


@pytest.mark.parametrize("case", cold_start.SHAPES)
def test_first_loss_compiles_within_seconds_and_the_next_process_not_at_all(case: str) -> None:
    compiling, cached = cold_start.measure(cold_start.SHAPES[case])
    assert cached < CACHED
    assert compiling < COMPILED


def run(code: str, cache: Path, *options: str) -> subprocess.CompletedProcess[str]:
    done = python(*options, code, timeout=1800.0, NUMBA_CACHE_DIR=str(cache), OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    return done


def test_compilation_of_more_than_two_seconds_is_logged_in_one_line(tmp_path: Path) -> None:
    call = "import torch, gpuph\ngpuph.persistence(torch.rand(1, 8, 8))"
    assert run(call, tmp_path, "-c").stderr.count("gpuph is compiling its kernels") == 1
    assert run(call, tmp_path, "-c").stderr == ""


def test_warmup_leaves_nothing_to_compile(tmp_path: Path) -> None:
    run("gpuph.warmup", tmp_path, "-m")
    for shape in cold_start.SHAPES.values():
        assert cold_start.first_call(shape, str(tmp_path)) < CACHED
