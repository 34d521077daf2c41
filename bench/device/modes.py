"""How a training loop uses the loss: without waiting, captured, on another stream, under autocast, on odd batches."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

from .cases import Maps
from .section import Day

Results = tuple[Tensor, ...]


def modes(day: Day) -> None:
    """Check each way of calling against the plain call."""
    shape, volume = ((18, 15), (7, 8, 6)) if day.rehearse else ((192, 160), (40, 36, 33))
    for name, size in (("images", shape), ("volumes", volume)):
        case = Maps("LocalizedPHLoss", 4, size, torch.float32)
        pred, target = (x.cuda() for x in case.make())
        plain = case.step(pred, target)
        ways: dict[str, Callable[[Day, Maps, Tensor, Tensor], Results]] = {
            "never waits for the device": never_waits,
            "captured in a graph and replayed": replays,
            "on a second stream": on_second_stream,
            "under autocast": under_autocast,
        }
        for way, call in ways.items():
            try:
                found = call(day, case, pred, target)
                same = all(torch.equal(a, b) for a, b in zip(found, plain, strict=True))
                day.report(f"{name}: {way}", "equal" if same else "FAILED")
            except Exception as error:  # one way that fails stops none that follows
                day.report(f"{name}: {way}", "FAILED", reason=f"{type(error).__name__}: {error}")
        odd_batches(day, name, case, pred, target)


def never_waits(day: Day, case: Maps, pred: Tensor, target: Tensor) -> Results:
    """Call while PyTorch raises at everything that waits for the device."""
    if day.rehearse:
        return case.step(pred, target)
    torch.cuda.set_sync_debug_mode("error")
    try:
        return case.step(pred, target)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def replays(day: Day, case: Maps, pred: Tensor, target: Tensor) -> Results:
    """Capture a call on other data, and replay it on these."""
    fixed, truth = target.clone(), target.clone()
    results, replay = day.capture(lambda: case.step(fixed, truth))
    fixed.copy_(pred)
    for _ in range(day.repeats):
        replay()
    torch.cuda.synchronize()
    return results


def on_second_stream(day: Day, case: Maps, pred: Tensor, target: Tensor) -> Results:
    """Call on another stream than the current one."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        found = case.step(pred, target)
    torch.cuda.current_stream().wait_stream(stream)
    return found


def under_autocast(day: Day, case: Maps, pred: Tensor, target: Tensor) -> Results:
    """Call where PyTorch computes what it can in bfloat16."""
    with torch.autocast("cpu" if day.rehearse else "cuda", dtype=torch.bfloat16):
        return case.step(pred, target)


def odd_batches(day: Day, name: str, case: Maps, pred: Tensor, target: Tensor) -> None:
    """Time batches of 1 and 3, which must not compile variants of kernels in the middle of training."""
    seconds = []
    for batch in (1, 3):
        start = time.perf_counter()
        case.step(pred[:batch], target[:batch])
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    day.report(f"{name}: first call of an odd batch", max(seconds), "s", compiled=max(seconds) > 0.5)
