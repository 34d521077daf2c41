"""Matched persistence: the pairs of two windows, and partners, whose classes become one class of a third function."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.library import opcheck

from gpuph import ops
from gpuph.kernels import Comparison, Pairs, Query, Tiling
from gpuph.windows import cut_windows, frame
from support import inputs
from support.induced import betti_matching

COMPARISONS = "union", "intersection"
KINDS = "noise", "ties", "perturbed", "shifted", "infinities"


class Result(NamedTuple):
    pairs: list[Pairs[Tensor]]
    partners: list[tuple[Tensor, Tensor]]

    def matched(self, k: int, window: int = 0) -> list[tuple[tuple[int, ...], ...]]:
        """Return the matched pairs of a window in the query's dimension number k, sorted: (birth, death), twice."""
        index, (partner_a, partner_b) = self.pairs[k].index, self.partners[k]
        a, b = index[window].T.tolist(), index[len(partner_a) + window].T.tolist()
        found = [(i, j) for i, j in enumerate(partner_a[window].tolist()) if j >= 0]
        assert found == sorted((i, j) for j, i in enumerate(partner_b[window].tolist()) if i >= 0)
        return sorted((tuple(a[i]), tuple(b[j])) for i, j in found)


def match(
    pred: Tensor, target: Tensor, comparison: str, query: Query, tiling: Tiling | None = None, **changes: object
) -> Result:
    """Match the windows of images; whole images without a frame, unless there is a tiling."""
    size = tuple(pred.shape[1:])
    tiling, query = tiling or Tiling(size, size, size, False), query._replace(**changes)
    found, partners = ops.matched_persistence((pred, target, None), tiling, query, Comparison(comparison != "union"))
    return Result(found.pairs, partners)


def in_all_dims(rank: int, construction: str = "T") -> Query:
    return Query(tuple(range(rank)), construction == "T", 0.0, None)


