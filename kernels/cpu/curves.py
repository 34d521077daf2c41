"""Curves: the cells that remain of the complex of a mask when it is thinned from the outside in; see `thinning`."""

from __future__ import annotations

from itertools import product

import numpy as np

from . import thinning
from .cell_complex import CellComplex, CurveEnds


def curve_pixels(masks: np.ndarray, patience: int) -> np.ndarray:
    """Mark the pixels at the curves of bool masks (N, *window); see `gpuph.ops.curve_pixels`."""
    out = np.zeros(masks.shape, bool)
    for pixels, mask in zip(out, masks, strict=True):
        if not mask.any():
            continue
        cells, first = thin(mask, patience)
        # Half coordinates in the window, of cells that may be at its rim or between pixels.
        twice = cells.coordinates(cells.present()) - 2 + 2 * first
        for sides in product((0, 1), repeat=mask.ndim):
            index = np.clip((twice + sides) // 2, 0, np.array(mask.shape) - 1)
            pixels[tuple(index.T)] = True
        pixels &= mask
    return out


def thin(mask: np.ndarray, patience: int) -> tuple[CellComplex, np.ndarray]:
    """Thin a mask (H, W) or (D, H, W) that is not empty to curves.

    Returns the cells of its bounding box, and the first pixel of this box, (ndim,) int64. See `CellComplex.thin`.
    """
    box = tuple(_extent(mask, axis) for axis in range(mask.ndim))
    cells = CellComplex(mask[box] if mask.ndim == 2 else _fill_cavities(mask[box]))
    _restore_ends(cells, cells.thin(patience))
    return cells, np.array([extent.start for extent in box])


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
