"""Diagrams in one form, whether they come from GUDHI or from here."""

from __future__ import annotations

import gudhi
import numpy as np
import torch

import gpuph


def rows_sorted(points: np.ndarray) -> np.ndarray:
    """Sort points by birth, then by death."""
    points = np.asarray(points, np.float64).reshape(-1, 2)
    return points[np.lexsort(points.T[::-1])]


def by_gudhi(image: np.ndarray, construction: str) -> list[np.ndarray]:
    """Return GUDHI's diagrams of an image or a volume in all dimensions, each sorted by birth, then by death."""
    cells = {"T": "top_dimensional_cells", "V": "vertices"}[construction]
    complex_ = gudhi.CubicalComplex(**{cells: image.astype(np.float64)})
    complex_.compute_persistence(homology_coeff_field=2, min_persistence=0)
    return [rows_sorted(complex_.persistence_intervals_in_dimension(dim)) for dim in range(image.ndim)]


def assert_equals_gudhi(image: np.ndarray, construction: str) -> None:
    """The points of all diagrams of one image or volume must be GUDHI's, value by value."""
    diagrams = gpuph.persistence(torch.from_numpy(image)[None], construction=construction)
    for dim, expected in enumerate(by_gudhi(image, construction)):
        np.testing.assert_array_equal(rows_sorted(diagrams[dim].to_list()[0].numpy()), expected)


def pairs_of(diagram: gpuph.Diagram, window: int) -> list[tuple[int, int]]:
    """Return (birth index, death index) of all pairs of a window, in the order of the diagram."""
    n = int(diagram.count[window])
    return [*zip(diagram.birth_index[window, :n].tolist(), diagram.death_index[window, :n].tolist(), strict=True)]
