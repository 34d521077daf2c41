"""Merging takes near-linear time in any order of minima and saddles, on the CPU and as compiled PTX."""

from __future__ import annotations

import importlib
import itertools
import time
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

import gpuph
from gpuph.kernels.cpu.merge import merge
from gpuph.kernels.cpu.records import MergeTree, Saddles
from support import oracle
from support.emulation import needs_ptx, ptx
from support.engines import assert_same_pairs
from support.merge_inputs import LAYOUTS, ORDERS, chain

FAR, NEAR = ("left to right", "right to left", "right to left"), ("left to right", "left to right", "left to right")


class Counted(np.ndarray):
    """An array that counts how often it is read."""

    reads = 0

    def __getitem__(self, index: Any) -> Any:
        type(self).reads += 1
        return super().__getitem__(index)


def reads_per_saddle(minima: str, saddles: str, teeth: str, n: int, reverse: bool) -> float:
    """Count reads of the merge tree per saddle, for a chain of n extrema with a tooth each that joins them later."""
    age = np.concatenate((ORDERS[minima](n), n + np.arange(n))).astype(np.int32)
    path, tooth = np.arange(n - 1), np.arange(n)
    ends = np.concatenate((np.stack((path, path + 1)), np.stack((tooth, n + tooth))), axis=1).astype(np.int32)
    order = np.argsort(np.concatenate((ORDERS[saddles](n - 1), n + ORDERS[teeth](n)))).astype(np.int32)
    if reverse:  # from the greatest down, saddles in reverse
        age, order = -age, order[::-1]
    saddle_of, partner = np.empty(2 * n, np.int32), np.empty(2 * n, np.int32)
    elder_of = np.empty(2 * n, np.int32).view(Counted)
    Counted.reads = 0
    tree = MergeTree(saddle_of, elder_of, partner)
    merge.py_func(age, np.arange(2 * n), Saddles(order, ends), tree, reverse)
    assert np.count_nonzero(partner[: order.size] >= 0) == 2 * n - 1  # in a tree, each saddle ends a class
    return Counted.reads / order.size


@pytest.mark.parametrize("reverse", [False, True])
def test_merge_takes_logarithmic_steps_per_saddle_in_any_order(reverse: bool) -> None:
    n = 256
    for orders in itertools.product(ORDERS, repeat=3):
        assert reads_per_saddle(*orders, n, reverse) < 4 + 2 * np.log2(n), orders


@pytest.mark.parametrize("construction", ["T", "V"])
def test_merge_of_a_comb_is_as_fast_from_either_end(construction: str) -> None:
    def seconds(orders: tuple[str, str, str]) -> float:
        x = torch.from_numpy(chain("comb", 240_000, *orders))[None]
        times = []
        for _ in range(3):
            begin = time.thread_time()  # of this thread alone, however busy the machine is
            gpuph.persistence(x, construction=construction)
            times.append(time.thread_time() - begin)
        return min(times)

    gpuph.persistence(torch.zeros(1, 3, 4), construction=construction)  # compiles
    assert seconds(FAR) < 8 * seconds(NEAR)


