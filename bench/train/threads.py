"""The number of PyTorch's threads: all, or one where other processes are busy.

Threads of OpenMP wait for one another several hundred times in a training step, and spin while they wait. If another
process holds a core, each of these waits lasts until the scheduler has run the thread that is behind, and a step takes
many times as long. A single thread never waits, and on small crops all cores together are less than twice as fast.
Threads that sleep instead (OMP_WAIT_POLICY=passive) cost more to wake than they save.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

TRIALS = 3  # updates for each number of threads; the fastest counts
SLOW = 2.0  # a stretch of training that takes so many times as long as the fastest one calls for new trials
STRETCH = 20  # updates


class Threads:
    """Keeps PyTorch at the number of threads with which an update is fastest.

    Parameters
    ----------
    update : callable
        Makes an update that has no effect on the training.
    """

    def __init__(self, update: Callable[[], object]) -> None:
        self.update = update
        self.most = torch.get_num_threads()
        self.choose()

    def choose(self) -> None:
        """Try all threads and one thread in turn, and keep the faster number."""
        times: dict[int, list[float]] = {self.most: [], 1: []}
        for _ in range(TRIALS):
            for count, seconds in times.items():
                torch.set_num_threads(count)
                begun = time.perf_counter()
                self.update()
                seconds.append(time.perf_counter() - begun)
        torch.set_num_threads(min(times, key=lambda count: min(times[count])))
        self.fastest, self.updates, self.begun = float("inf"), 0, time.perf_counter()

    def after_update(self) -> None:
        """Choose again if updates have become slow."""
        self.updates += 1
        if self.updates < STRETCH:
            return
        now = time.perf_counter()
        seconds, self.updates, self.begun = now - self.begun, 0, now
        if seconds > SLOW * self.fastest:
            self.choose()
        else:
            self.fastest = min(self.fastest, seconds)
