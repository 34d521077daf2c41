"""Skeleton: the separatrices of the gradient that last, as pixels.

From a critical edge, a saddle, the steepest gradient leads down to two minima, along the valleys that meet there. If
several edges of one vertex are critical, the one with the lowest other end comes first. Saddles of low persistence are
cancelled (Dey, Wang, Wang 2018): their own paths are dropped, and a path to a minimum whose class such a saddle ends
continues across the saddle, until it reaches a minimum that lasts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..merge import merge
from ..order import as_integers, order_keys
from ..records import MergeTree, Saddles
from ..runtime.interrupt import halt_word, interruptible
from ..runtime.jit import allocating, device, kernel
from ..runtime.jit import unsigned as _i
from ..runtime.primitives import halted
from ..runtime.sort import argsort, radix_buckets
from ..runtime.threads import over_windows
from ..runtime.views import largest, reshaped, view
from .gradient import lower_stars, match_stars
from .steepest import lead_squares, match_words, order_neighbours, owners_of_squares, steps_of
from .trace import CriticalCells, follow, list_critical_cells, minima_below, squares_beside

Array = NDArray[Any]


class _SkeletonWorkspace(NamedTuple):
    """Memory for the stages of one image, as in `persistence.ImageWorkspace`, in the construction V."""

    key: Array
    value: Array  # the image, in the grid; +inf on the ring
    star: Array  # stars, later words
    critical: Array  # later the moves of squares
    cells: CriticalCells
    ends: Array  # (2, cells) int32: minima below the critical edges
    up: Array  # (2, cells) int32: maxima above them
    walking: Array  # int32
    known: Array  # int32
    tree: MergeTree
    marked: Array  # bool


@interruptible(lambda x, *_: x.size >= 1 << 20)
def skeleton(x: Array, min_persistence: float, manifolds: Sequence[int]) -> Array:
    """Mark the separatrices of N images; see `gpuph.ops.skeleton`. An image has manifolds of dimension 1 only."""
    mask = np.zeros(x.shape, bool)
    bits, steps, halt = as_integers(x), steps_of(x.shape[2] + 2), halt_word()

    def run(start: int, stop: int) -> None:
        rows = slice(start, stop)
        _skeletons(x[rows], bits[rows], min_persistence, steps, mask[rows], halt)

    over_windows(len(x), run)
    return mask


@allocating
def _allocate_workspace(x, bits):
    """Return a workspace for images (N, H, W). bits : the images as integers of the size of their floats."""
    size = ((x.shape[1] + 2) * (x.shape[2] + 2) + 15) // 16 * 16
    numbers, pairs = np.empty((6, size), np.int32), np.empty((6, size), np.int32)
    return _SkeletonWorkspace(
        np.full(size, largest(bits.dtype), bits.dtype),
        np.full(size, np.inf, x.dtype),
        np.zeros(size, np.uint16),
        np.zeros(size, np.uint16),
        CriticalCells(numbers[0], pairs[:2], numbers[1]),
        pairs[2:4],
        pairs[4:],
        numbers[2],
        numbers[3],
        MergeTree(numbers[4], numbers[5], np.empty(size, np.int32)),
        np.empty(size, np.bool_),
    )


@kernel
def _skeletons(x, bits, min_persistence, steps, mask, halt):
    """Mark the skeletons of the images of a slice.

    x, mask : (N, H, W); bits : x as integers. steps : see `steps_of`. halt : see `halted`. The mask of an image with a
    NaN is not written.
    """
    workspace = _allocate_workspace(x, bits)
    key, star, value, cells = workspace.key, workspace.star, workspace.value, workspace.cells
    height, width = x.shape[1] + 2, x.shape[2] + 2
    key_rows = reshaped(key[: height * width], (height, width))
    value_rows = reshaped(value[: height * width], (height, width))
    marked = workspace.marked
    marked_rows = reshaped(marked[: height * width], (height, width))
    for i in range(len(x)):
        if order_keys(x[i], bits[i], largest(key.dtype), False, key_rows):
            continue
        value_rows[1:-1, 1:-1] = x[i]
        lower_stars(key, height, width, star, workspace.critical)
        match_stars(star, workspace.critical, view(workspace.known, np.uint16)[: star.size])
        order_neighbours(key, height, width, star)
        match_words(star, workspace.critical)
        n_minima, n_edges, n_maxima = list_critical_cells(workspace.critical, width, cells, key)
        edges, ends, up = cells.edges[:, :n_edges], workspace.ends[:, :n_edges], workspace.up[:, :n_edges]
        for k in range(2):
            ends[k] = edges[k]
            minima_below(ends[k], star, steps, workspace.walking, workspace.known, halt)
        order = np.empty(n_edges, np.int32)
        spare_keys, spare_order = np.empty(n_edges, key.dtype), np.empty(n_edges, np.int32)
        argsort(key[edges[0]], order, spare_keys, spare_order, radix_buckets())
        if halted(halt):
            return
        merge(key, cells.minima[:n_minima], Saddles(order, ends), workspace.tree, False, halt)
        killed = workspace.tree.partner[:n_edges].copy()

        # An edge that does not join two minima closes a loop around a maximum, which fills the loop.
        rest = order[killed[order] < 0]
        for e in range(n_edges):
            up[0, e], up[1, e] = squares_beside(edges[0, e], edges[1, e], width)
        moves = workspace.critical
        lead_squares(star, width, moves)
        for k in range(2):
            follow(up[k], moves, steps[1], workspace.walking, workspace.known, halt)
            owners_of_squares(up[k], star, width)
        if halted(halt):
            return
        cells.maxima[n_maxima] = star.size - 1
        merge(key, cells.maxima[: n_maxima + 1], Saddles(rest, up), workspace.tree, True, halt)
        closed = workspace.tree.partner
        if halted(halt):
            return

        lasts = np.empty(n_edges, np.bool_)
        for e in range(n_edges):
            born, died = (killed[e], edges[0, e]) if killed[e] >= 0 else (edges[0, e], closed[e])
            lasts[e] = value[died] - value[born] > min_persistence  # False for two infinities
        on_separatrix = separatrices(ends, killed, lasts, star.size)
        marked[:] = False
        for e in range(n_edges):
            if on_separatrix[e]:
                for v in edges[:, e]:
                    _mark_path(v, star, steps[0], marked)
        mask[i] = marked_rows[1:-1, 1:-1]


@device
def _mark_path(v, star, down, marked):
    """Mark the path from a vertex down to a minimum, or to a vertex that is marked already."""
    while not marked[_i(v)]:
        marked[_i(v)] = True
        v += down[star[_i(v)]]


@allocating
def separatrices(ends, killed, lasts, n):
    """Return which saddles have separatrices in the skeleton, (m,) bool.

    These are the saddles that last, and the cancelled ones on the paths from the minima which they join to minima that
    last.

    ends : (2, m) the minima, numbers below n, that a saddle joins; killed : (m,) the one whose class it ends, or -1.
    lasts : (m,) bool, False for saddles that are cancelled.
    """
    m = lasts.size
    # Cancelled saddles join minima to trees, in each of which one minimum lasts. `begin` is where the saddles of each
    # minimum begin in `saddles`.
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
            for end in range(2):
                u = ends[end, e]
                saddles[begin[u + 1]] = e
                begin[u + 1] += 1
    # A search from the minima that last: `home` is the saddle that leads each other minimum to the one of its tree.
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
    used = lasts.copy()
    for e in range(m):
        if lasts[e]:
            for end in range(2):
                u = ends[end, e]
                while home[u] >= 0 and not used[home[u]]:
                    used[home[u]] = True
                    u = ends[0, home[u]] + ends[1, home[u]] - u
    return used
