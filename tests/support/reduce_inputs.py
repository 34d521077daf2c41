"""Inputs of the Triton kernels of `reduce`, made from the results of the CPU's earlier stages."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from gpuph.kernels.cpu.volume import reduce
from torch import Tensor

from gpuph.kernels import cells

from .volume_stages import Grid

OPEN, KILLER = -1, -2
Pairs = list[tuple[int, int]]  # flat indices of the owners of an edge and of a square


class Inputs(NamedTuple):
    """Arguments of `kernels.triton.volume.reduce.reduce`."""

    x: Tensor
    star: Tensor
    squares: Tensor
    first_edge: Tensor
    claims: Tensor
    opened: Tensor
    used: Tensor
    counters: Tensor
    top: bool
    capacity: int = 0


def inputs_of(windows: np.ndarray, top: bool, seed: int = 0) -> tuple[Inputs, Tensor, list[Pairs]]:
    """Return the inputs for windows (N, D, H, W), their critical edges (N, E) and the sorted pairs of each window.

    Cells are listed in a random order of their owners.
    """
    n, *shape = windows.shape
    voxels = int(np.prod(shape))
    rng = np.random.default_rng(seed)
    edges, squares = np.full((n, 3 * voxels), -1, np.int32), np.full((n, 3 * voxels), -1, np.int32)
    claims, opened = np.full((n, 3 * voxels), OPEN), np.zeros((n, 3 * voxels), np.int8)
    first_edge = np.full((n, voxels), -1, np.int32)
    star, counters, pairs = np.zeros(windows.shape, np.int32), np.zeros((n, 8), np.int32), []
    for i, window in enumerate(windows):
        if np.isnan(window).any():
            counters[i, :5] = 0, 7, 0, 0, 1  # the contents of the lists do not matter
            squares[i, :7] = 0
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
        claims[i, : len(at)] = np.where(ends[at] >= 0, KILLER, OPEN)
        for slot in range(len(at))[::-1]:
            first_edge[i, edges[i, slot] // 6] = slot
        at = _shuffled(index[grid.squares], rng)
        squares[i, : len(at)] = (index[grid.squares] * 12 + _among(cells.SQUARES3, grid.square_directions))[at]
        opened[i, : len(at)] = voids[at] >= 0
        counters[i, :2] = len(grid.edges), len(grid.squares)
        square_of, _ = reduce.reduce(grid.cells, ends, voids, grid.workspace())
        has = square_of >= 0
        pairs.append(_sorted(index[grid.edges[has]], index[grid.squares[square_of[has]]]))
    tensors = map(
        torch.from_numpy, (windows, star, squares, first_edge, claims, opened, np.zeros(n, np.int64), counters)
    )
    return Inputs(*tensors, top), torch.from_numpy(edges), pairs


def pairs_of(square_of: Tensor, edges: Tensor, inputs: Inputs) -> list[Pairs]:
    """Return the sorted pairs that `reduce` found in each window."""
    found = []
    for row, of_edges, of_squares in zip(square_of.numpy(), edges.numpy(), inputs.squares.numpy(), strict=True):
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
