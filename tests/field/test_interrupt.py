"""Ctrl-C: a long call soon raises KeyboardInterrupt and leaves no thread at work, and the next call is correct."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.processes import python

pytestmark = pytest.mark.slow
LATEST = 5.0  # longest time from the signal to the exception, in seconds: below 1 on a free machine

PRELUDE = """
import json, os, signal, sys, threading, time
import torch
import gpuph

torch.set_num_threads(int(sys.argv[1]))
random = torch.Generator().manual_seed(0)


def image(*shape):
    return torch.rand(shape, generator=random)


def points(n, ties):
    p = image(n, 2).double()
    p = (p * 8).round() / 8 if ties else p
    p[:, 1] += p[:, 0] + 0.1
    return gpuph.Diagram.from_list([p])


def diagrams(*shape):
    x = image(*shape)
    return lambda: gpuph.persistence(x)[1].birth_index


def matching(solver, ties, n):
    a, b = points(n, ties), points(n, ties)
    return lambda: gpuph.match(a, b, solver=solver).partner_a


def loss(make, size, rank=2, scale=1.0):
    pred, target = image(1, 1, *[size] * rank) * scale, (image(1, 1, *[size] * rank) * 50).floor().clamp(max=1) * scale
    loss_fn = make(window=size).eval()
    return lambda: loss_fn(pred, target)


def distances(n):
    mask = torch.zeros(1, 1, n, n, dtype=torch.bool)
    mask[..., 0] = True  # far from nearly all pixels
    return lambda: gpuph.truncated_distance_map(mask, 1e9)


def surfaces(window):
    return gpuph.MorseSkeletonLoss(window=window, manifolds=(1, 2))


# The small inputs are large enough for the kernels of the large ones, since the compilation of a kernel may not stop.
CASES = {
    "batch": (lambda n: diagrams(n, 64, 64), 8, 40_000),
    "window": (lambda n: diagrams(1, n, n), 512, 4500),
    "volume": (lambda n: diagrams(1, n, n, n), 52, 160),
    "augment": (lambda n: matching("augment", False, n), 40, 5000),
    "augment, ties": (lambda n: matching("augment", True, n), 40, 5000),
    "auction": (lambda n: matching("auction", False, n), 40, 5000),
    "auction, ties": (lambda n: matching("auction", True, n), 40, 5000),
    "LocalizedPHLoss": (lambda n: loss(gpuph.LocalizedPHLoss, n), 512, 4000),
    "LocalizedPHLoss, volume": (lambda n: loss(gpuph.LocalizedPHLoss, n, 3), 52, 128),
    "ConnectivityLoss": (lambda n: loss(gpuph.ConnectivityLoss, n, 2, 15.0), 512, 2500),
    "MorseSkeletonLoss": (lambda n: loss(gpuph.MorseSkeletonLoss, n), 512, 4000),
    "MorseSkeletonLoss, surfaces": (lambda n: loss(surfaces, n, 3), 52, 128),
    "truncated_distance_map": (distances, 512, 6000),
}


def still_at_work():
    # Returns whether the process still computes two seconds after an interrupt.
    deadline = time.monotonic() + 2.0
    while time.monotonic() < deadline:
        before = time.process_time()
        time.sleep(0.2)
        if time.process_time() - before < 0.1:
            return False
    return True


def interrupt(call, delay=0.2):
    # Returns the name of the exception that the call raised, and the seconds that it took.
    sent = []

    def send():
        time.sleep(delay)
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=send)
    raised = None
    try:
        sender.start()
        call()
        sender.join()
        time.sleep(1.0)
    except BaseException as error:
        raised = type(error).__name__
    late = time.monotonic() - sent[0]
    sender.join()
    return raised, late
"""

EACH_CASE = """
for name, (make, small, large) in CASES.items():
    first = make(small)
    expected = first()
    raised, late = interrupt(make(large))
    print(json.dumps([name, raised, late, still_at_work(), torch.equal(first(), expected)]), flush=True)
"""

SHORT_CALLS = """
class Alarm(Exception):
    pass


def ring(*_):
    raise Alarm


signal.signal(signal.SIGALRM, ring)
calls = [diagrams(48, 32, 32), diagrams(2, 12, 12, 12), loss(gpuph.LocalizedPHLoss, 64)]
expected = [call() for call in calls]
raised, same = [], True
for i in range(150):
    try:
        # It rings again, since Python drops what a handler raises within a destructor.
        signal.setitimer(signal.ITIMER_REAL, 0.001 + 0.00003 * i, 0.5)
        while True:
            for call in calls:
                call()
    except BaseException as error:
        signal.setitimer(signal.ITIMER_REAL, 0)
        raised.append(type(error).__name__)
    same &= all(torch.equal(call(), result) for call, result in zip(calls, expected))
print(json.dumps([sorted(set(raised)), len(raised), same]))
"""

OTHER_THREADS = """
short, long = diagrams(60, 32, 32), diagrams(1, 1500, 1500)
expected = [call().clone() for call in (short, long)]
wrong, rounds, stop = [], [0, 0], threading.Event()


def repeat(i, call):
    while not stop.is_set():
        if not torch.equal(call(), expected[i]):
            wrong.append(i)
        rounds[i] += 1


others = [threading.Thread(target=repeat, args=(i, call)) for i, call in enumerate((short, long))]
for thread in others:
    thread.start()
found = [interrupt(CASES[name][0](CASES[name][2]))[0] for name in ("batch", "augment", "window")]
before = list(rounds)
time.sleep(0.5)
while rounds[1] == before[1]:
    time.sleep(0.1)
stop.set()
for thread in others:
    thread.join()
print(json.dumps([found, wrong, rounds[0] > before[0]]))
"""


def run(code: str, threads: int) -> list[list[Any]]:
    """Return what a script prints."""
    done = python("-c", PRELUDE + code, threads, timeout=900.0, OMP_NUM_THREADS="2")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("threads", [1, 2])
def test_interrupted_call_stops_soon_and_the_next_call_is_correct(threads: int) -> None:
    results = run(EACH_CASE, threads)
    assert len(results) == 13
    for name, raised, late, at_work, same in results:
        assert raised == "KeyboardInterrupt", name
        assert late < LATEST, name
        assert not at_work, name
        assert same, name


@pytest.mark.parametrize("threads", [1, 2])
def test_exception_raised_by_a_signal_handler_reaches_the_caller(threads: int) -> None:
    ((raised, times, same),) = run(SHORT_CALLS, threads)
    assert raised == ["Alarm"]
    assert times == 150
    assert same


def test_interrupt_does_not_disturb_other_threads() -> None:
    ((raised, wrong, went_on),) = run(OTHER_THREADS, 2)
    assert raised == ["KeyboardInterrupt"] * 3
    assert wrong == []
    assert went_on
