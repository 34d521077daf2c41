"""Results are bit-identical on any number of threads, from concurrent callers, and after a fork."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

import gpuph
from gpuph.kernels.cpu.runtime.jit import kernel
from gpuph.kernels.cpu.runtime.threads import Helpers, claim_windows, on_threads, over_windows, run_dynamic
from support.inputs import image
from support.processes import wait_until

# Below 32768 values PyTorch uses no threads of its own; they would not survive a fork.
X = torch.from_numpy(np.stack([image(("noise", "smooth")[i % 2], (20, 17), i) for i in range(60)]))


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def results(threads: int) -> list[torch.Tensor]:
    torch.set_num_threads(threads)
    x = X.clone().requires_grad_()
    diagrams = gpuph.persistence(x)
    matching = gpuph.match(diagrams[1][:30], diagrams[1][30:])
    matching.cost.sum().backward()
    assert x.grad is not None
    indices = [index for d in diagrams.values() for index in (d.birth_index, d.death_index, d.count)]
    return [*indices, matching.partner_a, matching.partner_b, matching.cost.detach(), matching.gap, x.grad]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_results_are_bit_identical_on_any_number_of_threads(threads: int) -> None:
    assert same(results(threads), results(1))


VOLUMES = {
    "many": np.stack([image(("noise", "smooth")[i % 2], (9, 10, 11), i) for i in range(12)]),
    # Large enough for several threads to share the stages of one volume.
    "large noise": image("noise", (50, 55, 52))[None],
    "large slope": (image("ramp", (50, 55, 52)) + 0.1 * image("noise", (50, 55, 52)))[None],
    "two large": np.stack([image("smooth", (50, 55, 52), seed) for seed in range(2)]),
}


@pytest.mark.parametrize("construction", ["T", "V"])
@pytest.mark.parametrize("name", VOLUMES)
def test_volumes_are_bit_identical_on_any_number_of_threads(name: str, construction: str) -> None:
    found = []
    for threads in (1, 2, 3, 8):
        torch.set_num_threads(threads)
        diagrams = gpuph.persistence(torch.from_numpy(VOLUMES[name]), construction=construction)
        found.append([index for d in diagrams.values() for index in (d.birth_index, d.death_index, d.count)])
    assert all(same(other, found[0]) for other in found[1:])
    assert sum(int(count.sum()) for count in found[0][2::3]) > 2


def test_concurrent_callers_get_the_same_results() -> None:
    expected = results(2)
    with ThreadPoolExecutor(4) as pool:
        assert all(same(found, expected) for found in pool.map(results, [2] * 8))


def results_as_bytes(threads: int) -> list[bytes]:
    """Return bytes for another process; sending tensors would use PyTorch's threads, which do not survive a fork."""
    return [result.numpy().tobytes() for result in results(threads)]


def test_forked_processes_get_the_same_results() -> None:
    expected = results_as_bytes(2)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map_async(results_as_bytes, [2, 2, 1]).get(timeout=120) == [expected] * 3


class Windows(torch.utils.data.Dataset[torch.Tensor]):
    """Diagrams made in the workers of a DataLoader."""

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, i: int) -> torch.Tensor:
        return gpuph.persistence(X[i : i + 1], capacity=400)[1].birth_index[0]


def test_dataloader_workers_get_the_same_results() -> None:
    expected = torch.stack([Windows()[i] for i in range(len(X))])
    loader = torch.utils.data.DataLoader(Windows(), batch_size=10, num_workers=2, timeout=120)
    assert torch.equal(torch.cat([*loader]), expected)


@pytest.mark.parametrize("n", [0, 1, 2, 7, 100])
@pytest.mark.parametrize("least", [1, 3, 200])
def test_slices_cover_all_windows_in_order(n: int, least: int) -> None:
    torch.set_num_threads(3)
    slices = over_windows(n, lambda start, stop: (start, stop), least)
    assert [i for start, stop in slices for i in range(start, stop)] == list(range(n))
    assert len(slices) == 1 or len(slices) <= n // least


def test_error_in_a_slice_reaches_the_caller() -> None:
    torch.set_num_threads(3)

    def fail(start: int, stop: int) -> None:
        if start <= 40 < stop:
            raise RuntimeError("here")

    with pytest.raises(RuntimeError, match="here"):
        over_windows(100, fail)


@kernel
def _take_all(taken, stop, times):
    """Claim windows, count in times (n,) how often each was claimed, and return how many were."""
    n, mine = times.size, 0
    first, last = claim_windows(taken, n, stop)
    while first < n:
        times[first:last] += 1
        mine += last - first
        first, last = claim_windows(taken, n, stop)
    return mine


@pytest.mark.parametrize("n", [0, 1, 2, 40, 100_000])
@pytest.mark.parametrize("spare", [0, 3, 1_000_000])
def test_every_window_is_claimed_once(n: int, spare: int) -> None:
    torch.set_num_threads(3)
    for _ in range(20):
        times = np.zeros(n, np.int64)
        taken = run_dynamic(n, lambda taken, stop, times=times: _take_all(taken, stop, times), least=2, spare=spare)
        assert (times == 1).all()
        assert sum(taken) == n


def test_helper_threads_leave_the_last_windows_to_the_caller() -> None:
    torch.set_num_threads(3)
    stops = run_dynamic(100, lambda taken, stop: stop, spare=5)
    assert stops[0] == 100
    assert set(stops[1:]) <= {95}


def test_queued_call_is_withdrawn_when_the_caller_finishes_first() -> None:
    helpers, release, late = Helpers(), threading.Event(), []
    (first,) = helpers.call(lambda: release.wait(60), 1)
    assert wait_until(first.begun.locked)
    (second,) = helpers.call(lambda: late.append(1), 1)
    assert second.results() == []
    release.set()
    assert first.results() == [True]
    (third,) = helpers.call(lambda: 3, 1)  # queued behind the second call
    assert wait_until(third.begun.locked)
    assert third.results() == [3]
    assert late == []


def test_error_on_a_helper_thread_reaches_the_caller() -> None:
    torch.set_num_threads(2)
    both = threading.Barrier(2, timeout=60)
    caller = threading.current_thread()

    def fail_elsewhere() -> None:
        both.wait()
        if threading.current_thread() is not caller:
            raise RuntimeError("there")

    with pytest.raises(RuntimeError, match="there"):
        on_threads(2, fail_elsewhere)
