"""Induced matching of the classes of two images, by dimension; see `kernels.cpu.induced`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..induced import Carried, carry, lead, link
from ..merge import merge
from ..runtime.jit import allocating, device
from ..runtime.jit import unsigned as _i
from ..runtime.primitives import halted
from .persistence import (
    ImageLinks,
    ImageWorkspace,
    allocate_links,
    allocate_workspace,
    extrema_of,
    find_critical_cells,
    saddles_of,
    sort_edges,
    trace_maxima,
    trace_minima,
)
from .trace import CriticalCells, maxima_above, minima_below

Array = NDArray[Any]


class InducedWorkspace(NamedTuple):
    """Memory for the induced matching of two images: for either image, and for the compared function h."""

    a: ImageWorkspace
    b: ImageWorkspace
    both: ImageWorkspace
    links_a: ImageLinks
    links_b: ImageLinks
    links_both: ImageLinks
    eldest: Array  # (2, cells) int32, see `Carried`
    partner: Array  # (2, cells) int32
    named: Array  # (2, cells) int32: at an extremum of h, the extremum of either image, or -1
    reached: Array  # (cells,) int32
    linked: Array  # (2, cells) int32: at an extremum of the first image, in each dimension, that of the second, or -1


@allocating
def allocate_induced(windows, bits, top):
    """Return a workspace for windows of images; see `persistence.allocate_workspace`."""
    a = allocate_workspace(windows, bits, top)
    b, both, numbers = _allocate_beside(a), _allocate_beside(a), np.empty((9, a.key.size), np.int32)
    links = allocate_links(a), allocate_links(a), allocate_links(a)
    return InducedWorkspace(a, b, both, *links, numbers[:2], numbers[2:4], numbers[4:6], numbers[6], numbers[7:])


@allocating
def _allocate_beside(other):
    """Return a workspace that reuses the memory of another one, where its content is not needed after `find_pairs`.

    Three separate workspaces, for windows of 64 x 64, would not fit into the cache.
    """
    size, cells = other.key.size, other.cells
    extrema = np.empty((2, size), np.int32)
    return ImageWorkspace(
        other.key.copy(),  # with its ring
        np.zeros(size, np.uint16),
        np.zeros(size, np.uint16),
        other.steps,
        CriticalCells(extrema[0], cells.edges, extrema[1]),
        np.zeros(3, np.int64),
        other.ends,
        other.walking,
        other.known,
        other.order,
        other.renumbered,
        other.tree,
        other.lengths,
        other.sorting,
    )


@device
def induce_images(size, task, intersection, workspace):
    """Find which extrema of one image have a class in common with which extrema of the other, in each dimension of V.

    size : (height, width) of the grid with its ring. intersection : whether the sublevel sets of h are intersections,
    and not unions. workspace : holds the stages of both images and their links, as `find_pairs` leaves them.
    Written: workspace.linked, in the dimensions that are wanted.
    """
    height, width = size
    greater = task.top != intersection  # in T, keys are those of the negated images
    write_compared(workspace, greater)
    find_critical_cells(height, width, workspace.both)
    for dim in range(2):
        if not task.wanted[dim] or halted(task.halt):
            continue
        linked = workspace.linked[dim]
        linked[:] = -1
        # The links are those of the function whose order ends the image classes of minima, or begins those of maxima.
        if greater == (dim == 1):
            _link_at_saddles_of_both(dim == 1, width, task, workspace, linked)
        else:
            a, b, named = workspace.a, workspace.b, workspace.named
            _name(dim == 1, width, task, a, workspace.links_a, workspace, named[0])
            _name(dim == 1, width, task, b, workspace.links_b, workspace, named[1])
            for z in extrema_of(dim == 1, workspace.both, False).vertices:
                if named[0, _i(z)] >= 0 and named[1, _i(z)] >= 0:
                    linked[_i(named[0, _i(z)])] = named[1, _i(z)]


@device
def write_compared(workspace, greater):
    """Write the order keys of h."""
    a, b, both = workspace.a.key, workspace.b.key, workspace.both.key
    for v in range(both.size):
        first, second = a[v], b[v]
        both[v] = max(first, second) if greater else min(first, second)


@device
def _link_at_saddles_of_both(descending, width, task, workspace, linked):
    """Link the extrema of both images whose classes the same saddle of h ends or begins."""
    a, b, both, links = workspace.a, workspace.b, workspace.both, workspace.links_both.minima
    n = both.numbers[1]
    if descending:
        trace_maxima(n, width, both, task.halt)
    else:
        trace_minima(n, both, task.halt)
    sort_edges(n, both)
    extrema = extrema_of(descending, both, descending != task.top).vertices
    merge(both.key, extrema, saddles_of(n, both), both.tree, descending, task.halt, links)
    of_a = Carried(a.key, workspace.eldest[0], workspace.partner[0])
    of_b = Carried(b.key, workspace.eldest[1], workspace.partner[1])
    _lead(descending, width, task, both, a, workspace.reached, of_a)
    _lead(descending, width, task, both, b, workspace.reached, of_b)
    carry(links, of_a, both.key, task, both.lengths, descending)
    carry(links, of_b, both.key, task, both.lengths, descending)
    link(links, of_a, of_b, descending, linked)


@device
def _name(descending, width, task, image, links, workspace, named):
    """Find the extremum of an image whose class has the image class of each extremum of h."""
    both, of_image = workspace.both, links.maxima if descending else links.minima
    own = Carried(image.key, workspace.eldest[0], of_image.younger)
    of_both = Carried(both.key, workspace.eldest[1], workspace.partner[1])
    _lead(descending, width, task, image, both, workspace.reached, of_both)
    carry(of_image, of_both, image.key, task, both.lengths, descending)
    for z in extrema_of(descending, both, False).vertices:
        named[_i(z)] = -1
    link(of_image, of_both, own, descending, named)


@device
def _lead(descending, width, task, workspace, other, reached, carried):
    """Find the eldest of another image's extrema in the basin of each extremum of an image."""
    star, steps, walking, known = workspace.star, workspace.steps, workspace.walking, workspace.known
    extrema, halt = extrema_of(descending, other, False).vertices, task.halt
    reached = reached[: extrema.size]
    for i in range(extrema.size):
        reached[i] = extrema[i] - (width + 1 if descending else 0)  # a maximum's square is north-west of its owner
    if descending:
        maxima_above(reached, star, workspace.critical, steps, width, walking, known, halt)
    else:
        minima_below(reached, star, steps, walking, known, halt)
    own = extrema_of(descending, workspace, descending != task.top).vertices
    lead(reached, extrema, own, descending, carried)
