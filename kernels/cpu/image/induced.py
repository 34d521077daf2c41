"""Induced matching of the classes of two images, by dimension; see `kernels.cpu.induced`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..induced import Joins, Seniority, keep_images, lead, link, merge_by
from ..merge import merge
from ..order import order_keys
from ..records import MergeTree
from ..runtime.jit import allocating, device, inlined
from ..runtime.jit import unsigned as _i
from ..runtime.primitives import halted
from .gradient import lower_stars, match_stars
from .persistence import (
    ImageWorkspace,
    allocate_workspace,
    saddles_of,
    sort_edges,
    trace_maxima,
    trace_minima,
)
from .trace import list_critical_cells, maxima_above, minima_below

Array = NDArray[Any]


class InducedWorkspace(NamedTuple):
    """Memory for the induced matching of two images: for either image, for the compared one, and for both."""

    a: ImageWorkspace
    b: ImageWorkspace
    both: ImageWorkspace
    of_a: Seniority
    of_b: Seniority
    named: Array  # (2, cells) int32: at an extremum of the compared one, the extremum of either image
    reached: Array  # (cells,) int32


class _Numbers(NamedTuple):
    """The numbers of critical cells of an image."""

    minima: int
    edges: int
    maxima: int


@allocating
def allocate_induced(windows, bits, top):
    """Return a workspace for windows of images; see `persistence.allocate_workspace`."""
    a, b = allocate_workspace(windows, bits, top), allocate_workspace(windows, bits, top)
    both, size = allocate_workspace(windows, bits, top), a.key.size
    return InducedWorkspace(
        a, b, both, _seniority(size), _seniority(size), np.empty((2, size), np.int32), np.empty(size, np.int32)
    )


@allocating
def _seniority(size):
    """Return memory for the seniority of extrema in a grid of that size."""
    numbers = np.empty((8, size), np.int32)
    tree = MergeTree(numbers[0], numbers[1], numbers[2])
    return Seniority(numbers[3], numbers[4], numbers[5:7].reshape(2 * size), numbers[7], tree)


@device
def induce_images(pair, task, intersection, workspace, linked):
    """Find which extrema of one image have their class in common with which of the other, in each dimension of V.

    pair : (2, 1, H, W); a NaN in it must have been found before. intersection : whether h is such that its sublevel
    sets are intersections; they are unions if not. linked : (2, cells), written at the extrema of the first image, in
    the grid with its ring, if the dimension is wanted: the extremum of the second, or -1.
    """
    a, b, both, halt = workspace.a, workspace.b, workspace.both, task.halt
    height, width = pair.shape[2] + 2, pair.shape[3] + 2
    _write_keys(pair[0, 0], task.top, a)
    _write_keys(pair[1, 0], task.top, b)
    greater = task.top != intersection  # in T, keys are those of the negated images
    for v in range(both.key.size):
        first, second = a.key[v], b.key[v]
        both.key[v] = max(first, second) if greater else min(first, second)
    n_a, n_b = _find_critical_cells(height, width, a), _find_critical_cells(height, width, b)
    n_both = _find_critical_cells(height, width, both)
    # The saddles are those of the function whose order ends the image classes of minima, or begins those of maxima.
    if task.wanted[int(greater)]:
        sort_edges(n_both.edges, both)
    if task.wanted[int(not greater)]:
        sort_edges(n_a.edges, a)
        sort_edges(n_b.edges, b)
    for dim in range(2):
        linked[dim] = -1
        if not task.wanted[dim] or halted(halt):
            continue
        if greater == (dim == 1):
            _link_at_saddles_of_both(dim == 1, width, task, workspace, n_a, n_b, n_both, linked[dim])
        else:
            named = workspace.named
            _name(dim == 1, width, task, workspace, a, n_a, n_both, named[0])
            _name(dim == 1, width, task, workspace, b, n_b, n_both, named[1])
            for z in _joins(dim == 1, task.top, both, n_both).within:
                if named[0, z] >= 0 and named[1, z] >= 0:
                    linked[dim, named[0, z]] = named[1, z]


@device
def _write_keys(image, top, workspace):
    """Write the order keys of an image (H, W) inside their ring."""
    key, height, width = workspace.key, image.shape[0] + 2, image.shape[1] + 2
    most = key.dtype.type(np.iinfo(key.dtype).max)
    order_keys(image, image.view(key.dtype), most, top, key[: height * width].reshape(height, width))


@device
def _find_critical_cells(height, width, workspace):
    """List the critical cells of an image, and return their numbers."""
    lower_stars(workspace.key, height, width, workspace.star, workspace.critical)
    match_stars(workspace.star, workspace.critical)
    n_minima, n_edges, n_maxima = list_critical_cells(workspace.critical, width, workspace.cells)
    return _Numbers(n_minima, n_edges, n_maxima)


@device
def _follow_edges(descending, n, width, workspace, halt):
    """Follow the critical edges down to minima, or the squares beside them up to maxima."""
    if descending:
        trace_maxima(n, width, workspace, halt)
    else:
        trace_minima(n, workspace, halt)


@device
def _follow_extrema(extrema, descending, width, workspace, reached, halt):
    """Find where the gradient of an image leads from the extrema of another one. reached : (n,), written."""
    star, steps, walking, known = workspace.star, workspace.steps, workspace.walking, workspace.known
    for i in range(extrema.size):
        reached[i] = extrema[i] - (width + 1 if descending else 0)  # a maximum's square is north-west of its owner
    if descending:
        maxima_above(reached, star, steps, width, walking, known, halt)
    else:
        minima_below(reached, star, steps, walking, known, halt)


@inlined
def _joins(descending, top, workspace, n):
    """Return the joins of an image; the ends of its saddles are meaningful once its critical edges were followed."""
    cells = workspace.cells
    outside = descending != top  # comes before all extrema
    if descending:
        cells.maxima[n.maxima] = workspace.key.size - 1
        extrema, within = cells.maxima[: n.maxima + int(outside)], cells.maxima[: n.maxima]
    else:
        cells.minima[n.minima] = 0
        extrema, within = cells.minima[: n.minima + int(outside)], cells.minima[: n.minima]
    return Joins(cells.edges[0, : n.edges], saddles_of(n.edges, workspace), extrema, within)


@device
def _merge_by_other(descending, width, task, workspace, n, other, n_other, joining, reached, seniority):
    """Merge the extrema of an image by the seniority of another one's. joining : see `merge_by`."""
    joins, extrema = _joins(descending, task.top, workspace, n), _joins(descending, task.top, other, n_other).within
    _follow_extrema(extrema, descending, width, workspace, reached[: extrema.size], task.halt)
    lead(reached, extrema, other.key, joins, descending, seniority.eldest)
    merge_by(other.key, joins, joining, seniority, descending, task.halt)


