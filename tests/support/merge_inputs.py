"""Images and volumes whose merge trees are long chains, in every order of merging.

Minima and saddles alternate along a path that is folded into a grid. All saddles come after all minima, and the walls
around the path come after all saddles, so that a pixel of a wall joins two places of a finished chain.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Path = np.ndarray  # (length, axes), the pixels of a path in their order


def _bit_reversed(n: int) -> np.ndarray:
    bits = max(n - 1, 1).bit_length()
    places = np.arange(n)
    turned = sum(((places >> bit) & 1) << (bits - 1 - bit) for bit in range(bits))
    return np.argsort(np.argsort(turned))


def _inside_out(n: int) -> np.ndarray:
    return np.argsort(np.argsort(np.abs(2 * np.arange(n) - n + 0.5)))


# The ranks of n places along a path: permutations of 0, ..., n - 1.
ORDERS: dict[str, Callable[[int], np.ndarray]] = {
    "left to right": np.arange,
    "right to left": lambda n: np.arange(n)[::-1],
    "inside out": _inside_out,
    "outside in": lambda n: n - 1 - _inside_out(n),
    "bit-reversed": _bit_reversed,
    "random": lambda n: np.random.default_rng(n).permutation(n),
}


def _comb(n: int) -> tuple[tuple[int, ...], Path]:
    """Return the shape of a comb and its path, the first of three rows."""
    width = max(n // 3, 1)
    return (3, width), np.stack((np.zeros(width, int), np.arange(width)), axis=1)


def _staircase(n: int) -> tuple[tuple[int, ...], Path]:
    """Return parallel stairs from the upper left to the lower right, separated by diagonal walls."""
    size = max(int(n**0.5), 2)
    y, x = np.indices((size, size)).reshape(2, -1)
    stair, across = np.divmod(x - y + 3 * size, 3)
    on_path = across < 2
    order = np.lexsort((x[on_path] + y[on_path], stair[on_path]))
    return (size, size), np.stack((y[on_path], x[on_path]), axis=1)[order]


def _spiral(n: int) -> tuple[tuple[int, ...], Path]:
    """Return an inward spiral from the upper left corner, with walls of one pixel between its turns."""
    size = max(int(n**0.5), 1)
    path, y, x, dy, dx = [(0, 0)], 0, 0, 0, 1
    lengths = [size - 1] + [length for length in range(size - 1, 0, -2) for _ in range(2)]
    for length in lengths:
        for _ in range(length):
            y, x = y + dy, x + dx
            path.append((y, x))
        dy, dx = dx, -dy
    return (size, size), np.array(path)


def _snake(n: int, axes: int = 3) -> tuple[tuple[int, ...], Path]:
    """Return a path back and forth through every second row of every second slice."""
    size = max(round(n ** (1 / axes)), 1)
    grid = np.indices((size,) * axes).reshape(axes, -1).T
    on_path = (grid[:, :-1] % 2 == 0).all(axis=1)
    rows = grid[on_path].reshape(-1, size, axes)
    rows[1::2] = rows[1::2, ::-1]
    return (size,) * axes, rows.reshape(-1, axes)


LAYOUTS: dict[str, Callable[[int], tuple[tuple[int, ...], Path]]] = {
    "comb": _comb,
    "staircase": _staircase,
    "spiral": _spiral,
    "snake": _snake,
}


def chain(layout: str, pixels: int, minima: str, saddles: str, walls: str, dtype: type = np.float32) -> np.ndarray:
    """Return an image or, for a snake, a volume of about `pixels` pixels that holds a chain.

    `minima`, `saddles` and `walls` name the orders in which these enter: along the path or, for walls, along the grid.
    All values are integers.
    """
    shape, path = LAYOUTS[layout](pixels)
    values = np.zeros(shape)
    on_path = np.zeros(shape, bool)
    on_path[tuple(path.T)] = True
    n_minima, n_saddles = (len(path) + 1) // 2, len(path) // 2
    values[tuple(path[::2].T)] = ORDERS[minima](n_minima)
    values[tuple(path[1::2].T)] = n_minima + ORDERS[saddles](n_saddles)
    if layout == "comb":  # teeth: a minimum below each minimum of the path, with walls between them
        n = n_minima
        values[1], values[2] = 3 * n + n_saddles, 3 * n + n_saddles
        values[2, ::2] = n + n_saddles
        values[1, ::2] = 2 * n + n_saddles + ORDERS[walls](n)
    else:
        values[~on_path] = len(path) + ORDERS[walls](int((~on_path).sum()))
    return values.astype(dtype)
