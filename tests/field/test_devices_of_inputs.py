"""Inputs that only a GPU takes: on one that is not the current one, or too large to be numbered."""

from __future__ import annotations

import contextlib
import importlib
import types
from collections.abc import Iterator

import pytest
import torch

import gpuph
from bench.device import counts
from gpuph.kernels import Scale, cpu
from gpuph.ops import backend


class OnSecondDevice(torch.Tensor):
    """A tensor of the CPU that says that it is on the second GPU."""

    device = property(lambda self: torch.device("cuda", 1))


def test_distance_map_is_launched_on_the_device_of_its_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    current: list[torch.device] = []
    seen: list[torch.device] = []

    @contextlib.contextmanager
    def using(x: torch.Tensor) -> Iterator[None]:
        current.append(x.device)
        yield
        current.pop()

    def launch(mask: torch.Tensor, scale: Scale) -> torch.Tensor:
        seen.extend(current)
        return torch.from_numpy(cpu.distance_map(mask.as_subclass(torch.Tensor).numpy(), scale))

    monkeypatch.setattr(importlib.import_module("gpuph.ops.distance_map"), "current_device", using)
    monkeypatch.setattr(backend, "triton", types.SimpleNamespace(distance_map=launch))
    mask = torch.zeros(2, 1, 9, 8, dtype=torch.bool)
    mask[:, :, 4] = True
    found = gpuph.truncated_distance_map(mask.as_subclass(OnSecondDevice), 3.0)
    assert seen == [torch.device("cuda", 1)] and current == []
    assert torch.equal(found.as_subclass(torch.Tensor), gpuph.truncated_distance_map(mask, 3.0))


@pytest.mark.parametrize(
    ("fits", "does_not", "message"),
    [
        (
            (23170, 23170),
            (2**14, 2**15),
            r"images .* less than 2\^31 / 4 pixels, border included, got \(16384, 32768\)",
        ),
        ((563, 563, 563), (564, 564, 564), r"volumes .* less than 2\^31 / 12 voxels"),
    ],
)
def test_windows_with_too_many_cells_for_a_gpu_are_refused(
    fits: tuple[int, ...], does_not: tuple[int, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("triton")
    reached: list[tuple[int, ...]] = []

    def stop(x: torch.Tensor, *args: object) -> None:
        reached.append(tuple(x.shape[1:]))
        raise InterruptedError("the kernels would be launched now")

    import gpuph.kernels.triton as kernels

    for name in ("persistence", "persistence3"):
        monkeypatch.setattr(kernels, name, stop, raising=False)
    monkeypatch.setattr(kernels, "replayed", lambda run, *_: run())  # which would ask for the current device
    with counts.as_on_a_device():
        with pytest.raises(InterruptedError):
            gpuph.persistence(torch.zeros(1).expand(1, *fits))
        with pytest.raises(ValueError, match=message):
            gpuph.persistence(torch.zeros(1).expand(1, *does_not))
    assert reached == [fits]