@device
def _link_at_saddles_of_both(descending, width, task, workspace, n_a, n_b, n_both, linked):
    """Link the extrema of both images whose classes the same saddle of the compared function ends or begins."""
    a, b, both, of_a, of_b = workspace.a, workspace.b, workspace.both, workspace.of_a, workspace.of_b
    _follow_edges(descending, n_both.edges, width, both, task.halt)
    _merge_by_other(descending, width, task, both, n_both, a, n_a, both.cells.edges[0], workspace.reached, of_a)
    _merge_by_other(descending, width, task, both, n_both, b, n_b, of_a.tree.partner, workspace.reached, of_b)
    joins = _joins(descending, task.top, both, n_both)
    keep_images(a.key, both.key, joins, of_a.tree.partner, task, both.lengths, descending)
    keep_images(b.key, both.key, joins, of_b.tree.partner, task, both.lengths, descending)
    link(joins, of_a.tree.partner, a.key, of_b.tree.partner, b.key, descending, linked)


@device
def _name(descending, width, task, workspace, image, n, n_both, named):
    """Find the extremum of an image whose class has the image class of each extremum of the compared function."""
    both, seniority = workspace.both, workspace.of_a
    _follow_edges(descending, n.edges, width, image, task.halt)
    joins = _joins(descending, task.top, image, n)
    merge(image.key, joins.extrema, joins.saddles, image.tree, descending, task.halt)
    _merge_by_other(descending, width, task, image, n, both, n_both, image.tree.partner, workspace.reached, seniority)
    keep_images(both.key, image.key, joins, seniority.tree.partner, task, both.lengths, descending)
    for z in _joins(descending, task.top, both, n_both).within:
        named[_i(z)] = -1
    link(joins, seniority.tree.partner, both.key, image.tree.partner, image.key, descending, named)
