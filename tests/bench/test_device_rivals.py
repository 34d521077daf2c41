"""`bench.device.rivals`: the comparison with a library that only runs on a GPU, with SciPy in its place."""

from __future__ import annotations

import sys
import types
from unittest import mock

import numpy as np
import torch
from scipy import ndimage

from bench.device import rivals


def test_distance_maps_are_compared_with_cupy() -> None:
    cupy, transforms = types.ModuleType("cupy"), types.ModuleType("cupyx.scipy.ndimage")
    cupy.from_dlpack, cupy.minimum = np.from_dlpack, np.minimum  # type: ignore[attr-defined]
    transforms.distance_transform_edt = ndimage.distance_transform_edt  # type: ignore[attr-defined]
    packages = {name: types.ModuleType(name) for name in ("cupyx", "cupyx.scipy")}
    modules = packages | {"cupy": cupy, "cupyx.scipy.ndimage": transforms}
    with mock.patch.dict(sys.modules, modules), mock.patch.object(torch.Tensor, "cuda", lambda x: x):
        contenders = dict(rivals._distance_maps(3, 64))
        assert [len(run()) for run in contenders.values()] == [3, 3]  # type: ignore[arg-type]
        broken = mock.patch.object(transforms, "distance_transform_edt", lambda x: x.astype(float))
        with broken, np.testing.assert_raises(AssertionError):
            dict(rivals._distance_maps(3, 64))
