"""Regions of interest: what the losses do with pixels that a mask leaves out."""

from __future__ import annotations

import functools
import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

import gpuph
from gpuph import LikelihoodPHLoss, OneVsRest, TopoLoss, hints
from support.classes import LOSSES, OF_DISTANCES, OF_MASKS, gradient, inputs_of, masks_of, some_labels

pytestmark = pytest.mark.filterwarnings("ignore:target must be a distance map")  # random masks are unlike curves

SHAPES = [(2, 1, 17, 21), (2, 1, 9, 8, 11)]
SHAPE = SHAPES[0]


def field_of_view(shape: tuple[int, ...]) -> Tensor:
    """Return a ball in the middle of each image, as microscopes and fundus cameras see one."""
    axes = torch.meshgrid(*(torch.linspace(-1, 1, size) for size in shape[2:]), indexing="ij")
    return (torch.stack(axes).norm(dim=0) < 0.9).expand(shape)


def blob(shape: tuple[int, ...]) -> Tensor:
    """Leave out a part of the last image."""
    mask = torch.ones(shape, dtype=torch.bool)
    mask[-1, :, 2:6, 3:7] = False
    return mask


def windows(shape: tuple[int, ...]) -> Tensor:
    """Leave out the first window of 8 pixels, and all of the last image."""
    mask = torch.ones(shape, dtype=torch.bool)
    mask[:, :, :8, :8] = mask[-1] = False
    return mask


REGIONS = {"field of view": field_of_view, "blob": blob, "whole windows": windows}


