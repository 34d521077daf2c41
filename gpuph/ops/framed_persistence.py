"""`framed_persistence`: the persistence pairs of the windows of a prediction and its truth, inside frames."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gpuph.kernels import Found, Query, Tiling

from . import backend
from .backend import array, array_or_none, by_triton, current_device
from .cpu_kernels import cpu
from .define import define
from .pairs import Flat, fake_pairs, flat, flat_on, named, narrowed
from .persistence import check_cells


def _fake(
    pred: Tensor,
    target: Tensor,
    height: Tensor | None,
    window: Sequence[int],
    stride: Sequence[int],
    border: bool,
    dims: Sequence[int],
    top: bool,
    capacity: int | None,
) -> Flat:
    tiling = Tiling.of(pred.shape[1:], window, stride, border=border)
    return fake_pairs(pred, 2 * pred.shape[0] * tiling.windows(), dims, capacity)


def _run(
    pred: Tensor,
    target: Tensor,
    height: Tensor | None,
    window: Sequence[int],
    stride: Sequence[int],
    border: bool,
    dims: Sequence[int],
    top: bool,
    capacity: int | None,
) -> Flat:
    tiling = Tiling.of(pred.shape[1:], window, stride, border=border)
    query = Query(tuple(dims), top, 0.0, capacity)
    if not by_triton(pred):
        images = array(pred), array(target), array_or_none(height)
        return flat_on(pred.device, cpu.framed_persistence(*images, tiling, query))
    check_cells(tiling.framed())
    with current_device(pred):
        found = backend.triton.framed_persistence(pred, target, height, tiling, query)
    return flat(narrowed(found) if capacity is None and pred.is_cpu else found)


define(
    "framed_persistence(Tensor pred, Tensor target, Tensor? height, int[] window, int[] stride, bool border,"
    " int[] dims, bool top, int? capacity) -> (Tensor, Tensor[], Tensor[], Tensor[])",
    _fake,
    _run,
)


def framed_persistence(
    pred: Tensor, target: Tensor, height: Tensor | None, tiling: Tiling, query: Query
) -> Found[Tensor]:
    """Compute the persistence pairs of the windows of two images, with a height function added and inside frames.

    The frame is at the common minimum of the two windows in the same place, so that both filtrations begin with it.

    Parameters
    ----------
    pred, target : Tensor, shape (B, *image), float32 or float64
        Images or volumes.
    height : Tensor, shape (1, *window), (N, *window), (1, axes) or (N, axes), of the images' dtype, or None
        The height of each pixel, or the slopes along the axes of a linear function that is 0 in the window's centre:
        one for all windows, or one for each of the N windows of either image.
    tiling : Tiling
        How the images are cut into windows; with `border`, windows have frames.
    query : Query
        As for `persistence`; `min_persistence` must be 0.

    Returns
    -------
    Found
        Status and pairs of the windows of `pred` and then of those of `target`, 2 N in all. Indices are of pixels in
        the image that the window was cut from, and -1 for a pixel of the frame and for the death of an essential class.
        Columns after the last pair may hold anything.
    """
    _, window, stride, border = tiling
    dims, top, _, capacity = query
    run = torch.ops.gpuph.framed_persistence.default
    return named(run(pred, target, height, window, stride, border, dims, top, capacity))
