"""Threads and processes around a call: exit of the interpreter, forks, and systems that allow no more threads."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import gpuph
from gpuph.kernels.cpu.runtime import interrupt, threads
from support.inputs import image
from support.processes import complaints, python, wait_until


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return python("-c", code, OMP_NUM_THREADS="2", **environment)


AT_WORK = """
import threading, time
import torch
import gpuph

torch.set_num_threads(2)
loss_fn = gpuph.LocalizedPHLoss(window=32).eval()


def diagrams(*shape):
    x = torch.rand(shape)
    return lambda: gpuph.persistence(x)


def loss(size):
    pred, target = torch.rand(2, 1, 1, size, size)
    return lambda: loss_fn(pred, target)


def matching(n):
    p = torch.rand(2, 1, n, 2, dtype=torch.float64)
    p[..., 1] += 1
    a, b = (gpuph.Diagram.from_list([*x]) for x in p)
    return lambda: gpuph.match(a, b)


small = diagrams(4, 32, 32), diagrams(1, 2500, 2500), loss(96), matching(40)
large = diagrams(100, 32, 32), diagrams(1, 5000, 5000), loss(96), matching(5000)
for call in small:
    call()
begun = threading.Barrier(1 + len(large))


def repeat(call):
    begun.wait()
    while True:
        call()


for call in large:
    threading.Thread(target=repeat, args=(call,), daemon=True).start()
begun.wait()
time.sleep(0.5)
"""


@pytest.mark.slow
def test_interpreter_exits_while_daemon_threads_are_inside_calls() -> None:
    done = run(AT_WORK)
    assert done.returncode == 0 and not complaints(done), done.stderr


@pytest.mark.slow
def test_interpreter_exits_while_a_daemon_thread_compiles(tmp_path: Path) -> None:
    code = """
import threading, time
import torch
import gpuph
threading.Thread(target=lambda: gpuph.persistence(torch.rand(4, 9, 9)), daemon=True).start()
time.sleep(1.0)
"""
    done = run(code, NUMBA_CACHE_DIR=str(tmp_path))
    assert done.returncode == 0 and not complaints(done), done.stderr


FORK = """
import os, signal, sys, threading, time
import torch
from gpuph.ops import cpu_kernels
from gpuph import ops

if sys.argv[1] == "compilation":
    from numba.core.compiler_lock import global_compiler_lock
    cpu_kernels._load()
    lock = global_compiler_lock._lock
else:
    lock = cpu_kernels._lock
index = torch.tensor([[2], [-1]])
thread = threading.Thread(target=lambda: ops.gather(torch.arange(6.0).view(2, 3), index))
thread.start()
while lock.acquire(blocking=False):
    lock.release()
    time.sleep(0.0001)
child = os.fork()
if child == 0:
    signal.alarm(600)  # ends a child that hangs
    right = ops.scatter(torch.ones(2, 1), index, 3).tolist() == [[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    os._exit(0 if right else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
thread.join()
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["import of the kernels", "compilation"])
def test_fork_does_not_hang_the_child(moment: str, tmp_path: Path) -> None:
    done = python("-c", FORK, moment, OMP_NUM_THREADS="2", NUMBA_CACHE_DIR=str(tmp_path))
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr


def forbid_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threads, "_helpers", threads.Helpers())
    monkeypatch.setattr(threading.Thread, "start", start)


def test_calls_work_when_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.from_numpy(image("noise", (40, 30, 20), 0))
    long = torch.from_numpy(image("smooth", (2100, 2100), 0))[None]
    volume = torch.from_numpy(image("noise", (70, 64, 64), 0))[None]
    torch.set_num_threads(3)
    expected = [gpuph.persistence(y)[1].birth_index for y in (x, long, volume)]
    forbid_threads(monkeypatch)
    for y, result in zip((x, long, volume), expected, strict=True):
        assert torch.equal(gpuph.persistence(y)[1].birth_index, result)


def names() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


def test_idle_helper_threads_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_PERIOD", 0.1)
    before, helpers = names().count("gpuph"), threads.Helpers()
    helpers.call(lambda: None, 20)
    assert names().count("gpuph") >= before + 10
    assert wait_until(lambda: helpers.started == 0 and names().count("gpuph") <= before)
    (call,) = helpers.call(lambda: 5, 1)  # they start again
    assert wait_until(call.begun.locked)
    assert call.results() == [5]


def test_surplus_helper_threads_end_while_others_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_PERIOD", 0.1)
    helpers = threads.Helpers()
    helpers.call(lambda: None, 20)

    def work() -> bool:
        for call in helpers.call(lambda: None, 2):
            call.results()
        return helpers.started <= 2

    assert wait_until(work)
    assert helpers.started >= 1


def test_error_in_an_interruptible_call_reaches_the_caller() -> None:
    @interrupt.interruptible(lambda x: True)
    def fail(x: int) -> None:
        assert threading.current_thread() is not threading.main_thread()
        raise ValueError(f"got {x}")

    with pytest.raises(ValueError, match="got 3"):
        fail(3)


def test_interruptible_call_uses_the_callers_number_of_threads() -> None:
    number = interrupt.interruptible(lambda: True)(interrupt.number_of_threads)
    for n in (3, 1):
        torch.set_num_threads(n)
        assert number() == n


class Diagrams(torch.utils.data.Dataset[torch.Tensor]):
    """Diagrams made in the workers of a DataLoader."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, i: int) -> torch.Tensor:
        return gpuph.persistence(torch.from_numpy(image("noise", (9, 9), i))[None], capacity=40)[1].birth_index[0]


@pytest.mark.slow
def test_spawned_dataloader_workers_give_the_same_diagrams() -> None:
    loader = torch.utils.data.DataLoader(
        Diagrams(), batch_size=3, num_workers=1, multiprocessing_context="spawn", timeout=300
    )
    assert torch.equal(torch.cat([*loader]), torch.stack([Diagrams()[i] for i in range(6)]))
