"""Skeleton: the descending manifolds of the saddles that last, of images or volumes."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from .image.skeleton import skeleton as image_skeleton
from .volume.skeleton import skeleton as volume_skeleton


def skeleton(x: Tensor, min_persistence: float, manifolds: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Mark the descending manifolds of the saddles of N windows, and return their status; see `gpuph.ops.skeleton`."""
    return image_skeleton(x, min_persistence) if x.dim() == 3 else volume_skeleton(x, min_persistence, manifolds)
