"""Curves: the cells that remain of the complex of a mask, in images and volumes; see `kernels/cpu/curves.py`."""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from .cell_words import PLACES, PRESENT, RESTORED, STEP, STEPS, counts, is_kept
from .runtime.jit import kernel
from .runtime.launch import INTERPRETED, cdiv, registers
from .thinning import peel
from .volume.cavities import fill_cavities

_BLOCK = 1024 if INTERPRETED else 128  # cells or pixels of a program


def curve_pixels(mask: Tensor, patience: int) -> Tensor:
    """Mark the pixels at the curves of masks (N, *window), bool; see `gpuph.ops.curve_pixels`."""
    out = torch.empty(mask.shape, dtype=torch.bool, device=mask.device)
    if mask.numel() == 0:
        return out
    mask = mask.contiguous()
    n, *window = mask.shape
    rank = len(window)
    depth, height, width = (*[0] * (3 - rank), *window)
    cells = math.prod(2 * length + 3 for length in window)
    cell_blocks, pixel_blocks = cdiv(cells, _BLOCK), cdiv(mask[0].numel(), _BLOCK)
    words = torch.empty((n, cells), dtype=torch.int32, device=mask.device)
    options = {"RANK": rank, "BLOCK": _BLOCK, "num_warps": 4, **registers(128)}
    sizes = depth, height, width
    solid = mask if rank == 2 else fill_cavities(mask)
    _create_cells[(n * cell_blocks,)](solid.view(torch.uint8), words, *sizes, cell_blocks, **options)
    peeled = peel(words, sizes, rank, patience)
    _restore_ends[(n * cell_blocks,)](words, peeled.reach, *sizes, cell_blocks, patience, **options)
    pixels = mask.view(torch.uint8), words, out.view(torch.uint8)
    _mark_pixels[(n * pixel_blocks,)](*pixels, *sizes, pixel_blocks, **options)
    return out


