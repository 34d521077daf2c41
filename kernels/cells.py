"""The cells of a grid, masks for sets of them, and the order in which the cells of a lower star are matched.

A cell is a vertex plus a direction in {-1, 0, 1}^n, one entry per axis: the vertex itself, its 2 n edges, ..., its 2^n
top cells. A set of cells around one vertex is a mask with one bit per direction. In 2D, bit dx + 1 + 3 (dy + 1):

    NW  N  NE        1    2    4
     W  .  E   =     8   16   32
    SW  S  SE       64  128  256

so that a step in x shifts a mask by 1, and a step in y by 3.
"""

from __future__ import annotations

NW, N, NE, W, VERTEX, E, SW, S, SE = (1 << bit for bit in range(9))
SQUARES = NW | NE | SW | SE
# The cells whose direction has no x part, and those without a y part.
NO_X = N | VERTEX | S
NO_Y = W | VERTEX | E

# In 3D, bit dx + 1 + 3 (dy + 1) + 9 (dz + 1), so that a step in z shifts a mask by 9.
DIRECTIONS3 = tuple((bit % 3 - 1, bit // 3 % 3 - 1, bit // 9 - 1) for bit in range(27))
VERTEX3, EDGES3, SQUARES3, CUBES3 = (
    sum(1 << bit for bit, direction in enumerate(DIRECTIONS3) if sum(map(abs, direction)) == dim) for dim in range(4)
)
# The cells whose direction has no x, no y, and no z part.
NO_X3, NO_Y3, NO_Z3 = (
    sum(1 << bit for bit, direction in enumerate(DIRECTIONS3) if direction[axis] == 0) for axis in range(3)
)
# The bit numbers of a voxel's vertex and of its six edges. The opposite of bit b is 26 - b.
BELOW_BIT, NORTH_BIT, WEST_BIT, VERTEX_BIT, EAST_BIT, SOUTH_BIT, ABOVE_BIT = 4, 10, 12, 13, 14, 16, 22

# The order of the Morse matching: the cells of a lower star are matched with their neighbours along +x, -x, +y, -y, +z
# and -z in turn, as far as they are still unmatched. These are shifts of a mask; images use the first four.
# Every kernel follows this order. Where speed requires unrolled formulas, a test compares them with `match_star`.
MATCHING_SHIFTS = 1, -1, 3, -3, 9, -9
# The edges of a vertex in this order: a vertex is matched with the first one that its star contains.
MATCHING_EDGES = E, W, S, N  # masks, in 2D
MATCHING_EDGE_BITS = EAST_BIT, WEST_BIT, SOUTH_BIT, NORTH_BIT, ABOVE_BIT, BELOW_BIT  # bit numbers, in 3D

_NO_PART = {2: {1: NO_X, 3: NO_Y}, 3: {1: NO_X3, 3: NO_Y3, 9: NO_Z3}}  # by rank and size of a shift


def shifted(mask: int, shift: int) -> int:
    """Shift a mask to higher bits, or to lower ones if the shift is negative."""
    return mask << shift if shift >= 0 else mask >> -shift


def match_star(star: int, rank: int) -> dict[int, int]:
    """Match the cells of a lower star of an image (rank 2) or of a volume (rank 3).

    Returns
    -------
    dict
        For the bit number of each matched cell, the shift along which it is matched. Of a pair, the cell of lower
        dimension has bit b, and the other one bit b + shift. Critical cells are missing.
    """
    matched: dict[int, int] = {}
    for shift in MATCHING_SHIFTS[: 2 * rank]:
        lower = star & _NO_PART[rank][abs(shift)] & shifted(star, -shift)
        both = lower | shifted(lower, shift)
        matched |= {bit: shift for bit in range(3**rank) if both >> bit & 1}
        star &= ~both
    return matched
