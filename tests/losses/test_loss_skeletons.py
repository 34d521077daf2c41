"""Losses on skeletons: MONAI's values, references in NumPy, and what the skeletons of tubes preserve."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation, distance_transform_edt, generate_binary_structure, label
from torch import Tensor

import gpuph
from gpuph import CbDiceLoss, SkeletonRecallLoss, SoftClDiceLoss, skeleton_tubes
from gpuph.losses.soft_skeleton import soft_skeleton

monai_losses = pytest.importorskip("monai.losses", reason="MONAI is the reference")

LOSSES = (SoftClDiceLoss, CbDiceLoss, SkeletonRecallLoss)
SHAPES = ((2, 1, 21, 18), (2, 1, 9, 10, 11), (1, 1, 1, 7), (1, 1, 1, 1))


def maps(shape: tuple[int, ...], seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Return smooth probabilities, about half of them above 0.5, and a mask of blobs."""
    generator = torch.Generator().manual_seed(seed)
    pool = torch.nn.functional.avg_pool2d if len(shape) == 4 else torch.nn.functional.avg_pool3d
    noise = [pool(torch.randn(shape, generator=generator, dtype=torch.float64), 3, 1, 1) for _ in range(2)]
    return (4.0 * noise[0]).sigmoid().to(dtype), noise[1] > 0.0


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("iterations", [0, 3])
def test_soft_cldice_and_its_gradient_are_those_of_monai(shape, iterations):
    pred, target = maps(shape)
    pred.requires_grad_()
    ours = SoftClDiceLoss(iterations=iterations, smooth=0.5, reduction="none")(pred, target)[:, 0]
    reference = monai_losses.SoftclDiceLoss(
        iter_=iterations, smooth_nr=0.5, smooth_dr=0.5, smooth=1e-14, reduction="none"
    )
    theirs = reference(pred, target.double())
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    of_ours, of_theirs = (torch.autograd.grad(loss.sum(), pred)[0] for loss in (ours, theirs))
    torch.testing.assert_close(of_ours, of_theirs, rtol=1e-12, atol=1e-12)


def cb_dice(pred: np.ndarray, target: np.ndarray, iterations: int, smooth: float) -> float:
    """Return the loss of one image, by the definitions, pixel by pixel."""
    rank = pred.ndim
    objects = []
    for x in (pred, target):
        skeleton = soft_skeleton(torch.from_numpy((x > 0.5).astype(float))[None], iterations)[0].numpy() > 0
        everywhere = np.full(x.shape, math.hypot(*x.shape))  # without a boundary
        distance = everywhere if (x > 0.5).all() else distance_transform_edt(x > 0.5)
        largest = max((distance * skeleton).max(), 1.0)
        objects.append((x, skeleton, distance, largest))
    ratios = []
    for (x, skeleton, distance, largest), (y, other, depth, deepest) in (objects, objects[::-1]):
        found = possible = smooth
        for i in np.argwhere(skeleton).tolist():
            at = tuple(i)
            centre = ((largest - distance[at] + 1) / largest) ** (1 if rank == 2 else 2) * x[at]
            found += centre * min(depth[at] / deepest, 1.0) * y[at]
            radius = depth[at] / deepest * y[at] if other[at] else distance[at] / largest * x[at]
            possible += centre * radius
        ratios.append(found / possible)
    return 1.0 - 2.0 * ratios[0] * ratios[1] / (ratios[0] + ratios[1])


@pytest.mark.parametrize("shape", SHAPES)
def test_cbdice_is_that_of_its_definition(shape):
    pred, target = maps(shape, 1)
    found = CbDiceLoss(iterations=4, smooth=0.5, reduction="none")(pred, target)[:, 0]
    expected = [cb_dice(p.numpy(), t.double().numpy(), 4, 0.5) for p, t in zip(pred[:, 0], target[:, 0], strict=True)]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)  # distances are float32


@pytest.mark.parametrize("shape", SHAPES)
def test_skeleton_recall_is_the_mean_probability_in_the_tubes(shape):
    pred, target = maps(shape, 2)
    tubes = skeleton_tubes(target)
    expected = 1 - ((pred * tubes).flatten(1).sum(1) + 0.5) / (tubes.flatten(1).sum(1) + 0.5)
    for truth, skeletonize in ((target, True), (tubes, False), (tubes.float(), False)):
        found = SkeletonRecallLoss(smooth=0.5, skeletonize=skeletonize, reduction="none")(pred, truth)[:, 0]
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("radius", [0, 1, 2])
def test_tubes_have_the_components_of_the_mask_and_stay_inside(shape, radius):
    _, mask = maps(shape, 3)
    tubes, thin = skeleton_tubes(mask, radius), skeleton_tubes(mask, 0)
    assert tubes.dtype == torch.bool and tubes.shape == mask.shape and not (tubes & ~mask).any()
    cross = generate_binary_structure(len(shape) - 2, 1)
    for found, skeleton, whole in zip(tubes[:, 0].numpy(), thin[:, 0].numpy(), mask[:, 0].numpy(), strict=True):
        if radius:
            assert (found == (binary_dilation(skeleton, cross, radius) & whole)).all()
        every = np.ones((3,) * whole.ndim)
        assert label(found, every)[1] == label(whole, every)[1]


