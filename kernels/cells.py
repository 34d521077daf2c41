"""The cells of a grid, and how sets of them are written.

A cell is a vertex plus a direction in {-1, 0, 1}^n, one entry an axis: the vertex itself, its 2 n edges, ..., its 2^n
top cells. A set of cells around one vertex is a mask with one bit a direction. In 2D, bit dx + 1 + 3 (dy + 1):

    NW  N  NE        1    2    4
     W  .  E   =     8   16   32
    SW  S  SE       64  128  256

so that a step in x shifts a mask by 1, and one in y by 3.
"""

NW, N, NE, W, VERTEX, E, SW, S, SE = (1 << bit for bit in range(9))
SQUARES = NW | NE | SW | SE
# The cells without an x part, and without a y part.
NO_X = N | VERTEX | S
NO_Y = W | VERTEX | E

# In 3D, bit dx + 1 + 3 (dy + 1) + 9 (dz + 1), so that a step in z shifts a mask by 9.
DIRECTIONS3 = tuple((bit % 3 - 1, bit // 3 % 3 - 1, bit // 9 - 1) for bit in range(27))
VERTEX3, EDGES3, SQUARES3, CUBES3 = (
    sum(1 << bit for bit, direction in enumerate(DIRECTIONS3) if sum(map(abs, direction)) == dim) for dim in range(4)
)
# The cells without an x, a y, and a z part.
NO_X3, NO_Y3, NO_Z3 = (
    sum(1 << bit for bit, direction in enumerate(DIRECTIONS3) if direction[axis] == 0) for axis in range(3)
)
