"""The connectivity loss: the pairs that edges decide, against paths in networkx; gaps and false roads by hand."""

from __future__ import annotations

import itertools
import warnings

import networkx as nx
import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor
from torch.library import opcheck

import gpuph
from gpuph import ops
from gpuph.losses import ConnectivityLoss

DOUBLE = {"dtype": torch.float64}


def road(*gaps: slice, size: int = 32, row: int = 16) -> Tensor:
    mask = torch.zeros(1, 1, size, size, dtype=torch.bool)
    mask[..., row, :] = True
    for gap in gaps:
        mask[..., row, gap] = False
    return gpuph.truncated_distance_map(mask, 20.0)


def edges_of(window: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """Axis and both ends of each edge of a grid, in the order of the costs."""
    pixels = np.arange(np.prod(window)).reshape(window)
    return [
        (axis, int(p), int(pixels[tuple(np.add(index, np.eye(len(window), dtype=int)[axis]))]))
        for axis in range(len(window))
        for index, p in np.ndenumerate(pixels)
        if index[axis] + 1 < window[axis]
    ]


def restated_pairs(cost: np.ndarray, region: np.ndarray, same: bool) -> np.ndarray:
    """Pair by pair: the least edge on the path in the maximum spanning tree. Of equal edges, the first is greater."""
    counts = np.zeros_like(cost, dtype=np.int64)
    flat, labels = cost.reshape(len(cost), -1), region.ravel()
    edges = edges_of(region.shape)
    graph = nx.Graph()
    graph.add_nodes_from(range(labels.size))
    ranked = sorted(range(len(edges)), key=lambda i: -flat[edges[i][0], edges[i][1]])  # stable
    for rank, i in enumerate(ranked):
        graph.add_edge(*edges[i][1:], rank=rank, edge=edges[i])
    tree = nx.minimum_spanning_tree(graph, weight="rank")
    for p, q in itertools.combinations(range(labels.size), 2):
        if labels[p] and labels[q] and (labels[p] == labels[q]) == same:
            path = nx.shortest_path(tree, p, q)
            axis, first, _ = max((tree.edges[e] for e in itertools.pairwise(path)), key=lambda e: e["rank"])["edge"]
            counts.reshape(len(cost), -1)[axis, first] += 1
    return counts


def restated_loss(y: Tensor, true: Tensor, settings: dict[str, float]) -> Tensor:
    """The loss of one window, edge by edge."""
    far = settings["truncation"]
    cross = ndimage.generate_binary_structure(y.dim(), 1)
    mask = ndimage.binary_dilation(true.numpy() == 0, cross, iterations=settings["dilation"])
    region = ndimage.label(~mask, np.ones((3,) * y.dim()))[0]
    total = y.new_zeros(())
    for same, coefficient in ((False, settings["disconnections"]), (True, settings["connections"])):
        cost, true_cost = np.zeros((2, y.dim(), y.numel()))
        for axis, p, q in edges_of(y.shape):
            cost[axis, p] = float(y.detach().flatten()[[p, q]].sum())
            true_cost[axis, p] = float(true.flatten()[[p, q]].sum())
            if not same and true_cost[axis, p] > far:
                cost[axis, p] = far
            if same and true_cost[axis, p] < far / 2:
                cost[axis, p] = 0.0
        pairs = restated_pairs(cost.reshape(-1, *y.shape), region, same).reshape(y.dim(), -1)
        for axis, p, q in edges_of(y.shape):
            share = coefficient * pairs[axis, p] / max(pairs.sum(), 1)
            for value in y.flatten()[[p, q]]:
                if not same and true_cost[axis, p] < far / 2:
                    total = total + share * value**2
                if same and true_cost[axis, p] >= far:
                    total = total + share * (far - value) ** 2
    return total


@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("window", [(1, 1), (1, 6), (5, 1), (5, 6), (3, 3, 4)], ids=str)
def test_pairs_are_those_of_paths_in_the_spanning_tree(window: tuple[int, ...], ties: bool, same: bool) -> None:
    rng = np.random.default_rng(len(window))
    cost = rng.standard_normal((3, len(window), *window))
    if ties:
        cost = np.round(cost) * rng.choice([-1.0, 1.0], cost.shape)  # zeros of both signs
    for regions in (2, 5, 100):
        region = rng.integers(0, regions, (3, *window)).astype(np.int32)
        for dtype in (torch.float32, torch.float64):
            costs = torch.from_numpy(cost).to(dtype)
            counts = ops.maximin(costs, torch.from_numpy(region), same=same).numpy()
            for i in range(3):
                assert np.array_equal(counts[i], restated_pairs(costs[i].numpy(), region[i], same))


def test_every_pair_is_decided_once() -> None:
    rng = np.random.default_rng(0)
    cost = torch.from_numpy(rng.standard_normal((2, 2, 40, 50)))
    region = torch.from_numpy(rng.integers(0, 900, (2, 40, 50)).astype(np.int32))
    apart, within = (ops.maximin(cost, region, same=same).sum(dim=(1, 2, 3)) for same in (False, True))
    for i in range(2):
        _, counts = np.unique(region[i][region[i] > 0].numpy(), return_counts=True)
        assert within[i] == (counts * (counts - 1) // 2).sum()
        assert apart[i] == counts.sum() * (counts.sum() - 1) // 2 - within[i]


def test_large_windows_take_no_longer_a_pixel() -> None:
    """A region for each other pixel: counts that are carried over from large to small would never end."""
    size = 400
    cost = torch.rand(1, 2, size, size, generator=torch.Generator().manual_seed(0))
    region = torch.arange(1, size * size + 1, dtype=torch.int32).view(1, size, size)
    pixels = size * size
    assert ops.maximin(cost, region, same=False).sum() == pixels * (pixels - 1) // 2
    assert not ops.maximin(cost, region, same=True).any()


def test_threads_do_not_matter() -> None:
    cost, region = torch.rand(7, 2, 9, 8), torch.randint(0, 4, (7, 9, 8), dtype=torch.int32)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 3):
            torch.set_num_threads(threads)
            results.append(ops.maximin(cost, region, same=True))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*results)


