"""The pairs of framed windows equal those of windows that are cut, raised and framed one after the other."""

from __future__ import annotations

import importlib

import pytest
import torch
from torch import Tensor
from torch.library import opcheck

import gpuph
from gpuph.windows import cut_windows, frame, origin

# Shape of the images, window, stride: with overlaps, gaps, shifted last windows, and windows as large as the image.
TILINGS = [
    ((2, 13, 17), (6, 5), (3, 5)),
    ((1, 9, 7), (9, 7), (1, 1)),
    ((3, 8, 8), (2, 2), (5, 4)),
    ((2, 6, 1), (4, 1), (1, 3)),
    ((0, 8, 8), (4, 4), (4, 4)),
    ((2, 7, 8, 9), (4, 5, 9), (2, 3, 9)),
    ((1, 5, 4, 1), (5, 2, 1), (5, 1, 1)),
]

framed_persistence = torch.ops.gpuph.framed_persistence


def expected(
    pred: Tensor, target: Tensor, height: Tensor | None, window: tuple[int, ...], stride: tuple[int, ...], border: bool
) -> tuple[list[Tensor], Tensor, Tensor]:
    """Return the filtrations of both images, and the offsets that add up to the pixel of the image (negative: none)."""
    x = [cut_windows(image, window, stride) for image in (pred, target)]
    if height is not None:
        x = [windows + height for windows in x]
    if border:
        lowest = torch.minimum(*(windows.flatten(1).amin(dim=1) for windows in x))
        x = [frame(windows, lowest) for windows in x]
    corner, offset = origin(pred.shape[1:], window, stride, torch.device("cpu"), border=border)
    return x, corner.repeat(len(pred)), offset


@pytest.mark.parametrize("border", [True, False])
@pytest.mark.parametrize(("shape", "window", "stride"), TILINGS)
@pytest.mark.parametrize("heights", [None, "one", "each"])
def test_pairs_equal_those_of_windows_cut_raised_and_framed_in_turn(
    shape: tuple[int, ...], window: tuple[int, ...], stride: tuple[int, ...], heights: str | None, border: bool
) -> None:
    generator = torch.Generator().manual_seed(0)
    pred, target = torch.randn(2, *shape, generator=generator)
    target = (2 * target).round()  # with ties
    n = len(cut_windows(pred, window, stride))
    height = None if heights is None else torch.randn(1 if heights == "one" else n, *window, generator=generator)
    x, corner, offset = expected(pred, target, height, window, stride, border)
    dims = list(range(len(window)))[::-1]
    for top, capacity in ((True, None), (False, 3)):
        status, *found = framed_persistence(pred, target, height, window, stride, border, dims, top, capacity)
        assert status.shape == (2 * n,) and not status.any()
        plain = [torch.ops.gpuph.persistence(windows, dims, top, 0.0, capacity)[1:] for windows in x]
        for k, parts in enumerate(zip(*found, strict=True)):
            columns = max(part[0][k].shape[2] for part in plain)
            assert parts[0].shape == parts[1].shape == (2 * n, 2, columns)
            for image in range(2):
                index, value, count = (part[image * n :][:n] for part in parts)
                theirs = [part[k] for part in plain[image]]
                assert torch.equal(count, theirs[2])
                there = (torch.arange(theirs[0].shape[2]) < count[:, None, None]).expand(theirs[0].shape)
                pixel = (corner[:, None, None] + offset[theirs[0]]).clamp(min=-1)
                assert torch.equal(index[..., : there.shape[2]][there], pixel[there])
                assert torch.equal(value[..., : there.shape[2]][there], theirs[1][there])


