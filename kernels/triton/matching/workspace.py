"""Records of one window, and the workspace in which a program matches windows, one after the other."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

# Programs have a workspace each, and match windows in turn. There are more of them than run at a time, so that the next
# one starts when one ends, but all workspaces together take at most a GiB.
_PROGRAMS, _BYTES = 1024, 2**30
# Arrays of a workspace, by dtype: birth and death of both sides; gain and price of both sides and three arrays of the
# tree; column, partner and order of both sides, two arrays of the tree and the partners of `matched_cost`. With
# positions, there are three more arrays of floats for each side.
_COORDINATES, _FLOATS, _INTS = tl.constexpr(4), tl.constexpr(7), tl.constexpr(10)
_POSITIONS = tl.constexpr(6)


class Meta(NamedTuple):
    """Constants of a launch.

    Pass the record on, and never assign it to a name: Triton would turn the constants into tensors.
    """

    SQUARED: Any  # an unmatched point costs half its squared persistence, else its distance to the diagonal
    AUCTION: Any  # whether the launch is for the windows of the auction, or for all others
    CERTIFIED: Any  # whether the gap is wanted
    PLACED: Any  # whether points have positions: see `position`
    BLOCK: Any  # candidates that are read at a time
    THREADS: Any  # of a program; elements of the tensors in which candidates are compared with those of the other side
    CHUNK: Any  # candidates of the other side that an element reads at a time


class Side(NamedTuple):
    """One of the two diagrams of a window."""

    birth: Any
    death: Any
    partner: Any  # int64 or int32, column of the partner in the other diagram, or -1
    count: Any  # columns that are points
    position: Any  # float64, [3, length], if points have positions
    length: Any


class Outcome(NamedTuple):
    """What `match_window` returns."""

    is_matched: Any  # whether this launch matches the window, rather than the other one
    n: Any  # rows among the candidates
    exchanged: Any  # whether the second diagram became the rows
    gap: Any  # if it is wanted


class Candidates(NamedTuple):
    """Points of one side that can be matched with gain."""

    birth: Any  # of the diagram's dtype
    death: Any
    gain: Any  # float64, the most that a partner saves; overwritten by the solvers
    price: Any  # float64
    column: Any  # int32, in the diagram
    partner: Any  # int32, index on the other side, or -1
    order: Any  # int32, indices by birth + death; for rows, first the column that each gains most from
    share: Any  # float64, how much of the cost of an unmatched point savings include: 1, or 0 to compare costs
    position: Any  # float64, [3, length], if points have positions
    length: Any


class Tree(NamedTuple):
    """The alternating tree of a search. A node is a row and the partner through which the row was reached.

    Node 0 is the root, which has no partner.
    """

    distance: Any  # float64, length of the path to the partner
    base: Any  # float64, length of the path to the row, minus the row's current profit
    price: Any  # float64, of the partner; during the search, the column itself has an infinite price
    row: Any  # int32
    partner: Any  # int32


class WorkspacePointers(NamedTuple):
    """Where the arrays of one program begin: see `Buffers`."""

    coordinates: Any
    floats: Any
    ints: Any
    length: Any  # elements of each array


class Buffers(NamedTuple):
    """The memory of all workspaces."""

    coordinates: Tensor  # (programs, 4, length), of the diagrams' dtype
    floats: Tensor  # (programs, 7 or, with positions, 13, length), float64
    ints: Tensor  # (programs, 10, length), int32

    def programs(self) -> int:
        """Return how many programs there is a workspace for."""
        return len(self.ints)


def allocate_workspaces(n: int, size: int, like: Tensor, *, placed: bool = False) -> Buffers:
    """Allocate the workspaces for n windows with at most `size` columns of like's dtype, which may have positions."""
    length, floats = size + 1, _FLOATS.value + _POSITIONS.value * placed
    kinds = (_COORDINATES.value, like.dtype), (floats, torch.float64), (_INTS.value, torch.int32)
    programs = min(n, _PROGRAMS, max(1, _BYTES // (length * sum(k * dtype.itemsize for k, dtype in kinds))))
    return Buffers(*(torch.empty((programs, k, length), dtype=dtype, device=like.device) for k, dtype in kinds))


@triton.jit
def workspace_of(program, coordinates, floats, ints, length, PLACED: tl.constexpr):
    """Return the workspace of a program, whose arrays have `length` elements, and write what `again` reads."""
    arrays: tl.constexpr = _FLOATS + _POSITIONS if PLACED else _FLOATS
    tl.store(ints + program * _INTS * length + length - 1, 0)
    return WorkspacePointers(
        coordinates + program * _COORDINATES * length,
        floats + program * arrays * length,
        ints + program * _INTS * length,
        length,
    )


@triton.jit
def candidates_of(work, side):
    """Return the arrays for the candidates of a side: 0 for the rows, 1 for the columns."""
    length = work.length
    coordinates = work.coordinates + 2 * side * length
    position = work.floats + (_FLOATS + 3 * side) * length
    floats = work.floats + 2 * side * length
    ints = work.ints + 3 * side * length
    share = tl.full((), 1.0, tl.float64)
    return Candidates(
        coordinates,
        coordinates + length,
        floats,
        floats + length,
        ints,
        ints + length,
        ints + 2 * length,
        share,
        position,
        length,
    )


@triton.jit
def tree_of(work):
    """Return the arrays for the tree of a search."""
    floats, ints, length = work.floats, work.ints, work.length
    return Tree(floats + 4 * length, floats + 5 * length, floats + 6 * length, ints + 6 * length, ints + 7 * length)


@triton.jit
def partners_of(work, side):
    """Return the array for the partners of a diagram's columns, where the caller does not want them."""
    return work.ints + (8 + side) * work.length


@triton.jit
def with_share(candidates, share):
    """Return candidates of which savings include another share of the cost of an unmatched point."""
    return Candidates(
        candidates.birth,
        candidates.death,
        candidates.gain,
        candidates.price,
        candidates.column,
        candidates.partner,
        candidates.order,
        share,
        candidates.position,
        candidates.length,
    )


@triton.jit
def nodes_of(work):
    """Return the array for the nodes of a search in registers: three float64 a column."""
    return work.floats + 4 * work.length


@triton.jit
def unknown_zero(work):
    """Return 0, from memory: the last element of the first array of integers, which has one more than candidates.

    The compiler cannot know that it is the same each time.
    """
    return tl.load(work.ints + work.length - 1)


@triton.jit
def again(work):
    """Return the same workspace, of which the compiler does not know that it is the same.

    Otherwise it would compute the addresses of arrays once, ahead of all searches, and they would take more registers
    than the columns that a search holds.
    """
    return WorkspacePointers(work.coordinates, work.floats, work.ints, work.length + unknown_zero(work))
