"""The skeleton stage: separatrices, against flows and trees in networkx, and surfaces."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import networkx as nx
import numpy as np
import pytest
import torch
from gpuph.kernels import cells
from gpuph.kernels.cpu import trace, trace3
from scipy import ndimage
from torch.library import opcheck

import gpuph
import inputs
import test_trace
import volume_stages
from gpuph import ops
from test_reduce import by_columns

THRESHOLDS = (0.0, 0.02, 0.1, 0.5)
SHAPES = ((9, 13), (1, 11), (4, 3, 5))


def skeleton(image: np.ndarray, threshold: float, *manifolds: int) -> np.ndarray:
    return ops.skeleton(torch.from_numpy(image)[None], threshold, manifolds or (1,))[0].numpy()


class Flow:
    """The gradient of an image, vertex by vertex: where each goes down to, and the critical edges in order."""

    def __init__(self, image: np.ndarray) -> None:
        self.inside = np.full(np.array(image.shape) + 2, -1)
        self.inside[(slice(1, -1),) * image.ndim] = np.arange(image.size).reshape(image.shape)
        position = self.inside.ravel()
        if image.ndim == 2:
            grid = test_trace.Grid(image, False)
            pairs = grid.edges.T.tolist()
            steps = trace.steps_of(grid.width)[0]
            self.down = {p: steps[grid.star[i]] for i, p in enumerate(position) if p >= 0}
        else:
            volume = volume_stages.Grid(image, False)
            offsets = trace3.offsets_of(volume.width, volume.area)
            owners, directions = volume.edges.tolist(), volume.edge_directions.tolist()
            pairs = [(v, v + offsets[d, 0]) for v, d in zip(owners, directions, strict=True)]
            steps = trace3.steps_of(volume.width, volume.area)[0]
            self.down = {p: steps[trace3.edges_hash(volume.star[i])] for i, p in enumerate(position) if p >= 0}
        place = {p: i for i, p in enumerate(position) if p >= 0}
        self.down = {p: position[place[p] + step] for p, step in self.down.items()}
        rank = np.argsort(np.argsort(image.ravel(), kind="stable"))
        self.edges = sorted(((position[a], position[b]) for a, b in pairs), key=lambda edge: rank[edge[0]])
        self.rank = rank

    def way(self, p: int) -> Iterator[int]:
        """The pixels from one down to a minimum."""
        yield p
        while self.down[p] != p:
            p = self.down[p]
            yield p

    def end(self, p: int) -> int:
        return [*self.way(p)][-1]


def restated(image: np.ndarray, threshold: float) -> np.ndarray | None:
    """Ways from the saddles that last down, and on through the trees of cancelled ones to minima that last.

    None where pixels with several saddles leave it open which of them last.
    """
    flow, flat = Flow(image), image.ravel().astype(float)
    loops = gpuph.persistence(torch.from_numpy(image)[None], (1,), "V")[1]
    # Of a pixel with several edges that close loops, the diagrams do not tell which loop is whose.
    lasts = [int(b) for b, d in zip(loops.birth_index[0], loops.death[0], strict=True) if d - flat[b] > threshold]
    closing = []
    component = nx.utils.UnionFind(range(flat.size))
    eldest = {p: p for p in range(flat.size)}
    forest, taken, lasting = nx.Graph(), set(), []
    for a, b in flow.edges:
        u, v = (component[flow.end(p)] for p in (a, b))
        if u == v:
            closing.append((a, b))
            continue
        elder, younger = sorted((eldest[u], eldest[v]), key=lambda p: flow.rank[p])
        if flat[a] - flat[younger] > threshold:
            lasting.append((a, b))
        else:
            forest.add_edge(flow.end(a), flow.end(b), ends=(a, b))
            taken.add(younger)
        component.union(u, v)
        eldest[component[u]] = elder
    by_owner = {a: [edge for edge in closing if edge[0] == a] for a, _ in closing}
    if any(0 < lasts.count(a) < len(edges) for a, edges in by_owner.items()):
        return None
    lasting += [edge for a, edges in by_owner.items() if a in lasts for edge in edges]
    mask = np.zeros(image.size, bool)
    for ends in lasting:
        for p in ends:
            mask[[*flow.way(p)]] = True
            if (minimum := flow.end(p)) in forest:
                (home,) = nx.node_connected_component(forest, minimum) - taken
                for edge in itertools.pairwise(nx.shortest_path(forest, minimum, home)):
                    for q in forest.edges[edge]["ends"]:
                        mask[[*flow.way(q)]] = True
    return mask.reshape(image.shape)


@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("kind", ["noise", "smooth", "ramp"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_curves_are_those_of_flows_and_trees(shape: tuple[int, ...], kind: str, threshold: float) -> None:
    compared = 0
    for seed in range(8):
        image = inputs.image(kind, shape, seed, np.float64)
        expected = restated(image, threshold)
        if expected is not None:
            assert np.array_equal(skeleton(image, threshold), expected)
            compared += 1
    assert compared > 0


def restated_surfaces(volume: np.ndarray, threshold: float) -> np.ndarray:
    """The corners of all squares below the critical ones that last, cell by cell."""
    grid = volume_stages.Grid(volume, False)
    killed, opened = grid.merged(False), grid.merged(True)
    edge_of = {s: e for e, s in by_columns(grid, killed, opened).items()}
    value = np.pad(volume, 1, constant_values=np.inf).ravel().astype(float)
    edges = [*zip(grid.edges.tolist(), grid.edge_directions.tolist(), strict=True)]
    squares = [*zip(grid.squares.tolist(), grid.square_directions.tolist(), strict=True)]
    step = (1, grid.width, grid.area)
    places = [sum(d * s for d, s in zip(direction, step, strict=True)) for direction in cells.DIRECTIONS3]
    order = [(int(k), i) for i, k in enumerate(grid.key)]

    def corners(v: int, direction: int) -> list[int]:
        axes = [d * s for d, s in zip(cells.DIRECTIONS3[direction], step, strict=True) if d]
        return [v, v + axes[0], v + axes[1], v + sum(axes)]

    cancelled = {}  # critical edge to square
    start = []
    for s, square in enumerate(squares):
        length = value[grid.maxima[opened[s]]] - value[square[0]] if opened[s] >= 0 else None
        if length is None:
            length = value[square[0]] - value[edges[edge_of[s]][0]]
            if length <= threshold:
                cancelled[edges[edge_of[s]]] = square
        if length > threshold:
            start.append(square)
    todo, seen = [*start], set(start)
    while todo:
        square = todo.pop()
        for a, b in itertools.combinations(corners(*square), 2):
            if b - a not in places or abs(b - a) not in step:
                continue  # a diagonal
            owner, other = max(a, b, key=order.__getitem__), min(a, b, key=order.__getitem__)
            edge = owner, places.index(other - owner)
            shift = trace3._replay(int(grid.star[owner])).get(edge[1], 0)
            below = cancelled.get(edge)
            if shift and edge[1] != 13 + shift:  # with a square, not with the vertex
                below = owner, edge[1] + shift
            if below is not None and below not in seen:
                seen.add(below)
                todo.append(below)
    mask = np.zeros(grid.shape, bool)
    mask.ravel()[[corner for square in seen for corner in corners(*square)]] = True
    return mask[1:-1, 1:-1, 1:-1]


@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("kind", ["noise", "smooth", "ramp", "integers"])
@pytest.mark.parametrize("shape", [(4, 5, 7), (1, 4, 5)], ids=str)
def test_surfaces_are_those_of_squares_one_by_one(shape: tuple[int, ...], kind: str, threshold: float) -> None:
    for seed in range(3):
        image = inputs.image(kind, shape, seed, np.float64)
        assert np.array_equal(skeleton(image, threshold, 2), restated_surfaces(image, threshold))


@pytest.mark.parametrize("manifolds", [(1,), (2,), (1, 2)], ids=str)
@pytest.mark.parametrize("kind", inputs.KINDS)
def test_less_is_left_of_a_skeleton_the_more_is_cancelled(kind: str, manifolds: tuple[int, ...]) -> None:
    shapes = ((40, 31), (9, 14, 11)) if manifolds == (1,) else ((9, 14, 11),)
    for shape in shapes:
        masks = [skeleton(inputs.image(kind, shape), threshold, *manifolds) for threshold in (*THRESHOLDS, np.inf)]
        assert not masks[-1].any()
        for more, less in itertools.pairwise(masks):
            assert (more | ~less).all()


def test_both_manifolds_are_one_and_the_other() -> None:
    image = inputs.image("smooth", (9, 14, 11))
    for threshold in THRESHOLDS:
        one, two, both = (skeleton(image, threshold, *manifolds) for manifolds in ((1,), (2,), (1, 2)))
        assert np.array_equal(both, one | two)


@pytest.mark.parametrize("shape", [(3, 9, 13), (2, 5, 6, 7)], ids=str)
def test_scale_dtype_and_threads_do_not_matter(shape: tuple[int, ...]) -> None:
    x = torch.from_numpy(inputs.image("noise", shape))
    manifolds = (1, 2) if len(shape) == 4 else (1,)
    mask = ops.skeleton(x, 1.0, manifolds)
    assert mask.any() and not mask.all()
    assert torch.equal(ops.skeleton(4 * x, 4.0, manifolds), mask)
    assert torch.equal(ops.skeleton(x.double(), 1.0, manifolds), mask)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert torch.equal(ops.skeleton(x, 1.0, manifolds), mask)
    finally:
        torch.set_num_threads(before)


def ball(size: int) -> np.ndarray:
    return np.sqrt(((np.indices((size,) * 3) - (size - 1) / 2) ** 2).sum(axis=0))


def test_a_noisy_sphere_with_a_weak_spot_is_one_closed_surface() -> None:
    noise = np.random.default_rng(0).random((21, 21, 21))
    weak = np.exp(-((np.indices((21, 21, 21)) - np.array([10, 10, 17])[:, None, None, None]) ** 2).sum(axis=0) / 6)
    x = abs(ball(21) - 7) + 2 * weak + 0.2 * noise
    surface = skeleton(x, 1.5, 2)
    outside = ndimage.label(~surface)[0]
    assert outside[10, 10, 10] != outside[0, 0, 0] and not surface[10, 10, 10]
    assert abs(ball(21)[surface] - 7).max() < 2.5
    assert (x[surface] > 1.5).any()  # where it is weak as well


def test_a_tube_in_a_volume_has_a_curve() -> None:
    size = 24
    tube = inputs.thickened(inputs.ring((11.5, 11.5, 11.5), 7, 0), size, 0.8)
    x = ndimage.distance_transform_edt(~tube) + 0.05 * np.random.default_rng(0).random((size,) * 3)
    x[10:14, 10:14, 17:21] += 1.5  # a weak spot
    curve = skeleton(x, 2.0)
    assert 30 < curve.sum() < 90 and ndimage.distance_transform_edt(~tube)[curve].max() <= 2.0
    assert ndimage.label(curve)[1] == 1 and curve[10:14, 10:14, 17:21].any()


def test_marked_pixels_of_curves_are_connected_along_axes() -> None:
    """Each way and each saddle's edge goes by edges of the grid, and all lead to minima that last."""
    image = inputs.image("smooth", (60, 70), dtype=np.float64)
    for threshold in (0.01, 0.05):
        mask = skeleton(image, threshold)
        pairs = gpuph.persistence(torch.from_numpy(image)[None], (0,), "V", threshold)[0]
        minima = pairs.birth_index[0].numpy()
        for component in range(1, ndimage.label(mask)[1] + 1):
            pixels = np.flatnonzero(ndimage.label(mask)[0].ravel() == component)
            assert np.isin(minima, pixels).any()


