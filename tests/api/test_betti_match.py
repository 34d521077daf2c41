"""`betti_match` matches classes by their places, in both diagrams and with every option of `persistence`."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from torch import Tensor

import gpuph
from support.induced import betti_matching, betti_matching_of_cells


def noise(n: int, *window: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return windows without ties, of values that float32 holds."""
    size = 2 * n * torch.Size(window).numel()
    values = torch.randperm(size, generator=torch.Generator().manual_seed(seed)).double() / 2**12
    return tuple(values.view(2, n, *window))


def pairs(matching: gpuph.BettiMatching, dim: int, i: int) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Return the matched pairs of window i as pixels, sorted."""
    found = []
    ours, theirs = matching.pred[dim], matching.target[dim]
    for j, k in enumerate(matching[dim].partner_a[i].tolist()):
        if k >= 0:
            a, b = ((int(x.birth_index[i, c]), int(x.death_index[i, c])) for x, c in ((ours, j), (theirs, k)))
            found.append((a, b))
    return sorted(found)


@pytest.mark.parametrize("comparison", ["union", "intersection"])
@pytest.mark.parametrize("construction", ["T", "V"])
def test_partners_are_those_of_the_textbook(construction: str, comparison: str) -> None:
    pred, target = noise(6, 7, 6)
    matching = gpuph.betti_match(pred, target, construction=construction, comparison=comparison)
    for i, (f, g) in enumerate(zip(pred.numpy(), target.numpy(), strict=True)):
        expected = betti_matching(f, g, construction, comparison)
        assert {dim: pairs(matching, dim, i) for dim in matching} == expected


@pytest.mark.parametrize("superlevel", [False, True])
@pytest.mark.parametrize("comparison", ["union", "intersection"])
@pytest.mark.parametrize("construction", ["T", "V"])
def test_windows_matched_with_themselves_are_complete(construction: str, comparison: str, superlevel: bool) -> None:
    pred, _ = noise(5, 12, 11)
    x = torch.cat((pred, (4 * pred).round(), pred.new_full((1, 12, 11), torch.inf)))
    matching = gpuph.betti_match(x, x, None, construction, superlevel, comparison)
    for dim, found in matching.items():
        columns = torch.arange(found.partner_a.shape[1]).where(matching.pred[dim].mask, -1)
        assert torch.equal(found.partner_a, columns) and torch.equal(found.partner_b, columns)
        assert not found.cost[:-1].any() and not found.gap.any()


def test_partners_are_mutual_and_those_of_exchanged_arguments() -> None:
    pred, target = noise(8, 14, 9)
    one, other = gpuph.betti_match(pred, target), gpuph.betti_match(target, pred)
    for dim in (0, 1):
        assert torch.equal(one[dim].partner_a, other[dim].partner_b)
        assert torch.equal(one[dim].partner_b, other[dim].partner_a)
        assert torch.allclose(one[dim].cost, other[dim].cost)
        a, b = one[dim].partner_a, one[dim].partner_b
        assert torch.equal(b.gather(1, a.clamp(min=0))[a >= 0], torch.nonzero(a >= 0)[:, 1])
        assert (a >= 0).sum() == (b >= 0).sum() > 10


@pytest.mark.parametrize("construction", ["T", "V"])
def test_partners_do_not_depend_on_orientation_or_scale(construction: str) -> None:
    pred, target = noise(6, 10, 10)
    costs = [
        gpuph.betti_match(change(pred), change(target), dim, construction)[dim].cost
        for dim in (0, 1)
        for change in (torch.clone, lambda x: x.flip(1), lambda x: x.flip(2), lambda x: x.mT, lambda x: 2 * x + 1)
    ]
    for of_dim in (costs[:5], costs[5:]):
        for same in of_dim[1:4]:
            assert torch.allclose(same, of_dim[0])
        assert torch.allclose(of_dim[4], 4 * of_dim[0])


def test_superlevel_sets_are_sublevel_sets_of_the_negated_windows() -> None:
    pred, target = noise(4, 9, 12)
    one, other = gpuph.betti_match(pred, target, superlevel=True), gpuph.betti_match(-pred, -target)
    for dim in (0, 1):
        assert isinstance(one.pred[dim], gpuph.SuperlevelDiagram)
        assert torch.equal(one[dim].partner_a, other[dim].partner_a)
        assert torch.allclose(one[dim].cost, other[dim].cost)


def test_diagrams_are_those_of_persistence_and_costs_those_of_the_partners() -> None:
    pred, target = noise(4, 9, 12)
    matching = gpuph.betti_match(pred, target, min_persistence=0.02)
    for dim in (0, 1):
        for x, found in ((pred, matching.pred[dim]), (target, matching.target[dim])):
            alone = gpuph.persistence(x, dim, min_persistence=0.02)[dim]
            assert torch.equal(found.count, alone.count)
            assert torch.equal(found.birth[:, : alone.birth.shape[1]], alone.birth)
        a, b, partner = matching.pred[dim], matching.target[dim], matching[dim].partner_a
        matched, finite = partner >= 0, a.death_index >= 0
        expected = torch.zeros(4, dtype=torch.float64)
        for x, y in ((a.birth, b.birth), (a.death, b.death)):
            differences = x - y.gather(1, partner.clamp(min=0))
            expected += differences.where(matched & (finite | (x is a.birth)), 0.0).square().sum(1)
        for x, partners in ((a, partner), (b, matching[dim].partner_b)):
            expected += (x.death - x.birth).where(x.mask & (partners < 0), 0.0).square().sum(1) / 2
        assert torch.allclose(matching[dim].cost, expected)


def test_image_that_lasts_too_short_has_no_partners() -> None:
    """A loop of the prediction, and one of the truth that begins when the first one has all but ended."""
    pred, target = torch.zeros(1, 3, 3, dtype=torch.float64), torch.full((1, 3, 3), 0.9, dtype=torch.float64)
    pred[:, 1, 1], target[:, 1, 1] = 1.0, 2.0
    for least, expected in ((0.0, [((1, 4), (1, 4))]), (0.05, [((1, 4), (1, 4))]), (0.2, [])):
        assert pairs(gpuph.betti_match(pred, target, 1, min_persistence=least), 1, 0) == expected
    pred[:, 1, 1] = 0.1  # it ends before 0.9, so that its class is over when the other one begins
    for comparison in ("union", "intersection"):
        assert pairs(gpuph.betti_match(pred, target, 1, comparison=comparison), 1, 0) == []


def test_gradient_of_the_cost_is_that_of_the_matched_and_unmatched_points() -> None:
    pred, target = (x.requires_grad_() for x in noise(2, 6, 5))

    def cost(f: Tensor, g: Tensor) -> Tensor:
        matching = gpuph.betti_match(f, g)
        return matching[0].cost + 2 * matching[1].cost

    assert torch.autograd.gradcheck(cost, (pred, target), eps=1e-6)


def test_windows_do_not_depend_on_each_other() -> None:
    pred, target = noise(9, 8, 13)
    whole = gpuph.betti_match(pred, target)
    for i in (0, 4, 8):
        alone = gpuph.betti_match(pred[i : i + 1], target[i : i + 1])
        for dim in (0, 1):
            assert pairs(whole, dim, i) == pairs(alone, dim, 0)
            assert torch.equal(whole[dim].cost[i : i + 1], alone[dim].cost)


def test_pairs_beyond_the_capacity_have_no_partners() -> None:
    pred, target = noise(3, 16, 16)
    whole, few = gpuph.betti_match(pred, target, 1), gpuph.betti_match(pred, target, 1, capacity=4)
    kept = whole[1].partner_a[:, :4]
    assert torch.equal(few[1].partner_a, kept.where(kept < 4, -1))


def test_inputs_may_be_arrays_signals_and_single_windows_of_different_dtypes() -> None:
    pred, target = noise(1, 8, 9)
    expected = gpuph.betti_match(pred, target)
    for f, g in ((pred.numpy(), target), (pred.float(), target), (pred[0].tolist(), target[0])):
        found = gpuph.betti_match(f, g, batched=len(f) == 1)
        assert torch.equal(found[1].partner_a, expected[1].partner_a)
        assert found[1].cost.dtype == torch.float64
    signals = gpuph.betti_match(pred[0], target[0], superlevel=True)
    assert [*signals] == [0] and len(signals[0].cost) == 8
    half = gpuph.betti_match(pred.half(), target.half())
    assert half.pred[1].birth.dtype == torch.float16 and half[1].cost.dtype == torch.float32
    assert [len(x.cost) for x in gpuph.betti_match(pred[:0], target[:0]).values()] == [0, 0]


def test_wrong_pairs_are_named() -> None:
    pred, target = noise(2, 8, 9)
    with pytest.raises(ValueError, match=r"target must have pred's shape \(2, 8, 9\), got \(1, 8, 9\)"):
        gpuph.betti_match(pred, target[:1])
    with pytest.raises(ValueError, match="target must be on pred's device cpu, got meta"):
        gpuph.betti_match(pred, target.to("meta"))
    target[1, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="target"):
        gpuph.betti_match(pred, target)
    with pytest.raises(KeyError, match="dimension 1 was not computed"):
        gpuph.betti_match(pred, pred, 0)[1]
    assert repr(gpuph.betti_match(pred, pred, 1)).startswith("BettiMatching({1: ")


def without_essential(
    matching: gpuph.BettiMatching, i: int
) -> dict[int, list[tuple[tuple[int, int], tuple[int, int]]]]:
    return {dim: [pair for pair in pairs(matching, dim, i) if pair[0][1] >= 0] for dim in matching}


@pytest.mark.parametrize("window", [(7, 6), (1, 9), (8, 1), (2, 2)])
def test_empty_images_are_matched_as_on_all_cells(window: tuple[int, int]) -> None:
    pred, target = noise(12, *window)
    matching = gpuph.betti_match(pred, target, construction="V", match_empty=True)
    for i, (f, g) in enumerate(zip(pred.numpy(), target.numpy(), strict=True)):
        assert without_essential(matching, i) == betti_matching_of_cells(f, g)
    some = gpuph.betti_match(pred, target, construction="V")
    assert (matching[0].partner_a >= 0).sum() >= (some[0].partner_a >= 0).sum()


def test_pairs_with_empty_images_are_those_of_topolosses() -> None:
    """1,000 images whose pixels all differ."""
    if not importlib.util.find_spec("topolosses"):
        pytest.skip("topolosses is not installed")
    from bench.speed.loss import prepare_topolosses

    prepare_topolosses()
    from topolosses.losses.betti_matching.src import betti_matching as topolosses

    pred, target = noise(1000, 9, 8)
    matching = gpuph.betti_match(pred, target, construction="V", match_empty=True)
    for i, (f, g) in enumerate(zip(pred.numpy(), target.numpy(), strict=True)):
        theirs = topolosses.compute_matching(f, g)
        for dim, found in without_essential(matching, i).items():
            ends = [
                np.ravel_multi_index(np.asarray(part[dim]).reshape(-1, 2).T, f.shape).tolist()
                for part in (
                    *(theirs.input1_matched_birth_coordinates, theirs.input1_matched_death_coordinates),
                    *(theirs.input2_matched_birth_coordinates, theirs.input2_matched_death_coordinates),
                )
            ]
            assert found == sorted(((a, b), (c, d)) for a, b, c, d in zip(*ends, strict=True))


def test_empty_images_are_matched_in_images_only() -> None:
    pred, target = noise(1, 8, 9)
    for settings in ({}, {"construction": "V", "comparison": "intersection"}):
        with pytest.raises(ValueError, match="match_empty=True takes images"):
            gpuph.betti_match(pred, target, match_empty=True, **settings)
    with pytest.raises(ValueError, match="match_empty=True takes images"):
        gpuph.betti_match(*noise(1, 4, 5, 6), construction="V", match_empty=True)
