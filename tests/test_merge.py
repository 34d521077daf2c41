"""The merge stage: the elder rule."""

from __future__ import annotations

import numpy as np
import pytest
from gpuph.kernels.cpu.merge import merge


def by_sorting(key: np.ndarray, saddle_key: np.ndarray, ends: np.ndarray, reverse: bool) -> dict[int, int]:
    """Which saddle ends the class of which extremum, by the textbook: sorted saddles and a union-find."""
    sign = -1 if reverse else 1
    parent = {int(u): int(u) for u in ends.ravel()}

    def root(u: int) -> int:
        while parent[u] != u:
            u = parent[u]
        return u

    dies = {}
    for s in sorted(range(ends.shape[1]), key=lambda s: (sign * int(saddle_key[s]), sign * s)):
        u, v = sorted((root(int(ends[0, s])), root(int(ends[1, s]))), key=lambda u: (sign * int(key[u]), sign * u))
        if u != v:
            parent[v] = u
            dies[v] = s
    return dies


def merged(
    key: np.ndarray, extrema: np.ndarray, saddle_key: np.ndarray, ends: np.ndarray, reverse: bool
) -> tuple[dict[int, int], list[int]]:
    last = np.iinfo(np.int32).min if reverse else np.iinfo(np.int32).max
    saddle_of, elder_of, partner = np.zeros(key.size, np.int32), np.zeros(key.size, np.int32), np.zeros(999, np.int32)
    merge(key, extrema, np.append(saddle_key, last).astype(np.int32), ends, reverse, saddle_of, elder_of, partner)
    never = ends.shape[1]
    return {int(u): int(saddle_of[u]) for u in extrema if saddle_of[u] != never}, partner[:never].tolist()


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("values", [3, 1000], ids=["ties", "distinct"])
def test_merge_equals_sorted_union_find(values: int, reverse: bool) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        extrema = np.sort(rng.choice(200, 40, replace=False)).astype(np.int32)
        key = rng.integers(0, values, 200).astype(np.int32)
        ends = rng.choice(extrema, (2, 90)).astype(np.int32)
        saddle_key = rng.integers(0, values, 90).astype(np.int32)
        dies, partner = merged(key, extrema, saddle_key, ends, reverse)
        assert dies == by_sorting(key, saddle_key, ends, reverse)
        assert partner == [{s: u for u, s in dies.items()}.get(s, -1) for s in range(90)]


def test_merge_is_independent_of_edge_order() -> None:
    rng = np.random.default_rng(1)
    extrema = np.arange(50, dtype=np.int32)
    key = rng.permutation(50).astype(np.int32)
    ends = rng.integers(0, 50, (2, 120)).astype(np.int32)
    saddle_key = rng.permutation(120).astype(np.int32)
    found = set()
    for _ in range(30):
        order = rng.permutation(120)
        dies, _ = merged(key, extrema, saddle_key[order], ends[:, order], False)
        found.add(tuple(sorted((u, int(order[s])) for u, s in dies.items())))
    assert len(found) == 1


def test_nothing_to_merge() -> None:
    one = np.array([3], np.int32)
    assert merged(np.zeros(5, np.int32), one, np.zeros(0, np.int32), np.zeros((2, 0), np.int32), False) == ({}, [])
