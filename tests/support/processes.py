"""Processes and threads that tests wait for, but not forever."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

LONGEST = 1200.0  # seconds, far more than any of these processes takes on a busy machine


def python(
    *words: object, cwd: Path | None = None, timeout: float = LONGEST, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run Python with command-line arguments and changed environment variables, and return what it printed.

    Raises `subprocess.TimeoutExpired` after `timeout` seconds, and ends the process.
    """
    return subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def complaints(run: subprocess.CompletedProcess[str]) -> list[str]:
    """Return the lines on stderr, except the one that says that kernels are compiled where nothing is cached yet."""
    return [line for line in run.stderr.splitlines() if "gpuph is compiling its kernels" not in line]


def wait_until(condition: Callable[[], object], seconds: float = 30.0) -> bool:
    """Wait until a condition holds, and return whether it does after that many seconds at most."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return False
