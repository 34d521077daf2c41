"""What the device can do, and how long the kernels, whole calls and training steps take there."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor

import gpuph
from bench import inputs, inputs3
from bench.timing import machine

from . import answers
from .cases import Maps, Points, Windows, diagrams, losses, matchings
from .section import Day, emulated

COST = Path(__file__).parents[1] / "results" / "device_cost.json"


def machine_section(day: Day) -> None:
    """Report versions, and the two ceilings that times are compared with: copying memory, and launching."""
    day.report("machine", machine())
    if not day.rehearse:
        properties = torch.cuda.get_device_properties(0)
        day.report("multiprocessors", properties.multi_processor_count)
        day.report("driver and toolkit", f"{torch.version.cuda}, {properties.major}.{properties.minor}")
    size = 2**16 if day.rehearse else 2**30
    source = torch.ones(size, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    day.report("copy bandwidth, read and written", 2 * size / eager(lambda: target.copy_(source)) / 1e9, "GB/s")
    one = torch.ones(1, device="cuda")
    day.report("launch of a small kernel, eager", 1e6 * _host_seconds(lambda: one.add_(1), 200), "us")
    if not day.rehearse:
        day.report("launch of a small kernel, replayed", 1e6 * replayed(lambda: _repeat(one)) / 100, "us")


def _repeat(one: Tensor) -> None:
    for _ in range(100):
        one.add_(1)


def eager(run: Callable[[], object]) -> float:
    """Median seconds of a call, of the device and of whatever of the host it has to wait for."""
    from triton.testing import do_bench

    milliseconds: float = do_bench(run, warmup=20, rep=100, return_mode="median")
    return milliseconds / 1e3


def replayed(run: Callable[[], object]) -> float:
    """Median seconds of a call that is recorded in a CUDA graph and replayed."""
    from triton.testing import do_bench_cudagraph

    milliseconds: float = do_bench_cudagraph(run, rep=50, return_mode="median")
    return milliseconds / 1e3


def _host_seconds(run: Callable[[], object], n: int) -> float:
    """Seconds of the host for a call, with nothing to wait for."""
    for _ in range(5):
        run()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(n):
        run()
    seconds = (time.perf_counter() - start) / n
    torch.cuda.synchronize()
    return seconds


def compile_section(day: Day) -> None:
    """Compile all that later sections run, on all cores at once; report how much was in the cache already."""
    cache = Path(os.environ.get("TRITON_CACHE_DIR") or Path.home() / ".triton" / "cache")
    before, start = len(_compiled(cache)), time.perf_counter()
    cases = variants(day.rehearse)
    workers = min(len(cases), 2 if day.rehearse else os.cpu_count() or 1)
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        for done in as_completed({pool.submit(warm, case, day.rehearse): case for case in cases}):
            if error := done.exception():
                day.report("a case", "FAILED", reason=f"{type(error).__name__}: {error}"[:1000])
    new = len(_compiled(cache)) - before
    day.report("compiled kernels in the cache before", before, "", found="hit" if new == 0 else "miss", compiled=new)
    day.report("compiling", time.perf_counter() - start, "s", workers=workers)


def _compiled(cache: Path) -> set[Path]:
    return set(cache.glob("*/*.cubin")) if cache.is_dir() else set()


def variants(small: bool) -> list[Windows | Points | Maps]:
    """One case for each way in which kernels are compiled: by shape, dtype, construction, solver or loss."""
    chosen: dict[tuple, Windows | Points | Maps] = {}
    for case in (*diagrams(2, small), *diagrams(3, small)):
        chosen.setdefault((case.n, *case[2:]), case)
    for other in (*matchings(small), *losses(small)):
        chosen[tuple(other)] = other
    return [*chosen.values()][:: 9 if small else 1]


def warm(case: Windows | Points | Maps, rehearse: bool) -> None:
    """Run a case once on the device."""
    with emulated() if rehearse else contextlib.nullcontext():
        if isinstance(case, Maps):
            case.step(*(x.cuda() for x in case.make()))
        else:
            answers.on_device(case)[1]()
        torch.cuda.synchronize()


def workloads(day: Day) -> dict[str, Callable[[], object]]:
    """The calls that are timed, by the titles that the cost model gives them."""
    n, n3, size, size3 = (2, 1, 12, 6) if day.rehearse else (1024, 64, 64, 32)
    found: dict[str, Callable[[], object]] = {}
    for kind, make in inputs.KINDS.items():
        x = make(n, size).cuda()
        found[f"persistence of {kind}"] = functools.partial(gpuph.persistence, x)
    for kind, make in inputs3.KINDS.items():
        x = make(n3, size3).cuda()
        found[f"persistence of volumes, {kind}"] = functools.partial(gpuph.persistence, x)
    for size in (24,) if day.rehearse else (256, 512):
        pred, target = (x.cuda() for x in inputs.predictions(1 if day.rehearse else 32 * 256**2 // size**2, size))
        found[f"loss and its gradient, maps of {size} x {size}"] = _loss_step(pred, target, min(size // 2, 64))
    pairs, points = (2, 5) if day.rehearse else (1024, 300)
    for kind, short in (("short bars", True), ("long bars", False)):
        a, b = (gpuph.Diagram(*(part.cuda() for part in vars(d).values())) for d in inputs.bars(short, pairs, points))
        found[f"matching of pairs of {points} points, {kind}"] = functools.partial(gpuph.match, a, b)
    return found


def _loss_step(pred: Tensor, target: Tensor, window: int) -> Callable[[], object]:
    loss_fn = gpuph.LocalizedPHLoss(window=window).eval()
    pred = pred.requires_grad_()
    return lambda: torch.autograd.grad(loss_fn(pred, target), pred)


def kernels(day: Day) -> None:
    """Time every kernel of every workload between two events, beside what the cost model predicts."""
    predictions = _predictions()
    for title, run in workloads(day).items():
        run()
        for name, seconds in _seconds_by_kernel(run, day).items():
            day.report(f"{title}: {name}", 1e6 * seconds, "us", **predictions.get((title, name), {}))


def _seconds_by_kernel(run: Callable[[], object], day: Day) -> dict[str, float]:
    """Median seconds of each kernel in a call, added up over its launches."""
    from triton.runtime.jit import JITFunction

    launches: list[tuple[str, Any, Any]] = []
    launch = JITFunction.run

    def timed(self: Any, *args: Any, **kwargs: Any) -> Any:
        start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        result = launch(self, *args, **kwargs)
        stop.record()
        launches.append((self.fn.__name__.strip("_"), start, stop))
        return result

    totals: dict[str, list[float]] = {}
    with mock.patch.object(JITFunction, "run", timed):
        for _ in range(1 if day.rehearse else 15):
            launches.clear()
            if not day.rehearse:
                torch.cuda._sleep(5_000_000)  # the host runs ahead, so that launches follow one another closely
            run()
            torch.cuda.synchronize()
            once: dict[str, float] = {}
            for name, start, stop in launches:
                once[name] = once.get(name, 0.0) + start.elapsed_time(stop) / 1e3
            for name, seconds in once.items():
                totals.setdefault(name, []).append(seconds)
    return {name: statistics.median(seconds) for name, seconds in totals.items()}


def _predictions() -> dict[tuple[str, str], dict[str, float]]:
    """Predicted microseconds of kernels, by workload and kernel, as `bench.device_cost --save` wrote them."""
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
    """Time whole calls: eager, replayed, and the host's part."""
    for title, run in workloads(day).items():
        run()
        day.report(f"{title}: eager", 1e6 * eager(run), "us")
        if not day.rehearse:
            day.report(f"{title}: host", 1e6 * _host_seconds(run, 20), "us")
            day.report(f"{title}: replayed", 1e6 * replayed(run), "us")


