"""Diagrams of every awkward kind, for the tests of matching."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpuph import Diagram

Points = NDArray[np.float64]  # (n, 2)


def real(n: int, rng: np.random.Generator) -> Points:
    """Return points most of which are short-lived."""
    birth = rng.uniform(0, 20, n)
    return np.stack((birth, birth + rng.exponential(2.0, n)), axis=1)


def uniform(n: int, rng: np.random.Generator) -> Points:
    """Return points of all lengths, few of which are best left unmatched."""
    return np.sort(rng.uniform(0, 20, (n, 2)), axis=1)


def integer(n: int, rng: np.random.Generator) -> Points:
    """Return points with many ties, some of them on the diagonal."""
    birth = rng.integers(0, 6, n)
    return np.stack((birth, birth + rng.integers(0, 5, n)), axis=1).astype(float)


def near_diagonal(n: int, rng: np.random.Generator) -> Points:
    """Return points on the diagonal and very close to it, with ties."""
    birth = rng.integers(0, 4, n) + rng.choice([0.0, 1e-9], n)
    return np.stack((birth, birth + rng.choice([0.0, 1e-12, 1e-7, 1e-3, 2.0], n)), axis=1)


def far_away(n: int, rng: np.random.Generator) -> Points:
    """Return points whose large coordinates leave few digits for their persistence."""
    return 1e6 + real(n, rng)


def truth(n: int, rng: np.random.Generator) -> Points:
    """Return the few points of a binary ground truth, many of them equal, for a prediction of n points."""
    few = np.stack((rng.choice([0.0, 0.0, 3.0], n), np.full(n, 20.0)), axis=1)
    return few[: max(n // 10, 1)] if n else few


def long(n: int, rng: np.random.Generator, width: int) -> Points:
    """Return points with ties in a square of `width` steps, none of which is pruned.

    Where many of them compete for few columns, searches are long.
    """
    return rng.integers(0, width, (n, 2)) / 8 + np.array([0.0, 60.0])


# Pairs of sizes around those at which a search in registers skips groups of columns, or leaves columns in memory.
AROUND_REGISTERS = ((5, 63), (5, 64), (5, 65), (8, 128), (8, 129), (12, 319), (12, 320), (12, 321))

KINDS = (real, uniform, integer, near_diagonal, far_away)


def essential(n: int, rng: np.random.Generator, kinds: tuple[int, int, int]) -> Points:
    """Return n finite points and essential classes: numbers of those with infinite death, infinite birth, and both."""
    parts = [real(n, rng)]
    for kind, k in enumerate(kinds):
        some = real(k, rng)
        if kind != 0:
            some[:, 0] = -np.inf
        if kind != 1:
            some[:, 1] = np.inf
        parts.append(some)
    return rng.permutation(np.concatenate(parts))


def pairs(left: list[Points], right: list[Points], dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
    """Return births, deaths and counts of two sides, as `gpuph.ops.match` takes them."""
    sides = (Diagram.from_list([torch.as_tensor(p, dtype=dtype) for p in side]) for side in (left, right))
    return tuple(x for side in sides for x in (side.birth, side.death, side.count))


def mixed(sizes: tuple[tuple[int, int], ...], seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
    """Return windows of every kind and pair of sizes, also with equal points, ground truths and essential classes."""
    rng = np.random.default_rng(seed)
    left = [kind(n, rng) for kind in KINDS for n, _ in sizes]
    right = [kind(m, rng) for kind in KINDS for _, m in sizes]
    for n, m in sizes:
        copies = np.tile([[0.0, 8.0]], (m, 1))
        some, classes, others = real(n, rng), essential(n, rng, (2, 1, 1)), essential(m, rng, (1, 3, 1))
        left += [some, copies, some, truth(n, rng), classes, classes]
        right += [copies, some, truth(m, rng), some, others, some]
    return pairs(left, right, dtype)


PLACES: tuple[tuple[tuple[int, ...], tuple[float, ...]], ...] = (
    ((64, 64), (0.1, 0.1)),
    ((5, 7), (1.0, 3.0)),
    ((6, 5, 7), (4.0, 0.3, 0.0)),
)


def places(points: tuple[Tensor, ...], kind: int, seed: int = 0) -> tuple[object, ...]:
    """Return random pixels of points, the shape of their image and weights, as the operators take them.

    Pixels are in rows that are not adjacent, as those of births and deaths are.
    """
    shape, weights = PLACES[kind % len(PLACES)]
    generator = torch.Generator().manual_seed(seed)
    indices = [
        torch.randint(math.prod(shape), (len(birth), 2, birth.shape[1]), generator=generator)[:, 1]
        for birth in (points[0], points[3])
    ]
    return (*indices, shape, weights)


def with_outliers(rng: np.random.Generator, most: int = 6) -> tuple[Points, Points]:
    """Return two small diagrams, each with a few bars that are 1e3 to 1e12 times as long as the others.

    Coordinates are multiples of 2^-12, which keeps exact costs short.
    """
    a, b = (uniform(n, rng) if rng.random() < 0.5 else real(n, rng) for n in rng.integers(0, most + 1, 2))
    if rng.random() < 0.4:
        b = a + rng.normal(0, 10.0 ** -rng.integers(0, 4), a.shape)
    long, style = 10.0 ** rng.integers(3, 13), rng.integers(7)

    def bars(k: int) -> Points:
        early, late = rng.uniform(0, 10, (2, k))
        if style == 0:  # a nodata value
            late = np.full(k, long)
        elif style == 1:
            late = long + rng.integers(0, 3, k)
        elif style == 2:
            late = long * (1 + rng.normal(0, 1e-9, k))
        elif style == 3:
            early = np.full(k, -long)
        elif style == 4:  # all the others lie in the middle
            early, late = early - long, late + long
        elif style == 5:  # scales in a chain
            early, late = early / 10, 1e3 ** rng.integers(1, 5, k)
        else:
            early, late = -(1e3 ** rng.integers(0, 5, k)), 1e3 ** rng.integers(0, 5, k)
        return np.stack((early, late), axis=1)

    counts = rng.integers(0, 5, 2) if rng.random() < 0.7 else np.full(2, rng.integers(1, 5))
    sides = (np.concatenate((bulk, bars(k))) for bulk, k in zip((a, b), counts, strict=True))
    left, right = (rng.permutation(np.ldexp(np.round(np.ldexp(side, 12)), -12)) for side in sides)
    return left, right
