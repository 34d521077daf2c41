"""Neurons are read from SWC files and written to them."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import numpy as np
import pytest

from gpuph.interop import read_swc, write_swc
from gpuph.metrics import ccq, draw_graph, skeleton_graph
from support import graphs

# Two neurons: a soma with two branches, one of which divides, and a piece of an axon. Children precede parents,
# numbers have gaps, and there are comments, an empty line and a further column.
NEURONS = """\ufeff# made by hand, in \u00b5m
#  n type x y z radius parent
7 3 12.0 4.0 8.0 0.5 4   # a tip
4 3 6.0 4.0 4.0 1.0 1
1 1 0.0 0.0 0.0 5.0 -1

9 3 6.0 9.0 4.0 0.25 4 17
2 2 -3.0 0.0 0.0 1.5 1
20 2 100.0 50.0 30.0 1 -1
21 2 1.01e2 50.5 30.0 1.0 20
"""


@pytest.fixture
def neurons(tmp_path: Path) -> Path:
    path = tmp_path / "neurons.swc"
    path.write_text(NEURONS, encoding="utf-8")
    return path


def test_samples_are_nodes_whatever_their_order(neurons: Path) -> None:
    graph = read_swc(neurons)
    assert [*graph] == [7, 4, 1, 9, 2, 20, 21]
    assert {frozenset(edge) for edge in graph.edges} == {
        frozenset(e) for e in ((7, 4), (4, 1), (9, 4), (2, 1), (20, 21))
    }
    assert dict(graph.nodes(data="type")) == {7: 3, 4: 3, 1: 1, 9: 3, 2: 2, 20: 2, 21: 2}
    assert graph.nodes[1]["radius"] == 5.0 and graph.nodes[9]["radius"] == 0.25
    assert [name for name in graph if graph.nodes[name].get("root")] == [1, 20]
    assert dict(graph.degree)[4] == 3  # a branch point


@pytest.mark.parametrize(
    ("axes", "expected"),
    [("zyx", (8, 4, 12)), ("xyz", (12, 4, 8)), ("yxz", (4, 12, 8)), ("yx", (4, 12)), ("xz", (12, 8))],
)
def test_positions_are_in_the_order_of_the_axes(neurons: Path, axes: str, expected: tuple) -> None:
    assert tuple(read_swc(neurons, axes=axes).nodes[7]["pos"]) == expected


def test_positions_are_in_voxels_where_their_size_is_given(neurons: Path) -> None:
    graph = read_swc(neurons, spacing=(4.0, 0.5, 2.0), origin=(4.0, 1.0, -2.0))  # z, y, x
    assert graph.nodes[7]["pos"].tolist() == [(8 - 4) / 4, (4 - 1) / 0.5, (12 + 2) / 2]
    assert graph.nodes[7]["radius"] == 0.5  # in um


@pytest.mark.parametrize("axes", ["zyx", "xyz", "zxy"])
@pytest.mark.parametrize(("spacing", "origin"), [(1.0, None), ((4.0, 0.37, 1.9), (100.1, -20.3, 7.7))])
def test_round_trip_keeps_everything_but_the_numbers(neurons: Path, axes: str, spacing, origin) -> None:
    settings = {"axes": axes, "spacing": spacing, "origin": origin}
    graph = read_swc(neurons, **settings)
    write_swc(graph, neurons, **settings)
    again = read_swc(neurons, **settings)
    assert [*again] == [1, 2, 3, 4, 5, 6, 7]
    match = {  # names by position
        tuple(np.round(pos, 6)): name for name, pos in again.nodes(data="pos")
    }
    names = {name: match[tuple(np.round(pos, 6))] for name, pos in graph.nodes(data="pos")}
    for old, new in names.items():
        np.testing.assert_allclose(graph.nodes[old]["pos"], again.nodes[new]["pos"], rtol=0, atol=1e-9)
        for field in ("radius", "type", "root"):
            assert graph.nodes[old].get(field) == again.nodes[new].get(field)
    renamed = nx.relabel_nodes(graph, names)
    assert {frozenset(edge) for edge in renamed.edges} == {frozenset(edge) for edge in again.edges}


def test_file_in_voxels_is_written_exactly(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    graph = nx.random_labeled_tree(40, seed=1)
    nx.set_node_attributes(graph, {n: rng.random(3) * 1000 for n in graph}, "pos")
    write_swc(graph, tmp_path / "tree.swc")
    again = read_swc(tmp_path / "tree.swc")
    found = sorted(pos.tolist() for _, pos in again.nodes(data="pos"))
    assert found == sorted(pos.tolist() for _, pos in graph.nodes(data="pos"))
    assert nx.is_tree(again) and sorted(d for _, d in again.degree) == sorted(d for _, d in graph.degree)


def test_parents_are_written_before_their_children(neurons: Path) -> None:
    write_swc(read_swc(neurons), neurons)
    rows = [line.split() for line in neurons.read_text().splitlines() if line[0] != "#"]
    assert [int(row[0]) for row in rows] == [1, 2, 3, 4, 5, 6, 7]
    assert all(int(row[6]) < int(row[0]) for row in rows)
    assert [row[6] for row in rows].count("-1") == 2


def test_vertices_of_paths_become_samples_with_radii_between_those_of_nodes(tmp_path: Path) -> None:
    path = [(0, 0, 0), (0, 0, 3), (0, 0, 4)]
    graph = graphs.graph([("a", "b", path[::-1])], a=path[0], b=path[-1])  # the path leads from b to a
    nx.set_node_attributes(graph, {"a": 1.0, "b": 5.0}, "radius")
    nx.set_node_attributes(graph, {"a": 1, "b": 3}, "type")
    write_swc(graph, tmp_path / "path.swc")
    again = read_swc(tmp_path / "path.swc")
    assert [pos.tolist() for _, pos in again.nodes(data="pos")] == [[0, 0, 0], [0, 0, 3], [0, 0, 4]]
    assert [radius for _, radius in again.nodes(data="radius")] == [1.0, 4.0, 5.0]
    assert [kind for _, kind in again.nodes(data="type")] == [1, 3, 3]
    nx.set_node_attributes(graph, {"b": True}, "root")
    write_swc(graph, tmp_path / "path.swc")
    assert [r for _, r in read_swc(tmp_path / "path.swc").nodes(data="radius")] == [5.0, 4.0, 1.0]


def test_skeleton_of_a_volume_is_written_and_scores_as_before(tmp_path: Path) -> None:
    mask = np.zeros((9, 20, 12), bool)
    mask[4, 2:18, 6] = mask[1:8, 9, 6] = mask[7, 9, 6:11] = True
    spacing = (2.0, 1.0, 1.0)
    write_swc(skeleton_graph(mask, spacing=spacing), tmp_path / "um.swc")
    write_swc(skeleton_graph(mask), tmp_path / "voxels.swc", spacing=spacing)
    assert ccq(mask, read_swc(tmp_path / "um.swc"), tolerance=0.5, spacing=spacing).quality == pytest.approx(1.0)
    drawn = draw_graph(read_swc(tmp_path / "voxels.swc", spacing=spacing), mask.shape)
    assert np.array_equal(drawn, mask)


def test_flat_graphs_are_written_with_two_axes(tmp_path: Path) -> None:
    graph = graphs.graph(["ab"], a=(1, 2), b=(3, 5))
    with pytest.raises(ValueError, match="axes must have one letter for each of the 2 axes of the graph, got 'zyx'"):
        write_swc(graph, tmp_path / "flat.swc")
    write_swc(graph, tmp_path / "flat.swc", axes="yx")
    assert [pos.tolist() for _, pos in read_swc(tmp_path / "flat.swc").nodes(data="pos")] == [[0, 1, 2], [0, 3, 5]]


@pytest.mark.parametrize("kind", ["ring", "parallel edges", "edge to itself"])
def test_graph_with_a_loop_is_refused(tmp_path: Path, kind: str) -> None:
    graph = {
        "ring": lambda: graphs.graph(["ab", "bc", "ca"], a=(0, 0, 0), b=(0, 0, 1), c=(0, 1, 0)),
        "parallel edges": lambda: graphs.graph(["ab", "ab"], a=(0, 0, 0), b=(0, 0, 1)),
        "edge to itself": lambda: graphs.graph(["aa", "ab"], a=(0, 0, 0), b=(0, 0, 1)),
    }[kind]()
    with pytest.raises(
        ValueError, match="graph must not have loops, which SWC does not allow, got one through the edge"
    ):
        write_swc(graph, tmp_path / "loop.swc")
    assert not (tmp_path / "loop.swc").exists()


def test_two_roots_in_a_component_are_refused(tmp_path: Path) -> None:
    graph = graphs.graph(["ab"], a=(0, 0, 0), b=(0, 0, 1))
    nx.set_node_attributes(graph, True, "root")
    with pytest.raises(ValueError, match="graph must have one root in each component, got a second one, 'b'"):
        write_swc(graph, tmp_path / "roots.swc")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no samples"),
        ("# nothing\n", "holds no samples"),
        ("1 1 0 0 0 1 -1\n1 1 0 0 1 1 -1\n", "sample 1 occurs twice, first in line 1"),
        ("1 1 0 0 0 1 -1\n2 1 0 0 1 1 5\n", "line 2: the parent 5 of sample 2 is not in the file"),
        ("# a ring\n1 1 0 0 0 1 2\n2 1 0 0 1 1 1\n", "is its own ancestor"),
        ("1 1 0 0 0 1 1\n", "line 1: sample 1 is its own ancestor"),
        ("1 1 0 0 0 1 -1\n3 1 0 0 0 1 1\n5 1 0 0 1 1 5\n", "line 3: sample 5 is its own ancestor"),
        ("1 1 0 0 0 1 -1\n2 1 0 0\n", r"line 2: a sample must have a number, .* got '2 1 0 0'"),
        ("1.5 1 0 0 0 1 -1\n", "line 1: a sample must have a number"),
        ("1 1 nan 0 0 1 -1\n", "line 1: a sample must have a number"),
        ("1 1 x 0 0 1 -1\n", "line 1: a sample must have a number"),
    ],
)
def test_damaged_file_raises_and_names_the_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.swc").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_swc(tmp_path / "bad.swc")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_comment_ends_only_where_its_line_does(tmp_path: Path, end: str) -> None:
    lines = "# page\x0cbreak, \u2028 and \x85", "1 1 0 0 0 1 -1 # soma\x1c", "2 1 0 0"
    (tmp_path / "comment.swc").write_bytes(end.join(lines[:2]).encode())
    assert [*read_swc(tmp_path / "comment.swc")] == [1]
    (tmp_path / "comment.swc").write_bytes(end.join(lines).encode())
    with pytest.raises(ValueError, match="line 3: a sample must have a number"):
        read_swc(tmp_path / "comment.swc")


def test_commas_and_numbers_with_a_point_are_read(tmp_path: Path) -> None:
    (tmp_path / "comma.swc").write_text("1.0, 1, 0, 0, 2.5, 1, -1\n2.0, 3, 1, 0, 0, 1, 1.0\n")
    graph = read_swc(tmp_path / "comma.swc")
    assert [*graph.edges] == [(1, 2)] and graph.nodes[1]["pos"].tolist() == [2.5, 0, 0]


@pytest.mark.slow
def test_other_reader_finds_what_was_written(neurons: Path) -> None:
    swcgeom = pytest.importorskip("swcgeom")
    graph = read_swc(neurons)
    write_swc(graph.subgraph(nx.node_connected_component(graph, 1)), neurons)
    tree = swcgeom.Tree.from_swc(str(neurons))
    columns = [getattr(tree, name)().tolist() for name in ("x", "y", "z", "r", "type")]
    found = sorted(zip(*columns, strict=True))
    expected = sorted(
        (*graph.nodes[n]["pos"][::-1].tolist(), graph.nodes[n]["radius"], graph.nodes[n]["type"])
        for n in (1, 2, 4, 7, 9)
    )
    assert found == expected
    assert [node.id for node in tree.get_furcations()] == [0, 1]
