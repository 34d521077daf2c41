"""Inputs of the Triton kernels of `reduce`, made from the results of the CPU's earlier stages."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gpuph.kernels import Status, cells
from gpuph.kernels.cpu.volume import reduce
from gpuph.kernels.triton.counters import COUNTERS, EDGES, SQUARES, STATUS
from gpuph.kernels.triton.volume.merge import KILLER, OPEN, Loops

from .volume_stages import Grid

Pairs = list[tuple[int, int]]  # flat indices of the owners of an edge and of a square


class Inputs(NamedTuple):
    """Arguments of `kernels.triton.volume.reduce.reduce`."""

    x: Tensor
    loops: Loops
    counters: Tensor
    top: bool
    capacity: int = 0

    def copy(self) -> Inputs:
        """Copy what `reduce` changes."""
        return self._replace(loops=Loops(*(part.clone() for part in self.loops)), counters=self.counters.clone())


def inputs_of(windows: np.ndarray, top: bool, seed: int = 0) -> tuple[Inputs, Tensor, list[Pairs]]:
    """Return the inputs for windows (N, D, H, W), their critical edges (N, E) and the sorted pairs of each window.

    Cells are listed in a random order of their owners.
    """
    n, *shape = windows.shape
    voxels = int(np.prod(shape))
    rng = np.random.default_rng(seed)
    edges, squares = np.full((n, 3 * voxels), -1, np.int32), np.full((n, 3 * voxels), -1, np.int32)
    claims, opened = np.full((n, 3 * voxels), OPEN.value), np.zeros((n, 3 * voxels), np.int8)
    first_edge = np.full((n, voxels), -1, np.int32)
    star, counters, pairs = np.zeros(windows.shape, np.int32), np.zeros((n, COUNTERS.value), np.int32), []
    for i, window in enumerate(windows):
        if np.isnan(window).any():
            counters[i, SQUARES.value], counters[i, STATUS.value] = 7, Status.NAN
            squares[i, :7] = 0  # the contents of the lists do not matter
            pairs.append([])
            continue
        grid = Grid(window, top)
        star[i] = grid.star.reshape(grid.shape)[1:-1, 1:-1, 1:-1].view(np.int32)
        index = np.full(grid.shape, -1, np.int32)
        index[1:-1, 1:-1, 1:-1] = np.arange(voxels).reshape(shape)
        index = index.ravel()
        ends, voids = grid.merged(False), grid.merged(True)
        at = _shuffled(index[grid.edges], rng)
        edges[i, : len(at)] = (index[grid.edges] * 6 + _among(cells.EDGES3, grid.edge_directions))[at]
        claims[i, : len(at)] = np.where(ends[at] >= 0, KILLER.value, OPEN.value)
        for slot in range(len(at))[::-1]:
            first_edge[i, edges[i, slot] // 6] = slot
        at = _shuffled(index[grid.squares], rng)
        squares[i, : len(at)] = (index[grid.squares] * 12 + _among(cells.SQUARES3, grid.square_directions))[at]
        opened[i, : len(at)] = voids[at] >= 0
        counters[i, EDGES.value], counters[i, SQUARES.value] = len(grid.edges), len(grid.squares)
        square_of, _ = reduce.reduce(grid.cells, ends, voids, grid.workspace())
        has = square_of >= 0
        pairs.append(_sorted(index[grid.edges[has]], index[grid.squares[square_of[has]]]))
    loops = map(torch.from_numpy, (star, first_edge, squares, claims, opened, np.zeros(n, np.int64)))
    inputs = Inputs(torch.from_numpy(windows), Loops(*loops), torch.from_numpy(counters), top)
    return inputs, torch.from_numpy(edges), pairs


def pairs_of(square_of: Tensor, edges: Tensor, inputs: Inputs) -> list[Pairs]:
    """Return the sorted pairs that `reduce` found in each window."""
    found = []
    for row, of_edges, of_squares in zip(square_of.numpy(), edges.numpy(), inputs.loops.squares.numpy(), strict=True):
        has = row >= 0
        found.append(_sorted(of_edges[has] // 6, of_squares[row[has]] // 12))
    return found


def _among(kind: int, directions: np.ndarray) -> np.ndarray:
    """Return the position of each direction among those of a kind of cell."""
    return np.searchsorted([bit for bit in range(27) if kind >> bit & 1], directions).astype(np.int32)


def _shuffled(owners: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return an order that shuffles owners and keeps the order of the cells of each owner."""
    place = rng.permutation(owners.max(initial=0) + 1)
    return np.argsort(place[owners], kind="stable")


def _sorted(births: np.ndarray, deaths: np.ndarray) -> Pairs:
    return sorted(zip(births.tolist(), deaths.tolist(), strict=True))
