"""The Triton kernels in Triton's interpreter, in a process of its own, as it is selected when kernels are imported."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.processes import python

pytest.importorskip("triton")


@pytest.mark.interpret
def test_interpreted_kernels_equal_the_cpu() -> None:
    tests = Path(__file__).parents[2] / "support" / "interpreted.py"
    options = "-x", "-p", "no:cacheprovider", "--durations=5"
    run = python("-m", "pytest", *options, tests, timeout=3000.0, TRITON_INTERPRET="1")
    assert run.returncode == 0, run.stdout + run.stderr
