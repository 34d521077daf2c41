"""The textbook of Betti matching: image persistence by reduction of the boundary matrix, in any dimension.

Like `oracle`, it is slow and shares no code with the kernels. Bars are matched in the order of their lengths if they
begin or end together, as Bauer and Lesnick do, so nothing depends on the order of the cells that enter with one pixel.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import NamedTuple

import numpy as np

from .oracle import Pair, faces_of, pixels_around

Time = tuple[float, int]  # the value and the index of a pixel, which is negated in T
Cell = tuple[int, ...]
Filtration = dict[Cell, Time]


class Bar(NamedTuple):
    birth: Time
    death: Time


def filtration(image: np.ndarray, construction: str) -> Filtration:
    """Return the times at which the cells of an image enter; see `oracle.pairs`."""
    top, flat = construction == "T", image.ravel() + 0.0
    times = {}
    for cell in itertools.product(*[range(2 * n + 1 if top else 2 * n - 1) for n in image.shape]):
        around = [(float(flat[p]), -p if top else p) for p in pixels_around(cell, image.shape, top)]
        times[cell] = min(around) if top else max(around)
    return times


def image_bars(small: Filtration, large: Filtration, min_persistence: float) -> dict[int, list[Bar]]:
    """Return, by dimension, when the classes of one filtration begin, and when their images in another one end.

    The sublevel sets of `small` are contained in those of `large`. Intervals are left out unless they are
    longer than `min_persistence`.
    """
    rows, columns = (sorted(x, key=lambda cell: (x[cell], _dimension(cell), cell)) for x in (small, large))
    found: dict[int, list[Bar]] = defaultdict(list)
    for ended, born in _reduced(rows, columns).items():
        if large[ended][0] - small[born][0] > min_persistence:
            found[_dimension(born)].append(Bar(small[born], large[ended]))
    return found


def _reduced(rows: list[Cell], columns: list[Cell]) -> dict[Cell, Cell]:
    """Reduce the boundary matrix; return the latest row of each column that is not zero."""
    row_of = {cell: i for i, cell in enumerate(rows)}
    reduced: dict[int, set[int]] = {}
    found: dict[Cell, Cell] = {}
    for cell in columns:
        column = {row_of[face] for face in faces_of(cell)}
        while column and max(column) in reduced:
            column ^= reduced[max(column)]
        if column:
            reduced[max(column)] = column
            found[cell] = rows[max(column)]
    return found


def betti_matching(
    f: np.ndarray, g: np.ndarray, construction: str, comparison: str, min_persistence: float = 0.0
) -> dict[int, list[tuple[Pair, Pair]]]:
    """Return, by dimension, which pairs of f and g are matched, sorted: (birth pixel, death pixel), -1 for no death."""
    union = comparison == "union"
    of_f, of_g = filtration(f, construction), filtration(g, construction)
    both = filtration(np.minimum(f, g) if union else np.maximum(f, g), construction)
    bars = image_bars(both, both, min_persistence)
    ways = []
    for own in (of_f, of_g):
        images = image_bars(own, both, min_persistence) if union else image_bars(both, own, min_persistence)
        own_bars = image_bars(own, own, min_persistence)
        # In a union, images begin with the classes of f and end with those of `both`; otherwise, vice versa.
        ways.append({d: _way(own_bars[d], images[d], bars[d], 0 if union else 1) for d in range(f.ndim)})
    found = {}
    for dim in range(f.ndim):
        by_f, by_g = ways[0][dim], ways[1][dim]
        found[dim] = [(_pixels_of(by_f[i]), _pixels_of(by_g[i])) for i in by_f.keys() & by_g.keys()]
    found[0].append(((abs(min(of_f.values())[1]), -1), (abs(min(of_g.values())[1]), -1)))
    return {dim: sorted(pairs) for dim, pairs in found.items()}


def _way(own: list[Bar], images: list[Bar], both: list[Bar], end: int) -> dict[int, Bar]:
    """Return the number of the bar of `both` that bars are matched with, and these bars, through their images."""
    bar_of = {j: own[i] for i, j in _matched(own, images, end)}
    return {k: bar_of[j] for j, k in _matched(images, both, 1 - end) if j in bar_of}


def _matched(first: list[Bar], second: list[Bar], end: int) -> list[tuple[int, int]]:
    """Match bars with the same birth (end 0) or death (1), the longest ones first."""
    groups: dict[Time, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for which, bars in enumerate((first, second)):
        for i in sorted(range(len(bars)), key=lambda i: bars[i][1 - end], reverse=end == 0):
            groups[bars[i][end]][which].append(i)
    return [pair for group in groups.values() for pair in zip(*group, strict=False)]


def _dimension(cell: Cell) -> int:
    return sum(c % 2 for c in cell)


def _pixels_of(bar: Bar) -> Pair:
    return abs(bar.birth[1]), abs(bar.death[1])


def betti_matching_of_cells(f: np.ndarray, g: np.ndarray) -> dict[int, list[tuple[Pair, Pair]]]:
    """Match the pairs of two images as the implementation of Stucki et al. does, in V, for unions.

    Cells are in a total order, and classes are matched even if their image is empty: if their images end with the same
    cell. Loops also need a loop of the union that ends with this cell. Essential components are left out.
    """
    both = np.minimum(f, g)
    own, images = [_pairs_of_cells(x, x) for x in (f, g, both)], [_pairs_of_cells(x, both) for x in (f, g)]
    lasting = [
        {born: ended for ended, born in x.items() if _owner(born, v) != _owner(ended, v)}
        for x, v in zip(own, (f, g, both), strict=True)
    ]
    found: dict[int, list[tuple[Pair, Pair]]] = {0: [], 1: []}
    for ended, born in images[0].items():
        other = images[1].get(ended)
        dim = _dimension(born)
        if born not in lasting[0] or other not in lasting[1] or (dim == 1 and ended not in lasting[2].values()):
            continue
        pairs = [(_owner(x, v), _owner(of[x], v)) for x, of, v in ((born, lasting[0], f), (other, lasting[1], g))]
        found[dim].append((pairs[0], pairs[1]))
    return {dim: sorted(pairs) for dim, pairs in found.items()}


def _pairs_of_cells(small: np.ndarray, large: np.ndarray) -> dict[Cell, Cell]:
    """Return which cell of `small` begins the class whose image each cell of `large` ends."""
    cells = [*itertools.product(*[range(2 * n - 1) for n in small.shape])]
    return _reduced(*(sorted(cells, key=lambda cell, x=x: _place(cell, x)) for x in (small, large)))


def _place(cell: Cell, image: np.ndarray) -> tuple[object, ...]:
    """Return the place of a cell in the order: by value, dimension, least corner, and axis."""
    corner, axes = tuple(c // 2 for c in cell), tuple(-(c % 2) for c in cell)
    return image.flat[_owner(cell, image)], _dimension(cell), corner, axes


def _owner(cell: Cell, image: np.ndarray) -> int:
    """Return the greatest pixel of a cell; the last one of equal pixels."""
    return max(pixels_around(cell, image.shape, False), key=lambda p: (image.flat[p], p))
