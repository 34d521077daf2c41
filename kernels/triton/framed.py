"""The localized filtration's pairs: windows of a prediction and of its truth, laid in frames, from floats to pairs."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from .image.persistence import persistence
from .volume.persistence import persistence3
from .windows import lay, layout_of, locate


def localized(
    pred: Tensor,
    target: Tensor,
    height: Tensor | None,
    window: Sequence[int],
    stride: Sequence[int],
    border: bool,
    dims: Sequence[int],
    top: bool,
    capacity: int | None,
) -> tuple[Tensor, list[Tensor], list[Tensor], list[Tensor]]:
    """Pairs of critical pixels of the windows of two images (B, *image); see `gpuph.ops.localized`."""
    pred, target, height = pred.contiguous(), target.contiguous(), None if height is None else height.contiguous()
    x = lay(pred, target, height, window, stride, border)
    layout = layout_of(len(x) // 2, pred.shape[1:], window, stride, border)
    if x.dim() == 3:
        return persistence(x, dims, top, 0.0, capacity, padded=False, layout=layout)
    status, index, value, count = persistence3(x, dims, top, 0.0, capacity)
    for pixels, found in zip(index, count, strict=True):
        locate(pixels, found, layout)
    return status, index, value, count
