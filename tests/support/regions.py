"""Representatives by the book: what a pair stands for, by breadth-first search from pixel to pixel."""

from __future__ import annotations

import functools
import itertools
from collections import deque
from collections.abc import Callable, Collection

import numpy as np

Neighbours = list[list[int]]


@functools.cache
def neighbours(shape: tuple[int, ...], full: bool) -> Neighbours:
    """Return the neighbours of each pixel, along the axes only, or at corners too."""
    steps = [s for s in itertools.product((-1, 0, 1), repeat=len(shape)) if any(s) and (full or sum(map(abs, s)) == 1)]
    found = []
    for pixel in np.ndindex(*shape):
        near = [tuple(p + s for p, s in zip(pixel, step, strict=True)) for step in steps]
        inside = [n for n in near if all(0 <= p < size for p, size in zip(n, shape, strict=True))]
        found.append([int(np.ravel_multi_index(n, shape)) for n in inside])
    return found


def reached(start: int, near: Neighbours, allowed: Callable[[int], bool]) -> set[int]:
    """Return the pixels that are connected to a pixel by allowed ones."""
    found, queue = {start}, deque([start])
    while queue:
        for pixel in near[queue.popleft()]:
            if pixel not in found and allowed(pixel):
                found.add(pixel)
                queue.append(pixel)
    return found


def ranks(image: np.ndarray, construction: str, superlevel: bool) -> list[int]:
    """Return the place of each pixel in the filtration: by value, then by index, ascending in V, descending in T."""
    flat = (-image if superlevel else image).ravel() + 0.0
    order = sorted(range(flat.size), key=lambda p: (flat[p], -p if construction == "T" else p))
    return np.argsort(order).tolist()


def is_full(construction: str, dim: int) -> bool:
    """Return whether the components (dimension 0), or the cavities, connect at corners too."""
    return (construction == "T") == (dim == 0)


def region(rank: list[int], shape: tuple[int, ...], pair: tuple[int, int], dim: int, construction: str) -> set[int]:
    """Return the component of a pair in dimension 0, or its cavity in the last dimension."""
    (birth, death), near = pair, neighbours(shape, is_full(construction, dim))
    if death < 0:
        return set(range(len(rank)))
    if dim == 0:
        return reached(birth, near, lambda p: rank[p] < rank[death])
    return reached(death, near, lambda p: rank[p] > rank[birth])


def shell(cavity: Collection[int], shape: tuple[int, ...], construction: str) -> set[int]:
    """Return the pixels outside a cavity that touch it."""
    near = neighbours(shape, is_full(construction, len(shape) - 1))
    return {p for inside in cavity for p in near[inside]}.difference(cavity)


def loop(cavity: Collection[int], shape: tuple[int, int], birth: int, construction: str) -> set[int]:
    """Return the part of the shell that is connected outside the cavity to the border of the image or the birth."""
    near = neighbours(shape, not is_full(construction, 1))
    height, width = shape
    border = [p for p in range(height * width) if p // width in (0, height - 1) or p % width in (0, width - 1)]
    outside: set[int] = set()
    for start in (*border, birth):
        if start not in outside:
            outside |= reached(start, near, lambda p: p not in cavity)
    return shell(cavity, shape, construction) & outside
