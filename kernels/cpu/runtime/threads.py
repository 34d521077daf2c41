"""How windows are spread over `torch.get_num_threads()` threads, of which the caller's own is one.

Numba's threading layers are neither safe under concurrent callers nor after a fork. These threads are Python's, and
kernels run on them without the interpreter's lock.
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

_PERIOD = 5.0  # seconds for which a thread that is not needed stays


class Call(Generic[_T]):
    """A call for another thread to make, once, unless it is taken back."""

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
        """What the call returns, waiting for it; nothing if it has not begun, which takes it back."""
        if self.begun.acquire(blocking=False):
            return []
        self.ended.acquire()
        if self.error is not None:
            raise self.error
        return [self.returned]


class Helpers:
    """Threads that wait for calls. A ThreadPoolExecutor takes 20 us longer to hand one over and back.

    A thread ends when no call has needed so many threads for a while.
    """

    def __init__(self) -> None:
        self.calls: SimpleQueue[Call[Any]] = SimpleQueue()
        self.changing, self.started = threading.Lock(), 0
        # The most threads that a call has asked for, in this period and in the one before.
        self.needed, self.needed_before, self.since = 0, 0, time.monotonic()

    def call(self, run: Callable[[], _T], helpers: int) -> list[Call[_T]]:
        """Have so many threads call `run`, or fewer if no more can be started."""
        self.needed = max(self.needed, helpers)
        if self.started < helpers:
            with self.changing:
                for _ in range(helpers - self.started):
                    try:
                        threading.Thread(target=self.wait, name="gpuph", daemon=True).start()
                    except RuntimeError:  # the system or the interpreter allows no more
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
        """Return whether the thread that asks is to end. A call that it would have taken is taken back."""
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
    os.register_at_fork(after_in_child=_helpers.__init__)  # type: ignore[misc]  # it has none of its parent's threads


def on_threads(most: int, run: Callable[[], _T], others: Callable[[], _T] | None = None) -> list[_T]:
    """Call `run()` on all threads at once, or on `most` if they are fewer; returns what the calls return.

    Together the calls do a work of which each takes its parts as it goes. A thread that is busy elsewhere may come too
    late to be called. others : what threads other than the caller's call instead.
    """
    threads, halt = min(number_of_threads(), most), current.halt
    calls = _helpers.call(others or run, threads - 1) if threads > 1 else []
    results = [run()]
    for call in calls:
        results += call.results()
    if halt is not None:
        halt.check()
    return results


def over_windows(n: int, run: Callable[[int, int], _T], least: int = 1) -> list[_T]:
    """Call `run(start, stop)` on slices that cover range(n), on all threads.

    The results come in the order of the slices. A slice has about `least` windows or more; how range(n) is cut must not
    matter to `run`.
    """
    threads = min(number_of_threads(), n // least)
    if threads <= 1:
        return on_threads(1, lambda: run(0, n))
    # Ever smaller slices, so that few are enough and yet no thread waits long for the last.
    slices = min(4 * threads, n // least)
    bounds = [n - n * (slices - i) ** 2 // slices**2 for i in range(slices + 1)]
    if slices < 4 * threads:  # one for each `least` windows
        bounds = [n * i // slices for i in range(slices + 1)]
    todo = iter([*enumerate(itertools.pairwise(bounds))])
    results: dict[int, _T] = {}

    def work() -> None:
        try:
            for i, part in todo:
                results[i] = run(*part)
        except BaseException:
            for _ in todo:  # leave nothing to the other threads
                pass
            raise

    on_threads(threads, work)
    return [results[i] for i in range(slices)]


def by_turns(n: int, run: Callable[[Array, int], _T], least: int = 1, spare: int = 0) -> list[_T]:
    """Call `run(taken, stop)` on all threads, or one for each `least` of n windows, to `take` them until none are left.

    Threads other than the caller's take none of the last `spare`, if there are many: that the caller's be woken, when
    others are done later, would take longer.
    """
    taken, spare = np.array([0, 8 * number_of_threads()]), min(spare, n // 16)
    try:
        return on_threads(n // least, lambda: run(taken, n), lambda: run(taken, n - spare))
    except BaseException:
        taken[0] = n  # leave nothing to the other threads
        raise


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
