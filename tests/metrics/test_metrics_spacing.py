"""Voxels that are not cubes: metrics, skeletons and drawings in units of length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation, distance_transform_edt
from torch import Tensor

import gpuph
from gpuph import metrics
from gpuph.metrics import draw_graph, skeleton_graph
from gpuph.metrics.road_graph import load
from support.graphs import grid

Z = (4.0, 1.0, 1.0)
METRICS: dict[str, Callable[..., Any]] = {
    "apls": lambda pred, target, spacing=1.0, **region: metrics.apls(
        pred, target, spacing=5.0, snap=6.0, metres_per_pixel=spacing, **region
    ),
    "betti_error": lambda pred, target, spacing=1.0, **region: metrics.betti_error(
        pred, target, window=200, spacing=spacing, trials=1, patches=2 * len(pred), **region
    ),
    "ccq": lambda pred, target, **settings: metrics.ccq(pred, target, tolerance=3.0, **settings),
    "junction_score": lambda pred, target, **settings: metrics.junction_score(pred, target, 9.0, 3.0, **settings),
    "too_long_too_short": lambda pred, target, **settings: metrics.too_long_too_short(pred, target, 6.0, **settings),
}
OF_GRAPHS = sorted(METRICS.keys() - {"betti_error"})


def tubes(seed: int, shape: tuple[int, ...] = (10, 36, 36)) -> Tensor:
    """Return a volume of thick crossing tubes; the first has a gap, and the other one tube more."""
    volume = np.zeros(shape, bool)
    volume[5, 10] = volume[5, :, 20] = volume[:, 10, 8] = True
    if seed:
        volume[5, 28] = True
    else:
        volume[5, 10, 24:34] = False
    ball = distance_transform_edt(np.pad(np.zeros((1, 1, 1), bool), ((1, 1), (3, 3), (3, 3)), constant_values=True))
    return torch.from_numpy(binary_dilation(volume, ball <= 2.1))


def repeated(volume: Tensor) -> Tensor:
    return volume.repeat_interleave(4, dim=-3)


def same(a: Any, b: Any) -> bool:
    return np.asarray(a) == pytest.approx(np.asarray(b), abs=1e-6)


@pytest.mark.parametrize("name", METRICS)
def test_long_voxels_score_as_repeated_slices(name: str) -> None:
    pred, target = tubes(0), tubes(3)
    found = METRICS[name](pred, target, spacing=Z)
    assert same(found, METRICS[name](repeated(pred), repeated(target)))
    assert not same(found, METRICS[name](target, target))
    mask = torch.ones(pred.shape, dtype=torch.bool)
    mask[:4, 20:] = False
    inside = METRICS[name](pred, target, spacing=Z, mask=mask)
    assert same(inside, METRICS[name](repeated(pred), repeated(target), mask=repeated(mask)))


@pytest.mark.parametrize("name", METRICS)
def test_spacing_of_one_changes_no_bit(name: str) -> None:
    pred, target = tubes(0), tubes(3)
    torch.manual_seed(0)
    expected = METRICS[name](pred, target)
    for spacing in (1, 1.0, (1.0, 1.0, 1.0)):
        torch.manual_seed(0)
        assert METRICS[name](pred, target, spacing=spacing) == expected


@pytest.mark.parametrize("name", OF_GRAPHS)
def test_units_are_arbitrary(name: str) -> None:
    """In micrometres or voxels of one size, scores are the same if distances are converted too."""
    pred, target = tubes(0), tubes(3)
    settings: dict[str, dict[str, float]] = {
        "apls": {"spacing": 2.5, "snap": 3.0, "metres_per_pixel": 0.5},
        "ccq": {"tolerance": 1.5, "spacing": 0.5},
        "junction_score": {"radius": 4.5, "merge": 1.5, "spacing": 0.5},
        "too_long_too_short": {"radius": 3.0, "spacing": 0.5},
    }
    function = getattr(metrics, name)
    assert same(function(pred, target, **settings[name]), METRICS[name](pred, target))


@pytest.mark.parametrize("name", OF_GRAPHS)
def test_skeleton_in_units_scores_as_its_mask(name: str) -> None:
    pred, target = tubes(0), tubes(3)
    graphs = [skeleton_graph(each, spacing=Z) for each in (pred, target)]
    if name == "apls":  # its graphs are in pixels
        for graph in graphs:
            for _, data in graph.nodes(data=True):
                data["pos"] = data["pos"] / Z
            for _, _, data in graph.edges(data=True):
                data["path"] = data["path"] / Z
    expected = METRICS[name](pred, target, spacing=Z)
    if name == "ccq":  # the lengths of graphs are not numbers of pixels
        expected = METRICS[name](*graphs)
    assert same(METRICS[name](*graphs, spacing=Z), expected)
    assert same(METRICS[name](graphs[0], target, spacing=Z), expected)
    assert same(METRICS[name](pred, graphs[1], spacing=Z), expected)


def arrays(graph: nx.MultiGraph) -> list[np.ndarray]:
    lines = load(graph)
    lengths = np.array([length for *_, length in graph.edges.data("length")])
    return [lines.position, lines.ends, lines.vertices, lines.first, lengths]


def test_skeleton_of_long_voxels_is_that_of_repeated_slices() -> None:
    volume = tubes(0)
    found, expected = arrays(skeleton_graph(volume, spacing=Z)), arrays(skeleton_graph(repeated(volume)))
    shift = np.array([1.5, 0.0, 0.0])  # the middle of four voxels is 1.5 after the first
    for i, (one, other) in enumerate(zip(found, expected, strict=True)):
        np.testing.assert_allclose(one + shift if i in (0, 2) else one, other, rtol=0, atol=1e-9)
    for one, other in zip(arrays(skeleton_graph(volume, spacing=1)), arrays(skeleton_graph(volume)), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("spacing", [0.5, 3.0, (0.5, 0.5, 0.5)])
def test_skeleton_of_cubes_is_scaled(spacing: Any) -> None:
    volume = tubes(0)
    found, expected = arrays(skeleton_graph(volume, spacing=spacing)), arrays(skeleton_graph(volume))
    factor = spacing if isinstance(spacing, float) else spacing[0]
    for i, (one, other) in enumerate(zip(found, expected, strict=True)):
        np.testing.assert_allclose(one, other * factor if i in (0, 2, 4) else other)


def test_skeleton_has_the_topology_of_the_object_whatever_the_voxels() -> None:
    ring = torch.zeros(7, 20, 20, dtype=torch.bool)
    ring[2:5, 4:16, 4:16] = True
    ring[2:5, 7:13, 7:13] = False
    for spacing in (1.0, Z, (1.0, 2.5, 2.4), (0.3, 0.1, 0.2)):
        graph = skeleton_graph(ring, spacing=spacing)
        assert nx.number_connected_components(graph) == 1
        assert graph.number_of_edges() - graph.number_of_nodes() + 1 == 1
        size = np.broadcast_to(spacing, 3)
        middle = np.concatenate([path for *_, path in graph.edges.data("path")])[:, 0]
        assert np.abs(middle - 3 * size[0]).max() <= size[0]


def test_spaced_distances_to_a_skeleton_are_those_of_scipy() -> None:
    """Half of the true lines are within 5 units of the predicted one, which is two voxels away along z."""
    target = torch.zeros(9, 12, 40, dtype=torch.bool)
    target[2, 6] = True
    pred = torch.zeros_like(target)
    pred[4, 6, :20] = True
    # Lines are long compared with voxels of 4 x 1 x 1, which shorten their skeletons by 2 at each end.
    for tolerance in (7.9, 8.1):
        found = metrics.ccq(pred, target, tolerance=tolerance, spacing=Z)
        distance = distance_transform_edt(~pred.numpy(), sampling=Z)[2, 6]
        assert found.completeness == pytest.approx((distance <= tolerance).mean(), abs=0.08)
        assert found.correctness == float(tolerance > 8)


def test_graph_in_units_is_drawn_on_its_voxels() -> None:
    given = nx.Graph([("a", "b")])
    nx.set_node_attributes(given, {"a": (4.0, 0.0, 0.0), "b": (12.0, 3.0, 6.0)}, "pos")
    in_voxels = nx.Graph([("a", "b")])
    nx.set_node_attributes(in_voxels, {"a": (1.0, 0.0, 0.0), "b": (3.0, 3.0, 6.0)}, "pos")
    assert np.array_equal(draw_graph(given, (5, 5, 8), spacing=Z), draw_graph(in_voxels, (5, 5, 8)))
    assert np.array_equal(draw_graph(given, (15, 5, 8), spacing=(1, 1, 1)), draw_graph(given, (15, 5, 8)))
    plane = grid(3, 4, 6.0)
    assert np.array_equal(draw_graph(plane, (9, 12), spacing=2.0), draw_graph(grid(3, 4, 3.0), (9, 12)))


def test_drawing_of_a_skeleton_lies_within_a_voxel_of_it() -> None:
    volume = tubes(0)
    graph = skeleton_graph(volume, spacing=Z)
    drawn = draw_graph(graph, tuple(volume.shape), spacing=Z)
    assert drawn.any() and not (drawn & ~volume.numpy()).any()
    distance = distance_transform_edt(~drawn, sampling=Z)
    for path in (path for *_, path in graph.edges.data("path")):
        nearest = np.rint(path / Z).astype(int)
        assert distance[tuple(nearest.T)].max() <= 4.0


def test_distance_map_of_long_voxels_is_that_of_repeated_slices_within_a_voxel() -> None:
    volume = tubes(0)[None, None]
    long = gpuph.truncated_distance_map(volume, 15.0, spacing=Z)
    fine = gpuph.truncated_distance_map(repeated(volume), 15.0)
    assert (long.repeat_interleave(4, 2) - fine).abs().max() <= 4.0
    np.testing.assert_allclose(
        long[0, 0], np.minimum(distance_transform_edt(~volume[0, 0].numpy(), sampling=Z), 15.0), rtol=1e-6
    )


def test_windows_of_the_betti_error_are_in_units() -> None:
    """A window of 8 units has 2 slices of 4 units each."""
    pred = torch.zeros(1, 1, 8, 8, 8, dtype=torch.bool)
    target = pred.clone()
    target[..., 0, :] = target[..., 7, :] = True  # two planes
    settings: dict[str, Any] = {"dim": 0, "border": False, "trials": 40, "spacing": Z}
    assert metrics.betti_error(pred, target, window=8.0, **settings) == 2.0
    assert metrics.betti_error(pred, target, window=7.0, **settings) == 1.0  # never both
    target = target.transpose(-3, -2)  # along z, they are 28 units apart
    assert metrics.betti_error(pred, target, window=32, **settings) == 2.0
    assert metrics.betti_error(pred, target, window=27.5, **settings) == 1.0


def test_classes_take_a_spacing() -> None:
    try:
        from gpuph.metrics import modules
    except ImportError as error:
        pytest.skip(str(error))
    pred, target = tubes(0), tubes(3)
    metric = modules.CCQMetric(tolerance=3.0, spacing=Z)
    metric.update(pred, target)
    assert metric.compute()["quality"] == pytest.approx(METRICS["ccq"](pred, target, spacing=Z).quality)
    for other, name in (
        (modules.JunctionScoreMetric(9.0, 3.0, spacing=Z), "junction_score"),
        (modules.TooLongTooShortMetric(6.0, spacing=Z), "too_long_too_short"),
        (modules.APLSMetric(5.0, 6.0, Z), "apls"),
    ):
        assert same([float(x) for x in other(pred, target).values()], METRICS[name](pred, target, spacing=Z))


@pytest.mark.parametrize("name", METRICS)
def test_spacing_that_does_not_fit_is_named(name: str) -> None:
    argument = "metres_per_pixel" if name == "apls" else "spacing"
    with pytest.raises(ValueError, match=f"{argument} must be"):
        METRICS[name](tubes(0), tubes(3), spacing=(1.0, -1.0, 1.0))
    with pytest.raises(ValueError, match="must be a number, or have one for each of 3 axes"):
        METRICS[name](tubes(0), tubes(3), spacing=(1.0, 2.0))
