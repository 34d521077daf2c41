"""The launch code never waits for the device: it runs on tensors without data, and launches are counted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import gpuph
from engines import stubbed
from gpuph import ops

pytest.importorskip("triton")
pytestmark = pytest.mark.device_only

# Kernels of ours in persistence, whatever the batch: stars and critical cells, merge, keys, columns.
STAGES = ["_gradient", "_merge", "_pairs", "_place"]


class Counted(TorchDispatchMode):
    """Count PyTorch's operators that launch something: all but views and allocations."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        name = func.name()
        views = any(r.alias_info is not None and not r.alias_info.is_write for r in func._schema.returns)
        if not views and "empty" not in name and not name.startswith(("gpuph::", "aten::detach", "prim::")):
            self.names.append(name)
        return func(*args, **(kwargs or {}))


@pytest.fixture(autouse=True)
def _launchers_on_meta() -> Iterator[None]:
    """What runs on CUDA runs on the device "meta" too, where only shapes are known."""
    with torch.library._scoped_library("gpuph", "IMPL") as library:
        library.impl("persistence", ops._persistence, "Meta", allow_override=True)
        library.impl("gather", ops._gather, "Meta", allow_override=True)
        library.impl("scatter", ops._scatter, "Meta", allow_override=True)
        yield


@pytest.mark.parametrize("n", [1, 64, 4096])
@pytest.mark.parametrize("shape", [(1, 1), (64, 64), (181, 203)], ids=str)
def test_persistence_is_four_launches_whatever_the_batch(n: int, shape: tuple[int, int]) -> None:
    for dims, construction in (((0, 1), "T"), ((1,), "T"), ((1, 0), "V")):
        x = torch.empty(n, *shape, device="meta", requires_grad=True)
        with stubbed() as launches, Counted() as counted:
            diagrams = gpuph.persistence(x, dims, construction)
        assert [launch.kernel.__name__ for launch in launches] == STAGES
        assert len(counted.names) <= 2 + 6 * len(dims), counted.names
        assert all(diagram.birth.shape[0] == n and diagram.birth.requires_grad for diagram in diagrams.values())


@pytest.mark.parametrize(("shape", "dtype"), [((2048, 2048), torch.float32), ((64, 64), torch.float64)], ids=str)
def test_pairs_without_room_in_a_key_are_sorted_on_the_device_too(shape: tuple[int, int], dtype: torch.dtype) -> None:
    x = torch.empty(3, *shape, device="meta", dtype=dtype)
    with stubbed() as launches:
        gpuph.persistence(x, dims=(1,))
    assert [launch.kernel.__name__ for launch in launches] == STAGES[:3]


def test_no_windows_are_no_launches() -> None:
    with stubbed() as launches:
        gpuph.persistence(torch.empty(0, 8, 8, device="meta"))
    assert launches == []


def test_loss_and_backward_never_leave_the_device() -> None:
    """The matching has no Triton kernels yet: here its shapes stand for it."""
    for batch in (1, 16):
        pred = torch.empty(batch, 1, 256, 256, device="meta", requires_grad=True)
        target = torch.empty(batch, 1, 256, 256, device="meta")
        loss_fn = gpuph.LocalizedPHLoss()
        with stubbed() as launches:
            loss_fn(pred, target).backward()
        names = [launch.kernel.__name__ for launch in launches]
        assert names[:4] == STAGES and names.count("_gather") + names.count("_scatter") == len(names) - 4
        assert pred.grad is not None and pred.grad.shape == pred.shape
