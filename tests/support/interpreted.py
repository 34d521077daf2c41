"""Tests for a process with TRITON_INTERPRET=1, which `test_interpret.py` starts."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch
import triton.language as tl

import gpuph
from gpuph.kernels import Spread, Tiling

from . import inputs, interpreter
from .diagrams import AROUND_REGISTERS, essential, long, mixed, pairs, places, real, with_outliers
from .engines import (
    TILINGS,
    assert_same_curves,
    assert_same_distances,
    assert_same_gather,
    assert_same_localized,
    assert_same_matching,
    assert_same_maximin,
    assert_same_pairs,
    assert_same_partners,
    assert_same_regions,
    assert_same_skeleton,
    assert_same_slopes,
)
from .pulls import assert_same_spread
from .reduce_inputs import inputs_of, pairs_of

interpreter.make_faster()

# The interpreter takes about as long for a wide block as for a narrow one, so a few sizes stand for many.
SIZES = ((1, 1), (1, 9), (9, 1), (7, 8), (12, 5))
VOLUMES = ((1, 1, 1), (1, 6, 1), (2, 3, 2), (3, 4, 3))
DIMS = (0, 1, 2)  # for volumes


def batch(kind: str, shape: tuple[int, ...], n: int = 1, dtype: type = np.float32) -> torch.Tensor:
    return torch.from_numpy(np.stack([inputs.image(kind, shape, seed, dtype) for seed in range(n)]))


@pytest.mark.parametrize("kind", inputs.KINDS)
@pytest.mark.parametrize("construction", ["T", "V"])
def test_pairs_of_odd_windows_equal_the_cpu(kind: str, construction: str) -> None:
    for i, shape in enumerate(SIZES):
        assert_same_pairs(batch(kind, shape, dtype=(np.float32, np.float64)[i % 2]), construction=construction)


@pytest.mark.parametrize(("kind", "construction"), [("noise", "T"), ("smooth", "V")])
def test_pairs_of_windows_of_64_equal_the_cpu(kind: str, construction: str) -> None:
    assert_same_pairs(batch(kind, (64, 64)), construction=construction)


def test_pairs_of_a_road_window_equal_the_cpu(roads: torch.Tensor) -> None:
    assert_same_pairs(roads[:1])


@pytest.mark.parametrize("dims", [(0,), (1,), (1, 0)])
@pytest.mark.parametrize(("construction", "dtype"), [("T", np.float32), ("V", np.float64)])
def test_dims_thresholds_and_capacities_equal_the_cpu(dims: tuple[int, ...], construction: str, dtype: type) -> None:
    x = batch("noise", (11, 10), dtype=dtype)
    assert_same_pairs(x, dims, construction, min_persistence=0.7, capacity=5)
    assert_same_pairs(x, dims, construction, min_persistence=0.1, capacity=100)


def test_nan_of_either_sign_affects_only_its_window() -> None:
    for construction, dtype in (("T", np.float32), ("V", np.float64)):
        x = batch("noise", (9, 11), 4, dtype)
        x[1, 8, 10], x[2] = float("nan"), -float("nan")
        assert_same_pairs(x, construction=construction, capacity=20)


def test_empty_batch_gives_no_pairs() -> None:
    for shape, dims in (((0, 5, 5), (0, 1)), ((0, 5, 4, 3), DIMS)):
        assert_same_pairs(torch.zeros(shape), dims, capacity=3)
        assert_same_pairs(torch.zeros(shape), dims)


@pytest.mark.parametrize("kind", inputs.KINDS)
@pytest.mark.parametrize("construction", ["T", "V"])
def test_pairs_of_odd_volumes_equal_the_cpu(kind: str, construction: str) -> None:
    for i, shape in enumerate(VOLUMES):
        assert_same_pairs(batch(kind, shape, dtype=(np.float32, np.float64)[i % 2]), DIMS, construction)


@pytest.mark.parametrize(("kind", "construction"), [("noise", "T"), ("smooth", "V")])
def test_components_and_cavities_of_larger_volumes_equal_the_cpu(kind: str, construction: str) -> None:
    """Loops would take the interpreter minutes; the tests of PTX cover them."""
    assert_same_pairs(batch(kind, (18, 11, 12)), (2, 0), construction)


def test_loops_of_smooth_volumes_equal_the_cpu() -> None:
    for construction, dtype in (("T", np.float64), ("V", np.float32)):
        assert_same_pairs(batch("smooth", (9, 10, 11), 1, dtype), DIMS, construction)


def test_dims_thresholds_capacities_and_nans_of_volumes_equal_the_cpu() -> None:
    x = batch("noise", (4, 3, 4), 3)
    x[1, 3, 2, 1] = float("nan")
    for dims in ((1,), (2, 1, 0)):
        assert_same_pairs(x, dims, min_persistence=0.7, capacity=5)
        assert_same_pairs(x, dims, "V", min_persistence=0.1, capacity=100)


@pytest.mark.parametrize("border", [True, False])
def test_pairs_of_framed_windows_equal_the_cpu(border: bool) -> None:
    """Windows overlap, and the last ones of both axes are shifted inwards."""
    for heights, construction, dtype in ((18, "T", np.float32), (1, "V", np.float64)):
        pred, target = (batch(kind, (9, 11), 2, dtype) for kind in ("noise", "integers"))
        shape = (2,) if border else (5, 6)  # slopes, or a value per pixel
        height = torch.randn(heights, *shape, generator=torch.Generator().manual_seed(0)).to(pred.dtype)
        assert_same_localized(pred, target, height, (5, 6), (2, 3), border, construction=construction)
        target[1, 8, 10] = float("nan")
        assert_same_localized(pred, target, None, (9, 5), (9, 6), border, (1,), construction, capacity=3)


def test_pairs_of_framed_volume_windows_equal_the_cpu() -> None:
    pred, target = (batch(kind, (3, 5, 4), 1) for kind in ("smooth", "integers"))
    height = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))  # slopes
    assert_same_localized(pred, target, height, (2, 4, 4), (1, 1, 4), True, dims=(1, 2))


@pytest.mark.parametrize("construction", ["T", "V"])
def test_partners_of_framed_windows_equal_the_cpu(construction: str) -> None:
    for i, (kind, shape, window) in enumerate((("noise", (4, 7), (4, 5)), ("integers", (6, 5), (6, 5)))):
        pred, target = (batch(kind, shape, 2, (np.float32, np.float64)[i])[j::2] for j in range(2))
        height = torch.tensor([[0.5, -0.25]], dtype=pred.dtype)
        assert_same_partners(pred, target, height, Tiling(shape, window, (2, 2), i == 0), (0, 1), construction)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_gather_and_scatter_equal_the_cpu(dtype: torch.dtype) -> None:
    for rows, size, columns in ((1, 1, 1), (3, 40, 33), (2, 20_000, 1_100), (0, 4, 4), (2, 5, 0)):
        assert_same_gather(rows, size, columns, dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scatter_slopes_equals_the_cpu(dtype: torch.dtype) -> None:
    for tiling in TILINGS:
        assert_same_slopes(1, tiling, 33, dtype)
    for images, tiling, columns in ((0, TILINGS[2], 4), (2, TILINGS[2], 0), (2, TILINGS[0], 1), (1, TILINGS[1], 200)):
        assert_same_slopes(images, tiling, columns, dtype)


def test_distances_equal_the_cpu() -> None:
    for shape, density, truncation, spacing in inputs.DISTANCES:
        if np.prod(shape) < 1500:  # the interpreter scans one pixel at a time
            assert_same_distances(torch.from_numpy(inputs.masks(shape, density)), truncation, spacing)


def test_regions_and_pairs_of_edges_equal_the_cpu() -> None:
    for i, window in enumerate(((1, 1), (1, 6), (7, 5), (2, 3, 3))):
        mask = torch.from_numpy(inputs.masks((2, *window), 0.15, i))
        assert_same_regions(mask, i % 3)
        for kind, dtype in (("noise", np.float64), ("special", np.float32)):
            region = torch.randint(0, 4, (2, *window), dtype=torch.int32)
            assert_same_maximin(torch.from_numpy(inputs.costs(kind, window, i, dtype)), region)
    assert_same_regions(torch.zeros(0, 3, 4, dtype=torch.bool), 1)
    assert_same_maximin(torch.zeros(0, 2, 3, 4), torch.zeros(0, 3, 4, dtype=torch.int32))


def test_skeletons_of_masks_equal_the_cpu() -> None:
    """Windows of one tile and of several, with more steps than have launches of their own."""
    for i, window in enumerate(((1, 1), (1, 6), (7, 5), (9, 17), (1, 1, 1), (1, 4, 3), (3, 5, 9))):
        assert_same_curves(torch.from_numpy(inputs.masks((2, *window), (0.5, 0.95)[i % 2], i)))
    assert_same_curves(torch.ones(1, 7, 12, dtype=torch.bool))
    hollow = torch.ones(2, 5, 5, 5, dtype=torch.bool)
    hollow[:, 1:4, 1:4, 1:4] = False
    hollow[1, 2, 2, 2] = True
    assert_same_curves(hollow)
    assert_same_curves(torch.zeros(0, 3, 4, dtype=torch.bool))


@pytest.mark.parametrize("kind", ["noise", "integers", "infinities"])
def test_skeletons_equal_the_cpu(kind: str) -> None:
    for i, shape in enumerate(((1, 1), (1, 7), (7, 9))):
        assert_same_skeleton(batch(kind, shape, dtype=(np.float32, np.float64)[i % 2]), 0.3)
    x = batch(kind, (5, 6), 2)
    x[1, 2, 3] = float("nan")
    assert_same_skeleton(x, 0.0)


@pytest.mark.parametrize(("kind", "manifolds"), [("noise", (1, 2)), ("integers", (2,)), ("infinities", (1,))])
def test_skeletons_of_volumes_equal_the_cpu(kind: str, manifolds: tuple[int, ...]) -> None:
    for i, shape in enumerate(VOLUMES):
        assert_same_skeleton(batch(kind, shape, dtype=(np.float32, np.float64)[i % 2]), 0.3, manifolds)
    x = batch(kind, (4, 5, 3), 2)
    x[1, 2, 3, 1] = float("nan")
    assert_same_skeleton(x, 0.0, manifolds)


@pytest.mark.parametrize(
    ("solver", "squared", "dtype"),
    [("auto", True, torch.float32), ("augment", False, torch.float64), ("auction", True, torch.float64)],
)
def test_matchings_equal_the_cpu(solver: str, squared: bool, dtype: torch.dtype) -> None:
    sizes = ((0, 2), (1, 1), (5, 1), (4, 6))
    assert_same_matching(*mixed(sizes, dtype=dtype), squared, solver)


# A matching takes seconds in the interpreter, so most places and outliers are left to the lane `ptx`.
@pytest.mark.parametrize(
    ("solver", "squared", "dtype", "kind"), [("auto", True, torch.float64, 1), ("auction", False, torch.float32, 2)]
)
def test_matchings_with_places_equal_the_cpu(solver: str, squared: bool, dtype: torch.dtype, kind: int) -> None:
    points = mixed(((1, 1), (3, 2), (4, 6)), kind, dtype)
    assert_same_matching(*points, squared, solver, *places(points, kind))


@pytest.mark.parametrize(
    ("solver", "squared", "dtype", "scale"),
    [
        ("auto", True, torch.float64, 1.0),
        ("auction", True, torch.float64, 2.0**-400),
        ("augment", False, torch.float32, 1.0),
    ],
)
def test_matchings_with_outliers_equal_the_cpu(solver: str, squared: bool, dtype: torch.dtype, scale: float) -> None:
    rng = np.random.default_rng(7)
    left, right = zip(*(with_outliers(rng, 4) for _ in range(4)), strict=True)
    assert_same_matching(*pairs([scale * p for p in left], [scale * p for p in right], dtype), squared, solver)


@pytest.mark.parametrize("squared", [True, False])
def test_matchings_of_as_many_points_as_registers_hold_equal_the_cpu(squared: bool) -> None:
    rng = np.random.default_rng(11)
    left, right = zip(
        *((long(n, rng, 2), long(m, rng, 40)) for n, m in AROUND_REGISTERS[2:4] + AROUND_REGISTERS[6:]), strict=True
    )
    assert_same_matching(*pairs([*left], [*right], torch.float64), squared, "augment")


def test_overflow_nan_and_empty_diagrams_are_matched_like_the_cpu() -> None:
    rng = np.random.default_rng(0)
    birth_a, death_a, count_a, *b = pairs([real(9, rng), essential(3, rng, (1, 1, 1))], [real(4, rng)] * 2)
    birth_a[0, 0], death_a[0, 1], birth_a[1, 1], death_a[0, 2] = float("nan"), float("nan"), float("inf"), -float("inf")
    birth_a, death_a = (x.repeat_interleave(2, 1)[:, ::2] for x in (birth_a, death_a))  # not contiguous
    assert_same_matching(birth_a, death_a, count_a + 10, *b, True, "auto")
    for left, right in (([], []), ([real(0, rng)] * 2, [real(3, rng)] * 2), ([real(3, rng)], [real(0, rng)])):
        assert_same_matching(*pairs(left, right), True, "auto")


def test_distances_and_their_gradients_equal_the_cpu() -> None:
    rng = np.random.default_rng(1)
    left, right = [real(7, rng), essential(3, rng, (1, 0, 0))], [real(5, rng), essential(4, rng, (1, 0, 0))]
    results = []
    for kernels in ("cpu", "triton"):
        leaves = [torch.tensor(p, requires_grad=True) for p in (*left, *right)]
        a, b = gpuph.Diagram.from_list(leaves[:2]), gpuph.Diagram.from_list(leaves[2:])
        with gpuph.use_kernels(kernels):
            distance = gpuph.wasserstein_distance(a, b)
            distance.sum().backward()
        results.append([distance.detach(), *(leaf.grad for leaf in leaves)])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-14, atol=0)


@pytest.mark.parametrize(
    ("dims", "unmatched", "dtype", "spread"),
    [
        ((1,), "half_squared", torch.float32, "pixel"),
        ((0, 1), "distance", torch.float64, "pixel"),
        ((1,), "half_squared", torch.float32, "path"),
    ],
)
def test_loss_and_gradient_equal_the_cpu(
    roads: torch.Tensor, dims: tuple[int, ...], unmatched: str, dtype: torch.dtype, spread: str
) -> None:
    size = 32 if dims == (1,) else 12  # matching many components takes long
    pred, target = (roads[i : i + 2, None, :size, :size].to(dtype) for i in (0, 2))
    results = []
    for kernels in ("cpu", "triton", "triton"):
        with gpuph.use_kernels(kernels):
            p = pred.clone().requires_grad_()
            loss = gpuph.LocalizedPHLoss(window=size, dims=dims, unmatched=unmatched, spread=spread).eval()(p, target)
            loss.backward()
        results.append((loss.detach(), p.grad))
    tolerance = 4 * torch.finfo(dtype).eps
    for i in range(2):
        torch.testing.assert_close(results[0][i], results[1][i], rtol=tolerance, atol=tolerance)
        assert torch.equal(results[1][i], results[2][i])


@pytest.mark.parametrize("shape", [(10, 12), (4, 3, 4)])
def test_diagrams_and_their_gradients_equal_the_cpu(shape: tuple[int, ...]) -> None:
    x = batch("integers", shape, 2).requires_grad_()
    grads = []
    for kernels in ("cpu", "triton"):
        with gpuph.use_kernels(kernels):
            diagrams = gpuph.persistence(x)
            total = diagrams[1].birth.square().sum() + (diagrams[1].death ** 3).sum() + diagrams[0].birth.exp().sum()
            grads.append(torch.autograd.grad(total, x)[0])
    assert torch.allclose(*grads)


@pytest.mark.parametrize("top", [True, False])
def test_loops_of_volumes_equal_the_cpu(top: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chains fit into registers in one case, and nearly none do in the other."""
    module = importlib.import_module("gpuph.kernels.triton.volume.reduce")  # the function has the module's name
    for i, (kind, block) in enumerate((("integers", 64), ("noise", 4))):
        dtype = (np.float32, np.float64)[(i + top) % 2]
        arguments, edges, expected = inputs_of(np.stack([inputs.image(kind, (3, 4, 5), 0, dtype)]), top)
        monkeypatch.setattr(module, "_BLOCK", block)
        assert expected[0] and pairs_of(module.reduce(*arguments), edges, arguments) == expected