@kernel(do_not_specialize=["depth", "height", "width", "blocks"], do_not_specialize_on_alignment=["mask"])
def _create_cells(
    mask,  # [N, *window] uint8, any byte but 0 is True
    words,  # [N, cells] int32, written
    depth,
    height,
    width,
    blocks,
    RANK: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Write the words of BLOCK cells of one window: present are those of its pixels, with all their faces."""
    window = (tl.program_id(0) // blocks).to(tl.int64)
    cell = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)
    pixels, cells, row, layer = counts(depth, height, width, RANK)
    mask += window * pixels
    present = tl.zeros_like(cell)
    for side in tl.static_range(2**RANK):
        pixel_y, pixel_x = (cell % layer // row - 2 + side // 2 % 2) >> 1, (cell % row - 2 + side % 2) >> 1
        inside = (cell < cells) & (pixel_y >= 0) & (pixel_y < height) & (pixel_x >= 0) & (pixel_x < width)
        pixel = pixel_y * width + pixel_x
        if RANK == 3:
            pixel_z = (cell // layer - 2 + side // 4) >> 1
            inside &= (pixel_z >= 0) & (pixel_z < depth)
            pixel += pixel_z * (height * width)
        on = tl.load(mask + pixel, mask=inside, other=0) != 0
        present |= tl.where(on, PRESENT, 0)
    tl.store(words + window * cells + cell, present, mask=cell < cells)


@kernel(do_not_specialize=["depth", "height", "width", "blocks", "patience"])
def _restore_ends(
    words,  # [N, cells] int32, changed
    reach,  # [N] int32
    depth,
    height,
    width,
    blocks,
    patience,
    RANK: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Extend curves at their ends among BLOCK cells by the cells that were removed there, up to the first fork.

    A cell was removed from the end of one curve only, so no two lanes restore the same one. Programs read words in
    which others set the bit RESTORED, and ignore it.
    """
    window = (tl.program_id(0) // blocks).to(tl.int64)
    cell = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)
    _, cells, row, layer = counts(depth, height, width, RANK)
    words += window * cells
    step = tl.load(reach + window) + 1  # the last one
    word = tl.load(words + cell, mask=cell < cells, other=0, volatile=True)
    kept = (cell < cells) & ((word & PRESENT) != 0) & is_kept(word, patience, step)
    # The axes along which the cell extends. Comparable are cells that differ only along these, or only along others.
    extends = 7 - (cell % row & 1)
    extends -= 2 * (cell % layer // row & 1) if RANK == 3 else 4 + 2 * (cell // row & 1)
    if RANK == 3:
        extends -= 4 * (cell // layer & 1)
    degree = tl.zeros_like(cell)
    for place in tl.static_range(0 if RANK == 3 else 9, 27 if RANK == 3 else 18):
        if place != 13:
            differs = (place % 3 != 1) + 2 * (place // 3 % 3 != 1) + 4 * (place // 9 != 1)
            near = kept & (((extends & differs) == differs) | ((extends & differs) == 0))
            other = cell + (place // 9 - 1) * layer + (place // 3 % 3 - 1) * row + place % 3 - 1
            degree += tl.load(words + other, mask=near, other=0, volatile=True) & PRESENT
    single, tip = kept & (degree == 0), kept & (degree == 1)
    first, second, longest, middle, shortest = _branches(words, cell, single, row, layer, RANK)
    # A single cell grows in two directions, if they are longer than the third branch.
    cell = tl.where(tip, cell, first)
    is_new = single & (longest > shortest)
    for _turn in range(2):
        while tl.max((tip | is_new).to(tl.int32), 0) != 0:
            tl.atomic_or(words + cell, RESTORED, mask=is_new, sem="relaxed")
            beyond = _branches(words, cell, tip | is_new, row, layer, RANK)
            tip = beyond[2] > beyond[3]
            is_new = tip
            cell = tl.where(is_new, beyond[0], cell)
        cell = second
        is_new = single & (middle > shortest)


@triton.jit
def _branches(words, cell, there, row, layer, RANK: tl.constexpr):
    """Return the two longest branches beyond cells, by their first cells, and the lengths of the three longest ones.

    The length is the step in which the first cell was removed, and 0 if there is no branch.
    """
    zero = tl.zeros_like(cell)
    first, second, longest, middle, shortest = zero, zero, zero, zero, zero
    for place in tl.static_range(0 if RANK == 3 else 9, 27 if RANK == 3 else 18):
        if place != 13:
            other = cell + (place // 9 - 1) * layer + (place // 3 % 3 - 1) * row + place % 3 - 1
            word = tl.load(words + other, mask=there, other=0, volatile=True)
            is_beyond = ((word & PRESENT) == 0) & ((word >> 1 & PLACES) == 26 - place)
            length = tl.where(is_beyond, word >> STEP & STEPS, 0)
            leads, follows = length > longest, length > middle
            shortest = tl.where(follows, middle, tl.maximum(shortest, length))
            second = tl.where(leads, first, tl.where(follows, other, second))
            middle = tl.where(leads, longest, tl.where(follows, length, middle))
            first, longest = tl.where(leads, other, first), tl.where(leads, length, longest)
    return first, second, longest, middle, shortest


@kernel(do_not_specialize=["depth", "height", "width", "blocks"], do_not_specialize_on_alignment=["mask", "marks"])
def _mark_pixels(
    mask,  # [N, *window] uint8
    words,  # [N, cells] int32
    marks,  # [N, *window] uint8, written: 1 for pixels of the mask with a cell of a curve, else 0
    depth,
    height,
    width,
    blocks,
    RANK: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Mark BLOCK pixels of one window."""
    window = (tl.program_id(0) // blocks).to(tl.int64)
    pixel = tl.program_id(0) % blocks * BLOCK + tl.arange(0, BLOCK)
    pixels, cells, row, layer = counts(depth, height, width, RANK)
    on = tl.load(mask + window * pixels + pixel, mask=pixel < pixels, other=0) != 0
    cell = (2 * (pixel // width % height) + 2) * row + 2 * (pixel % width) + 2
    if RANK == 3:
        cell += (2 * (pixel // (height * width)) + 2) * layer
    words += window * cells
    found = tl.zeros_like(pixel)
    for place in tl.static_range(0 if RANK == 3 else 9, 27 if RANK == 3 else 18):
        other = cell + (place // 9 - 1) * layer + (place // 3 % 3 - 1) * row + place % 3 - 1
        found |= tl.load(words + other, mask=on, other=0)
    tl.store(marks + window * pixels + pixel, (found & (PRESENT | RESTORED)) != 0, mask=pixel < pixels)