def test_windows_that_hold_a_nan_or_nothing_have_no_skeleton() -> None:
    x = torch.randn(3, 8, 9, generator=torch.Generator().manual_seed(0))
    clean = ops.skeleton(x, 0.0, (1,))
    x[1, 2, 3] = float("nan")
    mask = ops.skeleton(x, 0.0, (1,))
    assert mask[[0, 2]].equal(clean[[0, 2]]) and not mask[1].any()
    assert ops.skeleton(x[:0], 0.0, (1,)).shape == (0, 8, 9)
    for shape in ((1, 1), (5, 7), (1, 1, 1), (3, 4, 5)):
        assert not ops.skeleton(torch.full((1, *shape), 2.5), 0.0, (1, 2)).any()
    with_nan = torch.randn(2, 4, 5, 6)
    with_nan[0, 1, 1, 1] = float("nan")
    assert ops.skeleton(with_nan, 0.0, (1, 2)).flatten(1).any(dim=1).tolist() == [False, True]


def test_operator_passes_opcheck() -> None:
    checks = ("test_schema", "test_faketensor", "test_autograd_registration")
    for shape, manifolds in (((2, 7, 8), [1]), ((2, 4, 5, 6), [1, 2])):
        opcheck(torch.ops.gpuph.skeleton, (torch.randn(shape), 0.1, manifolds), test_utils=checks)
