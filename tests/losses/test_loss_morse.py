"""The loss on Morse skeletons: where it looks, and what it adds up."""

from __future__ import annotations

import functools
import pickle

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy, mse_loss

import gpuph
from gpuph import ops
from gpuph.losses import MorseSkeletonLoss

square = functools.partial(mse_loss, reduction="none")


def ring(size: int = 24, weak: float = 1.0, noise: float = 0.0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Probabilities that are high on a circle, but for a weak spot on its right."""
    y, x = torch.meshgrid(*[torch.arange(size, dtype=dtype) - (size - 1) / 2] * 2, indexing="ij")
    p = 0.9 * torch.exp(-(((x**2 + y**2).sqrt() - size / 3) ** 2) / 3)
    p = p * (1 - (1 - weak) * torch.exp(-((x - size / 3) ** 2 + y**2) / 6))
    return (p + noise * torch.rand(size, size, dtype=dtype, generator=torch.Generator().manual_seed(0)))[None, None]


def true_ring(size: int = 24, dtype: torch.dtype = torch.float32) -> Tensor:
    return (ring(size, dtype=dtype) > 0.6).to(dtype)


def test_the_loss_is_the_base_on_the_skeleton() -> None:
    pred, target = ring(weak=0.3, noise=0.05), true_ring()
    skeleton = ops.skeleton(-pred[:, 0], 0.1, (1,))
    assert 20 < skeleton.sum() < 80
    for base, values in (
        (None, binary_cross_entropy(pred, target, reduction="none")),
        (square, (pred - target) ** 2),
        (lambda p, t: (p - t).abs() + 1.0, (pred - target).abs() + 1.0),
    ):
        expected = values[0, 0][skeleton[0]].sum() / pred.numel()
        torch.testing.assert_close(MorseSkeletonLoss(min_persistence=0.1, base=base)(pred, target), expected)


def test_the_weak_spot_is_looked_at_and_the_noise_is_not() -> None:
    pred, target = ring(weak=0.3, noise=0.05).requires_grad_(), true_ring()
    MorseSkeletonLoss(min_persistence=0.1)(pred, target).backward()
    assert pred.grad is not None
    spot = pred.grad[0, 0, 10:14, 18:22]
    assert (spot < 0).any() and float(pred.detach()[0, 0, 10:14, 18:22][spot < 0].min()) < 0.4
    assert not pred.grad[0, 0, 9:15, 9:15].any() and not pred.grad[0, 0, :2].any()


def test_a_faint_ridge_between_true_roads_is_to_vanish() -> None:
    target = torch.zeros(1, 1, 20, 20)
    target[..., 4, :] = target[..., 15, :] = 1.0
    pred = target.clone()
    pred[..., 4:16, 10] = 0.3
    pred[..., 4, 10] = pred[..., 15, 10] = 1.0
    pred.requires_grad_()
    MorseSkeletonLoss(min_persistence=0.1)(pred, target).backward()
    assert pred.grad is not None and (pred.grad[..., 5:15, 10] > 0).all()


def test_valleys_are_ridges_turned_over() -> None:
    pred, target = ring(weak=0.5, noise=0.05), true_ring()
    ridges = MorseSkeletonLoss(min_persistence=0.1, base=square)(pred, target)
    torch.testing.assert_close(
        MorseSkeletonLoss(min_persistence=0.1, superlevel=False, base=square)(-pred, -target), ridges
    )


def test_descent_closes_the_ring() -> None:
    pred, target = ring(weak=0.2, noise=0.05).requires_grad_(), true_ring()
    loss_fn = MorseSkeletonLoss(min_persistence=0.1, base=square)
    first = float(loss_fn(pred.detach(), target))
    for _ in range(200):
        (grad,) = torch.autograd.grad(loss_fn(pred, target), pred)
        with torch.no_grad():
            pred -= 20 * grad
    assert float(loss_fn(pred.detach(), target)) < 0.1 * first
    loops = gpuph.persistence(-pred.detach()[:, 0], (1,), "V")[1]
    assert float(loops.birth[0, 0]) < -0.8


def test_windows_and_reductions() -> None:
    generator = torch.Generator().manual_seed(0)
    pred, target = torch.rand(2, 2, 1, 30, 40, generator=generator)
    values = MorseSkeletonLoss(window=16, reduction="none")(pred, target)
    assert values.shape == (2, 6)
    torch.testing.assert_close(values[1, 5], MorseSkeletonLoss()(pred[1:, :, 14:, 24:], target[1:, :, 14:, 24:]))
    torch.testing.assert_close(MorseSkeletonLoss(window=16)(pred, target), values.mean())
    torch.testing.assert_close(MorseSkeletonLoss(window=16, reduction="sum")(pred, target), values.sum())


@pytest.mark.parametrize("shape", [(9, 8), (5, 4, 6)], ids=str)
def test_gradcheck(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    pred, target = 0.1 + 0.8 * torch.rand(2, 1, 1, *shape, generator=generator, dtype=torch.float64)
    loss = MorseSkeletonLoss(min_persistence=0.1, manifolds=(1,) if len(shape) == 2 else (1, 2), window=6)
    assert torch.autograd.gradcheck(loss, (pred.requires_grad_(), target), eps=1e-7, atol=1e-5)


def test_membranes_in_a_volume() -> None:
    p = torch.zeros(1, 1, 8, 9, 10)
    p[..., 3:6, :, :] = torch.tensor([0.4, 0.9, 0.4])[:, None, None]
    p = p + 0.02 * torch.rand(p.shape, generator=torch.Generator().manual_seed(0))
    target = (p > 0.6).float()
    pred = p.clone()
    pred[..., 4, 3:6, 4:7] *= 0.5
    pred.requires_grad_()
    MorseSkeletonLoss(min_persistence=0.1, manifolds=(2,))(pred, target).backward()
    assert pred.grad is not None and (pred.grad[..., 4, 4, 5] < 0).all()


def test_half_precision_strides_and_no_images() -> None:
    pred, target = ring(weak=0.3), true_ring()
    half = pred.half().requires_grad_()
    loss = MorseSkeletonLoss()(half, target)
    loss.backward()
    assert loss.dtype == torch.float32 and half.grad is not None and half.grad.dtype == torch.float16
    wide = torch.stack((pred, pred), dim=-1)[..., 0]
    assert not wide.is_contiguous() and torch.equal(
        MorseSkeletonLoss()(wide, target), MorseSkeletonLoss()(pred, target)
    )
    nothing = torch.zeros(0, 1, 70, 40, requires_grad=True)
    assert MorseSkeletonLoss(reduction="none")(nothing, nothing).shape == (0, 2)


def test_traces_under_compile_without_a_graph_break() -> None:
    pred, target = ring(weak=0.3, noise=0.05).requires_grad_(), true_ring()
    loss = torch.compile(MorseSkeletonLoss(), backend="aot_eager", fullgraph=True)(pred, target)
    loss.backward()
    torch.testing.assert_close(loss, MorseSkeletonLoss()(pred, target))
    assert pred.grad is not None and pred.grad.any()


def test_cross_entropy_is_taken_outside_of_autocast(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU, autocast refuses it."""

    def outside(p: Tensor, t: Tensor, reduction: str) -> Tensor:
        assert not torch.is_autocast_enabled("cpu")
        return binary_cross_entropy(p, t, reduction=reduction)

    monkeypatch.setattr("gpuph.losses.morse.binary_cross_entropy", outside)
    pred, target = ring(weak=0.3), true_ring()
    loss = MorseSkeletonLoss()(pred, target)
    with torch.autocast("cpu", torch.bfloat16):
        assert MorseSkeletonLoss()(pred, target) == loss


def test_module_can_be_saved() -> None:
    loss_fn = pickle.loads(pickle.dumps(MorseSkeletonLoss(min_persistence=0.2, base=square)))
    assert loss_fn(ring(weak=0.3), true_ring()) == MorseSkeletonLoss(min_persistence=0.2, base=square)(
        ring(weak=0.3), true_ring()
    )


def test_bad_arguments_are_named() -> None:
    for manifolds in ((), (0,), (1, 1), (3,)):
        with pytest.raises(ValueError, match="manifolds must be 1, 2 or both, got"):
            MorseSkeletonLoss(manifolds=manifolds)
    with pytest.raises(TypeError, match="manifolds must be a sequence of ints, got 1"):
        MorseSkeletonLoss(manifolds=1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"min_persistence must be a number of 0 or more, got -1\.0"):
        MorseSkeletonLoss(min_persistence=-1.0)
    pred, target = ring(), true_ring()
    with pytest.raises(ValueError, match=r"manifolds must be \(1,\) for images"):
        MorseSkeletonLoss(manifolds=(1, 2))(pred, target)
    with pytest.raises(ValueError, match=r"base must give one value per pixel, shape \(1, 24, 24\), got \(\)"):
        MorseSkeletonLoss(base=mse_loss)(pred, target)
    with pytest.raises(ValueError, match="pred must have no NaN, but its window 0 has one"):
        MorseSkeletonLoss()(pred * float("nan"), target)
