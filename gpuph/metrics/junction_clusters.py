"""Clusters of nodes that are one junction (Bastani et al. 2018)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from .network import Network


class Cluster(NamedTuple):
    """The nodes of one junction, as numbers of the network's nodes."""

    centre: int
    nodes: np.ndarray
    """All nodes, the centre first, shape (n,), int64."""


def true_clusters(network: Network, merge: float) -> list[Cluster]:
    """Return the clusters of the truth: nodes become centres in the order of their positions."""
    crossings = _crossings(network, merge)
    neighbours = _neighbours(network, crossings, merge)
    return _cluster(crossings, neighbours, [])


def predicted_clusters(network: Network, merge: float, true_centres: np.ndarray) -> list[Cluster]:
    """Return the clusters of a prediction, whose first centres are those closest to the true centres (n, ndim)."""
    crossings = _crossings(network, merge)
    neighbours = _neighbours(network, crossings, merge)
    if len(crossings) == 0 or len(true_centres) == 0:
        return _cluster(crossings, neighbours, [])
    closest = _closest(network.place[crossings], true_centres, network.rounding)
    centres: list[int] = np.unique(closest).tolist()
    in_cluster = set(centres).union(*(neighbours[centre] for centre in centres))
    rest = np.setdiff1d(np.arange(len(crossings)), list(in_cluster))
    length = network.node_distances(crossings[closest[rest]], crossings[rest], limit=3 * merge)
    for index in rest[length < 3 * merge - network.rounding].tolist():
        neighbours[closest[index]].append(index)
    return _cluster(crossings, neighbours, centres)


def _cluster(crossings: np.ndarray, neighbours: list[list[int]], centres: list[int]) -> list[Cluster]:
    """Take the neighbours of the centres, and of every other node that is not yet in a cluster, in order."""
    in_cluster = set(centres).union(*(neighbours[centre] for centre in centres))
    centres = centres.copy()
    for index, others in enumerate(neighbours):
        if index not in in_cluster:
            centres.append(index)
            in_cluster.update(others)
    return [Cluster(int(crossings[centre]), crossings[[centre, *neighbours[centre]]]) for centre in centres]


def _crossings(network: Network, merge: float) -> np.ndarray:
    """Return the nodes with three or more edges, in the order of their positions, shape (n,)."""
    nodes = np.flatnonzero(np.bincount(network.ends.ravel(), minlength=network.nodes) >= 3)
    place = network.place[nodes]
    # Coordinates that differ only by rounding count as equal; the exact ones decide where all rounded ones are equal.
    rounded = np.round(place / (1e-6 * merge)) if merge > 0 else place
    return nodes[np.lexsort((*place.T[::-1], *rounded.T[::-1]))]


def _neighbours(network: Network, crossings: np.ndarray, merge: float) -> list[list[int]]:
    """List for each crossing the others closer than `merge` that a path shorter than 2 * `merge` leads to."""
    neighbours: list[list[int]] = [[] for _ in crossings]
    if len(crossings) == 0:
        return neighbours
    place = network.place[crossings]
    pairs = cKDTree(place).query_pairs(merge, output_type="ndarray")
    pairs = pairs[np.linalg.norm(place[pairs[:, 0]] - place[pairs[:, 1]], axis=1) < merge - network.rounding]
    length = network.node_distances(crossings[pairs[:, 0]], crossings[pairs[:, 1]], limit=2 * merge)
    for index, other in pairs[length < 2 * merge - network.rounding].tolist():
        neighbours[index].append(other)
        neighbours[other].append(index)
    return neighbours


def _closest(place: np.ndarray, true_centres: np.ndarray, rounding: float) -> np.ndarray:
    """Assign each node (n, ndim) to its nearest true centre, and return the closest of the nodes assigned to that.

    Among equals it is always the first, for true centres as for nodes.
    """
    tree = cKDTree(true_centres)
    around = tree.query_ball_point(place, tree.query(place)[0] + rounding)
    centre = np.array([min(found) for found in around])
    distance = np.linalg.norm(place - true_centres[centre], axis=1)
    least = np.full(len(true_centres), np.inf)
    np.minimum.at(least, centre, distance)
    closest = np.flatnonzero(distance <= least[centre] + rounding)
    first = np.full(len(true_centres), -1)
    first[centre[closest[::-1]]] = closest[::-1]
    found: np.ndarray = first[centre]
    return found
