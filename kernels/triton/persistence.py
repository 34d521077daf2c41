"""The persistence pairs of windows of either rank."""

from __future__ import annotations

from torch import Tensor

from ..records import Found, Query
from .image import persistence as image
from .volume import persistence as volume


def persistence(x: Tensor, query: Query) -> Found[Tensor]:
    """Compute the persistence pairs of N windows; see `gpuph.ops.persistence`."""
    return image.persistence(x, query) if x.dim() == 3 else volume.persistence(x, query)
