"""Call the loss as training loops do: without synchronising, in a CUDA graph, on a stream, with autocast, in parts."""

from __future__ import annotations

from collections.abc import Callable
from unittest import mock

import torch
from torch import Tensor

from .cases import Maps, usual
from .section import Day

Results = tuple[Tensor, ...]


def modes(day: Day) -> None:
    """Compare each way of calling with the plain call."""
    ways: dict[str, Callable[[Day, Maps, Tensor, Tensor], Results]] = {
        "never waits for the device": never_waits,
        "captured in a graph and replayed": replays,
        "on a second stream": on_second_stream,
        "under autocast": under_autocast,
        "in odd batches": in_odd_batches,
    }
    for name, case in zip(("images", "volumes"), usual(small=day.rehearse), strict=True):
        pred, target = (x.cuda() for x in case.make())
        plain = case.step(pred, target)
        for way, call in ways.items():
            with day.isolated(f"{name}: {way}"):
                found = call(day, case, pred, target)
                same = all(torch.equal(a, b) for a, b in zip(found, plain, strict=True))
                day.report(f"{name}: {way}", "equal" if same else "FAILED")


def never_waits(day: Day, case: Maps, pred: Tensor, target: Tensor) -> Results:
    """Call while PyTorch raises at every synchronisation with the device."""
    if day.rehearse:
        return case.step(pred, target)
    torch.cuda.set_sync_debug_mode("error")
    try:
        return case.step(pred, target)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def replays(day: Day, case: Maps, pred: Tensor, target: Tensor) -> Results:
    """Capture a call on other data, and replay it on the given data."""
    fixed, truth = target.clone(), target.clone()
    results, replay = day.capture(lambda: case.step(fixed, truth))
    fixed.copy_(pred)
    for _ in range(day.repeats):
        replay()
    torch.cuda.synchronize()
    return results


def on_second_stream(day: Day, case: Maps, pred: Tensor, target: Tensor) -> Results:
    """Call on a stream other than the current one."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        found = case.step(pred, target)
    torch.cuda.current_stream().wait_stream(stream)
    return found


def under_autocast(day: Day, case: Maps, pred: Tensor, target: Tensor) -> Results:
    """Call with autocast to bfloat16."""
    with torch.autocast("cpu" if day.rehearse else "cuda", dtype=torch.bfloat16):
        return case.step(pred, target)


def in_odd_batches(day: Day, case: Maps, pred: Tensor, target: Tensor) -> Results:
    """Call on 1 and on 3 of the maps, which must not compile variants of kernels in the middle of training."""
    import triton

    compiled: list[str] = []
    with mock.patch.object(triton.knobs.compilation, "listener", lambda **found: compiled.append(found["src"].name)):
        parts = [case.step(pred[some], target[some]) for some in (slice(1), slice(1, None))]
    if compiled:
        raise RuntimeError(f"compiled {', '.join(compiled)}")
    found = case.step(pred, target)
    gradient = torch.cat([part * len(part) / len(pred) for _, part in parts])
    torch.testing.assert_close(gradient, found[1])
    return found