def test_tubes_of_noise_have_its_components():
    """Objects touch across corners and at the rim of the image, where skeletons run between pixels."""
    for shape in ((4, 1, 20, 21), (4, 1, 9, 8, 11)):
        mask = torch.rand(shape, generator=torch.Generator().manual_seed(0)) > 0.6
        for found, whole in zip(skeleton_tubes(mask, 0)[:, 0].numpy(), mask[:, 0].numpy(), strict=True):
            every = np.ones((3,) * whole.ndim)
            assert label(found, every)[1] == label(whole, every)[1] and not (found & ~whole).any()


def test_thick_objects_have_thin_skeletons():
    mask = torch.zeros(1, 1, 30, 60, dtype=torch.bool)
    mask[..., 5:16, :] = True
    assert skeleton_tubes(mask, radius=0)[0, 0, :, 20:40].sum(dim=0).max() == 1


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("shape", [(2, 1, 5, 4), (1, 1, 3, 4, 3)])
def test_gradients_are_derivatives(kind, shape):
    pred, target = maps(shape, 4)
    assert torch.autograd.gradcheck(lambda p: kind(reduction="none")(p, target), pred.requires_grad_())


@pytest.mark.parametrize("kind", LOSSES)
def test_loss_is_0_for_the_truth_and_of_anything_without_an_object(kind):
    _, target = maps((3, 1, 40, 40), 5)
    assert kind()(target.double(), target).abs() < 1e-6
    nothing = torch.zeros(2, 1, 8, 8)
    assert kind()(nothing, nothing.bool()) == 0.0 and kind()(nothing[:0], nothing[:0]).isnan()
    missed = kind()(torch.zeros(3, 1, 40, 40), target)
    assert 0.5 < missed < 1.0


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(kind, dtype):
    pred, target = maps((2, 1, 16, 16), 6, dtype)
    pred.requires_grad_()
    loss = kind()(pred, target)
    loss.backward()
    assert loss.dtype == torch.float32 and pred.grad is not None and pred.grad.dtype == dtype
    assert torch.equal(loss.detach(), kind()(pred.detach().float(), target))


@pytest.mark.parametrize("kind", LOSSES)
def test_windows_are_compared_on_their_own(kind):
    pred, target = maps((2, 1, 16, 24), 7)
    found = kind(window=8, reduction="none")(pred, target)
    parts = [
        kind()(pred[i : i + 1, :, y : y + 8, x : x + 8], target[i : i + 1, :, y : y + 8, x : x + 8])
        for i in (0, 1)
        for y in (0, 8)
        for x in (0, 8, 16)
    ]
    torch.testing.assert_close(found.flatten(), torch.stack(parts))


@pytest.mark.parametrize("kind", LOSSES)
def test_nothing_outside_the_region_matters(kind):
    pred, target = maps((2, 1, 20, 20), 8)
    mask = torch.zeros(2, 1, 20, 20, dtype=torch.bool)
    mask[..., 4:, 3:15] = True
    other = pred.where(mask, torch.nan)
    pred.requires_grad_()
    loss = kind()(pred, target, mask)
    loss.backward()
    assert torch.equal(loss.detach(), kind()(other, target, mask)) and (pred.grad[~mask] == 0).all()


@pytest.mark.parametrize("kind", LOSSES)
def test_wrong_inputs_raise_or_warn(kind, monkeypatch):
    pred, target = maps((2, 1, 12, 12), 9)
    with pytest.raises(ValueError, match="smooth must be a positive number"):
        kind(smooth=0.0)
    with pytest.raises(ValueError, match="pred must have no NaN"):
        kind()(pred.masked_fill(target, torch.nan), target)
    with pytest.raises(ValueError, match="target must be a mask of 0 and 1"):
        kind()(pred, target.long() * 255)
    monkeypatch.setattr(gpuph.hints, "_given", set())
    with pytest.warns(UserWarning, match="These look like logits"):
        kind()(pred.logit(), target)


@pytest.mark.slow
@pytest.mark.parametrize("kind", LOSSES)
def test_losses_compile_without_graph_breaks(kind):
    pred, target = maps((2, 1, 12, 12), 10)
    loss_fn = kind()
    compiled = torch.compile(loss_fn, fullgraph=True, backend="aot_eager")
    x, y = (pred.clone().requires_grad_() for _ in range(2))
    expected, found = loss_fn(x, target), compiled(y, target)
    expected.backward()
    found.backward()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(y.grad, x.grad)


def test_curve_pixels_pass_opcheck():
    _, mask = maps((2, 1, 12, 12), 11)
    torch.library.opcheck(torch.ops.gpuph.curve_pixels.default, (mask[:, 0],))
    torch.library.opcheck(torch.ops.gpuph.curve_pixels.default, (mask[:, 0, ::2, 1::3],))


@pytest.mark.parametrize("mask", [torch.zeros(1, 1, 4, 4), torch.zeros(1, 2, 4, 4, dtype=torch.bool)])
def test_tubes_of_other_tensors_than_masks_raise(mask):
    with pytest.raises(ValueError, match="mask must be bool of shape"):
        skeleton_tubes(mask)
