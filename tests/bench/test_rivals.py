"""Contenders of the benchmarks leave the process as it was."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from support.processes import python

THREADS = """
import ctypes
from pathlib import Path
import torch
from bench.speed.loss import prepare_topolosses

(openmp,) = (Path(torch.__file__).parent / "lib").glob("libgomp*")
prepare_topolosses()
from topolosses.losses.betti_matching.src import betti_matching
print(ctypes.CDLL(str(openmp)).omp_get_dynamic())
"""


def test_topolosses_does_not_let_openmp_choose_fewer_threads() -> None:
    """PyTorch's convolutions would wait forever for the others, on a busy machine."""
    if sys.platform != "linux":
        pytest.skip("PyTorch has another OpenMP there")
    if not importlib.util.find_spec("topolosses"):  # importing it here would be the fault itself
        pytest.skip("topolosses is not installed")
    run = python("-c", THREADS)
    assert (run.returncode, run.stdout) == (0, "0\n"), run.stderr
