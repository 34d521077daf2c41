"""Induced matching of the classes of two volumes, by dimension; see `kernels.cpu.induced`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..induced import Carried, carry, lead, link
from ..merge import merge
from ..records import Links, MergeTree, Saddles
from ..runtime.jit import allocating, device
from ..runtime.primitives import halted
from ..runtime.views import flat
from .critical import CriticalCells, critical_cells
from .gradient import gradient
from .induced_loops import induce_loops, no_loops
from .persistence import VolumeWorkspace, sorted_saddles, start
from .trace import mark_maxima, mark_minima, maxima_above, minima_below, trace_above, trace_below

Array = NDArray[Any]


class Traced(NamedTuple):
    """A volume with its critical cells and the extrema that they lead to."""

    workspace: VolumeWorkspace
    cells: CriticalCells
    below: Array  # (2, m) int32, of the critical edges: see `trace_below`
    above: Array  # (2, n) int32, of the critical squares: see `trace_above`


@allocating
def induce_volumes(pair, task, intersection, workspaces, linked):
    """Find which classes of one volume are in common with which classes of the other, in each dimension of V.

    pair : two volumes (D, H, W) without a NaN. intersection : whether the sublevel sets of h are intersections, and not
    unions. workspaces : for either volume, and for h.
    linked : (2, cells), written for dimensions 0 and 2, if they are wanted, at the extrema of the first volume, in the
    grid with its ring: the extremum of the second, or -1.
    Returns the loops of both volumes and their partners, see `induce_loops`; none if they are not wanted.
    """
    top, wanted, halt = task.top, task.wanted, task.halt
    lengths = np.empty(2, pair[0].dtype)
    greater = top != intersection  # in T, keys are those of the negated volumes
    for k in range(2):
        start(pair[k], top, workspaces[k], 0, len(workspaces[k].key))
    _start_both(workspaces, greater)
    a, b, both = _traced(workspaces[0], halt), _traced(workspaces[1], halt), _traced(workspaces[2], halt)
    linked[:] = -1
    for last in (False, True):
        if not wanted[1] and not wanted[2 if last else 0]:
            continue
        _trace(a, last, halt)
        _trace(b, last, halt)
        _trace(both, last, halt)
        if halted(halt):
            return no_loops()
        if not wanted[2 if last else 0]:
            continue
        if greater == last:
            _link_at_saddles_of_both(last, task, a, b, both, lengths, linked[int(last)])
        else:
            named_a, named_b = _name(last, task, a, both, lengths), _name(last, task, b, both, lengths)
            for z in _extrema(both, last)[1:]:
                if named_a[z] >= 0 and named_b[z] >= 0:
                    linked[int(last), named_a[z]] = named_b[z]
    return induce_loops(a, b, both, greater, task, lengths) if wanted[1] else no_loops()


@device
def _start_both(workspaces, greater):
    """Prepare the workspace of the compared function; see `persistence.start`."""
    a, b, both = workspaces
    first, second, key = flat(a.key), flat(b.key), flat(both.key)
    star = flat(both.star)
    for v in range(key.size):
        key[v] = max(first[v], second[v]) if greater else min(first[v], second[v])
        star[v], both.known[v] = 0, 0


@allocating
def _traced(workspace, halt):
    """Return a volume, whose saddles still have to be traced."""
    owners, masks = gradient(workspace.key, workspace.star, 1, len(workspace.key) - 1, halt)
    cells = critical_cells(owners, masks)
    below, above = np.empty((2, cells.edges.size), np.int32), np.empty((2, cells.squares.size), np.int32)
    return Traced(workspace, cells, below, above)


@allocating
def _trace(volume, descending, halt):
    """Trace the critical squares of a volume up or, first of all, the critical edges down."""
    cells, star, known = volume.cells, volume.workspace.star, volume.workspace.known
    if descending:
        mark_maxima(cells, star, known)
        trace_above(cells, star, known, volume.above, 0, volume.above.shape[1], halt)
    else:
        mark_minima(cells, known)
        trace_below(cells, star, known, volume.below, 0, volume.below.shape[1], halt)


@allocating
def _extrema(volume, descending):
    """Return the maxima or the minima, from index 1 on; at index 0, the ring or the outside."""
    return volume.cells.maxima if descending else volume.cells.minima


@allocating
def _classes(volume, descending, top):
    """Return the extrema of a volume that have a class.

    The key of the ring, at position 0, is also that of the outside; either may come before all extrema.
    """
    return _extrema(volume, descending)[0 if descending != top else 1 :]


@allocating
def _links(descending, task, volume):
    """Return the links of a volume whose saddles have been traced."""
    owners, numbers = volume.cells.edges, volume.below
    if descending:
        owners, numbers = volume.cells.squares, volume.above
    extrema, ends = _extrema(volume, descending), np.empty(numbers.shape, np.int32)
    for k in range(2):
        for s in range(owners.size):
            ends[k, s] = extrema[numbers[k, s]]
    key, m = volume.workspace.key.reshape(-1), owners.size
    tree = MergeTree(np.empty(key.size, np.int32), np.empty(key.size, np.int32), np.empty(m, np.int32))
    made = np.empty((3, m), np.int32)
    links = Links(owners, made[0], made[1], made[2], np.zeros(1, np.int64))
    saddles = Saddles(sorted_saddles(key, owners), ends)
    merge(key, _classes(volume, descending, task.top), saddles, tree, descending, task.halt, links)
    return links


@allocating
def _carried(descending, task, volume, other, links, lengths):
    """Carry the seniority of another volume's extrema along the links of a volume."""
    cells, star, known = volume.cells, volume.workspace.star, volume.workspace.known
    key, of_volume = other.workspace.key.reshape(-1), volume.workspace.key.reshape(-1)
    carried = Carried(key, np.empty(key.size, np.int32), np.empty(links.owners.size, np.int32))
    extrema = _extrema(other, descending)[1:]
    reached = maxima_above(extrema, cells, star, known) if descending else minima_below(extrema, cells, star, known)
    lead(reached, extrema, _classes(volume, descending, task.top), descending, carried)
    carry(links, carried, of_volume, task, lengths, descending)
    return carried


@allocating
def _link_at_saddles_of_both(descending, task, a, b, both, lengths, linked):
    """Link the extrema of both volumes whose classes the same saddle of the compared function ends or begins."""
    links = _links(descending, task, both)
    of_a = _carried(descending, task, both, a, links, lengths)
    of_b = _carried(descending, task, both, b, links, lengths)
    link(links, of_a, of_b, descending, linked)


@allocating
def _name(descending, task, volume, both, lengths):
    """Return the extremum of a volume whose class has the image class of each extremum of the compared function.

    (cells,) int32; -1 for none.
    """
    links = _links(descending, task, volume)
    of_both = _carried(descending, task, volume, both, links, lengths)
    own = Carried(volume.workspace.key.reshape(-1), of_both.eldest, links.younger)
    named = np.full(own.key.size, -1, np.int32)
    link(links, of_both, own, descending, named)
    return named
