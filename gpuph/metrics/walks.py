"""Points at regular distances from places on a graph of roads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .network import Network, Places

# How many distances between starts and nodes or edges are held at once, and the most starts that they belong to.
ENTRIES, STARTS = 2**20, 128


class Samples(NamedTuple):
    """Points around n starts, in no particular order; each array has one row per point."""

    start: np.ndarray
    """The number of the start, from 0 to n - 1."""
    place: np.ndarray
    """Positions, shape (points, ndim)."""
    direction: np.ndarray
    """Unit vectors along the edges, shape (points, ndim); 0 for a node, which has several directions."""


class _Rays(NamedTuple):
    """Stretches of edges, each walked from one end; each array has the shape (n,)."""

    start: np.ndarray
    """The number of the start."""
    edge: np.ndarray
    origin: np.ndarray
    """Where on the edge the walk enters it."""
    sign: np.ndarray
    """1 if it then walks towards the second end of the edge, else -1."""
    length: np.ndarray
    """How far it walks along the stretch, up to where a walk from the other end arrives first."""
    reach: np.ndarray
    """The distance of `origin` from the start."""


def blocks(count: int, *networks: Network) -> Iterator[slice]:
    """Divide `count` starts into blocks whose tables of distances fit into memory."""
    largest = max(1, *(max(network.nodes, len(network.ends)) for network in networks))
    size = max(1, min(STARTS, ENTRIES // largest))
    return (slice(first, first + size) for first in range(0, count, size))


def walk(network: Network, starts: Places, radius: float, interval: float) -> Samples:
    """Return the points of a network whose distance from a start, along edges, is a multiple of `interval`.

    The largest distance is `radius`. The start itself is a point, and each point is counted once, however many shortest
    paths lead to it.
    """
    slack = network.rounding + 1e-9 * interval
    to_nodes = network.distances_to_nodes(starts)
    rays = _rays(network, starts, to_nodes, radius)
    first = np.floor((rays.reach + slack) / interval).astype(int) + 1
    last = np.floor((np.minimum(rays.reach + rays.length, radius) + slack) / interval).astype(int)
    counts = (last - first + 1).clip(0)
    ray = np.repeat(np.arange(len(counts)), counts)
    step = np.arange(len(ray)) - (np.cumsum(counts) - counts)[ray] + first[ray]
    along = rays.origin[ray] + rays.sign[ray] * (step * interval - rays.reach[ray])
    inside = (along > slack) & (along < network.length[rays.edge[ray]] - slack)  # nodes are added below
    places = starts + Places(rays.edge[ray][inside], along[inside])
    start = np.append(np.arange(len(starts)), rays.start[ray][inside])

    near = (to_nodes > slack) & (to_nodes <= radius + slack)
    # Nodes out of reach get half an interval, which is not a multiple, so that they are left out.
    distance = np.where(near, to_nodes, 0.5 * interval)
    node, of_start = np.nonzero(np.abs(distance - interval * np.round(distance / interval)) <= slack)
    none = np.zeros((len(node), network.place.shape[1]))
    return Samples(
        start=np.append(start, of_start),
        place=np.concatenate((network.positions(places), network.place[node])),
        direction=np.concatenate((_directions(network, places, interval), none)),
    )


def _rays(network: Network, starts: Places, to_nodes: np.ndarray, radius: float) -> _Rays:
    """Return the stretches of edges within `radius` of the starts, given their distances from nodes (nodes, n)."""
    # A start divides its own edge into two stretches.
    reach = to_nodes[network.ends]  # (edges, 2, n)
    near = reach.min(1) < radius
    number = np.arange(len(starts))
    near[starts.edge, number] = False
    edge, start = np.nonzero(near)
    length = network.length[edge]
    both = reach[edge, :, start]
    zero, own = np.zeros(len(starts)), network.length[starts.edge]
    ends = reach[starts.edge, :, number]
    stretches = (
        (start, edge, np.zeros(len(edge)), length, both[:, 0], both[:, 1]),
        (number, starts.edge, zero, starts.along, ends[:, 0], zero),
        (number, starts.edge, starts.along, own - starts.along, zero, ends[:, 1]),
    )
    start, edge, origin, length, reach_low, reach_high = (np.concatenate(part) for part in zip(*stretches, strict=True))
    meeting = (0.5 * (length + reach_high - reach_low)).clip(0, length)
    slack = network.rounding + 1e-9 * radius  # the point where both walks meet belongs to the first
    return _Rays(
        start=np.append(start, start),
        edge=np.append(edge, edge),
        origin=np.append(origin, origin + length),
        sign=np.repeat((1.0, -1.0), len(start)),
        length=np.append(meeting, length - meeting - 4 * slack),
        reach=np.append(reach_low, reach_high),
    )


def _directions(network: Network, places: Places, size: float) -> np.ndarray:
    """Return the unit vectors along the chords that reach half of `size` to both sides of each place, (n, ndim)."""
    ahead = np.minimum(places.along + 0.5 * size, network.length[places.edge])
    behind = np.maximum(places.along - 0.5 * size, 0.0)
    chord = network.positions(Places(places.edge, ahead)) - network.positions(Places(places.edge, behind))
    norm = np.linalg.norm(chord, axis=1, keepdims=True)
    directions: np.ndarray = chord / np.where(norm > 0, norm, 1)
    return directions
