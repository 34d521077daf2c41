"""Lines of GeoPandas become graphs and lines again."""

from __future__ import annotations

from collections.abc import Sequence

import geopandas
import networkx as nx
import numpy as np
import pytest
import shapely

from gpuph.interop import from_geodataframe, to_geodataframe
from gpuph.metrics import apls, ccq, draw_graph, skeleton_graph
from support import graphs

# From an image of 0.3 m a pixel, its rotation by 30 degrees, one of degrees, and one with rows that go north.
TRANSFORMS = {
    "north-up": (0.3, 0.0, 385000.15, 0.0, -0.3, 6672000.45),
    "rotated": (0.3 * np.cos(0.5), 0.2 * np.sin(0.5), 385000.1, -0.3 * np.sin(0.5), 0.2 * np.cos(0.5), 6672000.2),
    "degrees": (2.7e-6, 0.0, 24.9384, 0.0, -2.7e-6, 60.1699),
    "south-up": (10.0, 0.0, -500.0, 0.0, 10.0, 300.0),
}


def edges_of(graph: nx.Graph) -> list[np.ndarray]:
    """Return the paths of all edges in an order and in directions that do not depend on names."""
    straight = nx.get_node_attributes(graph, "pos")
    paths = [
        np.array([straight[u], straight[v]] if path is None else path, float) for u, v, path in graph.edges(data="path")
    ]
    paths = [min(path, path[::-1], key=lambda x: x.round(4).tolist()) for path in paths]
    return sorted(paths, key=lambda x: x.round(4).tolist())


def assert_same(one: nx.Graph, other: nx.Graph, atol: float = 1e-6) -> None:
    assert len(one) == len(other)
    for a, b in zip(edges_of(one), edges_of(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)
    lonely = [sorted(np.round(g.nodes[n]["pos"], 4).tolist() for n in nx.isolates(g)) for g in (one, other)]
    assert lonely[0] == lonely[1]


def roads() -> nx.MultiGraph:
    rng = np.random.default_rng(0)
    mask = np.zeros((60, 80), bool)
    mask[20], mask[:, 13], mask[45, 30:70], mask[5:9, 60] = True, True, True, True
    mask[rng.random(mask.shape) < 0.03] = True
    return skeleton_graph(mask)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_round_trip_keeps_positions_to_a_millionth_of_a_pixel(name: str) -> None:
    graph = roads()
    frame = to_geodataframe(graph, TRANSFORMS[name], crs="EPSG:32635")
    found = from_geodataframe(frame, TRANSFORMS[name], meet="ends")
    assert_same(graph, found)
    assert frame.crs == found.graph["crs"] == "EPSG:32635"
    assert sum(length for *_, length in found.edges(data="length")) == pytest.approx(
        sum(length for *_, length in graph.edges(data="length"))
    )


def test_round_trip_through_a_file_keeps_the_graph(tmp_path) -> None:
    graph, transform = roads(), TRANSFORMS["rotated"]
    to_geodataframe(graph, transform, "EPSG:32635").to_file(tmp_path / "roads.gpkg")
    found = from_geodataframe(geopandas.read_file(tmp_path / "roads.gpkg"), transform, meet="ends")
    assert_same(graph, found)


def test_first_pixel_has_its_centre_half_a_pixel_from_the_corner_of_the_image() -> None:
    graph = graphs.graph(["ab"], a=(0, 0), b=(3, 1))  # row 3, column 1
    (line,) = to_geodataframe(graph, (2.0, 0.0, 100.0, 0.0, -2.0, 50.0)).geometry
    assert [*line.coords] == [(101.0, 49.0), (103.0, 43.0)]


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transform_is_that_of_rasterio(name: str) -> None:
    rasterio = pytest.importorskip("rasterio")
    transform = rasterio.Affine(*TRANSFORMS[name])
    (line,) = to_geodataframe(graphs.graph(["ab"], a=(7, 19), b=(4.25, 2)), transform).geometry
    expected = np.stack(rasterio.transform.xy(transform, [7, 4.25], [19, 2]), 1)
    np.testing.assert_allclose(np.array(line.coords), expected, rtol=1e-15)
    frame = geopandas.GeoSeries([line])
    assert_same(from_geodataframe(frame, transform), from_geodataframe(frame, TRANSFORMS[name]), atol=0)


def test_rotation_by_a_right_angle_swaps_rows_and_columns() -> None:
    line = geopandas.GeoSeries([shapely.LineString([(10, 4), (18, 4)])])
    rows = from_geodataframe(line, (0.0, 1.0, 0.0, 1.0, 0.0, 0.0))  # x is along rows
    columns = from_geodataframe(line, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0))
    assert_same(rows, graphs.graph(["ab"], a=(9.5, 3.5), b=(17.5, 3.5)))
    assert_same(columns, graphs.graph(["ab"], a=(3.5, 9.5), b=(3.5, 17.5)))


def test_without_a_transform_positions_are_y_and_x() -> None:
    graph = from_geodataframe(geopandas.GeoSeries([shapely.LineString([(10, 4), (18, 5)])]))
    assert_same(graph, graphs.graph(["ab"], a=(4, 10), b=(5, 18)))
    (line,) = to_geodataframe(graph).geometry
    assert [*line.coords] == [(10, 4), (18, 5)]


def lines(*points: Sequence[tuple[float, ...]]) -> geopandas.GeoSeries:
    return geopandas.GeoSeries([shapely.LineString(each) for each in points])


