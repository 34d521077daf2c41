"""Street networks of OSMnx become graphs."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import shapely

from gpuph.interop import from_geodataframe, from_osmnx
from gpuph.metrics import apls, ccq
from support import graphs

UTM = (2.0, 0.0, 385000.0, 0.0, -2.0, 6672000.0)


def streets() -> nx.MultiDiGraph:
    """Return a network in OSMnx's form: two-way streets are two edges, and only bent ones have a geometry."""
    made = nx.MultiDiGraph(crs="EPSG:32635", simplified=True)
    for name, x, y in ((10, 385001.0, 6671999.0), (20, 385041.0, 6671999.0), (30, 385041.0, 6671959.0)):
        made.add_node(name, x=x, y=y, street_count=3)
    bent = [(385041.0, 6671999.0), (385061.0, 6671989.0), (385041.0, 6671959.0)]
    made.add_edge(10, 20, osmid=1, highway="residential", length=40.0, reversed=False)
    made.add_edge(20, 10, osmid=1, highway="residential", length=40.0, reversed=True)
    made.add_edge(20, 30, osmid=2, geometry=shapely.LineString(bent), length=55.0)
    made.add_edge(30, 20, osmid=2, geometry=shapely.LineString(bent[::-1]), length=55.0)
    made.add_edge(20, 30, osmid=3, length=40.0, oneway=True)
    ring = [(385001.0, 6671999.0), (385001.0, 6671979.0), (384981.0, 6671979.0), (385001.0, 6671999.0)]
    made.add_edge(10, 10, osmid=4, geometry=shapely.LineString(ring))
    made.add_edge(10, 10, osmid=4, geometry=shapely.LineString(ring[::-1]))
    return made


def test_two_directions_of_a_street_become_one_edge() -> None:
    graph = from_osmnx(streets(), UTM)
    assert type(graph) is nx.MultiGraph
    assert sorted(osmid for *_, osmid in graph.edges(data="osmid")) == [1, 2, 3, 4]


def test_positions_are_rows_and_columns_of_the_image() -> None:
    graph = from_osmnx(streets(), UTM)
    expected = {10: (0, 0), 20: (0, 20), 30: (20, 20)}
    for name, pos in graph.nodes(data="pos"):
        np.testing.assert_allclose(pos, expected[name], atol=1e-9)
    (bent,) = (data["path"] for *_, data in graph.edges(data=True) if data["osmid"] == 2)
    np.testing.assert_allclose(bent, [(0, 20), (5, 30), (20, 20)], atol=1e-9)


def test_lengths_are_in_pixels_and_other_attributes_are_kept() -> None:
    graph = from_osmnx(streets(), UTM)
    data = graph.edges[10, 20, 0]
    assert data["highway"] == "residential" and data["length"] == pytest.approx(20.0)
    assert graph.nodes[10]["street_count"] == 3 and "x" not in graph.nodes[10]
    assert graph.graph["crs"] == "EPSG:32635"


def test_undirected_networks_and_networks_without_transform_are_converted() -> None:
    directed, undirected = (from_osmnx(each) for each in (streets(), nx.MultiGraph(streets())))
    assert directed.nodes[30]["pos"].tolist() == [6671959.0, 385041.0]
    assert undirected.number_of_edges() == directed.number_of_edges() == 4


def test_metrics_take_the_result_and_name_the_function_for_the_original() -> None:
    graph = from_osmnx(streets(), UTM)
    assert ccq(graph, graph, tolerance=1.0).quality == 1.0
    for original in (streets(), nx.MultiGraph(streets())):
        with pytest.raises((TypeError, ValueError), match=r"gpuph\.interop\.from_osmnx converts the graphs of osmnx"):
            apls(graph, original)
    with pytest.raises(ValueError, match=r"gpuph\.interop has from_osmnx, from_geodataframe, from_sknw, from_skan and"):
        apls(graph, nx.path_graph(3))
    with pytest.raises(ValueError, match=r"must have a `pos` of 2 or 3 finite numbers, got \(1,\)$"):
        ccq(graph, graphs.graph(["ab"], a=(1,), b=(2,)), tolerance=1.0)


def test_network_in_degrees_is_converted_to_the_crs_of_the_image() -> None:
    pyproj = pytest.importorskip("pyproj")
    back = pyproj.Transformer.from_crs("EPSG:32635", "EPSG:4326", always_xy=True)
    degrees = streets()
    degrees.graph["crs"] = "EPSG:4326"
    for _, data in degrees.nodes(data=True):
        data["x"], data["y"] = back.transform(data["x"], data["y"])
    for *_, data in degrees.edges(data=True):
        if "geometry" in data:
            data["geometry"] = shapely.transform(
                data["geometry"], lambda points: np.stack(back.transform(*points.T), 1)
            )
    found, expected = from_osmnx(degrees, UTM, crs="EPSG:32635"), from_osmnx(streets(), UTM)
    for name in found:
        np.testing.assert_allclose(found.nodes[name]["pos"], expected.nodes[name]["pos"], atol=1e-6)
    for edge in found.edges(keys=True):
        np.testing.assert_allclose(found.edges[edge]["path"], expected.edges[edge]["path"], atol=1e-6)
    assert pyproj.CRS(found.graph["crs"]) == "EPSG:32635"


def test_node_without_coordinates_is_named() -> None:
    graph = streets()
    del graph.nodes[20]["y"]
    with pytest.raises(ValueError, match=r"got \{'x': 385041.0, 'y': None\} at 20"):
        from_osmnx(graph)


OSM = """<?xml version="1.0" encoding="UTF-8"?>
<osm version="0.6" generator="test">
  {nodes}
  {ways}
</osm>"""
NODES = {1: (60.170, 24.930), 2: (60.170, 24.935), 3: (60.171, 24.935), 4: (60.172, 24.940), 5: (60.169, 24.935)}
WAYS = {100: (1, 2, 3, 4), 101: (5, 2), 102: (4, 1)}


def write_osm(path: Path) -> Path:
    ways = []
    for way, refs in WAYS.items():
        parts = "".join(f'<nd ref="{ref}"/>' for ref in refs)
        tags = '<tag k="highway" v="residential"/>' + ('<tag k="oneway" v="yes"/>' if way == 102 else "")
        ways.append(f'<way id="{way}" version="1">{parts}{tags}</way>')
    nodes = [f'<node id="{name}" lat="{y}" lon="{x}" version="1"/>' for name, (y, x) in NODES.items()]
    path.write_text(OSM.format(nodes="\n".join(nodes), ways="\n".join(ways)))
    return path


@pytest.mark.slow
def test_network_that_osmnx_reads_has_its_streets(tmp_path: Path) -> None:
    osmnx = pytest.importorskip("osmnx")
    network = osmnx.project_graph(osmnx.graph_from_xml(write_osm(tmp_path / "streets.osm")))
    found = from_osmnx(network, UTM)
    undirected = osmnx.convert.to_undirected(network)
    assert found.number_of_edges() == undirected.number_of_edges() == 4
    assert set(found) == set(undirected) == {1, 2, 4, 5}
    assert sum(length for *_, length in found.edges(data="length")) * 2 == pytest.approx(
        sum(length for *_, length in undirected.edges(data="length")), rel=5e-3
    )  # pixels of 2 m; lengths of osmnx are those on a sphere, which differ by up to 0.5 %
    frame = osmnx.graph_to_gdfs(undirected, nodes=False)
    same = from_geodataframe(frame.reset_index(), UTM)
    assert ccq(found, same, tolerance=1e-3).quality == 1.0
