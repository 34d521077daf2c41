"""The volumes of a batch from floats to pairs: every launch, in order.

As in 2D, nothing here reads what a kernel has computed.
"""

from __future__ import annotations

from torch import Tensor

from ...records import Found, Query
from .emit import emit
from .gradient import STATUS, gradient
from .merge import merge
from .reduce import reduce


def persistence(x: Tensor, query: Query) -> Found[Tensor]:
    """Compute the persistence pairs of N volumes (N, D, H, W); see `gpuph.ops.persistence`.

    Without a capacity there are as many columns as pairs can occur.
    """
    dims, top, min_persistence, capacity = query
    # By duality the dimensions of T are those of V(-f) from behind.
    sides = [2 - dim if top else dim for dim in dims]
    loops = 1 in sides

    x = x.contiguous()
    star, edges, squares, first_edge, first_square, extrema, tree, counters = gradient(x, top)
    lists = edges, squares, first_edge, first_square, extrema, tree
    of_loops = merge(x, star, *lists, counters, top, loops or 0 in sides, loops or 2 in sides, loops)
    del lists, first_square  # makes room for the reduction, and below for the lists of pairs
    square_of = reduce(x, star, squares, first_edge, *of_loops, counters, top, capacity or 0) if loops else edges
    del star, first_edge, of_loops
    pairs = emit(x, edges, squares, square_of, extrema, tree, counters, top, sides, min_persistence, capacity)
    return Found(counters[:, STATUS.value].clone(), pairs)
