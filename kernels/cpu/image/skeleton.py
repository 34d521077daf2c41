"""Skeleton: the separatrices of the gradient that last, as pixels.

From a critical edge, a saddle, the steepest gradient leads down to two minima, along the valleys that meet there. Where
several edges of one vertex are critical, the one with the lowest other end comes first. Saddles of little persistence
are cancelled (Dey, Wang, Wang 2018): their own ways are dropped, and a way that ends in a minimum that such a saddle
takes goes on across it, to a minimum that lasts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..merge import merge
from ..runtime.interrupt import halt_word, interruptible
from ..runtime.jit import allocating, device, kernel
from ..runtime.jit import unsigned as _i
from ..runtime.primitives import halted
from ..runtime.sort import argsort, no_places
from ..runtime.threads import over_windows
from .gradient import lower_stars, match_stars, order_keys
from .persistence import as_integers
from .steepest import critical_cells, match_words, order_neighbours, owners_of_squares, steps_of
from .trace import minima_below, squares_above, squares_beside

Array = NDArray[Any]


@interruptible(lambda x, *_: x.size >= 1 << 20)
def skeleton(x: Array, min_persistence: float, manifolds: Sequence[int]) -> Array:
    """Pixels of the separatrices of N images; see `gpuph.ops.skeleton`. There are manifolds of dimension 1 only."""
    mask = np.zeros(x.shape, bool)
    bits, steps, halt = as_integers(x), steps_of(x.shape[2] + 2), halt_word()

    def run(start: int, stop: int) -> None:
        rows = slice(start, stop)
        _skeletons(x[rows], bits[rows], min_persistence, steps, mask[rows], halt)

    over_windows(len(x), run)
    return mask


@kernel
def _skeletons(x, bits, min_persistence, steps, mask, halt):
    """Skeletons of the images of a slice.

    x, mask : (N, H, W); bits : x as integers. steps : of `steps_of`. mask stays False where there is a NaN. halt : see
    `halted`.
    """
    height, width = x.shape[1] + 2, x.shape[2] + 2
    cells = height * width
    size = (cells + 15) // 16 * 16
    most = np.iinfo(bits.dtype).max
    # As in `persistence`, in the construction V: the ring is above every pixel.
    key, value = np.full(size, most, bits.dtype), np.full(size, np.inf, x.dtype)
    star, critical = np.zeros(size, np.uint16), np.zeros(size, np.uint16)
    key_rows, value_rows = key[:cells].reshape(height, width), value[:cells].reshape(height, width)
    minima, maxima = np.empty(size, np.int32), np.empty(size, np.int32)
    walking, known = np.empty(size, np.int32), np.empty(size, np.int32)
    room, up = np.empty((2, size), np.int32), np.empty((2, size), np.int32)
    ends_room = np.empty((2, size), np.int32)
    tree = np.empty(size, np.int32), np.empty(size, np.int32)
    marked = np.empty(size, np.bool_)
    marked_rows = marked[:cells].reshape(height, width)
    for i in range(len(x)):
        if order_keys(x[i], bits[i], most, False, key_rows):
            continue
        value_rows[1:-1, 1:-1] = x[i]
        lower_stars(key, height, width, star, critical)
        match_stars(star, critical)
        order_neighbours(key, height, width, star)
        match_words(star, critical)
        n_minima, n_edges, n_maxima = critical_cells(critical, key, width, minima, room, maxima)
        edges, ends = room[:, :n_edges], ends_room[:, :n_edges]
        for k in range(2):
            ends[k] = edges[k]
            minima_below(ends[k], star, steps, walking, known, halt)
        order = np.empty(n_edges, np.int32)
        spare_keys, spare_order = np.empty(n_edges, key.dtype), np.empty(n_edges, np.int32)
        argsort(key[edges[0]], order, spare_keys, spare_order, no_places())
        if halted(halt):
            return
        killed, closed = np.empty(n_edges, np.int32), np.full(n_edges, -1, np.int32)
        merge(key, minima[:n_minima], order, ends, False, tree[0], tree[1], killed, halt)

        # An edge that joins no two minima closes a loop, around a maximum that fills it.
        rest = order[killed[order] < 0]
        for e in range(n_edges):
            up[0, e], up[1, e] = squares_beside(edges[0, e], edges[1, e], width)
        for k in range(2):
            squares_above(up[k, :n_edges], star, steps, width, walking, known, halt)
            owners_of_squares(up[k, :n_edges], star, width)
        if halted(halt):
            return
        maxima[n_maxima] = size - 1
        merge(key, maxima[: n_maxima + 1], rest, up, True, tree[0], tree[1], closed, halt)
        if halted(halt):
            return

        lasts = np.empty(n_edges, np.bool_)
        for e in range(n_edges):
            born, died = (killed[e], edges[0, e]) if killed[e] >= 0 else (edges[0, e], closed[e])
            lasts[e] = value[died] - value[born] > min_persistence  # not so for two infinities
        ways = kept(ends, killed, lasts, size)
        marked[:] = False
        for e in range(n_edges):
            if ways[e]:
                for v in edges[:, e]:
                    _mark_down(v, star, steps[0], marked)
        mask[i] = marked_rows[1:-1, 1:-1]


@device
def _mark_down(v, star, down, marked):
    """Mark the way from a vertex down to a minimum, or to where another way has been."""
    while not marked[_i(v)]:
        marked[_i(v)] = True
        v += down[star[_i(v)]]


@allocating
def kept(ends, killed, lasts, n):
    """Which saddles have separatrices in the skeleton.

    ends : (2, m) the minima, numbers below n, that a saddle joins; killed : (m,) the one whose class it ends, or -1.
    lasts : (m,) bool, False for saddles that are cancelled.
    Returns (m,) bool: the saddles that last, and the cancelled ones on the way from the minima that they join to minima
    that last.
    """
    m = lasts.size
    # Cancelled saddles join minima to trees, in each of which one minimum lasts. At each minimum, its saddles begin at:
    begin = np.zeros(n + 2, np.int32)
    taken = np.zeros(n, np.bool_)
    for e in range(m):
        if killed[e] >= 0 and not lasts[e]:
            begin[ends[0, e] + 2] += 1
            begin[ends[1, e] + 2] += 1
            taken[killed[e]] = True
    for u in range(n):
        begin[u + 2] += begin[u + 1]
    saddles = np.empty(begin[n + 1], np.int32)
    for e in range(m):
        if killed[e] >= 0 and not lasts[e]:
            for side in range(2):
                u = ends[side, e]
                saddles[begin[u + 1]] = e
                begin[u + 1] += 1
    # From the minima that last, outwards: the saddle by which each other one goes home.
    home = np.full(n, -1, np.int32)
    queue = np.empty(saddles.size + 1, np.int32)
    for root in range(n):
        if taken[root] or begin[root] == begin[root + 1]:
            continue
        queue[0] = root
        done, size = 0, 1
        while done < size:
            u = queue[done]
            done += 1
            for place in range(begin[u], begin[u + 1]):
                e = saddles[place]
                if e != home[u]:
                    v = ends[0, e] + ends[1, e] - u
                    home[v] = e
                    queue[size] = v
                    size += 1
    ways = lasts.copy()
    for e in range(m):
        if lasts[e]:
            for side in range(2):
                u = ends[side, e]
                while home[u] >= 0 and not ways[home[u]]:
                    ways[home[u]] = True
                    u = ends[0, home[u]] + ends[1, home[u]] - u
    return ways
