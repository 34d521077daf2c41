"""Skeletons of masks: their position and topology, and the symmetries of the metrics that are computed from them."""

from __future__ import annotations

import time
from itertools import permutations, product

import networkx as nx
import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from scipy.ndimage import binary_fill_holes, distance_transform_edt, gaussian_filter, label
from scipy.spatial import cKDTree
from skimage.measure import euler_number
from skimage.morphology import skeletonize

import gpuph
from bench.train.neurons import FINE, load_skeletons
from bench.train.roads import load_lines
from gpuph.metrics import apls, betti_error, ccq, draw_graph, junction_score, skeleton_graph, too_long_too_short
from gpuph.skeletons import curves


def betti(mask: np.ndarray) -> tuple[int, int]:
    """Return the components and loops of a mask in construction "T", as counted by scipy and scikit-image."""
    components = label(mask, np.ones((3,) * mask.ndim))[1]
    holes = label(~np.pad(mask, 1))[1] - 1
    return components, holes if mask.ndim == 2 else components + holes - euler_number(mask, connectivity=3)


def betti_of_graph(graph: nx.MultiGraph) -> tuple[int, int]:
    components = nx.number_connected_components(graph)
    return components, graph.number_of_edges() - graph.number_of_nodes() + components


def symmetries(ndim: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return all 8 or 48 symmetries of the grid, each as a permutation of the axes and the axes to flip after it."""
    flips = [tuple(axis for axis in range(ndim) if flip[axis]) for flip in product((0, 1), repeat=ndim)]
    return list(product(permutations(range(ndim)), flips))


def turned(mask: torch.Tensor, symmetry: tuple[tuple[int, ...], tuple[int, ...]]) -> torch.Tensor:
    return mask.permute(symmetry[0]).flip(symmetry[1])


def roads(size: int = 500) -> np.ndarray:
    """Return a mask of real centre lines."""
    canvas = Image.new("1", (size, size))
    draw = ImageDraw.Draw(canvas)
    for line in load_lines():
        draw.line([(float(x) - 200, size - 1 - float(y) + 300) for x, y in line], fill=1)
    return np.array(canvas, np.uint8) > 0


def thick_line(start: np.ndarray, stop: np.ndarray, width: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a digital line, thickened by a square or cube of `width` pixels, and the points of its centre line."""
    steps = np.linspace(0, 1, 4 * side)[:, None]
    points = np.unique(np.round(start + steps * (stop - start)).astype(int), axis=0)
    mask = np.zeros((side,) * len(start), bool)
    for shift in product(range(width), repeat=len(start)):
        mask[tuple((points + shift).T)] = True
    return mask, points + (width - 1) / 2


def farthest(centres: np.ndarray, mask: np.ndarray) -> float:
    return float(cKDTree(curves(mask).places).query(centres)[0].max())


@pytest.mark.parametrize(("ndim", "side", "count"), [(2, 60, 240), (3, 36, 120)], ids=["2D", "3D"])
def test_skeletons_cover_lines_of_any_thickness_and_direction(ndim, side, count):
    rng = np.random.default_rng(0)
    for i in range(count):
        width, crossing = 1 + i % 6, i % 4 == 3
        middle = rng.uniform(0.4, 0.5, ndim) * side
        mask, centres = np.zeros((side,) * ndim, bool), []
        for _ in range(1 + crossing):
            direction = rng.standard_normal(ndim) if i % 3 else rng.choice((-1.0, 0.0, 1.0), ndim)
            direction[rng.integers(ndim)] += 1e-3
            reach = rng.uniform(0.25, 0.38) * side * direction / np.linalg.norm(direction)
            line, points = thick_line(middle - reach, middle + reach, width, side)
            mask |= line
            centres.append(points)
        assert farthest(np.concatenate(centres), mask) <= width / 2 + 1.5, (i, width)


@pytest.mark.parametrize("width", range(1, 8))
def test_skeletons_cover_bars_that_are_longer_than_they_are_wide(width):
    for length in (width + 4, 2 * width, 3 * width + 5):
        for ndim in (2, 3):
            mask = np.zeros((width + 2,) * (ndim - 1) + (length + 2,), bool)
            mask[(slice(1, -1),) * ndim] = True
            middle = np.full((50, ndim), (width + 1) / 2)
            middle[:, -1] = np.linspace(0.5, length + 0.5, 50)
            if length > width + 3:
                assert farthest(middle, mask) <= width / 2 + 1.5


def test_skeletons_cover_real_neurites():
    shape, points = (112, 112, 112), load_skeletons()[0].points[:, ::-1] / FINE
    first, second = load_skeletons()[0].edges()
    points = points - np.median(points, axis=0) + np.array(shape) / 2
    steps = np.linspace(0, 1, 60)[:, None, None]
    voxels = np.round(points[first] + steps * (points[second] - points[first])).astype(int).reshape(-1, 3)
    centre = np.zeros(shape, bool)
    centre[tuple(voxels[((voxels >= 0) & (voxels < shape)).all(1)].T)] = True
    for radius in (1.0, 1.5, 2.0, 3.0):
        mask = distance_transform_edt(~centre) <= radius
        distance = cKDTree(curves(mask).places).query(np.argwhere(centre))[0]
        assert (distance > 4).mean() < 0.01, radius


def test_arms_two_voxels_thick_are_branches():
    volume = torch.zeros(8, 40, 40, dtype=torch.bool)
    volume[3:5, 18:20, 4:36] = volume[3:5, 18:36, 18:20] = True
    line = torch.zeros_like(volume)
    line[3, 18, 4:36] = line[3, 18:36, 18] = True
    made = skeleton_graph(volume)
    assert sorted(degree for _, degree in made.degree) == [1, 1, 1, 3]
    assert sum(length for *_, length in made.edges(data="length")) == 46
    assert ccq(volume, line, 3.0) == (1, 1, 1)


def test_bands_at_45_degrees_are_kept_in_both_orientations():
    line = torch.eye(100, dtype=torch.bool)
    band = line.clone()
    band[:-1, 1:] |= torch.eye(99, dtype=torch.bool)
    assert ccq(band, line, 2.0) == ccq(band.flip(1), line.flip(1), 2.0) == (1, 1, 1)
    ((_, _, length),) = skeleton_graph(band).edges(data="length")
    assert abs(length - 99 * np.sqrt(2)) < 2


@pytest.mark.parametrize("shape", [(40, 53), (12, 14, 17)], ids=["2D", "3D"])
@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0, 2.0])
def test_skeleton_graphs_have_the_components_and_loops_of_the_mask(shape, scale):
    for seed in range(6):
        noise = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), scale)
        mask = noise > np.quantile(noise, 0.8 - 0.12 * seed)
        mask = binary_fill_holes(mask) if mask.ndim == 3 else mask
        assert betti_of_graph(skeleton_graph(mask)) == betti(mask)


