"""The textbook: persistent homology by reduction of the boundary matrix, in any dimension.

It also decides which of several pixels of equal value a pair names. It is slow, and it shares no code with the kernels.
"""

from __future__ import annotations

import itertools

import numpy as np

Pair = tuple[int, int]


def pairs(image: np.ndarray, construction: str) -> dict[int, list[Pair]]:
    """Return the pairs (birth index, death index) of pixels of different value, by dimension.

    The death index of an essential class is -1. A cell is a point of the doubled grid, and its dimension is the number
    of its odd coordinates. In the V construction pixels are vertices, and a cell enters the filtration with its latest
    pixel. In the T construction pixels are top-dimensional cells, and a cell enters with the earliest pixel that
    contains it. Pixels are ordered by value and then by index: ascending in V, descending in T.
    """
    top = construction == "T"
    flat = image.ravel() + 0.0  # turns -0.0 into 0.0
    order = sorted(range(flat.size), key=lambda p: (flat[p], -p if top else p))
    rank = {pixel: position for position, pixel in enumerate(order)}

    cells = []
    for cell in itertools.product(*[range(2 * n + 1 if top else 2 * n - 1) for n in image.shape]):
        ranks = [rank[pixel] for pixel in pixels_around(cell, image.shape, top)]
        cells.append((min(ranks) if top else max(ranks), sum(c % 2 for c in cell), cell))
    cells.sort()
    position = {cell: i for i, (_, _, cell) in enumerate(cells)}

    owner_of_low: dict[int, int] = {}
    columns: list[set[int]] = []
    found: dict[int, list[Pair]] = {k: [] for k in range(image.ndim)}
    paired = set()
    for i, (_, _, cell) in enumerate(cells):
        column = {position[face] for face in faces_of(cell)}
        while column and max(column) in owner_of_low:
            column ^= columns[owner_of_low[max(column)]]
        columns.append(column)
        if column:
            low = max(column)
            owner_of_low[low] = i
            paired |= {low, i}
            birth, death = order[cells[low][0]], order[cells[i][0]]
            if flat[birth] != flat[death]:
                found[cells[low][1]].append((birth, death))
    for i, (entered, dimension, _) in enumerate(cells):
        if i not in paired:
            found[dimension].append((order[entered], -1))
    return found


def diagram(image: np.ndarray, construction: str, dim: int) -> list[Pair]:
    """Return the pairs of a dimension in the order of `gpuph.persistence`: longest first, then by birth and death."""
    flat = image.ravel()

    def key(pair: Pair) -> tuple[float, int, int]:
        birth, death = pair
        return (-np.inf if death < 0 else flat[birth] - flat[death], birth, death)

    return sorted(pairs(image, construction)[dim], key=key)


def faces_of(cell: tuple[int, ...]) -> list[tuple[int, ...]]:
    return [
        (*cell[:axis], cell[axis] + step, *cell[axis + 1 :])
        for axis in range(len(cell))
        if cell[axis] % 2
        for step in (-1, 1)
    ]


def pixels_around(cell: tuple[int, ...], shape: tuple[int, ...], top: bool) -> list[int]:
    """Return the flat indices of the pixels that are corners of a cell (V) or contain it (T)."""
    spans = []
    for c, n in zip(cell, shape, strict=True):
        here = (c,) if c % 2 == top else (c - 1, c + 1)
        spans.append([h // 2 for h in here if 0 <= h // 2 < n and h >= 0])
    return [int(np.ravel_multi_index(pixel, shape)) for pixel in itertools.product(*spans)]
