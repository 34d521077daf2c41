"""The Triton kernels on a GPU equal the CPU's. Skipped where there is no GPU."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

import gpuph
from bench.train import neurons
from gpuph.matching import SOLVERS
from support import inputs
from support.diagrams import KINDS, mixed, pairs
from support.engines import (
    TILINGS,
    assert_same_curves,
    assert_same_distances,
    assert_same_gather,
    assert_same_localized,
    assert_same_matching,
    assert_same_maximin,
    assert_same_pairs,
    assert_same_regions,
    assert_same_skeleton,
    assert_same_slopes,
)

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")]


def batch(kind: str, shape: tuple[int, ...], n: int = 1, dtype: type = np.float32, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.stack([inputs.image(kind, shape, seed + i, dtype) for i in range(n)])).cuda()


@pytest.mark.parametrize("kind", inputs.KINDS)
@pytest.mark.parametrize("construction", ["T", "V"])
def test_pairs_equal_the_cpu(kind: str, construction: str) -> None:
    for shape in (*inputs.SIZES, (64, 64), (66, 66), (300, 257)):
        for dtype in (np.float32, np.float64):
            assert_same_pairs(batch(kind, shape, 5, dtype), construction=construction, capacity=300)


def test_pairs_of_a_thousand_random_batches_equal_the_cpu() -> None:
    rng = np.random.default_rng(0)
    for seed in range(1000):
        kind, shape = rng.choice(inputs.KINDS), tuple(int(side) for side in rng.integers(1, 80, 2))
        x = batch(kind, shape, int(rng.integers(1, 9)), rng.choice([np.float32, np.float64]), seed)
        assert_same_pairs(x, construction="TV"[seed % 2], capacity=int(rng.integers(1, 2000)))


@pytest.mark.parametrize("kind", inputs.KINDS)
@pytest.mark.parametrize("construction", ["T", "V"])
def test_pairs_of_volumes_equal_the_cpu(kind: str, construction: str) -> None:
    for shape in (*inputs.VOLUMES, (32, 32, 32), (34, 34, 34), (64, 65, 67)):
        for dtype in (np.float32, np.float64):
            assert_same_pairs(batch(kind, shape, 3, dtype), (0, 1, 2), construction, capacity=300)


def test_pairs_of_a_thousand_random_batches_of_volumes_equal_the_cpu() -> None:
    rng = np.random.default_rng(0)
    for seed in range(1000):
        kind, shape = rng.choice(inputs.KINDS), tuple(int(side) for side in rng.integers(1, 24, 3))
        x = batch(kind, shape, int(rng.integers(1, 9)), rng.choice([np.float32, np.float64]), seed)
        assert_same_pairs(x, (0, 1, 2), "TV"[seed % 2], capacity=int(rng.integers(1, 2000)))


@pytest.mark.parametrize("construction", ["T", "V"])
def test_pairs_of_neurites_equal_the_cpu(construction: str) -> None:
    for n, size in ((64, 32), (8, 64), (8, 96), (1, 128)):
        x = neurons.windows(n, size).cuda()
        assert_same_pairs(x, (0, 1, 2), construction, capacity=5000)
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0)).cuda()
        assert_same_pairs(x + 0.3 * noise, (0, 1, 2), construction, capacity=5000)


@pytest.mark.parametrize("border", [True, False])
def test_pairs_of_framed_volume_windows_equal_the_cpu(border: bool) -> None:
    pred, target = (batch(kind, (40, 45, 50), 2) for kind in ("noise", "smooth"))
    for shape in ((2 * 2 * 3 * 3, 24, 24, 24), (2 * 2 * 3 * 3, 3)):
        height = torch.randn(shape, generator=torch.Generator().manual_seed(0)).cuda()
        assert_same_localized(pred, target, height, (24, 24, 24), (16, 16, 16), border, (1, 2), capacity=3000)


def test_nan_affects_only_its_window() -> None:
    for shape, dims in (((66, 66), (0, 1)), ((20, 21, 22), (0, 1, 2))):
        x = batch("noise", shape, 4)
        x.flatten(1)[1, 538], x[2] = float("nan"), -float("nan")
        for construction in "TV":
            assert_same_pairs(x, dims, construction, capacity=900)


def test_repeated_launches_equal_the_cpu() -> None:
    """An operator repeats the launches of its first call with inputs of a kind."""
    for seed in range(4):
        assert_same_pairs(batch("noise", (33, 40), 3, seed=seed), capacity=500)
        assert_same_pairs(batch("noise", (9, 10, 11), 3, seed=seed), (0, 1, 2), capacity=500)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_gather_and_scatter_equal_the_cpu(dtype: torch.dtype) -> None:
    for rows, size, columns in ((1, 1, 1), (3, 40, 33), (64, 4356, 2178), (2, 50_000, 3_000), (0, 4, 4), (2, 5, 0)):
        assert_same_gather(rows, size, columns, dtype, "cuda")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scatter_slopes_equals_the_cpu(dtype: torch.dtype) -> None:
    maps = (256, 256), (64, 64), (64, 64)
    for tiling in (*TILINGS, maps):
        assert_same_slopes(8, tiling, 1089, dtype, "cuda")
    for images, columns in ((0, 4), (2, 0), (1, 1)):
        assert_same_slopes(images, maps, columns, dtype, "cuda")


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_matchings_equal_the_cpu(solver: str, dtype: torch.dtype) -> None:
    sizes = ((0, 3), (3, 0), (1, 1), (1, 17), (16, 2), (31, 33), (9, 140), (700, 500))
    for squared in (True, False):
        assert_same_matching(*(x.cuda() for x in mixed(sizes, dtype=dtype)), squared, solver)


def test_matchings_of_thousands_of_points_equal_the_cpu() -> None:
    rng = np.random.default_rng(0)
    for kind in KINDS:
        points = pairs([kind(2400, rng), kind(30, rng)], [kind(2500, rng), kind(2500, rng)])
        assert_same_matching(*(x.cuda() for x in points), True, "auto")


def test_matchings_of_a_thousand_random_batches_equal_the_cpu() -> None:
    rng = np.random.default_rng(0)
    for seed in range(1000):
        sizes = tuple((int(n), int(m)) for n, m in rng.integers(0, rng.choice([4, 20, 150]), (4, 2)))
        points = mixed(sizes, seed, (torch.float32, torch.float64)[seed // 2 % 2])
        assert_same_matching(*(x.cuda() for x in points), seed % 2 == 0, str(rng.choice(SOLVERS)))


def test_distances_equal_the_cpu() -> None:
    for shape, density, truncation, spacing in (
        *inputs.DISTANCES,
        ((32, 512, 512), 0.001, 20.0, (1.0, 1.0)),
        ((4, 1000, 1001), 1e-5, 1e9, (1.0, 2.0)),
        ((2, 64, 128, 130), 1e-4, 30.0, (4.0, 1.0, 1.0)),
    ):
        for seed in range(3):
            mask = torch.from_numpy(inputs.masks(shape, density, seed)).cuda()
            assert_same_distances(mask, truncation, spacing)
            assert_same_distances(mask.transpose(1, 2), truncation, spacing)


def test_regions_and_pairs_of_edges_equal_the_cpu() -> None:
    for window in (*inputs.CONNECTED, (64, 64), (300, 257), (48, 48, 48)):
        for radius in (0, 2, 5):
            assert_same_regions(torch.from_numpy(inputs.masks((5, *window), 0.01, radius)).cuda(), radius)
        for seed, kind in enumerate(inputs.COSTS):
            for dtype in (np.float32, np.float64):
                region = torch.randint(0, (2, 900)[seed % 2], (2, *window), dtype=torch.int32).cuda()
                assert_same_maximin(torch.from_numpy(inputs.costs(kind, window, seed, dtype)).cuda(), region)


def test_skeletons_of_masks_equal_the_cpu() -> None:
    for window in (*inputs.CONNECTED, (64, 64), (300, 257), (48, 48, 48)):
        for seed, density in enumerate((0.0, 0.1, 0.5, 0.9, 0.99, 1.0)):
            mask = torch.from_numpy(inputs.masks((3, *window), density, seed)).cuda()
            assert_same_curves(mask)
            assert_same_curves(mask.transpose(1, 2))
    for solid, _ in inputs.shapes().values():
        assert_same_curves(torch.from_numpy(solid)[None].cuda())


@pytest.mark.parametrize("kind", inputs.KINDS)
def test_skeletons_equal_the_cpu(kind: str) -> None:
    for shape in (*inputs.SIZES, (64, 64), (300, 257)):
        for dtype in (np.float32, np.float64):
            for threshold in (0.0, 0.1, 1.0):
                assert_same_skeleton(batch(kind, shape, 5, dtype), threshold)


@pytest.mark.parametrize("kind", inputs.KINDS)
def test_skeletons_of_volumes_equal_the_cpu(kind: str) -> None:
    for shape in (*inputs.VOLUMES, (32, 32, 32), (40, 33, 65)):
        for i, manifolds in enumerate(((1,), (2,), (1, 2))):
            x = batch(kind, shape, 3, (np.float32, np.float64)[i % 2])
            for threshold in (0.0, 0.1, 1.0):
                assert_same_skeleton(x, threshold, manifolds)


def test_cuda_graph_of_distance_maps_replays_on_new_masks() -> None:
    masks = torch.from_numpy(inputs.masks((8, 1, 100, 77), 0.01))
    mask = masks[:4].cuda()
    gpuph.truncated_distance_map(mask, 9.0)  # compiles
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = gpuph.truncated_distance_map(mask, 9.0)
    mask.copy_(masks[4:])
    graph.replay()
    assert torch.equal(found.cpu(), gpuph.truncated_distance_map(masks[4:], 9.0))


def training_step(pred: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the loss of predicted and true maps, and its gradient."""
    pred = pred.detach().requires_grad_()
    loss = (LOSS if pred.dim() == 4 else LOSS_OF_VOLUMES)(pred, target)
    loss.backward()
    assert pred.grad is not None
    return loss.detach(), pred.grad


