"""The CPU's first stages of an image, one by one, for the tests of each stage."""

from __future__ import annotations

import numpy as np

from gpuph.kernels.cpu.image import gradient, trace
from gpuph.kernels.cpu.order import order_keys


def keys_of(image: np.ndarray, top: bool) -> tuple[bool, np.ndarray]:
    """Return whether an image has a NaN, and its keys within a frame."""
    bits = image.view(np.int32 if image.dtype == np.float32 else np.int64)
    most = bits.dtype.type(np.iinfo(bits.dtype).max)
    key = np.full((image.shape[0] + 2, image.shape[1] + 2), ~most if top else most, bits.dtype)
    return order_keys(image, bits, most, top, key), key


class Grid:
    """Lower stars and critical cells of an image, and the paths that start from them."""

    def __init__(self, image: np.ndarray, top: bool) -> None:
        rows = keys_of(image, top)[1]
        size = (rows.size + 15) // 16 * 16
        self.width, self.shape = rows.shape[1], rows.shape
        self.key = np.full(size, rows[0, 0], rows.dtype)
        self.key[: rows.size] = rows.ravel()
        self.star, self.critical, self.moves, led = np.zeros((4, size), np.uint16)
        gradient.lower_stars(self.key, *rows.shape, self.star, self.critical)
        gradient.match_stars(self.star, self.critical, led)
        gradient.lead_squares(led, self.width, self.moves)
        self.steps = trace.steps_of(self.width)
        cells = trace.CriticalCells(np.zeros(size, np.int32), np.zeros((2, size), np.int32), np.zeros(size, np.int32))
        n, m, k = trace.list_critical_cells(self.critical, self.width, cells)
        self.minima, self.edges, self.maxima = cells.minima[:n], cells.edges[:, :m], cells.maxima[:k]

    def minima_below(self, vertices: np.ndarray) -> np.ndarray:
        at, walking, known = (np.zeros(n, np.int32) for n in (vertices.size, vertices.size, self.key.size))
        at[:] = vertices
        trace.minima_below(at, self.star, self.steps, walking, known)
        return at

    def maxima_above(self, squares: np.ndarray) -> np.ndarray:
        at, walking, known = (np.zeros(n, np.int32) for n in (squares.size, squares.size, self.key.size))
        at[:] = squares
        trace.maxima_above(at, self.star, self.moves, self.steps, self.width, walking, known)
        return at
