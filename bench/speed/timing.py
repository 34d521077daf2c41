"""What the benchmarks share: contenders timed in turn in one process, and a description of the machine."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("gpuph", "torch", "numpy", "scipy", "numba", "triton", "monai", "gudhi", "pot", "cripser", "topolosses")


def in_turn(contenders: Mapping[str, Callable[[], object]], repeats: int = 7) -> dict[str, float]:
    """Time each contender once a round, after a warm-up, so that a busy machine is busy for all of them.

    Returns the median seconds of each.
    """
    for run in contenders.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def peak_memory(run: Callable[[], object]) -> int:
    """Run and return by how many bytes this process was larger at its peak than before; on Linux only."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak, from now on
    before = _status("VmRSS")
    run()
    return _status("VmHWM") - before


def machine() -> dict[str, Any]:
    """Describe the processor, the accelerator if there is one, the threads and the versions."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": versions,
    }


def _status(name: str) -> int:
    """A size of this process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
