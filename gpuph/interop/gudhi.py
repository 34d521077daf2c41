"""GUDHI's cubical complexes: `from gpuph.interop.gudhi import CubicalComplex` instead of `from gudhi import ...`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .. import arrays, checks, debug
from ..arrays import ArrayLike
from ..persistence import check_windows, pairs_of, query_of

__all__ = ["CubicalComplex", "PeriodicCubicalComplex"]

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
LARGEST_FIELD = 46337  # GUDHI's own limit


class CubicalComplex:
    """Compute the persistence of one image, volume or signal, with the interface of `gudhi.CubicalComplex`.

    All arguments are keywords. Either the top-dimensional cells or the vertices are given.

    Parameters
    ----------
    top_dimensional_cells : array_like, optional
        Values of pixels that are top-dimensional cells, so that 8 neighbours connect in an image, or 26 in a volume: an
        array with 1 to 3 axes, or a flat sequence if `dimensions` is given. Tensors are detached and copied to the CPU.
    vertices : array_like, optional
        Values of pixels that are vertices, so that 4 neighbours connect in an image, or 6 in a volume.
    dimensions : sequence of int, optional
        Shape of a flat sequence, which is read in Fortran order: the first axis is the fastest.
    perseus_file : str
        Not supported.

    Raises
    ------
    TypeError
        If the values are not real numbers.
    ValueError
        If not exactly one kind of cells is given, the values do not fit `dimensions`, or there are no values, more than
        three axes or a NaN.
    NotImplementedError
        If `perseus_file` is given.

    Notes
    -----
    Values are float64 and indices int64, in GUDHI's order: pairs by death, and points of `persistence` by dimension and
    length. GUDHI numbers pixels in Fortran order, and so does this class.

    Where the values of all pixels differ, pairs are GUDHI's. Among pixels of equal value, births and deaths of pairs
    are the same, but the pixels may be others of the same value. Pairs that die at the same value come longest first;
    GUDHI's order depends on how it numbers edges and squares. So does its order of points of one length, which come
    here by birth.

    Homology has coefficients modulo 2, whatever `homology_coeff_field` is: see `compute_persistence`.

    References
    ----------
    GUDHI: The GUDHI Project, *GUDHI User and Reference Manual*, chapter "Cubical complex" by P. Dlotko.

    Examples
    --------
    >>> from gpuph.interop.gudhi import CubicalComplex
    >>> ring = CubicalComplex(top_dimensional_cells=[[0.0, 1.0, 2.0], [3.0, 8.0, 4.0], [5.0, 6.0, 7.0]])
    >>> ring.persistence()
    [(1, (6.0, 8.0)), (0, (0.0, inf))]
    >>> ring.cofaces_of_persistence_pairs()
    [[array([], shape=(0, 2), dtype=int64), array([[5, 4]])], [array([0])]]
    """

    def __init__(
        self,
        *,
        top_dimensional_cells: ArrayLike | None = None,
        vertices: ArrayLike | None = None,
        dimensions: Sequence[int] | None = None,
        perseus_file: str = "",
    ) -> None:
        if perseus_file:
            raise NotImplementedError(
                "perseus_file is not supported: read the values of the file into an array and pass them as"
                " top_dimensional_cells"
            )
        if (top_dimensional_cells is None) == (vertices is None):
            raise ValueError("pass one of top_dimensional_cells and vertices")
        self._top = vertices is None
        self._name = "top_dimensional_cells" if self._top else "vertices"
        self._values = _window(self._name, top_dimensional_cells if self._top else vertices, dimensions)
        self._pairs: list[_Pairs] | None = None

    def compute_persistence(self, homology_coeff_field: int = 11, min_persistence: float = 0) -> None:
        """Compute the pairs that all other methods return.

        Parameters
        ----------
        homology_coeff_field : int
            A prime number of at most 46337. The result is that of 2. Another number would give other loops of volumes
            in rare cases; components, cavities and images do not depend on it.
        min_persistence : float
            Keep only pairs that last longer, in filtration values; 0 or more. Essential classes are always kept.

        Raises
        ------
        ValueError
            If the field is not a prime number, `min_persistence` is negative, or the values have a NaN. GUDHI takes
            negative numbers and then also returns the pairs of length zero, which depend on its cells.
        """
        field = checks.integer("homology_coeff_field", homology_coeff_field, most=LARGEST_FIELD)
        if field < 2 or any(field % divisor == 0 for divisor in range(2, math.isqrt(field) + 1)):
            raise ValueError(f"homology_coeff_field must be a prime number, got {field}")
        window = self._values.unsqueeze(0)
        if window.dim() == 2:
            window = window.unsqueeze(1)  # a signal is an image with one row
        query = query_of(window, range(self._values.dim()), "T" if self._top else "V", min_persistence)
        found = pairs_of(window, query)
        debug.raise_status(found.status, (self._name,), 0)
        self._pairs = [_Pairs(pairs.value, pairs.index, dim) for dim, pairs in enumerate(found.pairs)]

    def persistence(
        self, homology_coeff_field: int = 11, min_persistence: float = 0
    ) -> list[tuple[int, tuple[float, float]]]:
        """Compute the pairs and return (dimension, (birth, death)), the highest dimension and the longest pair first.

        Parameters are those of `compute_persistence`.
        """
        self.compute_persistence(homology_coeff_field, min_persistence)
        listed: list[tuple[int, tuple[float, float]]] = []
        for dim, pairs in reversed([*enumerate(self._computed("persistence"))]):
            listed += [(dim, (birth, death)) for birth, death in pairs.longest_first().tolist()]
        return listed

    def persistence_intervals_in_dimension(self, dimension: int) -> Floats:
        """Return births and deaths in a dimension, shape (n, 2), float64; essential classes last, with death inf."""
        pairs = self._computed("persistence_intervals_in_dimension")
        return pairs[dimension].points.copy() if 0 <= dimension < len(pairs) else np.empty((0, 2))

    def cofaces_of_persistence_pairs(self) -> list[list[Indices]]:
        """Return the pixels of births and deaths, numbered in Fortran order.

        Returns
        -------
        list of two lists
            The pairs that end: an array (n, 2), int64, for each dimension up to the last one that has such pairs. And
            the essential classes: one array (1,), int64, with the pixel of the first birth.

        Raises
        ------
        RuntimeError
            If the complex was built from vertices, or `compute_persistence` was not called.
        """
        return self._pixels("cofaces_of_persistence_pairs", of_top_cells=True)

    def vertices_of_persistence_pairs(self) -> list[list[Indices]]:
        """Return the same as `cofaces_of_persistence_pairs`, for a complex that was built from vertices."""
        return self._pixels("vertices_of_persistence_pairs", of_top_cells=False)

    def betti_numbers(self) -> list[int]:
        """Return the numbers of essential classes: 1, and 0 in dimensions 1 to n, as a complete image has no holes."""
        self._computed("betti_numbers")
        return [1] + [0] * self.dimension()

    def persistent_betti_numbers(self, from_value: float, to_value: float) -> list[int]:
        """Return, for dimensions 0 to n, the number of pairs that are born by `from_value` and die after `to_value`."""
        counts = []
        for pairs in self._computed("persistent_betti_numbers"):
            birth, death = pairs.points.T
            lasting = death > to_value
            lasting[pairs.ending :] = True  # an essential class also outlasts inf
            counts.append(int((lasting & (birth <= from_value)).sum()))
        return [*counts, 0]

    def dimension(self) -> int:
        """Return the number of axes n."""
        return self._values.dim()

    def num_simplices(self) -> int:
        """Return the number of cells of all dimensions."""
        return math.prod(2 * size + (1 if self._top else -1) for size in self._values.shape)

    def all_cells(self) -> Floats:
        """Return the values of the cells of all dimensions, float64, in Fortran order.

        Along an axis of n pixels there are 2n + 1 cells if pixels are top-dimensional cells, and 2n - 1 if they are
        vertices. Indices are even across vertices and odd along edges. A cell has the least value of the
        top-dimensional cells around it, or the largest one of its vertices.
        """
        cells: Floats = self._values.numpy()
        for axis in range(cells.ndim):
            cells = np.moveaxis(_refined(np.moveaxis(cells, axis, 0), top=self._top), 0, axis)
        return np.asfortranarray(cells.T)

    def top_dimensional_cells(self) -> Floats:
        """Return the values of the top-dimensional cells."""
        return self.all_cells()[(slice(1, None, 2),) * self.dimension()]

    def vertices(self) -> Floats:
        """Return the values of the vertices."""
        return self.all_cells()[(slice(0, None, 2),) * self.dimension()]

    def _computed(self, method: str) -> list[_Pairs]:
        """Return the pairs of all dimensions; raise if they were not computed."""
        if self._pairs is None:
            raise RuntimeError(f"call compute_persistence() before {method}()")
        return self._pairs

    def _pixels(self, method: str, *, of_top_cells: bool) -> list[list[Indices]]:
        """Return the pixels of pairs that end, and of essential classes."""
        pairs = self._computed(method)
        if of_top_cells != self._top:
            needed = "top_dimensional_cells" if of_top_cells else "vertices"
            raise RuntimeError(f"{method}() needs a complex of {needed}, but this one has {self._name}")
        last = max((dim + 1 for dim, each in enumerate(pairs) if each.ending), default=0)
        ending = [each.pixels[: each.ending].copy() for each in pairs[:last]]
        return [ending, [pairs[0].pixels[pairs[0].ending :, 0].copy()]]


class PeriodicCubicalComplex:
    """Raise NotImplementedError: periodic images and volumes are not supported."""

    def __init__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError("periodic images are not supported; use CubicalComplex where no axis is periodic")


class _Pairs:
    """The pairs of one dimension in GUDHI's order: by death, essential classes last."""

    def __init__(self, value: Tensor, index: Tensor, dim: int) -> None:
        points, pixels = value.numpy()[0], index.numpy()[0]
        order = _stable_argsort(points[1])  # the longest pairs come first, and stay so among those of one death
        self.ending = len(order) - (dim == 0)
        if dim == 0 and pixels[1, order[-1]] >= 0:  # other pairs die at inf, too
            essential = pixels[1].take(order) < 0
            order = np.concatenate((order[~essential], order[essential]))
        self.pixels: Indices = pixels.T.take(order, axis=0)
        self._values, self._order = points, order

    @cached_property
    def points(self) -> Floats:
        """Births and deaths, shape (n, 2)."""
        points: Floats = self._values.T.take(self._order, axis=0)
        return points

    def longest_first(self) -> Floats:
        """Return the points by length; the essential class is the longest, whatever its birth."""
        birth, death = self.points.T
        lengths = np.full(len(birth), np.inf)
        np.subtract(death[: self.ending], birth[: self.ending], out=lengths[: self.ending])
        points: Floats = self.points[np.lexsort((birth, -lengths))]
        return points


