"""Induced matching of the classes of two images, by dimension; see `kernels.cpu.induced`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..induced import Carried, Joins, keep_images, lead, link, merge_both
from ..order import order_keys
from ..runtime.jit import allocating, device, inlined
from ..runtime.jit import unsigned as _i
from ..runtime.primitives import halted
from ..runtime.views import largest, reshaped, view
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
    eldest: Array  # (2, cells) int32, see `Carried`
    partner: Array  # (2, cells) int32
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
    both, numbers = allocate_workspace(windows, bits, top), np.empty((7, a.key.size), np.int32)
    return InducedWorkspace(a, b, both, numbers[:2], numbers[2:4], numbers[4:6], numbers[6])


@device
def induce_images(pair, task, intersection, workspace, linked):
    """Find which extrema of one image have their class in common with which of the other, in each dimension of V.

    pair : (2, 1, H, W). intersection : whether h is such that its sublevel sets are intersections; they are unions if
    not. workspace : with the keys of the images. linked : (2, cells), written at the extrema of the first image, in the
    grid with its ring, if the dimension is wanted: the extremum of the second, or -1.
    """
    a, b, both, halt = workspace.a, workspace.b, workspace.both, task.halt
    height, width = pair.shape[2] + 2, pair.shape[3] + 2
    greater = task.top != intersection  # in T, keys are those of the negated images
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
def write_keys(pair, task, intersection, workspace):
    """Write the order keys of a pair of images (2, 1, H, W), and of h; a NaN must have been found before."""
    a, b, both = workspace.a, workspace.b, workspace.both
    _write_keys(pair[0, 0], task.top, a)
    _write_keys(pair[1, 0], task.top, b)
    greater = task.top != intersection
    for v in range(both.key.size):
        first, second = a.key[v], b.key[v]
        both.key[v] = max(first, second) if greater else min(first, second)


@device
def _write_keys(image, top, workspace):
    """Write the order keys of an image (H, W) inside their ring."""
    key, height, width = workspace.key, image.shape[0] + 2, image.shape[1] + 2
    most = largest(key.dtype)
    order_keys(image, view(image, key.dtype), most, top, reshaped(key[: height * width], (height, width)))


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
def _lead(descending, width, task, workspace, other, n_other, joins, reached, carried):
    """Find the eldest of another image's extrema in the basin of each extremum of an image."""
    extrema = _joins(descending, task.top, other, n_other).within
    _follow_extrema(extrema, descending, width, workspace, reached[: extrema.size], task.halt)
    lead(reached, extrema, joins, descending, carried)


@device
def _link_at_saddles_of_both(descending, width, task, workspace, n_a, n_b, n_both, linked):
    """Link the extrema of both images whose classes the same saddle of the compared function ends or begins."""
    a, b, both, reached = workspace.a, workspace.b, workspace.both, workspace.reached
    of_a = Carried(a.key, workspace.eldest[0], workspace.partner[0])
    of_b = Carried(b.key, workspace.eldest[1], workspace.partner[1])
    joins = _joins(descending, task.top, both, n_both)
    _follow_edges(descending, n_both.edges, width, both, task.halt)
    _lead(descending, width, task, both, a, n_a, joins, reached, of_a)
    _lead(descending, width, task, both, b, n_b, joins, reached, of_b)
    merge_both(joins, of_a, of_b, both.tree.elder_of, descending, task.halt)
    keep_images(of_a, both.key, joins, task, both.lengths, descending)
    keep_images(of_b, both.key, joins, task, both.lengths, descending)
    link(joins, of_a, of_b, descending, linked)


@device
def _name(descending, width, task, workspace, image, n, n_both, named):
    """Find the extremum of an image whose class has the image class of each extremum of the compared function."""
    both, reached = workspace.both, workspace.reached
    own = Carried(image.key, workspace.eldest[0], workspace.partner[0])
    of_both = Carried(both.key, workspace.eldest[1], workspace.partner[1])
    joins = _joins(descending, task.top, image, n)
    _follow_edges(descending, n.edges, width, image, task.halt)
    lead(reached, joins.within[:0], joins, descending, own)
    _lead(descending, width, task, image, both, n_both, joins, reached, of_both)
    merge_both(joins, own, of_both, image.tree.elder_of, descending, task.halt)
    keep_images(of_both, image.key, joins, task, both.lengths, descending)
    for z in _joins(descending, task.top, both, n_both).within:
        named[_i(z)] = -1
    link(joins, of_both, own, descending, named)
