"""Skeletons of masks, as curves.

A mask is treated as a complex of closed pixels with all their edges and vertices. The complex is thinned from the
outside in to curves, which run along the middle of the mask: through pixels where it is an odd number of pixels thick,
and between them where it is even. This has the symmetries of the grid, which no choice of pixels can have.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np

from .cell_complex import CellComplex, CurveEnds
from .ops import thinning

# In half pixels: a point of a curve is kept if its distance from the end of the mask exceeds half the thickness of the
# mask by this much. A smaller value would let curves grow into the bumps of a rough boundary.
PATIENCE = 3


class Curves(NamedTuple):
    """The cells that remain of the complex of a mask.

    Attributes
    ----------
    places : ndarray, shape (n, ndim), float64
        Their centres, in pixels.
    links : ndarray, shape (m, 2), int64
        Pairs of cells that follow each other on a curve. The second is a face of the first.
    """

    places: np.ndarray
    links: np.ndarray


def curves(mask: np.ndarray) -> Curves:
    """Thin a bool mask (H, W) or (D, H, W) to curves."""
    ndim = mask.ndim
    if not mask.any():
        return Curves(np.zeros((0, ndim)), np.zeros((0, 2), int))
    box = tuple(_extent(mask, axis) for axis in range(ndim))
    cells = CellComplex(mask[box] if ndim == 2 else _fill_cavities(mask[box]))
    _restore_ends(cells, cells.thin(PATIENCE))
    present = cells.present()
    places = cells.coordinates(present) / 2 - 1 + [extent.start for extent in box]
    return Curves(places, _collapse_triangles(places, cells.links(present)))


def pixel_counts(curve: Curves) -> np.ndarray:
    """Return how many pixels each cell of the curves counts as, shape (n,), float64.

    A pixel counts as 1 and an edge between two pixels as 0. Where a curve runs between pixels, every second cell
    counts, so that the sum is the number of pixels along the curves.
    """
    cofaces = np.bincount(curve.links[:, 1], minlength=len(curve.places))
    counts: np.ndarray = (1 - cofaces / 2).clip(0)
    return counts


def _extent(mask: np.ndarray, axis: int) -> slice:
    """Return the range along an axis in which a mask is True."""
    index = np.flatnonzero(mask.any(tuple(other for other in range(mask.ndim) if other != axis)))
    return slice(int(index[0]), int(index[-1]) + 1)


def _fill_cavities(mask: np.ndarray) -> np.ndarray:
    """Fill the cavities of a volume that are balls, so that it can be thinned to curves.

    This does not change the components and loops of the volume.
    """
    from scipy.ndimage import label  # here, because the import takes long

    labels, count = label(np.pad(~mask, 1, constant_values=True))
    if count == 1:
        return mask
    # The Euler characteristic of a component of the background is its number of voxels, minus that of pairs of
    # adjacent voxels, plus that of squares of four, minus that of cubes of eight.
    characteristic = np.zeros(count + 1, int)
    for sides in product((1, 2), repeat=3):
        whole = labels
        for axis, side in enumerate(sides):
            if side == 2:
                low, high = (whole[(slice(None),) * axis + (part,)] for part in (slice(None, -1), slice(1, None)))
                whole = np.where(high > 0, low, 0)
        sign = 1 - 2 * (sum(sides) % 2 == 0)
        characteristic += sign * np.bincount(whole.ravel(), minlength=count + 1)
    ball = characteristic == 1
    ball[[0, labels[0, 0, 0]]] = False
    filled = mask | ball[labels[1:-1, 1:-1, 1:-1]]
    # A cavity that has a tunnel and contains an object also has the characteristic of a ball. Filling it would remove
    # the object.
    return filled if _components(filled) == _components(mask) else mask


def _components(mask: np.ndarray) -> int:
    """Count the components of a volume whose voxels touch across corners."""
    from scipy.ndimage import label

    _, count = label(mask, np.ones((3, 3, 3)))
    return int(count)


def _restore_ends(cells: CellComplex, ends: CurveEnds) -> None:
    """Extend the curves at their ends by the cells that were removed there, up to the first fork."""
    order = np.lexsort((-ends.step, ends.neighbour))
    removed, neighbour, step = ends.cell[order], ends.neighbour[order], ends.step[order]

    def grow(tips: np.ndarray, branch: int, branches: int) -> np.ndarray:
        """Add the first cell of a branch beyond each tip and return these cells.

        The branches beyond a tip are numbered from the longest to the shortest. The branch is added only if it is
        longer than the one with number `branches`.
        """
        first, stop = (np.searchsorted(neighbour, tips, side=side) for side in ("left", "right"))
        first, stop = first[first + branch < stop], stop[first + branch < stop]
        rival = first + branches
        longer = rival >= stop
        longer[~longer] = step[rival[~longer]] < step[first[~longer] + branch]
        new: np.ndarray = removed[first[longer] + branch]
        cells.state[new] = thinning.PRESENT
        return new

    left = cells.present()
    degree = np.bincount(cells.links(left).ravel(), minlength=len(left))
    kept = (cells.state[left] & thinning.KEPT) > 0
    single = left[kept & (degree == 0)]  # it grows in two directions
    tips = np.concatenate((left[kept & (degree == 1)], grow(single, 0, 2), grow(single, 1, 2)))
    while len(tips):
        tips = grow(tips, 0, 1)


def _collapse_triangles(places: np.ndarray, links: np.ndarray) -> np.ndarray:
    """Return the links (m, 2) without those that only close triangles: three comparable cells are not a loop.

    The removal of a link does not change the homotopy type if one of the common neighbours of its ends is a neighbour
    of all the others (Boissonnat & Pritam 2020, "Edge collapse and persistence of flag complexes"). The longest links
    are removed first.
    """
    has_face, has_coface = (np.zeros(len(places), bool) for _ in range(2))
    has_face[links[:, 0]] = has_coface[links[:, 1]] = True
    middle = has_face & has_coface
    if not middle.any():
        return links
    involved = np.zeros(len(places), bool)
    involved[links[middle[links].any(1)]] = True
    inner = involved[links].all(1)
    pairs = links[inner]
    lengths = np.abs(places[pairs[:, 0]] - places[pairs[:, 1]]).sum(1)
    left = pairs[np.argsort(-lengths, kind="stable")].tolist()
    adjacency: dict[int, set[int]] = {}
    for a, b in left:
        adjacency.setdefault(a, set()).add(b)
        adjacency.setdefault(b, set()).add(a)
    while True:
        stay = []
        for a, b in left:
            common = adjacency[a] & adjacency[b]
            if any(common <= adjacency[c] | {c} for c in common):
                adjacency[a].remove(b)
                adjacency[b].remove(a)
            else:
                stay.append((a, b))
        if len(stay) == len(left):
            return np.concatenate((links[~inner], np.array(stay, int).reshape(-1, 2)))
        left = stay