def test_cavities_do_not_change_components_and_loops():
    volume = np.ones((9, 20, 9), bool)
    volume[3:6, 3:6, 4] = volume[2, 4, 4] = volume[4, 10:12, 4] = False
    assert betti_of_graph(skeleton_graph(volume)) == (1, 0)
    volume[:, 15, 4] = False  # a tunnel
    assert betti_of_graph(skeleton_graph(volume)) == (1, 1)


def test_object_in_a_cavity_is_a_component():
    volume = np.ones((9, 9, 9), bool)
    volume[2:7, 2:7, 2:7] = False
    volume[4, 4, 4] = True
    assert betti_of_graph(skeleton_graph(volume))[0] == 2


@pytest.mark.parametrize("shape", [(31, 44), (9, 12, 14)], ids=["2D", "3D"])
def test_skeletons_have_the_symmetries_of_the_grid(shape):
    noise = gaussian_filter(np.random.default_rng(0).standard_normal(shape), 1.2)
    mask = torch.from_numpy(noise > np.quantile(noise, 0.6))
    places = curves(mask.numpy()).places
    for axes, flips in symmetries(len(shape)):
        expected = places[:, axes].copy()
        for axis in flips:
            expected[:, axis] = shape[axes[axis]] - 1 - expected[:, axis]
        got = curves(turned(mask, (axes, flips)).numpy()).places
        assert set(map(tuple, got)) == set(map(tuple, expected))


