"""`spread_slopes`: the gradients of images in all pixels that must move with births and deaths."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from gpuph.kernels import Pulls, Spread, Tiling, cpu

from .backend import array, tensor, warn_of_detour
from .define import define


def _fake(
    slope: Tensor,
    goal: Tensor,
    index: Tensor,
    count: Tensor,
    grad: Tensor,
    pred: Tensor,
    target: Tensor | None,
    height: Tensor | None,
    window: Sequence[int],
    stride: Sequence[int],
    border: bool,
    dim: int,
    top: bool,
    side: int,
    normalise: bool,
) -> Tensor:
    return slope.new_empty((pred.shape[0], math.prod(pred.shape[1:])))


def _run(
    slope: Tensor,
    goal: Tensor,
    index: Tensor,
    count: Tensor,
    grad: Tensor,
    pred: Tensor,
    target: Tensor | None,
    height: Tensor | None,
    window: Sequence[int],
    stride: Sequence[int],
    border: bool,
    dim: int,
    top: bool,
    side: int,
    normalise: bool,
) -> Tensor:
    warn_of_detour(pred, 'gradients with spread="path"')
    pulls = Pulls(array(slope), array(goal), array(index), array(count))
    images = array(pred), None if target is None else array(target), None if height is None else array(height)
    tiling = Tiling(tuple(pred.shape[1:]), tuple(window), tuple(stride), border)
    spread = Spread(len(window), dim, top, side, normalise)
    return tensor(cpu.spread_slopes(pulls, array(grad), images, tiling, spread), pred.device)


define(
    "spread_slopes(Tensor slope, Tensor goal, Tensor index, Tensor count, Tensor grad, Tensor pred, Tensor? target,"
    " Tensor? height, int[] window, int[] stride, bool border, int dim, bool top, int side, bool normalise) -> Tensor",
    _fake,
    _run,
)


def spread_slopes(
    pulls: Pulls[Tensor],
    grad: Tensor,
    images: tuple[Tensor, Tensor | None, Tensor | None],
    tiling: Tiling,
    rule: Spread,
) -> Tensor:
    """Add up the gradients of images, in all pixels that must move with the births and deaths of their windows.

    Which pixels these are, and what their gradients are, is in kernels/README.md, "Carriers". It is computed on the
    CPU, wherever the tensors are.

    Parameters
    ----------
    pulls : Pulls, shapes (N, 2, K)
        Slopes of a window's cost in its births and deaths, where these are pulled to, and their pixels in the image.
        Values of slope 0 and those without a pixel are not pulled.
    grad : Tensor, shape (N,), of the slopes' dtype
        The factor of each window's slopes.
    images : tuple
        The prediction and the truth (B, *image), or None if windows have no truth; and the height, or None; as for
        `framed_persistence`.
    tiling : Tiling
        How the images are cut into windows; with `border`, windows have frames.
    rule : Spread
        The dimension of the pairs, and whose windows they are of.

    Returns
    -------
    Tensor, shape (images, pixels of an image)
        Sums, by windows, then births before deaths, then columns, on any number of threads.
    """
    _, window, stride, border = tiling
    _, dim, top, side, normalise = rule
    run = torch.ops.gpuph.spread_slopes.default
    return run(*pulls, grad, *images, window, stride, border, dim, top, side, normalise)
