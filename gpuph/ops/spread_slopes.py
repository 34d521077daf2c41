"""`spread_slopes`: the gradients of images in all pixels that must move with births and deaths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from gpuph.kernels import Pulls, Spread, Tiling

from . import backend
from .backend import array, array_or_none, by_triton, current_device, tensor, warn_of_detour
from .cpu_kernels import cpu
from .define import define
from .persistence import check_cells


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
    pulls, images = Pulls(slope, goal, index, count), (pred, target, height)
    tiling = Tiling.of(pred.shape[1:], window, stride, border=border)
    spread = Spread(len(window), dim, top, side, normalise)
    _check_shapes(pulls, grad, len(pred) * tiling.windows())
    if by_triton(pred) and spread.rank == 2:
        check_cells(tiling.framed(), of_paths=True)
        run = partial(backend.triton.spread_slopes, pulls, grad, images, tiling, spread)
        with current_device(pred):
            return backend.triton.replayed(run, (*pulls, grad, *images), ("spread_slopes", *tiling, *spread))
    warn_of_detour(pred, 'gradients of volumes with spread="path"')
    arrays = Pulls(*(array(x) for x in pulls))
    of_images = array(pred), array_or_none(target), array_or_none(height)
    return tensor(cpu.spread_slopes(arrays, array(grad), of_images, tiling, spread), pred.device)


def _check_shapes(pulls: Pulls[Tensor], grad: Tensor, n: int) -> None:
    """Raise if pulls and factors are not those of n windows."""
    slope, goal, index, count = (tuple(x.shape) for x in pulls)
    if slope != index or goal != index:
        raise ValueError(f"slope and goal must have the shape of index, {index}, got {slope} and {goal}")
    if count != index[:1] or tuple(grad.shape) != index[:1]:
        raise ValueError(f"count and grad must have shape {index[:1]}, got {count} and {tuple(grad.shape)}")
    if index[0] != n:
        raise ValueError(f"slopes must be those of all {n} windows, got {index[0]} windows")


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

    The section "Carriers" of kernels/README.md says which pixels these are, and what gradients they have. For volumes,
    the sums are computed on the CPU, whatever the device of the tensors. A birth or death whose pixel is outside its
    window raises on the CPU, and is ignored on other devices.

    Parameters
    ----------
    pulls : Pulls, shapes (N, 2, K)
        Slopes of a window's cost in its births and deaths, the values that these are pulled to, and their pixels in the
        image. Births and deaths without a slope or without a pixel are not pulled.
    grad : Tensor, shape (N,), of the slopes' dtype
        The factor of each window's slopes.
    images : tuple
        The prediction and the truth (B, *image), or None if windows have no truth; and the height, or None; as for
        `framed_persistence`.
    tiling : Tiling
        How the images are cut into windows; with `border`, windows have frames.
    rule : Spread
        The dimension of the pairs, and whether they are of the prediction or of the truth.

    Returns
    -------
    Tensor, shape (images, pixels of an image)
        Sums, in the order of windows, then births before deaths, then columns, whatever the number of threads.
    """
    _, window, stride, border = tiling
    _, dim, top, side, normalise = rule
    run = torch.ops.gpuph.spread_slopes.default
    return run(*pulls, grad, *images, window, stride, border, dim, top, side, normalise)
