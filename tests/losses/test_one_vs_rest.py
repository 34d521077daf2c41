"""One call for several classes equals a loop over them."""

from __future__ import annotations

import copy
import functools
import pickle
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor

import gpuph
from gpuph import BettiPriorLoss, LikelihoodPHLoss, OneVsRest, TopoLoss, hints, ops
from support.classes import (
    ACTIVATIONS,
    LOSSES,
    OF_DISTANCES,
    OF_MASKS,
    PRIOR,
    gradient,
    inputs_of,
    looped,
    some_labels,
)

pytestmark = pytest.mark.filterwarnings("ignore:target must be a distance map")  # random masks are unlike curves

SHAPES = [(2, 3, 17, 21), (1, 1, 9, 12), (1, 4, 1, 9), (3, 2, 9, 8, 11)]


@pytest.fixture
def device() -> Iterator[None]:
    """Treat tensors on the CPU like those of another device, whose data are not read unless asked for."""
    with mock.patch("gpuph.debug.is_eager_cpu", lambda x: False):
        yield


@pytest.fixture(autouse=True)
def _as_in_a_new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hints, "_given", set())


def called(loss_fn: OneVsRest, maps: list[Tensor]) -> Tensor:
    torch.manual_seed(5)
    return loss_fn(*maps)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", LOSSES)
