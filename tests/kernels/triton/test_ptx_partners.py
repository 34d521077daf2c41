"""Triton kernels for Betti matchings as PTX on the CPU: random schedules, checks for races and unwritten memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gpuph.kernels import Tiling
from support import inputs
from support.emulation import SCHEDULES, needs_ptx, ptx
from support.engines import assert_same_partners

pytest.importorskip("triton")
pytestmark = needs_ptx


def batch(kind: str, shape: tuple[int, ...], n: int = 1, dtype: type = np.float32, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.stack([inputs.image(kind, shape, seed + i, dtype) for i in range(n)]))


def whole(x: torch.Tensor, border: bool) -> Tiling:
    """Return the tiling in which images are windows."""
    size = tuple(x.shape[1:])
    return Tiling(size, size, size, border)


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_partners_equal_the_cpu_on_any_schedule(seed: int, roads: torch.Tensor) -> None:
    """Equal images, images that share most classes, and images that have nothing in common."""
    construction, border = "TV"[seed % 2], seed % 4 > 1
    x = roads[seed % 16 :][:1, :40, :40]
    for pred, target in (
        (x, (x + batch("noise", (40, 40), seed=seed)).round()),
        (batch("integers", (33, 40), 2, seed=seed), batch("integers", (33, 40), 2, seed=seed + 1)),
    ):
        with ptx(seed, switch_prob=0.02 + 0.3 * (seed % 3)):
            assert_same_partners(pred, target, None, whole(pred, border), (0, 1), construction, None, seed % 5 / 4)


@pytest.mark.parametrize("kind", inputs.KINDS)
@pytest.mark.parametrize("construction", ["T", "V"])
def test_partners_of_odd_windows_equal_the_cpu(kind: str, construction: str) -> None:
    for seed, shape in enumerate(((1, 1), (1, 9), (9, 1), (2, 2), (3, 3), (12, 5))):
        dtype = (np.float32, np.float64)[seed % 2]
        pred, target = batch(kind, shape, 3, dtype), batch(kind, shape, 3, dtype, seed=1)
        with ptx(seed):
            assert_same_partners(pred, target, None, whole(pred, seed % 3 == 0), (1, 0), construction)


def test_partners_of_tiles_with_heights_equal_the_cpu() -> None:
    """Windows overlap, the last ones are shifted inwards, and diagrams have fewer columns than pairs."""
    pred, target = batch("noise", (17, 40), 2), batch("integers", (17, 40), 2)
    tiling = Tiling((17, 40), (12, 31), (5, 4), True)
    for seed, height in enumerate((torch.randn(1, 12, 31), torch.randn(16, 2), None)):
        for capacity in (None, 6):
            with ptx(seed):
                assert_same_partners(pred, target, height, tiling, ((0, 1), (1,))[seed % 2], "TV"[seed % 2], capacity)


def test_nan_of_either_image_affects_only_its_window() -> None:
    pred, target = batch("noise", (13, 21), 4), batch("noise", (13, 21), 4, seed=4)
    pred[1, 8, 10], target[2, 0, 0], pred[3] = float("nan"), -float("nan"), float("nan")
    for seed, construction in enumerate("TV"):
        with ptx(seed):
            assert_same_partners(pred, target, None, whole(pred, True), (0, 1), construction)


def test_long_chains_of_classes_equal_the_cpu() -> None:
    """A winding valley whose saddles rise, with pockets behind higher saddles, so that trees are climbed by hints.

    The eldest minimum of the union is at one end of the valley, and that of an image at the other end.
    """
    pred = np.full((41, 40), 1e3, np.float32)
    pred[1::4, 2:-2:2], pred[2::4, 2:-2:2] = 3.0, 2.0
    path: list[tuple[int, int]] = []
    for y in range(0, 41, 4):
        path += [(y, x) for x in (range(40) if y % 8 == 0 else range(39, -1, -1))]
        path += [(y + i, path[-1][1]) for i in (1, 2, 3) if y < 40]
    target = pred.copy()
    for i, place in enumerate(path):
        pred[place], target[place] = (i / 1000 + 1, i / 1000 + 1.5) if i % 2 else (-i / 1000, i / 1000 - 10)
    a, b = torch.from_numpy(pred)[None], torch.from_numpy(target)[None]
    for seed, sign in enumerate((1, -1, 1, -1)):
        with ptx(seed):
            assert_same_partners(sign * a, sign * b, None, whole(a, False), (0, 1), "VTTV"[seed])


def test_partners_of_large_windows_equal_the_cpu() -> None:
    """Words have 64 bits, and many programs share a tree."""
    pred, target = batch("noise", (200, 190)), batch("smooth", (200, 190))
    with ptx(3, checks=(), stats=False):
        assert_same_partners(pred, target, None, whole(pred, True), (1,))


def test_no_images_launch_nothing() -> None:
    nothing = torch.zeros(0, 5, 5)
    with ptx(0) as emulation:
        assert_same_partners(nothing, nothing, None, whole(nothing, True))
        assert not emulation.launches
