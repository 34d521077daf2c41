"""Merge in 3D: the elder rule over critical edges and minima, and over critical squares and maxima.

As in 2D, see `merge`, whose trees these are, but the two sides take different cells: an edge that joins no two classes
of minima may close a loop, and a square that joins none of maxima may end one. Which do is told at the end.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..image.gradient import COUNTERS
from ..image.merge import climb, join
from ..runtime.launch import INTERPRETED, WARP, registers
from ..tree import hints_behind, slots_of, unpacked
from .gradient import EDGES, MAXIMA, MINIMA, SQUARES, STATUS
from .trace import edge_bit, maxima_above, minima_below, parts_of, square_bit

_BLOCK = 1024 if INTERPRETED else WARP  # edges a program at a time, one a lane of a warp: its loops need no barrier
_FEW = _BLOCK // 4  # when so few lanes still join, the others take new edges
_PATIENCE = tl.constexpr(32)  # steps of a block, in one go, before it takes hints
_VOXELS_A_PROGRAM = 32 * _BLOCK  # one with more edges than lanes takes them in turn

EACH = tl.constexpr(12)  # a saddle in a word of a tree is EACH * owner + direction, that of an edge too
# Words of claims at first: an edge that closes a loop is open to claims, one that ends a component is not.
OPEN, KILLER = tl.constexpr(-1), tl.constexpr(-2)


def merge(
    x: Tensor,
    star: Tensor,
    edges: Tensor,
    squares: Tensor,
    first_edge: Tensor,
    first_square: Tensor,
    extrema: Tensor,
    tree: Tensor,
    counters: Tensor,
    top: bool,
    minima: bool,
    maxima: bool,
    loops: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Grow the merge trees of volumes, of the minima, of the maxima or of both. The tensors are of `gradient3`.

    tree : Tensor, shape (N, D * H * W + 1)
        Changed: at an extremum, the word of its saddle, EACH * owner + direction, an edge or a square, and its elder;
        an elder equal to the extremum itself means that its class never dies.
    loops : bool
        Whether it is wanted which critical cells are left for loops; that takes both sides.

    Returns
    -------
    claims : Tensor, shape (N, M), int64
        If loops are wanted, what `reduce` begins with: KILLER where the critical edge in that place of `edges` ends a
        component, in V, else OPEN. Not written behind the end of the list.
    opened : Tensor, shape (N, M), int8
        Likewise of `squares`: 1 where a critical square opens a void, else 0.
    used : Tensor, shape (N,), int64
        Likewise for the pool of `reduce`: 0.
    """
    n, *size = x.shape
    most = edges.shape[1]
    room = (n, most) if loops else (n, 0)
    claims = torch.empty(room, dtype=torch.int64, device=x.device)
    opened = torch.empty(room, dtype=torch.int8, device=x.device)
    used = torch.empty(n, dtype=torch.int64, device=x.device)
    hints = hints_behind(counters, extrema.shape[1])
    programs = triton.cdiv(extrema.shape[1], _VOXELS_A_PROGRAM)
    if n:
        _merge3[(n * programs * (minima + maxima),)](
            x, star, edges, squares, claims, opened, used, tree, hints, counters, *size, most, programs,
            TOP=top, SIDES=minima + maxima, FIRST=0 if minima else 1, LOOPS=loops, BLOCK=_BLOCK, FEW=_FEW,
            **registers(80), num_warps=1,
        )  # fmt: skip
    if n and loops:
        lists = edges, squares, first_edge, first_square
        _mark[(2 * n * programs,)](
            *lists, extrema, tree, counters, claims, opened, extrema.shape[1], most, programs, BLOCK=_BLOCK, num_warps=1
        )
    return claims, opened, used


