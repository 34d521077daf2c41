"""How windows are spread over `torch.get_num_threads()` threads, of which the caller's own is one.

Numba's threading layers are neither safe under concurrent callers nor after a fork. These threads are Python's, and
kernels run on them without the interpreter's lock.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from .jit import device
from .primitives import fetch_and_add

Array = NDArray[Any]
_T = TypeVar("_T")


class Call(Generic[_T]):
    """A call for another thread to make, once, unless it is taken back."""

    def __init__(self, run: Callable[[], _T]) -> None:
        self.run, self.error = run, None
        self.begun, self.ended = threading.Lock(), threading.Lock()
        self.ended.acquire()

    def __call__(self) -> None:
        if self.begun.acquire(blocking=False):
            try:
                self.returned = self.run()
            except BaseException as error:
                self.error = error
            self.ended.release()

    def results(self) -> list[_T]:
        """What the call returns, waiting for it; nothing if it has not begun, which takes it back."""
        if self.begun.acquire(blocking=False):
            return []
        self.ended.acquire()
        if self.error is not None:
            raise self.error
        return [self.returned]


class Helpers:
    """Threads that wait for calls. A ThreadPoolExecutor takes 20 us longer to hand one over and back."""

    def __init__(self) -> None:
        self.calls: SimpleQueue[Call[Any]] = SimpleQueue()
        self.starting, self.started = threading.Lock(), 0

    def call(self, run: Callable[[], _T], helpers: int) -> list[Call[_T]]:
        """Have so many threads call `run`."""
        if self.started < helpers:
            with self.starting:
                for _ in range(helpers - self.started):
                    threading.Thread(target=self.wait, name="gpuph", daemon=True).start()
                self.started = max(self.started, helpers)
        calls = [Call(run) for _ in range(helpers)]
        for call in calls:
            self.calls.put(call)
        return calls

    def wait(self) -> None:
        while True:
            self.calls.get()()


_helpers = Helpers()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_helpers.__init__)  # type: ignore[misc]  # it has none of its parent's threads


def on_threads(most: int, run: Callable[[], _T], others: Callable[[], _T] | None = None) -> list[_T]:
    """Call `run()` on all threads at once, or on `most` if they are fewer; returns what the calls return.

    Together the calls do a work of which each takes its parts as it goes. A thread that is busy elsewhere may come too
    late to be called. others : what threads other than the caller's call instead.
    """
    threads = min(torch.get_num_threads(), most)
    if threads <= 1:
        return [run()]
    calls = _helpers.call(others or run, threads - 1)
    results = [run()]
    for call in calls:
        results += call.results()
    return results


def over_windows(n: int, run: Callable[[int, int], _T], least: int = 1) -> list[_T]:
    """Call `run(start, stop)` on slices that cover range(n), on all threads.

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

    on_threads(threads, work)
    return [results[i] for i in range(slices)]


def by_turns(n: int, run: Callable[[Array, int], _T], least: int = 1, spare: int = 0) -> list[_T]:
    """Call `run(taken, stop)` on all threads, or one for each `least` of n windows, to `take` them until none are left.

    Threads other than the caller's take none of the last `spare`, if there are many: that the caller's be woken, when
    others are done later, would take longer.
    """
    taken, spare = np.array([0, 8 * torch.get_num_threads()]), min(spare, n // 16)
    return on_threads(n // least, lambda: run(taken, n), lambda: run(taken, n - spare))


@device
def take(taken, n, stop):
    """First and last + 1 of the next of n windows, which nobody else takes; n and n if they are `stop` or later.

    They are ever fewer, as the slices of `over_windows` are, but down to one: to take them costs next to nothing.
    """
    next_one = taken[0]
    if next_one >= stop:
        return n, n
    more = 1 + (n - next_one) // taken[1]
    first = fetch_and_add(taken, more)  # another thread may have been faster
    return min(first, n), min(first + more, n)
