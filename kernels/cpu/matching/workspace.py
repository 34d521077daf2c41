"""Records of one window and of its workspace, which a thread allocates once for all windows of a slice."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..runtime.jit import allocating, device
from ..runtime.sort import Keys, allocate_keys

Array = NDArray[np.generic]

VECTOR = 16  # loops over candidates run over multiples of this: a scalar remainder loop costs more than 15 dummies


class Side(NamedTuple):
    """One of the two diagrams of a window."""

    birth: Array
    death: Array
    partner: Array  # column of the partner in the other diagram, or -1
    count: int  # type: ignore[assignment]  # columns that are points; hides tuple.count
    position: Array | None  # positions of all windows, (N, 3, K), or None: see `position`
    window: int  # the number of this one


class Candidates(NamedTuple):
    """Finite points of one side of a window.

    Dummies, which save nothing with any partner, fill the arrays up to a multiple of VECTOR.
    """

    birth: Array
    death: Array
    alone: Array  # part of the cost of staying unmatched that savings include
    opt_out: Array  # the rest of that cost
    column: Array  # in the diagram
    place: Array  # index in these arrays of a column of the diagram
    gain: Array  # positive if some partner saves something; for a row, the most that any one saves
    first: Array  # partners below this index save nothing, ...
    last: Array  # ... nor do those from this one on
    price: Array
    partner: Array  # index on the other side, or -1
    position: Array | None  # (3, size), or None: see `position`


class Tree(NamedTuple):
    """The alternating tree of a search. A node is a row and the partner through which the row was reached.

    Node 0 is the root, which has no partner.
    """

    row: Array
    partner: Array
    distance: Array  # length of the path to the partner
    base: Array  # length of the path to the row, minus the row's current profit
    price: Array  # of the partner; during the search, the column itself has an infinite price


class Sweep(NamedTuple):
    """What a sweep over the candidates of one side reads and writes."""

    near: Array  # float64, one element per candidate; infinite between searches
    far: Array  # likewise, with arbitrary content between searches
    halt: int  # see `halted`


class SolverWorkspace(NamedTuple):
    """What the solvers write besides the candidates."""

    sweep: Sweep
    keys: Keys
    tree: Tree


@device
def padded(size):
    """Return the next multiple of VECTOR."""
    return (size + VECTOR - 1) & -VECTOR


@allocating
def allocate_candidates(size, position):
    """Allocate `size` candidates and dummies, whose positions are given."""
    ints = np.empty((5, padded(size)), np.int64)
    floats = np.empty((6, padded(size)))
    birth, death, alone, gain, price, opt_out = floats[0], floats[1], floats[2], floats[3], floats[4], floats[5]
    column, place, first, last, partner = ints[0], ints[1], ints[2], ints[3], ints[4]
    return Candidates(birth, death, alone, opt_out, column, place, gain, first, last, price, partner, position)


@allocating
def allocate_workspace(size, halt):
    """Allocate the workspace for windows with at most `size` points on each side."""
    near, far = np.full(padded(size), np.inf), np.full(padded(size), np.inf)
    return SolverWorkspace(Sweep(near, far, halt), allocate_keys(size), allocate_tree(size))


@allocating
def allocate_tree(size):
    """Allocate a tree of `size` nodes and the root."""
    ints, floats = np.empty((2, size + 1), np.int64), np.empty((3, size + 1))
    ints[1, 0] = -1
    floats[:, 0] = 0.0
    return Tree(ints[0], ints[1], floats[0], floats[1], floats[2])