def training(day: Day) -> None:
    """Time training steps of the paper's preset: with MSE alone, with the localized loss, and with GUDHI's."""
    if importlib.util.find_spec("monai") is None:
        day.report.skipped("training steps", "monai is not installed")
        return
    from bench.network import PRESETS, Branch, plus

    preset = PRESETS["small" if day.rehearse else "paper"][2]
    batch, crop = (1, 32) if day.rehearse else (preset.batch, preset.crop)
    images = torch.rand(batch, 3, crop, crop, generator=torch.Generator().manual_seed(0)).cuda()
    target = inputs.predictions(max(1, batch))[1][:batch, :, :crop, :crop].contiguous().cuda()
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
    from bench.by_gudhi import framed, localized_loss

    height = gpuph.Linear((0.14, 0.14))

    def loss(pred: Tensor, target: Tensor) -> Tensor:
        on_cpu = localized_loss(*framed(pred.cpu(), target.cpu(), (window, window), height))
        return on_cpu.to(pred.device)

    return loss


def rivals(day: Day) -> None:
    """Time the other libraries that are there, on the same inputs."""
    n = 2 if day.rehearse else 64
    for package in ("gudhi", "cripser", "torch_linear_assignment"):
        if importlib.util.find_spec(package) is None:
            day.report.skipped(package, "not installed")
    for name, run in _contenders(inputs.KINDS["roads"](n, 12 if day.rehearse else 64)):
        run()
        start = time.perf_counter()
        run()
        day.report(name, 1e6 * (time.perf_counter() - start) / n, "us a window")


def _contenders(x: Tensor) -> Iterator[tuple[str, Callable[[], object]]]:
    if importlib.util.find_spec("gudhi"):
        import gudhi

        def by_gudhi() -> None:
            for window in x.double().numpy():
                complex_ = gudhi.CubicalComplex(top_dimensional_cells=window)
                complex_.compute_persistence()
                complex_.cofaces_of_persistence_pairs()

        yield "GUDHI CubicalComplex + cofaces, roads, CPU", by_gudhi
    if importlib.util.find_spec("cripser"):
        import cripser

        yield "cripser, roads, CPU", lambda: [cripser.computePH(window, maxdim=1) for window in x.double().numpy()]
    if importlib.util.find_spec("torch_linear_assignment"):
        from torch_linear_assignment import batch_linear_assignment

        cost = torch.rand(len(x), 300, 300, generator=torch.Generator().manual_seed(0)).cuda()

        def assign() -> None:
            batch_linear_assignment(cost)
            torch.cuda.synchronize()

        yield "torch-linear-assignment, 300 x 300", assign
