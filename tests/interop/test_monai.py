"""Losses and metrics in MONAI's style have MONAI's settings, calls, values and reductions."""

from __future__ import annotations

from pathlib import Path

import monai.losses
import monai.metrics
import pytest
import torch
from monai.metrics.utils import do_metric_reduction

import gpuph
from gpuph.interop import monai as interop
from gpuph.interop.monai.metrics import REDUCTIONS
from gpuph.metrics import betti_error, betti_matching_error, ccq

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(2, 3, 24, 24, generator=GENERATOR)
LABELS = torch.randint(3, (2, 1, 24, 24), generator=GENERATOR)
VOLUME = torch.randn(1, 2, 8, 9, 10, generator=GENERATOR)
VOLUME_LABELS = torch.randint(2, (1, 1, 8, 9, 10), generator=GENERATOR)
CLASSES = torch.arange(3).view(1, 3, 1, 1)
MASKS, OTHER = CLASSES == LABELS, LABELS.flip(2) == CLASSES
LOSSES = ("BettiMatchingLoss", "CbDiceLoss", "LikelihoodPHLoss", "SkeletonRecallLoss", "TopoLoss")


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("include_background", [True, False])
@pytest.mark.parametrize(("logits", "labels"), [(LOGITS, LABELS), (VOLUME, VOLUME_LABELS)], ids=["image", "volume"])
def test_soft_cl_dice_has_the_value_and_gradient_of_monai(
    logits: torch.Tensor, labels: torch.Tensor, include_background: bool, reduction: str
) -> None:
    settings = {
        "iter_": 2,
        "softmax": True,
        "to_onehot_y": True,
        "include_background": include_background,
        "reduction": reduction,
    }
    results = []
    for module in (interop, monai.losses):
        x = logits.clone().requires_grad_()
        loss = module.SoftclDiceLoss(**settings)(x, labels)
        loss.sum().backward()
        results.append((loss.detach(), x.grad))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", LOSSES)
def test_loss_is_that_of_one_vs_rest(name: str) -> None:
    settings = {
        "include_background": False,
        "to_onehot_y": True,
        "softmax": True,
        "reduction": "sum",
        "weight": [1.0, 2.0],
    }
    one_class = getattr(gpuph, name)(superlevel=True) if name == "BettiMatchingLoss" else getattr(gpuph, name)()
    expected = gpuph.OneVsRest(one_class, **settings)(LOGITS, LABELS)
    assert torch.equal(getattr(interop, name)(**settings)(LOGITS, LABELS), expected)


def test_losses_take_the_arguments_of_dice_loss_by_position_and_settings_by_name() -> None:
    loss = interop.TopoLoss(False, True, False, True, dims=(0, 1))
    assert torch.isfinite(loss(input=LOGITS, target=LABELS))
    with pytest.raises(TypeError, match="unknown"):
        interop.TopoLoss(unknown=1)
    with pytest.raises(ValueError, match="one of softmax, sigmoid and other_act"):
        interop.TopoLoss(softmax=True, sigmoid=True)


def test_loss_added_to_dice_loss_of_monai_has_a_finite_gradient() -> None:
    settings = {"softmax": True, "to_onehot_y": True, "include_background": False}
    dice, topological = monai.losses.DiceLoss(**settings), interop.LikelihoodPHLoss(**settings)
    x = LOGITS.clone().requires_grad_()
    (dice(x, LABELS) + 0.1 * topological(x, LABELS)).backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_aggregate_reduces_as_monai_does(reduction: str) -> None:
    values = torch.rand(4, 3, generator=torch.Generator().manual_seed(1))
    values[0, 1] = values[2] = torch.nan
    metric = interop.BettiErrorMetric(reduction=reduction, get_not_nans=True)
    metric._values = [values[:1], values[1:]]
    for ours, theirs in zip(metric.aggregate(), do_metric_reduction(values.clone(), reduction), strict=True):
        torch.testing.assert_close(ours, theirs.view_as(ours), equal_nan=True)  # MONAI's mean has the shape (1,)


class Reference(monai.metrics.CumulativeIterationMetric):
    """The same metric, written as a subclass of MONAI's."""

    def __init__(self, measure: object) -> None:
        super().__init__()
        self.measure = measure

    def _compute_tensor(self, y_pred: torch.Tensor, y: torch.Tensor | None = None, **_: object) -> torch.Tensor:
        return torch.tensor(
            [[float(self.measure(p, t)) for p, t in zip(*image, strict=True)] for image in zip(y_pred, y, strict=True)]
        )

    def aggregate(self) -> torch.Tensor:
        return do_metric_reduction(self.get_buffer(), "mean_batch")[0]


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


METRICS = {
    "BettiErrorMetric": lambda p, t: betti_error(p, t, generator=seeded()),
    "BettiMatchingErrorMetric": lambda p, t: betti_matching_error(p, t, generator=seeded()),
    "CCQMetric": lambda p, t: ccq(p, t).quality,
}


@pytest.mark.parametrize("name", METRICS)
def test_metric_runs_in_a_loop_like_one_of_monai(name: str) -> None:
    ours, theirs = getattr(interop, name)(reduction="mean_batch"), Reference(METRICS[name])
    for _ in range(2):  # epochs
        for batch in range(2):
            for y_pred, y in ((OTHER, MASKS), ([*MASKS.flip(3)], [*MASKS])):  # batches, and lists of images
                torch.testing.assert_close(ours(y_pred=y_pred, y=y), theirs(y_pred=y_pred, y=y))
            assert len(ours.get_buffer()) == len(theirs.get_buffer()) == 4 * (batch + 1)
        torch.testing.assert_close(ours.aggregate(), theirs.aggregate())
        ours.reset()
        theirs.reset()
        assert ours.get_buffer() is None


def test_background_does_not_count_if_it_is_excluded() -> None:
    metric = interop.BettiErrorMetric(include_background=False, dim=0, border=False)
    values = metric(OTHER, MASKS)
    assert values.shape == (2, 2)
    assert torch.equal(values, interop.BettiErrorMetric(dim=0, border=False)(OTHER, MASKS)[:, 1:])


def test_aggregate_in_a_group_of_one_process_is_that_without_a_group(tmp_path: Path) -> None:
    metric = interop.BettiErrorMetric()
    metric(OTHER, MASKS)
    alone = metric.aggregate()
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        assert torch.equal(metric.aggregate(), alone)
    finally:
        torch.distributed.destroy_process_group()


def test_wrong_inputs_of_metrics_raise() -> None:
    metric = interop.BettiErrorMetric()
    with pytest.raises(ValueError, match="y must have as many images as y_pred, 2, got 1"):
        metric(MASKS, MASKS[:1])
    with pytest.raises(ValueError, match="y_pred and y must hold at least one image, got none"):
        metric(MASKS[:0], MASKS[:0])
    with pytest.raises(ValueError, match="masks of the same classes"):
        metric(MASKS, MASKS[:, :2])
    with pytest.raises(ValueError, match="at least one batch"):
        metric.aggregate()
    with pytest.raises(ValueError, match="reduction must be one of"):
        interop.CCQMetric(reduction="median")
    with pytest.raises(TypeError, match="CCQMetric: got an unexpected keyword argument 'tolerence'"):
        interop.CCQMetric(tolerence=3.0)
