"""Neurons in files of the format SWC."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import networkx as nx
import numpy as np

from .. import checks
from .. import spacing as sizes
from ..metrics.road_graph import load
from .georeference import Floats

__all__ = ["read_swc", "write_swc"]

UNKNOWN = 0  # the number of an unknown type


def read_swc(
    file: str | os.PathLike[str],
    *,
    spacing: float | Sequence[float] = 1.0,
    axes: str = "zyx",
    origin: Sequence[float] | None = None,
) -> nx.Graph:
    """Read the neurons of an SWC file as a graph that `gpuph.metrics` takes.

    Parameters
    ----------
    file : str or path
        A text file with one sample per line: number, type, x, y, z, radius and the number of the parent, which is -1
        for a root. Further columns, empty lines and comments, from "#" to the end of the line, are skipped. Parents may
        come after their children, and there may be several roots.
    spacing : float or sequence of float, one per axis
        Size of a voxel, in the unit of the file, which is mostly um, and in the order of `axes`. Positions are then in
        voxels. With the default, they stay in the unit of the file, in which metrics with a `spacing` take graphs.
    axes : str
        The order of the coordinates of positions: that of the axes of the volume. "zyx" is the order of most volumes in
        memory. Two letters, such as "yx", make a 2D graph and drop the third coordinate.
    origin : sequence of float, one per axis, optional
        Where the centre of the first voxel lies, in the unit of the file and the order of `axes`; by default at 0.

    Returns
    -------
    networkx.Graph
        Nodes are the samples, by their numbers and in the order of the file. They have `pos`, float64, `radius`, in the
        unit of the file, and `type`, an int: 1 is the soma, 2 the axon, 3 and 4 are dendrites. Roots have `root=True`.
        Edges lead from parents to children, and are straight.

    Raises
    ------
    TypeError
        If an argument has a wrong type.
    ValueError
        If `axes` is not two or three different letters of "xyz"; if `spacing` or `origin` does not have one number for
        each axis, or `spacing` is not positive; or if the file holds no samples, a line that is not a sample, a number
        twice, a parent that is missing, or samples that are their own ancestors. The message names the line.

    References
    ----------
    R. C. Cannon, D. A. Turner, G. K. Pyapali, H. V. Wheal: An on-line archive of reconstructed hippocampal neurons.
    Journal of Neuroscience Methods 84, 1998.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from gpuph.interop import read_swc
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder) / "neuron.swc"
    ...     _ = file.write_text("# a soma and a branch\\n1 1 0 0 0 5 -1\\n2 3 3 0 8 1 1\\n")
    ...     graph = read_swc(file, spacing=(4.0, 1.0, 1.0))
    >>> graph.nodes[2]["pos"], graph.nodes[2]["radius"]
    (array([2., 0., 3.]), 1.0)
    """
    path = _path(file)
    frame = _Frame.checked(spacing, axes, origin)
    samples = _parse(path)
    number = {name: index for index, name in enumerate(samples.number)}
    if len(number) < len(samples.number):
        index = next(i for i, name in enumerate(samples.number) if number[name] != i)
        raise ValueError(f"{path}: sample {samples.number[index]} occurs twice, first in line {samples.line[index]}")
    graph = nx.Graph()
    position = frame.to_graph(samples.place)
    for name, kind, pos, radius in zip(samples.number, samples.kind, position, samples.radius, strict=True):
        graph.add_node(name, pos=pos, radius=radius, type=kind)
    for name, parent, line in zip(samples.number, samples.parent, samples.line, strict=True):
        if parent < 0:
            graph.nodes[name]["root"] = True
        elif parent not in number:
            raise ValueError(f"{path}, line {line}: the parent {parent} of sample {name} is not in the file")
        else:
            graph.add_edge(parent, name)
    _check_ancestors(path, samples, graph)
    return graph


def write_swc(
    graph: nx.Graph,
    file: str | os.PathLike[str],
    *,
    spacing: float | Sequence[float] = 1.0,
    axes: str = "zyx",
    origin: Sequence[float] | None = None,
) -> None:
    """Write a graph without loops to an SWC file, each parent before its children.

    Parameters
    ----------
    graph : networkx.Graph or MultiGraph
        Nodes have `pos`, and edges may have `path`, whose vertices become samples: see `gpuph.metrics`. Nodes may have
        `radius` (1 by default) and `type` (0, for unknown, by default). Between nodes, radii are interpolated, and the
        type is that of the node further from the root. A node with `root=True` is the root of its component; without
        one, the first node is.
    file : str or path
        The file to write. Samples are numbered from 1, and numbers are written so that they are read back exactly.
    spacing, axes, origin
        As for `read_swc`. In 2D, the coordinate that is missing is written as 0. Radii are not scaled.

    Raises
    ------
    TypeError, ValueError
        As for the graphs that metrics take: see `gpuph.metrics`. Also if the graph has a loop, no nodes, not as many
        axes as `axes`, two roots in a component, a `radius` that is not a finite number, or a `type` that is not an
        int; or if `spacing`, `axes` or `origin` is not as in `read_swc`.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import networkx as nx
    >>> from gpuph.interop import write_swc
    >>> graph = nx.Graph([("a", "b")])
    >>> nx.set_node_attributes(graph, {"a": (0, 0, 0), "b": (2, 0, 3)}, "pos")
    >>> with TemporaryDirectory() as folder:
    ...     write_swc(graph, Path(folder) / "neuron.swc", spacing=(4.0, 1.0, 1.0))
    ...     print((Path(folder) / "neuron.swc").read_text())
    # number type x y z radius parent
    1 0 0.0 0.0 0.0 1.0 -1
    2 0 3.0 0.0 8.0 1.0 1
    <BLANKLINE>
    """
    path = _path(file)
    frame = _Frame.checked(spacing, axes, origin)
    lines = load(graph)
    if not lines.nodes:
        raise ValueError("graph must have nodes, got none")
    if lines.position.shape[1] != len(frame.columns):
        raise ValueError(
            f"axes must have one letter for each of the {lines.position.shape[1]} axes of the graph, got {axes!r}"
        )
    rows = ["# number type x y z radius parent"]
    for index, (place, radius, kind, parent) in enumerate(_samples(graph, lines, frame), start=1):
        x, y, z = (float(part) for part in place)
        rows.append(f"{index} {kind} {x!r} {y!r} {z!r} {radius!r} {parent}")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


class _Frame(NamedTuple):
    """The conversion between the positions of a graph and those in a file."""

    columns: list[int]  # of x, y and z, for each axis of the graph
    spacing: Floats  # of each axis
    origin: Floats

    @classmethod
    def checked(cls, spacing: object, axes: object, origin: object) -> _Frame:
        if not isinstance(axes, str):
            raise TypeError(f"axes must be letters of 'xyz', such as 'zyx', got {checks.shown(axes)}")
        if len(axes) not in (2, 3) or len(set(axes)) < len(axes) or not set(axes) <= set("xyz"):
            raise ValueError(f"axes must be two or three different letters of 'xyz', got {checks.shown(axes)}")
        rank = len(axes)
        size = sizes.per_axis(sizes.checked(spacing), rank) or (1.0,) * rank  # type: ignore[arg-type]
        first = (0.0,) * rank if origin is None else checks.numbers("origin", origin)
        if len(first) != rank:
            raise ValueError(f"origin must have one number for each of {rank} axes, got {checks.shown(origin)}")
        return cls(["xyz".index(letter) for letter in axes], np.array(size), np.array(first))

    def to_graph(self, places: Floats) -> Floats:
        """Return positions of a graph, given x, y and z (n, 3)."""
        return (places[:, self.columns] - self.origin) / self.spacing

    def to_file(self, position: Floats) -> Floats:
        places = np.zeros((len(position), 3))
        places[:, self.columns] = position * self.spacing + self.origin
        return places


class _Samples(NamedTuple):
    number: list[int]
    kind: list[int]
    place: Floats  # (n, 3): x, y, z
    radius: list[float]
    parent: list[int]
    line: list[int]  # of the file


def _path(file: object) -> Path:
    if not isinstance(file, (str, os.PathLike)):
        raise TypeError(f"file must be a path, got {checks.shown(file)}")
    return Path(os.fsdecode(file))


def _parse(path: Path) -> _Samples:
    """Return the samples of a file in its order."""
    rows, numbers = [], []
    # Comments may have any encoding, and form feeds and the like, at which `splitlines` would cut them.
    for count, line in enumerate(path.read_text(encoding="utf-8-sig", errors="replace").split("\n"), start=1):
        words = line.partition("#")[0].replace(",", " ").split()
        if not words:
            continue
        try:
            row = [float(word) for word in words[:7]]
            whole = [int(row[column]) for column in (0, 1, 6)]
        except (ValueError, OverflowError, IndexError):
            row, whole = [], []
        if not row or not np.isfinite(row).all() or whole != [row[column] for column in (0, 1, 6)]:
            raise ValueError(
                f"{path}, line {count}: a sample must have a number, a type, x, y, z, a radius and a parent, got"
                f" {checks.shown(line.strip())}"
            )
        rows.append(row)
        numbers.append((*whole, count))
    if not rows:
        raise ValueError(f"{path} holds no samples")
    number, kind, parent, line_number = (list(column) for column in zip(*numbers, strict=True))
    values = np.array(rows)
    return _Samples(number, kind, values[:, 2:5], values[:, 5].tolist(), parent, line_number)


def _check_ancestors(path: Path, samples: _Samples, graph: nx.Graph) -> None:
    """Raise if a sample is its own ancestor."""
    parents = dict(zip(samples.number, samples.parent, strict=True))
    for part in nx.connected_components(graph):
        if all(parents[name] >= 0 for name in part):
            name = next(iter(part))
            for _ in part:  # so that the walk ends on the circle
                name = parents[name]
            line = samples.line[samples.number.index(name)]
            raise ValueError(f"{path}, line {line}: sample {name} is its own ancestor")


def _samples(graph: nx.Graph, lines: Any, frame: _Frame) -> list[tuple[Floats, float, int, int]]:
    """Return the place, radius, type and parent's number of each sample, the parents first."""
    radius = [_number(graph, name, "radius", 1.0) for name in lines.nodes]
    kind = [_number(graph, name, "type", UNKNOWN) for name in lines.nodes]
    around: list[list[tuple[int, int]]] = [[] for _ in lines.nodes]
    for edge, (u, v) in enumerate(lines.ends.tolist()):
        around[u].append((edge, v))
        if u != v:
            around[v].append((edge, u))
    is_root = [bool(graph.nodes[name].get("root", False)) for name in lines.nodes]
    samples: list[tuple[Floats, float, int, int]] = []
    written = [0] * len(lines.nodes)  # the number of each node's sample
    vertices = frame.to_file(lines.vertices)
    for root in sorted(range(len(lines.nodes)), key=lambda index: not is_root[index]):
        if written[root]:
            if is_root[root]:
                raise ValueError(f"graph must have one root in each component, got a second one, {lines.nodes[root]!r}")
            continue
        samples.append((frame.to_file(lines.position[root : root + 1])[0], radius[root], int(kind[root]), -1))
        written[root] = len(samples)
        stack = [(edge, root, child) for edge, child in reversed(around[root])]
        used: set[int] = set()
        while stack:
            edge, parent, child = stack.pop()
            if edge in used:
                continue
            used.add(edge)
            if written[child]:
                names = lines.nodes[parent], lines.nodes[child]
                raise ValueError(
                    f"graph must not have loops, which SWC does not allow, got one through the edge {names!r}"
                )
            line = vertices[lines.first[edge] : lines.first[edge + 1]]
            line = line if lines.ends[edge, 0] == parent else line[::-1]
            along = np.append(0, np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1)))
            radii = np.interp(along, (0, max(along[-1], 1e-300)), (radius[parent], radius[child])).tolist()
            radii[-1] = radius[child]
            for step in range(1, len(line)):
                before = written[parent] if step == 1 else len(samples)
                samples.append((line[step], radii[step], int(kind[child]), before))
            written[child] = len(samples)
            stack += [(other, child, further) for other, further in reversed(around[child]) if other not in used]
    return samples


def _number(graph: nx.Graph, name: Any, attribute: str, default: float) -> float:
    value = graph.nodes[name].get(attribute, default)
    where = f"graph: the `{attribute}` of node {name!r}"
    if attribute == "type":
        return checks.integer(where, value, -checks.LARGEST)
    return checks.number(where, value)
