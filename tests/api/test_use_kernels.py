"""Selecting the kernels by hand."""

from __future__ import annotations

import pytest
import torch

import gpuph
from gpuph.ops import backend
from support.processes import python


def test_cpu_path_never_imports_the_triton_kernels() -> None:
    code = """import sys, torch, gpuph
assert "triton" not in sys.modules
gpuph.persistence(torch.zeros(1, 4, 4))
assert "gpuph.kernels.triton" not in sys.modules"""
    run = python("-c", code, GPUPH_KERNELS="auto")
    assert run.returncode == 0, run.stderr


@pytest.mark.slow
def test_environment_variable_selects_the_kernels() -> None:
    pytest.importorskip("triton")
    code = "import torch, gpuph; print(gpuph.persistence(torch.zeros(1, 2, 2))[0]); gpuph.kernels.triton"
    run = python("-c", code, GPUPH_KERNELS="triton", TRITON_INTERPRET="1")
    assert run.returncode == 0 and "count=tensor([1])" in run.stdout, run.stdout + run.stderr


def test_unknown_backend_raises() -> None:
    run = python("-c", "import gpuph", GPUPH_KERNELS="numpy")
    assert "ValueError: GPUPH_KERNELS must be one of ('auto', 'cpu', 'triton'), got 'numpy'" in run.stderr
    with pytest.raises(ValueError, match=r"which must be one of .*, got 'gpu'"), gpuph.use_kernels("gpu"):
        pass


def test_selection_is_restored_when_the_context_exits() -> None:
    before = backend._chosen
    with pytest.raises(RuntimeError), gpuph.use_kernels("triton"):
        with gpuph.use_kernels("cpu"):
            assert gpuph.persistence(torch.zeros(1, 2, 2))[0].count.tolist() == [1]
        assert backend._chosen == "triton"
        raise RuntimeError
    assert backend._chosen == before
