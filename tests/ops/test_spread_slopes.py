"""Carriers: if exactly these pixels reach the goal, the birth or death does."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from torch import Tensor

import gpuph
from gpuph import ops
from gpuph.diagram import Diagram
from gpuph.kernels import Pulls, Spread, Tiling
from support import inputs

KINDS = ("noise", "smooth", "integers", "zeros of both signs")
END = {"earlier birth": (0, -1), "later birth": (0, 1), "earlier death": (1, -1), "later death": (1, 1)}


def pull(x: Tensor, diagram: Diagram, k: int, end: int, goal: float, rule: Spread) -> Tensor:
    """Return the gradient that moves one end of pair k of a window (1, *window)."""
    index = torch.stack((diagram.birth_index, diagram.death_index), dim=1)
    slope, goals = torch.zeros(index.shape, dtype=x.dtype), torch.zeros(index.shape, dtype=x.dtype)
    value = (diagram.birth, diagram.death)[end][0, k]
    slope[0, end, k], goals[0, end, k] = 2 * (value - goal), goal
    window = tuple(x.shape[1:])
    tiling = Tiling(window, window, window, border=False)
    pulls = Pulls(slope, goals, index, diagram.count)
    return ops.spread_slopes(pulls, x.new_ones(1), (x, None, None), tiling, rule).view(x.shape)


def alive(diagram: Diagram, birth: float, death: float) -> tuple[int, int, int]:
    """Return how many classes are born by `birth` and alive until `death`: also strictly before, and strictly after."""
    births, deaths = diagram.birth[0, : int(diagram.count)], diagram.death[0, : int(diagram.count)]
    by, until = births <= birth, deaths >= death
    return int((by & until).sum()), int(((births < birth) & until).sum()), int((by & (deaths > death)).sum())


@pytest.mark.parametrize("shape", [(13, 16), (1, 9), (6, 7, 8)])
@pytest.mark.parametrize("construction", ["T", "V"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_step_of_a_half_moves_any_birth_or_death_to_its_goal(
    kind: str, construction: str, shape: tuple[int, ...]
) -> None:
    rng, moved = np.random.default_rng(0), 0
    x = torch.from_numpy(inputs.image(kind, (1, *shape), seed=3, dtype=np.float64))
    before = gpuph.persistence(x, construction=construction)
    for dim, diagram in before.items():
        for k in rng.permutation(int(diagram.count))[:5]:
            birth, death = float(diagram.birth[0, k]), float(diagram.death[0, k])
            length = min(death - birth, 1.0)
            for end, direction in END.values():
                if end == 1 and death == np.inf:
                    continue
                goal = (birth, death)[end] + direction * length * rng.uniform(0.2, 0.8)
                gradient = pull(x, diagram, k, end, goal, Spread(len(shape), dim, construction == "T", 0, False))
                y = x - gradient / 2
                y[(y - goal).abs() < 1e-12] = goal
                after = gpuph.persistence(y, construction=construction)[dim]
                at = (goal, death) if end == 0 else (birth, goal)
                (full, sooner, later), (full_after, sooner_after, later_after) = alive(diagram, *at), alive(after, *at)
                if direction == (-1, 1)[end]:  # the class exists longer than before
                    assert full_after >= full + 1
                elif end == 0:
                    assert sooner_after <= sooner - 1
                else:
                    assert later_after <= later - 1
                moved += 1
    assert moved > 0 or x.unique().numel() == 1 or 1 in shape


def gap(size: int = 12) -> Tensor:
    """Return a window with a valley in a plateau of 5, closed to a loop except for a gap of heights 2, 4 and 3."""
    x = torch.full((1, size, size), 5.0)
    x[0, 2, 2:9] = x[0, 8, 2:9] = x[0, 2:9, 2] = x[0, 2:9, 8] = 0.0
    x[0, 2, 4], x[0, 2, 5], x[0, 2, 6] = 2.0, 4.0, 3.0
    return x


def test_a_loop_pulls_the_pixels_of_its_gap_in_proportion_to_how_far_they_are_from_the_goal() -> None:
    x = gap()
    loops = gpuph.persistence(x)[1]
    gradient = pull(x, loops, 0, 0, 1.0, Spread(2, 1, True, 0, False))
    assert gradient[0, 2, 3:8].tolist() == [0.0, 2.0, 6.0, 4.0, 0.0] and gradient.count_nonzero() == 3
    normalised = pull(x, loops, 0, 0, 1.0, Spread(2, 1, True, 0, True))
    assert normalised[0, 2, 3:8].tolist() == [0.0, 1.0, 3.0, 2.0, 0.0] and normalised.sum() == 6.0


def test_an_earlier_death_lowers_all_pixels_inside_the_loop() -> None:
    x = gap()
    gradient = pull(x, gpuph.persistence(x)[1], 0, 1, 4.5, Spread(2, 1, True, 0, False))
    assert (gradient[0, 3:8, 3:8] == 1.0).all() and gradient.count_nonzero() == 25


def test_a_later_birth_raises_a_line_across_the_loop() -> None:
    x = gap()
    gradient = pull(x, gpuph.persistence(x)[1], 0, 0, 4.5, Spread(2, 1, True, 0, False))
    assert gradient.nonzero().tolist() == [[0, 2, 5]] and gradient.sum() == -1.0


def test_infinite_values_move_with_equal_ones_only() -> None:
    x = gap()
    x[0, 3:8, 3:8] = np.inf
    loops = gpuph.persistence(x)[1]
    index = torch.stack((loops.birth_index, loops.death_index), dim=1)
    slope, goal = torch.tensor([[[0.0], [1.0]]]), torch.tensor([[[0.0], [7.0]]])
    pulls, tiling = Pulls(slope, goal, index, loops.count), Tiling((12, 12), (12, 12), (12, 12), border=False)
    gradient = ops.spread_slopes(pulls, torch.ones(1), (x, None, None), tiling, Spread(2, 1, True, 0, False)).view(
        12, 12
    )
    assert (gradient[3:8, 3:8] == 1.0).all() and gradient.count_nonzero() == 25


@functools.cache
def overlapping() -> tuple[Tensor, Tensor, Tensor]:
    """Return two images of noise, a truth, and the heights of their overlapping windows."""
    generator = torch.Generator().manual_seed(0)
    pred, target = torch.rand(2, 3, 20, 23, generator=generator)
    return pred, target, torch.rand(27, 9, 10, generator=generator)


@pytest.mark.parametrize("side", [0, 1])
def test_gradients_of_overlapping_windows_add_up_whatever_the_number_of_threads(side: int) -> None:
    pred, target, height = overlapping()
    maps, found = [pred.clone(), target.clone()], []
    maps[side].requires_grad_()
    tiling = Tiling((20, 23), (9, 10), (6, 7), border=True)
    query, matching = gpuph.kernels.Query((1,), True, 0.0, None), ops.Matching((1.0,), True)
    threads = torch.get_num_threads()
    try:
        for n in (1, 2, 3):
            torch.set_num_threads(n)
            costs = ops.path_costs((maps[0], maps[1], height), tiling, query, matching, normalise=False)
            found.append(torch.autograd.grad(costs.cost.sum(), maps[side])[0])
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])
    each = torch.zeros_like(pred)
    costs = ops.path_costs((maps[0], maps[1], height), tiling, query, matching, normalise=False)
    for i in range(27):
        each += torch.autograd.grad(costs.cost[i], maps[side], retain_graph=True)[0]
    torch.testing.assert_close(found[0], each)


def test_wrong_shapes_and_indices_raise() -> None:
    x, tiling, rule = gap(), Tiling((12, 12), (12, 12), (12, 12), border=False), Spread(2, 1, True, 0, False)
    index, slope, count = torch.full((1, 2, 1), 144), torch.ones(1, 2, 1), torch.ones(1, dtype=torch.int64)
    with pytest.raises(IndexError, match="index must be of pixels of the window, or negative, got 144"):
        ops.spread_slopes(Pulls(slope, slope, index, count), torch.ones(1), (x, None, None), tiling, rule)
    with pytest.raises(ValueError, match="goal must have the shape of index"):
        ops.spread_slopes(Pulls(slope, slope[..., :0], index, count), torch.ones(1), (x, None, None), tiling, rule)
    with pytest.raises(ValueError, match=r"count and grad must have shape \(1,\)"):
        ops.spread_slopes(Pulls(slope, slope, index, count), torch.ones(2), (x, None, None), tiling, rule)


def test_operator_conforms_to_pytorch() -> None:
    x = gap()
    loops = gpuph.persistence(x)[1]
    index = torch.stack((loops.birth_index, loops.death_index), dim=1)
    slope = torch.ones(index.shape)
    arguments = (
        slope,
        slope,
        index,
        loops.count,
        torch.ones(1),
        x,
        None,
        None,
        (12, 12),
        (12, 12),
        False,
        1,
        True,
        0,
        False,
    )
    torch.library.opcheck(torch.ops.gpuph.spread_slopes.default, arguments)
