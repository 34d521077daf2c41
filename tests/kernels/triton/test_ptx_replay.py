"""Operators that repeat the allocations and launches of an earlier call give the CPU's results, in ptxrun."""

from __future__ import annotations

import functools
import importlib
import itertools
import threading
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor

import gpuph
from gpuph.kernels import Tiling
from support import inputs
from support.emulation import needs_ptx, ptx
from support.engines import assert_same_curves

pytest.importorskip("triton")
pytestmark = needs_ptx

from gpuph.kernels.triton.runtime import replay  # noqa: E402

WINDOW = [8, 8], [8, 8], True


@pytest.fixture
def replays() -> Iterator[list[None]]:
    """Forget all plans, and count the replays."""
    made: list[None] = []
    inner = replay._Plan.replay

    def counted(self: Any, inputs: Any) -> Any:
        made.append(None)
        return inner(self, inputs)

    with mock.patch.dict(replay._plans, clear=True), mock.patch.object(replay._Plan, "replay", counted):
        yield made


def window_costs(seed: int, dims: list[int], *, batch: int = 2, dtype: torch.dtype = torch.float32) -> tuple[Any, ...]:
    generator = torch.Generator().manual_seed(seed)
    pred, target = (torch.randn(batch, 16, 19, generator=generator, dtype=dtype) for _ in range(2))
    height = torch.randn(1, 2, generator=generator, dtype=dtype)
    weights = [0.5, 2.0][: len(dims)]
    return pred, target, height, *WINDOW, dims, True, 30, weights, True, 0.0


def assert_same(found: Any, expected: Any) -> None:
    cost, status, slopes_a, slopes_b, index, count = found
    torch.testing.assert_close(cost, expected[0], rtol=1e-6, atol=0)
    assert torch.equal(status, expected[1])
    n = len(cost)
    for dim, counts in enumerate(count):
        assert torch.equal(counts, expected[5][dim])
        there = torch.arange(30) < counts[:, None, None]
        for ours, theirs, mask in (
            (slopes_a[dim], expected[2][dim], there[:n]),
            (slopes_b[dim], expected[3][dim], there[n:]),
            (index[dim], expected[4][dim], there),
        ):
            assert torch.equal(ours.where(mask, 0), theirs.where(mask, 0))


@pytest.mark.parametrize("dims", [[1], [0, 1]])
def test_costs_of_other_windows_equal_the_cpu(dims: list[int], replays: list[None]) -> None:
    with ptx(0):
        for seed in range(4):
            arguments = window_costs(seed, dims)
            with gpuph.use_kernels("triton"):
                found = torch.ops.gpuph.window_costs(*arguments)
            with gpuph.use_kernels("cpu"):
                assert_same(found, torch.ops.gpuph.window_costs(*arguments))
    assert len(replays) == 3


def test_inputs_of_another_kind_are_recorded_anew(replays: list[None]) -> None:
    cases = [window_costs(0, [1]), window_costs(1, [1], batch=1), window_costs(2, [0])]
    half = window_costs(3, [1])
    cases += [(*half[:-2], False, 0.0), (*half[:2], half[2].expand(6 * 2, 2).contiguous(), *half[3:])]
    with ptx(0):
        for arguments in cases:
            with gpuph.use_kernels("triton"):
                found = torch.ops.gpuph.window_costs(*arguments)
            with gpuph.use_kernels("cpu"):
                assert_same(found, torch.ops.gpuph.window_costs(*arguments))
    assert len(replays) == 0 and len(replay._plans) == len(cases)


def test_the_same_tensor_as_prediction_and_truth_is_not_recorded(replays: list[None]) -> None:
    arguments = window_costs(0, [1])
    twice = (arguments[0], arguments[0], *arguments[2:])
    with ptx(0), gpuph.use_kernels("triton"):
        for case in (twice, arguments, twice, arguments):
            found = torch.ops.gpuph.window_costs(*case)
            with gpuph.use_kernels("cpu"):
                assert_same(found, torch.ops.gpuph.window_costs(*case))
    assert len(replays) == 1


def test_halves_of_one_tensor_are_told_apart(replays: list[None]) -> None:
    with ptx(0), gpuph.use_kernels("triton"):
        for seed in range(2):
            pred, target, *rest = window_costs(seed, [1])
            both = torch.cat((pred, target))
            case = (*both.split(2), *rest)
            found = torch.ops.gpuph.window_costs(*case)
            with gpuph.use_kernels("cpu"):
                assert_same(found, torch.ops.gpuph.window_costs(*case))
    assert len(replays) == 1


def test_strided_inputs_are_not_recorded(replays: list[None]) -> None:
    with ptx(0), gpuph.use_kernels("triton"):
        for seed in range(2):
            pred, target, *rest = window_costs(seed, [1])
            case = (pred.mT.contiguous().mT, target, *rest)
            found = torch.ops.gpuph.window_costs(*case)
            with gpuph.use_kernels("cpu"):
                assert_same(found, torch.ops.gpuph.window_costs(*case))
    assert len(replays) == 0


