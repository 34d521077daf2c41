"""Triton kernels for spread="path" as PTX on the CPU: random schedules, checks for races and unwritten memory."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch

import gpuph
from gpuph.kernels import Spread, Tiling
from support import inputs
from support.emulation import SCHEDULES, needs_ptx, ptx
from support.pulls import assert_same_spread

pytest.importorskip("triton")

pytestmark = needs_ptx


def batch(kind: str, shape: tuple[int, ...], n: int = 1, dtype: type = np.float32, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.stack([inputs.image(kind, shape, seed + i, dtype) for i in range(n)]))


def whole(x: torch.Tensor, border: bool = False) -> Tiling:
    """Return the tiling in which images are windows."""
    size = tuple(x.shape[1:])
    return Tiling(size, size, size, border)


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_gradients_equal_the_cpu_on_any_schedule(seed: int) -> None:
    rule = Spread(2, seed % 2, seed % 4 > 1, 0, seed % 3 == 0)
    with ptx(seed, switch_prob=0.02 + 0.3 * (seed % 3)):
        for kind in ("noise", "integers", "smooth"):
            x = batch(kind, (13, 16), seed=seed)
            assert_same_spread((x, None, None), whole(x), rule, seed)


@pytest.mark.parametrize("kind", inputs.KINDS)
@pytest.mark.parametrize("top", [True, False])
def test_gradients_of_odd_windows_equal_the_cpu(kind: str, top: bool) -> None:
    for seed, shape in enumerate(((1, 1), (1, 9), (9, 1), (2, 2), (12, 5))):
        x = batch(kind, shape, 2, (np.float32, np.float64)[seed % 2])
        with ptx(seed):
            for dim in (0, 1):
                assert_same_spread((x, None, None), whole(x), Spread(2, dim, top, 0, seed % 3 == 0), seed)


def test_gradients_of_overlapping_windows_with_heights_equal_the_cpu() -> None:
    """The last windows are shifted inwards; tiles of a gradient have pixels of many windows, or of none."""
    pred, target = batch("noise", (10, 13), 2), batch("integers", (10, 13), 2)
    for seed, height in enumerate((torch.randn(1, 7, 8), torch.randn(18, 2), torch.randn(18, 7, 8), None)):
        tiling = Tiling((10, 13), (7, 8), (2, 4), border=seed != 1)
        with ptx(seed):
            rule = Spread(2, seed // 2 % 2, seed % 2 == 0, seed % 2, seed == 2)
            assert_same_spread((pred, target, height), tiling, rule, seed)


@pytest.mark.parametrize("top", [True, False])
def test_several_pulls_of_one_pixel_add_up(top: bool) -> None:
    x = batch("noise", (9, 10), 2)
    for seed in range(4):
        with ptx(seed):
            rule = Spread(2, seed % 2, top, 0, seed > 1)
            assert_same_spread((x, None, None), whole(x), rule, seed, times=3)


def test_gradients_do_not_depend_on_how_many_pulls_share_a_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    marks = importlib.import_module("gpuph.kernels.triton.spread.marks")
    monkeypatch.setattr(marks, "_WORDS", 1)
    assert marks.marks_of((13, 16), 100)[2] > 0
    x = batch("noise", (13, 16))
    for seed in range(4):
        with ptx(seed):
            assert_same_spread(
                (x, None, None), whole(x), Spread(2, seed % 2, seed > 1, 0, seed % 3 == 0), seed, times=3
            )


def test_windows_without_pulls_have_no_gradient() -> None:
    x = batch("noise", (3, 40), 2)
    constant = torch.stack((x[0], torch.ones(3, 40)))
    with ptx(0):
        assert_same_spread((constant, None, None), whole(x), Spread(2, 1, True, 0, False))
        assert_same_spread((x[:0], None, None), whole(x), Spread(2, 1, True, 0, False))


def test_long_paths_along_a_winding_valley_equal_the_cpu() -> None:
    """Saddles rise along the valley, so that links of the merge tree form a chain, and paths go from end to end."""
    image = np.full((13, 12), 1e3, np.float32)
    path: list[tuple[int, int]] = []
    for y in range(0, 13, 2):
        path += [(y, x) for x in (range(12) if y % 4 == 0 else range(11, -1, -1))]
        path += [(y + 1, path[-1][1])] if y < 12 else []
    for step, place in enumerate(path):
        image[place] = step / 1000 + step % 2
    image[path[-1]] = -50
    x = torch.from_numpy(image)[None]
    for seed in range(4):
        sign = (1, -1)[seed % 2]
        with ptx(seed, switch_prob=0.02 + 0.3 * (seed % 3)):
            assert_same_spread((sign * x, None, None), whole(x), Spread(2, seed // 2, seed % 2 == 0, 0, False), seed)


@pytest.mark.parametrize("dims", [(1,), (0, 1)])
def test_gradient_of_the_loss_equals_the_cpu(dims: tuple[int, ...]) -> None:
    def run(kernels: str) -> torch.Tensor:
        with gpuph.use_kernels(kernels):
            pred, target = (batch(kind, (20, 17), 2)[:, None] for kind in ("smooth", "noise"))
            pred.requires_grad_()
            gpuph.DistancePHLoss(window=12, dims=dims, spread="path")(pred, target).backward()
        assert pred.grad is not None
        return pred.grad

    expected = run("cpu")
    for seed in range(2):
        with ptx(seed):
            torch.testing.assert_close(run("triton"), expected, rtol=1e-6, atol=1e-7)
