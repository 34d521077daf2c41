"""The kernels for the CPU, `gpuph.kernels.cpu`, which are imported when the first of them is called.

They need Numba and parts of SciPy, which take half as long to import as PyTorch.
"""

from __future__ import annotations

import atexit
import importlib
import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

_lock = threading.RLock()
_held: list[Any] = []  # locks that a fork holds
_exiting = threading.Event()
_forever = threading.Lock()
_forever.acquire()


class _Kernels:
    """A stand-in for the module, which imports it when the first attribute is read."""

    def __getattr__(self, name: str) -> Any:
        value = getattr(_load(), name)
        setattr(self, name, value)  # the next access does not come here
        return value


def _load() -> Any:
    with _lock:
        return importlib.import_module("gpuph.kernels.cpu")


@atexit.register
def _end_loading() -> None:
    """Wait until the kernels are imported, and keep the lock: no other thread may go on while the interpreter exits.

    The kernels register a handler of their own, but it would not run if they were imported so late.
    """
    _exiting.set()
    _lock.acquire(timeout=60.0)


def _before_fork() -> None:
    """Wait until no other thread imports the kernels or compiles one.

    Otherwise, a child would inherit locks that are never released, and modules or a compiler in an unknown state. The
    lock of the import is taken first, because importing Numba takes the lock of its compiler.
    """
    _lock.acquire()
    _held.append(_lock)
    module = sys.modules.get("numba.core.compiler_lock")  # not there before the kernels are imported
    if module is not None:
        module.global_compiler_lock.acquire()
        _held.append(module.global_compiler_lock)


def _after_fork() -> None:
    while _held:
        _held.pop().release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)


def parked_at_exit(run: Callable[..., Any]) -> Callable[..., Any]:
    """Make threads other than the main one wait inside an operator when the interpreter exits."""
    parked: Callable[..., Any] | None = None

    def call(*arguments: Any) -> Any:
        nonlocal parked
        if parked is None:
            parked = cpu.parked_at_exit(run)
            if _exiting.is_set() and threading.get_ident() != threading.main_thread().ident:
                _forever.acquire()
        return parked(*arguments)

    return call


if TYPE_CHECKING:
    from gpuph.kernels import cpu as cpu
else:
    cpu = _Kernels()
