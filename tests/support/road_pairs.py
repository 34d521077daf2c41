"""Six pairs of small road networks, a prediction and the truth, on which metrics are compared with published programs.

Positions are in metres. Errors follow from the numbers of edges, so that the pairs do not depend on a random generator.
"""

from __future__ import annotations

from collections.abc import Callable

import networkx as nx
import numpy as np

from bench.train.roads import load_lines
from support.graphs import graph, grid

Lines = list[np.ndarray]


def as_graph(lines: Lines) -> nx.MultiGraph:
    """Return the graph of lines (n, 2), which are joined where their ends are the same to a decimetre."""
    made = nx.MultiGraph()
    for line in lines:
        ends = [tuple(np.round(line[end], 1).tolist()) for end in (0, -1)]
        made.add_nodes_from((end, {"pos": end}) for end in ends)
        made.add_edge(*ends, path=np.concatenate((ends[:1], line[1:-1], ends[1:])))
    return nx.convert_node_labels_to_integers(made)


def crop(south: float, west: float, size: float = 600.0) -> Lines:
    """Return the roads of Helsinki that lie within a square, as the largest network that they form."""
    low = np.array((west, south))
    lines = [np.float64(line) - low for line in load_lines()]
    inside = [line for line in lines if (line >= 0).all() and (line <= size).all()]
    made = as_graph(inside)
    kept = max(nx.connected_components(made), key=len)
    return [path for u, _, path in made.edges(data="path") if u in kept]


def missing(lines: Lines) -> Lines:
    """Leave out every sixth road."""
    return [line for number, line in enumerate(lines) if number % 6 != 2]


def broken(lines: Lines) -> Lines:
    """Cut 12 m out of the middle of every fifth road that is at least 40 m long."""
    parts = []
    for number, line in enumerate(lines):
        along = np.append(0, np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1)))
        if number % 5 != 1 or along[-1] < 40:
            parts.append(line)
            continue
        for first, last in ((0, along[-1] / 2 - 6), (along[-1] / 2 + 6, along[-1])):
            places = np.concatenate(([first], along[(along > first) & (along < last)], [last]))
            parts.append(np.stack([np.interp(places, along, axis) for axis in line.T], 1))
    return parts


def shifted(lines: Lines) -> Lines:
    """Move all roads by up to 2 m, smoothly."""
    return [line + 2 * np.sin(line[:, ::-1] / 37) for line in lines]


def joined(lines: Lines) -> Lines:
    """Add straight false roads between ends of roads that are 30 to 80 m apart, where there is no road yet."""
    made = as_graph(lines)
    places = np.array([pos for _, pos in made.nodes(data="pos")])
    apart = np.linalg.norm(places[:, None] - places, axis=2)
    pairs = [(u, v) for u, v in np.argwhere((apart > 30) & (apart < 80)).tolist() if u < v and not made.has_edge(u, v)]
    return lines + [places[list(pair)] for pair in pairs[3::17]]


def blocks() -> tuple[nx.Graph, nx.Graph]:
    """Return straight streets, of which the prediction lacks two."""
    pred = grid(4, 5, 90.0)
    pred.remove_edges_from([((1, 1), (1, 2)), ((2, 3), (3, 3))])
    return pred, grid(4, 5, 90.0)


def bends() -> tuple[nx.Graph, nx.Graph]:
    """Return roads on arcs, one of which the prediction replaces by a straight one."""
    places = {"a": (0.0, 0.0), "b": (0.0, 300.0), "c": (260.0, 0.0), "d": (260.0, 300.0)}
    turn = np.linspace(0, np.pi, 25)

    def arc(start: str, stop: str, height: float) -> tuple[str, str, np.ndarray]:
        first, last = (np.array(places[name]) for name in (start, stop))
        along = first + (0.5 - 0.5 * np.cos(turn))[:, None] * (last - first)
        across = np.array((-(last - first)[1], (last - first)[0])) / np.linalg.norm(last - first)
        return start, stop, along + height * np.sin(turn)[:, None] * across

    roads = [arc("a", "b", 60.0), arc("c", "d", -40.0), arc("a", "c", 30.0), arc("b", "d", 90.0), arc("b", "c", 25.0)]
    return graph([*roads[:3], ("b", "d"), roads[4]], **places), graph(roads, **places)


def _of_helsinki(south: float, west: float, change: Callable[[Lines], Lines]) -> tuple[nx.Graph, nx.Graph]:
    lines = crop(south, west)
    return as_graph(change(lines)), as_graph(lines)


PAIRS: dict[str, Callable[[], tuple[nx.Graph, nx.Graph]]] = {
    "blocks": blocks,
    "bends": bends,
    "missing": lambda: _of_helsinki(500, 200, missing),
    "broken": lambda: _of_helsinki(500, 200, broken),
    "joined": lambda: _of_helsinki(100, 300, joined),
    "mixed": lambda: _of_helsinki(900, 300, lambda lines: joined(broken(missing(shifted(lines))))),
}
