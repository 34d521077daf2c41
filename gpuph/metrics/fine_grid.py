"""Masks whose pixels are about as long as wide, for thinning, which peels a layer of pixels in each step."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class FineGrid(NamedTuple):
    """A mask in which pixels are repeated along the axes where they are long."""

    mask: np.ndarray
    """The mask of fine pixels, bool."""
    repeats: np.ndarray
    """How many fine pixels a pixel has along each axis, shape (ndim,), int64."""
    spacing: np.ndarray
    """The size of a pixel, shape (ndim,), float64."""

    def in_units(self, points: np.ndarray) -> np.ndarray:
        """Return positions in units of length, given those in fine pixels (n, ndim); both are 0 in the first pixel."""
        places: np.ndarray = ((points + 0.5) / self.repeats - 0.5) * self.spacing
        return places

    def fine_size(self) -> float:
        """Return the mean size of a fine pixel along the axes."""
        return float((self.spacing / self.repeats).mean())


def resample(mask: np.ndarray, spacing: tuple[float, ...]) -> FineGrid:
    """Repeat the pixels of a mask (H, W) or (D, H, W), so that all their sides are about as long as the shortest."""
    repeats = np.rint(np.array(spacing) / min(spacing)).astype(int)
    for axis, count in enumerate(repeats.tolist()):
        mask = mask.repeat(count, axis) if count > 1 else mask
    return FineGrid(mask, repeats, np.array(spacing))
