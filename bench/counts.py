"""What kernels do, counted: the compiled Triton kernels run as PTX on the CPU (tests/ptxrun); and what is allocated."""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import gpuph

PTXRUN = str(Path(__file__).parents[1] / "tests" / "ptxrun")

Counts = dict[str, float]

PARTS = ("trace.py", "trace3.py")  # stages that run within the kernels of others


def count(run: Callable[[], object]) -> tuple[dict[str, Counts], dict[str, Counts]]:
    """What the kernels that a function on CPU tensors uses do, by name, in order of launch; and parts of them.

    A part is what the lines of a file of PARTS, and all that is inlined into them, do in a kernel of another file. It
    has no launches and barriers of its own, and its longest thread is taken to be the kernel's.
    """
    if PTXRUN not in sys.path:
        sys.path.insert(0, PTXRUN)
    import ptxrun.triton

    with ptxrun.triton.emulated(checks=(), schedule="warp", resident_blocks=16) as emulation, as_on_a_device():
        run()
    stages: dict[str, Counts] = {}
    parts: dict[str, Counts] = {}
    for launch in emulation.launches:
        name, blocks = launch.kernel.strip("_"), launch.grid[0] * launch.grid[1] * launch.grid[2]
        longest = {"longest thread": launch.max_thread_instructions}
        own = {"launches": 1, "barriers": launch.barriers_per_block * blocks}
        _add(stages, name, _counts(launch) | longest | own)
        *_, own_file = next(iter(launch.by_source))
        for file in PARTS:
            shares = [_counts(share) for files, share in launch.by_source.items() if file in files]
            if shares and file != own_file:
                whole = {what: sum(share[what] for share in shares) for what in shares[0]}
                _add(parts, f"{file.removesuffix('.py')} in {name}", whole | longest | {"launches": 0, "barriers": 0})
    return stages, parts


def _counts(did: Any) -> Counts:
    """What a launch, or a share of it, did."""
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
    """Send CPU tensors through the Triton kernels, with the shapes that tensors on a device have."""
    with contextlib.ExitStack() as stack:
        for name, module in list(sys.modules.items()):
            if name.startswith("gpuph") and hasattr(module, "data_decides"):
                stack.enter_context(mock.patch.object(module, "data_decides", lambda x: False))
        stack.enter_context(gpuph.use_kernels("triton"))
        yield


class Scratch(TorchDispatchMode):
    """Watch what is allocated: `bytes` is the most there was at a time of what is gone by now."""

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
        if func.namespace == "gpuph":  # look into it, and not only at what it returns
            with self:
                out = func.redispatch(torch._C.DispatchKeySet(torch._C.DispatchKey.CPU), *args, **kwargs)
        else:
            out = func(*args, **kwargs)
        self._new.update(storage for storage in _storages(out) if storage not in self._before)
        self._history.append([(weakref.ref(storage), storage.nbytes()) for storage in self._new])
        return out


def _storages(tree: object) -> list[torch.UntypedStorage]:
    return [leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
