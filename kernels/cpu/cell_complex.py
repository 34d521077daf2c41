"""Thinning of a mask as a complex of cells: pixels with their edges and vertices.

`thinning.py` defines the grid in which cells are stored, and the kinds and relations of cells.
"""

from __future__ import annotations

import functools
from itertools import product
from typing import NamedTuple

import numpy as np

from . import thinning


class CurveEnds(NamedTuple):
    """Cells that were the end of a curve when they were removed. Each array has the shape (n,) and dtype int64."""

    cell: np.ndarray
    """The removed cells, as indices into `CellComplex.state`."""
    neighbour: np.ndarray
    """The next cell of the curve."""
    step: np.ndarray
    """The step in which the cell was removed."""


class CellComplex:
    """The cells of a mask, in a flat grid.

    Attributes
    ----------
    shape : tuple of int
        The shape of the grid, 2n + 3 along an axis of n pixels.
    state : ndarray, shape (cells,), uint8
        The bits of each cell: see `thinning.py`.
    """

    def __init__(self, mask: np.ndarray) -> None:
        """Create the cells of the pixels of a bool mask, (H, W) or (D, H, W)."""
        ndim = mask.ndim
        self.shape = tuple(2 * size + 3 for size in mask.shape)
        grid = np.zeros(self.shape, np.uint8)
        for step in product((1, 2, 3), repeat=ndim):
            grid[tuple(slice(s, s + 2 * n, 2) for s, n in zip(step, mask.shape, strict=True))] |= mask
        strides = np.array(grid.strides)
        self.state = grid.ravel()
        kinds = 2**ndim
        self._extends = extends = (np.arange(kinds)[:, None] >> np.arange(ndim)) & 1
        self._axes = np.stack((extends.sum(1), ndim - extends.sum(1)))
        self._offset, self._kind_of = np.zeros((2, 2, kinds, 26), int)
        for kind, relation in product(range(kinds), (0, 1)):
            along = np.flatnonzero(extends[kind] != relation)
            faces = _faces(len(along))
            self._offset[relation, kind, : len(faces)] = faces @ strides[along]
            self._kind_of[relation, kind, : len(faces)] = kind ^ ((faces != 0) @ (1 << along))

    def thin(self, patience: int) -> CurveEnds:
        """Remove cells from the outside in until curves remain, and return the ends that the curves had.

        A cell of a curve is kept if it is still present `patience` steps after the complex became a curve around it. A
        step removes a layer of half a pixel.
        """
        kinds = self._axes.shape[1]
        begin, used = np.zeros((2, 2, kinds), int)
        lists = np.empty(2 * np.count_nonzero(self.state), np.int32 if self.state.size < 2**31 else np.int64)
        top = 0
        for kind in range(kinds):
            cells = self._cells_of_kind(kind)
            begin[:, kind] = top, top + len(cells)
            top += 2 * len(cells)
            if kind < kinds - 1:  # cells of the last kind, whole pixels, have no cofaces
                used[1, kind] = len(cells)
                lists[begin[1, kind] : top] = cells
                self.state[cells] |= thinning.LISTED << 1
        order = np.stack((np.argsort(self._axes[0], kind="stable"), np.argsort(self._axes[1], kind="stable")))
        tables = _tables()
        ends = thinning.peel(
            self.state,
            lists,
            begin,
            used,
            order,
            self._axes,
            self._offset,
            self._kind_of,
            tables.octagon,
            tables.near,
            patience,
        )
        return CurveEnds(*ends)

    def present(self) -> np.ndarray:
        """Return the cells that are present, as sorted indices into `state`, shape (n,), int64."""
        return np.flatnonzero(self.state & thinning.PRESENT)

    def coordinates(self, cells: np.ndarray) -> np.ndarray:
        """Return the coordinates of cells in the grid, shape (n, ndim), int64."""
        return np.stack(np.unravel_index(cells, self.shape), 1)

    def links(self, cells: np.ndarray) -> np.ndarray:
        """Return pairs of present cells, the second a face of the first, as indices into sorted `cells`, (m, 2)."""
        kind_of_cell = (1 - (self.coordinates(cells) & 1)) @ (1 << np.arange(len(self.shape)))
        pairs = [np.zeros((0, 2), int)]
        for kind in range(2 ** len(self.shape)):
            of_kind = np.flatnonzero(kind_of_cell == kind)
            for step in self._offset[0, kind, : 3 ** self._axes[0, kind] - 1]:
                with_face = of_kind[(self.state[cells[of_kind] + step] & thinning.PRESENT) > 0]
                pairs.append(np.stack((with_face, np.searchsorted(cells, cells[with_face] + step)), 1))
        return np.concatenate(pairs)

    def _cells_of_kind(self, kind: int) -> np.ndarray:
        """Return the cells of a kind in a complex that was not thinned yet, shape (n,), int64."""
        grid = self.state.reshape(self.shape)
        extends = self._extends[kind]
        index = np.argwhere(grid[tuple(slice(1 - extent, None, 2) for extent in extends)])
        cells: np.ndarray = (2 * index + 1 - extends) @ grid.strides
        return cells


class _Tables(NamedTuple):
    """Lookup tables of the kernel `peel`."""

    octagon: np.ndarray
    """Which subsets of the faces of a square are contractible, shape (256,), bool."""
    near: np.ndarray
    """The faces that are comparable to each face, as bits, for each number of axes, shape (4, 26), uint64."""


@functools.cache
def _tables() -> _Tables:
    near = np.zeros((4, 26), np.uint64)
    for axes in (1, 2, 3):
        places = np.arange(len(_faces(axes)), dtype=np.uint64)
        inside = (_closures(axes)[:, None] >> places) & np.uint64(1)
        near[axes, : len(places)] = (((inside | inside.T) - np.eye(len(places), dtype=np.uint64)) << places).sum(1)
    octagon = np.zeros(256, bool)
    around = np.array((0, 1, 2, 4, 7, 6, 5, 3))  # the faces of a square, in the order around it
    for bits in range(255):
        present = (bits >> around) & 1
        octagon[bits] = (present != np.roll(present, 1)).sum() == 2
    return _Tables(octagon, near)


@functools.cache
def _faces(axes: int) -> np.ndarray:
    """Return the steps to its faces from a cell that extends along `axes` axes, shape (3**axes - 1, axes)."""
    steps = [step for step in product((-1, 0, 1), repeat=axes) if any(step)]
    return np.array(steps, int).reshape(3**axes - 1, axes)


@functools.cache
def _closures(axes: int) -> np.ndarray:
    """Return the faces in the closure of each face, itself included, as bits, shape (faces,), uint64."""
    faces = _faces(axes)
    inside = ((faces[:, None] == faces) | (faces[:, None] == 0)).all(2)
    bits: np.ndarray = np.where(inside, np.uint64(1) << np.arange(len(faces), dtype=np.uint64), np.uint64(0)).sum(1)
    return bits
