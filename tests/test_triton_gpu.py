"""The Triton kernels on a GPU, against the CPU; skipped where there is none."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gpuph
import inputs
from engines import assert_same_gather, assert_same_pairs

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


def training_step(x: torch.Tensor) -> torch.Tensor:
    """Gradient of a loss on the loops of windows."""
    x = x.detach().requires_grad_()
    loops = gpuph.persistence(x, dims=(1,))[1]
    ((loops.death - loops.birth).square().sum() + loops.birth.sum()).backward()
    assert x.grad is not None
    return x.grad


def test_a_training_step_never_waits_for_the_device_and_repeats(roads: torch.Tensor) -> None:
    x = roads.cuda()
    expected = training_step(x)  # compiles
    torch.cuda.set_sync_debug_mode("error")
    try:
        again = training_step(x)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(again, expected)
    assert torch.allclose(expected.cpu(), training_step(roads), rtol=1e-5)


def test_a_cuda_graph_replays_on_new_data(roads: torch.Tensor) -> None:
    x = roads[:8].cuda()
    training_step(x)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        grad = training_step(x)
    x.copy_(roads[8:16])
    graph.replay()
    assert torch.equal(grad, training_step(x))
