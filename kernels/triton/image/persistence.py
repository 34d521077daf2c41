"""The windows of a batch from floats to pairs: every launch, in order.

Nothing here reads what a kernel has computed, and no shape depends on it, so that the host runs ahead of the device and
a CUDA graph can record it all.
"""

from __future__ import annotations

from torch import Tensor

from ...records import Found, Query
from ..windows import Layout
from .emit import emit
from .gradient import STATUS, gradient
from .merge import merge


def persistence(x: Tensor, query: Query, padded: bool = True, layout: Layout | None = None) -> Found[Tensor]:
    """Compute the persistence pairs of N images; see `gpuph.ops.persistence`.

    Without a capacity there are as many columns as pairs can occur. Unless `padded`, what stands behind the pairs means
    nothing; to fill it moves more memory than the pairs do. With a layout, the pixels are those of the images that have
    been cut into the windows.
    """
    dims, top, min_persistence, capacity = query
    # Minima and saddles pair in dimension 0 of V; turned round by duality, they are loops in T.
    of_minima = 1 if top else 0
    wanted = of_minima in dims, 1 - of_minima in dims

    x = x.contiguous()
    descents, squares, saddles, extrema, tree, counters = gradient(x, top)
    merge(x, descents, squares, saddles, tree, counters, top, *wanted)
    del descents, squares, saddles  # makes room for the lists of pairs
    pairs = emit(x, extrema, tree, counters, top, *wanted, min_persistence, capacity, padded, layout)
    in_order = slice(None, None, 1 if dims[0] == of_minima else -1)
    return Found(counters[:, STATUS.value].clone(), pairs[in_order])
