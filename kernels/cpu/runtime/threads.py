"""Distribute windows over `torch.get_num_threads()` threads, one of which is the caller's.

Numba's threading layers are safe neither with concurrent callers nor after a fork. These threads are Python threads, on
which kernels run without the interpreter's lock.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from .interrupt import current, number_of_threads
from .jit import device
from .primitives import fetch_and_add

Array = NDArray[Any]
_T = TypeVar("_T")

_PERIOD = 5.0  # seconds after which a thread that is not needed ends


class Call(Generic[_T]):
    """A call that another thread makes once, unless it is withdrawn first."""

    def __init__(self, run: Callable[[], _T]) -> None:
        self.run, self.halt = run, current.halt
        self.error: BaseException | None = None
        self.begun, self.ended = threading.Lock(), threading.Lock()
        self.ended.acquire()

    def __call__(self) -> None:
        if self.begun.acquire(blocking=False):
            try:
                current.halt = self.halt
                self.returned = self.run()
            except BaseException as error:
                self.error = error
            self.ended.release()

    def results(self) -> list[_T]:
        """Wait for the call and return its result in a list. If it has not begun, withdraw it; the list is empty."""
        if self.begun.acquire(blocking=False):
            return []
        self.ended.acquire()
        if self.error is not None:
            raise self.error
        return [self.returned]


class Helpers:
    """Threads that wait for calls. A ThreadPoolExecutor takes 20 us longer for a call.

    Threads that no call has needed for some seconds end.
    """

    def __init__(self) -> None:
        self.calls: SimpleQueue[Call[Any]] = SimpleQueue()
        self.changing, self.started = threading.Lock(), 0
        # The most threads that any call has requested, in this period and in the previous one.
        self.needed, self.needed_before, self.since = 0, 0, time.monotonic()

    def call(self, run: Callable[[], _T], helpers: int) -> list[Call[_T]]:
        """Have `helpers` threads call `run`, or fewer if the system allows no more."""
        self.needed = max(self.needed, helpers)
        if self.started < helpers:
            with self.changing:
                for _ in range(helpers - self.started):
                    try:
                        threading.Thread(target=self.wait, name="gpuph", daemon=True).start()
                    except RuntimeError:  # the system or the interpreter allows no more threads
                        break
                    self.started += 1
        calls = [Call(run) for _ in range(min(helpers, self.started))]
        for call in calls:
            self.calls.put(call)
        return calls

    def wait(self) -> None:
        while not self.superfluous():
            with contextlib.suppress(Empty):
                self.calls.get(timeout=_PERIOD)()

    def superfluous(self) -> bool:
        """Return whether the calling thread must end. A call that it would have made is withdrawn."""
        if self.started <= self.needed and time.monotonic() < self.since + _PERIOD:
            return False
        with self.changing:
            if time.monotonic() >= self.since + _PERIOD:
                self.needed, self.needed_before, self.since = 0, self.needed, time.monotonic()
            ends = self.started > max(self.needed, self.needed_before)
            self.started -= ends
            return ends


_helpers = Helpers()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_helpers.__init__)  # type: ignore[misc]  # a child has none of its parent's threads


def on_threads(most: int, run: Callable[[], _T], others: Callable[[], _T] | None = None) -> list[_T]:
    """Call `run()` on all threads, but at most on `most` of them, at the same time, and return the results.

    The calls share work that each of them claims piece by piece, so a thread that is busy elsewhere may not be called.
    others : called by threads other than the caller's, instead of `run`.
    """
    threads, halt = min(number_of_threads(), most) if most > 1 else 1, current.halt
    calls = _helpers.call(others or run, threads - 1) if threads > 1 else []
    results = [run()]
    for call in calls:
        results += call.results()
    if halt is not None:
        halt.check()
    return results


def over_windows(n: int, run: Callable[[int, int], _T], least: int = 1) -> list[_T]:
    """Call `run(start, stop)` on slices that cover range(n), on all threads.

    Return the results in the order of the slices. A slice has about `least` windows or more. The work of `run` must not
    depend on how range(n) is sliced.
    """
    threads = min(number_of_threads(), n // least)
    if threads <= 1:
        return on_threads(1, lambda: run(0, n))
    # Slices become smaller, so that they are few and yet no thread waits long for the last one.
    slices = min(4 * threads, n // least)
    bounds = [n - n * (slices - i) ** 2 // slices**2 for i in range(slices + 1)]
    if slices < 4 * threads:  # equal slices of `least` windows
        bounds = [n * i // slices for i in range(slices + 1)]
    todo = iter([*enumerate(itertools.pairwise(bounds))])
    results: dict[int, _T] = {}

    def work() -> None:
        try:
            for i, part in todo:
                results[i] = run(*part)
        except BaseException:
            for _ in todo:  # leave no work to the other threads
                pass
            raise

    on_threads(threads, work)
    return [results[i] for i in range(slices)]


def run_dynamic(n: int, run: Callable[[Array, int], _T], least: int = 1, spare: int = 0) -> list[_T]:
    """Call `run(taken, stop)` on all threads, but at most on one for each `least` of n windows, and return the results.

    Each call has to use `claim_windows` until no window is left. Threads other than the caller's leave the last `spare`
    windows, if there are many, to the caller: it would take longer to wake the caller when another thread is the last
    to end.
    """
    taken, spare = np.array([0, 8 * number_of_threads()]), min(spare, n // 16)
    try:
        return on_threads(n // least, lambda: run(taken, n), lambda: run(taken, n - spare))
    except BaseException:
        taken[0] = n  # leave no work to the other threads
        raise


@device
def claim_windows(taken, n, stop):
    """Claim the next of n windows for the calling thread. Return the first and the end, or n and n from `stop` on.

    As with the slices of `over_windows`, each claim is smaller than the last, down to one window: a claim is cheap.
    """
    next_one = taken[0]
    if next_one >= stop:
        return n, n
    more = 1 + (n - next_one) // taken[1]
    first = fetch_and_add(taken, more)  # another thread may have been faster
    return min(first, n), min(first + more, n)
