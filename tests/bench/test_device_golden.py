"""`bench.device`: the cases of the day of a GPU, and the golden answers that it compares with."""

from __future__ import annotations

import functools
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.device import cases, golden, report, section

pytest.importorskip("triton")


@pytest.mark.slow
def test_golden_answers_equal_the_cpus() -> None:
    hashes, tensors = golden.load()
    now, tensors_now = golden.compute()
    assert now == hashes, "run `python -m bench.device.golden` where a change of answers is meant"
    assert tensors_now.keys() == tensors.keys()
    for name, expected in tensors.items():
        if expected.dtype.kind == "f":
            np.testing.assert_allclose(tensors_now[name], expected, rtol=1e-5, atol=1e-7)
        else:
            np.testing.assert_array_equal(tensors_now[name], expected)


def test_inputs_are_exact_in_float32() -> None:
    for kind in cases.KINDS:
        for shape in ((31, 33), (5, 6, 4)):
            single, double = (cases.windows(kind, 2, shape, dtype) for dtype in (torch.float32, torch.float64))
            assert torch.equal(single.double().nan_to_num(), double.nan_to_num()), kind


def test_digest_depends_on_values_shapes_and_dtypes() -> None:
    x = torch.arange(6.0)
    assert golden.digest([x]) == golden.digest([x.clone()]) != golden.digest([x.flip(0)])
    assert golden.digest([x]) != golden.digest([x.double()])
    assert golden.digest([x]) != golden.digest([x.view(2, 3)])
    assert golden.digest([torch.tensor([0.0, torch.nan])]) == golden.digest([torch.tensor([-0.0, -torch.nan])])


def test_rehearsed_cases_are_among_those_of_a_gpu() -> None:
    for make in (*(functools.partial(cases.diagrams, rank) for rank in (2, 3)), cases.matchings, cases.losses):
        small, every = (make(small=small) for small in (True, False))
        assert set(small) < set(every)
        names = [case.name for case in every]
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("rank", [2, 3])
def test_cases_cover_kinds_dtypes_and_constructions(rank: int) -> None:
    every = cases.diagrams(rank, small=False)
    for shape in {case.shape for case in every if case.n < cases.MANY}:
        found = {(case.kind, case.dtype, case.construction) for case in every if case.shape == shape}
        assert len(found) == len(cases.KINDS) * 2 * 2, shape
    kinds = {*itertools.product(cases.KINDS, cases.FLOATS)}
    assert {(case.kind, case.dtype) for case in every if case.n == 1024} == kinds
    assert any(max(case.shape) > 64 and sorted(case.shape)[-2] == 1 for case in every)  # 1 x n
    losses = [case for case in cases.losses(small=False) if len(case.shape) == rank]
    assert {(case.kind, case.dtype) for case in losses} == kinds


def test_answers_are_computed_20_to_50_times(tmp_path: Path) -> None:
    assert 20 <= section.Day(report.Report(tmp_path, "images"), tmp_path, rehearse=False).repeats <= 50
