"""Graphs of sknw and skan become graphs of gpuph."""

from __future__ import annotations

from types import SimpleNamespace

import networkx as nx
import numpy as np
import pytest

from gpuph.interop import from_skan, from_sknw
from gpuph.metrics import apls, ccq, draw_graph


def skeleton() -> np.ndarray:
    """Return a skeleton with a junction, a ring with a tail, a lone pixel and a lone ring."""
    mask = np.zeros((30, 44), bool)
    mask[10, 2:20] = mask[2:20, 10] = True
    mask[5, 25:33] = mask[12, 25:33] = mask[5:13, 25] = mask[5:13, 32] = True
    mask[12, 32:40] = True
    mask[28, 3] = True
    mask[20, 25:30] = mask[25, 25:30] = mask[21:25, 24] = mask[21:25, 30] = True
    return mask


def volume() -> np.ndarray:
    mask = np.zeros((9, 20, 12), bool)
    mask[4, 2:18, 6] = mask[1:8, 9, 6] = True
    return mask


def by_hand() -> nx.MultiGraph:
    """Return the graph of an L in the form that sknw documents, with pixels that lead either way."""
    graph = nx.MultiGraph()
    graph.add_node(0, pts=np.array([[0, 0]], np.int16), o=np.array([0, 0], np.uint16))
    graph.add_node(1, pts=np.array([[0, 3], [1, 3]], np.int16), o=np.array([0.5, 3.0]))
    graph.add_node(2, pts=np.array([[5, 3]], np.int16), o=np.array([5.0, 3.0]))
    graph.add_edge(0, 1, pts=np.array([[0, 3], [0, 2], [0, 1], [0, 0]], np.int16), weight=3.0)
    graph.add_edge(1, 2, pts=np.array([[1, 3], [2, 3], [3, 3], [4, 3], [5, 3]], np.int16), weight=4.0)
    return graph


# sknw.


def test_paths_lead_from_the_position_of_a_node_to_that_of_another() -> None:
    graph = from_sknw(by_hand())
    assert graph.edges[0, 1, 0]["path"].tolist() == [[0, 0], [0, 1], [0, 2], [0, 3], [0.5, 3]]
    assert graph.edges[1, 2, 0]["path"].tolist() == [[0.5, 3], [1, 3], [2, 3], [3, 3], [4, 3], [5, 3]]
    assert graph.edges[0, 1, 0]["length"] == 3.5
    assert set(graph.nodes[0]) == {"pos"} and set(graph.edges[0, 1, 0]) == {"path", "length"}
    assert ccq(graph, graph, tolerance=0.1).quality == pytest.approx(1.0)


def test_spacing_scales_the_graph_of_sknw_along_each_axis() -> None:
    graph, scaled = from_sknw(by_hand()), from_sknw(by_hand(), spacing=(2.0, 0.5))
    assert scaled.edges[1, 2, 0]["path"].tolist() == (graph.edges[1, 2, 0]["path"] * (2.0, 0.5)).tolist()
    assert scaled.edges[1, 2, 0]["length"] == 9.0
    with pytest.raises(ValueError, match="spacing must be a number, or have one for each of 2 axes"):
        from_sknw(by_hand(), spacing=(1.0, 1.0, 1.0))


def test_pixels_beyond_the_16_bits_of_sknw_raise() -> None:
    graph = by_hand()
    graph.edges[1, 2, 0]["pts"] = np.array([[1, 3], [-32768, 3]], np.int16)
    with pytest.raises(ValueError, match=r"got -32768 at edge \(1, 2\); sknw stores pixels in 16 bits"):
        from_sknw(graph)


def test_graph_without_pixels_raises_and_names_the_place() -> None:
    graph = by_hand()
    del graph.edges[0, 1, 0]["pts"]
    with pytest.raises(ValueError, match=r"must have `pts` of 2 or 3 coordinates, got None at edge \(0, 1\)"):
        from_sknw(graph)
    del graph.nodes[2]["o"]
    with pytest.raises(ValueError, match=r"must have an `o` of 2 or 3 coordinates, got \[None\] at node 2"):
        from_sknw(graph)


@pytest.mark.slow  # sknw compiles
@pytest.mark.parametrize("full", [True, False])
def test_graph_of_sknw_covers_its_skeleton(full: bool) -> None:
    sknw = pytest.importorskip("sknw")
    mask = skeleton()
    original = sknw.build_sknw(mask.astype(np.uint16), multi=True, iso=True, ring=True, full=full)
    graph = from_sknw(original)
    assert graph.number_of_edges() == original.number_of_edges() and len(graph) == len(original)
    assert ccq(mask, graph, tolerance=1.5).quality == pytest.approx(1.0)
    assert nx.number_connected_components(graph) == 4
    if full:
        weights = sum(weight for *_, weight in original.edges(data="weight"))
        assert sum(length for *_, length in graph.edges(data="length")) == pytest.approx(weights)
    with pytest.raises(ValueError, match=r"gpuph\.interop\.from_sknw converts the graphs of sknw"):
        apls(original, graph)


@pytest.mark.slow
def test_graph_of_sknw_in_a_volume_covers_its_skeleton() -> None:
    sknw = pytest.importorskip("sknw")
    mask = volume()
    graph = from_sknw(sknw.build_sknw(mask.astype(np.uint16), multi=True))
    assert ccq(mask, graph, tolerance=1.5).quality == pytest.approx(1.0)
    drawn = draw_graph(graph, mask.shape)
    assert not (drawn & ~mask).any()


# skan.


def skan_by_hand() -> SimpleNamespace:
    """Return a skeleton in the form that skan documents: a T and a lone pixel."""
    coordinates = np.array([[0, 0], [0, 1], [0, 2], [1, 1], [2, 1], [5, 5]])
    paths = [np.array([0, 1]), np.array([1, 2]), np.array([1, 3, 4])]
    return SimpleNamespace(
        coordinates=coordinates, n_paths=3, path=lambda i: paths[i], degrees=np.array([1, 3, 1, 2, 1, 0])
    )


def test_branches_of_skan_are_edges_and_lone_pixels_are_nodes() -> None:
    graph = from_skan(skan_by_hand(), spacing=(1.0, 2.0))
    assert {name: pos.tolist() for name, pos in graph.nodes(data="pos")} == {
        **{5: [5, 10], 0: [0, 0], 1: [0, 2], 2: [0, 4], 4: [2, 2]},
    }
    assert graph.edges[1, 4, 0]["path"].tolist() == [[0, 2], [1, 2], [2, 2]]
    assert sorted(length for *_, length in graph.edges(data="length")) == [2.0, 2.0, 2.0]
    assert sorted(branch for *_, branch in graph.edges(data="branch")) == [0, 1, 2]


@pytest.mark.slow  # skan compiles
@pytest.mark.parametrize("make", [skeleton, volume])
def test_graph_of_skan_covers_its_skeleton(make) -> None:
    skan = pytest.importorskip("skan")
    mask = make()
    original = skan.Skeleton(mask, spacing=(2.0, 1.5, 1.0)[-mask.ndim :])
    graph = from_skan(original, spacing=original.spacing)
    assert ccq(mask, from_skan(original), tolerance=1.5).quality == pytest.approx(1.0)
    assert graph.number_of_edges() == original.n_paths
    assert sorted(length for *_, length in graph.edges(data="length")) == pytest.approx(sorted(original.path_lengths()))


def test_what_is_not_a_skeleton_is_refused() -> None:
    with pytest.raises(TypeError, match=r"skeleton must be a skan.Skeleton, got ndarray"):
        from_skan(skeleton())
