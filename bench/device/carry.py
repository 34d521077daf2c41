"""`python -m bench.device.carry`: make what saves time on a machine with a GPU, in the ignored folder .carry.

The kernels are compiled for Hopper into a Triton cache, which a machine of the same Triton takes over: run this with
the Python and the Triton of that machine. Packages that it lacks are downloaded as wheels, for the Python that it has.
`bench.device.day` finds both. The CPU's answers need no carrying: they are in the repository (`bench.device.golden`).
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
WHEELS = ("gudhi", "cripser", "monai")  # the rivals, and the network of the training steps
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")


def compile_kernels(cache: Path) -> int:
    """Compile what the sections run, without running it; returns the number of compiled kernels."""
    os.environ["TRITON_CACHE_DIR"] = str(cache)
    from bench.device.counts import PTXRUN, as_on_a_device

    from .compiling import jobs, warm

    sys.path.insert(0, PTXRUN)
    import ptxrun.triton

    emulation = ptxrun.triton.emulated(sm=90, ptxas=True, fake_cuda=True)
    unlaunched = mock.patch.object(ptxrun.triton.Launcher, "run", lambda self, grid, args: None)
    with emulation, as_on_a_device(), unlaunched:
        for job in jobs(small=False):
            # Nothing runs, so what later launches read is arbitrary; shapes, dtypes and alignment are what counts.
            with contextlib.suppress(ValueError, RuntimeError):
                warm(job, rehearse=False)
    for path in cache.rglob("*"):
        if path.suffix in (".ttir", ".ttgir", ".llir", ".ptx", ".source"):  # Triton loads machine code only
            path.unlink()
    return len(list(cache.rglob("*.cubin")))


def download_wheels(folder: Path, python: str) -> None:
    """Download the wheels of packages that the machine lacks, without what they need."""
    words = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    words += ["--python-version", python, "--implementation", "cp", "--dest", str(folder)]
    for platform in PLATFORMS:
        words += ["--platform", platform]
    for package in WHEELS:
        if subprocess.run([*words, package], check=False).returncode:
            print(f"{package}: no wheel for Python {python}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default="3.12", help="of the machine, for the wheels (%(default)s)")
    parser.add_argument("--only", choices=("kernels", "wheels"), help="leave the other part as it is")
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
        sys.exit(f"more than the {MOST} MiB that are meant to travel")


if __name__ == "__main__":
    main()
