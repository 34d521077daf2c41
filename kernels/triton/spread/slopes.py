"""The slopes of births and deaths of images, spread over the pixels that must move with them.

The first launch finds the carriers and marks the tiles of pixels that they pass, with one program for each window. The
second one adds up the slopes: each of its lanes owns a pixel of an image, and takes the windows, and their births and
deaths that are marked in its tile, in the order of the CPU. The sums therefore do not depend on the schedule, and are
those of the CPU.
"""

from __future__ import annotations

import math
from functools import partial

import torch
import triton
import triton.language as tl
from torch import Tensor

from ...records import Pulls, Spread, Tiling
from ..runtime.jit import kernel
from ..runtime.launch import INTERPRETED, registers
from ..windows import corner_of
from .carriers import (
    BOUND,
    COMPONENT,
    CRITICAL,
    ENDS,
    GOAL,
    KIND,
    LEVEL,
    NEXT,
    PATHS,
    PIXEL,
    POINT,
    POSITION,
    RECORD,
    SLOPE,
    TARGETS,
    TOPS,
    VALUES,
    elder_end,
    link_of,
    nearest_in_link,
    starts_of,
)
from .forest import Forest, close_spans, connect, join_edges, jump, list_edges, prune
from .grid import Grid, connects_all, copy_window, mirror_of, value_at
from .marks import COLUMNS, ROWS, Marks, clear, mark_components, mark_paths, marks_of, start_totals, tiles_along
from .sums import SIZES, Carriers, add_slopes

_BLOCK = 1024 if INTERPRETED else 128  # lanes of a program


def spread_slopes(
    pulls: Pulls[Tensor],
    grad: Tensor,
    images: tuple[Tensor, Tensor | None, Tensor | None],
    tiling: Tiling,
    rule: Spread,
) -> Tensor:
    """Add up the gradients of images from the slopes of their windows; see `gpuph.ops.spread_slopes`."""
    pulls, grad = Pulls(*(x.contiguous() for x in pulls)), grad.contiguous()
    pred, target, height = (None if x is None else x.contiguous() for x in images)
    assert pred is not None
    n, _, k = pulls.index.shape
    empty = partial(torch.empty, device=pred.device)
    pixels = math.prod(tiling.framed())
    out = empty((len(pred), math.prod(tiling.image)), dtype=pulls.slope.dtype)
    values = empty((n, pixels), dtype=pred.dtype)
    links, left, spans, spare = (empty((n, 2 * pixels + 2), dtype=torch.int64) for _ in range(4))
    parents, used = (empty((n, 2 * pixels + 2), dtype=torch.int32) for _ in range(2))
    edges = empty((n, 6 * pixels + 6), dtype=torch.int32)
    records = empty((n, 2 * k, RECORD.value), dtype=torch.int32)
    numbers = empty((n, 2 * k, VALUES.value), dtype=out.dtype)
    found = empty((n,), dtype=torch.int32)
    tiles, words, bit_shift = marks_of(tiling.window, 2 * k)
    marks = empty((n, tiles, words), dtype=torch.int32)
    totals = empty((n, 2 * k if rule.normalise else 0), dtype=torch.int64)
    heights = pred if height is None else height
    per_window = 0 if height is None or len(height) == 1 else height[0].numel()
    slopes = 0 if height is None else 1 if height.dim() == 2 else -1
    own, other = (pred, pred if target is None else target)[:: -1 if rule.side else 1]
    sizes = *tiling.window, *tiling.image, *tiling.stride
    if n:
        _find_carriers[(n,)](
            *pulls, grad, own, other, heights,
            values, links, left, parents, used, spans, spare, edges, records, numbers, marks, totals, found,
            k, words, bit_shift, rule.dim, -1 if rule.top else 1, per_window, slopes, int(tiling.border), *sizes,
            NORMALISE=rule.normalise, BLOCK=_BLOCK, num_warps=4, enable_fp_fusion=False, **registers(168),
        )  # fmt: skip
    add_slopes(Carriers(values, links, spans, records, numbers, marks, totals, found), out, tiling, rule, bit_shift)
    return out


