"""Peel: the cells of masks that are removed from the outside in; see `kernels/cpu/thinning.py`.

Whether a cell is removed or isolated depends on the cells around it at the turn of its dimension in a step. Cells of
one dimension are not comparable, so all of them can be looked at together. The CPU looks only at cells around which
something has changed. Looking at others as well makes no difference, because their answer stays the same.

A step has a pass for each dimension: over the cells that have the step's relation along one axis, along two, and so on.
The first steps are launches with a program for each tile of a window; a program returns at once if nothing has changed
near its tile. Most masks are thin, and have no further steps. Otherwise, one program for each window goes on until
nothing changes.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from .cell_words import counts
from .image.thinning import peel_edges
from .image.thinning import peel_ends as peel_ends_of_image
from .runtime.jit import kernel
from .runtime.launch import INTERPRETED, cdiv, registers
from .volume.thinning import peel_ends as peel_ends_of_volume
from .volume.thinning import peel_sides

# Vertices of a tile along z, y and x, at least 2; the cells behind them belong to it.
_TILES = {2: (1, 8, 16), 3: (4, 4, 8)} if INTERPRETED else {2: (1, 16, 32), 3: (4, 8, 8)}
# How many steps are launches with a program for each tile: enough for roads of 12 pixels. In windows of more tiles than
# the last number, they are as many as the second one, because a single program takes long to go through all tiles.
_WIDE_STEPS, _MORE_STEPS, _TILES_OF_ONE = (2, 2, 64) if INTERPRETED else (16, 64, 64)


class Peeled(NamedTuple):
    """The cells of N windows after some steps."""

    words: Tensor  # (N, cells) int32; see `cell_words`
    changed: Tensor  # (N, 2, tiles) int32; see `_peel_tile`
    reach: Tensor  # (N,) int32: the step after which a window is done, minus 1


def peel(words: Tensor, window: tuple[int, int, int], rank: int, patience: int) -> Peeled:
    """Remove cells until curves remain, and keep isolated cells after as many steps as `patience`.

    `words` holds the cells of N windows (D, H, W), where D is 0 for images. It is changed.
    """
    n = len(words)
    sizes = _TILES[rank]
    tiles = [cdiv(length + 1, size) for length, size in zip(window, sizes, strict=True)]
    total = tiles[0] * tiles[1] * tiles[2]
    changed = torch.zeros((n, 2, total), dtype=torch.int32, device=words.device)
    state = Peeled(words, changed, torch.zeros(n, dtype=torch.int32, device=words.device))
    names = "LAYERS", "ROWS", "COLUMNS"
    options = {"RANK": rank, **dict(zip(names, sizes, strict=True)), "num_warps": 4, **registers(128)}
    wide = _WIDE_STEPS if total <= _TILES_OF_ONE else _MORE_STEPS
    for step in range(1, wide + 1):
        for turn in range(rank):
            _peel_tiles[(n * total,)](*state, *window, *tiles, patience, step, PASS=turn, **options)
    _peel[(n,)](*state, *window, *tiles, patience, wide + 1, **options)
    return state


@kernel(do_not_specialize=["depth", "height", "width", "tiles_z", "tiles_y", "tiles_x", "patience", "step"])
def _peel_tiles(
    words,  # [N, cells] int32, changed
    changed,  # [N, 2, tiles] int32, zeros before, changed: see `_peel_tile`
    reach,  # [N] int32, zeros before, changed: see `Peeled`
    depth,
    height,
    width,
    tiles_z,
    tiles_y,
    tiles_x,
    patience,
    step,
    PASS: tl.constexpr,
    RANK: tl.constexpr,
    LAYERS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Take one tile of a window through one pass of a step.

    Programs write only words of their own tile, which no other program reads, because it reads those of other
    dimensions. They share `reach`: other programs may set it to this step, which changes no decision in this launch.
    """
    tiles = tiles_z * tiles_y * tiles_x
    window = (tl.program_id(0) // tiles).to(tl.int64)
    _, cells, _, _ = counts(depth, height, width, RANK)
    if tl.load(reach + window, volatile=True) >= step - 1:
        goes_on = _peel_tile(
            words + window * cells, changed + window * (2 * tiles), tl.program_id(0) % tiles,
            depth, height, width, tiles_z, tiles_y, tiles_x, patience, step, PASS, RANK, LAYERS, ROWS, COLUMNS,
        )  # fmt: skip
        tl.atomic_max(reach + window, step, mask=goes_on, sem="relaxed")


@kernel(do_not_specialize=["depth", "height", "width", "tiles_z", "tiles_y", "tiles_x", "patience", "step"])
def _peel(
    words,  # [N, cells] int32, changed
    changed,  # [N, 2, tiles] int32, changed
    reach,  # [N] int32, changed
    depth,
    height,
    width,
    tiles_z,
    tiles_y,
    tiles_x,
    patience,
    step,
    RANK: tl.constexpr,
    LAYERS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Take one window through its steps, until nothing changes.

    This ends, because each step but the last one removes cells.
    """
    tiles = tiles_z * tiles_y * tiles_x
    window = tl.program_id(0).to(tl.int64)
    _, cells, _, _ = counts(depth, height, width, RANK)
    words += window * cells
    changed += window * (2 * tiles)
    last = tl.load(reach + window)
    while last >= step - 1:
        for PASS in tl.static_range(RANK):
            for tile in range(tiles):
                goes_on = _peel_tile(
                    words, changed, tile, depth, height, width, tiles_z, tiles_y, tiles_x, patience, step,
                    PASS, RANK, LAYERS, ROWS, COLUMNS,
                )  # fmt: skip
                last = tl.where(goes_on, step, last)
            tl.debug_barrier()  # each pass reads the cells that the passes before have left
        step += 1
    tl.debug_barrier()  # every thread has read what the next line replaces
    tl.store(reach + window, last)


@triton.jit
def _peel_tile(
    words, changed, tile, depth, height, width, tiles_z, tiles_y, tiles_x, patience, step,
    PASS: tl.constexpr, RANK: tl.constexpr, LAYERS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Take one tile through a pass, and return whether the next step may find more to remove.

    `changed` has, for even and for odd steps, the last one that has removed cells of each tile. Nothing has to be done
    if the step before has removed no cell in this tile or beside it: a cell that this step removes is at most three
    cells away from one that the step before has removed, and tiles are larger.
    """
    tiles = tiles_z * tiles_y * tiles_x
    tile_z, tile_y, tile_x = tile // (tiles_y * tiles_x), tile // tiles_x % tiles_y, tile % tiles_x
    around = tl.arange(0, 32)
    near_z, near_y, near_x = tile_z - 1 + around // 9, tile_y - 1 + around // 3 % 3, tile_x - 1 + around % 3
    near = (around < 27) & (near_z >= 0) & (near_z < tiles_z) & (near_y >= 0) & (near_y < tiles_y)
    near &= (near_x >= 0) & (near_x < tiles_x)
    beside = changed + (near_z * tiles_y + near_y) * tiles_x + near_x
    latest = tl.load(beside + (1 - (step & 1)) * tiles, mask=near, other=-1)
    goes_on = tile < 0
    if tl.max(latest, 0) == step - 1:
        i = tl.arange(0, LAYERS * ROWS * COLUMNS)
        z = tile_z * LAYERS + i // (ROWS * COLUMNS)
        y = tile_y * ROWS + i // COLUMNS % ROWS
        x = tile_x * COLUMNS + i % COLUMNS
        inside = (z <= depth) & (y <= height) & (x <= width)
        _, _, row, layer = counts(depth, height, width, RANK)
        corner = (2 * y + 1) * row + 2 * x + 1
        if RANK == 2 and PASS == 0:
            more, removed = peel_edges(words, corner, inside, row, patience, step)
        elif RANK == 2:
            more, removed = peel_ends_of_image(words, corner, inside, row, patience, step)
        elif PASS < 2:
            corner += (2 * z + 1) * layer
            more, removed = peel_sides(words, corner, inside, row, layer, patience, step, PASS == 1)
        else:
            corner += (2 * z + 1) * layer
            more, removed = peel_ends_of_volume(words, corner, inside, row, layer, patience, step)
        any_removed = tl.max(removed.to(tl.int32), 0) != 0
        tl.store(changed + (step & 1) * tiles + tile, step, mask=any_removed)
        goes_on = tl.max(more.to(tl.int32), 0) != 0
    return goes_on
