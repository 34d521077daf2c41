"""Graphs of masks, drawings of graphs, and places and distances on graphs."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation, binary_fill_holes, gaussian_filter
from skimage.measure import euler_number, label

from gpuph.metrics import draw_graph, skeleton_graph
from gpuph.metrics.network import Network, Places
from gpuph.metrics.road_graph import simplified
from support.graphs import graph, grid, oddities, ring


def blobs(shape: tuple[int, ...], scale: float, share: float, seed: int) -> np.ndarray:
    """Return noise above a threshold; in 3D without cavities, which graphs do not have."""
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), scale)
    mask = noise > np.quantile(noise, 1 - share)
    return binary_fill_holes(mask) if len(shape) == 3 else mask


def betti(mask: np.ndarray) -> tuple[int, int]:
    """Return Betti numbers 0 and 1 of a mask in construction "T", from components and Euler numbers of scikit-image."""
    components = label(mask, connectivity=mask.ndim, return_num=True)[1]
    holes = label(~np.pad(mask, 1), connectivity=1, return_num=True)[1] - 1
    if mask.ndim == 2:
        return components, holes
    return components, components + holes - euler_number(mask, connectivity=3)


@pytest.mark.parametrize("shape", [(40, 53), (12, 14, 17)], ids=["2D", "3D"])
@pytest.mark.parametrize("scale", [0.4, 1.0, 2.0, 3.0])
def test_skeleton_graph_has_the_components_and_loops_of_the_mask(shape, scale):
    for seed in range(8):
        mask = blobs(shape, scale, (seed + 1) / 10, seed)
        made = skeleton_graph(mask)
        components = nx.number_connected_components(made)
        loops = made.number_of_edges() - made.number_of_nodes() + components
        assert (components, loops) == betti(mask)


@pytest.mark.parametrize("sides", [(1, 1, 1), (2, 2, 2), (4, 4, 4), (2, 4, 30), (4, 4, 29), (5, 4, 30)])
def test_bars_with_even_sides_have_a_skeleton(sides):
    mask = np.zeros((40, 40, 40), bool)
    mask[tuple(slice(5, 5 + side) for side in sides)] = True
    made = skeleton_graph(mask)
    assert nx.number_connected_components(made) == 1
    assert sum(length for _, _, length in made.edges(data="length")) >= max(sides) - 5


@pytest.mark.parametrize("shape", [(40, 53), (12, 14, 17)], ids=["2D", "3D"])
def test_drawn_skeleton_graph_lies_on_the_mask(shape):
    mask = blobs(shape, 1.5, 0.4, 0)
    drawn = draw_graph(skeleton_graph(mask), shape)
    assert not (drawn & ~binary_dilation(mask)).any()  # a point between pixels is drawn on one of them
    assert betti(drawn)[0] == betti(mask)[0]


def test_skeleton_graph_of_a_tee_has_its_nodes_and_lengths():
    mask = torch.zeros(60, 80, dtype=torch.bool)
    mask[30, 10:71] = mask[10:30, 40] = True  # a T
    mask[5, 5] = True  # a single pixel
    made = skeleton_graph(mask)
    assert {tuple(pos): made.degree[node] for node, pos in made.nodes(data="pos")} == {
        (30.0, 40.0): 3,
        (30.0, 10.0): 1,
        (30.0, 70.0): 1,
        (10.0, 40.0): 1,
        (5.0, 5.0): 0,
    }
    assert sorted(length for _, _, length in made.edges(data="length")) == [20.0, 30.0, 30.0]
    for u, v, data in made.edges(data=True):
        assert {tuple(data["path"][0]), tuple(data["path"][-1])} == {
            tuple(made.nodes[u]["pos"]),
            tuple(made.nodes[v]["pos"]),
        }


def test_skeleton_graph_of_a_ring_is_one_loop_edge():
    y, x = np.ogrid[:41, :41]
    distance = abs(np.hypot(y - 20, x - 20) - 15)
    made = skeleton_graph(torch.from_numpy(distance), threshold=2.0)
    assert (made.number_of_nodes(), made.number_of_edges()) == (1, 1)
    ((_, _, length),) = made.edges(data="length")
    assert (
        2 * np.pi * 15 * 0.95 < length < 2 * np.pi * 15 * 1.15
    )  # steps from pixel to pixel are up to 8 % longer than an arc


def test_skeleton_graph_of_an_empty_mask_is_empty_and_of_one_pixel_is_a_node():
    nothing = np.zeros((9, 9), bool)
    assert skeleton_graph(nothing).number_of_nodes() == 0
    nothing[3, 4] = True
    made = skeleton_graph(nothing)
    assert [tuple(pos) for _, pos in made.nodes(data="pos")] == [(3.0, 4.0)]
    assert made.number_of_edges() == 0


def test_skeleton_graph_rejects_wrong_shapes_and_thresholds():
    with pytest.raises(ValueError, match=r"got \(4,\)"):
        skeleton_graph(np.zeros(4, bool))
    with pytest.raises(ValueError, match="threshold"):
        skeleton_graph(np.zeros((4, 4)))
    with pytest.raises(ValueError, match="threshold"):
        skeleton_graph(np.zeros((4, 4), bool), threshold=1.0)


def test_simplified_joins_edges_at_nodes_of_degree_2():
    made = simplified(grid(2, 3))
    assert set(made) == {(0, 1), (1, 1)}
    assert sorted(length for _, _, length in made.edges(data="length")) == [100.0, 300.0, 300.0]
    assert sorted(simplified(made).edges(data="length")) == sorted(made.edges(data="length"))


def test_simplified_keeps_one_node_of_a_ring():
    made = simplified(ring())
    ((u, v, length),) = made.edges(data="length")
    assert u == v and len(made) == 1
    assert length == pytest.approx(60 * 2 * 100 * np.sin(np.pi / 60))


@pytest.mark.parametrize(
    ("broken", "error", "message"),
    [
        (nx.DiGraph(), TypeError, "undirected"),
        (graph([], a=(0,)), ValueError, "2 or 3 finite"),
        (graph([], a=(0, np.nan)), ValueError, "2 or 3 finite"),
        (nx.path_graph(2), ValueError, "2 or 3 finite"),
        (graph([], a=(0, 0), b=(0, 0, 0)), ValueError, "all have 2"),
        (graph([("a", "b", [(0, 0), (1, 0)])], a=(0, 0), b=(2, 2)), ValueError, "lead from"),
        (graph([("a", "b", [(0, 0)])], a=(0, 0), b=(2, 2)), ValueError, "shape"),
    ],
    ids=["directed", "1D", "nan", "no-pos", "mixed", "elsewhere", "short"],
)
def test_simplified_rejects_graphs_without_valid_positions_and_paths(broken, error, message):
    with pytest.raises(error, match=message):
        simplified(broken)


def test_draw_graph_draws_connected_lines_and_clips_them():
    made = graph(["ab", "cd"], a=(2, 3), b=(30, 90), c=(-20, 50), d=(10, 50))
    mask = draw_graph(made, (40, 60))
    assert betti(mask) == (2, 0)
    assert mask[0, 50] and mask[2, 3] and mask[:, 59].any()
    with pytest.raises(ValueError, match="2 coordinates"):
        draw_graph(made, (5, 40, 60))


# Places and distances.


def test_distances_between_nodes_equal_those_of_networkx():
    rng = np.random.default_rng(0)
    for seed in range(5):
        made = nx.MultiGraph(nx.gnm_random_graph(14, 22, seed=seed))
        made.add_edges_from(list(made.edges)[:4])  # some edges twice
        nx.set_node_attributes(made, {node: 100 * rng.random(3) for node in made}, "pos")
        made = simplified(made)
        network, names = Network(made), [node for node, degree in made.degree if degree]
        places = network.control_places(np.inf)
        assert np.allclose(network.positions(places), [made.nodes[name]["pos"] for name in names])
        expected = dict(nx.all_pairs_dijkstra_path_length(made, weight="length"))
        distances = network.distances(places, np.arange(len(names)))
        assert np.allclose(distances, [[expected[a].get(b, np.inf) for b in names] for a in names])


def test_distances_between_points_of_one_edge_are_measured_along_it():
    network = Network(graph(["ab", ("a", "b", [(0, 0), (50, 50), (0, 100)])], a=(0, 0), b=(0, 100)))
    places, found = network.snap(np.array([(1.0, 20.0), (-1.0, 90.0), (25.0, 25.0), (0.0, 100.0), (0.0, 20.0)]), 1.0)
    assert found.all()
    assert np.allclose(network.distances(places, np.array([0]))[0], [0, 70, 20 + np.hypot(25, 25), 80, 0])


def test_snap_finds_the_nearest_place():
    rng = np.random.default_rng(0)
    network = Network(oddities())
    points = rng.uniform(-50, 350, (500, 2))
    vector = network.stop - network.start
    share = ((points[:, None] - network.start) * vector).sum(-1) / np.maximum((vector**2).sum(-1), 1e-9)
    nearest = network.start + share.clip(0, 1)[..., None] * vector
    distance = np.linalg.norm(nearest - points[:, None], axis=-1).min(1)
    for radius in (3.0, 30.0):
        places, found = network.snap(points, radius)
        assert (found == (distance <= radius)).all() and found.any()
        assert np.allclose(np.linalg.norm(network.positions(places) - points, axis=1)[found], distance[found])


def test_drawn_places_are_uniform_along_edges_and_joined_by_paths():
    network = Network(oddities())
    starts, stops = network.draw(20_000, np.random.default_rng(0))
    assert np.isfinite(network.pair_distances(starts[:600], stops[:600])).all()
    pieces = np.bincount(network.component, network.length)
    share = np.bincount(network.component[starts.edge], minlength=len(pieces)) / 20_000
    assert np.allclose(share, pieces**2 / (pieces**2).sum(), atol=0.01)
    longest = network.length.argmax()
    assert abs(starts.along[starts.edge == longest].mean() / network.length[longest] - 0.5) < 0.01


def test_network_without_edges_has_no_places():
    for nothing in (nx.Graph(), graph([], a=(1, 2))):
        network = Network(nothing)
        assert len(network.control_places(50.0)) == 0
        assert not network.snap(np.zeros((2, 2)), 5.0)[1].any()
        assert network.distances(Places(np.zeros(0, int), np.zeros(0)), np.zeros(0, int)).shape == (0, 0)
