"""Devices without kernels, tensors without data, and packages that are missing."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

import gpuph
from gpuph.ops import backend
from gpuph.ops.define import implementations
from support.processes import python

# A device "npy" whose tensors wrap tensors on the CPU and whose operators run there.
DEVICE = """
import functools, sys, torch
from torch.utils._pytree import tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend
_setup_privateuseone_for_python_backend("npy")

class There(torch.Tensor):
    def __new__(cls, data):
        tensor = torch._C._acc.create_empty_tensor(data.shape, data.dtype)
        tensor.__class__ = There
        return tensor
    def __init__(self, data):
        self.data_here = data

def here(x):
    return x.data_here if isinstance(x, There) else x

def call(op, *args, **kwargs):
    kwargs.pop("device", None)
    return tree_map(lambda x: There(x) if isinstance(x, torch.Tensor) else x, op(*tree_map(here, args), **kwargs))

def copy(x, dtype=None, device=None, **_):
    data = here(x).to(dtype or x.dtype, copy=True)
    return There(data) if (x.device if device is None else torch.device(device)).type == "npy" else data

library = torch.library.Library("aten", "IMPL")
library.impl("_to_copy", copy, "PrivateUse1")
for name in ("detach", "select.int", "view", "unbind.int", "slice.Tensor", "neg", "masked_fill.Scalar", "any.dim",
             "mean", "flatten.using_ints", "clamp", "split_with_sizes"):
    packet, _, overload = name.partition(".")
    op = getattr(getattr(torch.ops.aten, packet), overload or "default")
    library.impl(name, functools.partial(call, op), "PrivateUse1")
import gpuph
x, y = torch.rand(2, 2, 9, 10)
"""

KERNELS_OF_THE_CPU = """
with gpuph.use_kernels("cpu"):
    for construction in ("T", "V"):
        for dim, expected in gpuph.persistence(x, construction=construction, capacity=30).items():
            found = gpuph.persistence(There(x), construction=construction, capacity=30)[dim]
            for name, value in vars(expected).items():
                assert getattr(found, name).device.type == "npy"
                assert torch.equal(here(getattr(found, name)), value)
    a, b = gpuph.persistence(x)[1], gpuph.persistence(y)[1]
    there = [gpuph.Diagram(*(There(value) for value in vars(diagram).values())) for diagram in (a, b)]
    for name, value in vars(gpuph.match(a, b)).items():
        assert torch.equal(here(getattr(gpuph.match(*there), name)), value)
    loss_fn = gpuph.LocalizedPHLoss(height=None)
    assert torch.equal(here(loss_fn(There(x[:, None]), There(y[:, None]))), loss_fn(x[:, None], y[:, None]))
assert "gpuph.kernels.triton" not in sys.modules
"""

WITHOUT_TRITON = """
sys.modules["triton"] = None
loss_fn = gpuph.LocalizedPHLoss(height=None)
for call in (lambda: gpuph.persistence(There(x)), lambda: loss_fn(There(x[:, None]), There(y[:, None]))):
    try:
        call()
    except ImportError as error:
        print(error)
