"""Valid but probably unintended inputs give one warning of each kind per process."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

import gpuph
from gpuph import hints
from gpuph.metrics import betti_error
from support.processes import complaints, python

Loss = Callable[..., Tensor]

MASK = torch.zeros(2, 1, 24, 24)
MASK[..., 8, :] = MASK[..., 4:20, 15] = 1.0
WIDE = torch.zeros(1, 1, 20, 20)
WIDE[..., :14, :18] = 1.0  # an object that fills more than half of the image
VOLUME = torch.zeros(1, 1, 9, 10, 11)
VOLUME[..., 4, 5, :] = 1.0
OF_PROBABILITIES: dict[str, Callable[[], Loss]] = {
    "TopoLoss": lambda: gpuph.TopoLoss(window=16),
    "BettiMatchingLoss": lambda: gpuph.BettiMatchingLoss(window=16, superlevel=True),
    "LikelihoodPHLoss": lambda: gpuph.LikelihoodPHLoss(window=16),
    "MorseSkeletonLoss": lambda: gpuph.MorseSkeletonLoss(window=16),
    "BettiPriorLoss": lambda: lambda pred, target: gpuph.BettiPriorLoss({0: 1})(pred),
}
OF_DISTANCES: dict[str, Callable[[], Loss]] = {
    "LocalizedPHLoss": lambda: gpuph.LocalizedPHLoss(window=16),
    "BettiMatchingLoss": lambda: gpuph.BettiMatchingLoss(window=16),
    "DistancePHLoss": lambda: gpuph.DistancePHLoss(window=16),
    "ConnectivityLoss": lambda: gpuph.ConnectivityLoss(window=16, truncation=5.0),
}


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[warnings.WarningMessage]]:
    """Record the warnings of a test, which starts like a new process."""
    monkeypatch.setattr(hints, "_given", set())
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        yield record


def logits(mask: Tensor) -> Tensor:
    return 80 * mask - 40


def distances(mask: Tensor, truncation: float = 5.0) -> Tensor:
    return gpuph.truncated_distance_map(mask.bool(), truncation)


@pytest.mark.parametrize("name", OF_PROBABILITIES)
@pytest.mark.parametrize("mask", [MASK, VOLUME], ids=["image", "volume"])
def test_logits_in_place_of_probabilities_warn_once(
    name: str, mask: Tensor, given: list[warnings.WarningMessage]
) -> None:
    for _ in range(3):
        try:
            OF_PROBABILITIES[name]()(logits(mask), mask)
        except RuntimeError:  # raised by PyTorch's cross entropy, after the warning
            assert name == "MorseSkeletonLoss"
    (warning,) = given
    assert warning.category is UserWarning and warning.filename == __file__
    message = r"pred must hold probabilities, but its values are from -40 to 40\. .* apply sigmoid or softmax"
    assert re.match(message, str(warning.message))


@pytest.mark.parametrize("name", OF_PROBABILITIES)
def test_probabilities_do_not_warn(name: str, given: list[warnings.WarningMessage]) -> None:
    loss_fn = OF_PROBABILITIES[name]()
    for pred in (MASK, 0.5 * MASK, 0 * MASK, MASK.half(), MASK.bfloat16(), logits(MASK).sigmoid(), MASK.double()):
        loss_fn(pred, MASK)
    loss_fn(MASK[:0], MASK[:0])
    if name != "MorseSkeletonLoss":  # its cross entropy rejects values beyond [0, 1]
        OF_PROBABILITIES[name]()(1.001 * MASK - 5e-4, MASK)
    assert not given


@pytest.mark.parametrize("name", ["TopoLoss", "LikelihoodPHLoss"])
def test_mask_of_0_and_255_warns(name: str, given: list[warnings.WarningMessage]) -> None:
    OF_PROBABILITIES[name]()(MASK, 255 * MASK)
    assert [str(warning.message) for warning in given] == [
        "target must hold a mask of 0 and 1, but its values are from 0 to 255. Divide a mask of 0 and 255 by 255."
    ]


@pytest.mark.parametrize("name", OF_DISTANCES)
@pytest.mark.parametrize("target", [MASK, WIDE, VOLUME, 255 * MASK, MASK.half()])
def test_mask_in_place_of_a_distance_map_warns_once(
    name: str, target: Tensor, given: list[warnings.WarningMessage]
) -> None:
    for _ in range(2):
        OF_DISTANCES[name]()(torch.rand(target.shape), target)
    (warning,) = given
    assert warning.category is UserWarning and warning.filename == __file__
    assert re.match(r"target must be a distance map.* gpuph\.truncated_distance_map", str(warning.message))


@pytest.mark.parametrize("name", OF_DISTANCES)
def test_distance_maps_do_not_warn(name: str, given: list[warnings.WarningMessage]) -> None:
    without_object = torch.full_like(MASK, 5.0)
    for target in (distances(MASK), distances(MASK, 1.0), distances(MASK, 0.5), distances(VOLUME, 1.0)):
        OF_DISTANCES[name]()(target, target)
    for target in (without_object, 0 * MASK, distances(MASK)[:0], distances(torch.ones_like(MASK))):
        OF_DISTANCES[name]()(target, target)
    assert not given


def test_superlevel_and_custom_base_losses_accept_masks(given: list[warnings.WarningMessage]) -> None:
    gpuph.LocalizedPHLoss(window=16, superlevel=True)(logits(MASK), MASK)
    gpuph.MorseSkeletonLoss(base=lambda p, t: (p - t) ** 2)(logits(MASK), MASK)
    assert not given


def test_loss_judges_only_its_first_batch_with_an_object(given: list[warnings.WarningMessage]) -> None:
    loss_fn = gpuph.LocalizedPHLoss(window=16)
    loss_fn(MASK, 0 * MASK)
    assert not given
    loss_fn(MASK, MASK)
    assert len(given) == 1
    after_a_map = gpuph.LocalizedPHLoss(window=16)
    hints._given.clear()
    after_a_map(MASK, distances(MASK))
    after_a_map(MASK, MASK)
    assert len(given) == 1


def test_warning_filters_apply(given: list[warnings.WarningMessage]) -> None:
    loss_fn = gpuph.TopoLoss(window=16)
    warnings.simplefilter("error")
    for _ in range(2):
        with pytest.raises(UserWarning, match="probabilities"):
            loss_fn(logits(MASK), MASK)
    warnings.simplefilter("ignore")
    loss_fn(logits(MASK), MASK)
    assert not given


def test_fake_tensors_do_not_warn(given: list[warnings.WarningMessage]) -> None:
    with FakeTensorMode():
        pred, target = torch.empty(1, 1, 24, 24), torch.empty(1, 1, 24, 24)
        for make in (*OF_PROBABILITIES.values(), *OF_DISTANCES.values()):
            assert make()(pred, target).shape == ()
    assert not given


@pytest.mark.slow
def test_readme_example_does_not_warn() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (Path(__file__).parents[2] / "README.md").read_text(), re.DOTALL)
    run = python("-W", "error", "-c", example)
    assert run.returncode == 0 and not complaints(run), run.stderr


@pytest.mark.parametrize("shape", [(2, 3, 16, 16), (1, 1, 20, 30), (0, 4, 8, 32)])
def test_images_with_channels_in_place_of_volumes_warn_once(
    shape: tuple[int, ...], given: list[warnings.WarningMessage]
) -> None:
    for _ in range(2):
        gpuph.persistence(torch.rand(shape))
    (warning,) = given
    assert warning.category is UserWarning and warning.filename == __file__
    assert str(warning.message).startswith(f"x has the shape {shape}, which is read as {shape[0]} volumes")
    assert "x.flatten(0, 1)" in str(warning.message)


def test_volumes_and_small_images_do_not_warn(given: list[warnings.WarningMessage]) -> None:
    for shape in ((2, 5, 16, 16), (2, 4, 15, 17), (16, 16, 16), (3, 64, 64)):
        gpuph.persistence(torch.rand(shape))
    thin = torch.rand(2, 1, 2, 20, 20) < 0.3
    betti_error(thin, thin, border=False)
    gpuph.BettiPriorLoss({0: 1})(thin.float())
    assert not given


def test_filter_suggested_by_the_warning_silences_it(given: list[warnings.WarningMessage]) -> None:
    gpuph.persistence(torch.rand(1, 3, 16, 16))
    (call,) = re.findall(r"warnings\.filterwarnings\(.*\)", str(given[0].message))
    hints._given.clear()
    exec(call, {"warnings": warnings})
    gpuph.persistence(torch.rand(1, 3, 16, 16))
    assert len(given) == 1


def test_flattened_channels_are_separate_images() -> None:
    x = torch.rand(2, 3, 16, 17)
    found = gpuph.persistence(x.flatten(0, 1))
    for i in range(2):
        for j in range(3):
            alone, n = gpuph.persistence(x[i, j][None])[1], 3 * i + j
            assert torch.equal(found[1].to_list()[n], alone.to_list()[0])
