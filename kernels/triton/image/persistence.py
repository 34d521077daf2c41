"""The persistence pairs of a batch of images: every launch, in order.

Nothing here reads what a kernel has computed, and no shape depends on it. So the host runs ahead of the device, and a
CUDA graph can record all launches.
"""

from __future__ import annotations

from torch import Tensor

from ...records import Found, Query, Tiling
from ..counters import STATUS
from .emit import emit
from .gradient import gradient
from .merge import merge


def persistence(x: Tensor, query: Query, tiling: Tiling | None = None) -> Found[Tensor]:
    """Compute the persistence pairs of N images; see `gpuph.ops.persistence`.

    Without a capacity there are as many columns as there can be pairs. If x holds the windows of `copy_windows`,
    `tiling` tells how they were cut; the pixels in the result are then those of the images, and columns after the last
    pair are not initialised, because filling them moves more memory than the pairs do.
    """
    v_dims = query.v_dims(2)  # in 0, minima are paired with edges, and in 1, edges with maxima
    x = x.contiguous()
    found, trees = gradient(x, query.top)
    merge(x, found, trees, query.top, v_dims)
    del found  # frees memory for the lists of pairs
    pairs = emit(x, trees, query, v_dims, tiling)
    return Found(trees.counters[:, STATUS.value].clone(), pairs)
