"""Count what the compiled Triton kernels do, as PTX on the CPU (tests/ptxrun), and the memory that is allocated."""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import gpuph

from .schedule import sectors

PTXRUN = str(Path(__file__).parents[2] / "tests" / "ptxrun")

Counts = dict[str, float]

PARTS = ("trace.py",)  # files of stages that run inside the kernels of other stages


class Launch(NamedTuple):
    """Counts of one launch of a kernel."""

    stage: str  # name of the kernel
    counts: Counts
    parts: dict[str, Counts]  # see `count`
    cycles: NDArray[np.uint64]  # of each block alone on a multiprocessor, by ptxrun's model of latency
    warps: int  # per block
    registers: int  # per thread
    shared: int  # bytes per block


def launches(run: Callable[[], object]) -> list[Launch]:
    """Run a function on CPU tensors through the compiled kernels, and return the counts of each launch, in order."""
    if PTXRUN not in sys.path:
        sys.path.insert(0, PTXRUN)
    import ptxrun.triton

    def latencies(warps: int, registers: int, shared: int) -> Any:
        return ptxrun.Latencies(sectors=sectors(warps, registers, shared))

    options = {"checks": (), "schedule": "warp", "resident_blocks": 16, "latency": latencies, "ptxas": True}
    with ptxrun.triton.emulated(**options) as emulation, as_on_a_device():
        run()
    return [_launch(did) for did in emulation.launches]


def count(run: Callable[[], object]) -> tuple[dict[str, Counts], dict[str, Counts]]:
    """Run a function on CPU tensors, and return the counts of its kernels and of parts of them, by name.

    A part is the share of a kernel that comes from the lines of a file of PARTS, including what is inlined into them.
    It has no launches or barriers of its own, and its longest thread is assumed to be the kernel's.
    """
    return by_stage(launches(run))


def by_stage(made: list[Launch]) -> tuple[dict[str, Counts], dict[str, Counts]]:
    """Add up the counts of launches by kernel, and those of their parts."""
    stages: dict[str, Counts] = {}
    parts: dict[str, Counts] = {}
    for launch in made:
        _add(stages, launch.stage, launch.counts)
        for name, part in launch.parts.items():
            _add(parts, name, part)
    return stages, parts


def _launch(did: Any) -> Launch:
    name, blocks = did.kernel.strip("_"), did.grid[0] * did.grid[1] * did.grid[2]
    longest = {"longest thread": did.max_thread_instructions}
    own = {"launches": 1, "barriers": did.barriers_per_block * blocks}
    parts = {}
    *_, own_file = next(iter(did.by_source))
    for file in PARTS:
        shares = [_counts(share) for files, share in did.by_source.items() if file in files]
        if shares and file != own_file:
            whole = {what: sum(share[what] for share in shares) for what in shares[0]}
            parts[f"{file.removesuffix('.py')} in {name}"] = whole | longest | {"launches": 0, "barriers": 0}
    warps = -(-did.block[0] * did.block[1] * did.block[2] // 32)
    counts = _counts(did) | longest | own
    return Launch(name, counts, parts, did.block_cycles, warps, did.registers, did.shared)


def _counts(did: Any) -> Counts:
    """Return the counts of a launch, or of a part of it."""
    return {
        "instructions": did.instructions,
        "integer instructions": did.classes["int"],
        "sectors read": did.global_sectors_read,
        "sectors written": did.global_sectors_written,
        "sectors": did.global_sectors,
        "distinct sectors": did.touched_sectors_read + did.touched_sectors_written,
        "atomics": did.classes["atomic_global"] + did.classes["atomic_shared"],
    }


def _add(table: dict[str, Counts], name: str, counts: Counts) -> None:
    row = table.setdefault(name, dict.fromkeys(counts, 0))
    for what, n in counts.items():
        row[what] += n


@contextlib.contextmanager
def as_on_a_device() -> Iterator[None]:
    """Send CPU tensors through the Triton kernels, with the shapes that they would have on a device."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch("gpuph.debug.is_eager_cpu", lambda x: False))
        stack.enter_context(gpuph.use_kernels("triton"))
        yield


class Scratch(TorchDispatchMode):
    """Record allocations. `bytes` is the peak of the memory that has been freed since."""

    def __init__(self) -> None:
        super().__init__()
        self._before: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()
        self._new: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()
        self._history: list[list[tuple[weakref.ref[torch.UntypedStorage], int]]] = []

    @property
    def bytes(self) -> int:
        return max(sum(size for storage, size in live if storage() is None) for live in self._history)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        self._before.update(storage for storage in _storages((args, kwargs)) if storage not in self._new)
        if func.namespace == "gpuph":  # see allocations inside the operator, not only its results
            with self:
                out = func.redispatch(torch._C.DispatchKeySet(torch._C.DispatchKey.CPU), *args, **kwargs)
        else:
            out = func(*args, **kwargs)
        self._new.update(storage for storage in _storages(out) if storage not in self._before)
        self._history.append([(weakref.ref(storage), storage.nbytes()) for storage in self._new])
        return out


def _storages(tree: object) -> list[torch.UntypedStorage]:
    return [leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
