"""Diagrams by GUDHI and cripser, in the form that the benchmarks compare."""

from __future__ import annotations

import gudhi
import numpy as np
from torch import Tensor


def cofaces(windows: Tensor) -> list[object]:
    """Return the cells of births and deaths by GUDHI, window by window, as persistence losses use them."""
    found = []
    for window in windows.double().numpy():
        complex_ = gudhi.CubicalComplex(top_dimensional_cells=window)
        complex_.compute_persistence(homology_coeff_field=2, min_persistence=0)
        found.append(complex_.cofaces_of_persistence_pairs())
    return found


def finite_points(bars: np.ndarray, dim: int) -> np.ndarray:
    """Return the points (k, 2) of cripser's bars (n, 9) in one dimension, without empty bars and essential classes."""
    points = bars[bars[:, 0] == dim, 1:3]
    births, deaths = points.T
    return points[(births < deaths) & (deaths < 1e300)]  # cripser gives essential classes the largest double


def sorted_points(points: np.ndarray) -> np.ndarray:
    """Sort points (k, 2) by birth, then by death, so that diagrams can be compared."""
    points = np.asarray(points, np.float64).reshape(-1, 2)
    return points[np.lexsort(points.T[::-1])]
