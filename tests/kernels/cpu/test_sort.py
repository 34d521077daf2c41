"""Sorting in kernels."""

from __future__ import annotations

import numpy as np
import pytest

from gpuph.kernels.cpu.runtime.sort import allocate_keys, argsort, radix_buckets, sort


@pytest.mark.parametrize("n", [0, 1, 2, 39, 40, 41, 257, 3000])
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("ties", [False, True])
def test_order_is_by_key_then_position(n: int, dtype: type, ties: bool) -> None:
    limits = np.iinfo(dtype)
    rng = np.random.default_rng(n)
    keys = rng.integers(-3, 3, n, dtype) if ties else rng.integers(limits.min, limits.max, n, dtype, endpoint=True)
    keys[: n // 50], keys[n // 50 : n // 25] = limits.max, limits.min
    expected = np.argsort(keys, kind="stable")
    order, spare_keys, spare_order = np.empty(n, np.int32), np.empty(n, dtype), np.empty(n, np.int32)
    argsort(keys.copy(), order, spare_keys, spare_order, radix_buckets())
    assert np.array_equal(order, expected)


@pytest.mark.parametrize("n", [0, 1, 40, 41, 500])
@pytest.mark.parametrize("ties", [False, True])
def test_order_of_floats_is_by_value_then_position(n: int, ties: bool) -> None:
    rng = np.random.default_rng(n)
    values = rng.choice([-np.inf, -1.5, -0.0, 0.0, 1e-300, 2.0, np.inf], n) if ties else rng.normal(size=n)
    keys = allocate_keys(600)
    keys.value[:n] = values
    sort(keys, n)
    assert np.array_equal(keys.order[:n], np.argsort(values, kind="stable"))
