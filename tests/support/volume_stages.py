"""The CPU's stages of a volume, one by one, for the tests of each stage."""

from __future__ import annotations

import numpy as np

from gpuph.kernels import cells
from gpuph.kernels.cpu.merge import merge
from gpuph.kernels.cpu.order import order_keys
from gpuph.kernels.cpu.records import MergeTree, Saddles
from gpuph.kernels.cpu.volume import gradient as gradient3
from gpuph.kernels.cpu.volume import trace as trace3
from gpuph.kernels.cpu.volume.critical import critical_cells
from gpuph.kernels.cpu.volume.persistence import VolumeWorkspace

NUMBER = {direction: bit for bit, direction in enumerate(cells.DIRECTIONS3)}


def star_of(lower: int) -> tuple[set[tuple[int, int, int]], set[tuple[int, int, int]]]:
    """Return the lower star of a vertex with these lower neighbours, and the cells in it that stay critical."""
    star, critical = np.array([0, lower | cells.VERTEX3, 0], np.uint32), np.zeros(3, np.uint32)
    gradient3.match_stars(star, critical)
    inside, left = ({d for d, bit in NUMBER.items() if int(mask[1]) >> bit & 1} for mask in (star, critical))
    return inside, left


def random_neighbours(n: int) -> list[int]:
    """Return n bit masks of lower neighbours, from sparse to dense."""
    rng = np.random.default_rng(0)
    chances = rng.random(n) ** 0.5
    return [sum(1 << bit for bit in range(27) if rng.random() < chance) for chance in chances]


class Grid:
    """Keys, lower stars and critical cells of a volume, and what the later stages make of them.

    The lists of critical cells are those of `critical_cells`.
    """

    def __init__(self, volume: np.ndarray, top: bool) -> None:
        bits = volume.view(np.int32 if volume.dtype == np.float32 else np.int64)
        most = bits.dtype.type(np.iinfo(bits.dtype).max)
        self.shape = tuple(size + 2 for size in volume.shape)
        self.width, self.area = self.shape[2], self.shape[1] * self.shape[2]
        keys = np.full(self.shape, ~most if top else most, bits.dtype)
        for z in range(len(volume)):
            order_keys(volume[z], bits[z], most, top, keys[z + 1])
        stars = np.zeros(self.shape, np.uint32)
        self.owners, self.masks = gradient3.gradient(keys, stars, 1, self.shape[0] - 1, 0)
        self.key, self.star = keys.ravel(), stars.ravel()
        self.cells = critical_cells(self.owners, self.masks)
        self.minima, self.edges, self.edge_directions, self.squares, self.square_directions, self.maxima = self.cells
        self.top = top

    def known(self, of_maxima: bool) -> np.ndarray:
        """Return the cache of path ends before any path is traced: it holds the extrema only."""
        known = np.zeros(self.key.size, np.int32)
        at = self.maxima[1:] - self.area - self.width - 1 if of_maxima else self.minima[1:]
        numbers = 1 + np.arange(len(at))
        known[at] = -1 - numbers if of_maxima else 1 + numbers
        return known

    def below(self, known: np.ndarray) -> np.ndarray:
        """Return the two minima (2, E) that the paths down from each critical edge end in."""
        ends = np.full((2, len(self.edges)), -1, np.int32)
        trace3.trace_below(self.cells, self.star.reshape(self.shape), known, ends, 0, len(self.edges), 0)
        return ends

    def above(self, known: np.ndarray) -> np.ndarray:
        """Return the two maxima (2, S) that the paths up from each critical square end in."""
        ends = np.full((2, len(self.squares)), -1, np.int32)
        trace3.trace_above(self.cells, self.star.reshape(self.shape), known, ends, 0, len(self.squares), 0)
        return ends

    def merged(self, of_maxima: bool) -> np.ndarray:
        """Return the extremum that each critical edge or square is paired with, or -1."""
        extrema, saddles = (self.maxima, self.squares) if of_maxima else (self.minima, self.edges)
        ends = (self.above if of_maxima else self.below)(self.known(of_maxima))
        order = np.argsort(self.key[saddles], kind="stable").astype(np.int32)
        first = 1 if self.top == of_maxima else 0
        tree = MergeTree(*np.zeros((2, len(extrema)), np.int32), np.zeros(len(saddles), np.int32))
        merge(self.key[extrema], np.arange(first, len(extrema)), Saddles(order, ends), tree, of_maxima)
        return tree.partner

    def workspace(self) -> VolumeWorkspace:
        """Return a workspace with the grid's keys and stars, for the reduction."""
        key, star = self.key.reshape(self.shape), self.star.reshape(self.shape)
        return VolumeWorkspace(key, star, np.full(self.key.size, 7, np.int32), np.zeros(self.key.size, np.uint8))