def test_regions_are_what_a_thick_mask_leaves() -> None:
    mask = torch.zeros(2, 9, 9, dtype=torch.bool)
    mask[0, 4] = True
    region = ops.regions(mask, 1)
    assert (region[0, 3:6] == 0).all() and region[0, :3].unique().numel() == region[0, 6:].unique().numel() == 1
    assert len({int(region[0, 0, 0]), int(region[0, 8, 0]), int(region[1, 0, 0])}) == 3
    diagonal = torch.eye(5, dtype=torch.bool).flip(0)[None]
    assert ops.regions(~diagonal, 0).unique().tolist() == [0, 1]  # one region, though pixels touch at corners only
    assert ops.regions(diagonal, 0).max() == 1 and ops.regions(diagonal, 1).max() == 2
    assert ops.regions(mask[:0], 1).shape == (0, 9, 9)


def test_operators_pass_opcheck() -> None:
    checks = ("test_schema", "test_faketensor", "test_autograd_registration")
    opcheck(torch.ops.gpuph.regions, (torch.rand(2, 5, 6) < 0.2, 1), test_utils=checks)
    region = torch.randint(0, 3, (2, 4, 5, 6), dtype=torch.int32)
    opcheck(torch.ops.gpuph.maximin, (torch.rand(2, 3, 4, 5, 6), region, True), test_utils=checks)