@pytest.mark.parametrize("top", [True, False])
def test_loops_of_volumes_too_large_for_tags_equal_the_cpu(top: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """In words with room for 16 voxels below the tags, other voxels' numbers reach into the bits of the tags."""
    walk, boundary, module = (
        importlib.import_module(f"gpuph.kernels.triton.volume.{name}")
        for name in ("reduce_walk", "reduce_boundary", "reduce")
    )
    few = {"TAG": tl.constexpr(8), "TAGS": tl.constexpr(-1 << 8), "TAGGED": tl.constexpr(16)}
    arguments, edges, expected = inputs_of(np.stack([inputs.image("noise", (3, 4, 5), 1, np.float32)]), top)
    for name, value in few.items():
        monkeypatch.setattr(walk, name, value)
        monkeypatch.setattr(boundary, name, value)
    assert expected[0] and pairs_of(module.reduce(*arguments), edges, arguments) == expected


@pytest.mark.parametrize(("kind", "construction"), [("noise", "T"), ("integers", "V")])
def test_gradients_in_whole_paths_equal_the_cpu(kind: str, construction: str) -> None:
    """Windows overlap, and the last ones are shifted inwards."""
    pred, target = batch(kind, (7, 9)), batch("smooth", (7, 9))
    tiling, top = Tiling((7, 9), (6, 6), (3, 4), border=True), construction == "T"
    assert_same_spread((pred, target, None), tiling, Spread(2, 1, top, 0, True))
    assert_same_spread((pred, None, None), Tiling((7, 9), (7, 9), (7, 9), False), Spread(2, 0, top, 0, False))
