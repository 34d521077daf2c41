"""Inject errors as networks make them into a true mask, one at a time: break a road, or connect two places."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from skimage.draw import disk, line
from skimage.measure import euler_number

GAP = (4.0, 9.0)  # range of the radius of a break, pixels
LENGTH = (12, 100)  # range of the length of a false connection, pixels
APART = 5  # smallest distance of its middle from all roads, pixels
TRIES = 1000


def break_road(mask: np.ndarray, rng: Generator) -> np.ndarray:
    """Cut a piece out of a road, which adds one component or opens one loop.

    Parameters
    ----------
    mask : ndarray, shape (H, W), bool
        Lines one pixel wide.
    rng : Generator
        Draws the place and the size of the break.

    Raises
    ------
    ValueError
        If no place is found.
    """
    places = np.argwhere(mask)
    for _ in range(TRIES if len(places) else 0):
        broken = mask.copy()
        broken[disk(places[rng.integers(len(places))], rng.uniform(*GAP), shape=mask.shape)] = False
        if _euler(broken) == _euler(mask) + 1:
            return broken
    raise ValueError(f"no road that can be broken was found in a mask with {len(places)} pixels of roads")


def join_roads(mask: np.ndarray, rng: Generator) -> np.ndarray:
    """Draw a straight false road between two places on roads, which closes one loop or connects two components.

    Parameters, result and errors are those of `break_road`.
    """
    places = np.argwhere(mask)
    shortest, longest = LENGTH
    steps = np.arange(1, longest + 1)[:, None]
    for _ in range(TRIES if len(places) else 0):
        start = places[rng.integers(len(places))]
        angle = rng.uniform(0, 2 * np.pi)
        ray = np.round(start + steps * (np.sin(angle), np.cos(angle))).astype(int)
        inside = ((ray >= 0) & (ray < mask.shape)).all(1)
        ray = ray[: inside.argmin()] if not inside.all() else ray
        hits = np.flatnonzero(mask[tuple(ray.T)])
        hits = hits[hits > 3]  # beyond the road that the ray starts on
        if len(hits) == 0 or hits[0] < shortest:
            continue
        stop = ray[hits[0]]
        middle = (start + stop) // 2
        around = tuple(slice(max(0, place - APART), place + APART + 1) for place in middle)
        joined = mask.copy()
        joined[line(*start, *stop)] = True
        if not mask[around].any() and _euler(joined) == _euler(mask) - 1:
            return joined
    raise ValueError(f"no roads that can be joined were found in a mask with {len(places)} pixels of roads")


KINDS = {"break": break_road, "false connection": join_roads}


def inject(mask: np.ndarray, count: int, rng: Generator) -> tuple[np.ndarray, list[str]]:
    """Inject errors one after another, each of either kind with equal probability.

    Returns
    -------
    masks : ndarray, shape (count + 1, H, W), bool
        The mask without errors, with one error, and so on.
    kinds : list of str
        The kind of each error.
    """
    masks, kinds = [mask], [str(kind) for kind in rng.choice(list(KINDS), count)]
    for kind in kinds:
        masks.append(KINDS[kind](masks[-1], rng))
    return np.stack(masks), kinds


def _euler(mask: np.ndarray) -> int:
    """Return the number of components minus the number of loops, with pixels connected across corners."""
    return int(euler_number(mask, connectivity=2))
