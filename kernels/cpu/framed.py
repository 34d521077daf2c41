"""Framed persistence: windows of a prediction and of its truth, raised by a height function, inside frames."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..records import Comparison, Found, Query, Tiling
from .persistence import NOTHING, find_pairs
from .records import Windows

Array = NDArray[Any]


def framed_persistence(pred: Array, target: Array, height: Array | None, tiling: Tiling, query: Query) -> Found[Array]:
    """Compute the persistence pairs of the windows of two images (B, *image); see `gpuph.ops.framed_persistence`."""
    found, _ = find_pairs(framed_windows(pred, target, height, tiling), len(tiling.window), query)
    return found


def matched_persistence(
    images: tuple[Array, Array, Array | None], tiling: Tiling, query: Query, comparison: Comparison
) -> tuple[Found[Array], list[Array]]:
    """Compute and match the persistence pairs of the windows of two images; see `gpuph.ops.matched_persistence`.

    Also return the partners of all pairs, in each dimension (2 N, K): columns in the diagram of the other image, or -1.
    """
    windows = framed_windows(*images, tiling)
    if tiling.is_whole() and images[2] is None:
        windows = windows._replace(copied=False)
    return find_pairs(windows, len(tiling.window), query, comparison)


def framed_windows(pred: Array, target: Array, height: Array | None, tiling: Tiling) -> Windows:
    """Return the windows of one or two images (B, *image), copied inside their frames; `target` has no rows for one."""
    rank = len(tiling.window)
    flat = [1] * (3 - rank)  # axes of size 1 that images of two axes lack
    image = *flat, *tiling.image
    pred, target = pred.reshape(len(pred), *image), target.reshape(len(target), *image)
    size, stride, counts = (*flat, *tiling.window), (*flat, *tiling.stride), (*flat, *tiling.counts())
    heights, slopes = NOTHING[pred.dtype]
    if height is not None and height.ndim == 2:
        slopes = np.zeros((len(height), 3), pred.dtype)
        slopes[:, len(flat) :] = height
    elif height is not None:
        heights = height.reshape(len(height), *size)
    frame = (*[0] * len(flat), *[int(tiling.border)] * rank)
    return Windows(pred, target, heights, slopes, size, stride, counts, frame, True)
