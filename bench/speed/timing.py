"""Time contenders in turn in one process, measure peak memory, and describe the machine."""

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

PACKAGES = (
    *("gpuph", "torch", "numpy", "scipy", "numba", "triton", "monai"),
    *("gudhi", "pot", "cripser", "topolosses", "edt"),
)


def in_turn(contenders: Mapping[str, Callable[[], object]], repeats: int = 7) -> dict[str, float]:
    """Return the median time of each contender, in seconds.

    After a warm-up, each contender runs once per round, so that other load on the machine affects all of them alike.
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
    """Return by how many bytes this process grows at its peak during `run`. Linux only."""
    Path("/proc/self/clear_refs").write_text("5")  # resets the recorded peak
    before = _status("VmRSS")
    run()
    return _status("VmHWM") - before


def machine() -> dict[str, Any]:
    """Describe the processor, the GPU if there is one, the number of threads, and the versions of packages."""
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
    """Return a size of this process as Linux reports it, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            _, kibibytes, _ = line.split()
            return 1024 * int(kibibytes)
    raise ValueError(f"Linux does not report {name}")


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.machine())
