"""Skeletons of masks, as curves.

A mask is treated as a complex of closed pixels with all their edges and vertices. The complex is thinned from the
outside in to curves, which run along the middle of the mask: through pixels where it is an odd number of pixels thick,
and between them where it is even. This has the symmetries of the grid, which no choice of pixels can have.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .ops import thinning


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
    if not mask.any():
        return Curves(np.zeros((0, mask.ndim)), np.zeros((0, 2), int))
    cells, first = thinning.thin(mask, thinning.PATIENCE)
    present = cells.present()
    places = cells.coordinates(present) / 2 - 1 + first
    return Curves(places, _collapse_triangles(places, cells.links(present)))


def pixel_counts(curve: Curves) -> np.ndarray:
    """Return how many pixels each cell of the curves counts as, shape (n,), float64.

    A pixel counts as 1 and an edge between two pixels as 0. Where a curve runs between pixels, every second cell
    counts, so that the sum is the number of pixels along the curves.
    """
    cofaces = np.bincount(curve.links[:, 1], minlength=len(curve.places))
    counts: np.ndarray = (1 - cofaces / 2).clip(0)
    return counts


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
