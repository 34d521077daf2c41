"""Time other libraries on the same inputs, if they are installed."""

from __future__ import annotations

import importlib.util
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

import gpuph
from bench.speed import inputs

from .section import Day

Call = Callable[[], object]


def rivals(day: Day) -> None:
    """Time the installed libraries, and gpuph on the same inputs."""
    n = 2 if day.rehearse else 64
    x = inputs.KINDS["roads"](n, 12 if day.rehearse else 64)
    sides = inputs.bars(False, n, 5 if day.rehearse else 300)
    for package, contenders in (
        ("gpuph", _ours(x, *sides)),
        ("gudhi", _gudhi(x)),
        ("cripser", _cripser(x)),
        ("torch_linear_assignment", _assignment(*sides)),
        ("cupy", _distance_maps(n, 12 if day.rehearse else 512)),
    ):
        if importlib.util.find_spec(package) is None:
            day.report.skipped(package, "not installed")
            continue
        with day.isolated(package):
            for name, run in contenders:
                day.report(name, 1e6 * _seconds(run, 1 if day.rehearse else 5) / n, "us a window")


def _seconds(run: Call, rounds: int) -> float:
    """Return the median seconds of a call, without the first one."""
    run()
    seconds = []
    for _ in range(rounds):
        torch.cuda.synchronize()
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def _ours(x: Tensor, a: gpuph.Diagram, b: gpuph.Diagram) -> Iterator[tuple[str, Call]]:
    on_device = x.cuda()
    yield "gpuph, roads", lambda: gpuph.persistence(on_device)
    a, b = (gpuph.Diagram(*(part.cuda() for part in vars(side).values())) for side in (a, b))
    yield "gpuph, matching", lambda: gpuph.match(a, b)


def _gudhi(x: Tensor) -> Iterator[tuple[str, Call]]:
    import gudhi

    def run() -> None:
        for window in x.double().numpy():
            complex_ = gudhi.CubicalComplex(top_dimensional_cells=window)
            complex_.compute_persistence()
            complex_.cofaces_of_persistence_pairs()

    yield "GUDHI CubicalComplex + cofaces, roads, CPU", run


def _cripser(x: Tensor) -> Iterator[tuple[str, Call]]:
    import cripser

    yield "cripser, roads, CPU", lambda: [cripser.computePH(window, maxdim=1) for window in x.double().numpy()]


def _assignment(a: gpuph.Diagram, b: gpuph.Diagram) -> Iterator[tuple[str, Call]]:
    """Yield the same matching as an assignment of points to points. Filling its matrix is not timed."""
    from torch_linear_assignment import batch_linear_assignment

    alone_a, alone_b = ((side.death - side.birth).square() / 2 for side in (a, b))
    apart = (a.birth[:, :, None] - b.birth[:, None]).square() + (a.death[:, :, None] - b.death[:, None]).square()
    saving = (alone_a[:, :, None] + alone_b[:, None] - apart).clamp(min=0).cuda()
    yield "torch-linear-assignment, matching", lambda: batch_linear_assignment(-saving)


def _distance_maps(n: int, size: int) -> Iterator[tuple[str, Call]]:
    """Yield the distance maps of n masks of roads by both libraries, which share memory, and compare their answers."""
    import cupy
    from cupyx.scipy.ndimage import distance_transform_edt

    tiles = inputs.tiles(inputs.road_mask(), size)
    with_roads = tiles[tiles.flatten(1).any(dim=1)]
    masks = with_roads[torch.arange(n) % len(with_roads)].cuda()
    backgrounds = cupy.from_dlpack((~masks[:, 0]).to(torch.uint8))

    def ours() -> Tensor:
        return gpuph.truncated_distance_map(masks, inputs.TRUNCATION)

    def theirs() -> list[Any]:
        return [cupy.minimum(distance_transform_edt(x), inputs.TRUNCATION) for x in backgrounds]

    for mine, other in zip(ours(), theirs(), strict=True):
        torch.testing.assert_close(mine[0], torch.from_dlpack(other).float(), rtol=1e-6, atol=0)
    yield "gpuph, distance maps", ours
    yield "cupyx distance_transform_edt, distance maps", theirs