def couple(kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return two images of a kind."""
    f, g = rng.random((2, *shape))
    if kind == "ties":
        f, g = rng.integers(0, 4, (2, *shape)) * 1.0
    elif kind == "perturbed":
        g = f + 0.3 * g
    elif kind == "shifted":
        f = rng.integers(0, 6, shape) * 1.0
        g = np.roll(f, 1, -1)
    elif kind == "infinities":
        values = np.array([-np.inf, 0.0, -0.0, 1.0, np.inf])
        f, g = values[rng.integers(0, 5, shape)], np.where(g < 0.5, f, values[rng.integers(0, 5, shape)])
    return f.astype(np.float32), g.astype(np.float32)


def compare_with_the_textbook(kind: str, construction: str, comparison: str, rank: int, most: int, n: int) -> None:
    """Compare n windows with at most that many pixels along an axis."""
    rng = np.random.default_rng(n)
    for _ in range(n):
        f, g = couple(kind, tuple(rng.integers(1, most + 1, rank)), rng)
        min_persistence = float(rng.choice([0.0, 0.25]))
        query = in_all_dims(rank, construction)._replace(min_persistence=min_persistence)
        result = match(torch.tensor(f)[None], torch.tensor(g)[None], comparison, query)
        expected = betti_matching(f, g, construction, comparison, min_persistence)
        for dim in range(rank):
            assert result.matched(dim) == expected[dim], (f, g)


# 20 combinations, so 200 images and 160 volumes here, and 9,800 images and 360 volumes in the slow lane.
@pytest.mark.parametrize("comparison", COMPARISONS)
@pytest.mark.parametrize("construction", "TV")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("rank", "most", "n"), [(2, 8, 10), (3, 4, 8)])
def test_matched_pairs_equal_the_textbook(
    kind: str, construction: str, comparison: str, rank: int, most: int, n: int
) -> None:
    compare_with_the_textbook(kind, construction, comparison, rank, most, n)


@pytest.mark.slow
@pytest.mark.parametrize("comparison", COMPARISONS)
@pytest.mark.parametrize("construction", "TV")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("rank", "most", "n"), [(2, 12, 490), (3, 5, 18)])
def test_matched_pairs_of_many_windows_equal_the_textbook(
    kind: str, construction: str, comparison: str, rank: int, most: int, n: int
) -> None:
    compare_with_the_textbook(kind, construction, comparison, rank, most, n)


@pytest.mark.parametrize("comparison", COMPARISONS)
@pytest.mark.parametrize("construction", "TV")
@pytest.mark.parametrize("kind", inputs.KINDS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (12, 7), (16, 31), (1, 1, 1), (1, 6, 5), (6, 1, 9), (9, 12, 11)])
def test_a_window_matched_with_itself_is_complete(
    shape: tuple[int, ...], kind: str, construction: str, comparison: str
) -> None:
    x = torch.from_numpy(inputs.image(kind, shape))[None]
    for border in (False, True):
        query = in_all_dims(len(shape), construction)
        result = match(x, x.clone(), comparison, query, Tiling(shape, shape, shape, border))
        for found, (a, b) in zip(result.pairs, result.partners, strict=True):
            own = torch.arange(a.shape[1])[None]
            assert torch.equal(a, own.where(own < found.count[0], -1)) and torch.equal(a, b)


TILINGS = [((2, 13, 17), (6, 5), (3, 5)), ((2, 6, 1), (4, 1), (1, 3)), ((2, 7, 8, 9), (4, 5, 6), (2, 3, 6))]


@pytest.mark.parametrize("comparison", COMPARISONS)
@pytest.mark.parametrize("construction", "TV")
@pytest.mark.parametrize("border", [True, False])
@pytest.mark.parametrize(("shape", "window", "stride"), TILINGS)
@pytest.mark.parametrize("kind", ["noise", "ties"])
def test_windows_are_matched_as_if_each_were_alone(
    kind: str,
    shape: tuple[int, ...],
    window: tuple[int, ...],
    stride: tuple[int, ...],
    border: bool,
    construction: str,
    comparison: str,
) -> None:
    pred, target = map(torch.from_numpy, couple(kind, shape, np.random.default_rng(0)))
    query = in_all_dims(len(window), construction)
    result = match(pred, target, comparison, query, Tiling(shape[1:], window, stride, border))
    cut = [cut_windows(x, window, stride) for x in (pred, target)]
    if border:
        lowest = torch.minimum(*(x.flatten(1).amin(dim=1) for x in cut))
        cut = [frame(x, lowest) for x in cut]
    for i, (f, g) in enumerate(zip(*cut, strict=True)):
        alone = match(f[None], g[None], comparison, query)
        for ours, theirs in zip(result.partners, alone.partners, strict=True):
            for a, b in zip(ours, theirs, strict=True):
                n = b.shape[1]
                assert torch.equal(a[i, :n], b[0]) and (a[i, n:] == -1).all()


@pytest.mark.parametrize("rank", [2, 3])
def test_exchanging_the_images_exchanges_the_partners(rank: int) -> None:
    pred, target = map(torch.from_numpy, couple("ties", (3, *(7,) * rank), np.random.default_rng(1)))
    for comparison in COMPARISONS:
        there, back = (match(*x, comparison, in_all_dims(rank)) for x in ((pred, target), (target, pred)))
        for (a, b), (c, d) in zip(there.partners, back.partners, strict=True):
            assert torch.equal(a, d) and torch.equal(b, c) and (a >= 0).any()


@pytest.mark.parametrize("construction", "TV")
@pytest.mark.parametrize("comparison", COMPARISONS)
@pytest.mark.parametrize("rank", [2, 3])
def test_pairs_beyond_the_capacity_have_no_partners(rank: int, comparison: str, construction: str) -> None:
    query = in_all_dims(rank, construction)
    for kind in ("noise", "ties"):
        x = couple(kind, (3, *(8,) * rank), np.random.default_rng(2))
        pred, target = map(torch.from_numpy, x)
        every = match(pred, target, comparison, query)
        for capacity in (1, 4):
            some = match(pred, target, comparison, query, capacity=capacity)
            for ours, theirs in zip(some.partners, every.partners, strict=True):
                for a, b in zip(ours, theirs, strict=True):
                    kept = b[:, :capacity]
                    assert torch.equal(a[:, : kept.shape[1]], kept.where(kept < capacity, -1))


@pytest.mark.parametrize("dims", [(0,), (1,), (2,), (2, 0), (2, 1, 0)])
@pytest.mark.parametrize("construction", "TV")
def test_each_dimension_is_matched_by_itself(dims: tuple[int, ...], construction: str) -> None:
    for rank in (2, 3):
        query = in_all_dims(rank, construction)
        chosen = tuple(dim for dim in dims if dim < rank)
        pred, target = map(torch.from_numpy, couple("ties", (2, *(7,) * rank), np.random.default_rng(3)))
        for comparison in COMPARISONS:
            every = match(pred, target, comparison, query)
            some = match(pred, target, comparison, query, dims=chosen, capacity=400).partners
            for dim, ours in zip(chosen, some, strict=True):
                for a, b in zip(ours, every.partners[dim], strict=True):
                    assert torch.equal(a[:, : b.shape[1]], b) and (a[:, b.shape[1] :] == -1).all()


@pytest.mark.parametrize("rank", [2, 3])
def test_nan_leaves_only_its_window_without_partners(rank: int) -> None:
    pred, target = map(torch.from_numpy, couple("noise", (4, *(6,) * rank), np.random.default_rng(4)))
    plain = match(pred, target, "union", in_all_dims(rank), capacity=400)
    pred[1][(2,) * rank], target[3][(5,) * rank] = float("nan"), float("nan")
    result = match(pred, target, "union", in_all_dims(rank), capacity=400)
    for ours, theirs in zip(result.partners, plain.partners, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert torch.equal(a[::2], b[::2]) and (a[1::2] == -1).all()


@pytest.mark.parametrize("rank", [2, 3])
def test_float64_gives_the_same_partners_and_tells_closer_values_apart(rank: int) -> None:
    pred, target = map(torch.from_numpy, couple("perturbed", (2, *(7,) * rank), np.random.default_rng(5)))
    for comparison in COMPARISONS:
        single = match(pred, target, comparison, in_all_dims(rank))
        double = match(pred.double(), target.double(), comparison, in_all_dims(rank))
        # All differences are below the precision of float32 at 1.
        close = match(1 + 1e-9 * pred.double(), 1 + 1e-9 * target.double(), comparison, in_all_dims(rank))
        for ours, others, more in zip(single.partners, double.partners, close.partners, strict=True):
            assert all(torch.equal(*x) for x in zip(ours, others, strict=True))
            assert [(x >= 0).sum() for x in ours] == [(x >= 0).sum() for x in more]


def test_several_threads_give_the_same_partners(monkeypatch: pytest.MonkeyPatch) -> None:
    for shape in ((9, 8, 9), (9, 5, 6, 7)):
        pred, target = map(torch.from_numpy, couple("perturbed", shape, np.random.default_rng(6)))
        query = in_all_dims(len(shape) - 1)
        monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
        one = match(pred, target, "intersection", query)
        monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
        several = match(pred, target, "intersection", query)
        for ours, theirs in zip(one.partners, several.partners, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("shape", [(2, 9, 8), (1, 6, 7, 8)])
def test_operator_passes_opcheck(shape: tuple[int, ...]) -> None:
    window = [4] * (len(shape) - 1)
    pred, target, height = torch.randn(shape), torch.randn(shape), torch.randn(1, *window)
    tiling, dims = (window, window, True), [1, 0]
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    for capacity in (None, 9):
        arguments = (pred, target, height, *tiling, dims, True, 0.0, capacity, False, False)
        opcheck(torch.ops.gpuph.matched_persistence.default, arguments, test_utils=checks)