@pytest.mark.slow
def test_metrics_of_road_masks_have_the_symmetries_of_the_grid():
    distance = distance_transform_edt(~roads())
    rng = np.random.default_rng(0)
    noise, gaps = (gaussian_filter(rng.standard_normal(distance.shape), scale) for scale in (1.5, 6))
    target = distance <= 2
    pred = (distance + noise / noise.std() <= 2) & (gaps / gaps.std() < 1.8)
    pred[1:] |= pred[:-1]  # even and odd widths
    pred, target = torch.from_numpy(pred), torch.from_numpy(target)
    metrics = (
        lambda *masks: ccq(*masks, tolerance=1.0),
        lambda *masks: apls(*masks, points=None),
        lambda *masks: junction_score(*masks, radius=10.0),
    )
    counts = betti_of_graph(skeleton_graph(pred))
    for metric in metrics:
        expected = metric(pred, target)
        for symmetry in symmetries(2)[1:]:
            got = metric(turned(pred, symmetry), turned(target, symmetry))
            assert got == pytest.approx(expected, rel=0.01)
    # Which paths are drawn depends on the order of the edges; of so many, shares have a standard deviation of 0.001.
    shares = [too_long_too_short(turned(pred, s), turned(target, s), paths=40_000) for s in symmetries(2)]
    assert all(share == pytest.approx(shares[0], abs=0.01) for share in shares)
    for symmetry in symmetries(2):
        assert betti_of_graph(skeleton_graph(turned(pred, symmetry))) == counts


def test_shares_of_paths_have_the_symmetries_of_the_grid():
    target = torch.zeros(60, 70, dtype=torch.bool)
    target[10:12] = target[40:44] = target[:, 20:23] = target[:, 50:54] = True
    pred = target.clone()
    pred[40:44, 30:40] = False
    # Which paths are drawn depends on the order of the edges, so that many paths are drawn and their shares compared.
    results = [
        too_long_too_short(turned(pred, symmetry), turned(target, symmetry), radius=6.0, paths=5000)
        for symmetry in symmetries(2)
    ]
    assert np.std(np.array(results), axis=0).max() < 0.015  # 5000 draws have a standard deviation of 0.007
    assert 0.1 < results[0].too_long < 0.9


def test_metrics_of_volumes_have_the_symmetries_of_the_grid():
    target = torch.zeros(12, 30, 36, dtype=torch.bool)
    target[5:7, 14:16, 2:34] = target[5:7, 3:28, 16:18] = True
    pred = target.clone()
    pred[5:7, 20:23] = False
    for metric in (lambda *masks: ccq(*masks, tolerance=1.0), lambda *masks: apls(*masks, spacing=5.0, points=None)):
        expected = metric(pred, target)
        assert 0 < min(expected) < 1
        for symmetry in symmetries(3):
            assert metric(turned(pred, symmetry), turned(target, symmetry)) == pytest.approx(expected)


def test_skeletons_of_rough_masks_have_fewer_ends_than_those_of_scikit_image():
    distance = distance_transform_edt(~roads())
    rng = np.random.default_rng(0)
    ends = np.zeros(2, int)
    for radius, scale in product((1.5, 2.5, 4.0), (0.0, 0.7, 1.5)):
        noise = gaussian_filter(rng.standard_normal(distance.shape), scale)
        mask = distance + 0.8 * noise / noise.std() <= radius
        thin = skeletonize(mask)
        neighbours = sum(np.roll(np.pad(thin, 1).astype(int), step, (0, 1)) for step in product((-1, 0, 1), repeat=2))
        ends += sum(degree == 1 for _, degree in skeleton_graph(mask).degree), (neighbours[1:-1, 1:-1] == 2)[thin].sum()
    assert ends[0] < ends[1]


def test_line_one_pixel_wide_is_its_own_skeleton():
    mask = np.zeros((30, 40), bool)
    mask[4, 3:30] = mask[4:20, 29] = mask[20, 29:36] = mask[2, 36] = True
    mask[np.arange(21, 27), np.arange(28, 22, -1)] = True
    places = curves(mask).places
    assert set(map(tuple, places[(places % 1 == 0).all(1)].astype(int).tolist())) == set(map(tuple, np.argwhere(mask)))
    made = skeleton_graph(mask)
    assert (draw_graph(made, mask.shape) == mask).all()
    assert {tuple(pos) for node, pos in made.nodes(data="pos") if made.degree[node] < 2} == {
        (4.0, 3.0),
        (20.0, 35.0),
        (26.0, 23.0),
        (2.0, 36.0),
    }


def test_drawn_skeleton_graphs_lie_on_their_masks():
    distance = distance_transform_edt(~roads())
    for radius in (1.0, 2.0):
        mask = distance <= radius
        drawn = draw_graph(skeleton_graph(mask), mask.shape)
        assert (drawn & ~mask).sum() < 0.001 * drawn.sum()
        assert betti(drawn)[0] == betti(mask)[0]


