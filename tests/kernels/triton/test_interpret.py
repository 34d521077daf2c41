"""The Triton kernels in Triton's interpreter, in a process of its own, as it is selected when kernels are imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")


@pytest.mark.interpret
def test_interpreted_kernels_equal_the_cpu() -> None:
    tests = Path(__file__).parents[2] / "support" / "interpreted.py"
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", "--durations=5", str(tests)]
    run = subprocess.run(command, env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