"""


@pytest.mark.slow
def test_cpu_kernels_serve_every_device() -> None:
    run = python("-c", DEVICE + KERNELS_OF_THE_CPU)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("key", ["CPU", "CUDA", "MPS", "XPU", "HPU", "PrivateUse1"])
def test_every_operator_has_an_implementation_for_every_device(key: str) -> None:
    for name in implementations:
        assert torch._C._dispatch_has_computed_kernel_for_dispatch_key(f"gpuph::{name}", key)


@pytest.mark.slow
def test_missing_triton_raises_and_says_what_to_install() -> None:
    run = python("-c", DEVICE + WITHOUT_TRITON)
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert line.startswith(
            "tensors on npy:0 need the Triton kernels, and Triton is not installed: install `triton`"
        )
        assert 'gpuph.use_kernels("cpu")' in line


def test_mps_is_served_by_the_kernels_for_the_cpu_with_one_warning() -> None:
    backend._warn.cache_clear()
    x = SimpleNamespace(device=torch.device("mps"))
    with pytest.warns(UserWarning, match="no kernels for MPS: its tensors are copied to the CPU and back"):
        assert not backend.by_triton(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not backend.by_triton(x)
        with gpuph.use_kernels("cpu"):
            assert not backend.by_triton(x)
    # MPS has no float64.
    assert backend.finest(x.device) == torch.float32


@pytest.mark.slow
def test_missing_networkx_raises_and_says_what_to_install() -> None:
    run = python("-c", "import sys; sys.modules['networkx'] = None; import gpuph; import gpuph.metrics")
    assert run.stderr.splitlines()[-1] == (
        "ImportError: gpuph.metrics needs networkx, which comes with `pip install gpuph[metrics]`"
    )


@pytest.mark.slow
def test_empty_environment_variable_means_auto() -> None:
    run = python("-c", "import gpuph; print(gpuph.ops.backend._chosen)", GPUPH_KERNELS="")
    assert run.stdout.strip() == "auto", run.stderr


def test_unknown_backend_raises_before_the_context_is_entered() -> None:
    with pytest.raises(ValueError, match="which must be one of"):
        gpuph.use_kernels("gpu")


BROKEN = {
    "raise RuntimeError('operator torchvision::nms does not exist')": "operator torchvision::nms does not exist",
    "import lightning_utilities_of_another_age": "lightning_utilities_of_another_age",
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", BROKEN)
def test_broken_torchmetrics_is_distinguished_from_a_missing_one(fault: str, tmp_path: Path) -> None:
    (tmp_path / "torchmetrics.py").write_text(fault)
    run = python("-c", "import gpuph.metrics.modules", PYTHONPATH=str(tmp_path))
    last = run.stderr.splitlines()[-1]
    assert last.startswith("ImportError: these classes need torchmetrics, which is installed, but cannot be imported")
    assert BROKEN[fault] in last


@pytest.mark.slow
def test_missing_torchmetrics_raises_and_says_what_to_install() -> None:
    run = python("-c", "import sys; sys.modules['torchmetrics'] = None; import gpuph.metrics.modules")
    assert run.stderr.splitlines()[-1] == (
        "ImportError: these classes need torchmetrics, which comes with `pip install gpuph[metrics]`"
    )


LOSSES = {
    "LocalizedPHLoss": lambda: gpuph.LocalizedPHLoss(window=8, dims={0: 0.5, 1: 1.0}),
    "evaluation": lambda: gpuph.LocalizedPHLoss(window=8).eval(),
    "LikelihoodPHLoss": lambda: gpuph.LikelihoodPHLoss(window=8),
    "TopoLoss": lambda: gpuph.TopoLoss(window=8, border=True),
    "ConnectivityLoss": lambda: gpuph.ConnectivityLoss(window=8),
    "MorseSkeletonLoss": lambda: gpuph.MorseSkeletonLoss(window=8),
}


@pytest.mark.parametrize("shape", [(9, 10), (5, 6, 7)])
def test_fake_tensors_get_the_right_shapes(shape: tuple[int, ...]) -> None:
    def check(fake: Tensor, like: Tensor) -> None:
        assert isinstance(fake, FakeTensor) and fake.shape == like.shape and fake.dtype == like.dtype

    x, pred, target = torch.rand(2, *shape), torch.rand(2, 1, *shape), torch.rand(2, 1, *shape)
    for dim, expected in gpuph.persistence(x, capacity=11).items():
        with FakeTensorMode() as mode:
            fake = mode.from_tensor(x).requires_grad_()
            found = gpuph.persistence(fake, capacity=11)[dim]
            matching = gpuph.match(found, found)
            matching.cost.sum().backward()
            assert fake.grad is not None
        for name, value in vars(expected).items():
            check(getattr(found, name), value)
        for name, value in vars(gpuph.match(expected, expected)).items():
            check(getattr(matching, name), value)
    for make in LOSSES.values():
        loss = make()(pred, target)
        with FakeTensorMode() as mode:
            leaf = mode.from_tensor(pred).requires_grad_()
            found = make()(leaf, mode.from_tensor(target))
            found.backward()
            assert leaf.grad is not None and leaf.grad.shape == pred.shape
        check(found, loss)
    with FakeTensorMode() as mode:
        check(gpuph.BettiPriorLoss({0: 1})(mode.from_tensor(pred)), torch.zeros(()))
        check(gpuph.truncated_distance_map(mode.from_tensor(pred) > 0.5, 3.0), pred)