def test_values_and_gradients_equal_a_loop_over_classes(name: str, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    maps = inputs_of(name, shape, dtype)
    for include in (True, False) if shape[1] > 1 else (True,):
        values = called(OneVsRest(LOSSES[name](), include_background=include, reduction="none"), maps)
        expected = looped(LOSSES[name], maps, first=not include)
        assert torch.equal(values, expected) and values.shape[:2] == (shape[0], shape[1] - (not include))
        assert torch.equal(gradient(values, maps[0]), gradient(expected, maps[0]))
        for reduction in ("mean", "sum"):
            loss = called(OneVsRest(LOSSES[name](), include_background=include, reduction=reduction), maps)
            reduced = getattr(expected, reduction)()
            assert torch.equal(loss, reduced) and loss.dtype == expected.dtype
            assert torch.equal(gradient(loss, maps[0]), gradient(reduced, maps[0]))


def test_random_heights_are_those_of_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each window of each class has a direction of its own; with the same directions, a loop has the same bits."""
    maps = inputs_of("LocalizedPHLoss")
    make = functools.partial(gpuph.LocalizedPHLoss, window=8)
    drawn: list[Tensor] = []
    draw = gpuph.RandomLinear.slopes

    def recorded(self: gpuph.RandomLinear, n: int, *arguments: Any) -> Tensor:
        drawn.append(draw(self, n, *arguments))
        return drawn[-1]

    monkeypatch.setattr(gpuph.RandomLinear, "slopes", recorded)
    values = called(OneVsRest(make(), reduction="none"), maps)
    (slopes,) = drawn
    assert len(slopes.unique(dim=0)) == values.numel() == len(slopes)
    slopes = slopes.view(*values.shape, 2)
    parts = iter(slopes.unbind(dim=1))
    monkeypatch.setattr(gpuph.RandomLinear, "slopes", lambda *_: next(parts).flatten(0, 1))
    expected = looped(make, maps)
    assert torch.equal(values, expected)
    assert torch.equal(gradient(values, maps[0]), gradient(expected, maps[0]))


@pytest.mark.parametrize("name", LOSSES)
def test_engine_is_called_as_often_as_for_one_class(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Counter[str] = Counter()

    def counted(operator: str) -> Callable[..., Any]:
        function = getattr(ops, operator)

        def wrapper(*arguments: Any, **settings: Any) -> Any:
            calls[operator] += 1
            return function(*arguments, **settings)

        return wrapper

    for operator in ops.__all__:
        monkeypatch.setattr(ops, operator, counted(operator))
    LOSSES[name]()(*inputs_of(name, (2, 1, 17, 21)))
    alone, _ = calls.copy(), calls.clear()
    OneVsRest(LOSSES[name]())(*inputs_of(name, (2, 5, 17, 21)))
    assert calls == alone and (alone.total() > 0) == (name != "SoftClDiceLoss")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activation_comes_before_the_background_is_left_out(activation: str, dtype: torch.dtype) -> None:
    """For half precision, in float32, where probabilities near 1 stay different from one another."""
    settings, function = ACTIVATIONS[activation]
    logits, masks = inputs_of("LikelihoodPHLoss")
    logits = (20 * logits.detach() - 5).to(dtype).requires_grad_()
    loss_fn = OneVsRest(LikelihoodPHLoss(window=8), include_background=False, reduction="none", **settings)
    fine = logits.detach().to(torch.promote_types(dtype, torch.float32)).requires_grad_()
    found = loss_fn(logits, masks)
    expected = OneVsRest(LikelihoodPHLoss(window=8), reduction="none")(function(fine)[:, 1:], masks[:, 1:])
    assert torch.equal(found, expected)
    found_gradient, fine_gradient = gradient(found, logits), gradient(expected, fine)
    assert found_gradient.dtype == dtype and torch.equal(found_gradient, fine_gradient.to(dtype))


@pytest.mark.parametrize("name", ["TopoLoss", "BettiPriorLoss", "DistancePHLoss"])
def test_weights_multiply_the_values_of_their_classes(name: str) -> None:
    maps = inputs_of(name)
    plain = OneVsRest(LOSSES[name](), reduction="none")(*maps)
    weights = torch.tensor([0.1, 0.0, 2.5])
    expected = plain * weights.view(-1, *[1] * (plain.dim() - 2))
    for given in (weights, weights.numpy(), (0.1, 0.0, 2.5)):
        assert torch.equal(OneVsRest(LOSSES[name](), weight=given, reduction="none")(*maps), expected)
    assert torch.equal(OneVsRest(LOSSES[name](), weight=weights)(*maps), expected.mean())
    loss = OneVsRest(LOSSES[name](), weight=weights, reduction="sum")(*maps)
    assert torch.equal(loss, expected.sum()) and not gradient(loss, maps[0])[:, 1].any()
    assert torch.equal(OneVsRest(LOSSES[name](), weight=0.3, reduction="none")(*maps), plain * 0.3)
    without = OneVsRest(LOSSES[name](), weight=weights[1:], include_background=False, reduction="none")(*maps)
    assert torch.equal(without, expected[:, 1:])


@pytest.mark.parametrize("include", [True, False])
def test_number_of_weights_is_checked(include: bool) -> None:
    maps = inputs_of("TopoLoss")
    loss_fn = OneVsRest(TopoLoss(), weight=[1.0] * (2 if include else 3), include_background=include)
    message = "for each of 3 classes, got" if include else "for each of 2 classes, without the background, got"
    with pytest.raises(ValueError, match=f"weight must have one number {message}"):
        loss_fn(*maps)


@pytest.mark.parametrize("name", LOSSES)
def test_nan_in_one_class_raises_on_the_cpu(name: str) -> None:
    maps = inputs_of(name)
    for i, argument in enumerate(("pred", "target")[: len(maps)]):
        if maps[i].is_floating_point():
            bad = [x.detach().clone() for x in maps]
            bad[i][1, 2, 4, 4] = float("nan")
            with pytest.raises(ValueError, match=f"{argument} must have no NaN"):
                OneVsRest(LOSSES[name]())(*bad)


@pytest.mark.parametrize("name", LOSSES)
def test_nan_makes_the_values_of_its_class_alone_nan_on_a_device(name: str, device: None) -> None:
    maps = inputs_of(name)
    maps[0] = maps[0].detach().clone()
    maps[0][1, 2, 4, 4] = float("nan")
    for settings in ({}, {"include_background": False}):
        values = OneVsRest(LOSSES[name](), reduction="none", **settings)(*maps)
        bad = values.isnan().flatten(2).any(dim=2) if values.dim() == 3 else values.isnan()
        assert bad.nonzero().tolist() == [[1, values.shape[1] - 1]]
    assert OneVsRest(LOSSES[name]())(*maps).isnan()


@pytest.mark.parametrize(
    ("setting", "shown"),
    [
        ({"include_background": False}, "include_background=False"),
        ({"softmax": True}, "softmax=True"),
        ({"to_onehot_y": True}, "to_onehot_y=True"),
    ],
)
def test_settings_for_several_channels_are_ignored_with_a_warning_for_one(setting: dict[str, Any], shown: str) -> None:
    maps = inputs_of("TopoLoss", (2, 1, 17, 21))
    loss_fn = OneVsRest(TopoLoss(window=8), **setting)
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        values = [loss_fn(*maps) for _ in range(2)]
    assert [str(warning.message) for warning in given] == [f"pred has one channel, so {shown} is ignored."]
    assert given[0].category is UserWarning and given[0].filename == __file__
    assert values[0] == values[1] == TopoLoss(window=8)(*maps)


@pytest.mark.parametrize("shape", [(0, 3, 17, 21), (0, 1, 9, 9), (0, 2, 9, 8, 7)])
@pytest.mark.parametrize("name", LOSSES)
def test_empty_batch_has_no_values(name: str, shape: tuple[int, ...]) -> None:
    maps = inputs_of(name, (1, *shape[1:]))
    values = OneVsRest(LOSSES[name](), weight=[1.0] * shape[1], reduction="none")(*(x[:0] for x in maps))
    assert values.shape[:2] == shape[:2] and values.numel() == 0
    if name in OF_MASKS and shape[1] > 1:
        loss_fn = OneVsRest(LOSSES[name](), to_onehot_y=True, softmax=True, ignore_index=9, reduction="sum")
        assert loss_fn(maps[0][:0], some_labels(shape)) == 0.0


def test_target_of_floats_has_a_gradient() -> None:
    pred, target = inputs_of("DistancePHLoss")
    target.requires_grad_()
    loss = OneVsRest(gpuph.DistancePHLoss(window=8), reduction="none")(pred, target)
    expected = looped(OF_DISTANCES["DistancePHLoss"], [pred, target])
    assert torch.equal(gradient(loss, target), gradient(expected, target))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"softmax": True, "sigmoid": True},
            "one of softmax, sigmoid and other_act may be set, got softmax and sigmoid",
        ),
        ({"sigmoid": True, "other_act": torch.tanh}, "got sigmoid and other_act"),
        ({"weight": ()}, "weight must have one number for each class"),
    ],
)
def test_settings_that_contradict_each_other_raise(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OneVsRest(TopoLoss(), **settings)


@pytest.mark.parametrize("setting", [{"to_onehot_y": True}, {"ignore_index": 0}])
@pytest.mark.parametrize("name", [*OF_DISTANCES, *PRIOR])
def test_settings_for_masks_raise_for_losses_without_masks(name: str, setting: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"{next(iter(setting))} needs a loss that takes masks, got \w+Loss"):
        OneVsRest(LOSSES[name](), **setting)


@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_loss_with_another_reduction_than_the_default_raises(reduction: str) -> None:
    with pytest.raises(ValueError, match=f'loss must have the default reduction, "mean", got .{reduction}.; give'):
        OneVsRest(TopoLoss(reduction=reduction))


@pytest.mark.parametrize(
    ("pred", "target", "error", "message"),
    [
        (torch.rand(2, 3, 9, 9), None, TypeError, "target must be a torch.Tensor for TopoLoss, got None"),
        (torch.rand(2, 3, 9, 9), torch.ones(2, 1, 9, 9), ValueError, "got .2, 1, 9, 9.; labels need to_onehot_y=True"),
        (torch.rand(2, 3, 9, 9), torch.ones(2, 2, 9, 9), ValueError, r"shape \(2, 3, 9, 9\), the shape of pred, got"),
        (torch.rand(2, 0, 9, 9), torch.ones(2, 0, 9, 9), ValueError, r"pred must have the shape \(B, C, H, W\)"),
        (torch.rand(3, 9, 9), torch.ones(3, 9, 9), ValueError, r"pred must have the shape \(B, C, H, W\)"),
        (torch.rand(2, 3, 9, 9), torch.ones(2, 3, 9, 9, device="meta"), ValueError, "target must be on pred's device"),
        (torch.ones(2, 3, 9, 9).long(), torch.ones(2, 3, 9, 9), TypeError, "pred must be float16"),
    ],
)
def test_wrong_input_is_named(pred: Tensor, target: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        OneVsRest(TopoLoss())(pred, target)


def test_wrong_input_of_settings_is_named() -> None:
    pred, masks = inputs_of("TopoLoss")
    with pytest.raises(ValueError, match=r"target must have the shape \(2, 1, 17, 21\), the labels of pred, got"):
        OneVsRest(TopoLoss(), to_onehot_y=True)(pred, masks)
    with pytest.raises(TypeError, match="target must be None for BettiPriorLoss, got Tensor of shape"):
        OneVsRest(BettiPriorLoss({0: 1}))(pred, masks)
    with pytest.raises(
        ValueError, match=r"other_act must return a tensor of the shape \(2, 3, 17, 21\), got Tensor of"
    ):
        OneVsRest(TopoLoss(), other_act=lambda x: x[:, :1])(pred, masks)
    with pytest.raises(TypeError, match=r"a distance map is expected, and gpuph\.truncated_distance_map"):
        OneVsRest(gpuph.DistancePHLoss())(pred, masks)
    with pytest.raises(TypeError, match="loss must be one of gpuph's losses of one class, got OneVsRest"):
        OneVsRest(OneVsRest(TopoLoss()))  # type: ignore[arg-type]


def test_modes_copies_and_files_keep_the_loss() -> None:
    maps = inputs_of("LocalizedPHLoss")
    loss_fn = OneVsRest(gpuph.LocalizedPHLoss(window=8), weight=[1.0, 2.0, 0.5])
    assert not loss_fn.state_dict() and "weight=(1.0, 2.0, 0.5)" in repr(loss_fn) and "window=8" in repr(loss_fn)
    assert loss_fn(*maps) != loss_fn(*maps)  # random heights
    loss_fn.eval()
    assert loss_fn(*maps) == loss_fn(*maps) == copy.deepcopy(loss_fn)(*maps)
    assert pickle.loads(pickle.dumps(loss_fn))(*maps) == loss_fn(*maps)
    assert not loss_fn.loss.training