@pytest.mark.slow
def test_skeleton_graph_of_a_large_noisy_mask_takes_seconds():
    noise = gaussian_filter(np.random.default_rng(0).standard_normal((1094, 1536)), 0.7)
    mask = noise > np.quantile(noise, 0.7)
    skeleton_graph(mask[:9, :9])  # compiles
    start = time.process_time()
    made = skeleton_graph(mask)
    assert time.process_time() - start < 12
    assert betti_of_graph(made) == betti(mask)


# Bytes, NaNs and coordinates far away.


@pytest.mark.parametrize("byte", [2, 255])
def test_bool_arrays_with_any_nonzero_byte_are_masks(byte):
    bytes_ = np.zeros((40, 40), np.uint8)
    bytes_[20, 5:35] = bytes_[10:20, 20] = byte
    odd, mask = torch.from_numpy(bytes_).view(torch.bool), torch.from_numpy(bytes_ > 0)
    assert skeleton_graph(bytes_.view(bool)).number_of_edges() == skeleton_graph(odd).number_of_edges() == 3
    assert skeleton_graph(bytes_.view(bool)[::2, ::-1]).number_of_nodes() > 0
    other = mask.roll(1, 0)
    for metric in (ccq, apls, too_long_too_short, junction_score):
        assert metric(odd, other) == metric(mask, other)
        assert metric(skeleton_graph(other), odd) == metric(skeleton_graph(other), mask)
    assert betti_error(odd, mask, dim=1) == betti_error(odd, mask, dim=0) == 0
    batch = (odd[None, None], mask[None, None])
    assert torch.equal(*(gpuph.truncated_distance_map(each, 5.0) for each in batch))


def test_one_bit_images_of_pillow_are_masks():
    bytes_ = np.zeros((9, 9), np.uint8)
    bytes_[4, 1:8] = 255
    assert skeleton_graph(bytes_.view(bool)).number_of_edges() == 1


def test_nan_in_a_distance_map_raises():
    distances = np.ones((9, 9), np.float32)
    distances[4] = 0
    distances[4, 4] = np.nan
    for image in (distances, torch.from_numpy(distances)):
        with pytest.raises(ValueError, match="NaN"):
            skeleton_graph(image, threshold=0.5)


def line_between(start: tuple[float, ...], stop: tuple[float, ...]) -> nx.Graph:
    graph = nx.Graph()
    graph.add_node(0, pos=start)
    graph.add_node(1, pos=stop)
    graph.add_edge(0, 1)
    return graph


@pytest.mark.parametrize("far", [1e4, 1e9, 1e18, 1e308])
def test_lines_from_far_outside_the_image_are_drawn(far):
    assert (draw_graph(line_between((7.0, -far), (7.0, far)), (20, 30)) == (np.arange(20) == 7)[:, None]).all()
    assert (draw_graph(line_between((-far, -far), (far, far)), (20, 20)) == np.eye(20, dtype=bool)).all()
    steep = draw_graph(line_between((-far, -far / 4), (far, far / 4)), (20, 20))
    assert [np.flatnonzero(row).tolist() for row in steep[::4]] == [[0], [1], [2], [3], [4]]
    assert not draw_graph(line_between((far, -far), (far, far)), (20, 30)).any()
    assert not draw_graph(line_between((far, far), (far, far)), (20, 30)).any()
    into = draw_graph(line_between((5.0, 5.0, 5.0), (5.0, 5.0, far)), (9, 9, 9))
    assert np.argwhere(into).tolist() == [[5, 5, x] for x in range(5, 9)]


def test_path_that_leaves_the_image_is_drawn_inside_it():
    graph = line_between((3.0, 3.0), (3.0, 9.0))
    graph.edges[0, 1]["path"] = [(3, 3), (3, 6), (1e18, 6), (1e18, 9), (3, 9)]
    drawn = draw_graph(graph, (12, 12))
    assert drawn[3, 3:7].all() and drawn[3:, 6].all() and drawn[3:, 9].all()
    assert drawn.sum() == 4 + 2 * 9 - 1


@pytest.mark.parametrize("shape", [(90, 110), (24, 26, 28)], ids=["image", "volume"])
def test_points_of_a_path_are_at_most_a_pixel_apart_and_sum_to_its_length(shape):
    mask = gaussian_filter(np.random.default_rng(0).normal(size=shape), 2.5) > 0.05
    edges = list(skeleton_graph(mask).edges(data=True))
    assert len(edges) > 10
    for *_, edge in edges:
        steps = np.abs(np.diff(edge["path"], axis=0))
        assert 0 < steps.max() <= 1
        assert np.linalg.norm(steps, axis=1).sum() == pytest.approx(edge["length"], rel=1e-12)
