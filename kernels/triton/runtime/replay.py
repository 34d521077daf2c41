"""Replay of an operator: what it allocates and launches is recorded in its first call, and repeated in later ones.

An operator makes the same allocations and launches in each call with inputs of the same kind, because it never reads
what the device has computed. Repeating them takes a third of the time of determining them anew. Memory is allocated
in each call, and freed where it was freed in the first one. While Triton has launch hooks, such as a profiler's,
operators run as usual. Hooks that a single kernel is given (`add_pre_run_hook`) only see launches that are not repeats.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
import triton
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode
from triton.runtime import driver

from .launch import INTERPRETED

_MOST = 256  # plans that are kept
_hooks = triton.knobs.runtime
_aten = torch.ops.aten
_EMPTY = _aten.empty.memory_format, _aten.new_empty.default, _aten.empty_like.default
_ZEROS = (_aten.zeros.default,)
# Operators of PyTorch that a plan may call. An operator that calls any other, except for views, is never repeated.
_CALLED = _aten.clone.default, _aten.mul.Tensor, _aten.add.Tensor
_T = TypeVar("_T")


class _Allocation(NamedTuple):
    """Memory for a tensor."""

    slot: int
    size: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device
    is_zero: bool


class _View(NamedTuple):
    """A view of a tensor that a kernel reads or writes; only where it begins matters."""

    slot: int
    of: int
    offset: int  # in elements


class _Operand(NamedTuple):
    """A view of a tensor that PyTorch reads."""

    of: int
    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int


class _Call(NamedTuple):
    """A call of an operator of PyTorch that returns a new tensor."""

    slot: int
    operator: Any
    arguments: tuple[Any, ...]
    size: tuple[int, ...]
    dtype: torch.dtype


class _Free(NamedTuple):
    """The end of a tensor's memory."""

    slot: int


class _Launch(NamedTuple):
    """A launch of a compiled kernel."""

    compiled: Any
    grid: tuple[int]
    arguments: tuple[Any, ...]  # with None in the place of each tensor
    tensors: tuple[tuple[int, int], ...]  # the places of tensors, and their slots


class _Plan(NamedTuple):
    """The steps of an operator. A slot holds a tensor; the first ones hold the inputs."""

    steps: list[Any]
    slots: int
    results: Any  # slots, in lists and tuples as the operator returns them
    device: object  # Triton's

    def replay(self, inputs: Sequence[Tensor | None]) -> Any:
        """Allocate and launch everything, and return the results."""
        slots: list[Any] = [*inputs, *[None] * (self.slots - len(inputs))]
        stream = driver.active.get_current_stream(self.device)
        for step in self.steps:
            kind = type(step)
            if kind is _Launch:
                compiled, grid, values, tensors = step
                arguments = [*values]
                for place, slot in tensors:
                    arguments[place] = slots[slot]
                compiled.run(
                    grid[0], 1, 1, stream, compiled.function, compiled.packed_metadata, None, None, None, *arguments
                )
            elif kind is _Allocation:
                slot, size, dtype, device, is_zero = step
                slots[slot] = (torch.zeros if is_zero else torch.empty)(size, dtype=dtype, device=device)
            elif kind is _Free:
                slots[step.slot] = None
            elif kind is _View:
                whole = slots[step.of]
                slots[step.slot] = whole.as_strided((whole.numel() - step.offset,), (1,), step.offset)
            else:
                arguments = [slots[x.of].as_strided(*x[1:]) if type(x) is _Operand else x for x in step.arguments]
                slots[step.slot] = step.operator(*arguments)
        return _filled(self.results, slots)


def _filled(results: Any, slots: Sequence[Tensor]) -> Any:
    if type(results) is int:
        return slots[results]
    return type(results)([_filled(part, slots) for part in results])