@triton.jit(
    do_not_specialize=["depth", "height", "width", "most", "programs"], do_not_specialize_on_alignment=["values"]
)
def _merge3(
    values,  # [N, D, H, W] float32 or float64
    star,  # [N, D, H, W] int32
    edges,  # [N, most] int32
    squares,  # [N, most] int32
    claims,  # [N, most] int64, OPEN written for every edge if LOOPS
    opened,  # [N, most] int8, zeros written for every square if LOOPS
    used,  # [N] int64, zeros written if LOOPS
    tree,  # [N, D * H * W + 1] int32 or int64, changed
    hints,  # [N, slots] int64, zeros before, changed
    counters,  # [N, COUNTERS] int32
    depth,
    height,
    width,
    most,
    programs,
    TOP: tl.constexpr,
    SIDES: tl.constexpr,
    FIRST: tl.constexpr,
    LOOPS: tl.constexpr,
    BLOCK: tl.constexpr,
    FEW: tl.constexpr,
):
    """Trace and merge a share of the critical cells of one window, on one side (0: edges, 1: squares).

    What `merge` does with saddles. Programs meet in `tree` and `hints` only, by volatile reads and
    atomic swaps.
    """
    side = tl.program_id(0) % 2 if SIDES == 2 else FIRST
    program = tl.program_id(0) // SIDES
    window = (program // programs).to(tl.int64)
    voxels = depth * height * width
    values += window * voxels
    star += window * voxels
    tree += window * (voxels + 1)
    first_slot = program // programs * slots_of(voxels)
    counters += window * COUNTERS
    # The order of this side: of values, turned round in T and for maxima, and of positions, turned round for maxima.
    turn = 1 - 2 * side
    mirror = -turn if TOP else turn

    if LOOPS:
        tl.store(used + window, 0, mask=(side == 0) & (program % programs == 0))
    n = tl.load(counters + (EDGES if side == 0 else SQUARES))
    n = tl.where(tl.load(counters + STATUS) == 0, n, 0)
    share = tl.maximum(tl.cdiv(n, programs), BLOCK)  # whole blocks where there are few cells
    head = program % programs * share
    end = tl.minimum(head + share, n)
    u = tl.zeros((BLOCK,), tl.int32)
    v, saddle = u, u
    value = tl.zeros((BLOCK,), values.dtype.element_ty)
    active = u != 0
    busy = 0
    while (head < end) | (busy != 0):
        # Lanes that are done take the next cells, in order.
        free = (active == 0).to(tl.int32)
        i = head + tl.cumsum(free, 0) - free
        m_new = (free != 0) & (i < end)
        head += tl.sum(free, 0)
        if side == 0:
            cell = tl.load(edges + window * most + i, mask=m_new, other=0)
            owner, direction = cell // 6, cell % 6
            if LOOPS:
                tl.store(claims + window * most + i, OPEN, mask=m_new)
        else:
            cell = tl.load(squares + window * most + i, mask=m_new, other=0)
            owner, direction = cell // 12, cell % 12
            if LOOPS:
                tl.store(opened + window * most + i, 0, mask=m_new)
        z, y, x = owner // (height * width), owner // width % height, owner % width
        if side == 0:
            dz, dy, dx = parts_of(edge_bit(direction))
            a, b = minima_below(z, y, x, z + dz, y + dy, x + dx, m_new, star, depth, height, width)
        else:
            # Along the axis that a square has no part in, one of the cubes beside it is on one side, one on the other.
            dz, dy, dx = parts_of(square_bit(direction))
            z_a, y_a, x_a = z + tl.minimum(dz, 0), y + tl.minimum(dy, 0), x + tl.minimum(dx, 0)
            z_b, y_b, x_b = z_a - (dz == 0).to(tl.int32), y_a - (dy == 0).to(tl.int32), x_a - (dx == 0).to(tl.int32)
            a, b = maxima_above(z_a, y_a, x_a, z_b, y_b, x_b, m_new, star, depth, height, width)
        u, v = tl.where(m_new, a, u), tl.where(m_new, b, v)
        saddle = tl.where(m_new, owner * EACH + direction, saddle)
        value = tl.where(m_new, tl.load(values + owner, mask=m_new, other=0.0) * mirror, value)
        active |= m_new
        patience = _PATIENCE
        while tl.sum(active.to(tl.int32), 0) > tl.where(head < end, FEW, 0):
            patience -= 1
            if patience < 0:
                u = climb(u, saddle, value, active, values, tree, hints, first_slot, turn, mirror, False, EACH)
                v = climb(v, saddle, value, active, values, tree, hints, first_slot, turn, mirror, False, EACH)
            u, v, saddle, value, active = join(
                u, v, saddle, value, active, values, tree, voxels, turn, mirror, False, EACH
            )
        busy = tl.max(active.to(tl.int32), 0)


@triton.jit(do_not_specialize=["voxels", "most", "programs"])
def _mark(
    edges,  # [N, most] int32
    squares,  # [N, most] int32
    first_edge,  # [N, voxels] int32
    first_square,  # [N, voxels] int32
    extrema,  # [N, voxels] int32
    tree,  # [N, voxels + 1] int32 or int64
    counters,  # [N, COUNTERS] int32
    claims,  # [N, most] int64, OPEN before, as far as there are edges
    opened,  # [N, most] int8, zeros before, as far as there are squares
    voxels,
    most,
    programs,
    BLOCK: tl.constexpr,
):
    """Mark the cells in the words of every `programs`-th block of extrema of one window, on one side: all different."""
    side = tl.program_id(0) % 2
    program = tl.program_id(0) // 2
    window = (program // programs).to(tl.int64)
    counters += window * COUNTERS
    cells, first, each = edges, first_edge, 6
    if side == 1:
        cells, first, each = squares, first_square, 12
    cells += window * most
    n = tl.load(counters + (MINIMA if side == 0 else MAXIMA))
    n = tl.where(tl.load(counters + STATUS) == 0, n, 0)
    for start in range(program % programs * BLOCK, n, programs * BLOCK):
        i = start + tl.arange(0, BLOCK)
        i_extremum = window * voxels + tl.where(side == 0, i, voxels - 1 - i)
        u = tl.load(extrema + i_extremum, mask=i < n, other=0)
        saddle, elder = unpacked(tl.load(tree + window * (voxels + 1) + u, mask=i < n, other=0))
        dies = (i < n) & (elder != u)
        owner, direction = saddle // EACH, saddle % EACH
        slot = tl.load(first + window * voxels + owner, mask=dies, other=0)
        ahead = dies  # an owner's cells follow one another
        while tl.max(ahead.to(tl.int32), 0) != 0:
            ahead &= tl.load(cells + slot, mask=ahead, other=0) != owner * each + direction
            slot += ahead.to(tl.int32)
        tl.store(claims + window * most + slot, KILLER, mask=dies & (side == 0))
        tl.store(opened + window * most + slot, 1, mask=dies & (side == 1))
