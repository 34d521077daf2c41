"""Regions of interest of the metrics: masks and graphs count inside only."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from torch import Tensor

from gpuph import metrics
from gpuph.metrics.clip_graph import clip_graph
from gpuph.metrics.road_graph import load
from support.graphs import graph, grid, oddities, ring

METRICS: dict[str, Callable[..., Any]] = {
    "apls": lambda pred, target, **region: metrics.apls(pred, target, spacing=7.0, **region),
    "betti_error": lambda pred, target, **region: metrics.betti_error(
        pred, target, window=12, generator=torch.Generator().manual_seed(0), **region
    ),
    "betti_matching_error": lambda pred, target, **region: metrics.betti_matching_error(
        pred, target, window=12, generator=torch.Generator().manual_seed(0), **region
    ),
    "ccq": lambda pred, target, **region: metrics.ccq(pred, target, tolerance=1.5, **region),
    "junction_score": lambda pred, target, **region: metrics.junction_score(pred, target, 8.0, 2.0, **region),
    "too_long_too_short": lambda pred, target, **region: metrics.too_long_too_short(pred, target, 4.0, **region),
}
OF_GRAPHS = sorted(METRICS.keys() - {"betti_error", "betti_matching_error"})
SHAPES = [(2, 1, 40, 48), (2, 1, 9, 20, 24)]


def roads(shape: tuple[int, ...], seed: int) -> Tensor:
    """Return masks of a few roads along the axes, some of which are broken."""
    generator = torch.Generator().manual_seed(seed)
    masks = torch.zeros(shape, dtype=torch.bool)
    for image in masks[:, 0]:
        for axis in range(image.dim()):
            for place in (3, -4):
                line = image.movedim(axis, 0)
                line[(slice(None), *[place] * (image.dim() - 1))] = True
        plane = image if image.dim() == 2 else image[3]
        plane[:, shape[-1] // 2 + 4 * seed] = True  # prediction and truth have different roads there
    return masks & (torch.rand(shape, generator=generator) < 0.97)


def region(shape: tuple[int, ...]) -> Tensor:
    """Leave out a corner, and a block on a road."""
    mask = torch.ones(shape, dtype=torch.bool)
    mask[..., : shape[-2] // 3, : shape[-1] // 2] = False
    mask[1, ..., -5:, 12:15] = False
    return mask


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", METRICS)
def test_metric_does_not_depend_on_the_prediction_outside(name: str, shape: tuple[int, ...]) -> None:
    pred, target, mask = roads(shape, 0), roads(shape, 1), region(shape)
    expected = METRICS[name](pred, target, mask=mask)
    for other in (pred | ~mask, pred & mask, pred ^ (~mask & (torch.rand(shape) < 0.5))):
        assert METRICS[name](other, target, mask=mask) == expected
        assert METRICS[name](pred, torch.where(mask, target, other), mask=mask) == expected
    assert METRICS[name](pred & mask, target & mask) == expected
    assert METRICS[name](pred, target) != expected


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", METRICS)
def test_region_of_everything_changes_nothing_and_an_empty_one_leaves_nothing(
    name: str, shape: tuple[int, ...]
) -> None:
    pred, target = roads(shape, 0), roads(shape, 1)
    everything = torch.ones(shape, dtype=torch.bool)
    assert METRICS[name](pred, target, mask=everything) == METRICS[name](pred, target)
    assert METRICS[name](pred, target, mask=everything[0, 0]) == METRICS[name](pred, target)
    assert METRICS[name](pred, target, mask=~everything) == METRICS[name](~everything, ~everything)


@pytest.mark.parametrize("name", METRICS)
def test_region_of_one_image_is_that_of_each(name: str) -> None:
    shape = SHAPES[0]
    pred, target, mask = roads(shape, 0), roads(shape, 1), region(shape)[:1]
    expected = METRICS[name](pred, target, mask=mask.expand(shape))
    for one in (mask, mask[0, 0]):
        assert METRICS[name](pred, target, mask=one) == expected
    assert METRICS[name](pred[0, 0], target[:1][0, 0], mask=mask) == METRICS[name](pred[:1], target[:1], mask=mask)


def everywhere(size: int = 301, axes: int = 2) -> np.ndarray:
    return np.ones((size,) * axes, bool)


def lengths(given: nx.Graph) -> float:
    lines = load(given)
    steps = np.linalg.norm(np.diff(lines.vertices, axis=0), axis=1)
    steps[lines.first[1:-1] - 1] = 0.0
    return float(steps.sum())


@pytest.mark.parametrize("make", [grid, oddities, ring])
def test_graph_inside_is_unchanged_up_to_the_names_of_its_edges(make: Callable[[], nx.Graph]) -> None:
    given = nx.MultiGraph(make())
    nx.set_node_attributes(given, {n: np.add(pos, 200.0) for n, pos in given.nodes(data="pos")}, "pos")
    for _, _, data in given.edges(data=True):
        if "path" in data:
            data["path"] = np.add(data["path"], 200.0)
    found, expected = load(clip_graph(given, everywhere(900))), load(given)
    assert found.nodes == expected.nodes
    for field in ("position", "ends", "vertices", "first"):
        assert np.array_equal(getattr(found, field), getattr(expected, field)), field


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("axes", [2, 3])
def test_lengths_inside_and_outside_add_up(axes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    given = nx.gnm_random_graph(12, 25, seed=seed)
    nx.set_node_attributes(given, {n: rng.random(axes) * 18 for n in given}, "pos")
    mask = rng.random((19,) * axes) < 0.5
    parts = [clip_graph(given, one) for one in (mask, ~mask)]
    assert sum(map(lengths, parts)) == pytest.approx(lengths(given), rel=1e-12)
    assert min(map(lengths, parts)) > 0.2 * lengths(given)
    # A dense sample of each edge says the same.
    share = np.linspace(0, 1, 20001)[:, None]
    inside = 0.0
    for u, v in given.edges:
        a, b = (given.nodes[n]["pos"] for n in (u, v))
        pixels = np.floor(a + share * (b - a) + 0.5).astype(int)
        inside += np.linalg.norm(b - a) * mask[tuple(pixels.T)].mean()
    assert lengths(parts[0]) == pytest.approx(inside, rel=1e-3)


def test_edge_is_cut_at_the_border_of_a_pixel() -> None:
    line = graph(["ab"], a=(2.0, 1.0), b=(2.0, 8.0))
    mask = np.zeros((5, 10), bool)
    mask[2, 3:6] = mask[2, 8] = True
    found = load(clip_graph(line, mask))
    assert sorted(found.vertices.tolist()) == [[2.0, 2.5], [2.0, 5.5], [2.0, 7.5], [2.0, 8.0]]
    assert "b" in found.nodes and "a" not in found.nodes and len(found.nodes) == 4


def test_line_through_corners_of_pixels_stays_whole() -> None:
    line = graph(["ab"], a=(0.0, 0.0), b=(9.0, 9.0))
    found = load(clip_graph(line, np.eye(10, dtype=bool)))
    assert found.vertices.tolist() == [[0.0, 0.0], [9.0, 9.0]]


def test_graph_outside_of_the_image_is_outside_of_the_region() -> None:
    far = graph(["ab"], a=(-1e6, 3.0), b=(1e6, 3.0))
    assert load(clip_graph(far, everywhere(10))).vertices == pytest.approx(np.array([[-0.5, 3.0], [9.5, 3.0]]))
    huge = graph(["ab"], a=(-1e308, 0.0), b=(1e308, 0.0))
    assert len(clip_graph(huge, everywhere(10)).nodes) <= 2
    assert len(clip_graph(graph([], a=(50.0, 50.0)), everywhere(10))) == 0
    assert len(clip_graph(nx.Graph(), everywhere(10))) == 0


def test_bent_path_keeps_its_bends_inside() -> None:
    bent = graph([("a", "b", [(1, 1), (1, 6), (6, 6)])], a=(1, 1), b=(6, 6))
    mask = everywhere(10)
    mask[1, 1:3] = mask[6] = False
    found = load(clip_graph(bent, mask))
    assert found.vertices.tolist() == [[1.0, 2.5], [1.0, 6.0], [5.5, 6.0]]


@pytest.mark.parametrize("name", OF_GRAPHS)
def test_graphs_are_clipped(name: str) -> None:
    target, mask = grid(3, 4, 20.0), torch.ones(41, 61, dtype=torch.bool)
    mask[:, :25] = False
    pred = target.copy()
    pred.remove_edge((1, 0), (1, 1))
    assert METRICS[name](pred, target) != METRICS[name](target, target)
    assert METRICS[name](pred, target, mask=mask) == METRICS[name](target, target)
    pred.remove_edge((1, 2), (1, 3))
    assert METRICS[name](pred, target, mask=mask) != METRICS[name](target, target)
    for inputs in ((pred, target), (target, pred)):
        clipped = [nx.MultiGraph(clip_graph(each, mask.numpy())) for each in inputs]
        assert METRICS[name](*inputs, mask=mask) == METRICS[name](*clipped)


@pytest.mark.parametrize("name", METRICS)
def test_graph_and_mask_share_a_region(name: str) -> None:
    drawn = torch.from_numpy(metrics.draw_graph(grid(3, 4, 20.0), (41, 61)))
    mask = torch.ones(41, 61, dtype=torch.bool)
    mask[:, :25] = False
    broken = grid(3, 4, 20.0)
    broken.remove_edge((1, 0), (1, 1))
    for inputs in ((broken, drawn), (drawn, broken)):
        found = METRICS[name](*inputs, mask=mask)
        assert found == METRICS[name](*(grid(3, 4, 20.0) if each is broken else each for each in inputs), mask=mask)
        assert METRICS[name](*inputs) != METRICS[name](*inputs, mask=mask)


def test_classes_take_a_region() -> None:
    try:
        from gpuph.metrics import modules
    except ImportError as error:
        pytest.skip(str(error))
    shape = SHAPES[0]
    pred, target, mask = roads(shape, 0), roads(shape, 1), region(shape)
    metric = modules.CCQMetric(tolerance=1.5)
    metric.update(pred, target, mask)
    assert metric.compute()["quality"] == pytest.approx(METRICS["ccq"](pred, target, mask=mask).quality)
    values = metric(pred, target, mask=mask)
    assert values["correctness"] == pytest.approx(METRICS["ccq"](pred, target, mask=mask).correctness)
    betti = modules.BettiErrorMetric(window=12)
    betti.update(pred, target, mask)
    assert math.isclose(betti.compute(), METRICS["betti_error"](pred, target, mask=mask), rel_tol=1e-6)


@pytest.mark.parametrize("name", METRICS)
def test_region_may_be_an_array_of_booleans(name: str) -> None:
    pred, target, mask = roads(SHAPES[0], 0), roads(SHAPES[0], 1), region(SHAPES[0])
    assert METRICS[name](pred, target, mask=mask.numpy()) == METRICS[name](pred, target, mask=mask)
    if name in OF_GRAPHS:
        one = mask[0, 0]
        assert METRICS[name](grid(), grid(), mask=one.tolist()) == METRICS[name](grid(), grid(), mask=one)


@pytest.mark.parametrize("as_other", [torch.Tensor.numpy, torch.Tensor.tolist], ids=["array", "list"])
def test_betti_class_counts_and_seeds_arrays_as_it_does_tensors(as_other: Callable[[torch.Tensor], object]) -> None:
    try:
        from gpuph.metrics.modules import BettiErrorMetric
    except ImportError as error:
        pytest.skip(str(error))
    of_tensors, of_arrays = BettiErrorMetric(window=12, trials=2), BettiErrorMetric(window=12, trials=2)
    pred, target = roads(SHAPES[0], 0), roads(SHAPES[0], 1)  # two images each
    for of, to in ((of_tensors, torch.clone), (of_arrays, as_other)):
        of.update(to(pred), to(target))
        of.update(to(pred[0, 0]), to(pred[0, 0]))
    assert of_arrays.images == 3
    assert of_tensors.compute() > 0
    assert torch.equal(of_arrays.compute(), of_tensors.compute())


@pytest.mark.parametrize("name", METRICS)
def test_region_that_does_not_fit_is_named(name: str) -> None:
    shape = SHAPES[0]
    pred, target, mask = roads(shape, 0), roads(shape, 1), region(shape)
    with pytest.raises(TypeError, match=r"mask must hold booleans, .* got torch\.float32"):
        METRICS[name](pred, target, mask=mask.float())
    with pytest.raises(TypeError, match=r"mask must hold booleans, .* got torch\.uint8"):
        METRICS[name](pred, target, mask=mask.byte())
    with pytest.raises(ValueError, match=r"mask must have the shape \(40, 48\) of one image, or \(2, 1, 40, 48\) of"):
        METRICS[name](pred, target, mask=mask[..., 1:])
    with pytest.raises(ValueError, match=r"mask must have the shape .* got \(3, 1, 40, 48\)"):
        METRICS[name](pred, target, mask=mask[:1].expand(3, 1, 40, 48))
    with pytest.raises(ValueError, match="mask must be on the device of pred and target, cpu, got meta"):
        METRICS[name](pred, target, mask=mask.to("meta"))
    if name in OF_GRAPHS:
        with pytest.raises(ValueError, match=r"mask must have the 2 axes of the graph, got the shape \(5, 40, 48\)"):
            METRICS[name](grid(), grid(), mask=mask[0].expand(5, 40, 48))
        with pytest.raises(ValueError, match="mask must hold one mask if an input is a graph, got 2"):
            METRICS[name](grid(), grid(), mask=mask)
