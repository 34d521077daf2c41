"""`python -m bench.device.carry`: prepare files that save time on a machine with a GPU, in the ignored folder .carry.

Kernels are compiled for Hopper into a Triton cache, which a machine with the same version of Triton can use: run this
with the Python and the Triton of that machine. Packages that it lacks are downloaded as wheels for its Python.
`bench.device.day` finds both. The CPU's answers are in the repository (`bench.device.golden`).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import mock

from .day import CARRIED

MOST = 40  # MiB
WHEELS = ("gudhi", "cripser", "monai")  # the other libraries, and the network of the training steps
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")


def compile_kernels(cache: Path) -> int:
    """Compile the kernels of all sections without running them, and return their number."""
    os.environ["TRITON_CACHE_DIR"] = str(cache)
    from bench.device.counts import PTXRUN, as_on_a_device

    from .compiling import jobs, warm

    sys.path.insert(0, PTXRUN)
    import ptxrun.triton

    emulation = ptxrun.triton.emulated(sm=90, ptxas=True, fake_cuda=True)
    unlaunched = mock.patch.object(ptxrun.triton.Launcher, "run", lambda self, grid, args: None)
    with emulation, as_on_a_device(), unlaunched:
        for job in jobs(small=False):
            # No kernel runs, so that later launches read arbitrary values; only shapes, dtypes and alignment matter.
            with contextlib.suppress(ValueError, RuntimeError):
                warm(job, rehearse=False)
    for path in cache.rglob("*"):
        if path.suffix in (".ttir", ".ttgir", ".llir", ".ptx", ".source"):  # Triton loads only machine code
            path.unlink()
    return len(list(cache.rglob("*.cubin")))


def download_wheels(folder: Path, python: str) -> None:
    """Download the wheels of packages that the machine lacks, without their dependencies."""
    words = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    words += ["--python-version", python, "--implementation", "cp", "--dest", str(folder)]
    for platform in PLATFORMS:
        words += ["--platform", platform]
    for package in WHEELS:
        if subprocess.run([*words, package], check=False).returncode:
            print(f"{package}: no wheel for Python {python}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--python", default="3.12", help="version on the machine, for the wheels (default: %(default)s)"
    )
    parser.add_argument("--only", choices=("kernels", "wheels"), help="prepare one part, and keep the other")
    args = parser.parse_args()
    if args.only != "kernels":
        shutil.rmtree(CARRIED / "wheels", ignore_errors=True)
        download_wheels(CARRIED / "wheels", args.python)
    if args.only != "wheels":
        shutil.rmtree(CARRIED / "triton", ignore_errors=True)
        print(f"{compile_kernels(CARRIED / 'triton')} kernels compiled")
    size = sum(path.stat().st_size for path in CARRIED.rglob("*") if path.is_file()) / 2**20
    print(f"{CARRIED}: {size:.1f} MiB")
    if size > MOST:
        sys.exit(f"{size:.1f} MiB exceed the limit of {MOST} MiB")


if __name__ == "__main__":
    main()
