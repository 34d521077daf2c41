"""Errors as networks make them, injected one at a time into a true mask: a road is broken, or two places are joined."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from skimage.draw import disk, line
from skimage.measure import euler_number

GAP = (4.0, 9.0)  # radius of what is cut out of a road, pixels
LENGTH = (12, 100)  # of a false connection, pixels
APART = 5  # pixels: its middle is at least so far from the roads
TRIES = 1000


def break_road(mask: np.ndarray, rng: Generator) -> np.ndarray:
    """Cut a piece out of a road, somewhere along it: one more component, or one loop fewer.

    Parameters
    ----------
    mask : ndarray, shape (H, W), bool
        Lines one pixel wide.
    rng : Generator
        Decides where, and how much.

    Raises
    ------
    ValueError
        If there is no place for it.
    """
    places = np.argwhere(mask)
    for _ in range(TRIES if len(places) else 0):
        broken = mask.copy()
        broken[disk(places[rng.integers(len(places))], rng.uniform(*GAP), shape=mask.shape)] = False
        if _euler(broken) == _euler(mask) + 1:
            return broken
    raise ValueError(f"no road that can be broken was found in a mask with {len(places)} pixels of roads")


def join_roads(mask: np.ndarray, rng: Generator) -> np.ndarray:
    """Draw a straight false road from one place of a road to another: one more loop, or one component fewer.

    Takes and raises what `break_road` does.
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
        hits = hits[hits > 3]  # where it has left the road that it starts on
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
    """Inject errors one after another, of either kind with equal chance.

    Returns
    -------
    masks : ndarray, shape (count + 1, H, W), bool
        The mask, and what it becomes with each error more.
    kinds : list of str
        The kind of each error.
    """
    masks, kinds = [mask], [str(kind) for kind in rng.choice(list(KINDS), count)]
    for kind in kinds:
        masks.append(KINDS[kind](masks[-1], rng))
    return np.stack(masks), kinds


def _euler(mask: np.ndarray) -> int:
    """Components minus loops, where pixels touch across corners."""
    return int(euler_number(mask, connectivity=2))
