"""The first call of a process compiles for seconds, not minutes, says so, and not at all after `gpuph.warmup`."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bench.speed import cold_start
from support.processes import python

pytestmark = pytest.mark.slow

# Times what Numba takes to compile four functions of NumPy on the same machine. Images take 4 to 5 times as long, and
# volumes 5 to 6 times; they took about 15 times as long when every function was compiled on its own.
COMPILED = 9.0
CACHED = 5.0  # CPU seconds without a compilation: less than 2 on any machine so far


@pytest.mark.parametrize("case", cold_start.SHAPES)
def test_first_loss_compiles_within_seconds_and_the_next_process_not_at_all(case: str) -> None:
    compiling, cached = cold_start.measure(cold_start.SHAPES[case])
    assert cached < CACHED
    assert compiling < COMPILED * cold_start.yardstick()


def run(code: str, cache: Path, *options: str) -> subprocess.CompletedProcess[str]:
    done = python(*options, code, timeout=1800.0, NUMBA_CACHE_DIR=str(cache), OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    return done


def test_compilation_of_more_than_two_seconds_is_logged_in_one_line(tmp_path: Path) -> None:
    call = "import torch, gpuph\ngpuph.persistence(torch.rand(1, 8, 8))"
    assert run(call, tmp_path, "-c").stderr.count("gpuph is compiling its kernels") == 1
    assert run(call, tmp_path, "-c").stderr == ""


AFTER_WARMUP = """
import gc, torch
from gpuph.warmup import warm_up
warm_up()

import gpuph
from gpuph.kernels.cpu.runtime.jit import Dispatcher


def compiled():
    found = [x for x in gc.get_objects() if isinstance(x, Dispatcher)]
    return {id(x): (x.__name__, len(x.overloads)) for x in found if x.overloads}


before = compiled()
for dtype in (torch.float32, torch.float64):
    for shape in ((1, 1, 128, 128), (4, 1, 70, 90), (1, 1, 16, 32, 32), (3, 1, 9, 20, 11)):
        pred, target = torch.rand(2, *shape, dtype=dtype)
        for dims in ((1,), (0, 1)):
            gpuph.LocalizedPHLoss(window=16, dims=dims)(pred.requires_grad_(), target).backward()
        for superlevel in (False, True):
            gpuph.persistence(pred.detach()[:, 0], superlevel=superlevel)
assert before
for key, (name, count) in compiled().items():
    if before.get(key) != (name, count):
        print(name)
"""


def test_help_of_the_warmup_compiles_nothing(tmp_path: Path) -> None:
    done = python("-m", "gpuph.warmup", "--help", timeout=1800.0, NUMBA_CACHE_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: python -m gpuph.warmup")
    assert not any(tmp_path.rglob("*.nbi"))


def test_warmup_leaves_nothing_to_compile() -> None:
    # With the cache of the other tests, so that it costs no compilation of its own: kernels that are loaded count too.
    run = python("-c", AFTER_WARMUP, timeout=1800.0)
    assert run.returncode == 0, run.stderr
    assert run.stdout == ""
