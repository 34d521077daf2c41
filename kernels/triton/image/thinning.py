"""Thinning of images: the cells that a step removes; see `..thinning`."""

from __future__ import annotations

import triton
import triton.language as tl

from ..cell_words import is_run, is_single, is_sparse, load_removable, pair_around, ring_around, settle


@triton.jit
def peel_edges(words, corner, inside, row, patience, step):
    """Remove the edges beside some vertices of the grid, in odd steps by their squares, and in even ones by vertices.

    Returns whether a removal concerns cells that may be removed in the next step, and whether edges were removed.
    """
    more, removed = inside & False, inside & False
    is_even = (step & 1) == 0
    for axis in tl.static_range(2):  # along which the cells are that matter
        is_along_x = is_even if axis == 0 else is_even == 0
        cell = corner + tl.where(is_along_x, 1, row)
        word, looks = load_removable(words, cell, inside, patience, step)
        count, place, loose = pair_around(words, cell, looks, axis, row, 0, patience, step)
        rest, _, _ = pair_around(words, cell, looks, 1 - axis, row, 0, patience, step)
        gone = looks & (count == 1)
        isolated = looks & (gone == 0) & ((count != 0) != (rest != 0))
        settle(words, cell, word, gone, rest == 0, place, isolated, step)
        more |= gone & loose
        removed |= gone
    return more, removed


@triton.jit
def peel_ends(words, corner, inside, row, patience, step):
    """Remove vertices of the grid by their edges and squares, in odd steps, and in even ones squares, by their faces.

    Returns the same as `peel_edges`.
    """
    cell = corner + tl.where((step & 1) == 0, row + 1, 0)
    word, looks = load_removable(words, cell, inside, patience, step)
    ring, place, loose = ring_around(words, cell, looks, 1, 0, row, 0, patience, step)
    gone = looks & is_run(ring)
    isolated = looks & (gone == 0) & (ring != 0) & is_sparse(ring)
    settle(words, cell, word, gone, is_single(ring), place, isolated, step)
    return gone & loose, gone
