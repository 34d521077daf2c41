"""Comparisons of the Triton kernels with the CPU's, and launches that are recorded instead of made."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from unittest import mock

import torch
from torch import Tensor

import gpuph
from gpuph import ops
from gpuph.kernels import Tiling
from gpuph.windows import cut_windows


def assert_same_pairs(
    x: Tensor,
    dims: Sequence[int] = (0, 1),
    construction: str = "T",
    min_persistence: float = 0.0,
    capacity: int | None = None,
) -> None:
    """Assert that Triton's pairs of x are the CPU's bit for bit: indices, values, order, padding, counts, status."""
    _assert_same(torch.ops.gpuph.persistence, True, x, list(dims), construction == "T", min_persistence, capacity)


def assert_same_localized(
    pred: Tensor,
    target: Tensor,
    height: Tensor | None,
    window: Sequence[int],
    stride: Sequence[int],
    border: bool = True,
    dims: Sequence[int] = (0, 1),
    construction: str = "T",
    capacity: int | None = None,
) -> None:
    """Assert that Triton's pairs of the windows of two images are the CPU's bit for bit."""
    tiling = list(window), list(stride), border
    query = list(dims), construction == "T", capacity
    _assert_same(torch.ops.gpuph.framed_persistence, False, pred, target, height, *tiling, *query)


def assert_same_partners(
    pred: Tensor,
    target: Tensor,
    height: Tensor | None,
    tiling: Tiling,
    dims: Sequence[int] = (0, 1),
    construction: str = "T",
    capacity: int | None = None,
    min_persistence: float = 0.0,
) -> None:
    """Assert that Triton's pairs of windows and their partners are the CPU's, in unions and in intersections."""
    query = tiling.window, tiling.stride, tiling.border, dims, construction == "T", min_persistence, capacity
    padded = tiling.is_whole() and height is None
    for intersection in (False, True):
        operator = torch.ops.gpuph.matched_persistence
        _assert_same(operator, padded, pred, target, height, *query, intersection, False)


def _assert_same(operator: Any, padded: bool, *arguments: Any) -> None:
    """Assert that Triton's pairs are the CPU's, in all columns if they are padded, and so are partners, if any."""
    with gpuph.use_kernels("cpu"):
        expected = operator(*arguments)
    with gpuph.use_kernels("triton"):
        found = operator(*arguments)
    assert torch.equal(found[0], expected[0])
    for name, ours, theirs in zip(("index", "value", "count"), found[1:4], expected[1:4], strict=True):
        for i, (a, b, count) in enumerate(zip(ours, theirs, expected[3], strict=True)):
            assert a.dtype == b.dtype and a.shape == b.shape, f"{name} of diagram {i}"
            if name != "count" and not padded:
                there = (torch.arange(a.shape[2], device=a.device) < count[:, None, None]).expand(a.shape)
                a, b = a[there], b[there]
            assert torch.equal(a, b), f"{name} of diagram {i}"
    for side, (ours, theirs) in enumerate(zip(found[4:], expected[4:], strict=True)):
        for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            assert a.dtype == b.dtype and torch.equal(a, b), f"partners of diagram {i} of side {side}"


def assert_same_gather(rows: int, size: int, columns: int, dtype: torch.dtype, device: str = "cpu") -> None:
    """Assert that Triton's gather is the CPU's, and that its scatter is up to rounding and repeats bit for bit."""
    generator = torch.Generator().manual_seed(rows + size + columns)
    values = torch.randn((rows, size), generator=generator).to(dtype).to(device)
    index = torch.randint(-1, size, (rows, columns), generator=generator)
    index[:, columns // 3 :: 5] = size // 2  # a pixel that many values go to
    index[:, columns // 2 :: 2] = -1
    index, grad = index.to(device), torch.randn((rows, columns), generator=generator).to(dtype).to(device)
    with gpuph.use_kernels("cpu"):
        gathered, scattered = ops.gather(values, index), ops.scatter(grad, index, size)
    with gpuph.use_kernels("triton"):
        assert torch.equal(ops.gather(values, index), gathered)
        sums = ops.scatter(grad, index, size)
        assert torch.equal(ops.scatter(grad, index, size), sums)
    tolerance = 4 * columns**0.5 * torch.finfo(dtype).eps
    assert torch.allclose(sums, scattered, rtol=tolerance, atol=tolerance)


# Maps, windows and strides for `assert_same_slopes`: a single pixel, cells of several parts, maps that are no multiples
# of their windows, gaps between windows, and windows that overlap.
TILINGS = (
    ((1, 1), (1, 1), (1, 1)),
    ((40, 70), (40, 70), (40, 70)),
    ((13, 18), (6, 9), (6, 9)),
    ((13, 17), (5, 4), (5, 7)),
    ((40, 9), (10, 5), (25, 30)),
    ((11, 13), (5, 6), (3, 4)),
    ((3, 70), (2, 5), (1, 90)),
    ((9, 8, 13), (4, 4, 6), (4, 4, 6)),
    ((9, 7, 13), (4, 5, 6), (3, 6, 9)),
)


def assert_same_slopes(
    images: int,
    sizes: tuple[Sequence[int], Sequence[int], Sequence[int]],
    columns: int,
    dtype: torch.dtype,
    device: str = "cpu",
) -> None:
    """Assert that Triton's sums of slopes are the CPU's up to rounding, repeat bit for bit, and ignore padding."""
    tiling = Tiling(*map(tuple, sizes), border=False)
    each, pixels, size = tiling.windows(), math.prod(tiling.window), math.prod(tiling.image)
    generator = torch.Generator().manual_seed(images + each + size + columns)
    shape = images * each, 2, columns
    pixel = torch.randint(-1, pixels, shape, generator=generator)
    pixel[..., ::3] = pixels // 2  # a pixel that many slopes go to
    windows = cut_windows(torch.arange(size).view(1, *tiling.image), tiling.window, tiling.stride).flatten(1)
    index = windows.repeat(images, 1).gather(1, pixel.flatten(1).clamp(min=0)).view(shape).where(pixel >= 0, -1)
    count = torch.randint(0, columns + 3, shape[:1], generator=generator)
    slopes = torch.randn(shape, generator=generator).to(dtype)
    slopes[(torch.arange(columns) >= count[:, None, None]).expand(shape)] = float("nan")
    grad = torch.randn(shape[:1], generator=generator).to(dtype)
    parts = [x.to(device) for x in (slopes, index, count, grad)]
    with gpuph.use_kernels("cpu"):
        expected = ops.scatter_slopes(*parts, tiling)
    with gpuph.use_kernels("triton"):
        sums = ops.scatter_slopes(*parts, tiling)
        assert torch.equal(ops.scatter_slopes(*parts, tiling), sums)
    assert sums.shape == expected.shape == (images, size)
    tolerance = 4 * (2 * each * columns) ** 0.5 * torch.finfo(dtype).eps
    assert torch.allclose(sums, expected, rtol=tolerance, atol=tolerance)


def assert_same_matching(
    birth_a: Tensor,
    death_a: Tensor,
    count_a: Tensor,
    birth_b: Tensor,
    death_b: Tensor,
    count_b: Tensor,
    squared: bool,
    solver: str,
    *place: Any,
) -> None:
    """Assert that Triton's partners, gaps and slopes are the CPU's bit for bit, and its costs up to rounding."""
    points = birth_a, death_a, count_a, birth_b, death_b, count_b
    results = {}
    for kernels in ("cpu", "triton"):
        with gpuph.use_kernels(kernels):
            partner_a, partner_b, gap = torch.ops.gpuph.match(*points, squared, solver, *place)
            costs = torch.ops.gpuph.cost(*points, partner_a, partner_b, squared)
            again = torch.ops.gpuph.cost(*points, partner_a, partner_b, squared)
            in_one = torch.ops.gpuph.matched_cost(*points, squared, *place, solver=solver)
        torch.testing.assert_close(costs, again, rtol=0, atol=0, equal_nan=True)
        assert_same_costs(in_one, costs, count_a, count_b)
        results[kernels] = {"partner_a": partner_a, "partner_b": partner_b, "gap": gap}, costs
    (expected, costs), (found, costs_found) = results["cpu"], results["triton"]
    for name, ours in found.items():
        assert ours.dtype == expected[name].dtype and ours.shape == expected[name].shape, name
        assert torch.equal(ours, expected[name]), name
    rounding = 2 * torch.finfo(birth_a.dtype).eps  # the sums themselves are in float64
    torch.testing.assert_close(costs_found[0], costs[0], rtol=max(rounding, 1e-14), atol=0, equal_nan=True)
    assert all(torch.equal(x, y) for x, y in zip(costs_found[1:], costs[1:], strict=True)), "slopes"


def assert_same_costs(found: Sequence[Tensor], costs: Sequence[Tensor], *counts: Tensor) -> None:
    """Assert that costs are equal up to the rounding of a sum, and that slopes at points are equal bit for bit."""
    rounding = 2 * torch.finfo(found[0].dtype).eps
    torch.testing.assert_close(found[0], costs[0], rtol=max(rounding, 1e-14), atol=0, equal_nan=True)
    for ours, expected, count in zip(found[1:], costs[1:], counts, strict=True):
        points = (torch.arange(ours.shape[2], device=ours.device) < count[:, None, None]).expand(ours.shape)
        torch.testing.assert_close(ours[points], expected[points], rtol=0, atol=0, equal_nan=True)


def assert_same_distances(mask: Tensor, truncation: float, spacing: Sequence[float]) -> None:
    """Assert that Triton's distances of masks are the CPU's bit for bit."""
    with gpuph.use_kernels("cpu"):
        expected = ops.distance_map(mask, truncation, spacing)
    with gpuph.use_kernels("triton"):
        found = ops.distance_map(mask, truncation, spacing)
    assert found.dtype == torch.float32 and torch.equal(found, expected)


def assert_same_regions(mask: Tensor, radius: int) -> None:
    """Assert that Triton's regions of masks are the CPU's, with the same numbers."""
    _assert_equal(torch.ops.gpuph.regions, mask, radius)


def assert_same_curves(mask: Tensor) -> None:
    """Assert that Triton's skeletons of masks are the CPU's."""
    _assert_equal(torch.ops.gpuph.curve_pixels, mask)


def assert_same_maximin(cost: Tensor, region: Tensor) -> None:
    """Assert that Triton's counts of pairs are the CPU's, within regions and between them."""
    for same in (True, False):
        _assert_equal(torch.ops.gpuph.maximin, cost, region, same)


def assert_same_skeleton(x: Tensor, min_persistence: float, manifolds: Sequence[int] = (1,)) -> None:
    """Assert that Triton's skeletons are the CPU's, as is the status of each window."""
    _assert_equal(torch.ops.gpuph.skeleton, x, min_persistence, list(manifolds))


def _assert_equal(operator: Any, *arguments: Any) -> None:
    with gpuph.use_kernels("cpu"):
        expected = operator(*arguments)
    with gpuph.use_kernels("triton"):
        found = operator(*arguments)
    if isinstance(found, Tensor):
        found, expected = (found,), (expected,)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == theirs.dtype and torch.equal(ours, theirs)


class Launch(NamedTuple):
    """A launch that was recorded instead of made."""

    kernel: Any
    grid: tuple[int, ...]
    arguments: dict[str, Any]
    options: dict[str, Any]  # for the compiler

    @property
    def stage(self) -> str:
        """The kernel's name behind the folder that it is in, such as "volume gradient"."""
        *_, folder, _ = self.kernel.fn.__module__.split(".")
        name: str = self.kernel.__name__.strip("_")
        return name if folder == "triton" else f"{folder} {name}"


@contextlib.contextmanager
def stubbed() -> Iterator[list[Launch]]:
    """Record the launches of Triton kernels instead of making them."""
    from triton.runtime.jit import JITFunction

    launches: list[Launch] = []

    def run(self: Any, *args: Any, grid: tuple[int, ...], warmup: bool, **kwargs: Any) -> None:
        options = {name: kwargs.pop(name) for name in [*kwargs] if name not in self.signature.parameters}
        bound = self.signature.bind(*args, **kwargs)
        launches.append(Launch(self, grid, dict(bound.arguments), options))

    with mock.patch.object(JITFunction, "run", run):
        yield launches