CASES = {  # lines, and the numbers of nodes and edges, where lines meet in vertices and in ends
    "T junction in a vertex": (lines([(0, 0), (5, 0), (9, 0)], [(5, 0), (5, 7)]), (4, 3), (4, 2)),
    "crossing with a vertex": (lines([(0, 0), (5, 0), (9, 0)], [(5, -7), (5, 0), (5, 7)]), (5, 4), (4, 2)),
    "bridge without a vertex": (lines([(0, 0), (9, 0)], [(5, -7), (5, 7)]), (4, 2), (4, 2)),
    "ring": (lines([(0, 0), (5, 0), (5, 5), (0, 0)]), (1, 1), (1, 1)),
    "eight": (lines([(0, 0), (5, 5), (5, 0), (0, 5), (0, 0)], [(0, 0), (-5, 0)]), (2, 2), (2, 2)),
    "line through itself": (lines([(0, 0), (4, 4), (8, 0), (8, 8), (4, 4), (0, 8)]), (3, 3), (2, 1)),
    "vertex twice in a row": (lines([(0, 0), (4, 4), (4, 4), (8, 0)]), (2, 1), (2, 1)),
    "the same line twice": (lines([(0, 0), (9, 0)], [(9, 0), (0, 0)]), (2, 2), (2, 2)),
    "a line of length zero": (lines([(3, 3), (3, 3)]), (1, 0), (1, 0)),
    "signed zeros": (lines([(0.0, -0.0), (9, 0)], [(-0.0, 0.0), (0, 9)]), (3, 2), (3, 2)),
}


@pytest.mark.parametrize("name", CASES)
def test_lines_meet_where_they_have_vertices_in_common(name: str) -> None:
    given, by_vertices, by_ends = CASES[name]
    for meet, expected in (("vertices", by_vertices), ("ends", by_ends)):
        graph = from_geodataframe(given, meet=meet)
        assert (graph.number_of_nodes(), graph.number_of_edges()) == expected
        length = sum(length for *_, length in graph.edges(data="length"))
        assert length == pytest.approx(given.length.sum())


def test_parts_and_points_and_missing_geometries_are_read() -> None:
    frame = geopandas.GeoDataFrame(
        {"name": list("abcd"), "key": [7, 7, 7, 7]},
        geometry=[
            shapely.MultiLineString([[(0, 0, 5), (1, 0, 5)], [(3, 0, 5), (4, 0, 6)]]),
            None,
            shapely.Point(9, 8),
            shapely.LineString(),
        ],
    )
    graph = from_geodataframe(frame)
    assert [graph.nodes[n]["pos"].tolist() for n in nx.isolates(graph)] == [[8.0, 9.0]]
    assert [(data["name"], data["key"]) for *_, data in graph.edges(data=True)] == [("a", 7), ("a", 7)]
    with pytest.raises(ValueError, match="got a Polygon in row 0"):
        from_geodataframe(geopandas.GeoSeries([shapely.box(0, 0, 1, 1)]))
    with pytest.raises(ValueError, match="must have a geometry column"):
        from_geodataframe(geopandas.GeoDataFrame({"a": [1]}))


def test_empty_tables_and_graphs_are_converted() -> None:
    assert len(from_geodataframe(geopandas.GeoDataFrame(geometry=[]))) == 0
    assert len(to_geodataframe(nx.MultiGraph())) == 0


def test_columns_are_the_attributes_of_edges() -> None:
    graph = roads()
    for number, (*_, data) in enumerate(graph.edges(data=True)):
        data["number"] = number
    found = from_geodataframe(to_geodataframe(graph), meet="ends")
    by_number = {data["number"]: data["path"] for *_, data in graph.edges(data=True)}
    for *_, data in found.edges(data=True):
        expected = by_number[data["number"]]
        assert any(np.array_equal(data["path"], each) for each in (expected, expected[::-1]))


def test_lines_are_converted_to_the_crs_of_the_image() -> None:
    pyproj = pytest.importorskip("pyproj")
    degrees = geopandas.GeoSeries([shapely.LineString([(24.93, 60.17), (24.94, 60.18)])], crs="EPSG:4326")
    graph = from_geodataframe(degrees, TRANSFORMS["north-up"], crs="EPSG:32635")
    expected = degrees.to_crs("EPSG:32635")
    assert_same(graph, from_geodataframe(expected, TRANSFORMS["north-up"]))
    assert pyproj.CRS(graph.graph["crs"]) == "EPSG:32635"
    with pytest.raises(ValueError, match="frame must have a CRS to be converted to crs, got none"):
        from_geodataframe(geopandas.GeoSeries([shapely.LineString([(0, 0), (1, 1)])]), crs="EPSG:32635")


def test_metrics_of_lines_and_of_their_image_agree() -> None:
    graph, transform = roads(), TRANSFORMS["rotated"]
    lines_on_map = to_geodataframe(graph, transform)
    found = from_geodataframe(lines_on_map, transform, meet="ends")
    mask = draw_graph(graph, (60, 80))
    assert ccq(mask, found, tolerance=1.5).quality == pytest.approx(1.0)
    assert apls(found, graph).score == pytest.approx(1.0, abs=1e-6)


def test_graphs_in_3d_are_refused() -> None:
    with pytest.raises(ValueError, match="graph must be in 2D, got positions of 3 coordinates"):
        to_geodataframe(graphs.graph(["ab"], a=(0, 0, 0), b=(1, 2, 3)))


@pytest.mark.parametrize(
    "transform", [(1, 2, 0, 2, 4, 0), (0, 0, 5, 0, 0, 5), (0, 0, 5, 1, 1, 5), (1e-200, 1e-200, 0, 1e-200, 1e-200, 0)]
)
def test_transform_without_an_inverse_is_refused(transform: tuple) -> None:
    with pytest.raises(ValueError, match="transform must be invertible, got"):
        from_geodataframe(geopandas.GeoSeries(), transform)