@pytest.mark.parametrize("shape", [(7, 8), (4, 4, 5)], ids=str)
@pytest.mark.parametrize("seed", range(2))
def test_loss_and_gradient_are_those_of_edges_one_by_one(shape: tuple[int, ...], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.zeros(1, 1, *shape, dtype=torch.bool)
    mask[..., 3 if len(shape) == 2 else 2, :] = True
    true = gpuph.truncated_distance_map(mask, 3.0).double()
    pred = (true + torch.randn(true.shape, generator=generator, **DOUBLE)).clamp(0, 3)
    settings = {"truncation": 3.0, "dilation": 1, "disconnections": 2.0, "connections": 0.5}
    ours, slow = pred.clone().requires_grad_(), pred.clone().requires_grad_()
    loss, expected = ConnectivityLoss(**settings)(ours, true), restated_loss(slow[0, 0], true[0, 0], settings)
    torch.testing.assert_close(loss, expected)
    for a, b in zip(torch.autograd.grad(loss, ours), torch.autograd.grad(expected, slow), strict=True):
        assert b.count_nonzero() > 2
        torch.testing.assert_close(a, b)


def test_a_gap_is_drawn_to_zero_where_it_is_widest() -> None:
    pred = road(slice(10, 20)).requires_grad_()
    loss = ConnectivityLoss(connections=0.0)(pred, road())
    assert loss == 51.0  # one edge decides all pairs, with its ends at distances of 5 and the root of 26
    loss.backward()
    assert pred.grad is not None
    rows, columns = pred.grad[0, 0].nonzero(as_tuple=True)
    assert set(rows.tolist()) <= {15, 16, 17} and 16 in rows and set(columns.tolist()) <= {14, 15}
    assert (pred.grad >= 0).all()  # descent makes it smaller


def test_a_false_road_is_drawn_away_and_the_true_one_is_not() -> None:
    pred = torch.minimum(road(), road(row=3)).requires_grad_()
    true = road()
    ConnectivityLoss(disconnections=0.0)(pred, true).backward()
    assert pred.grad is not None
    assert (pred.grad <= 0).all() and pred.grad[0, 0, 3].count_nonzero() > 0
    assert not pred.grad[0, 0, 12:21].any()


def test_a_false_road_far_from_a_gap_does_not_hide_it() -> None:
    true, gap = road(size=48, row=26), road(slice(10, 20), size=48, row=26)
    loss_fn = ConnectivityLoss(window=48, connections=0.0)
    assert loss_fn(torch.minimum(gap, road(size=48, row=3)), true) == loss_fn(gap, true) == 51.0


def test_a_wider_gap_costs_more_and_nothing_is_apart_without_a_road() -> None:
    loss_fn = ConnectivityLoss(connections=0.0)
    losses = [float(loss_fn(road(slice(10, 10 + gap)), road())) for gap in (0, 2, 4, 8)]
    assert losses == sorted(set(losses)) and losses[0] == 1.0
    empty = torch.full((1, 1, 32, 32), 20.0)
    assert loss_fn(road(), empty) == 0.0 and ConnectivityLoss()(empty, empty) == 0.0
    assert ConnectivityLoss()(road(), empty) > 0.0


def test_windows_reductions_and_coefficients() -> None:
    generator = torch.Generator().manual_seed(0)
    mask = torch.rand(2, 1, 70, 40, generator=generator) < 0.01
    true = gpuph.truncated_distance_map(mask, 20.0)
    pred = (true + torch.randn(true.shape, generator=generator)).clamp(0, 20)
    values = ConnectivityLoss(reduction="none")(pred, true)
    assert values.shape == (2, 6)
    one = ConnectivityLoss()(pred[1:, :, 38:, 8:], true[1:, :, 38:, 8:])
    torch.testing.assert_close(values[1, 5], one)
    torch.testing.assert_close(ConnectivityLoss()(pred, true), values.mean())
    torch.testing.assert_close(ConnectivityLoss(reduction="sum")(pred, true), values.sum())
    gaps, false = (ConnectivityLoss(**{name: 0.0})(pred, true) for name in ("connections", "disconnections"))
    torch.testing.assert_close(
        ConnectivityLoss(disconnections=0.1, connections=3.0)(pred, true), 0.1 * gaps + 3 * false
    )


def test_gradcheck() -> None:
    generator = torch.Generator().manual_seed(0)
    true = 20 * torch.rand(1, 1, 9, 8, generator=generator, **DOUBLE)
    true[..., 4, :] = 0
    pred = 20 * torch.rand(1, 1, 9, 8, generator=generator, **DOUBLE)
    loss = ConnectivityLoss(window=6, stride=3, dilation=1)
    assert torch.autograd.gradcheck(loss, (pred.requires_grad_(), true), eps=1e-7, atol=1e-4)


def test_half_precision_strides_and_no_images() -> None:
    pred, true = road(slice(10, 20)), road()
    half = pred.half().requires_grad_()
    loss = ConnectivityLoss()(half, true)
    loss.backward()
    assert loss.dtype == torch.float32 and half.grad is not None and half.grad.dtype == torch.float16
    turned = ConnectivityLoss(connections=0.0)(pred.transpose(2, 3), true.transpose(2, 3))
    assert turned == 51.0
    nothing = torch.zeros(0, 1, 70, 40, requires_grad=True)
    assert ConnectivityLoss(reduction="none")(nothing, nothing).shape == (0, 6)
    assert ConnectivityLoss(reduction="none")(torch.zeros(0, 1, 50, 48, 48), torch.zeros(0, 1, 50, 48, 48)).shape == (
        0,
        2,
    )


@pytest.mark.slow
def test_traces_under_compile_without_a_graph_break() -> None:
    pred = road(slice(10, 20)).requires_grad_()
    loss = torch.compile(ConnectivityLoss(), backend="aot_eager", fullgraph=True)(pred, road())
    loss.backward()
    torch.testing.assert_close(loss, ConnectivityLoss()(pred, road()))
    assert pred.grad is not None and pred.grad.any()


def test_on_the_cpu_nothing_is_said_about_devices() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ConnectivityLoss()(road(), road())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"window": 1}, "window must be 2 or more pixels an axis, got 1"),
        ({"stride": 0}, "stride must be 1 or more pixels an axis, got 0"),
        ({"truncation": -1.0}, "truncation must be a positive number, got -1.0"),
        ({"dilation": 1.5}, "dilation must be an int of 0 or more, got 1.5"),
        ({"connections": float("inf")}, "connections must be a number of 0 or more, got inf"),
        ({"reduction": "max"}, "reduction must be"),
    ],
    ids=str,
)
def test_bad_settings_are_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ConnectivityLoss(**arguments)  # type: ignore[arg-type]


def test_windows_too_large_for_32_bit_edge_numbers_raise() -> None:
    region = torch.zeros(1, 1, 1, 1, dtype=torch.int32).expand(1, 895, 895, 895)
    with (
        gpuph.use_kernels("triton"),
        pytest.raises(ValueError, match=r"less than 2\^31 / 3 pixels, got \(895, 895, 895\).*use_kernels\(\"cpu\"\)"),
    ):
        ops.maximin(torch.zeros(1, 1, 1, 1, 1).expand(1, 3, 895, 895, 895), region, same=True)


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="pred must have no NaN, but its window 3 has one"):
        pred = road(size=64)
        pred[..., 40, 40] = float("nan")
        ConnectivityLoss()(pred, road(size=64))
    with pytest.raises(ValueError, match="target must have pred's shape"):
        ConnectivityLoss()(road(), road(size=31))