def test_costs_of_the_longest_pairs_are_not_recorded(replays: list[None]) -> None:
    """Which pairs last longer than `min_persistence` is decided by operators of PyTorch that are not repeated."""
    with ptx(0), gpuph.use_kernels("triton"):
        for seed in range(2):
            for min_persistence in (0.0, 1.0):
                case = (*window_costs(seed, [0, 1])[:-1], min_persistence)
                found = torch.ops.gpuph.window_costs(*case)
                with gpuph.use_kernels("cpu"):
                    assert_same(found, torch.ops.gpuph.window_costs(*case))
    assert len(replays) == 1


@pytest.mark.parametrize("shape", [(3, 9, 12), (2, 5, 6, 7)])
def test_pairs_of_other_windows_equal_the_cpu(shape: tuple[int, ...], replays: list[None]) -> None:
    dims = list(range(len(shape) - 1))
    with ptx(0):
        for seed in range(3):
            x = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
            if seed == 1:
                x[1].view(-1)[3] = float("nan")
            found, expected = (
                _persistence(kernels, x, dims, capacity) for kernels, capacity in (("triton", 40), ("cpu", 40))
            )
            for ours, theirs in zip(found, expected, strict=True):
                assert torch.equal(ours, theirs)
    assert len(replays) == 2


def _persistence(kernels: str, x: Tensor, dims: list[int], capacity: int) -> list[Tensor]:
    with gpuph.use_kernels(kernels):
        status, *lists = torch.ops.gpuph.persistence(x, dims, True, 0.0, capacity)
    return [status, *itertools.chain(*lists)]


def test_skeletons_of_other_masks_equal_the_cpu(replays: list[None]) -> None:
    with ptx(0):
        for seed in range(3):
            assert_same_curves(torch.from_numpy(inputs.masks((2, 9, 13), 0.8, seed)))
        assert_same_curves(torch.ones(2, 13, 9, dtype=torch.bool).transpose(1, 2))
    assert len(replays) == 2


def test_slopes_of_the_second_half_of_pairs_equal_the_cpu(replays: list[None]) -> None:
    tiling = Tiling((8, 4), (4, 4), (4, 4), border=False)
    with ptx(0):
        for seed in range(3):
            generator = torch.Generator().manual_seed(seed)
            index = torch.randint(0, 16, (8, 2, 5), generator=generator)
            index[1::2] += 16  # the lower window of each image
            parts = torch.randn(4, 2, 5, generator=generator), index[4:], torch.full((8,), 5)[4:], torch.ones(4)
            found, expected = (_scatter(kernels, parts, tiling) for kernels in ("triton", "cpu"))
            assert torch.allclose(found, expected, rtol=1e-6, atol=1e-6)
    assert len(replays) == 2


def _scatter(kernels: str, parts: tuple[Tensor, ...], tiling: Tiling) -> Tensor:
    with gpuph.use_kernels(kernels):
        found: Tensor = torch.ops.gpuph.scatter_slopes(*parts, *tiling[:3])
    return found


def run(*operators: Any) -> Any:
    """Return a function that launches a kernel on new memory, and calls operators of PyTorch."""
    from gpuph.kernels import triton as engine

    def call(x: Tensor, index: Tensor) -> Tensor:
        out = engine.gather(x, index)
        for operator in operators:
            out = operator(out)
        return out

    return call


def replayed(call: Any, x: Tensor, index: Tensor) -> Tensor:
    found: Tensor = replay.replayed(lambda: call(x, index), (x, index), ("a test",))
    return found


GATHERED = torch.tensor([[3, 1], [0, 2]])


@pytest.mark.parametrize(
    "operator",
    [
        lambda out: out.clone(),
        lambda out: out * 3.0,
        lambda out: out + out,
        lambda out: out[:, 1].clone(),
    ],
)
def test_known_operators_of_pytorch_are_repeated(operator: Any, replays: list[None]) -> None:
    with ptx(0):
        for seed in range(3):
            x = torch.randn(2, 4, generator=torch.Generator().manual_seed(seed))
            assert torch.equal(replayed(run(operator), x, GATHERED), operator(x.gather(1, GATHERED)))
    assert len(replays) == 2


@pytest.mark.parametrize(
    "operator",
    [
        lambda out: out.sqrt(),
        lambda out: out.add_(1.0),
        lambda out: out[:, :1],  # a view of memory that has more
        lambda out: out.mT,  # of the same shape, but with other strides
        lambda out: out * int(out.shape[0] + 0 * out.sum()),  # reads a value
        lambda out: out.double() * 3.0,
    ],
)
def test_other_operators_of_pytorch_are_not_repeated(operator: Any, replays: list[None]) -> None:
    with ptx(0):
        for seed in range(3):
            x = torch.rand(2, 4, generator=torch.Generator().manual_seed(seed))
            assert torch.equal(replayed(run(operator), x, GATHERED), operator(x.gather(1, GATHERED)))
    assert len(replays) == 0


