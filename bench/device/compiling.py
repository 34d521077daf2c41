"""Compile all kernels before other sections run, on all cores."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import torch

from .answers import on_device
from .cases import Maps, Points, Windows, diagrams, losses, matchings, usual
from .section import Day, emulated
from .workloads import workloads

Job = Windows | Points | Maps | str  # a case, or the title of a workload


def compile_section(day: Day) -> None:
    """Compile the kernels of all later sections on all cores, and report how many were in the cache already."""
    import triton

    cache = Path(triton.knobs.cache.dir)
    before, start = len(_compiled(cache)), time.perf_counter()
    chosen = jobs(day.rehearse)
    workers = min(len(chosen), 2 if day.rehearse else os.cpu_count() or 1)
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        running = {pool.submit(warm, job, day.rehearse): job for job in chosen}
        for done in as_completed(running):
            if error := done.exception():
                reason = f"{type(error).__name__}: {error}"[:1000]
                day.report(f"compiling for {_name(running[done])}", "FAILED", reason=reason)
    new = len(_compiled(cache)) - before
    day.report("compiled kernels in the cache before", before, "", found="miss" if new else "hit", compiled=new)
    day.report("compiling", time.perf_counter() - start, "s", workers=workers)


def _compiled(cache: Path) -> set[Path]:
    return set(cache.glob("*/*.cubin")) if cache.is_dir() else set()


def _name(job: Job) -> str:
    return job if isinstance(job, str) else job.name


def jobs(small: bool) -> list[Job]:
    """Return one case for each variant of the kernels: by shape, dtype, construction, solver or loss."""
    chosen: dict[tuple, Job] = {}
    for case in (*diagrams(2, small), *diagrams(3, small)):
        chosen.setdefault((case.n, *case[2:]), case)
    for points in matchings(small):
        chosen.setdefault(points[:4], points)
    for maps in (*losses(small), *usual(small)):
        chosen.setdefault(maps[:4], maps)
    every: list[Job] = [*workloads(small), *chosen.values()]
    return every[::9] if small else every


def warm(job: Job, rehearse: bool) -> None:
    """Run a case once on the device, which compiles its kernels."""
    with emulated() if rehearse else contextlib.nullcontext():
        if isinstance(job, str):
            workloads(rehearse)[job]()()
        elif isinstance(job, Maps):
            job.step(*(x.cuda() for x in job.make()))
        else:
            _, run = on_device(job)
            run()
        torch.cuda.synchronize()
