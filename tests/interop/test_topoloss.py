"""`getTopoLoss` against the published program, written again with GUDHI as it stands there."""

from __future__ import annotations

import gudhi
import numpy as np
import pytest
import torch
from torch import Tensor

from gpuph.interop.topoloss import getTopoLoss
from support import inputs

SHAPES = ((12, 17), (20, 9), (16, 16), (5, 31), (23, 23))


def bars(patch: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return flat indices (n, 2) of the bars of dimension 0 of 1 - patch, and whether there is a bar at all."""
    complex_ = gudhi.CubicalComplex(dimensions=[*patch.shape], top_dimensional_cells=(1 - patch).flatten())
    complex_.persistence(homology_coeff_field=2, min_persistence=0)
    pairs = complex_.cofaces_of_persistence_pairs()[0]
    return (pairs[0] if pairs else np.zeros((0, 2), int)), bool(pairs)


def published(logits: Tensor, mask: Tensor, size: int) -> tuple[Tensor, bool]:
    """Return the loss of one image, and whether it depends on the order of bars that end at one pixel."""
    p, total, ambiguous = logits.detach().sigmoid().numpy(), logits.new_zeros(()), False
    for y in range(0, p.shape[0], size):
        for x in range(0, p.shape[1], size):
            place = slice(y, y + size), slice(x, x + size)
            patch, flat, part = p[place], p[place].ravel(), logits[place].flatten()
            found, wanted = bars(patch), bars(mask[place].numpy())
            if mask[place].min() == 1 or mask[place].max() == 0 or not wanted[1]:
                continue
            length = ((1 - flat)[found[0][:, 1]] - (1 - flat)[found[0][:, 0]]) if len(found[0]) else np.zeros(0)
            order = np.argsort(-length, kind="stable")
            n = len(wanted[0])
            references: dict[int, float] = {}
            for birth, death in found[0][[i for i in order[:n] if length[i] <= np.float32(0.99)]]:
                references |= {birth: 0.0, death: 1.0}
            removed = found[0][[i for i in order[n:] if length[i] > np.float32(0.03)]]
            ambiguous |= len({*removed[:, 1].tolist()}) < len(removed)
            for birth, death in removed:
                references |= {birth: flat[death], death: flat[birth]}
            for pixel, reference in references.items():
                total = total + (part[int(pixel)] - float(reference)) ** 2
    return total, ambiguous


def example(shape: tuple[int, int], seed: int, kind: str = "noise") -> tuple[Tensor, Tensor]:
    logits = torch.from_numpy(inputs.image(kind, shape, seed)) * (3 if kind == "noise" else 12)
    return logits, torch.from_numpy(np.random.default_rng(seed).random(shape) < 0.3).long()


@pytest.mark.parametrize("size", [100, 8])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["noise", "smooth"])
def test_value_and_gradient_are_those_of_the_program(kind: str, shape: tuple[int, int], size: int) -> None:
    determined = 0
    for seed in range(5):
        logits, mask = example(shape, seed, kind)
        ours, theirs = (logits.clone().requires_grad_() for _ in range(2))
        loss, (expected, ambiguous) = getTopoLoss(ours, mask, size), published(theirs, mask, size)
        loss.backward()
        if expected.requires_grad:
            expected.backward()
        assert loss.dtype == torch.float32 and loss.shape == () and ours.grad is not None
        torch.testing.assert_close(loss, expected, rtol=1e-6, atol=1e-6)
        determined += not ambiguous
        if theirs.grad is not None:
            torch.testing.assert_close(ours.grad, theirs.grad)
    assert determined


def test_a_batch_is_the_sum_of_its_images() -> None:
    images = [example((12, 17), seed) for seed in range(4)]
    logits, masks = (torch.stack(each)[:, None] for each in zip(*images, strict=True))
    logits.requires_grad_()
    batch = getTopoLoss(logits, masks, 7)
    batch.backward()
    apart = [image.clone().requires_grad_() for image, _ in images]
    losses = [getTopoLoss(image, mask, 7) for image, (_, mask) in zip(apart, images, strict=True)]
    torch.testing.assert_close(batch, sum(losses))
    assert logits.grad is not None
    for i, (image, loss) in enumerate(zip(apart, losses, strict=True)):
        loss.backward()
        assert image.grad is not None and torch.equal(image.grad, logits.grad[i, 0])
    torch.testing.assert_close(getTopoLoss(logits[:1], images[0][1], 7), losses[0])
    torch.testing.assert_close(getTopoLoss(logits.squeeze(1), masks, 7), batch)


def test_patches_whose_mask_has_no_bar_cost_nothing() -> None:
    logits, _ = example((12, 17), 0)
    road = torch.zeros(12, 17)
    road[5] = 1.0
    for mask in (torch.zeros(12, 17), torch.ones(12, 17), road):
        pred = logits.clone().requires_grad_()
        loss = getTopoLoss(pred, mask)
        loss.backward()
        assert loss == 0.0 and pred.grad is not None and not pred.grad.any()
    assert getTopoLoss(torch.zeros(0, 1, 5, 5), torch.zeros(0, 1, 5, 5)) == 0.0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_loss_of_any_dtype_is_that_of_float32(dtype: torch.dtype) -> None:
    logits, mask = example((12, 17), 3)
    pred = logits.to(dtype).requires_grad_()
    loss = getTopoLoss(pred, mask.bool())
    loss.backward()
    assert loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(loss.float(), getTopoLoss(pred.detach().float(), mask))
    assert pred.grad is not None and pred.grad.dtype == dtype and pred.grad.any()


def test_wrong_arguments_are_named() -> None:
    logits, mask = example((6, 7), 0)
    with pytest.raises(TypeError, match=r"likelihood_tensor must be a torch\.Tensor, got"):
        getTopoLoss(logits.numpy(), mask)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"images of the same number and size, got the shapes \(6, 7\) and \(5, 7\)"):
        getTopoLoss(logits, mask[1:])
    with pytest.raises(ValueError, match=r"\(B, 1, H, W\), got \(1, 2, 6, 7\)"):
        getTopoLoss(logits.expand(1, 2, 6, 7), mask)
    with pytest.raises(ValueError, match="topo_size must be"):
        getTopoLoss(logits, mask, 0)
    with pytest.raises(ValueError, match="likelihood_tensor must have no NaN"):
        getTopoLoss(logits.masked_fill(logits == logits.max(), torch.nan), mask)
