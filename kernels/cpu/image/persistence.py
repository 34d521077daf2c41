"""The pairs of one image, stage by stage."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...status import Status
from ..merge import merge
from ..order import order_keys
from ..records import Links, MergeTree, Saddles
from ..runtime.jit import allocating, device, inlined
from ..runtime.primitives import halted
from ..runtime.sort import argsort, radix_buckets
from ..runtime.views import flat, largest, reshaped, view
from .emit import PairedExtrema, Sorting, list_pairs, sort_pairs
from .gradient import lead_squares, lower_stars, match_stars
from .trace import CriticalCells, list_critical_cells, maxima_above, minima_below, squares_beside, steps_of

Array = NDArray[Any]


class ImageWorkspace(NamedTuple):
    """Memory for the stages of one image.

    Its grid has a ring of one vertex around the pixels, which is below all of them in T and above all of them in V. One
    vertex stands for the outside: vertex 0 in T, and the last one in V. Each list has room for all cells of the grid.
    """

    key: Array  # order keys
    star: Array  # uint16
    critical: Array  # uint16; later the moves of squares, see `gradient.lead_squares`
    steps: Array  # (2, 512) int32, see `trace.steps_of`
    cells: CriticalCells
    numbers: Array  # (3,) int64: of minima, critical edges and maxima
    ends: Array  # int32: of the walks from critical edges, two each; first, where they begin
    walking: Array  # int32, likewise
    known: Array  # int32
    order: Array  # int32: the critical edges, the least first
    renumbered: Array  # int32
    tree: MergeTree
    lengths: Array  # persistences, of the image's dtype
    sorting: Sorting


class Extrema(NamedTuple):
    """Extrema of an image. Functions without reference counts can return an array only inside a record."""

    vertices: Array  # (n,) int32


class ImageLinks(NamedTuple):
    """The links of the minima and of the maxima of one image, for a comparison with another image."""

    minima: Links
    maxima: Links


@allocating
def allocate_workspace(windows, bits, top):
    """Return a workspace for windows of images. bits : the images as integers of the size of their floats."""
    height, width = windows.size[1] + 2 * windows.frame[1] + 2, windows.size[2] + 2 * windows.frame[2] + 2
    size = (height * width + 15) // 16 * 16
    most = largest(bits.dtype)
    numbers, walks = np.empty((12, size), np.int32), np.empty((2, 2 * size), np.int32)
    keys = np.empty((2, size), bits.dtype)
    return ImageWorkspace(
        np.full(size, ~most if top else most, bits.dtype),
        np.zeros(size, np.uint16),
        np.zeros(size, np.uint16),
        steps_of(width),
        CriticalCells(numbers[0], numbers[1:3], numbers[3]),
        np.zeros(3, np.int64),
        walks[0],
        walks[1],
        numbers[4],
        numbers[5],
        numbers[6],
        MergeTree(numbers[7], numbers[8], numbers[9]),
        np.empty(size, windows.pred.dtype),
        Sorting(keys[0], keys[1], numbers[10], numbers[11], radix_buckets(), np.empty(size, np.int64)),
    )


@allocating
def allocate_links(workspace):
    """Return memory for the links of an image with that workspace."""
    numbers, counts = np.empty((6, workspace.key.size), np.int32), np.zeros(2, np.int64)
    owner_of = workspace.cells.edges[0]
    return ImageLinks(
        Links(owner_of, numbers[0], numbers[1], numbers[2], counts[:1]),
        Links(owner_of, numbers[3], numbers[4], numbers[5], counts[1:]),
    )


# Passing a workspace to a function copies its 150 words, so most of these functions are inlined.


@inlined
def room_for_codes(task, workspace):
    """Return how many codes `find_pairs` may write."""
    return workspace.key.size * (int(task.wanted[0]) + int(task.wanted[1]))


@inlined
def find_pairs(window, task, workspace, codes, used, links=None):
    """Write the pairs of a window (1, H, W) after the first `used` codes: dimension 0 of V, and then dimension 1.

    links : ImageLinks, written in the dimensions that are wanted, or None.
    Returns the number of pairs in each dimension, and the status.
    """
    return _find_pairs(window[0], task, workspace, codes[used:], links)


@device
def _find_pairs(image, task, workspace, codes, links):
    """Write the codes of the pairs of an image (H, W) in dimension 0 of V and then those in dimension 1, as wanted.

    Returns the number of pairs in each dimension, and the status.
    """
    key, cells, tree = workspace.key, workspace.cells, workspace.tree
    height, width, halt = image.shape[0] + 2, image.shape[1] + 2, task.halt
    key_rows, most = reshaped(key[: height * width], (height, width)), largest(key.dtype)
    if order_keys(image, view(image, key.dtype), most, task.top, key_rows):
        return 0, 0, Status.NAN
    values = flat(image)
    find_critical_cells(height, width, workspace)
    if halted(halt):
        return 0, 0, Status.OK
    n_edges = workspace.numbers[1]
    minima = extrema_of(False, workspace, task.top).vertices
    trace_minima(n_edges, workspace, halt)
    sort_edges(n_edges, workspace)
    if halted(halt):
        return 0, 0, Status.OK
    of_minima = saddles_of(n_edges, workspace)
    merge(key, minima, of_minima, tree, False, halt, None if links is None else links.minima)
    if halted(halt):
        return 0, 0, Status.OK
    n_0 = n_1 = 0
    if task.wanted[0]:
        paired = PairedExtrema(minima, cells.edges[0, :n_edges], tree, not task.top)
        n_0 = _emit(paired, values, width, task.min_persistence, workspace, codes)
    if task.wanted[1]:
        n_rest = drop_paired_edges(n_edges, workspace)
        maxima = extrema_of(True, workspace, not task.top).vertices
        trace_maxima(n_rest, width, workspace, halt)
        if halted(halt):
            return 0, 0, Status.OK
        of_maxima = saddles_of(n_rest, workspace)
        merge(key, maxima, of_maxima, tree, True, halt, None if links is None else links.maxima)
        if halted(halt):
            return 0, 0, Status.OK
        paired = PairedExtrema(maxima, cells.edges[0, :n_rest], tree, task.top)
        n_1 = _emit(paired, values, width, task.min_persistence, workspace, codes[n_0:])
    return n_0, n_1, Status.OK


@inlined
def find_critical_cells(height, width, workspace):
    """Find the gradient and the critical cells of an image, in a grid of that size whose keys have been written."""
    lower_stars(workspace.key, height, width, workspace.star, workspace.critical)
    led = view(workspace.known, np.uint16)[: workspace.star.size]
    match_stars(workspace.star, workspace.critical, led)
    n_minima, n_edges, n_maxima = list_critical_cells(workspace.critical, width, workspace.cells)
    lead_squares(led, width, workspace.critical)
    numbers = workspace.numbers
    numbers[0], numbers[1], numbers[2] = n_minima, n_edges, n_maxima


@inlined
def extrema_of(descending, workspace, with_outside):
    """Return the maxima (if `descending`) or the minima of an image, and after them the vertex outside, if wanted."""
    cells, numbers, more = workspace.cells, workspace.numbers, int(with_outside)
    if descending:
        n = numbers[2]
        cells.maxima[n] = workspace.star.size - 1
        return Extrema(cells.maxima[: n + more])
    n = numbers[0]
    cells.minima[n] = 0
    return Extrema(cells.minima[: n + more])


@inlined
def trace_minima(n, workspace, halt):
    """Follow n critical edges down to minima."""
    edges, at = workspace.cells.edges, workspace.ends[: 2 * n]
    ends = reshaped(at, (2, n))
    for e in range(n):
        ends[0, e], ends[1, e] = edges[0, e], edges[1, e]
    minima_below(at, workspace.star, workspace.steps, workspace.walking, workspace.known, halt)


@inlined
def trace_maxima(n, width, workspace, halt):
    """Follow the squares beside n critical edges up to maxima."""
    edges, at = workspace.cells.edges, workspace.ends[: 2 * n]
    ends = reshaped(at, (2, n))
    for e in range(n):
        ends[0, e], ends[1, e] = squares_beside(edges[0, e], edges[1, e], width)
    star, moves = workspace.star, workspace.critical
    maxima_above(at, star, moves, workspace.steps, width, workspace.walking, workspace.known, halt)


@inlined
def sort_edges(n, workspace):
    """Find the order of n critical edges, the least first."""
    sorting, owners = workspace.sorting, workspace.cells.edges[0]
    for e in range(n):
        sorting.keys[e] = workspace.key[owners[e]]
    argsort(sorting.keys[:n], workspace.order[:n], sorting.spare_keys, sorting.spare_order, sorting.buckets)


@inlined
def saddles_of(n, workspace):
    """Return n critical edges, sorted, with their ends."""
    return Saddles(workspace.order[:n], reshaped(workspace.ends[: 2 * n], (2, n)))


@inlined
def drop_paired_edges(n, workspace):
    """Keep only those of n critical edges that do not join two minima, and return their number.

    Such an edge closes a loop around a maximum: when edges are taken from the greatest down, it joins two maxima.
    """
    edges, order, renumbered = workspace.cells.edges, workspace.order, workspace.renumbered
    partner = workspace.tree.partner
    rest = 0
    for e in range(n):
        edges[0, rest], edges[1, rest], renumbered[e] = edges[0, e], edges[1, e], rest
        rest += partner[e] < 0
    rest = 0
    for e in order[:n]:
        order[rest] = renumbered[e]
        rest += partner[e] < 0
    return rest


@inlined
def _emit(paired, values, width, min_persistence, workspace, codes):
    """Write the sorted codes of one dimension and return their number."""
    n = list_pairs(paired, values, width, min_persistence, workspace.lengths, codes)
    sort_pairs(workspace.lengths[:n], codes[:n], workspace.sorting)
    return n
