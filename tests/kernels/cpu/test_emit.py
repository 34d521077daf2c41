"""The emit stage: pairs are sorted and written into columns."""

from __future__ import annotations

import numpy as np
import pytest

from gpuph.kernels.cpu.image.emit import Sorting, read_levels, sort_pairs
from gpuph.kernels.cpu.runtime.sort import radix_buckets
from gpuph.kernels.cpu.windows import fill_whole


@pytest.mark.parametrize("n", [0, 1, 2, 39, 40, 41, 257, 3000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("ties", [False, True])
def test_sort_is_by_persistence_then_code(n: int, dtype: type, ties: bool) -> None:
    rng = np.random.default_rng(n)
    lengths = (rng.integers(1, 4, n) if ties else rng.random(n) * 10.0 ** rng.integers(-30, 30, n)).astype(dtype)
    lengths[: n // 50] = np.inf
    codes = np.sort(rng.choice(10 * n + 1, n, replace=False)).astype(np.int64)
    for i in range(0, n - 2, 3):  # as for edges of one owner, a few are out of order
        codes[i], codes[i + 1] = codes[i + 1], codes[i]
    expected = codes[np.lexsort((codes, -lengths))]
    keys = np.zeros((2, n), np.int32 if dtype == np.float32 else np.int64)
    sort_pairs(lengths, codes, Sorting(*keys, *np.zeros((2, n), np.int32), radix_buckets(), np.zeros(n, np.int64)))
    assert np.array_equal(codes, expected)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_fill_keeps_the_first_pairs_and_pads_the_rest(k: int) -> None:
    pairs = [(7, 9), (2, -1), (0, 11)]
    codes = np.array([birth << 32 | death + 1 for birth, death in pairs], np.int64)
    index, value = np.zeros((2, k), np.int64), np.ones((2, k), np.float32)
    fill_whole(np.arange(12, dtype=np.float32) / 2, codes, index, value)
    assert index.T.tolist() == [list(pair) for pair in [*pairs, (-1, -1), (-1, -1)][:k]]
    assert value.T.tolist() == [[3.5, 4.5], [1.0, np.inf], [0.0, 5.5], [0.0, 0.0], [0.0, 0.0]][:k]


def test_read_interleaves_births_and_deaths() -> None:
    codes = np.array([birth << 32 | death + 1 for birth, death in [(7, 9), (2, -1), (0, 11)]], np.int64)
    levels = np.zeros(8, np.float32)
    read_levels(codes, np.arange(12, dtype=np.float32) / 2, levels)
    assert levels.tolist() == [3.5, 4.5, 1.0, np.inf, 0.0, 5.5, 0.0, 0.0]
