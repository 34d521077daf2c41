"""The stages that images and volumes have each in a form of their own, chosen by the rank of the windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from ..records import Found, Query
from .image import persistence as image
from .image.skeleton import skeleton as image_skeleton
from .volume import persistence as volume
from .volume.skeleton import skeleton as volume_skeleton

Array = NDArray[Any]


def persistence(x: Array, query: Query) -> Found[Array]:
    """Compute the persistence pairs of N windows; see `gpuph.ops.persistence`."""
    return image.persistence(x, query) if x.ndim == 3 else volume.persistence(x, query)


def skeleton(x: Array, min_persistence: float, manifolds: Sequence[int]) -> Array:
    """Mark the descending manifolds of the saddles of N windows; see `gpuph.ops.skeleton`."""
    on_rank = image_skeleton if x.ndim == 3 else volume_skeleton
    return on_rank(x, min_persistence, manifolds)
