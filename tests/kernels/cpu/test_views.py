"""Views in kernels are NumPy's: they share memory, and have the same shapes, strides and values."""

from __future__ import annotations

import gc

import numpy as np

from gpuph.kernels.cpu.runtime.jit import kernel
from gpuph.kernels.cpu.runtime.views import flat, largest, reshaped, view


@kernel
def views_of(x, y):
    """Return views of a list x, with some slices, and of an image y."""
    return view(x, np.uint64), view(y, np.int32), reshaped(x[4:12], (2, 2, 2)), flat(y), largest(x.dtype)


def test_views_equal_those_of_numpy_and_share_memory() -> None:
    x, y = np.arange(16, dtype=np.uint16), np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    *found, most = views_of(x, y)
    expected = [x.view(np.uint64), y.view(np.int32), x[4:12].reshape(2, 2, 2), y.reshape(-1)]
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours.dtype, ours.shape, ours.strides) == (theirs.dtype, theirs.shape, theirs.strides)
        np.testing.assert_array_equal(ours, theirs)
        assert np.shares_memory(ours, theirs)
    assert most == np.iinfo(np.uint16).max


def test_compilation_leaves_the_thresholds_of_garbage_collection_as_they_were() -> None:
    @kernel
    def double(x):
        return 2 * x

    before = gc.get_threshold()
    try:
        gc.set_threshold(600, 7, 5)
        assert double(3) == 6
        assert gc.get_threshold() == (600, 7, 5)
    finally:
        gc.set_threshold(*before)
