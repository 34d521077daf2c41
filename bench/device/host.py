"""Measure the host's part of a call: Python, PyTorch and Triton, until all kernels are launched."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import torch

import gpuph
from bench.speed.timing import machine

from .counts import PTXRUN, as_on_a_device

WARM_UP, ROUNDS, CALLS = 3, 5, 20


def host_costs() -> dict[str, Any]:
    """Measure the CPU time of calls whose kernels do nothing, in microseconds, and count the launches.

    Tensors are small, because PyTorch's own operators run on the CPU here. All of Triton runs except the last step, its
    launcher in C and the driver, which a Python function replaces. Times are the CPU time of this process in the
    fastest of several rounds.
    """
    if PTXRUN not in sys.path:
        sys.path.insert(0, PTXRUN)
    import ptxrun.triton

    windows = torch.zeros(4, 64, 64)
    pred, target = torch.zeros(2, 1, 128, 128, requires_grad=True), torch.zeros(2, 1, 128, 128)
    loss_fn = gpuph.LocalizedPHLoss(window=64)
    calls: dict[str, Callable[[], object]] = {
        "persistence": lambda: gpuph.persistence(windows),
        "loss": lambda: loss_fn(pred, target),
        "loss and its gradient": lambda: torch.autograd.grad(loss_fn(pred, target), pred),
    }
    launches = 0

    def launch(*_: object) -> None:  # a Mock would take as long as the launcher in C
        nonlocal launches
        launches += 1

    def count(call: Callable[[], object]) -> int:
        before = launches
        call()
        return launches - before

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with (
            mock.patch.object(ptxrun.triton.Launcher, "run", launch),
            ptxrun.triton.emulated(checks=(), stats=False),
            as_on_a_device(),
        ):
            costs = {name: _cost(call, count) for name, call in calls.items()}
    finally:
        torch.set_num_threads(threads)
    return {"processor": machine()["processor"], "calls": costs}


def _cost(call: Callable[[], object], count: Callable[[Callable[[], object]], int]) -> dict[str, float]:
    for _ in range(WARM_UP):
        call()
    launches = count(call)
    seconds = []
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(CALLS):
            call()
        seconds.append((time.process_time() - start) / CALLS)
    return {"host us a call": 1e6 * min(seconds), "launches": launches}