LOSS = gpuph.LocalizedPHLoss(window=32, dims=(0, 1), height=gpuph.Linear((0.2, 0.01)))
LOSS_OF_VOLUMES = gpuph.LocalizedPHLoss(window=32, dims=(1, 2), height=gpuph.Linear((0.2, 0.05, 0.01)))


@pytest.mark.parametrize("volumes", [False, True])
def test_training_step_never_synchronises_and_is_repeatable(roads: torch.Tensor, volumes: bool) -> None:
    maps = neurons.windows(16, 32) if volumes else roads
    pred, target = maps[:8, None].cuda(), maps[8:, None].cuda()
    expected = training_step(pred, target)  # compiles
    torch.cuda.set_sync_debug_mode("error")
    try:
        again = training_step(pred, target)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    on_cpu = training_step(maps[:8, None], maps[8:, None])
    for first, second, third in zip(expected, again, on_cpu, strict=True):
        assert torch.equal(first, second)
        torch.testing.assert_close(first.cpu(), third, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("volumes", [False, True])
def test_cuda_graph_of_the_loss_replays_on_new_data(roads: torch.Tensor, volumes: bool) -> None:
    maps = neurons.windows(16, 32) if volumes else roads
    pred, target = maps[:4, None].cuda(), maps[4:8, None].cuda()
    training_step(pred, target)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = training_step(pred, target)
    pred.copy_(maps[8:12, None])
    target.copy_(maps[12:, None])
    graph.replay()
    for replayed, expected in zip(results, training_step(pred, target), strict=True):
        assert torch.equal(replayed, expected)


@pytest.mark.parametrize(
    "make",
    [
        lambda **s: gpuph.LocalizedPHLoss(height=gpuph.Linear((0.2, 0.1)), dims={0: 0.5, 1: 1.0}, **s),
        lambda **s: gpuph.LocalizedPHLoss(stride=48, reduction="none", **s).eval(),
        lambda **s: gpuph.LikelihoodPHLoss(**s),
        lambda **s: gpuph.TopoLoss(**s),
    ],
    ids=["localized", "overlapping", "likelihood", "topo"],
)
def test_graphed_losses_equal_those_without_a_graph(make: Callable[..., torch.nn.Module]) -> None:
    plain, graphed = make(), make(graphed=True)
    pairs = []
    for seed in range(4):
        pred, target = torch.rand(2, 3, 1, 160, 160, generator=torch.Generator().manual_seed(seed)).cuda()
        pairs.append((pred.requires_grad_(), (target > 0.5).float()))
    losses = [graphed(*pair) for pair in pairs]  # all before their backward passes
    for pair, loss in zip(pairs, losses, strict=True):
        expected = plain(*pair)
        assert torch.equal(loss, expected)
        ours, theirs = (torch.autograd.grad(0.3 * x.sum(), pair[0])[0] for x in (loss, expected))
        assert torch.equal(ours, theirs)
    assert len(graphed._graphs) == 3
    for pair in pairs:  # graphs are used again
        assert torch.equal(graphed(*pair), plain(*pair))
    assert len(graphed._graphs) == 3


def test_replays_draw_new_random_heights() -> None:
    loss_fn = gpuph.LocalizedPHLoss(graphed=True)
    pred, target = torch.rand(2, 3, 1, 64, 64, generator=torch.Generator().manual_seed(0)).cuda()
    losses = [float(loss_fn(pred, target)) for _ in range(6)]
    assert len(set(losses)) == 6 and len(loss_fn._graphs) == 1