def _stable_argsort(values: Floats) -> Indices:
    """Return what sorts values. On many CPUs, NumPy's unstable sort is several times as fast as its stable one."""
    order = np.argsort(values)
    sorted_values = values.take(order)
    differ = sorted_values[1:] != sorted_values[:-1]
    if differ.all():
        return order
    groups = np.zeros(len(values), np.int64)  # equal values get one number
    np.cumsum(differ, out=groups[1:])
    groups *= len(values)
    keys: Indices = np.sort(groups + order)
    return keys - groups


def _window(name: str, values: ArrayLike, dimensions: Sequence[int] | None) -> Tensor:
    """Return values as a contiguous float64 tensor with reversed axes, whose flat indices are in Fortran order."""
    cells = arrays.as_floats(name, values).detach().cpu().double()
    if dimensions is not None:
        shape = [checks.integer("dimensions", size, least=1) for size in dimensions]
        if cells.dim() != 1 or math.prod(shape) != cells.numel():
            raise ValueError(
                f"{name} must be a flat sequence of {math.prod(shape)} values for dimensions={shape}, got the shape"
                f" {tuple(cells.shape)}"
            )
        cells = cells.reshape(shape[::-1])
    else:
        cells = cells.permute(*reversed(range(cells.dim())))
    if cells.dim() not in (1, 2, 3):
        raise ValueError(f"{name} must have 1, 2 or 3 axes, got {cells.dim()}")
    check_windows(cells[None] if cells.dim() > 1 else cells[None, None], name)
    return cells.clone(memory_format=torch.contiguous_format)  # the caller may change its array


def _refined(cells: Floats, *, top: bool) -> Floats:
    """Return the values of the cells along the first axis, and of those between them."""
    if top:
        outside = np.full_like(cells[:1], np.inf)
        cells = np.concatenate((outside, cells, outside))
    fine = np.empty((2 * len(cells) - 1, *cells.shape[1:]))
    fine[::2], fine[1::2] = cells, (np.minimum if top else np.maximum)(cells[1:], cells[:-1])
    return fine[1:-1] if top else fine
