"""Inputs that only a GPU takes: on one that is not the current one, or too large to be numbered."""

from __future__ import annotations

import contextlib
import sys
import types
from collections.abc import Iterator
from unittest import mock

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt

import gpuph
from bench.device import counts


class OnSecondDevice(torch.Tensor):
    """A tensor of the CPU that says that it is on the second GPU."""

    device = property(lambda self: torch.device("cuda", 1))


def test_distance_map_is_computed_on_the_device_of_its_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    current: list[tuple[str, object]] = []
    seen: list[list[tuple[str, object]]] = []

    @contextlib.contextmanager
    def using(kind: str, value: object) -> Iterator[None]:
        current.append((kind, value))
        yield
        current.pop()

    def transform(image: torch.Tensor, sampling: object) -> torch.Tensor:
        seen.append([*current])
        return torch.from_numpy(distance_transform_edt(image.as_subclass(torch.Tensor).numpy(), sampling))

    cupy = types.ModuleType("cupy")
    cupy.cuda = types.SimpleNamespace(
        Device=lambda index: using("device", index),
        ExternalStream=lambda stream, index: using("stream", (stream, index)),
    )
    cupy.from_dlpack = lambda x: x
    ndimage = types.ModuleType("cupyx.scipy.ndimage")
    ndimage.distance_transform_edt = transform
    for name, module in (("cupy", cupy), ("cupyx.scipy.ndimage", ndimage)):
        monkeypatch.setitem(sys.modules, name, module)
    for name in ("cupyx", "cupyx.scipy"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: mock.Mock(cuda_stream=100 + device.index))
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *args, device=None, **kwargs: empty(*args, **kwargs))

    mask = torch.zeros(2, 1, 9, 8, dtype=torch.bool)
    mask[:, :, 4] = True
    found = gpuph.truncated_distance_map(mask.as_subclass(OnSecondDevice), 3.0)
    assert seen == [[("device", 1), ("stream", (101, 1))]] * 2
    np.testing.assert_array_equal(found.as_subclass(torch.Tensor), gpuph.truncated_distance_map(mask, 3.0))


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
    with counts.as_on_a_device():
        with pytest.raises(InterruptedError):
            gpuph.persistence(torch.zeros(1).expand(1, *fits))
        with pytest.raises(ValueError, match=message):
            gpuph.persistence(torch.zeros(1).expand(1, *does_not))
    assert reached == [fits]
