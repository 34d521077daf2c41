"""A damaged, full or missing kernel cache on disk gives one warning, and calls still work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

# One kernel is enough, and this one compiles fast.
CALL = """
import torch
from gpuph import ops
print(ops.gather(torch.arange(6.0).view(2, 3), torch.tensor([[2], [-1]])).tolist())
"""
RESULT = "[[2.0], [0.0]]"


def start(code: str = CALL, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "always", "-c", code],
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def warnings_of(process: subprocess.Popen[str]) -> list[str]:
    """Return the warnings of a process about kernels, after checking its result."""
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert out.strip() == RESULT
    return [line for line in err.splitlines() if "RuntimeWarning" in line]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A directory with the kernel in it."""
    assert warnings_of(start(NUMBA_CACHE_DIR=str(tmp_path))) == []
    assert len(files(tmp_path, "nbi")) == len(files(tmp_path, "nbc")) == 1
    return tmp_path


def files(directory: Path, kind: str) -> list[Path]:
    return [*directory.rglob(f"*.{kind}")]


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes(255 - byte for byte in content[middle : middle + 64]) + content[middle + 64 :]


DAMAGES = {
    "empty": lambda content: b"",
    "truncated": lambda content: content[: len(content) // 2],
    "short of a byte": lambda content: content[:-1],
    "zeros": lambda content: bytes(len(content)),
    "garbage": lambda content: b"\xff\x00garbage" * 100,
}


def test_damaged_cache_is_rebuilt_with_one_warning(cache: Path) -> None:
    for kind in ("nbi", "nbc"):
        for name, damage in DAMAGES.items():
            (file,) = files(cache, kind)
            file.write_bytes(damage(file.read_bytes()))
            found = warnings_of(start(NUMBA_CACHE_DIR=str(cache)))
            assert len(found) == 1 and "damaged" in found[0], (kind, name, found)
    assert warnings_of(start(NUMBA_CACHE_DIR=str(cache))) == []


def test_damaged_machine_code_is_detected(cache: Path) -> None:
    (file,) = files(cache, "nbc")
    file.write_bytes(flipped(file.read_bytes()))
    (warning,) = warnings_of(start(NUMBA_CACHE_DIR=str(cache)))
    assert "digest" in warning


def test_full_disk_only_costs_a_compilation(tmp_path: Path) -> None:
    full = """
import numba.core.caching
def write(self, path):
    raise OSError(28, "No space left on device")
numba.core.caching.IndexDataCacheFile._open_for_write = write
"""
    (warning,) = warnings_of(start(full + CALL, NUMBA_CACHE_DIR=str(tmp_path)))
    assert "NUMBA_CACHE_DIR" in warning and "No space left" in warning


def test_without_a_writable_directory_kernels_are_not_cached() -> None:
    # Permissions do not bind root, so Numba is told that no directory can be written to.
    unwritable = """
import numba.core.caching
def ensure(self):
    raise OSError(30, "Read-only file system")
numba.core.caching._CacheLocator.ensure_cache_path = ensure
"""
    (warning,) = warnings_of(start(unwritable + CALL))
    assert "NUMBA_CACHE_DIR" in warning


def test_processes_may_compile_at_the_same_time(tmp_path: Path) -> None:
    processes = [start(NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2)]
    assert [warnings_of(process) for process in processes] == [[], []]
    assert warnings_of(start(NUMBA_CACHE_DIR=str(tmp_path))) == []
