"""Indexing of a Diagram, and checks of its fields."""

from __future__ import annotations

from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

import gpuph
from gpuph import Diagram
from support.processes import python

FIELDS = ("birth", "death", "birth_index", "death_index", "count")


def loops() -> Diagram:
    return gpuph.persistence(torch.rand(4, 9, 10, generator=torch.Generator().manual_seed(0)))[1]


@pytest.mark.parametrize(
    ("index", "windows"),
    [
        (slice(1, 3), [1, 2]),
        (slice(None, None, 2), [0, 2]),
        (slice(9, None), []),
        ([2, 0, 0], [2, 0, 0]),
        ([], []),
        ([False, True, False, True], [1, 3]),
        (torch.tensor([3, -4]), [3, 0]),
        (torch.tensor([True, False, False, True]), [0, 3]),
        (torch.tensor([2], dtype=torch.int32), [2]),
        (np.array([1, 2]), [1, 2]),
        (np.zeros(4, bool), []),
    ],
)
def test_index_selects_windows(index: Any, windows: list[int]) -> None:
    diagram = loops()
    found = diagram[index]
    for field in FIELDS:
        part, whole = getattr(found, field), getattr(diagram, field)
        assert part.shape == (len(windows), *whole.shape[1:])
        assert all(torch.equal(part[i], whole[window]) for i, window in enumerate(windows))
    assert gpuph.match(found, found).cost.tolist() == [0.0] * len(windows)


@pytest.mark.parametrize("index", [True, None, (0, 1), "0", 1.0, [[0]], torch.tensor(False)])
def test_what_is_not_an_index_raises(index: Any) -> None:
    with pytest.raises(TypeError, match=r"index must be a number, a slice, a mask of shape \(N,\) or a list of window"):
        loops()[index]


def test_index_out_of_range_raises_index_error() -> None:
    for index in ([4], torch.tensor([-5]), torch.ones(3, dtype=torch.bool)):
        with pytest.raises(IndexError):
            loops()[index]


def test_gradients_flow_through_an_index() -> None:
    x = torch.rand(3, 8, 9, requires_grad=True)
    gpuph.persistence(x)[1][torch.tensor([True, False, True])].death.sum().backward()
    assert x.grad is not None and x.grad[0].any() and not x.grad[1].any() and x.grad[2].any()


def with_counts(count: torch.Tensor) -> Diagram:
    points = torch.tensor([[[0.0, 2.0], [0.0, 1.0]], [[1.0, 3.0], [5.0, 6.0]]])
    return Diagram(**{**vars(Diagram.from_list(points)), "count": count})


def test_counts_above_the_columns_mean_overflow() -> None:
    matching, full = (
        gpuph.match(a, a) for a in (with_counts(torch.tensor([7, 2**62])), with_counts(torch.tensor([2, 2])))
    )
    assert matching.cost.tolist() == full.cost.tolist() and torch.equal(matching.partner_a, full.partner_a)


def test_negative_counts_raise_on_the_cpu() -> None:
    wrong, right = with_counts(torch.tensor([2, -1])), with_counts(torch.tensor([2, 2]))
    for call in (gpuph.match, gpuph.wasserstein_distance):
        with pytest.raises(ValueError, match=r"a\.count must be 0 or more, got -1"):
            call(wrong, right)
        with pytest.raises(ValueError, match=r"b\.count must be 0 or more, got -1"):
            call(right, wrong)


def test_negative_counts_on_other_devices_are_zero_unless_debugging() -> None:
    with mock.patch("gpuph.debug.is_eager_cpu", lambda x: False):
        found = gpuph.match(with_counts(torch.tensor([2, -(2**60)])), with_counts(torch.tensor([2, -1])))
        expected = gpuph.match(with_counts(torch.tensor([2, 0])), with_counts(torch.tensor([2, 0])))
        assert all(torch.equal(a, b) for a, b in zip(vars(found).values(), vars(expected).values(), strict=True))
        gpuph.set_debug(True)
        try:
            with pytest.raises(ValueError, match=r"b\.count must be 0 or more, got -1"):
                gpuph.match(with_counts(torch.tensor([2, 0])), with_counts(torch.tensor([2, -1])))
        finally:
            gpuph.set_debug(False)


TRITON = """
import torch
from gpuph import ops
from gpuph.kernels import Points
points = torch.tensor([[0.0, 1.0], [1.0, 5.0]]), torch.tensor([[2.0, 4.0], [3.0, 6.0]])
def slopes(count):
    count = torch.tensor(count)
    b = Points(*points, 0 * count)
    matched = ops.match(Points(*points, count), b, "auto", squared=True)
    a = Points(*(x.clone().requires_grad_() for x in points), count)
    ops.cost(a, b, matched, squared=True).sum().backward()
    return [*matched, a.birth.grad, a.death.grad]
for wrong in ([2, -1], [-2, 2], [2, -(2**60)]):
    right = [max(count, 0) for count in wrong]
    for found, expected in zip(slopes(wrong), slopes(right), strict=True):
        assert torch.equal(found, expected), (wrong, found, expected)
"""


@pytest.mark.interpret
def test_triton_treats_negative_counts_as_zero() -> None:
    run = python("-c", TRITON, TRITON_INTERPRET="1", GPUPH_KERNELS="triton")
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("count", torch.tensor([2, 2], dtype=torch.int32), r"b\.count must be int64, got torch\.int32"),
        ("count", torch.tensor([2]), r"b must have counts of shape \(2,\), got \(1,\)"),
        (
            "count",
            torch.empty(2, dtype=torch.int64, device="meta"),
            r"b\.count must be on the device of the births, cpu",
        ),
        ("death", torch.empty(2, 2, device="meta"), r"b\.death must be on the device of the births, cpu, got meta"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_inconsistent_fields_raise_an_error_that_names_them(field: str, value: torch.Tensor, message: str) -> None:
    right = with_counts(torch.tensor([2, 2]))
    with pytest.raises((TypeError, ValueError), match=message):
        gpuph.match(right, Diagram(**{**vars(right), field: value}))


def test_points_on_different_devices_raise() -> None:
    with pytest.raises(ValueError, match=r"points must be on one device, got \['cpu', 'meta'\]"):
        Diagram.from_list([torch.zeros(1, 2), torch.zeros(1, 2, device="meta")])