@pytest.mark.parametrize("construction", ["T", "V"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_pairs_of_chains_equal_the_textbook(layout: str, construction: str) -> None:
    size = 27 if layout == "snake" else 49
    for number, orders in enumerate(itertools.product(ORDERS, repeat=3)):
        if number % 7:  # keeps a few of each pair of orders
            continue
        for sign in (1, -1):
            x = sign * chain(layout, size, *orders)
            found = gpuph.persistence(torch.from_numpy(x)[None], dims=range(x.ndim), construction=construction)
            for dim, expected in oracle.pairs(x, construction).items():
                diagram = found[dim]
                index = torch.stack((diagram.birth_index, diagram.death_index), 2)[0, : int(diagram.count[0])]
                assert sorted(map(tuple, index.tolist())) == sorted(expected), (orders, sign, dim)


def connected_by(saddles: np.ndarray, ends: np.ndarray, rank: np.ndarray, hints: list[tuple[int, int, int]]) -> int:
    """Count the correct hints (saddle, owner, elder), whose ends are connected by saddles up to their own."""
    position = {int(saddle): int(place) for saddle, place in zip(saddles, rank, strict=True)}
    root = {int(u): int(u) for u in ends.ravel()}

    def find(u: int) -> int:
        while root[u] != u:
            root[u] = root[root[u]]
            u = root[u]
        return u

    by_position = sorted((position[saddle], owner, elder) for saddle, owner, elder in hints)
    joined, true = np.argsort(rank), 0
    done = 0
    for last, owner, elder in by_position:
        for a, b in ends[:, joined[done : last + 1]].T:
            root[find(int(a))] = find(int(b))
        done = last + 1
        true += find(owner) == find(elder)
    return true


class TestPtx:
    pytestmark = needs_ptx

    @pytest.mark.parametrize("seed", range(3))
    def test_every_elder_hint_is_correct(self, seed: int) -> None:
        """Hints that are not used count as well, as a wrong one spoils a diagram only on some schedules."""
        gradient, merge = (
            importlib.import_module(f"gpuph.kernels.triton.image.{name}") for name in ("gradient", "merge")
        )
        image = chain("staircase", 25_000, "random", "inside out", "bit-reversed")
        x, value = torch.from_numpy(image)[None], image.ravel()
        made, allocate = [], torch.empty_like

        def empty_like(*args: Any, **kwargs: Any) -> torch.Tensor:
            made.append(allocate(*args, **kwargs))
            return made[-1]

        with ptx(seed, checks=(), resident_blocks=16), mock.patch.object(torch, "empty_like", empty_like):
            found, trees = gradient.gradient(x, False)
            merge.merge(x, found, trees, False, (0,))
        n = int(trees.counters[0, 0])
        words, saddles = made[-1][0, :n].numpy(), found.edges[0, :n].numpy()  # a word packs both ends of a saddle
        rank = np.argsort(np.lexsort((saddles, value[saddles >> 2])))
        slots = trees.hints[0].numpy()
        owners = np.flatnonzero(slots) * 16 + ((slots[slots != 0] >> 29) & 15)
        parts = zip(slots[slots != 0] >> 33, owners, slots[slots != 0] & (2**29 - 1), strict=True)
        hints = [(int(saddle), int(owner), int(elder)) for saddle, owner, elder in parts]
        assert len(hints) > 100
        assert connected_by(saddles, np.stack((words >> 15, words & (2**15 - 1))), rank, hints) == len(hints)

    @pytest.mark.parametrize("block_order", ["linear", "random"])
    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_instructions_per_pixel_do_not_grow_with_the_chain(self, layout: str, block_order: str) -> None:
        """Following links one by one would take 2,000 and 11,200 instructions per pixel in the two combs."""
        schedule = {"checks": (), "resident_blocks": 16, "block_order": block_order}
        for orders in (FAR, ("right to left", "left to right", "random"), ("random", "inside out", "bit-reversed")):
            taken = []
            for pixels in (4_000, 40_000):
                x = torch.from_numpy(chain(layout, pixels, *orders))[None]
                with ptx(0, **schedule) as emulation:
                    assert_same_pairs(x, dims=(0, x.ndim - 2), construction="V")
                taken.append(sum(run.instructions for run in emulation.launches if run.kernel == "_merge") / x.numel())
            assert taken[1] < 2 * taken[0] + 300, orders

    @pytest.mark.parametrize("seed", range(6))
    def test_pairs_of_chains_equal_the_cpu_on_any_schedule(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        for layout in LAYOUTS:
            orders = rng.choice(list(ORDERS), 3)
            dtype = (np.float32, np.float64)[seed % 2]
            x = torch.from_numpy((-1) ** seed * chain(layout, 1_500, *orders, dtype=dtype))[None]
            with ptx(seed):
                assert_same_pairs(x, dims=(0, x.ndim - 2), construction="TV"[seed // 2 % 2])
