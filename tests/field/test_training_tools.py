"""The losses in what people train with: gradient scaling, export, several processes, function transforms."""

from __future__ import annotations

import socket
import time
import warnings
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import gpuph
from support.classes import LOSSES, inputs_of

pytestmark = pytest.mark.filterwarnings("ignore:target must be a distance map")  # random masks are unlike curves

SHAPE = (2, 1, 17, 21)
LONGEST = 300.0  # seconds that the processes of a group may take


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 3, padding=1))


def batch() -> tuple[Tensor, Tensor, Tensor]:
    """Return images, true distance maps and a region of interest."""
    generator = torch.Generator().manual_seed(1)
    roads = torch.zeros(4, 1, 32, 32, dtype=torch.bool)
    for i in range(4):
        roads[i, 0, 6 + 5 * i] = roads[i, 0, :, 25 - 5 * i] = True
    images = roads.float() + 0.5 * torch.randn(roads.shape, generator=generator)
    mask = torch.ones(roads.shape, dtype=torch.bool)
    mask[..., :4, :] = False
    return images, gpuph.truncated_distance_map(roads, 10.0), mask


def loss_fn() -> gpuph.LocalizedPHLoss:
    # A fixed height: the processes of a group would draw different ones.
    return gpuph.LocalizedPHLoss(window=16, dims=(0, 1), height=gpuph.Linear((0.1, 0.17)))


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_scaler_unscales_to_the_same_gradient(name: str) -> None:
    pred, *others = inputs_of(name, SHAPE)
    criterion = LOSSES[name]().eval()
    expected = torch.autograd.grad(criterion(pred, *others), pred)[0]
    weight = nn.Parameter(pred.detach().clone())
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)  # type: ignore[attr-defined]
    optimizer = torch.optim.SGD([weight], lr=0.0)
    with torch.autocast("cpu", torch.bfloat16):
        loss = criterion(weight, *others)
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    torch.testing.assert_close(weight.grad, expected)


def test_gradient_scaler_skips_a_step_that_overflows_and_lowers_its_scale() -> None:
    pred, target = inputs_of("LikelihoodPHLoss", SHAPE, torch.float16)
    weight = nn.Parameter(pred.detach().float())
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)  # type: ignore[attr-defined]
    optimizer = torch.optim.SGD([weight], lr=0.1)
    before = weight.detach().clone()
    scaler.scale(gpuph.LikelihoodPHLoss(window=8, reduction="sum")(weight, target) * 4.0).backward()
    scaler.step(optimizer)
    scaler.update()
    assert torch.equal(weight, before) and scaler.get_scale() < 2.0**127


def test_training_under_autocast_lowers_the_loss() -> None:
    images, target, mask = batch()
    model, criterion = network(), loss_fn()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    values = []
    for _ in range(15):
        with torch.autocast("cpu", torch.bfloat16):
            pred = model(images)
            loss = criterion(pred, target, mask)
        assert pred.dtype == torch.bfloat16 and loss.dtype == torch.float32
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(float(loss.detach()))
    assert values[-1] < 0.7 * values[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", LOSSES)
def test_exported_loss_has_the_same_value(name: str) -> None:
    maps = [x.detach() for x in inputs_of(name, SHAPE)]
    criterion = LOSSES[name]().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exported = torch.export.export(criterion, tuple(maps)).module()
    others = [x.flip(0, 3) for x in maps]
    torch.testing.assert_close(exported(*others), criterion(*others))
    if name != "BettiPriorLoss":
        mask = torch.rand(SHAPE) < 0.9
        exported = torch.export.export(criterion, (*maps, mask)).module()
        torch.testing.assert_close(exported(*others, mask), criterion(*others, mask))


def test_network_and_loss_compile_into_one_graph() -> None:
    torch._dynamo.reset()
    images, target, mask = batch()
    model, criterion = network(), loss_fn()

    def step(x: Tensor, y: Tensor, region: Tensor) -> Tensor:
        return criterion(model(x), y, region)

    expected = torch.autograd.grad(step(images, target, mask), list(model.parameters()))
    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    found = torch.autograd.grad(compiled(images, target, mask), list(model.parameters()))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


TRANSFORMS: dict[str, Callable[..., Any]] = {
    "grad": lambda f, pred, *_: torch.func.grad(f)(pred),
    "vmap": lambda f, pred, *_: torch.func.vmap(f)(pred[None]),
    "jvp": lambda f, pred, *_: torch.func.jvp(f, (pred,), (pred,)),
    "jacrev": lambda f, pred, *_: torch.func.jacrev(f)(pred),
}


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("name", LOSSES)
def test_function_transforms_are_refused_and_leave_no_trace(name: str, transform: str) -> None:
    pred, *others = (x.detach() for x in inputs_of(name, SHAPE))
    criterion = LOSSES[name]().eval()
    with pytest.raises(
        RuntimeError, match=r"pred must not belong to a transform of torch\.func, .* loss\.backward\(\)"
    ):
        TRANSFORMS[transform](lambda x: criterion(x, *others), pred)
    if others:
        with pytest.raises(RuntimeError, match=r"target must not belong to a transform of torch\.func"):
            torch.func.vmap(lambda y: criterion(pred, y))(others[0].float()[None])
    assert criterion(pred, *others).isfinite()  # no transformed tensor was remembered


def test_functional_call_works() -> None:
    images, target, mask = batch()
    model = network()
    parameters = {name: value.detach().clone().requires_grad_() for name, value in model.named_parameters()}
    loss = loss_fn()(torch.func.functional_call(model, parameters, (images,)), target, mask)
    expected = torch.autograd.grad(loss_fn()(model(images), target, mask), list(model.parameters()))
    for one, other in zip(torch.autograd.grad(loss, list(parameters.values())), expected, strict=True):
        assert torch.equal(one, other)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def train_part(rank: int, kind: str, port: int, folder: str) -> None:
    """Compute the gradient of half of the batch in a process of a group, and save the mean over the group."""
    torch.set_num_threads(1)
    limit = timedelta(seconds=LONGEST)
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2, timeout=limit)
    try:
        images, target, mask = (x[2 * rank : 2 * rank + 2] for x in batch())
        model = network()
        if kind == "DDP":
            model = DistributedDataParallel(model)
        else:
            fully_shard(model, mesh=init_device_mesh("cpu", (2,)))
        loss_fn()(model(images), target, mask).backward()
        grads = [x.grad for x in model.parameters()]
        if kind == "FSDP2":
            grads = [x.full_tensor() for x in grads]  # type: ignore[union-attr]
        if rank == 0:
            torch.save(grads, Path(folder) / "grads.pt")
        dist.barrier()
    finally:
        dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["DDP", "FSDP2"])
def test_two_processes_have_the_gradient_of_the_whole_batch(kind: str, tmp_path: Path) -> None:
    images, target, mask = batch()
    model = network()
    loss_fn()(model(images), target, mask).backward()
    group = torch.multiprocessing.spawn(train_part, (kind, free_port(), str(tmp_path)), nprocs=2, join=False)
    deadline = time.monotonic() + LONGEST
    try:
        while not group.join(timeout=1.0):
            assert time.monotonic() < deadline, "the processes hang"
    finally:
        for process in group.processes:
            process.kill()
    for found, parameter in zip(torch.load(tmp_path / "grads.pt"), model.parameters(), strict=True):
        torch.testing.assert_close(found, parameter.grad, rtol=1e-4, atol=1e-5)
