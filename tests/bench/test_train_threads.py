"""The training demo chooses the faster number of threads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from bench.train import threads as module
from bench.train.threads import STRETCH, TRIALS, Threads


class Machine:
    """A machine on which an update takes a known time for each number of threads."""

    def __init__(self) -> None:
        self.now, self.all_threads, self.one_thread = 0.0, 0.4, 0.6
        self.updates = 0

    def perf_counter(self) -> float:
        return self.now

    def update(self) -> None:
        self.updates += 1
        self.now += self.one_thread if torch.get_num_threads() == 1 else self.all_threads


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    made, before = Machine(), torch.get_num_threads()
    monkeypatch.setattr(module, "time", made)
    torch.set_num_threads(2)
    yield made
    torch.set_num_threads(before)


def train(machine: Machine, threads: Threads, updates: int) -> None:
    for _ in range(updates):
        machine.update()
        threads.after_update()


def test_all_threads_are_kept_on_an_idle_machine_without_more_trials(machine: Machine) -> None:
    threads = Threads(machine.update)
    train(machine, threads, 20 * STRETCH)
    assert torch.get_num_threads() == 2 and machine.updates == 20 * STRETCH + 2 * TRIALS


def test_one_thread_is_chosen_where_others_wait(machine: Machine) -> None:
    machine.all_threads = 5.0
    Threads(machine.update)
    assert torch.get_num_threads() == 1


def test_threads_are_chosen_again_when_updates_become_slow(machine: Machine) -> None:
    threads = Threads(machine.update)
    train(machine, threads, 3 * STRETCH)
    machine.all_threads = 4.0
    train(machine, threads, 2 * STRETCH)
    assert torch.get_num_threads() == 1
    updates = machine.updates
    train(machine, threads, 5 * STRETCH)
    assert machine.updates == updates + 5 * STRETCH  # one thread is as fast as before, so nothing is tried


def test_a_machine_with_one_core_has_nothing_to_choose(machine: Machine) -> None:
    torch.set_num_threads(1)
    Threads(machine.update)
    assert torch.get_num_threads() == 1
