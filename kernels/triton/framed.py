"""Framed persistence: windows of a prediction and of its truth, raised by a height function, inside frames."""

from __future__ import annotations

from torch import Tensor

from ..records import Found, Query, Tiling
from .image import persistence as image
from .volume import persistence as volume
from .windows import copy_windows, translate_pixels


def framed_persistence(
    pred: Tensor, target: Tensor, height: Tensor | None, tiling: Tiling, query: Query
) -> Found[Tensor]:
    """Compute the persistence pairs of the windows of two images (B, *image); see `gpuph.ops.framed_persistence`."""
    pred, target, height = pred.contiguous(), target.contiguous(), None if height is None else height.contiguous()
    x = copy_windows(pred, target, height, tiling)
    if x.dim() == 3:
        return image.persistence(x, query, tiling)
    found = volume.persistence(x, query)
    for pairs in found.pairs:
        translate_pixels(pairs, tiling)
    return found
