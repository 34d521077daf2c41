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


def count(run: Callable[[], object]) -> dict[str, Counts]:
    """What each stage of a function that uses gpuph on CPU tensors does, by its kernel's name, in order of launch."""
    if PTXRUN not in sys.path:
        sys.path.insert(0, PTXRUN)
    import ptxrun.triton

    with ptxrun.triton.emulated(checks=(), schedule="warp", resident_blocks=16) as emulation, as_on_a_device():
        run()
    stages: dict[str, Counts] = {}
    for launch in emulation.launches:
        counts = {
            "launches": 1,
            "instructions": launch.instructions,
            "integer instructions": launch.classes["int"],
            "sectors read": launch.global_sectors_read,
            "sectors written": launch.global_sectors_written,
            "sectors": launch.global_sectors,
            "distinct sectors": launch.touched_sectors_read + launch.touched_sectors_written,
            "atomics": launch.classes["atomic_global"] + launch.classes["atomic_shared"],
            "barriers": launch.barriers_per_block * launch.grid[0] * launch.grid[1] * launch.grid[2],
            "longest thread": launch.max_thread_instructions,
        }
        stage = stages.setdefault(launch.kernel.strip("_"), dict.fromkeys(counts, 0))
        for name, n in counts.items():
            stage[name] += n
    return stages


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
