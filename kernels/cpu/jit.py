"""How a kernel is compiled, and how windows are spread over threads."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np
import torch

_T = TypeVar("_T")

# Numba's disk cache looks at the file of the cached function only, and would miss a change in a stage that it calls.
# A digest of all stages in the function's name makes such a change a new entry.
_digest = hashlib.sha256()
for _file in sorted(Path(__file__).parent.glob("*.py")):
    _digest.update(_file.read_bytes())
_SOURCES = _digest.hexdigest()[:12]

# An index that Numba does not suspect of being negative, a suspicion that prevents vector instructions.
unsigned = np.uintp

# A function that kernels call. Compiled with its caller, without the interpreter's lock. It makes no arrays and returns
# none, so the views that it takes of its arguments need not be counted as references: that took a quarter of the time
# of a window of 64 x 64, and the counts are shared by all threads.
device: Callable[..., Any] = numba.njit(nogil=True, error_model="numpy", _nrt=False)

# One that is called in an inner loop: it becomes a part of its caller, since to pass on arrays, seven words each, can
# cost as much as what is done with them.
inlined: Callable[..., Any] = numba.njit(nogil=True, error_model="numpy", _nrt=False, forceinline=True)

# One that makes or returns arrays. It counts references around each call that it makes, so what it calls in a loop is
# best a loop itself.
allocating: Callable[..., Any] = numba.njit(nogil=True, error_model="numpy")


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function that Python calls: without the interpreter's lock, cached on disk."""
    function.__qualname__ += f".{_SOURCES}"
    compiled: Callable[..., Any] = numba.njit(nogil=True, cache=True, error_model="numpy")(function)
    return compiled


_pools: dict[int, ThreadPoolExecutor] = {}
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pools.clear)  # a child has none of its parent's threads


def over_windows(n: int, run: Callable[[int, int], _T], least: int = 1) -> list[_T]:
    """Call `run(start, stop)` on slices that cover range(n), on `torch.get_num_threads()` threads.

    The results come in the order of the slices. A slice has about `least` windows or more; how range(n) is cut must not
    matter to `run`.
    """
    threads = min(torch.get_num_threads(), n // least)
    if threads <= 1:
        return [run(0, n)]
    # Ever smaller slices, so that few are enough and yet no thread waits long for the last.
    slices = min(4 * threads, n // least)
    bounds = [n - n * (slices - i) ** 2 // slices**2 for i in range(slices + 1)]
    if slices < 4 * threads:  # one for each `least` windows
        bounds = [n * i // slices for i in range(slices + 1)]
    todo = iter([*enumerate(itertools.pairwise(bounds))])
    results: dict[int, _T] = {}

    def work() -> None:
        for i, part in todo:
            results[i] = run(*part)

    pool = _pools.get(threads)
    if pool is None:
        pool = _pools.setdefault(threads, ThreadPoolExecutor(threads - 1, thread_name_prefix="gpuph"))
    helpers = [pool.submit(work) for _ in range(threads - 1)]
    work()
    for helper in helpers:
        if not helper.cancel():  # one that has not begun would find nothing left to do
            helper.result()
    return [results[i] for i in range(slices)]
