"""Stars and squares as `reduce` needs them: the square that an edge is matched with, and the edges of a square.

Numbers are blocks, or scalars that are the same in all threads. A direction is a bit of `cells.DIRECTIONS3`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import triton
import triton.language as tl

from ...cells import EAST_BIT, EDGES3, NORTH_BIT, SOUTH_BIT, WEST_BIT
from .bits import ABOVE, BELOW, EAST, NO_X, NO_Y, NO_Z, NORTH, SOUTH, VERTEX, WEST
from .gradient import SQUARES_PER_VOXEL
from .reduce_chain import count, highest
from .words import last_edge_bit, leads_to_square, match_word, rank_among, unpacked_cell

_EDGES = tl.constexpr(EDGES3)
_ALONG_X, _ALONG_Y = (tl.constexpr(1 << a | 1 << b) for a, b in ((WEST_BIT, EAST_BIT), (NORTH_BIT, SOUTH_BIT)))


class Volume(NamedTuple):
    """A window, and factors and shifts by which positions are divided; see `reciprocal`."""

    value: Any  # [D, H, W] float32 or float64
    star: Any  # [D, H, W] int32, or int64 for words
    first_edge: Any  # [D * H * W] int32
    height: Any
    width: Any
    by_row: Any  # for W
    row_shift: Any
    by_slice: Any  # for H * W
    slice_shift: Any
    by_window: Any  # for D * H * W
    window_shift: Any


# The numbers that a kernel which follows paths takes: the shape of a window, its reciprocals, and bounds.
SIZES = [
    *("depth", "height", "width"),
    *("by_row", "row_shift", "by_slice", "slice_shift", "by_window", "window_shift"),
    *("most_edges", "most_squares", "room", "programs"),
]


def reciprocal(size: int) -> tuple[int, int]:
    """Return a factor and a shift so that n // size is n * factor >> shift for all 0 <= n < 2^28.

    The factor is 2^shift / size, rounded up, so that n * factor / 2^shift exceeds n / size by less than n / 2^shift,
    which is less than 1 / size, and reaches no other integer. Size is at most 2^28.
    """
    shift = 28 + (size - 1).bit_length()
    return -(-(1 << shift) // size), shift


@triton.jit
def match(star):
    """Match the cells of a star in the order of `cells`, along +x, -x, +y, -y, +z and -z in turn, or those of a word.

    Returns, for each of the six, the cells that are matched with a cell of the next higher dimension, and the critical
    edges: those of a word with their order, see `words.match_word`.
    """
    if star.dtype == tl.int64:
        east, west, south, north, above, below, critical = match_word(star)
    else:
        s = star
        east = s & (s >> 1) & NO_X
        s -= east * 3
        west = s & (s >> 1) & (NO_X >> 1)  # the squares and cubes; each cell is one bit higher
        s -= west * 3
        south = s & (s >> 3) & NO_Y
        s -= south * 9
        north = s & (s >> 3) & (NO_Y >> 3)
        s -= north * 9
        above = s & (s >> 9) & NO_Z
        s -= above * 513
        below = s & (s >> 9) & (NO_Z >> 9)
        s -= below * 513
        west, north, below, critical = west << 1, north << 3, below << 9, s & _EDGES
    return east, west, south, north, above, below, critical


@triton.jit
def partner_of(edge, east, west, south, north, above):
    """Return the direction along which an edge, a mask, is matched. The other arguments are those of `match`."""
    direction = tl.where((edge & above) != 0, ABOVE, BELOW)
    direction = tl.where((edge & north) != 0, NORTH, direction)
    direction = tl.where((edge & south) != 0, SOUTH, direction)
    direction = tl.where((edge & west) != 0, WEST, direction)
    return tl.where((edge & east) != 0, EAST, direction)


@triton.jit
def owner_of(square):
    """Return the owner of a critical square."""
    owner, _, _ = unpacked_cell(square, SQUARES_PER_VOXEL)
    return owner


@triton.jit
def directions_of(square):
    """Return the two directions of a critical square."""
    _, _, number = unpacked_cell(square, SQUARES_PER_VOXEL)
    bit = 2 * number + tl.where(number < 6, 1, 3)
    dx, dy, dz = bit % 3 - 1, bit // 3 % 3 - 1, bit // 9 - 1
    first = tl.where(dx == 0, 3 * dy + VERTEX, dx + VERTEX)
    second = tl.where(dz == 0, 3 * dy + VERTEX, 9 * dz + VERTEX)
    return first, second


@triton.jit
def far_edges(v, p, q, there, volume, TOP: tl.constexpr):
    """Return the two far edges of the squares that v spans with its edges in directions p and q: those not at v.

    Returns owner, direction and mask for both. An edge is masked out where it does not count: where it is matched with
    its owner, and so leads nowhere, where it is outside, where every loop can be contracted, or where v is not there.
    """
    step_p, step_q = _step(p, volume), _step(q, volume)
    a, b, c = v + step_p, v + step_q, v + step_p + step_q
    m_a, m_b = there, there
    if TOP:
        m_a, m_b = there & _stays(v, a, p, volume), there & _stays(v, b, q, volume)
    star_a, star_b = tl.load(volume.star + a, mask=m_a, other=0), tl.load(volume.star + b, mask=m_b, other=0)
    star_c = tl.load(volume.star + c, mask=m_a & m_b, other=0)
    # An edge is in the star of its later end. In T, the outside comes before all.
    a_later, b_later = (star_a >> q & 1) != 0, (star_b >> p & 1) != 0
    star_a, star_b = tl.where(a_later, star_a, star_c), tl.where(b_later, star_b, star_c)
    direction_a, direction_b = tl.where(a_later, q, 26 - q), tl.where(b_later, p, 26 - p)
    if star_a.dtype == tl.int64:
        m_a &= leads_to_square(star_a, direction_a)
        m_b &= leads_to_square(star_b, direction_b)
    else:
        m_a &= (star_a & tl.where(a_later, _edges_before(q), _edges_before(26 - q))) != 0
        m_b &= (star_b & tl.where(b_later, _edges_before(p), _edges_before(26 - p))) != 0
    return tl.where(a_later, a, c), direction_a, m_a, tl.where(b_later, b, c), direction_b, m_b


@triton.jit
def _stays(v, end, direction, volume):
    """Return whether edges from v to their ends stay in the window: in the row, slice or window in which they lie."""
    size = tl.abs(direction - VERTEX)
    by = tl.where(size == 1, volume.by_row, tl.where(size == 3, volume.by_slice, volume.by_window))
    shift = tl.where(size == 1, volume.row_shift, tl.where(size == 3, volume.slice_shift, volume.window_shift))
    return ((v.to(tl.int64) * by) >> shift) == ((end.to(tl.int64) * by) >> shift)


@triton.jit
def _edges_before(direction):
    """Return the edges that a vertex is matched with before the one in a direction: E, W, S, N, above, below."""
    size = tl.abs(direction - VERTEX)
    nearer = tl.where(size == 1, 0, tl.where(size == 3, _ALONG_X, _ALONG_X | _ALONG_Y))
    return nearer | tl.where(direction < VERTEX, 1 << (26 - direction), 0)


@triton.jit
def unless_with_vertex(star, direction):
    """Return the masks of edges, or 0 where a vertex is matched with its edge."""
    is_word: tl.constexpr = star.dtype == tl.int64
    leads = leads_to_square(star, direction) if is_word else (star & _edges_before(direction)) != 0
    return tl.where(leads, 1 << direction, 0)


@triton.jit
def slot_of(v, direction, critical, there, volume):
    """Return where critical edges of v are among those of the window, given all critical edges of v.

    Those of one owner are in the order of the filtration there.
    """
    is_word: tl.constexpr = critical.dtype == tl.int64
    rank = rank_among(critical, direction) if is_word else count(critical & ((1 << direction) - 1))
    return tl.load(volume.first_edge + v, mask=there, other=0) + rank


@triton.jit
def latest_of(edges, critical):
    """Return the direction of the latest of some critical edges of a vertex, a mask, given all its critical edges."""
    return last_edge_bit(edges, critical) if critical.dtype == tl.int64 else highest(edges)


@triton.jit
def comes_before(square, key, other, squares, values, TOP: tl.constexpr):
    """Return whether a square, of which the owner's key is given, comes before the one of another column."""
    square_other = tl.load(squares + other)
    key_other = key_of(values, owner_of(square_other), True, TOP)
    return (key < key_other) | ((key == key_other) & (square < square_other))


@triton.jit
def _step(direction, volume):
    """Return how far an edge leads, as a difference of flat indices."""
    away = direction - VERTEX
    size = tl.abs(away)
    cells = tl.where(size == 1, 1, tl.where(size == 3, volume.width, volume.height * volume.width))
    return tl.where(away < 0, -cells, cells)


@triton.jit
def key_of(values, i, there, TOP: tl.constexpr):
    """Return the order keys of voxels: integers in the order of their values, or in T of the negatives; -0 equals 0."""
    value = tl.load(values + i, mask=there, other=0.0)
    bits = value.to(tl.int32 if value.dtype == tl.float32 else tl.int64, bitcast=True)
    size = bits & ((1 << (bits.dtype.primitive_bitwidth - 1)) - 1)
    return tl.where((bits < 0) != TOP, -size, size)