def test_nan_sets_the_status_of_its_window_only() -> None:
    pred, target = torch.randn(2, 1, 6, 12)
    target[0, 2, 7] = float("nan")
    for border in (True, False):
        status, _, value, count = framed_persistence(pred, target, None, (6, 6), (6, 6), border, [1], True, 4)
        assert status.tolist() == [0, 0, 0, 1] and count[0][3] == 0
        there = torch.arange(4) < count[0][:, None, None]
        assert not value[0][there.expand(4, 2, 4)].isnan().any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_large_windows_processed_by_several_threads_give_the_same_pairs(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    pred, target = torch.randn(2, 1, 12, 13, 14, dtype=dtype)
    arguments = pred, target, torch.randn(1, 12, 13, 14, dtype=dtype), (12, 13, 14), (9, 9, 9), True, [0, 1, 2], True
    plain = framed_persistence(*arguments, None)
    monkeypatch.setattr(importlib.import_module("gpuph.kernels.cpu.volume.persistence"), "LARGE", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    shared = framed_persistence(*arguments, None)
    assert torch.equal(shared[0], plain[0])
    for ours, theirs in zip(zip(*shared[1:], strict=True), zip(*plain[1:], strict=True), strict=True):
        assert torch.equal(ours[2], theirs[2])
        there = (torch.arange(ours[0].shape[2]) < ours[2][:, None, None]).expand(ours[0].shape)
        assert all(torch.equal(a[there], b[there]) for a, b in zip(ours[:2], theirs[:2], strict=True))


def test_images_may_be_noncontiguous() -> None:
    pred, target = torch.randn(2, 9, 8, 2).permute(0, 3, 2, 1)
    plain = framed_persistence(pred.contiguous(), target.contiguous(), None, (4, 4), (4, 4), True, [1], True, None)
    strided = framed_persistence(pred, target, None, (4, 4), (4, 4), True, [1], True, None)
    there = (torch.arange(plain[2][0].shape[2]) < plain[3][0][:, None, None]).expand(plain[2][0].shape)
    assert torch.equal(strided[3][0], plain[3][0]) and torch.equal(strided[2][0][there], plain[2][0][there])


@pytest.mark.parametrize("rank", [2, 3])
def test_slopes_give_the_pairs_of_the_linear_height(rank: int) -> None:
    image, window = (2, 9, 7, 8)[: rank + 1], (4, 5, 3)[:rank]
    pred, target = torch.randn(2, *image)
    windows = gpuph.windows.tile(image[1:], window, window).windows()
    for n in (1, 2 * windows):
        height = gpuph.RandomLinear(0.3)
        w, g = (draw(n, window, pred, torch.Generator().manual_seed(0)) for draw in (height.slopes, height))
        assert w.shape == (n, rank) and g.shape == (n, *window)
        plain, raised = (framed_persistence(pred, target, up, window, window, True, [1], True, 9) for up in (g, w))
        assert torch.equal(plain[3][0], raised[3][0])
        there = (torch.arange(9) < plain[3][0][:, None, None]).expand(plain[1][0].shape)
        assert torch.equal(plain[1][0][there], raised[1][0][there])
        assert torch.equal(plain[2][0][there], raised[2][0][there])


@pytest.mark.parametrize("capacity", [None, 7])
def test_operator_passes_opcheck(capacity: int | None) -> None:
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    for shape in ((2, 9, 8), (1, 6, 7, 8)):
        window = [4] * (len(shape) - 1)
        height = torch.randn(1, *window)
        arguments = (torch.randn(shape), torch.randn(shape), height, window, window, True, [1, 0], True, capacity)
        opcheck(framed_persistence, arguments, test_utils=checks)
        opcheck(
            framed_persistence,
            (*arguments[:2], torch.randn(1, len(window)), *arguments[3:]),
            test_utils=checks,
        )
        opcheck(torch.ops.gpuph.window_costs.default, (*arguments, [0.5, 1.0], True, 0.0), test_utils=checks)


def test_deterministic_height_is_the_same_in_training_and_evaluation() -> None:
    pred, target = torch.randn(2, 1, 1, 16, 16)
    loss_fn = gpuph.LocalizedPHLoss(window=8, height=gpuph.Radial(0.3))
    assert loss_fn(pred, target) == loss_fn.eval()(pred, target)