def test_launches_of_kernels_that_are_not_recorded_are_not_repeated(replays: list[None]) -> None:
    """A kernel of `triton.jit` itself, such as a user's, is noticed by Triton's own hooks."""
    from triton.runtime.jit import JITFunction

    module = importlib.import_module("gpuph.kernels.triton.gather")
    plain = JITFunction(module._gather.fn, do_not_specialize=["p", "k", "tiles"])
    with ptx(0), mock.patch.object(module, "_gather", plain):
        for _ in range(3):
            x = torch.rand(2, 4)
            assert torch.equal(replayed(run(), x, GATHERED), x.gather(1, GATHERED))
    assert len(replays) == 0


def test_a_profiler_sees_every_launch(replays: list[None]) -> None:
    from triton import knobs

    launches: list[Any] = []
    with ptx(0):
        x = torch.rand(2, 4)
        replayed(run(), x, GATHERED)
        knobs.runtime.launch_enter_hook.add(launches.append)
        try:
            for _ in range(2):
                replayed(run(), x, GATHERED)
        finally:
            knobs.runtime.launch_enter_hook.remove(launches.append)
        replayed(run(), x, GATHERED)
    assert len(launches) == 2 and launches[0].get()["name"] == "_gather" and len(replays) == 1


def test_another_device_has_plans_of_its_own(replays: list[None]) -> None:
    import ptxrun.triton

    x = torch.rand(2, 4)
    for sm in (80, 90, 90, 80):
        with ptxrun.triton.emulated(sm=sm):
            assert torch.equal(replayed(run(), x, GATHERED), x.gather(1, GATHERED))
    assert len(replay._plans) == 2 and len(replays) == 2


def test_an_operator_that_raises_is_recorded_in_its_next_call(replays: list[None]) -> None:
    def failing(out: Tensor) -> Tensor:
        raise RuntimeError("failed")

    with ptx(0):
        x = torch.rand(2, 4)
        with pytest.raises(RuntimeError, match="failed"):
            replayed(run(failing), x, GATHERED)
        assert len(replay._plans) == 0
        for _ in range(2):
            assert torch.equal(replayed(run(), x, GATHERED), x.gather(1, GATHERED))
    assert len(replays) == 1


def test_launches_on_other_threads_are_not_part_of_the_plan(replays: list[None]) -> None:
    others = torch.rand(3, 5), torch.zeros(3, 1, dtype=torch.int64)

    def with_another(out: Tensor) -> Tensor:
        thread = threading.Thread(target=run(), args=others)
        thread.start()
        thread.join()
        return out

    with ptx(0):
        x = torch.rand(2, 4)
        for _ in range(2):
            assert torch.equal(replayed(run(with_another), x, GATHERED), x.gather(1, GATHERED))
        (plan,) = replay._plans.values()
    assert len(replays) == 1 and plan is not None
    assert sum(type(step) is replay._Launch for step in plan.steps) == 1


def test_an_operator_inside_another_is_part_of_its_plan(replays: list[None]) -> None:
    def outer(x: Tensor, index: Tensor) -> Tensor:
        return replayed(run(), x, index) * 3.0

    with ptx(0):
        for _ in range(2):
            x = torch.rand(2, 4)
            found = replay.replayed(functools.partial(outer, x, GATHERED), (x, GATHERED), ("an outer operator",))
            assert torch.equal(found, x.gather(1, GATHERED) * 3.0)
    assert len(replay._plans) == 1 and len(replays) == 1


def test_tensors_without_values_are_not_recorded(replays: list[None]) -> None:
    with ptx(0):
        for _ in range(2):
            assert replayed(run(), torch.rand(0, 4), torch.zeros(0, 2, dtype=torch.int64)).shape == (0, 2)
            found = replayed(run(), torch.rand(2, 0), torch.full((2, 1), -1))
            assert torch.equal(found, torch.zeros(2, 1))
    assert len(replay._plans) == 0


def test_memory_is_freed_where_the_operator_frees_it(replays: list[None]) -> None:
    import ptxrun.triton  # without the record of initialised memory, which would keep all of it

    with ptxrun.triton.emulated(checks=("mem",)):
        for seed in range(3):
            arguments = window_costs(seed, [0, 1])
            with gpuph.use_kernels("triton"):
                found = torch.ops.gpuph.window_costs(*arguments)
            with gpuph.use_kernels("cpu"):
                assert_same(found, torch.ops.gpuph.window_costs(*arguments))
    assert len(replays) == 2
    (plan,) = replay._plans.values()
    assert plan is not None
    kinds = [type(step) for step in plan.steps]
    assert kinds.index(replay._Free) < kinds.index(replay._Launch, kinds.index(replay._Free))
    freed = [step.slot for step in plan.steps if type(step) is replay._Free]
    assert len(set(freed)) == len(freed)
    for slot in freed:  # nothing refers to a slot that was freed
        end = plan.steps.index(replay._Free(slot))
        rest = [step for step in plan.steps[end + 1 :] if type(step) is replay._Launch]
        assert all(slot != of for step in rest for _, of in step.tensors)


def test_plans_are_limited(replays: list[None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "_MOST", 2)
    with ptx(0):
        for size in (4, 5, 6, 4):
            x = torch.rand(2, size)
            assert torch.equal(replayed(run(), x, GATHERED), x.gather(1, GATHERED))
    assert len(replay._plans) == 2 and len(replays) == 0