class _Recorder(TorchDispatchMode):
    """Records the steps of an operator."""

    def __init__(self, inputs: Sequence[Tensor | None]) -> None:
        super().__init__()
        self._steps: list[Any] = []
        self._slots = len(inputs)
        self._inputs = {x.data_ptr(): slot for slot, x in enumerate(inputs) if x is not None}
        self._memory: dict[int, tuple[StorageWeakRef, _Allocation | _Call]] = {}  # by storage
        self._views: dict[tuple[int, int], int] = {}  # by slot and offset
        self._is_known = True  # whether everything that was done can be repeated
        self._missed = 0  # launches that Triton's hook has seen, less those that are recorded

    def __enter__(self) -> Any:
        _current.recorder = self
        _hooks.launch_enter_hook.add(self._count)
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        _hooks.launch_enter_hook.remove(self._count)
        _current.recorder = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self._note_freed()
        if func in _EMPTY or func in _ZEROS:
            if not out.is_contiguous():
                self._is_known = False
            made = _Allocation(self._new_slot(), tuple(out.shape), out.dtype, out.device, func in _ZEROS)
            self._add_memory(made, out)
        elif func in _CALLED and not kwargs and out.is_contiguous():
            arguments = tuple([self._operand(x) if isinstance(x, Tensor) else x for x in args])
            self._add_memory(_Call(self._new_slot(), func, arguments, tuple(out.shape), out.dtype), out)
        elif not any(r.alias_info is not None and not r.alias_info.is_write for r in func._schema.returns):
            self._is_known = False  # it is not a view either
        return out

    def _count(self, *_: Any) -> None:
        if _current.recorder is self:  # rather than on another thread
            self._missed += 1

    def _new_slot(self) -> int:
        self._slots += 1
        return self._slots - 1

    def _add_memory(self, made: _Allocation | _Call, out: Tensor) -> None:
        self._steps.append(made)
        self._memory[_storage(out)] = StorageWeakRef(out.untyped_storage()), made

    def _operand(self, x: Tensor) -> _Operand | None:
        found = self._memory.get(_storage(x))
        if found is None or x.dtype != found[1].dtype:
            self._is_known = False
            return None
        return _Operand(found[1].slot, tuple(x.shape), x.stride(), int(x.storage_offset()))

    def _note_freed(self) -> None:
        """Add a step for memory that the operator no longer refers to."""
        for storage, (memory, made) in [*self._memory.items()]:
            if memory.expired():
                del self._memory[storage]
                views = [view for (of, _), view in self._views.items() if of == made.slot]
                self._steps += [_Free(slot) for slot in (made.slot, *views)]

    def add_launch(self, compiled: Any, grid: tuple[int], arguments: tuple[Any, ...]) -> None:
        """Add the launch of a kernel."""
        self._note_freed()
        tensors = [(i, self._slot_of(x)) for i, x in enumerate(arguments) if isinstance(x, Tensor)]
        values = tuple([None if isinstance(x, Tensor) else x for x in arguments])
        self._steps.append(_Launch(compiled, grid, values, tuple(tensors)))
        self._missed -= 1

    def _slot_of(self, x: Tensor) -> int:
        """Return the slot of a tensor that begins where x does, or -1 if x is in unknown memory."""
        if x.data_ptr() in self._inputs:
            return self._inputs[x.data_ptr()]
        found = self._memory.get(_storage(x))
        if found is None:
            self._is_known = False
            return -1
        made = found[1]
        offset, rest = divmod(int(x.storage_offset()) * x.itemsize, made.dtype.itemsize)
        if rest:
            self._is_known = False
        if offset == 0:
            return made.slot
        view = self._views.get((made.slot, offset))
        if view is None:
            view = self._views[made.slot, offset] = self._new_slot()
            self._steps.append(_View(view, made.slot, offset))
        return view

    def plan(self, results: Any) -> _Plan | None:
        """Return the plan of an operator that has returned these results; None if it cannot be repeated."""
        slots = self._slots_of_results(results)
        if not self._is_known or self._missed or not any(type(step) is _Launch for step in self._steps):
            return None
        return _Plan(self._steps, self._slots, slots, driver.active.get_current_device())

    def _slots_of_results(self, results: Any) -> Any:
        if not isinstance(results, Tensor):
            return type(results)([self._slots_of_results(part) for part in results])
        found = self._memory.get(_storage(results))
        if found is None:
            self._is_known = False
            return -1
        made = found[1]
        # Memory is contiguous, so a view that has all of this is no view of a part, nor a transposed one.
        if not results.is_contiguous() or (made.size, made.dtype) != (tuple(results.shape), results.dtype):
            self._is_known = False
        return made.slot


def _storage(x: Tensor) -> int:
    return x.untyped_storage()._cdata


class _Current(threading.local):
    recorder: _Recorder | None = None


_current = _Current()
_plans: dict[tuple[object, ...], _Plan | None] = {}


def launched(compiled: Any, grid: tuple[int], arguments: tuple[Any, ...]) -> None:
    """Tell the operator that is being recorded, if any, that a kernel was launched."""
    if _current.recorder is not None:
        _current.recorder.add_launch(compiled, grid, arguments)


def replayed(run: Callable[[], _T], inputs: Sequence[Tensor | None], settings: tuple[object, ...]) -> _T:
    """Return `run()`, or what it would return, by repeating the steps of an earlier call.

    Parameters
    ----------
    run : callable
        Function that allocates memory, launches kernels of `runtime.jit` and returns new tensors, in lists and tuples.
        What it does depends only on the settings, on Triton's current device, and on the shapes, strides, dtypes,
        devices and alignment of the inputs.
    inputs : sequence of Tensor or None
        The tensors that it reads.
    settings : tuple
        What else it depends on, beginning with the operator's name.
    """
    enter, leave = _hooks.launch_enter_hook, _hooks.launch_exit_hook
    tensors = [x for x in inputs if x is not None]
    addresses = {x.data_ptr() for x in tensors}
    if (
        INTERPRETED
        or enter.calls  # those of a profiler, for example
        or leave.calls
        or 0 in addresses  # a tensor without data
        or len(addresses) < len(tensors)  # the same tensor twice
        or _get_current_dispatch_mode() is not None
    ):
        return run()
    kinds = [None if x is None else (x.shape, x.stride(), x.dtype, x.device, x.data_ptr() & 15) for x in inputs]
    key = (driver.active.get_current_device(), settings, *kinds)
    plan = _plans.get(key)
    if plan is not None:
        repeated: _T = plan.replay(inputs)
        return repeated
    if key in _plans:  # it cannot be repeated
        return run()
    with _Recorder(inputs) as recorder:
        results = run()
    if len(_plans) >= _MOST:
        _plans.clear()
    _plans[key] = recorder.plan(results)
    return results