def called(loss_fn: Any, pred: Tensor, others: list[Tensor], mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the loss and its gradient."""
    torch.manual_seed(5)
    loss = loss_fn(pred, *others, mask=mask)
    return loss, gradient(loss, pred)


@pytest.mark.parametrize("kind", REGIONS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", LOSSES)
def test_loss_does_not_depend_on_the_prediction_outside(name: str, shape: tuple[int, ...], kind: str) -> None:
    (pred, *others), mask = inputs_of(name, shape), REGIONS[kind](shape)
    loss_fn = LOSSES[name](reduction="none")
    loss, slopes = called(loss_fn, pred, others, mask)
    assert loss.isfinite().all() and slopes.isfinite().all() and not slopes[~mask].any()
    assert slopes.any() or (name == "ConnectivityLoss" and len(shape) == 5)  # noise has no regions there
    for other in (0.0, 1.0, torch.rand(shape), -1e30, math.inf, math.nan):
        changed = torch.where(mask, pred.detach(), torch.as_tensor(other)).requires_grad_()
        again, its_slopes = called(loss_fn, changed, others, mask)
        assert torch.equal(again, loss) and torch.equal(its_slopes, slopes)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", LOSSES)
def test_prediction_outside_is_the_truth_or_background(name: str, shape: tuple[int, ...]) -> None:
    (pred, *others), mask = inputs_of(name, shape), field_of_view(shape)
    filled = pred.detach().where(mask, others[0].to(pred.dtype) if others else torch.zeros(())).requires_grad_()
    loss_fn = LOSSES[name](reduction="none")
    found, expected = called(loss_fn, pred, others, mask), called(loss_fn, filled, others, None)
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], gradient(expected[0], filled).where(mask, 0.0))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("name", LOSSES)
def test_mask_of_the_whole_image_changes_no_bit(name: str, dtype: torch.dtype) -> None:
    pred, *others = inputs_of(name, SHAPE, dtype)
    loss_fn = LOSSES[name](reduction="none")
    expected = called(loss_fn, pred, others, None)
    for mask in (torch.ones(SHAPE, dtype=torch.bool), torch.tensor(True)):
        for found, right in zip(called(loss_fn, pred, others, mask), expected, strict=True):
            assert torch.equal(found, right)


@pytest.mark.parametrize("name", LOSSES)
def test_image_that_is_wholly_outside_has_no_gradient(name: str) -> None:
    pred, *others = inputs_of(name, SHAPE)
    mask = torch.zeros(SHAPE, dtype=torch.bool)
    pred = (pred.detach() * math.nan).requires_grad_()
    loss, slopes = called(LOSSES[name](), pred, others, mask)
    assert loss.isfinite() and not slopes.any()
    if "Connectivity" not in name and name != "BettiPriorLoss":  # these do not vanish for a perfect prediction
        assert loss == 0.0


@pytest.mark.parametrize("name", LOSSES)
def test_mask_broadcasts_over_images_channels_and_axes(name: str) -> None:
    shape = SHAPES[1]
    pred, *others = inputs_of(name, shape)
    plane = torch.rand(shape[-2:], generator=torch.Generator().manual_seed(0)) < 0.8
    loss_fn = LOSSES[name](reduction="none")
    expected = called(loss_fn, pred, others, plane.expand(shape))
    for mask in (plane, plane[None], plane[None, None, None], plane.expand(shape[2:]), plane.expand(1, *shape[1:])):
        found = called(loss_fn, pred, others, mask)
        assert torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1])


def curve(*, gap: slice | None = None) -> Tensor:
    """Return the distance map of a road across the window, perhaps with a gap."""
    road = torch.zeros(1, 1, 64, 64, dtype=torch.bool)
    road[..., 32, :] = True
    if gap:
        road[..., gap] = False
    return gpuph.truncated_distance_map(road, 20.0)


def test_gap_outside_costs_nothing_and_a_gap_inside_costs_the_same_wherever_the_region_ends() -> None:
    """The road is whole where it is not seen, so that the gap still opens the loop that the frame closes."""
    loss_fn = gpuph.DistancePHLoss()
    mask = torch.ones(1, 1, 64, 64, dtype=torch.bool)
    mask[..., 40:] = False
    assert loss_fn(curve(gap=slice(45, 55)), curve()) == 25.0
    assert loss_fn(curve(gap=slice(46, 54)), curve(), mask) == 0.0
    assert loss_fn(curve(gap=slice(10, 20)), curve(), mask) == 25.0


def test_ignored_pixels_make_no_holes() -> None:
    """An ignored spot on a road, or beside it, is no hole in the object and no object in the background."""
    target = curve()
    for rows in (slice(30, 35), slice(10, 15)):
        mask = torch.ones(1, 1, 64, 64, dtype=torch.bool)
        mask[..., rows, 20:25] = False
        assert gpuph.LocalizedPHLoss(dims=(0, 1))(target.masked_fill(~mask, math.nan), target, mask) == 0.0


def test_betti_numbers_are_those_inside_the_region() -> None:
    pred = torch.zeros(1, 1, 9, 9)
    pred[..., 1, 1] = pred[..., 7, 7] = 1.0
    mask = torch.ones(1, 1, 9, 9, dtype=torch.bool)
    mask[..., 5:, 5:] = False
    loss_fn = gpuph.BettiPriorLoss({0: 1})
    assert loss_fn(pred) == 1.0 and loss_fn(pred, mask) == 0.0 and loss_fn(pred.masked_fill(~mask, math.nan), mask) == 0


@pytest.mark.parametrize("name", OF_MASKS)
def test_labels_to_ignore_and_nan_of_a_true_mask_are_background(name: str) -> None:
    (pred, target), mask = inputs_of(name, SHAPE), blob(SHAPE)
    loss_fn = LOSSES[name]()
    expected = called(loss_fn, pred, [target & mask], mask)
    unknown: list[Tensor] = [
        target.byte().masked_fill(~mask, 255),
        target.long().masked_fill(~mask, -1),
        target.float().masked_fill(~mask, math.nan),
    ]
    for truth in unknown:
        found = called(loss_fn, pred, [truth], mask)
        assert torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1])
        with pytest.raises(ValueError, match="target must"):
            loss_fn(pred, truth)


@pytest.mark.parametrize("name", OF_DISTANCES)
def test_nan_of_a_true_distance_map_is_its_largest_value(name: str) -> None:
    (pred, target), mask = inputs_of(name, SHAPE), blob(SHAPE)
    target[0] /= 2  # the largest value is that of the image
    loss_fn = LOSSES[name]()
    largest = target.masked_fill(~mask, -math.inf).amax(dim=(1, 2, 3), keepdim=True)
    expected = called(loss_fn, pred, [target.where(mask, largest)], mask)
    found = called(loss_fn, pred, [target.masked_fill(~mask, math.nan)], mask)
    assert torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1])
    with pytest.raises(ValueError, match="target must have no NaN"):
        loss_fn(pred, target * math.nan, mask)
    assert loss_fn(pred, target * math.nan, mask & False).isfinite()


@pytest.mark.parametrize("activation", [{}, {"softmax": True}, {"sigmoid": True}])
@pytest.mark.parametrize("shape", [(2, 3, 17, 21), (2, 2, 9, 8, 11)])
@pytest.mark.parametrize("name", OF_MASKS)
def test_mask_equals_an_ignored_label(name: str, shape: tuple[int, ...], activation: dict[str, bool]) -> None:
    (pred, _), labels, mask = inputs_of(name, shape), some_labels(shape), blob(shape)[:, :1]
    labels = labels.masked_fill(~mask, 255)
    settings: dict[str, Any] = {"to_onehot_y": True, "reduction": "none", **activation}
    make = functools.partial(OneVsRest, LOSSES[name]())
    expected = called(make(ignore_index=255, **settings), pred, [labels], None)
    masks = masks_of(labels, shape[1])
    del settings["to_onehot_y"]
    cases = [
        called(make(to_onehot_y=True, **settings), pred, [labels], mask),
        called(make(to_onehot_y=True, ignore_index=255, **settings), pred, [labels], mask),
        called(make(**settings), pred, [masks], mask),
        called(make(**settings), pred, [masks.byte().masked_fill(~mask, 255)], mask),
    ]
    for found in cases:
        assert torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1])


@pytest.mark.parametrize("name", LOSSES)
def test_region_of_several_classes_is_that_of_each(name: str) -> None:
    shape = (2, 3, 17, 21)
    (pred, *others), mask = inputs_of(name, shape), field_of_view(shape)[:, :1]
    values, slopes = called(OneVsRest(LOSSES[name](), reduction="none"), pred, [*others] if others else [None], mask)  # type: ignore[list-item]
    assert not slopes[~mask.expand(shape)].any()
    for i in range(shape[1]):
        alone = [x[:, i : i + 1] for x in (pred, *others)]
        torch.manual_seed(5)
        assert torch.equal(values[:, i], LOSSES[name](reduction="none")(*alone, mask=mask))


def test_mask_and_ignored_label_leave_out_both() -> None:
    shape = (2, 3, 17, 21)
    (pred, _), labels, mask = inputs_of("TopoLoss", shape), some_labels(shape), blob(shape)[:, :1]
    labels[:, :, 10:14, 10:14] = 255
    loss_fn = OneVsRest(TopoLoss(window=8), to_onehot_y=True, ignore_index=255)
    _, slopes = called(loss_fn, pred, [labels], mask)
    outside = (labels == 255) | ~mask
    assert slopes.any() and not slopes[outside.expand(shape)].any()
    with pytest.raises(ValueError, match="target must hold the labels of 3 classes"):
        OneVsRest(TopoLoss(window=8), to_onehot_y=True)(pred, labels, mask)


def test_values_outside_cause_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hints, "_given", set())
    (pred, target), mask = inputs_of("TopoLoss", SHAPE), blob(SHAPE)
    TopoLoss()(pred.where(mask, 9.0), target, mask)
    assert not hints._given
    with pytest.warns(UserWarning, match="pred must hold probabilities"):
        TopoLoss()(pred.where(mask, 9.0), target)


@pytest.mark.slow
@pytest.mark.parametrize("name", LOSSES)
def test_masked_loss_compiles_into_one_graph(name: str) -> None:
    torch._dynamo.reset()  # else, the modules of all tests count as compilations of one function
    (pred, *others), mask = inputs_of(name, SHAPE), field_of_view(SHAPE)
    loss_fn = LOSSES[name]().eval()  # random heights are drawn by other operators under tracing
    expected = called(loss_fn, pred, others, mask)
    compiled = torch.compile(loss_fn, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(called(compiled, pred, others, mask), expected)


@pytest.mark.parametrize("name", sorted(LOSSES.keys() - {"MorseSkeletonLoss"}))  # PyTorch has no autocast for "meta"
def test_masked_loss_runs_where_no_data_can_be_read(name: str) -> None:
    maps, mask = [x.detach().to("meta") for x in inputs_of(name, SHAPE)], field_of_view(SHAPE).to("meta")
    maps[0].requires_grad_()
    loss = LOSSES[name]()(*maps, mask=mask)
    loss.backward()
    assert loss.shape == () and maps[0].grad is not None


@pytest.mark.parametrize("name", LOSSES)
def test_masked_loss_can_be_checkpointed(name: str) -> None:
    (pred, *others), mask = inputs_of(name, SHAPE), field_of_view(SHAPE)
    loss_fn = LOSSES[name]()
    expected = called(loss_fn, pred, others, mask)
    found = called(functools.partial(checkpoint, loss_fn, use_reentrant=False), pred, others, mask)
    assert torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1])


@pytest.mark.parametrize("name", LOSSES)
def test_half_precision_has_the_masked_loss_of_float32(name: str) -> None:
    (pred, *others), mask = inputs_of(name, SHAPE, torch.float16), field_of_view(SHAPE)
    fine = pred.detach().float().requires_grad_()
    loss, slopes = called(LOSSES[name](), pred, others, mask)
    expected, fine_slopes = called(LOSSES[name](), fine, others, mask)
    assert torch.equal(loss, expected) and slopes.dtype == torch.float16 and torch.equal(slopes, fine_slopes.half())


def test_no_images_have_no_region() -> None:
    nothing = torch.zeros(0, 1, 17, 21, requires_grad=True)
    mask = torch.ones(0, 1, 17, 21, dtype=torch.bool)
    for loss_fn in (gpuph.LocalizedPHLoss(reduction="sum"), LikelihoodPHLoss(reduction="sum")):
        loss_fn(nothing, nothing.detach(), mask).backward()
        loss_fn(nothing, nothing.detach(), mask[:, 0, 0, 0].view(0, 1, 1, 1))


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        (torch.ones(SHAPE), TypeError, r"mask must be a bool tensor, .* got torch\.float32; mask != 0 makes one"),
        (torch.ones(SHAPE, dtype=torch.uint8), TypeError, r"mask must be a bool tensor, .* got torch\.uint8"),
        (True, TypeError, "mask must be a bool tensor or None, got True"),
        (torch.ones(SHAPE).bool().numpy(), TypeError, "mask must be a bool tensor or None, got ndarray of shape"),
        (torch.ones(SHAPE).bool()[..., :5], ValueError, r"mask must have the shape \(2, 1, 17, 21\), or one that"),
        (torch.ones(SHAPE).bool()[:, 0], ValueError, r"that broadcasts to it, got \(2, 17, 21\)"),
        (torch.ones(SHAPE).bool().expand(2, 3, 17, 21), ValueError, "mask must have the shape"),
        (torch.ones(1, *SHAPE).bool(), ValueError, "mask must have the shape"),
        (torch.ones(SHAPE).bool().to("meta"), ValueError, "mask must be on pred's device cpu, got meta"),
        (torch.ones(SHAPE).bool().to_sparse(), TypeError, "mask must be a dense tensor"),
    ],
    ids=["float", "bytes", "bool", "array", "size", "without channel", "channels", "rank", "device", "sparse"],
)
@pytest.mark.parametrize("name", LOSSES)
def test_mask_that_does_not_fit_is_named(name: str, mask: Any, error: type[Exception], message: str) -> None:
    pred, *others = inputs_of(name, SHAPE)
    with pytest.raises(error, match=message):
        LOSSES[name]()(pred, *others, mask=mask)
    with pytest.raises(error, match="mask must"):
        OneVsRest(LOSSES[name]())(pred, *(others or [None]), mask=mask)
