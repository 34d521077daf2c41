"""The kernels for the CPU, `gpuph.kernels.cpu`, which are imported when the first of them is called.

They need Numba and parts of SciPy, which take half as long to import as PyTorch.
"""

from __future__ import annotations

import atexit
import importlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

_lock = threading.RLock()
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
