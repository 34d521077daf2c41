"""The loss of Hu et al.: against GUDHI's bars, against the gradient that its authors wrote down, and by hand."""

from __future__ import annotations

import gudhi
import numpy as np
import pytest
import torch
from torch import Tensor

import gpuph
from gpuph.losses import TopoLoss
from gpuph.windows import cut_windows


def probabilities(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def mask(*shape: int, seed: int = 1) -> Tensor:
    return (probabilities(*shape, seed=seed) < 0.3).double()


def bars(x: np.ndarray, dim: int) -> list[tuple[int, int]]:
    """Pixels of birth and death of the finite bars of an image, by GUDHI, the longest first."""
    # GUDHI's own order of axes is Fortran's; transposed, flat indices are the image's.
    complex_ = gudhi.CubicalComplex(top_dimensional_cells=x.T)
    complex_.persistence(min_persistence=0.0)
    pairs = complex_.cofaces_of_persistence_pairs()[0]
    found = [] if dim >= len(pairs) else [(int(b), int(d)) for b, d in pairs[dim]]
    flat = x.ravel()
    return sorted((pair for pair in found if flat[pair[1]] > flat[pair[0]]), key=lambda p: flat[p[0]] - flat[p[1]])


def published(pred: Tensor, target: Tensor, dim: int, threshold: float = 0.03, perfect: float = 0.99) -> Tensor:
    """The loss of one tile with targets that are constants, so that the gradient is the authors', in terms of 1 - p."""
    x = 1 - pred
    found, wanted = bars(x.detach().numpy(), dim), len(bars(1 - target.numpy(), dim))
    flat, total = x.flatten(), x.new_zeros(())
    for rank, (birth, death) in enumerate(found):
        length = float((flat[death] - flat[birth]).detach())
        if rank < wanted and length <= perfect:
            total = total + flat[birth] ** 2 + (flat[death] - 1) ** 2
        elif rank >= wanted and length > threshold:
            total = total + (flat[birth] - flat[death].detach()) ** 2 + (flat[death] - flat[birth].detach()) ** 2
    return total


@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("seed", range(3))
def test_gradient_is_the_published_one_with_bars_by_gudhi(dim: int, seed: int) -> None:
    pred, target = probabilities(1, 1, 12, 17, seed=seed), mask(1, 1, 12, 17, seed=seed + 10)
    pred[0, 0, 0, 0] = 1.0
    ours, theirs = pred.clone().requires_grad_(), pred.clone().requires_grad_()
    TopoLoss(dims=(dim,), reduction="sum")(ours, target).backward()
    published(theirs[0, 0], target[0, 0], dim).backward()
    assert ours.grad is not None and theirs.grad is not None and theirs.grad.count_nonzero() > 4
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_tiles_are_windows_on_their_own() -> None:
    pred, target = probabilities(2, 1, 20, 30), mask(2, 1, 20, 30)
    tiles = TopoLoss(window=10, reduction="none")(pred, target)
    assert tiles.shape == (2, 6)
    one = TopoLoss(window=10)(pred[1:, :, 10:, 20:], target[1:, :, 10:, 20:])
    torch.testing.assert_close(tiles[1, 5], one)
    torch.testing.assert_close(TopoLoss(window=10, reduction="sum")(pred, target), tiles.sum())


def test_too_few_bars_are_lengthened_and_too_many_removed() -> None:
    spots = torch.zeros(1, 1, 9, 9)
    for column, p in ((1, 1.0), (4, 0.75), (7, 0.25)):
        spots[..., 4, column] = p
    one, three = torch.zeros(2, 1, 1, 9, 9)
    one[..., 4, 1] = 1.0
    three[..., 4, [1, 4, 7]] = 1.0
    loss = TopoLoss()
    assert loss(spots, three) == 0.25**2 + 0.75**2  # births at 0.25 and 0.75, deaths at 1
    assert loss(spots, one) == 0.75**2 + 0.25**2  # the first spot's component never dies, and is free
    assert loss(three, three) == 0.0
    assert loss(three, one) == 2.0
    assert TopoLoss(threshold=0.5)(spots, one) == 0.75**2
    assert TopoLoss(perfect=0.5)(spots, three) == 0.75**2  # 0.75 long is long enough


def test_loops_of_the_paper_need_the_frame() -> None:
    road = torch.zeros(1, 1, 20, 20)
    road[..., 10, :] = 1.0
    weak = road.clone()
    weak[..., 10, 8:12] = 0.5
    assert TopoLoss(dims=(1,))(weak, road) == 0.0
    assert TopoLoss(dims=(1,), border=True)(weak, road) == 0.25
    pred = weak.requires_grad_()
    TopoLoss(dims=(1,), border=True)(pred, road).backward()
    assert pred.grad is not None and (pred.grad[0, 0, 10] < 0).sum() == 1 and pred.grad.count_nonzero() == 1


def test_a_frame_of_two_pixels_gives_the_diagram_of_one() -> None:
    x = probabilities(3, 9, 11)
    lowest = x.flatten(1).amin(dim=1)

    def framed(window: Tensor, value: float, width: int) -> Tensor:
        return torch.nn.functional.pad(window, (width,) * 4, value=value)

    for construction in ("T", "V"):
        for window, value in zip(x, lowest.tolist(), strict=True):
            one, two = (gpuph.persistence(framed(window, value, w)[None], (1,), construction)[1] for w in (1, 2))
            assert torch.equal(one.birth, two.birth) and torch.equal(one.death, two.death)


@pytest.mark.parametrize("border", [False, True])
def test_gradcheck(border: bool) -> None:
    pred, target = probabilities(2, 1, 9, 8), mask(2, 1, 9, 8)
    highest = torch.zeros(9, 8, dtype=torch.bool)
    highest[4, 4] = True  # of all tiles: where the frame's value comes from, which is a constant
    loss = TopoLoss(window=6, dims={0: 0.5, 1: 2.0}, border=border)
    assert torch.autograd.gradcheck(
        lambda p: loss(p.masked_fill(highest, 1.0), target), (pred.requires_grad_(),), eps=1e-7, atol=1e-5
    )


def test_gradcheck_in_a_volume() -> None:
    pred, target = probabilities(1, 1, 5, 4, 6), mask(1, 1, 5, 4, 6)
    loss = TopoLoss(window=(5, 4, 3), dims=(0, 1, 2))
    assert torch.autograd.gradcheck(loss, (pred.requires_grad_(), target), eps=1e-7, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_constant_tiles_cost_nothing(value: float) -> None:
    noise, truth = probabilities(1, 1, 8, 8), mask(1, 1, 8, 8)
    constant = torch.full_like(noise, value)
    for border in (False, True):
        loss = TopoLoss(dims=(0, 1), border=border)
        assert loss(noise, constant) == 0.0 and loss(constant, truth) == 0.0 and loss(noise, truth) > 0.0


def test_weights_are_those_of_a_sum() -> None:
    pred, target = probabilities(1, 1, 15, 15), mask(1, 1, 15, 15)
    both = TopoLoss(dims={0: 0.25, 1: 4.0})(pred, target)
    torch.testing.assert_close(both, 0.25 * TopoLoss()(pred, target) + 4.0 * TopoLoss(dims=(1,))(pred, target))


def test_is_invariant_under_symmetries_of_the_grid() -> None:
    pred, target = probabilities(1, 1, 14, 14), mask(1, 1, 14, 14)
    loss = TopoLoss(window=7, dims=(0, 1))
    expected = loss(pred, target)
    for turned in (lambda x: x.flip(2), lambda x: x.flip(3), lambda x: x.transpose(2, 3)):
        torch.testing.assert_close(loss(turned(pred), turned(target)), expected)


def test_descent_brings_the_bars_to_those_of_the_truth() -> None:
    pred, target = probabilities(1, 1, 16, 16).requires_grad_(), mask(1, 1, 16, 16)
    loss_fn = TopoLoss()
    first = float(loss_fn(pred.detach(), target))
    for _ in range(300):
        (grad,) = torch.autograd.grad(loss_fn(pred, target), pred)
        with torch.no_grad():
            pred -= 0.2 * grad
    assert float(loss_fn(pred.detach(), target)) < 0.02 * first


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_lifted(dtype: torch.dtype) -> None:
    pred, target = probabilities(1, 1, 12, 12).to(dtype).requires_grad_(), mask(1, 1, 12, 12).to(dtype)
    loss = TopoLoss()(pred, target)
    assert loss.dtype == torch.float32 and torch.equal(loss, TopoLoss()(pred.detach().float(), target.float()))
    loss.backward()
    assert pred.grad is not None and pred.grad.dtype == dtype


def test_strides_and_no_images_are_fine() -> None:
    pred, target = probabilities(2, 1, 12, 24)[..., ::2], mask(2, 1, 12, 24)[..., ::2]
    assert torch.equal(TopoLoss(window=6)(pred, target), TopoLoss(window=6)(pred.contiguous(), target.contiguous()))
    nothing = torch.zeros(0, 1, 12, 24, requires_grad=True)
    assert TopoLoss(window=6, reduction="none")(nothing, nothing).shape == (0, 8)
    assert cut_windows(nothing[:, 0], (6, 6), (6, 6)).shape == (0, 6, 6)


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"threshold must be a number of 0 or more, got -0\.1"):
        TopoLoss(threshold=-0.1)
    with pytest.raises(ValueError, match="window must be 2 or more pixels an axis, got 1"):
        TopoLoss(window=1)
    with pytest.raises(ValueError, match=r"dims must be distinct numbers from 0 to 1, got \[2\]"):
        TopoLoss(dims=(2,))(probabilities(1, 1, 4, 4), mask(1, 1, 4, 4))
    with pytest.raises(ValueError, match="target must have no NaN, but its window 1 has one"):
        target = mask(1, 1, 8, 4)
        target[0, 0, 5, 1] = float("nan")
        TopoLoss(window=4)(probabilities(1, 1, 8, 4), target)


def test_traces_under_compile_without_a_graph_break() -> None:
    pred, target = probabilities(1, 1, 16, 16).requires_grad_(), mask(1, 1, 16, 16)
    loss_fn = TopoLoss(window=8, dims=(0, 1), border=True)
    loss = torch.compile(loss_fn, backend="aot_eager", fullgraph=True)(pred, target)
    loss.backward()
    torch.testing.assert_close(loss, loss_fn(pred, target))
    assert pred.grad is not None and pred.grad.any()
