"""Compiled Triton kernels as PTX on the CPU (tests/ptxrun), with its checks for races, memory and initialisation."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
import torch

needs_ptx = [
    pytest.mark.ptx,
    pytest.mark.skipif(not shutil.which("gcc"), reason="ptxrun needs gcc"),
    pytest.mark.skipif(sys.platform != "linux", reason="ptxrun needs Linux"),
]
SCHEDULES = 20

# Programs of the reduction hand chains to one another by compare-and-swap. ptxrun orders memory by such atomic
# operations only if it is told to.
CHAINS = {"order": "atomics"}


@contextlib.contextmanager
def ptx(seed: int, **options: Any) -> Iterator[Any]:
    """Run kernels as PTX on one random schedule; memory of `torch.empty` counts as never written.

    Operators do not replay what they did in an earlier context, where a test may have changed constants of kernels.
    """
    import ptxrun.triton

    from gpuph.kernels.triton.runtime import replay

    replay._plans.clear()
    options = {
        "checks": ("mem", "race", "init", "sync"),
        "resident_blocks": 4 + seed % 5,
        "block_order": "random",
        **options,
    }
    allocate = torch.empty
    with ptxrun.triton.emulated(seed=1000 * seed, schedule="random", **options) as emulation:

        def empty(*args: Any, **kwargs: Any) -> torch.Tensor:
            new = allocate(*args, **kwargs)
            if new.numel():
                emulation.mark_uninitialised(new)
            return new

        with mock.patch.object(torch, "empty", empty):
            yield emulation
    assert not emulation.reports, emulation.reports[0].text
