"""The persistence pairs of a batch of volumes: every launch, in order.

As for images, nothing here reads what a kernel has computed.
"""

from __future__ import annotations

from torch import Tensor

from ...records import Found, Query
from ..counters import STATUS
from .emit import emit
from .gradient import gradient
from .merge import merge
from .reduce import reduce


def persistence(x: Tensor, query: Query) -> Found[Tensor]:
    """Compute the persistence pairs of N volumes (N, D, H, W); see `gpuph.ops.persistence`.

    Without a capacity there are as many columns as there can be pairs.
    """
    v_dims = query.v_dims(3)  # in 0, minima are paired with edges; in 1, edges with squares; in 2, squares with maxima
    x = x.contiguous()
    stars, critical, trees = gradient(x, query.top)
    loops = merge(x, stars, critical, trees, query.top, v_dims)
    del stars  # frees memory for the reduction, except for what is in `loops`
    square_of = reduce(x, loops, trees.counters, query.top, query.capacity or 0) if 1 in v_dims else None
    del loops  # frees memory for the lists of pairs
    pairs = emit(x, critical, square_of, trees, query, v_dims)
    return Found(trees.counters[:, STATUS.value].clone(), pairs)
