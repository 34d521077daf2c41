"""The Triton kernels on a GPU, against the CPU; skipped where there is none."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gpuph
import inputs
from diagrams import KINDS, mixed, pairs
from engines import assert_same_gather, assert_same_matching, assert_same_pairs
from gpuph.matching import SOLVERS

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")]


def batch(kind: str, shape: tuple[int, int], n: int = 1, dtype: type = np.float32, seed: int = 0) -> torch.Tensor:
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


def test_a_nan_empties_its_window_only() -> None:
    x = batch("noise", (66, 66), 4)
    x[1, 8, 10], x[2] = float("nan"), -float("nan")
    for construction in "TV":
        assert_same_pairs(x, construction=construction, capacity=900)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_gather_and_scatter_equal_the_cpu(dtype: torch.dtype) -> None:
    for rows, size, columns in ((1, 1, 1), (3, 40, 33), (64, 4356, 2178), (2, 50_000, 3_000), (0, 4, 4), (2, 5, 0)):
        assert_same_gather(rows, size, columns, dtype, "cuda")


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
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


def training_step(pred: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss of predicted and true maps, and its gradient."""
    pred = pred.detach().requires_grad_()
    loss = LOSS(pred, target)
    loss.backward()
    assert pred.grad is not None
    return loss.detach(), pred.grad


LOSS = gpuph.LocalizedPHLoss(window=32, dims=(0, 1), height=gpuph.Linear((0.2, 0.01)))


def test_a_training_step_never_waits_for_the_device_and_repeats(roads: torch.Tensor) -> None:
    pred, target = roads[:8, None].cuda(), roads[8:, None].cuda()
    expected = training_step(pred, target)  # compiles
    torch.cuda.set_sync_debug_mode("error")
    try:
        again = training_step(pred, target)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    on_cpu = training_step(roads[:8, None], roads[8:, None])
    for first, second, third in zip(expected, again, on_cpu, strict=True):
        assert torch.equal(first, second)
        torch.testing.assert_close(first.cpu(), third, rtol=1e-5, atol=1e-7)


def test_a_cuda_graph_of_the_loss_replays_on_new_data(roads: torch.Tensor) -> None:
    pred, target = roads[:4, None].cuda(), roads[4:8, None].cuda()
    training_step(pred, target)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = training_step(pred, target)
    pred.copy_(roads[8:12, None])
    target.copy_(roads[12:, None])
    graph.replay()
    for replayed, expected in zip(results, training_step(pred, target), strict=True):
        assert torch.equal(replayed, expected)
