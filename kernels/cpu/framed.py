"""Framed persistence: windows of a prediction and of its truth, raised by a height function, inside frames."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from ..records import Found, Query, Tiling
from .persistence import find_pairs

Array = NDArray[Any]


def framed_persistence(pred: Array, target: Array, height: Array | None, tiling: Tiling, query: Query) -> Found[Array]:
    """Compute the persistence pairs of the windows of two images (B, *image); see `gpuph.ops.framed_persistence`."""
    return find_pairs([pred, target], height, tiling, query)
