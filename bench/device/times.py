"""Measure the limits of the device, and the times of kernels, whole calls and training steps."""

from __future__ import annotations

import importlib.util
import json
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import gpuph
from bench.speed import inputs
from bench.speed.timing import machine

from .section import Day
from .workloads import workloads

COST = Path(__file__).parents[1] / "results" / "device_cost.json"


def machine_section(day: Day) -> None:
    """Report versions, and the two limits that times are compared with: copying memory, and launching."""
    day.report("machine", machine())
    for tool in ("compute-sanitizer", "ncu", "gcc"):
        day.report(tool, shutil.which(tool) or "missing")
    if not day.rehearse:
        properties = torch.cuda.get_device_properties(0)
        day.report("multiprocessors", properties.multi_processor_count)
        day.report("compute capability", f"{properties.major}.{properties.minor}")
        day.report("CUDA of PyTorch", torch.version.cuda)
        day.report("driver", _driver())
    size = 2**16 if day.rehearse else 2**30
    source = torch.ones(size, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    day.report("copy bandwidth, read and written", 2 * size / eager(lambda: target.copy_(source)) / 1e9, "GB/s")
    one = torch.ones(1, device="cuda")
    day.report("launch of a small kernel, eager", 1e6 * _host_seconds(lambda: one.add_(1), 200), "us")
    if not day.rehearse:
        day.report("launch of a small kernel, replayed", 1e6 * replayed(lambda: _repeat(one)) / 100, "us")


def _driver() -> str:
    words = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        return f"unknown: {type(error).__name__}"


def _repeat(one: Tensor) -> None:
    for _ in range(100):
        one.add_(1)


def eager(run: Callable[[], object]) -> float:
    """Return the median seconds of a call on the device, including time that it waits for the host."""
    from triton.testing import do_bench

    milliseconds: float = do_bench(run, warmup=20, rep=100, return_mode="median")
    return milliseconds / 1e3


def replayed(run: Callable[[], object]) -> float:
    """Return the median seconds of a call that is captured in a CUDA graph and replayed."""
    from triton.testing import do_bench_cudagraph

    milliseconds: float = do_bench_cudagraph(run, rep=50, return_mode="median")
    return milliseconds / 1e3


def _host_seconds(run: Callable[[], object], n: int) -> float:
    """Return the seconds of the host per call, without waiting for the device."""
    for _ in range(5):
        run()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(n):
        run()
    seconds = (time.perf_counter() - start) / n
    torch.cuda.synchronize()
    return seconds


def kernels(day: Day) -> None:
    """Time every kernel of every workload between two events, and report the cost model's prediction with it."""
    predicted = predictions()
    for title, make in workloads(small=day.rehearse).items():
        with day.isolated(title):
            run = make()
            run()
            for name, seconds in _seconds_by_kernel(run, day).items():
                day.report(f"{title}: {name}", 1e6 * seconds, "us", **predicted.get((title, name), {}))


def _seconds_by_kernel(run: Callable[[], object], day: Day) -> dict[str, float]:
    """Return the median seconds of each kernel in a call, summed over its launches."""
    from triton import knobs

    launches: list[tuple[str, Any, Any]] = []

    def enter(metadata: Any) -> None:
        start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        launches.append((metadata.get()["name"].strip("_"), start, stop))
        start.record()

    def leave(metadata: Any) -> None:
        *_, (_, _, stop) = launches
        stop.record()

    totals: dict[str, list[float]] = {}
    knobs.runtime.launch_enter_hook.add(enter)
    knobs.runtime.launch_exit_hook.add(leave)
    try:
        for _ in range(1 if day.rehearse else 15):
            launches.clear()
            if not day.rehearse:
                torch.cuda._sleep(5_000_000)  # lets the host run ahead, so that launches follow each other closely
            run()
            torch.cuda.synchronize()
            once: dict[str, float] = {}
            for name, start, stop in launches:
                once[name] = once.get(name, 0.0) + start.elapsed_time(stop) / 1e3
            for name, seconds in once.items():
                totals.setdefault(name, []).append(seconds)
    finally:
        knobs.runtime.launch_enter_hook.remove(enter)
        knobs.runtime.launch_exit_hook.remove(leave)
    return {name: statistics.median(seconds) for name, seconds in totals.items()}


def predictions() -> dict[tuple[str, str], dict[str, float]]:
    """Return the predicted microseconds by workload and kernel that `bench.device.cost --save` wrote."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for title, batches in json.loads(COST.read_text())["cases"].items():
        for name, stage in batches[-1]["stages"].items():
            found[title, name] = {
                key.partition(",")[0]: value
                for key, value in stage.items()
                if key.startswith(("predicted us,", "us with latency,"))
            }
    return found


def calls(day: Day) -> None:
    """Time whole calls: eagerly, replayed from a CUDA graph, and on the host alone."""
    for title, make in workloads(small=day.rehearse).items():
        with day.isolated(title):
            run = make()
            run()
            day.report(f"{title}: eager", 1e6 * eager(run), "us")
            day.report(f"{title}: host", 1e6 * _host_seconds(run, 2 if day.rehearse else 20), "us")
        with day.isolated(f"{title}: replayed"):
            if not day.rehearse:
                day.report(f"{title}: replayed", 1e6 * replayed(run), "us")


def training(day: Day) -> None:
    """Time training steps of the paper's preset with MSE alone, with the localized loss, and with it by GUDHI."""
    if importlib.util.find_spec("monai") is None:
        day.report.skipped("training steps", "monai is not installed")
        return
    from bench.train.network import PRESETS, Branch, plus

    preset = PRESETS["small" if day.rehearse else "paper"][2]
    batch, crop = (1, 32) if day.rehearse else (preset.batch, preset.crop)
    images = torch.rand(batch, 3, crop, crop, generator=torch.Generator().manual_seed(0)).cuda()
    _, maps = inputs.predictions(batch)
    target = maps[..., :crop, :crop].contiguous().cuda()
    mse = torch.nn.functional.mse_loss
    contenders = {"MSE": mse, "MSE + localized": plus(gpuph.LocalizedPHLoss(window=min(64, crop)), preset.weight)}
    if importlib.util.find_spec("gudhi") is None:
        day.report.skipped("steps with the loss by GUDHI and scipy", "gudhi is not installed")
    else:
        contenders["MSE + localized by GUDHI and scipy"] = plus(_by_gudhi(min(64, crop)), preset.weight)
    branches = {name: Branch(2, 3, preset, torch.device("cuda")) for name in contenders}
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(1 if day.rehearse else 12):
        for name, loss in contenders.items():
            torch.cuda.synchronize()
            start = time.perf_counter()
            branches[name].update(images, target, loss)
            torch.cuda.synchronize()
            seconds[name].append(time.perf_counter() - start)
    for name, times in seconds.items():
        day.report(f"training step, {name}", 1e3 * statistics.median(times[2:] or times), "ms", batch=batch, crop=crop)


def _by_gudhi(window: int) -> Callable[[Tensor, Tensor], Tensor]:
    from bench.speed.gudhi_loss import framed, localized_loss

    height = gpuph.Linear((0.14, 0.14))

    def loss(pred: Tensor, target: Tensor) -> Tensor:
        on_cpu = localized_loss(*framed(pred.cpu(), target.cpu(), (window, window), height))
        return on_cpu.to(pred.device)

    return loss
