"""Random pulls on births and deaths, for the tests of `spread_slopes`."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

import gpuph
from gpuph import ops
from gpuph.kernels import Pulls, Query, Spread, Tiling


def assert_same_spread(
    images: tuple[Tensor, Tensor | None, Tensor | None], tiling: Tiling, rule: Spread, seed: int = 0, times: int = 1
) -> None:
    """Assert that Triton's gradients are the CPU's bit for bit, where pairs are pulled in all directions.

    times : how often each pair is pulled.
    """
    with gpuph.use_kernels("cpu"):
        pulls = random_pulls(images, tiling, rule, seed)
        if times > 1:
            every = range(int(pulls.count.max()))
            columns = torch.tensor([k for k in every for _ in range(times)], dtype=torch.int64)
            repeated = (x[..., columns] for x in (pulls.slope, pulls.goal, pulls.index))
            pulls = Pulls(*repeated, times * pulls.count)
        grad = torch.from_numpy(np.random.default_rng(seed).normal(size=len(pulls.count))).to(images[0].dtype)
        expected = ops.spread_slopes(pulls, grad, images, tiling, rule)
    with gpuph.use_kernels("triton"):
        found = ops.spread_slopes(pulls, grad, images, tiling, rule)
    assert found.dtype == expected.dtype and torch.equal(found, expected)


def random_pulls(
    images: tuple[Tensor, Tensor | None, Tensor | None], tiling: Tiling, rule: Spread, seed: int
) -> Pulls[Tensor]:
    """Return pulls of all pairs of the windows: lowered, raised, left where they are, or without a slope."""
    rng, (pred, target, height) = np.random.default_rng(seed), images
    query = Query((rule.dim,), rule.top, 0.0, None)
    other = pred if target is None else target
    settings = tiling.window, tiling.stride, tiling.border, query.dims, query.top, query.capacity
    _, (index,), (value,), (count,) = torch.ops.gpuph.framed_persistence(pred, other, height, *settings)
    n = len(index) // 2
    index, value, count = (x[rule.side * n :][:n] for x in (index, value, count))
    columns = torch.arange(index.shape[2]) < count[:, None, None]
    index = index.where(columns, -1)
    value = value.where(columns & value.isfinite(), 0)
    slope = torch.from_numpy(rng.normal(size=value.shape)).to(value.dtype)
    step = torch.from_numpy(rng.normal(size=value.shape) * rng.integers(0, 5, value.shape).clip(max=1))
    goal = value + step.to(value.dtype) * (1 + value.abs())
    goal[..., ::7] = float("inf")
    return Pulls(slope * torch.from_numpy(rng.integers(0, 3, value.shape) > 0), goal, index, count)
