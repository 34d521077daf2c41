"""The localized filtration's pairs: windows of a prediction and of its truth, laid in frames, from floats to pairs."""

from __future__ import annotations

from torch import Tensor

from ..records import Found, Query, Tiling
from .image import persistence as image
from .volume import persistence as volume
from .windows import lay, layout_of, locate


def framed_persistence(
    pred: Tensor, target: Tensor, height: Tensor | None, tiling: Tiling, query: Query
) -> Found[Tensor]:
    """Compute the persistence pairs of the windows of two images (B, *image); see `gpuph.ops.framed_persistence`."""
    pred, target, height = pred.contiguous(), target.contiguous(), None if height is None else height.contiguous()
    x = lay(pred, target, height, tiling)
    layout = layout_of(len(x) // 2, tiling)
    if x.dim() == 3:
        return image.persistence(x, query, padded=False, layout=layout)
    found = volume.persistence(x, query)
    for pairs in found.pairs:
        locate(pairs.index, pairs.count, layout)
    return found
