"""The localized filtration's pairs: windows of a prediction and of its truth, laid in frames, from floats to pairs."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from .persistence import persistence
from .persistence3 import persistence3
from .windows import lay, locate


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
    find = persistence if x.dim() == 3 else persistence3
    status, *pairs = find(x, dims, top, 0.0, capacity)
    parts = [locate(*part, pred.shape[1:], window, stride, border) for part in zip(*pairs, strict=True)]
    index, values, count = ([part[k][i] for k in range(2) for part in parts] for i in range(3))
    return status, index, values, count
