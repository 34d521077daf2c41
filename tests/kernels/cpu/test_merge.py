"""The merge stage applies the elder rule."""

from __future__ import annotations

import numpy as np
import pytest

from gpuph.kernels.cpu.merge import merge
from gpuph.kernels.cpu.records import Links, MergeTree, Saddles


def by_the_book(key: np.ndarray, saddle_key: np.ndarray, ends: np.ndarray, reverse: bool) -> dict[int, int]:
    """Return the saddle at which the class of each extremum dies, by union-find without shortcuts."""
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
    tree = MergeTree(*np.zeros((2, key.size), np.int32), np.zeros(999, np.int32))
    order = np.argsort(saddle_key, kind="stable").astype(np.int32)
    merge(key, extrema, Saddles(order, ends), tree, reverse)
    never = ends.shape[1]
    dies = {int(u): int(tree.saddle_of[u]) for u in extrema if tree.saddle_of[u] != never}
    return dies, tree.partner[:never].tolist()


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("values", [3, 1000], ids=["ties", "distinct"])
def test_younger_class_dies(values: int, reverse: bool) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        extrema = np.sort(rng.choice(200, 40, replace=False)).astype(np.int32)
        key = rng.integers(0, values, 200).astype(np.int32)
        ends = rng.choice(extrema, (2, 90)).astype(np.int32)
        saddle_key = rng.integers(0, values, 90).astype(np.int32)
        dies, partner = merged(key, extrema, saddle_key, ends, reverse)
        assert dies == by_the_book(key, saddle_key, ends, reverse)
        assert partner == [{s: u for u, s in dies.items()}.get(s, -1) for s in range(90)]


@pytest.mark.parametrize("reverse", [False, True])
def test_links_join_the_same_classes_at_every_saddle_in_order(reverse: bool) -> None:
    rng = np.random.default_rng(1)
    key, extrema = rng.integers(0, 20, 60).astype(np.int32), np.arange(60, dtype=np.int32)
    ends, owner_of = rng.choice(extrema, (2, 90)).astype(np.int32), rng.integers(0, 999, 90).astype(np.int32)
    order = rng.permutation(90).astype(np.int32)
    tree = MergeTree(*np.zeros((2, 60), np.int32), np.zeros(90, np.int32))
    links = Links(owner_of, *np.zeros((3, 60), np.int32), np.zeros(1, np.int64))
    merge(key, extrema, Saddles(order, ends), tree, reverse, 0, links)
    n = int(links.number[0])
    ending = [s for s in (order[::-1] if reverse else order) if tree.partner[s] >= 0]
    assert links.owners[:n].tolist() == owner_of[ending].tolist()
    assert links.younger[:n].tolist() == tree.partner[ending].tolist()
    # Both ends of a link are the eldest of their classes, which are joined there.
    classes = {int(u): {int(u)} for u in extrema}
    for s, younger, elder in zip(ending, links.younger[:n].tolist(), links.elder[:n].tolist(), strict=True):
        joined = [next(u for u, members in classes.items() if int(end) in members) for end in ends[:, s]]
        assert sorted(joined) == sorted((younger, elder))
        classes[elder] |= classes.pop(younger)


def test_merge_of_a_single_extremum_is_empty() -> None:
    one = np.array([3], np.int32)
    assert merged(np.zeros(5, np.int32), one, np.zeros(0, np.int32), np.zeros((2, 0), np.int32), False) == ({}, [])
