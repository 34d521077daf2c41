"""Skeleton: the descending manifolds of the saddles that last, of images or volumes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from .image.skeleton import skeleton as image_skeleton
from .volume.skeleton import skeleton as volume_skeleton

Array = NDArray[Any]


def skeleton(x: Array, min_persistence: float, manifolds: Sequence[int]) -> Array:
    """Mark the descending manifolds of the saddles of N windows; see `gpuph.ops.skeleton`."""
    on_rank = image_skeleton if x.ndim == 3 else volume_skeleton
    return on_rank(x, min_persistence, manifolds)
