"""The calls that are timed and profiled."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

import gpuph
from bench.speed import inputs, volume_inputs
from gpuph import ops
from gpuph.kernels import Comparison, Query, Tiling

Call = Callable[[], object]


def workloads(small: bool) -> dict[str, Callable[[], Call]]:
    """Return functions that prepare the calls, with inputs on the device, by their titles in the cost model.

    Small workloads, for a rehearsal, have less data under the same titles, except for maps and pairs.
    """
    n, n3, size, size3 = (2, 1, 12, 6) if small else (1024, 64, 64, 32)
    found: dict[str, Callable[[], Call]] = {}
    for kind, make in inputs.KINDS.items():
        found[f"persistence of {kind}"] = functools.partial(_persistence, make, n, size)
    for kind, make in volume_inputs.KINDS.items():
        found[f"persistence of volumes, {kind}"] = functools.partial(_persistence, make, n3, size3)
    for size in (24,) if small else (256, 512):
        batch = 1 if small else 32 * 256**2 // size**2
        title = f"loss and its gradient, maps of {size} x {size}"
        found[title] = functools.partial(_loss_step, batch, size, min(size // 2, 64))
    n, size = (1, 24) if small else (32, 256)
    title = f"Betti matching and its gradient, maps of {size} x {size}"
    found[title] = functools.partial(_betti_matching, n, size, min(size // 2, 64))
    pairs, points = (2, 5) if small else (1024, 300)
    for kind, short in (("short bars", True), ("long bars", False)):
        title = f"matching of pairs of {points} points, {kind}"
        found[title] = functools.partial(_matching, short, pairs, points)
    return found


def _persistence(make: Callable[[int, int], Tensor], n: int, size: int) -> Call:
    return functools.partial(gpuph.persistence, make(n, size).cuda())


def _loss_step(batch: int, size: int, window: int) -> Call:
    pred, target = (x.cuda() for x in inputs.predictions(batch, size))
    loss_fn = gpuph.LocalizedPHLoss(window=window).eval()
    pred = pred.requires_grad_()
    return lambda: torch.autograd.grad(loss_fn(pred, target), pred)


def _betti_matching(batch: int, size: int, window: int) -> Call:
    pred, target = (x.cuda() for x in inputs.predictions(batch, size))
    return functools.partial(betti_matching, pred, target, window)


def betti_matching(pred: Tensor, target: Tensor, window: int) -> list[Tensor]:
    """Compute what a loss on the Betti matching of the loops of maps (B, 1, H, W) computes, and its gradient."""
    images, size = (pred[:, 0], target[:, 0], None), (window, window)
    tiling = Tiling(tuple(pred.shape[2:]), size, size, border=True)
    query = Query((1,), True, 0.0, (window + 2) ** 2 // 4)
    found, partners = ops.matched_persistence(images, tiling, query, Comparison(False))
    ((index, value, count),) = found.pairs
    n = len(count) // 2
    sides = [(*value[part].unbind(1), count[part]) for part in (slice(n), slice(n, None))]
    cost, slopes, _ = torch.ops.gpuph.cost(*sides[0], *sides[1], *partners[0], True)
    return [ops.scatter_slopes(slopes, index[:n], count[:n], torch.ones_like(cost), tiling)]


def _matching(short: bool, pairs: int, points: int) -> Call:
    sides = inputs.bars(short, pairs, points)
    a, b = (gpuph.Diagram(*(part.cuda() for part in vars(side).values())) for side in sides)
    return functools.partial(gpuph.match, a, b)
