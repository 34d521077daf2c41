"""Places on a map for the pixels of an image, and the other way round."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .. import checks
from .optional import required

Floats = NDArray[np.float64]
Transform: TypeAlias = Any  # an `Affine`, or six numbers
LEAST_AREA = 1e-12  # of a pixel, as a share of the product of its sides: below it, a transform cannot be inverted


class Georeference(NamedTuple):
    """Where the pixels of an image lie on a map.

    Positions of pixels are (row, column), and those on a map (x, y). An image without a transform is the map itself,
    whose positions are (y, x), in the order of the axes of an image.
    """

    matrix: Floats | None
    """Maps (column, row, 1) to (x, y), where the first pixel extends from 0 to 1, shape (2, 3); or None."""

    def to_map(self, pixels: Floats) -> Floats:
        """Return (x, y), given the positions (n, 2) of pixels, the first of which has its centre at 0."""
        flipped: Floats = pixels[:, ::-1]
        return flipped if self.matrix is None else (flipped + 0.5) @ self.matrix[:, :2].T + self.matrix[:, 2]

    def to_pixels(self, places: Floats) -> Floats:
        """Return the inverse of `to_map`."""
        if self.matrix is not None:
            places = (places - self.matrix[:, 2]) @ np.linalg.inv(self.matrix[:, :2]).T - 0.5
        flipped: Floats = np.ascontiguousarray(places[:, ::-1])
        return flipped


def checked(transform: Transform) -> Georeference:
    """Return the georeference of a transform, an `Affine` or its six numbers; raise unless it can be inverted."""
    if transform is None:
        return Georeference(None)
    names = "abcdef"
    if all(hasattr(transform, name) for name in names):
        values = checks.numbers("transform", [getattr(transform, name) for name in names])
    elif checks.is_ordered(transform):
        values = checks.numbers("transform", transform)
    else:
        raise TypeError(f"transform must be an Affine or its six numbers, got {checks.shown(transform)}")
    if len(values) != 6:
        raise ValueError(f"transform must have the six numbers (a, b, c, d, e, f), got {checks.shown(transform)}")
    matrix = np.array(values).reshape(2, 3)
    sides = matrix[:, :2]
    # The sides of a pixel are scaled to 1, since products of small numbers may underflow.
    sides = sides / max(np.abs(sides).max(), 1e-300)
    size = np.linalg.norm(sides, axis=0)
    if abs(np.linalg.det(sides / np.where(size > 0, size, 1))) < LEAST_AREA:
        raise ValueError(f"transform must be invertible, got {checks.shown(transform)}")
    return Georeference(matrix)


def reproject(places: Floats, source: Any, crs: Any, name: str) -> Floats:
    """Convert places (n, 2) from the CRS `source` of an argument to `crs`; None leaves them as they are."""
    if crs is None:
        return places
    target = as_crs("crs", crs)
    if source is None:
        raise ValueError(f"{name} must have a CRS to be converted to crs, got none")
    source = as_crs(f"the CRS of {name}", source)
    if source == target:
        return places
    transformer = required("pyproj", "crs").Transformer.from_crs(source, target, always_xy=True)
    return np.stack(transformer.transform(places[:, 0], places[:, 1]), 1)


def as_crs(name: str, crs: Any) -> Any:
    """Return an argument as a `pyproj.CRS`; raise if it is not a CRS."""
    pyproj = required("pyproj", name)
    if not isinstance(crs, (str, int, dict, pyproj.CRS)) or isinstance(crs, bool):
        if hasattr(crs, "to_wkt"):  # a CRS of another library, such as rasterio
            return pyproj.CRS.from_wkt(crs.to_wkt())
        raise TypeError(f"{name} must be a CRS, such as 'EPSG:32635', got {checks.shown(crs)}")
    try:
        return pyproj.CRS.from_user_input(crs)
    except (pyproj.exceptions.CRSError, OverflowError) as error:
        raise ValueError(f"{name} must be a CRS, such as 'EPSG:32635', got {checks.shown(crs)}") from error


def split(points: Floats, counts: list[int]) -> list[Floats]:
    """Cut an array into consecutive parts with these numbers of rows."""
    return [points[start:stop] for start, stop in pairwise(np.append(0, np.cumsum(counts)).astype(int).tolist())]


def length(path: Floats) -> float:
    """Return the length of a path (n, ndim)."""
    return float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())
