"""Handmade graphs and their symmetries."""

from __future__ import annotations

from collections.abc import Iterable

import networkx as nx
import numpy as np

SYMMETRIES = ("flip", "transpose", "shift")


def graph(edges: Iterable[tuple | str], **places: tuple[float, ...]) -> nx.MultiGraph:
    """Return a graph with nodes at `places`; an edge is straight unless its third entry is a path."""
    made = nx.MultiGraph()
    made.add_nodes_from((name, {"pos": pos}) for name, pos in places.items())
    for u, v, *path in edges:
        made.add_edge(u, v, **({"path": path[0]} if path else {}))
    return made


def grid(rows: int = 3, columns: int = 4, block: float = 100.0) -> nx.Graph:
    """Return a grid of streets."""
    made = nx.grid_2d_graph(rows, columns)
    nx.set_node_attributes(made, {node: (block * node[0], block * node[1]) for node in made}, "pos")
    return made


def ring(radius: float = 100.0, count: int = 60) -> nx.Graph:
    """Return a regular polygon; all of its nodes have degree 2."""
    made = nx.cycle_graph(count)
    angles = 2 * np.pi * np.arange(count) / count
    nx.set_node_attributes(made, {i: (radius * np.sin(a), radius * np.cos(a)) for i, a in enumerate(angles)}, "pos")
    return made


def oddities() -> nx.MultiGraph:
    """Return a graph with parallel edges, a self-loop, several components, a lone node and an edge of length zero."""
    return graph(
        [
            "ab",
            ("a", "b", [(0, 0), (60, 50), (0, 100)]),
            ("b", "b", [(0, 100), (40, 140), (0, 180), (-40, 140), (0, 100)]),
            "cd",
            "fg",
        ],
        a=(0, 0),
        b=(0, 100),
        c=(300, 0),
        d=(300, 120),
        e=(500, 500),
        f=(600, 600),
        g=(600, 600),
    )


def moved(given: nx.Graph, symmetry: str) -> nx.Graph:
    """Return a graph after a flip, a transposition or a shift."""

    def turn(pos: tuple | list) -> np.ndarray:
        old = np.array(pos, float)
        return {"flip": old * (1, -1), "transpose": old[..., ::-1], "shift": np.add(old, (7.25, -30.5))}[symmetry]

    new = nx.MultiGraph()
    new.add_nodes_from((node, {"pos": turn(pos)}) for node, pos in given.nodes(data="pos"))
    for u, v, path in given.edges(data="path"):
        new.add_edge(u, v, path=None if path is None else turn(path))
    return new
