"""Labels, masks of classes and ignored pixels, with the meaning that MONAI gives to them."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor

from gpuph import LikelihoodPHLoss, OneVsRest, TopoLoss
from gpuph.losses import Compared, Maps, WindowLoss
from support.classes import (
    ACTIVATIONS,
    OF_MASKS,
    SHAPE,
    gradient,
    inputs_of,
    masks_of,
    some_labels,
)

pytestmark = pytest.mark.filterwarnings("ignore:target must be a distance map")  # random masks are unlike curves


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int32, torch.int64, torch.float16, torch.float64])
@pytest.mark.parametrize("shape", [(2, 3, 17, 21), (3, 2, 9, 8, 11)])
@pytest.mark.parametrize("name", OF_MASKS)
def test_labels_are_the_masks_of_their_classes(name: str, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    (pred, _), labels = inputs_of(name, shape), some_labels(shape)
    expected = OneVsRest(OF_MASKS[name](), reduction="none")(pred, masks_of(labels, shape[1]).float())
    found = OneVsRest(OF_MASKS[name](), to_onehot_y=True, reduction="none")(pred, labels.to(dtype))
    assert torch.equal(found, expected)
    if dtype not in (torch.float16, torch.float64):
        whole = OneVsRest(OF_MASKS[name](), reduction="none")(pred, masks_of(labels, shape[1]).to(dtype))
        assert torch.equal(whole, expected)


def test_booleans_are_labels_of_two_classes() -> None:
    shape = (2, 2, 17, 21)
    (pred, _), labels = inputs_of("TopoLoss", shape), some_labels(shape)
    loss_fn = OneVsRest(TopoLoss(), to_onehot_y=True)
    assert torch.equal(loss_fn(pred, labels.bool()), loss_fn(pred, labels))


class SoftDice(WindowLoss):
    """Dice of whole images, as MONAI defines it."""

    takes_masks = True

    def compare(self, maps: Maps) -> Compared:
        p, t = (x.flatten(1) for x in maps.windows())
        return Compared(1 - (2 * (p * t).sum(1) + 1e-5) / (p.sum(1) + t.sum(1) + 1e-5))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weight", [None, 0.5, (2.0, 0.5)])
@pytest.mark.parametrize("ignored", [None, -1, 7])
@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("activation", [None, *ACTIVATIONS])
def test_settings_mean_what_they_mean_in_monai(
    activation: str | None, labelled: bool, ignored: int | None, weight: Any, reduction: str
) -> None:
    losses = pytest.importorskip("monai.losses")
    shape = (2, 3, 17, 21)
    pred = torch.randn(shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    target = some_labels(shape)
    if ignored is not None:
        target[..., 3:9, 4:15] = ignored
    target = target if labelled else masks_of(target, 3).float()
    for include in (True, False) if not isinstance(weight, tuple) else (False,):
        settings = {
            "include_background": include,
            "to_onehot_y": labelled,
            "weight": weight,
            "ignore_index": ignored,
            "reduction": reduction,
            **(ACTIVATIONS[activation][0] if activation else {}),
        }
        found = OneVsRest(SoftDice(), **settings)(pred, target)
        expected = losses.DiceLoss(**settings)(pred, target).view(found.shape)
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(gradient(found, pred), gradient(expected, pred))


def test_ignored_class_counts_in_no_other_class_as_in_monai() -> None:
    losses = pytest.importorskip("monai.losses")
    (pred, _), labels = inputs_of("TopoLoss"), some_labels(SHAPE)
    settings: dict[str, Any] = {"to_onehot_y": True, "ignore_index": 1, "reduction": "none"}
    found = OneVsRest(SoftDice(), **settings)(pred, labels)
    expected = losses.DiceLoss(**settings)(pred, labels).view(found.shape)
    torch.testing.assert_close(found[:, [0, 2]], expected[:, [0, 2]])


def ignoring(case: str, pred: Tensor) -> tuple[dict[str, Any], Tensor, Tensor, Tensor]:
    """Return settings, a target, the masks that it stands for, and the ignored pixels (B, 1, *image)."""
    region = torch.zeros_like(pred[:, :1], dtype=torch.bool)
    region[..., 3:12, 2:7] = True
    labels = some_labels(tuple(pred.shape))
    masks = masks_of(labels, pred.shape[1])
    if case in ("label 255", "label -1 beside bytes"):
        index = 255 if case == "label 255" else -1
        labels = labels.masked_fill(region, index)
        masks = masks & ~region
        return {"to_onehot_y": True, "ignore_index": index}, labels, masks, region
    if case == "label of a class":
        return {"to_onehot_y": True, "ignore_index": 1}, labels.byte(), masks, labels == 1
    if case == "channel of a class":
        return {"ignore_index": 1}, masks, masks, labels == 1
    return {"ignore_index": 255}, masks & ~region, masks & ~region, region  # pixels without a class


@pytest.mark.parametrize(
    "case", ["label 255", "label -1 beside bytes", "label of a class", "channel of a class", "no channel"]
)
@pytest.mark.parametrize("activation", [None, "softmax", "sigmoid"])
@pytest.mark.parametrize("name", OF_MASKS)
def test_loss_does_not_depend_on_the_prediction_at_ignored_pixels(name: str, activation: str | None, case: str) -> None:
    pred = torch.rand(2, 3, 17, 21, generator=torch.Generator().manual_seed(3))
    settings, target, masks, ignored = ignoring(case, pred)
    settings["reduction"] = "none"
    if activation:
        settings[activation] = True
    pred.requires_grad_()
    loss_fn = OneVsRest(OF_MASKS[name](), **settings)
    loss = loss_fn(pred, target)
    slopes = gradient(loss, pred)
    assert slopes.any() and not slopes[ignored.expand_as(slopes)].any() and slopes.isfinite().all()
    for other in (0.0, 1.0, torch.rand(pred.shape), 1e30, float("inf"), float("nan")):
        changed = torch.where(ignored, torch.as_tensor(other), pred.detach()).requires_grad_()
        again = loss_fn(changed, target)
        assert torch.equal(again, loss) and torch.equal(gradient(again, changed), slopes)
    activated = pred if activation is None else ACTIVATIONS[activation][1](pred)
    filled = torch.where(ignored, masks.float(), activated)
    assert torch.equal(loss, OneVsRest(OF_MASKS[name](), reduction="none")(filled, masks))


def test_label_of_one_channel_is_ignored() -> None:
    pred, mask = inputs_of("TopoLoss", (2, 1, 17, 21))
    target = mask.byte()
    target[..., 2:9, 3:9] = 255
    loss_fn = OneVsRest(TopoLoss(window=8), ignore_index=255)
    loss = loss_fn(pred, target)
    assert torch.equal(loss, TopoLoss(window=8)(pred.masked_fill(target == 255, 0.0), target == 1))
    slopes = gradient(loss, pred)
    assert slopes.any() and not slopes[target == 255].any()
    with pytest.raises(ValueError, match="target must be a mask of 0 and 1"):
        OneVsRest(TopoLoss(window=8))(pred, target)


def test_bytes_of_255_are_not_the_label_minus_one() -> None:
    pred, mask = inputs_of("TopoLoss", (1, 1, 9, 9))
    with pytest.raises(ValueError, match=r"target must be a mask of 0 and 1, got torch\.uint8 from 0 to 255"):
        OneVsRest(TopoLoss(), ignore_index=-1)(pred, 255 * mask.byte())


def test_prediction_equal_to_the_truth_elsewhere_costs_nothing() -> None:
    shape = (2, 3, 17, 21)
    labels = some_labels(shape)
    pred = masks_of(labels, 3).float()
    labels[..., 4:12, 5:16] = 255
    assert OneVsRest(LikelihoodPHLoss(), to_onehot_y=True, ignore_index=255)(pred, labels) == 0.0
    assert OneVsRest(LikelihoodPHLoss(), ignore_index=2)(1 - pred, pred) > 0.0


@pytest.mark.parametrize("label", [3, -1, 255, 1.5, float("nan"), float("inf")])
def test_label_of_no_class_raises_on_the_cpu_and_gives_nan_on_a_device(label: float) -> None:
    pred, _ = inputs_of("TopoLoss")
    labels = some_labels(SHAPE).to(torch.float32 if isinstance(label, float) else torch.int64)
    labels[1, 0, 3, 4] = label
    loss_fn = OneVsRest(TopoLoss(window=8), to_onehot_y=True, reduction="none")
    with pytest.raises(ValueError, match=f"target must hold the labels of 3 classes, from 0 to 2, got {label}"):
        loss_fn(pred, labels)
    with mock.patch("gpuph.debug.is_eager_cpu", lambda x: False):
        bad = loss_fn(pred, labels).isnan()
        assert bad[1, :, 0].all() and bad.sum() == 3
        again = OneVsRest(TopoLoss(window=8), to_onehot_y=True, ignore_index=0)(pred, labels)
        assert again.isnan()
