"""Bits: the places of cells in a star, and masks of stars, as constants that kernels can read; see `cells`."""

from __future__ import annotations

import triton.language as tl

from ...cells import ABOVE_BIT, BELOW_BIT, EAST_BIT, NO_X3, NO_Y3, NO_Z3, NORTH_BIT, SOUTH_BIT, VERTEX_BIT, WEST_BIT

BITS_OF_EDGES = BELOW_BIT, NORTH_BIT, WEST_BIT, EAST_BIT, SOUTH_BIT, ABOVE_BIT
BELOW, NORTH, WEST, EAST, SOUTH, ABOVE = (tl.constexpr(bit) for bit in BITS_OF_EDGES)
VERTEX = tl.constexpr(VERTEX_BIT)
NO_X, NO_Y, NO_Z = tl.constexpr(NO_X3), tl.constexpr(NO_Y3), tl.constexpr(NO_Z3)