@kernel(
    do_not_specialize=["k", "words", "bit_shift", "dim", "turn", "per_window", "slopes", "frame", *SIZES],
    do_not_specialize_on_alignment=["slope", "goal", "index", "count", "grad", "own", "other", "heights"],
)
def _find_carriers(
    slope,  # [N, 2, K] float32 or float64
    goal,  # [N, 2, K] likewise
    index,  # [N, 2, K] int64
    count,  # [N] int64
    grad,  # [N] of the slopes' dtype
    own,  # [B, image_rows, image_columns] float32 or float64: the images that the pulls are of
    other,  # likewise: the other ones; the same, if there are none
    heights,  # [1 or N, rows, columns] likewise, or [1 or N, 2] if these are slopes
    values,  # [N, pixels] likewise, written: the windows in their frames
    links,  # [N, 2 * (pixels + 1)] int64, written, like the following; see `Forest`
    left,
    parents,  # int32
    used,  # int32
    spans,
    spare,
    edges,  # [N, 6 * (pixels + 1)] int32
    records,  # [N, 2 * K, RECORD] int32, written as far as there are pulls
    numbers,  # [N, 2 * K, VALUES] of the slopes' dtype, written likewise
    marks,  # [N, tiles, words] int32, written likewise; see `Marks`
    totals,  # [N, 2 * K] int64, written likewise if NORMALISE
    found,  # [N] int32, written: the number of pulls
    k,
    words,
    bit_shift,
    dim,
    turn,  # -1 in T, 1 in V
    per_window,  # values of heights for each window; 0 if all windows share them
    slopes,  # 1 if heights are slopes, -1 if they are values, and 0 if there are none
    frame,
    rows,
    columns,
    image_rows,
    image_columns,
    stride_y,
    stride_x,
    NORMALISE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Write the records and marks of the pulls of one window, whose memory no other program reads or writes."""
    window = tl.program_id(0).to(tl.int64)
    lane = tl.arange(0, BLOCK)
    n = tl.minimum(tl.load(count + window), k).to(tl.int32)
    slope += window * 2 * k
    goal += window * 2 * k
    index += window * 2 * k
    moves = tl.zeros((BLOCK,), tl.int32)
    for end in range(2):
        for start in range(0, n, BLOCK):
            there = start + lane < n
            s = tl.load(slope + end * k + start + lane, mask=there, other=0.0)
            moves |= (there & (s != 0) & (tl.load(index + end * k + start + lane, mask=there, other=-1) >= 0)).to(
                tl.int32
            )
    if tl.max(moves, 0) == 0:
        tl.store(found + window, 0)
        return

    height, width = rows + 2 * frame, columns + 2 * frame
    pixels = height * width
    nodes = window * (2 * pixels + 2)
    values += window * pixels
    grid = Grid(values, height, width, pixels, turn)
    forest = Forest(
        links + nodes, left + nodes, parents + nodes, used + nodes, spans + nodes, spare + nodes, edges + 3 * nodes
    )
    heights += window * per_window
    lowest = copy_window(
        own, other, heights, slopes, values, window, lane, frame, rows, columns, image_rows, image_columns,
        stride_y, stride_x,
    )  # fmt: skip
    tl.debug_barrier()  # other threads have written values

    corner = corner_of(window, 1, rows, columns, 1, image_rows, image_columns, 1, stride_y, stride_x)
    corner %= image_rows.to(tl.int64) * image_columns
    needs = tl.zeros((BLOCK,), tl.int32)  # bits of the sides whose trees are needed, and of those with components
    for end in range(2):
        for start in range(0, n, BLOCK):
            at = end * k + start + lane
            pixel = _pixel_of(index + at, start + lane < n, corner, rows, columns, image_columns, frame)
            s = tl.load(slope + at, mask=pixel >= 0, other=0.0)
            value = value_at(grid, pixel, (pixel >= 0) & (s != 0))
            kind, side = _kind_of(value, tl.load(goal + at, mask=pixel >= 0, other=0.0), dim + end)
            pulled = (pixel >= 0) & (s != 0)
            needs |= tl.where(pulled & (kind != POINT), 1 << side, 0)
            needs |= tl.where(pulled & (kind == COMPONENT), 4 << side, 0)
    needs_0, needs_1 = tl.max(needs & 1, 0), tl.max(needs & 2, 0)
    first = tl.where(needs_0 != 0, 0, pixels + 1)
    last = tl.where(needs_1 != 0, 2 * pixels + 2, pixels + 1)
    if first < last:
        n_edges = list_edges(forest, grid, first, last, BLOCK)
        tl.debug_barrier()  # each step reads what other threads wrote in the one before
        jump(forest.links, forest.spare, first, last, False, BLOCK)
        join_edges(forest, grid, n_edges, BLOCK)
        tl.debug_barrier()
        root = connect(forest, grid, first, last, BLOCK)
        tl.debug_barrier()
        prune(forest, grid, first, last, root, BLOCK)
        tl.debug_barrier()
        jump(forest.spans, forest.spare, first, last, True, BLOCK)
        close_spans(forest, grid, first, last, root, BLOCK)
        tl.debug_barrier()

    records += window * (RECORD * 2) * k
    numbers += window * (VALUES * 2) * k
    scale = tl.load(grad + window)
    total = 0
    for end in range(2):
        for start in range(0, n, BLOCK):
            at = end * k + start + lane
            pixel = _pixel_of(index + at, start + lane < n, corner, rows, columns, image_columns, frame)
            s = tl.load(slope + at, mask=pixel >= 0, other=0.0)
            there = (pixel >= 0) & (s != 0)
            other_at = (1 - end) * k + start + lane
            partner = _pixel_of(index + other_at, there, corner, rows, columns, image_columns, frame)
            pixel = tl.where(there, pixel, 0)
            value, aim = value_at(grid, pixel, there), tl.load(goal + at, mask=there, other=0.0)
            kind, side = _kind_of(value, aim, dim + end)
            shift, mirror = side * (pixels + 1), mirror_of(side)
            through = there & (kind == PATHS)
            bridges, loops = through & (end == 1 - side) & (partner >= 0), through & (end == side)
            position = tl.load(forest.spans + pixel + shift, mask=through, other=0) >> 32
            full = connects_all(side, grid)
            end_of_bridge = elder_end(pixel, position, partner, shift, mirror, bridges, forest, grid)
            beyond, filled = link_of(pixel, mirror, full, loops, grid)
            starts = tl.where(loops, starts_of(filled), 0)
            # A component ends at the other pixel; without one, at nothing (a birth), or after the frame (a death).
            bound = tl.where(partner >= 0, partner, tl.where(turn < 0, -2, pixels + 1))
            level = value_at(grid, partner, there & (partner >= 0))
            level = tl.where((partner < 0) & (end == 1), lowest, level)

            listed = there.to(tl.int32)
            j = total + tl.cumsum(listed, 0) - listed
            record = records + j * RECORD
            tl.store(record + PIXEL, pixel, mask=there)
            tl.store(record + KIND, 4 * side + kind, mask=there)
            tl.store(record + POSITION, position.to(tl.int32), mask=there)
            tl.store(record + BOUND, bound, mask=there)
            for i in range(4):
                target = nearest_in_link(pixel, beyond, starts, filled, mirror, grid)
                starts &= starts - 1
                of_bridge = tl.where(i == 0, partner, tl.where(i == 1, end_of_bridge, pixel))
                target = tl.where(bridges, of_bridge, target)
                position_of_target = tl.load(forest.spans + target + shift, mask=through, other=0) >> 32
                tl.store(record + TARGETS + i, target, mask=through)
                tl.store(record + ENDS + i, position_of_target.to(tl.int32), mask=through)
                tl.store(record + TOPS + i, pixel, mask=through)
            is_component = there & (kind == COMPONENT)
            after = tl.atomic_xchg(forest.used + pixel + shift, j, mask=is_component, sem="relaxed")
            tl.store(record + NEXT, after, mask=is_component)
            own_numbers = numbers + j * VALUES
            tl.store(own_numbers + SLOPE, scale * s, mask=there)
            tl.store(own_numbers + GOAL, aim, mask=there)
            tl.store(own_numbers + CRITICAL, value, mask=there)
            tl.store(own_numbers + LEVEL, level, mask=there)
            total += tl.sum(listed, 0)
    tl.store(found + window, total)

    tiles = tiles_along(rows, ROWS) * tiles_along(columns, COLUMNS)
    of_window = Marks(
        marks + window * tiles * words,
        forest.edges,
        totals + window * 2 * k,
        words,
        bit_shift,
        (corner // image_columns).to(tl.int32),
        (corner % image_columns).to(tl.int32),
        rows,
        columns,
        frame,
    )
    clear(of_window, grid, total, BLOCK)
    if NORMALISE:
        start_totals(of_window, total, BLOCK)
    tl.debug_barrier()  # lanes read the records of others, and set bits that others have cleared
    mark_paths(records, numbers, forest, grid, of_window, total, NORMALISE, BLOCK)
    needs_0, needs_1 = tl.max(needs & 4, 0), tl.max(needs & 8, 0)
    first = tl.where(needs_0 != 0, 0, pixels + 1)
    last = tl.where(needs_1 != 0, 2 * pixels + 2, pixels + 1)
    mark_components(records, numbers, forest, grid, of_window, first, last, NORMALISE, BLOCK)


@triton.jit
def _pixel_of(index, there, corner, rows, columns, image_columns, frame):
    """Load pixels of an image, and return where they are in a framed window; -1 if they are not in it."""
    i = tl.load(index, mask=there, other=-1)
    corner_y, corner_x = corner // image_columns, corner % image_columns
    y, x = i // image_columns - corner_y, i % image_columns - corner_x
    inside = there & (i >= 0) & (y >= 0) & (y < rows) & (x >= 0) & (x < columns)
    return tl.where(inside, (y + frame) * (columns + 2 * frame) + x + frame, -1).to(tl.int32)


@triton.jit
def _kind_of(value, goal, index):
    """Return the kind of the carrier of a birth or death with an index, and the side of its tree; see `carriers`."""
    lowered = value > goal
    index = tl.where(lowered, index, 2 - index)  # raising an index k is like lowering 2 - k
    side = (lowered == (index == 2)).to(tl.int32)
    kind = tl.where(index == 2, COMPONENT, tl.where(index == 1, PATHS, POINT))
    return tl.where(lowered | (value < goal), kind, POINT), side
